"""An SSH target that does, on a channel, what no honest one would: the command says what.

It runs in a thread of its own, is asyncssh as far as signing in goes, and sends packets by hand
from there on.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncssh
from asyncssh.packet import Boolean, Byte, String, UInt32

IGNORE, DEBUG, KEXINIT, GLOBAL_REQUEST = 2, 4, 20, 80
CHANNEL_OPEN, WINDOW, DATA, EXTENDED, EOF, CLOSE, REQUEST = 90, 93, 94, 95, 96, 97, 98

Deed = Callable[["HostileChannel"], Coroutine[Any, Any, None]]


@dataclass
class Hostile:
    """Where it is, and what it has been told."""

    port: int = 0
    key: asyncssh.SSHKey = field(
        default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519")
    )
    answers: list[str] = field(default_factory=list)
    connections: list[Any] = field(default_factory=list)

    @property
    def host_key(self) -> str:
        return self.key.export_public_key().decode().strip()


class HostileServer(asyncssh.SSHServer):
    def __init__(self, hostile: Hostile) -> None:
        self._hostile = hostile

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._conn = conn
        self._hostile.connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        for _ in range(50):
            self._conn.send_auth_banner("\x1b]0;BANNER\a welcome " * 100 + "\n")
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return True

    def session_requested(self) -> Any:
        return HostileChannel(self._hostile, self._conn)


class HostileChannel(asyncssh.SSHServerSession[bytes]):
    """One channel; ``number`` is the agent's."""

    def __init__(self, hostile: Hostile, conn: Any) -> None:
        self.hostile = hostile
        self.conn = conn

    def connection_made(self, chan: Any) -> None:
        self.chan = chan

    def pty_requested(self, term_type: str, term_size: Any, term_modes: Any) -> bool:
        return True

    def exec_requested(self, command: str) -> bool:
        self._deed = DEEDS[command]
        return True

    def session_started(self) -> None:
        self.number = self.chan._send_chan
        self.conn.create_task(self._deed(self))

    def data_received(self, data: bytes, datatype: int | None) -> None:
        pass

    def eof_received(self) -> bool:
        return True

    def signal_received(self, signal: str) -> None:
        self.hostile.answers.append(f"signal {signal}")
        self.leave(9)

    # --- packets ----------------------------------------------------------------------------------

    def packet(self, kind: int, *parts: bytes) -> None:
        self.conn.send_packet(kind, *parts)

    def data(self, data: bytes) -> None:
        self.packet(DATA, UInt32(self.number), String(data))

    def request(self, name: str, *parts: bytes) -> None:
        self.packet(REQUEST, UInt32(self.number), String(name), Boolean(False), *parts)

    def leave(self, status: int = 0) -> None:
        self.request("exit-status", UInt32(status))
        self.packet(EOF, UInt32(self.number))
        self.packet(CLOSE, UInt32(self.number))


async def _opens(channel: HostileChannel) -> None:
    """Channels back to the agent, of every kind there is."""
    conn, session = channel.conn, asyncssh.SSHTCPSession
    ways: dict[str, Callable[[], Any]] = {
        "x11": lambda: conn.create_x11_connection(session),
        "agent": conn.open_agent_connection,
        "forwarded-tcpip": lambda: conn.create_connection(session, "127.0.0.1", 22, "1.2.3.4", 5),
        "streamlocal": lambda: conn.create_unix_connection(session, "/tmp/x"),
    }
    for name, way in ways.items():
        try:
            await way()
            channel.hostile.answers.append(f"{name} opened")
        except asyncssh.ChannelOpenError:
            channel.hostile.answers.append(f"{name} refused")
    for kind in ("session", "direct-tcpip", "tun@openssh.com", "made-up", "_x", ""):
        other = (
            channel.conn
        )  # a number of no channel: its answer would end us, so none is waited for
        other.send_packet(
            CHANNEL_OPEN, String(kind), UInt32(channel.chan._recv_chan), UInt32(1), UInt32(1)
        )
    await asyncio.sleep(0.2)
    channel.data(b"done\n")
    channel.leave()


