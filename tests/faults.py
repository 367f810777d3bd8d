"""A bad line: a proxy in front of a server that dawdles, cuts, and breaks connections.

It runs in a thread of its own, on a loop of its own.  What it does to a connection is asked when
that connection is made, so a test sets ``chunk`` or ``cut`` and connects.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Faults:
    """``port`` leads to ``upstream``."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.port = 0
        self.chunk = 0  # bytes at a time, both ways; 0: as they come
        self.cut: int | None = None  # bytes from the server, then the end of the connection
        self.rst = False  # the end is a reset
        # Bytes from the server on each connection, by the port the server sees it come from.
        self.passed: dict[int, int] = {}
        self._open: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._ready: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def heal(self) -> None:
        """From the next connection on the line is a good one."""
        self.chunk, self.cut, self.rst = 0, None, False

    def start(self) -> None:
        self._thread.start()
        self._ready.result(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def break_all(self) -> None:
        """Resets every connection, on both sides, now."""
        done: concurrent.futures.Future[None] = concurrent.futures.Future()

        def act() -> None:
            for pair in list(self._open):
                for writer in pair:
                    _reset(writer)
            done.set_result(None)

        self._loop.call_soon_threadsafe(act)
        done.result(10)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set_result(None)
        await self._stop.wait()
        server.close()
        for pair in list(self._open):
            for writer in pair:
                writer.transport.abort()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chunk, cut, rst = self.chunk, self.cut, self.rst
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        except OSError:
            writer.transport.abort()
            return
        port = up_writer.get_extra_info("sockname")[1]
        pair = (writer, up_writer)
        self._open.add(pair)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, up_writer, chunk, None, pair, port))
                group.create_task(self._pass(up_reader, writer, chunk, cut, pair, port, rst=rst))
        finally:
            self._open.discard(pair)
            for one in pair:
                one.close()

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        chunk: int,
        cut: int | None,
        pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
        port: int,
        *,
        rst: bool = False,
    ) -> None:
        down = writer is pair[0]
        passed = 0
        with contextlib.suppress(OSError):
            while cut is None or passed < cut:
                data = await reader.read(chunk or 1 << 16)
                if cut is not None:
                    data = data[: cut - passed]
                if not data:
                    break
                writer.write(data)
                await writer.drain()
                passed += len(data)
                if down:
                    self.passed[port] = passed
            if cut is not None and passed >= cut:
                for one in pair:
                    if rst:
                        _reset(one)
                    else:
                        one.close()
                return
            if writer.can_write_eof():
                writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    plain = writer.get_extra_info("socket")
    if plain is not None and plain.fileno() >= 0:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def bad_line(upstream: int) -> Iterator[Faults]:
    faults = Faults(upstream)
    faults.start()
    try:
        yield faults
    finally:
        faults.stop()
