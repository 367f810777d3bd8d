"""A tunnel's near end: its listeners, and each client's bytes to the agent and back.

A listener stays whatever happens to the connection behind it.  A client that comes while the agent
is away waits a little, then hears why; one that is in the middle of its work when the connection
ends is told so, where its stream of messages leaves room for a word, since what became of its last
statement nobody here can know.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import asyncssh

from hoopcli.errors import Exit, Failure, NotSignedIn
from hoopcli.tunnels import front
from hoopcli.tunnels.link import Lane, Reader, Way, Writer
from hoopcli.tunnels.records import HOST
from hoopcore.protocols.postgres import scram, wire
from hoopcore.stream import ProtocolError

# Seconds from the first byte to the proof, and from a client's last byte to the agent's.
_LOGIN, _GOODBYE = 30.0, 10.0

# Clients that have not proved themselves yet, of one tunnel.  More are turned away unheard.
_UNPROVED = 64

_CHUNK = 256 << 10

Proof = Callable[[], Awaitable[scram.Verifier]]


class PortTaken(Failure):
    """Somebody else listens where clients expect this tunnel."""

    def __init__(self, port: int, target: str) -> None:
        uid = front.uid_of_listener(port)
        who = f"by uid {uid}" if uid is not None else "by another program"
        super().__init__(
            f"port {port} is taken {who}, and your clients know it as {target}\n"
            "Whoever listens there learns nothing from a client that speaks SCRAM only.",
            "End that program; or take another port and password, and tell your clients:\n"
            f"hoop connect -d {target} --new-port",
        )


class End:
    """Listeners of one tunnel.  ``proof`` gives what a password is checked with."""

    def __init__(self, way: Way, target: str, database: str, proof: Proof) -> None:
        self.way = way
        self.target = target
        self.database = database
        self.connections = 0
        self.port = 0
        self._proof = proof
        self._servers: list[asyncio.Server] = []
        self._paths: list[Path] = []
        self._unproved = 0

    async def open_tcp(self, port: int) -> None:
        """On that port of the loopback, or on a free one for 0; PortTaken."""
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            # Only lets a port be taken again that closed connections still remember.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((HOST, port))
        except OSError as problem:
            listening.close()
            if problem.errno == errno.EADDRINUSE:
                raise PortTaken(port, self.target) from problem
            raise
        self.port = listening.getsockname()[1]
        met = partial(self._met, is_unix=False)
        self._servers.append(await asyncio.start_server(met, sock=listening, limit=_CHUNK))

    async def open_unix(self, path: Path) -> None:
        """At that path, in a folder that is ours alone; what was left there goes."""
        met = partial(self._met, is_unix=True)
        self._servers.append(await asyncio.start_unix_server(met, sock=bound(path), limit=_CHUNK))
        self._paths.append(path)

    @property
    def serving(self) -> bool:
        """Whether it takes clients, or has some."""
        return bool(self._servers) or self.connections > 0

    def close(self) -> None:
        """Takes no new clients; those that are here stay."""
        for server in self._servers:
            server.close()
        for path in self._paths:
            path.unlink(missing_ok=True)
        self._servers, self._paths = [], []

    # --- one client -------------------------------------------------------------------------------

    async def _met(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_unix: bool
    ) -> None:
        self.connections += 1
        try:
            if self._unproved < _UNPROVED and not _stranger(writer, is_unix=is_unix):
                await self._serve(reader, writer, is_unix=is_unix)
        except (OSError, EOFError, TimeoutError):
            pass  # it left, or said nothing for too long
        except asyncio.CancelledError:
            writer.transport.abort()  # the process ends; asyncio would make a traceback of it
        finally:
            self.connections -= 1
            await _closed(writer)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_unix: bool
    ) -> None:
        try:
            wish = await self._proved(reader, writer, is_unix=is_unix)
            lane = await self.way.lane(self.target, self.database)
        except front.NotLetIn as problem:
            writer.write(_fatal("28P01", str(problem), "See:  hoop tunnels"))
        except ProtocolError as problem:
            writer.write(_fatal("08P01", str(problem)))
        except Failure as problem:
            writer.write(_refusal(problem))
        else:
            try:
                if isinstance(wish, front.Cancel):
                    lane.writer.write(wish.packet)
                    lane.writer.write_eof()
                    await _until_end(lane.reader)
                else:
                    lane.writer.write(wish.as_user(lane.user))
                    await _joined(reader, writer, lane)
            finally:
                lane.writer.close()

    async def _proved(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_unix: bool
    ) -> front.Start | front.Cancel:
        self._unproved += 1
        try:
            async with asyncio.timeout(_LOGIN):
                verifier = None if is_unix else await self._proof()
                return await front.meet(reader, writer, verifier)
        finally:
            self._unproved -= 1


def bound(path: Path) -> socket.socket:
    """A unix socket at that path, for this account alone; what was left there goes."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(str(path))
        path.chmod(0o600)
    except BaseException:
        listening.close()
        raise
    return listening


