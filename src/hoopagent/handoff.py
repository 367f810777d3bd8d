"""From one agent to the next: the successor asks, and gets the listening sockets themselves.

A socket that is passed on never stops listening: who connects meanwhile waits in the kernel's
queue and is let in by the successor.  The locks on the folders go the same way, so that nobody
else comes in between.  What must survive in memory (the endpoints) goes through the same private
socket; nothing of it touches the disk.

The one that was replaced is the *predecessor*.  It goes on with the sessions it has, and does what
its successor asks of it (end that session, pass this cancel on) until the last of them has ended.

``offer.py`` is the side of the one that is replaced, ``predecessor.py`` that of its successor.
Order of the file: what is passed on, the wire, and how the two meet.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import socket
import struct
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from hoopagent.doors.sockets import UnixSocket, peer_of
from hoopagent.errors import CannotStart

log = structlog.get_logger()

# How two agents talk here.  Another number on the other side: no hand-over, stop and start instead.
PROTOCOL = 1

SOCKET = "handoff.sock"

# A successor opens its store and its keys before it takes; then all of it is a matter of a moment.
TO_TAKE = 60.0
TO_SERVE = 15.0
TO_ANSWER = 5.0

# All endpoints there may be at once, several times over.
_LARGEST = 64 << 20
_MOST_SOCKETS = 64


class Gone(Exception):
    """The other side has closed the connection, or does not keep to the protocol."""

    def __init__(self, why: str, *, ended: bool = False) -> None:
        super().__init__(why)
        self.ended = ended  # without a word: its process is no more


class Died(CannotStart):
    """The agent that ran has died before it passed anything on."""


# --- what is passed on ----------------------------------------------------------------------------


@dataclass(slots=True)
class Held:
    """What an agent listens on, and as what its configuration knew it."""

    run: str
    ssh: str
    tcp: str
    lock: int  # of the data folder
    plain: socket.socket  # the local door's loopback port
    pg: UnixSocket
    api: UnixSocket
    doors: list[socket.socket] = field(default_factory=list)  # the SSH door's

    def told(self) -> dict[str, Any]:
        """What goes beside the file descriptors."""
        files = [{"path": str(one.path), "inode": one.inode} for one in (self.pg, self.api)]
        return {"run": self.run, "ssh": self.ssh, "tcp": self.tcp, "files": files}

    def descriptors(self) -> list[int]:
        sockets = [self.plain, self.pg.socket, self.api.socket, *self.doors]
        return [self.lock, self.pg.lock, self.api.lock, *(one.fileno() for one in sockets)]

    @classmethod
    def read(cls, told: dict[str, Any], descriptors: list[int]) -> Held:
        """The other side's ``told`` and ``descriptors``; Gone where they do not fit together."""
        try:
            lock, pg_lock, api_lock, plain, pg, api, *doors = descriptors
            files = [(Path(one["path"]), int(one["inode"])) for one in told["files"]]
            (pg_path, pg_inode), (api_path, api_inode) = files
            return cls(
                run=str(told["run"]),
                ssh=str(told["ssh"]),
                tcp=str(told["tcp"]),
                lock=lock,
                plain=_socket(plain),
                pg=UnixSocket(_socket(pg), pg_path, pg_inode, pg_lock),
                api=UnixSocket(_socket(api), api_path, api_inode, api_lock),
                doors=[_socket(one) for one in doors],
            )
        except (KeyError, TypeError, ValueError, OSError) as problem:
            raise Gone("it passed on what cannot be read") from problem

    def close(self) -> None:
        """Lets go of all of it; where another process holds it too, nothing changes there."""
        for one in (self.plain, self.pg.socket, self.api.socket, *self.doors):
            one.close()
        for lock in (self.lock, self.pg.lock, self.api.lock):
            with contextlib.suppress(OSError):
                os.close(lock)


def _socket(descriptor: int) -> socket.socket:
    made = socket.socket(fileno=descriptor)
    made.setblocking(False)
    return made


# --- the wire -------------------------------------------------------------------------------------


