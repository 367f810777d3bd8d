"""Whether the other end of an SSH connection is still there.

A network that is gone says nothing, so silence is all there is to go by.  While a command runs,
nine seconds of it are enough: whoever is there answers a keepalive at once.  A shell in which
nothing happens may be that of a laptop with its lid closed, and is given its time.

New keys that are asked for and never made are silence, too: nothing else may be said meanwhile.

Two things are no silence of the other end's: a slow line that still takes what we have sent (our
keepalive stands in a queue behind it), and a sleep of our own.

Order of the file: the watch, what the kernel knows of the line.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple

TICK: Final = 1.5  # seconds between two looks
SOON: Final = 7.0  # seconds of silence; seen at the next look, so within nine
IDLE: Final = 15.0  # seconds between keepalives where nothing runs

_ENDLESS: Final = 1 << 30  # keepalives that asyncssh may miss: this module counts
_DATA: Final = (94, 98)  # CHANNEL_DATA and CHANNEL_REQUEST (RFC 4254)


class Pulse:
    """Watches one connection from ``begin`` until it is closed.

    ``busy`` tells whether something runs on it; else ``patience`` seconds of silence are borne, and
    with ``eager`` only as long as we have said nothing since we last heard from there.  ``lost`` is
    called with the seconds of it, once, before the connection is cut.
    """

    def __init__(
        self,
        conn: Any,
        *,
        busy: Callable[[], bool],
        patience: float,
        lost: Callable[[float], None],
        eager: bool = False,
    ) -> None:
        self._conn = conn
        self._busy = busy
        self._patience = patience
        self._lost = lost
        self._eager = eager
        self._loop = asyncio.get_running_loop()
        self._packets = -1  # of theirs, when last looked
        self._line = Line(0, waits=False, unanswered=False)
        self._said = -2  # of theirs, when we last said something
        self._interval = 0.0
        self._heard = self._moved = self._keyed = self._looked = self._loop.time()

    def begin(self) -> None:
        if self._eager:
            self._notice_what_is_said()
        self._look()

    def _look(self) -> None:
        conn, now = self._conn, self._loop.time()
        if conn.is_closed():
            return
        if now - self._looked > 2 * TICK + 1:
            self._heard = self._moved = self._keyed = now  # it was we who slept
        self._looked = now
        self._read(now)
        tight = self._busy() or self._said == self._packets
        interval = TICK if tight else IDLE
        if interval != self._interval:
            # What was borne until now is no silence yet in which an answer was due.
            self._heard, self._interval = now, interval
            conn.set_keepalive(interval, _ENDLESS)
        if getattr(conn, "_kex_complete", True):
            self._keyed = now
        stuck = now - min(self._moved, self._keyed) >= SOON
        if stuck or now - self._heard >= (SOON if tight else self._patience):
            self._lost(now - min(self._moved, self._keyed, self._heard))
            conn.abort()
            return
        self._loop.call_later(TICK, self._look)

    def _read(self, now: float) -> None:
        """When they have last said something, and when their kernel has last taken something."""
        packets = self._count()
        line, before = Line.of(self._conn), self._line
        moved = line.taken != before.taken
        if packets != self._packets or (moved and line.waits):
            self._heard = now
        if moved or not line.unanswered:
            self._moved = now
        self._packets, self._line = packets, line

    def _count(self) -> int:
        """Of the packets that have come."""
        count: int = getattr(self._conn, "_recv_seq", -1)
        return count

    def _notice_what_is_said(self) -> None:
        send = self._conn.send_packet

        def send_packet(kind: int, *parts: bytes, **options: Any) -> None:
            if kind in _DATA:
                self._said = self._count()
            send(kind, *parts, **options)

        setattr(self._conn, "send_packet", send_packet)  # noqa: B010 - as in ssh_packets


class Line(NamedTuple):
    """What the kernel knows of a TCP connection; where it does not tell, nothing waits."""

    taken: int  # bytes of ours that their kernel has
    waits: bool  # more of ours are to come
    unanswered: bool  # some are under way; a closed window is no such thing

    @classmethod
    def of(cls, conn: Any) -> Line:
        sock = conn.get_extra_info("socket")
        if sock is None or not sys.platform.startswith("linux"):
            return cls(0, waits=False, unanswered=False)
        try:
            told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
            # struct tcp_info of linux/tcp.h, 4.6 and later
            (unacked,) = struct.unpack_from("=I", told, 24)
            (taken,) = struct.unpack_from("=Q", told, 120)
            (unsent,) = struct.unpack_from("=I", told, 144)
        except (OSError, struct.error):
            return cls(0, waits=False, unanswered=False)
        return cls(taken, waits=bool(unacked or unsent), unanswered=bool(unacked))
