"""One side of a connection while nobody relays it yet.

A login reads exact numbers of bytes and now and then turns a connection into TLS; the relay wants
every chunk as it comes.  A lane is the first of these two, and ``hand_over`` makes it the second:
the transport stays, its callbacks go elsewhere, and what was read too far is given along.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from collections.abc import Callable
from typing import cast

from hoopcore.stream import ProtocolError

# What a lane reads ahead at the most; a client may pipeline its first statements.
READ_AHEAD = 64 << 10

# How long a closed lane may take to send its last bytes.
FLUSH = 5.0

HALF = select.POLLHUP | getattr(select, "POLLRDHUP", 0)
"""For ``gone``: one direction is enough, where the system tells that."""


class LaneClosed(Exception):
    """The peer closed the connection, or it broke."""


class Lane(asyncio.Protocol):
    """Reads by number of bytes, within bounds.  One reader at a time."""

    def __init__(self, made: Callable[[Lane], None] | None = None) -> None:
        self._made = made
        self._buffer = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._wanted = 0
        self._transport: asyncio.Transport | None = None
        self._successor: asyncio.BaseProtocol | None = None
        self._paused = False
        self._error: Exception | None = None
        self.lost = False
        self.on_lost: Callable[[], None] | None = None

    @property
    def transport(self) -> asyncio.Transport:
        assert self._transport is not None, "a lane has a transport once it is connected"
        return self._transport

    # --- callbacks of the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._made is not None:
            self._made(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > max(READ_AHEAD, self._wanted):
            self._pause()
        self._wake()

    def eof_received(self) -> bool | None:
        return None  # no half-open connections: the transport closes itself

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost, self._error = True, exc
        self._wake()
        if self.on_lost is not None:
            self.on_lost()
        if self._successor is not None:
            self._successor.connection_lost(exc)

    # --- for a login

    async def read_exactly(self, size: int) -> bytes:
        """That many bytes, or LaneClosed when they cannot come any more."""
        while len(self._buffer) < size:
            # A door may begin a login before its transport has called back.
            if self.lost or (self._transport is not None and self._transport.is_closing()):
                raise LaneClosed
            self._wanted = size
            self._resume()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    async def read_end(self) -> None:
        """Waits until the peer has closed; what it says until then is dropped."""
        while not self.lost:
            self._buffer.clear()
            self._resume()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def write(self, data: bytes) -> None:
        if not self.lost:
            self.transport.write(data)

    async def start_tls(
        self, context: ssl.SSLContext, *, server_name: str | None, server_side: bool = False
    ) -> bytes:
        """Turns the connection into TLS; the peer's certificate in DER, empty where it has none.

        Bytes already read came in clear, whoever sent them: they are a ProtocolError
        (CVE-2021-23222).  Raises OSError (``ssl.SSLError`` is one) when the handshake fails.
        """
        if self._buffer:
            raise ProtocolError("bytes in clear behind a request for TLS")
        if self.lost or self.transport.is_closing():
            raise LaneClosed
        self._resume()
        upgraded = await asyncio.get_running_loop().start_tls(
            self.transport, self, context, server_side=server_side, server_hostname=server_name
        )
        if upgraded is None:
            raise LaneClosed
        self._transport = upgraded
        found: ssl.SSLObject | None = upgraded.get_extra_info("ssl_object")
        certificate = found.getpeercert(binary_form=True) if found is not None else None
        return certificate or b""

    def close(self) -> None:
        """Sends what was written, then closes; at once where the peer does not read it."""
        if self._transport is None:
            return
        self._transport.close()
        asyncio.get_running_loop().call_later(FLUSH, self._transport.abort)

    # --- for the relay

    def hand_over(self, successor: asyncio.Protocol | asyncio.BufferedProtocol) -> bytes:
        """From now on the successor gets what the transport has to tell.

        Reading is paused.  The caller feeds the bytes given back and then resumes reading.
        ``connection_made`` is not called; ``connection_lost`` follows soon where it was missed.
        """
        self._pause()
        rest = bytes(self._buffer)
        self._buffer.clear()
        self.on_lost = None
        # While it closes, a transport may have its last call to us on the way already.
        self._successor = successor
        if self.lost:
            asyncio.get_running_loop().call_soon(successor.connection_lost, self._error)
        else:
            self.transport.set_protocol(successor)
        return rest

    def _pause(self) -> None:
        if not self.lost and not self.transport.is_closing():
            self.transport.pause_reading()
        self._paused = True

    def _resume(self) -> None:
        if self._paused and not self.lost and not self.transport.is_closing():
            self.transport.resume_reading()
        self._paused = False

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def gone(transport: asyncio.BaseTransport, how: int = select.POLLHUP) -> bool:
    """Whether the peer has closed both its directions, as far as the system knows."""
    found = transport.get_extra_info("socket")
    if found is None or found.fileno() < 0:
        return False
    asked = select.poll()
    asked.register(found.fileno(), how & ~select.POLLHUP)
    return any(event & how for _, event in asked.poll(0))