class Wire:
    """JSON values, each behind its length, and file descriptors behind a byte of their own."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._sending = asyncio.Lock()

    async def send(self, value: dict[str, Any]) -> None:
        data = json.dumps(value).encode()
        if self._connection.fileno() < 0:
            raise Gone("the connection is closed")
        try:
            async with self._sending:
                loop = asyncio.get_running_loop()
                await loop.sock_sendall(self._connection, struct.pack("!I", len(data)) + data)
        except OSError as problem:
            raise Gone(problem.strerror or "it left") from problem

    async def receive(self) -> dict[str, Any]:
        (length,) = struct.unpack("!I", await self._exactly(4))
        if length > _LARGEST:
            raise Gone("it sends too much")
        try:
            value = json.loads(await self._exactly(length))
        except (ValueError, RecursionError) as problem:
            raise Gone("it does not speak JSON") from problem
        if not isinstance(value, dict):
            raise Gone("it does not speak as an agent")
        return value

    async def _exactly(self, length: int) -> bytes:
        loop, data = asyncio.get_running_loop(), bytearray()
        while len(data) < length:
            try:
                piece = await loop.sock_recv(self._connection, min(length - len(data), 1 << 18))
            except OSError as problem:
                raise Gone(problem.strerror or "it left", ended=True) from problem
            if not piece:
                raise Gone("it closed the connection", ended=True)
            data += piece
        return bytes(data)

    async def send_descriptors(self, descriptors: list[int]) -> None:
        try:
            # One byte fits: whatever was sent before has been read and answered.
            socket.send_fds(self._connection, [b"F"], descriptors)
        except OSError as problem:
            raise Gone(problem.strerror or "it left") from problem

    async def receive_descriptors(self) -> list[int]:
        await self._readable()
        flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
        try:
            data, found, _, _ = socket.recv_fds(self._connection, 1, _MOST_SOCKETS, flags)
        except OSError as problem:
            raise Gone(problem.strerror or "it left") from problem
        for one in found:
            os.set_inheritable(one, False)
        if data != b"F":
            raise Gone("it closed the connection", ended=not data)
        return list(found)

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._connection, partial(_done, ready))
        try:
            await ready
        finally:
            loop.remove_reader(self._connection)

    def close(self) -> None:
        self._connection.close()


def _done(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def tell(wire: Wire, value: dict[str, Any]) -> None:
    """Sends it, if there is still somebody to hear it."""
    with contextlib.suppress(Gone):
        await wire.send(value)


def hold(data: Path) -> int | None:
    """Holds the data folder, or None: two agents on one would each think the recordings theirs."""
    lock = os.open(data / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


# --- meeting --------------------------------------------------------------------------------------


def place_of(data: Path) -> Path | None:
    """Where the agent that holds this data folder can be met; None where it says nothing."""
    try:
        told = json.loads((data / "agent.lock").read_text(encoding="utf-8"))
        return Path(told["handoff"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_place(lock: int, path: Path) -> None:
    """Says in the lock's file who holds it, and where a successor can come."""
    text = json.dumps({"pid": os.getpid(), "handoff": str(path)}).encode()
    os.ftruncate(lock, 0)
    os.pwrite(lock, text, 0)


async def meet(data: Path, wants: str, version: str) -> Wire:
    """A wire to the agent that holds this data folder, its hello said; CannotStart."""
    path = place_of(data)
    if path is None:
        raise CannotStart(f"the agent that holds {data} does not hand over; stop it first")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.setblocking(False)
    try:
        async with asyncio.timeout(TO_ANSWER):
            await asyncio.get_running_loop().sock_connect(connection, str(path))
            peer = peer_of(connection)
            if peer is None or peer[0] != os.geteuid():
                whose = "another account" if peer is None else f"uid {peer[0]}"
                raise CannotStart(f"{path} is served by {whose}; run this as that account")
            wire = Wire(connection)
            await wire.send({"hello": PROTOCOL, "version": version, "wants": wants})
    except (OSError, TimeoutError, Gone) as problem:
        connection.close()
        why = getattr(problem, "strerror", None) or str(problem) or "it does not answer"
        raise CannotStart(f"cannot reach the running agent at {path}: {why}") from problem
    except CannotStart:
        connection.close()
        raise
    return wire
