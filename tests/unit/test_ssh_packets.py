"""Which packets the SSH door leaves out, and what it keeps where nobody takes what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import asyncssh
import pytest
from asyncssh.constants import MSG_CHANNEL_DATA, MSG_IGNORE, MSG_REQUEST_FAILURE

from hoopagent.doors import ssh_algorithms, ssh_packets


class Sends:
    """As asyncssh does: an IGNORE before every packet, by the same way."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, tuple[bytes, ...], object]] = []

    def send_packet(self, kind: int, *parts: bytes, handler: object = None) -> None:
        if kind != MSG_IGNORE:
            self.send_packet(MSG_IGNORE, b"")
        self.sent.append((kind, parts, handler))


def test_an_ignore_is_left_out_and_nothing_else() -> None:
    connection = Sends()
    ssh_packets.leave_out_ignores(connection)
    connection.send_packet(MSG_CHANNEL_DATA, b"a", b"b", handler=connection)
    assert connection.sent == [(MSG_CHANNEL_DATA, (b"a", b"b"), connection)]
    assert ssh_packets.MSG_IGNORE == MSG_IGNORE


def test_the_door_offers_no_cipher_that_would_need_them() -> None:
    assert all(b"gcm" in name for name in ssh_algorithms.GCM)


# --- lines that nobody takes anything from --------------------------------------------------------


class Transport:
    def __init__(self) -> None:
        self.waiting = 0
        self.high = 0

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high

    def get_write_buffer_size(self) -> int:
        return self.waiting


class Open:
    """A channel of asyncssh's, as far as its window goes."""

    def __init__(self, connection: Connection, window: int) -> None:
        self._conn: Connection | None = connection
        self._send_window = window
        self.unsent = 0

    def write(self, size: int) -> None:
        self.unsent += size
        self._flush_send_buf()

    def _flush_send_buf(self) -> None:
        while self.unsent and self._send_window and self._conn is not None:
            size = min(self.unsent, self._send_window, 32768)
            self.unsent -= size
            self._send_window -= size
            self._conn.send_packet(MSG_CHANNEL_DATA, bytes(size))


class Connection:
    """A connection of asyncssh's, as far as lines go."""

    pause_writing: Callable[[], None]
    resume_writing: Callable[[], None]

    def __init__(self) -> None:
        self._transport = Transport()
        self._channels: dict[int, Open] = {}
        self._deferred_packets: list[bytes] = []
        self._kex_complete = True
        self.aborted = False
        ssh_packets.leave_out_ignores(self)

    def channel(self, window: int) -> Open:
        return self._channels.setdefault(len(self._channels), Open(self, window))

    def send_packet(self, kind: int, *parts: bytes) -> None:
        if not self._kex_complete:
            self._deferred_packets.append(parts[0])
            return
        self._transport.waiting += len(parts[0])
        if self._transport.waiting > self._transport.high:
            self.pause_writing()

    def _send_deferred_packets(self) -> None:
        deferred, self._deferred_packets = self._deferred_packets, []
        for packet in deferred:
            self.send_packet(MSG_CHANNEL_DATA, packet)

    def taken(self) -> None:
        self._transport.waiting = 0
        self.resume_writing()

    def abort(self) -> None:
        self.aborted = True


def test_a_full_line_shuts_every_window_and_opens_them_again() -> None:
    connection = Connection()
    first, second = connection.channel(1 << 31), connection.channel(100_000)
    first.write(10 << 20)
    second.write(50_000)
    kept = connection._transport.waiting
    assert kept <= ssh_packets.LINE + 32768
    assert second.unsent == 50_000
    took = 0
    while connection._transport.waiting:
        took += connection._transport.waiting
        connection.taken()
        assert connection._transport.waiting <= ssh_packets.LINE + 32768
    assert took == (10 << 20) + 50_000
    assert (first.unsent, second.unsent) == (0, 0)
    assert first._send_window == (1 << 31) - (10 << 20)
    assert second._send_window == 50_000


def test_what_waits_for_new_keys_is_bounded_and_goes_when_they_are_there() -> None:
    connection = Connection()
    channel = connection.channel(1 << 31)
    connection._kex_complete = False
    channel.write(100 << 20)
    assert sum(map(len, connection._deferred_packets)) <= (ssh_packets.KEYS + 1) * 32768
    connection._kex_complete = True
    connection._send_deferred_packets()
    while connection._transport.waiting:
        connection.taken()
    assert channel.unsent == 0
    assert not connection.aborted


def test_who_asks_and_never_takes_an_answer_is_cut_off() -> None:
    connection = Connection()
    while not connection.aborted:
        connection.send_packet(MSG_REQUEST_FAILURE, bytes(1000))
        assert connection._transport.waiting <= ssh_packets.ANSWERS + 1000


def test_the_names_inside_asyncssh_that_this_rests_on_are_there() -> None:
    """Where one is missing, lines are bounded no more."""
    options: Any = asyncssh.SSHServerConnectionOptions()
    loop = asyncio.new_event_loop()
    try:
        connection = asyncssh.SSHServerConnection(loop, options)
        assert hasattr(connection, "_transport")
        setattr(connection, "_transport", object())  # noqa: B010 - as if it were connected
        channel = asyncssh.channel.SSHServerChannel(
            connection, loop, False, False, False, 0, 0, None, "strict", 0, 0
        )
        connection._cancel_login_timer()
    finally:
        loop.close()
    for name in ssh_packets._NAMES:
        assert hasattr(connection, name)
    for name in ("_recv_seq", "_kex_complete", "_auth_complete"):
        assert hasattr(connection, name)
    for name in ("_send_window", "_flush_send_buf", "_conn", "_send_pktsize", "_env"):
        assert hasattr(channel, name)


@pytest.mark.parametrize(("size", "left"), [(1, False), (255, False), (256, True), (32768, True)])
def test_a_channel_of_tiny_packets_is_left(size: int, left: bool) -> None:
    class Channel:
        _send_pktsize = size
        open = True

        def abort(self) -> None:
            self.open = False

    channel = Channel()
    ssh_packets.keep_little(channel)
    assert channel.open is left