def _stranger(writer: asyncio.StreamWriter, *, is_unix: bool) -> bool:
    """Whether the kernel says that it is somebody else; of a TCP client it may not say."""
    if is_unix:
        return front.uid_of_unix(writer.get_extra_info("socket")) != os.geteuid()
    peer, here = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
    uid = front.uid_of_tcp(peer[:2], here[:2])
    return uid is not None and uid != os.geteuid()


def _fatal(code: str, message: str, hint: str = "") -> bytes:
    return wire.error_response("FATAL", code, f"hoop: {message}", hint)


def _refusal(problem: Failure) -> bytes:
    """What a client is told when there is no way to its target."""
    if problem.code == Exit.UNREACHABLE:
        return _fatal("08001", f"{problem.message}; it is being tried again", problem.hint)
    code = "28000" if isinstance(problem, NotSignedIn) or problem.code == Exit.REFUSED else "08006"
    return _fatal(code, problem.message, problem.hint)


# --- bytes ----------------------------------------------------------------------------------------


async def _joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lane: Lane) -> None:
    """The client's bytes to the lane and back, until either has ended."""
    frames = front.Frames()
    loop = asyncio.get_running_loop()
    up = loop.create_task(_forward(reader, lane.writer))
    try:
        while data := await lane.reader.read(_CHUNK):
            frames.feed(data)
            writer.write(data)
            await writer.drain()
    except (asyncssh.Error, OSError):
        if frames.between and not frames.fatal:
            said = "the connection to the agent was lost; what became of the last statement"
            hint = "The tunnel stays: connect again."
            writer.write(_fatal("08006", f"{said} is not known here", hint))
    finally:
        up.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError, asyncssh.Error):
            await up


async def _forward(reader: Reader, writer: Writer) -> None:
    """Everything there is to read; then its end."""
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    finally:
        with contextlib.suppress(OSError, asyncssh.Error):
            writer.write_eof()


async def _until_end(reader: Reader) -> None:
    with contextlib.suppress(OSError, asyncssh.Error):
        while await reader.read(_CHUNK):
            pass


async def _closed(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_GOODBYE):
            writer.close()
            await writer.wait_closed()


async def joined_raw(
    open_lane: Callable[[], Awaitable[Lane]],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """A connection to the control API, byte for byte.  One that cannot be made is closed."""
    try:
        lane = await open_lane()
    except Failure:
        await _closed(writer)
        return
    up: asyncio.Task[Any] = asyncio.get_running_loop().create_task(_forward(reader, lane.writer))
    try:
        while data := await lane.reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    except (asyncssh.Error, OSError):
        pass  # whoever asked finds the connection closed
    finally:
        up.cancel()
        lane.writer.close()
        with contextlib.suppress(asyncio.CancelledError, OSError, asyncssh.Error):
            await up
        await _closed(writer)
