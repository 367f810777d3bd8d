"""The empty relay: bytes from one socket to the other, on uvloop, and nothing else.

What it costs is what any relay in this language costs before it has looked at a byte, so it is
what hoop is measured against.  ``python -m bench.relay HOST PORT`` prints the port it listens on;
SIGTERM ends it.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from functools import partial
from typing import cast

import uvloop


class Half(asyncio.Protocol):
    """One side.  What it reads goes to the other."""

    def __init__(self, other: Half | None = None) -> None:
        self.other = other
        self.transport: asyncio.Transport | None = None
        self.early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self.other is not None and self.other.early:
            self.transport.writelines(self.other.early)
            self.other.early = []

    def data_received(self, data: bytes) -> None:
        if self.other is None or self.other.transport is None:
            self.early.append(data)
        else:
            self.other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()


class Client(Half):
    """A client's side: brings the target's with it."""

    def __init__(self, host: str, port: int, tasks: set[asyncio.Task[None]]) -> None:
        super().__init__()
        self.host, self.port, self.tasks = host, port, tasks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        task = asyncio.get_running_loop().create_task(self._reach())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _reach(self) -> None:
        other = self.other = Half(self)
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: other, self.host, self.port)
        except OSError:
            if self.transport is not None:
                self.transport.abort()


async def serve(host: str, port: int) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    tasks: set[asyncio.Task[None]] = set()
    server = await loop.create_server(partial(Client, host, port, tasks), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await ended.wait()
    server.close()


def main() -> None:
    uvloop.run(serve(sys.argv[1], int(sys.argv[2])))


if __name__ == "__main__":
    main()
