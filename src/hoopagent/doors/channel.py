"""A channel of an SSH connection, dressed as an asyncio transport.

Whatever speaks over TCP here (the relay, the HTTP server of the API) is an asyncio Protocol, and
on a lane it runs unchanged.  The SSH connection is shared and the lane is not: what a lane may
hold is bounded by its window, and pausing one lane pauses no other.

``LaneTransport`` is what the protocol writes to; ``Lane`` is what asyncssh calls.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import asyncssh

from hoopagent.doors.ssh_packets import keep_little


class Channel(Protocol):
    """What a lane uses of an asyncssh channel, whichever kind it is."""

    def write(self, data: bytes, datatype: int | None = None) -> None: ...
    def write_eof(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def get_write_buffer_size(self) -> int: ...
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...


class LaneTransport(asyncio.Transport):
    """The near end of a channel.  Writing after the end is silently nothing, as with a socket."""

    def __init__(self, channel: Channel, protocol: asyncio.Protocol, extra: dict[str, Any]) -> None:
        super().__init__(extra)
        self._channel = channel
        self._protocol = protocol
        self._closing = False
        self._paused = False
        self._held: list[bytes] = []  # at most what was on its way when reading was paused
        self._ended = False  # the peer has sent its last byte, and the protocol does not know yet

    # --- what the protocol asks

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if not self._closing:
            with contextlib.suppress(OSError):  # the channel ended meanwhile; connection_lost comes
                self._channel.write(bytes(data))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        with contextlib.suppress(OSError):
            self._channel.write_eof()

    def can_write_eof(self) -> bool:
        return True

    def pause_reading(self) -> None:
        self._paused = True
        self._channel.pause_reading()

    def resume_reading(self) -> None:
        if self._paused and not self._closing:
            self._paused = False
            self._deliver_held()
            if not self._paused:
                self._channel.resume_reading()

    def is_reading(self) -> bool:
        return not self._paused and not self._closing

    def close(self) -> None:
        self._closing = True
        self._held.clear()
        self._channel.close()

    def abort(self) -> None:
        self._closing = True
        self._held.clear()
        self._channel.abort()

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return self._channel.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._channel.set_write_buffer_limits(high, low)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    def get_protocol(self) -> asyncio.Protocol:
        return self._protocol

    # --- what the channel tells

    def receive(self, data: bytes) -> None:
        """Bytes for the protocol, now or when it reads again."""
        if self._closing:
            return
        if self._paused:
            # asyncssh starts reading when a channel opens, whatever the protocol said by then.
            self._held.append(data)
            self._channel.pause_reading()
        else:
            self._protocol.data_received(data)

    def receive_eof(self) -> None:
        """The peer says no more.  As on a socket: the lane ends, unless the protocol keeps it."""
        if self._held:
            self._ended = True
        elif not self._closing and not self._protocol.eof_received():
            self.close()

    def lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._held.clear()
        self._protocol.connection_lost(exc)

    def _deliver_held(self) -> None:
        while self._held and not self._paused and not self._closing:
            self._protocol.data_received(self._held.pop(0))
        if self._ended and not self._held and not self._closing:
            self._ended = False
            self.receive_eof()


class Lane:
    """asyncssh's callbacks of one channel, handed to a protocol.  Mixed into a session class."""

    def __init__(
        self, protocol: asyncio.Protocol, peer: tuple[str, int], closed: Callable[[], None]
    ) -> None:
        self._lane_protocol = protocol
        self._peer = peer
        self._closed = closed
        self._started = False
        self._lane: LaneTransport | None = None

    def connection_made(self, chan: Any) -> None:
        keep_little(chan)
        extra = {"peername": self._peer, "ssh_channel": chan}
        self._lane = LaneTransport(chan, self._lane_protocol, extra)

    def session_started(self) -> None:
        assert self._lane is not None
        self._started = True
        self._lane.get_protocol().connection_made(self._lane)

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if self._lane is not None:
            self._lane.receive(data)

    def eof_received(self) -> bool:
        if self._lane is not None:
            self._lane.receive_eof()
        return True  # asyncssh need not do anything about it

    def pause_writing(self) -> None:
        if self._lane is not None:
            self._lane.get_protocol().pause_writing()

    def resume_writing(self) -> None:
        if self._lane is not None:
            self._lane.get_protocol().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed()
        # A channel that never became the subsystem was never a connection to the protocol.
        if self._lane is not None and self._started:
            self._lane.lost(exc)
        self._lane = None


class TcpLane(Lane, asyncssh.SSHTCPSession[bytes]):
    """A ``direct-tcpip`` channel."""


class SubsystemLane(Lane, asyncssh.SSHServerSession[bytes]):
    """A session channel that may become one subsystem, and nothing else."""

    def __init__(
        self,
        protocol: asyncio.Protocol,
        peer: tuple[str, int],
        closed: Callable[[], None],
        subsystem: str,
    ) -> None:
        super().__init__(protocol, peer, closed)
        self._subsystem = subsystem

    def pty_requested(self, term_type: str, term_size: Any, term_modes: Any) -> bool:
        return False

    def subsystem_requested(self, subsystem: str) -> bool:
        return subsystem == self._subsystem
