"""What asyncssh sends that nobody needs, and what it would keep without a bound.

It sends an empty IGNORE before every packet, which is what RFC 4251 (9.3.1) advises against an
attack on CBC, where the end of one packet is the initialisation vector of the next.  No end of ours
speaks CBC: GCM and ChaCha20-Poly1305 take a fresh nonce for each packet, and there the IGNORE only
doubles the work of each small reply.

It knows the windows of its channels and nothing of the line below them: what the peer's windows
allow is written, whether anybody takes it or not, and PuTTY's windows are of 2 GiB.  So does what
waits for new keys.  Here the windows are shut while the line is full.

All of it rests on names inside asyncssh; where one of them is missing, that part is left out, and
``test_ssh_packets`` fails.

Order of the file: what is done to a connection, the line below its channels, what a
channel keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

MSG_IGNORE: Final = 2  # RFC 4253, 12

LINE: Final = 256 << 10  # bytes written that the peer has not taken, before channels wait
ANSWERS: Final = 4 << 20  # of them, before whoever asks and never reads is cut off
KEYS: Final = 64  # packets that wait for new keys, before channels wait

NO_READER: Final = b"eow@openssh.com"  # PROTOCOL of OpenSSH, 2.1

SMALLEST: Final = 256
"""Bytes that a peer must take in one packet: each costs the work of encrypting it."""

MOST_VARIABLES: Final = 64
LONGEST_VARIABLE: Final = 1024

_NAMES = ("_transport", "_channels", "_deferred_packets", "_send_deferred_packets")


class Connection(Protocol):
    """What is needed of asyncssh's connection."""

    @property
    def send_packet(self) -> Callable[..., None]: ...


def leave_out_ignores(connection: Connection) -> None:
    """From now on this connection, whose ciphers are not CBC, sends no IGNORE, and keeps little."""
    line = _Line(connection) if all(hasattr(connection, name) for name in _NAMES) else None
    send = connection.send_packet

    def send_packet(kind: int, *parts: bytes, **options: Any) -> None:
        if kind != MSG_IGNORE:
            send(kind, *parts, **options)
            if line is not None:
                line.sent()

    setattr(connection, "send_packet", send_packet)  # noqa: B010 - mypy forbids the plain form


class _Line:
    """What is under way on one connection, and the windows of its channels while it is too much."""

    def __init__(self, conn: Any) -> None:
        self._conn = conn
        self._why: set[str] = set()
        self._shut: dict[Any, int] = {}  # channels, and the windows that they had left
        self._deferred = conn._send_deferred_packets
        conn._transport.set_write_buffer_limits(high=LINE)
        conn.pause_writing = lambda: self._shut_for("line")
        conn.resume_writing = lambda: self._open_for("line")
        conn._send_deferred_packets = self._keys_are_there

    def sent(self) -> None:
        """One more packet; it may be one that waits."""
        conn = self._conn
        if self._why:
            transport = conn._transport
            if transport is not None and transport.get_write_buffer_size() > ANSWERS:
                conn.abort()
        elif len(conn._deferred_packets) > KEYS:
            self._shut_for("keys")

    def _keys_are_there(self) -> None:
        self._deferred()
        self._open_for("keys")

    def _shut_for(self, why: str) -> None:
        self._why.add(why)
        for channel in self._conn._channels.values():
            self._shut[channel] = self._shut.get(channel, 0) + channel._send_window
            channel._send_window = 0

    def _open_for(self, why: str) -> None:
        self._why.discard(why)
        if self._why:
            return
        shut, self._shut = self._shut, {}
        for channel, window in shut.items():
            if self._why:  # what went behind the last one has filled the line again
                self._shut[channel] = self._shut.get(channel, 0) + window
            elif channel._conn is not None:
                channel._send_window += window
                channel._flush_send_buf()


def keep_little(channel: Any) -> None:
    """For a channel that has just opened: what its peer can make it keep, or do, is bounded."""
    if getattr(channel, "_send_pktsize", SMALLEST) < SMALLEST:
        channel.abort()
    if hasattr(channel, "_env"):
        channel._env = _Variables(channel._env)


def hear_no_reader(channel: Any, call: Callable[[], None]) -> None:
    """``call`` is called where the peer says that nobody reads the output of what runs any more."""

    def heard(packet: Any) -> bool:
        packet.check_end()
        call()
        return True

    channel._process_eow_at_openssh_dot_com_request = heard


class _Variables(dict[bytes, bytes]):
    """What a client wants to set in the environment; what is too much of it is left out."""

    def __setitem__(self, name: bytes, value: bytes) -> None:
        if len(self) < MOST_VARIABLES and len(name) + len(value) <= LONGEST_VARIABLE:
            super().__setitem__(name, value)