async def _requests(channel: HostileChannel) -> None:
    """Global requests, each of which wants an answer."""
    for name in (
        "tcpip-forward",
        "streamlocal-forward@openssh.com",
        "no-more-sessions@openssh.com",
        "hostkeys-prove-00@openssh.com",
        "hostkeys-00@openssh.com",
        "made-up",
        "keepalive@openssh.com",
    ):
        rest = b"" if name.startswith(("keepalive", "hostkeys-00")) else String("x") + UInt32(1)
        kind, _ = await channel.conn._make_global_request(name.encode(), rest)
        channel.hostile.answers.append(f"{name} {'taken' if kind == 81 else 'refused'}")
    channel.data(b"done\n")
    channel.leave()


async def _channel_requests(channel: HostileChannel) -> None:
    """Requests on the channel that are a client's to make."""
    for name in ("pty-req", "shell", "exec", "subsystem", "env", "window-change", "x11-req", "\t"):
        channel.request(name, String("id"), UInt32(1))
    channel.request("signal", String("KILL"))
    channel.data(b"done\n")
    channel.leave()


async def _behind_close(channel: HostileChannel) -> None:
    channel.data(b"before\n")
    channel.leave()
    channel.data(b"BEHIND\n")


async def _behind_eof(channel: HostileChannel) -> None:
    channel.data(b"before\n")
    channel.packet(EOF, UInt32(channel.number))
    channel.data(b"BEHIND\n")


async def _beyond_the_window(channel: HostileChannel) -> None:
    for _ in range(4096):
        channel.data(bytes(32768))


async def _huge(channel: HostileChannel) -> None:
    channel.data(bytes(1 << 20))


async def _floods(channel: HostileChannel) -> None:
    for number in range(2000):
        channel.packet(IGNORE, String(bytes(1000)))
        channel.packet(DEBUG, Boolean(True), String("\x1b]0;DEBUG\a"), String(""))
        if number % 100 == 0:
            await asyncio.sleep(0)
    channel.data(b"done\n")
    channel.leave(3)


async def _two_ends(channel: HostileChannel) -> None:
    channel.request("exit-status", UInt32(0))
    channel.request("exit-status", UInt32(1))
    channel.leave()


async def _signal(channel: HostileChannel) -> None:
    words = String("\x1b]0;SIGNAL\a" * 1000)
    channel.request("exit-signal", words, Boolean(False), words, String(""))
    channel.packet(CLOSE, UInt32(channel.number))


async def _never_keys(channel: HostileChannel) -> None:
    """Asks for new keys and never makes them, but is not silent."""
    channel.data(b"begun\n")
    conn = channel.conn
    conn._send_kexinit()
    conn._recv_handler = lambda: False
    while conn._transport is not None:
        channel.packet(IGNORE, String(b""))
        await asyncio.sleep(0.3)


async def _no_end(channel: HostileChannel) -> None:
    """Closes without having said how it ended."""
    channel.packet(CLOSE, UInt32(channel.number))


async def _unknown_message(channel: HostileChannel) -> None:
    for kind in (192, 255, 200):
        channel.packet(kind, Byte(1))
    channel.data(b"done\n")
    channel.leave()


async def _another_channel(channel: HostileChannel) -> None:
    channel.packet(DATA, UInt32(channel.number + 7), String(b"hi"))


async def _confirms_twice(channel: HostileChannel) -> None:
    channel.packet(91, *(UInt32(n) for n in (channel.number, 5, 1 << 20, 1 << 15)))


async def _waits(channel: HostileChannel) -> None:
    """For a signal, as an honest one would."""
    channel.data(b"begun\n")


DEEDS: dict[str, Deed] = {
    "opens": _opens,
    "requests": _requests,
    "channel-requests": _channel_requests,
    "behind-close": _behind_close,
    "behind-eof": _behind_eof,
    "beyond-the-window": _beyond_the_window,
    "huge": _huge,
    "floods": _floods,
    "two-ends": _two_ends,
    "signal": _signal,
    "never-keys": _never_keys,
    "no-end": _no_end,
    "waits": _waits,
    "unknown-message": _unknown_message,
    "another-channel": _another_channel,
    "confirms-twice": _confirms_twice,
}


@contextmanager
def hostile_target(**options: Any) -> Iterator[Hostile]:
    """One that listens; ``options`` are of ``asyncssh.listen``."""
    hostile, ready, ended = Hostile(), threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        server = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: HostileServer(hostile),
            server_host_keys=[hostile.key],
            encoding=None,
            config=None,
            **options,
        )
        hostile.port = server.get_port()
        ready.set()
        await ended.wait()
        server.close()
        for conn in hostile.connections:
            conn.abort()
        await asyncio.sleep(0.1)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield hostile
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(20)
        loop.close()
