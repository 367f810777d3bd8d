"""What the event loop tells of one side's connection, handed to the relay of its session."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hoopcore.stream import Side

if TYPE_CHECKING:
    from hoopagent.relay import Relay


class Half(asyncio.Protocol):
    """One side's connection.  It knows its relay and which side it is, nothing else."""

    def __init__(self, relay: Relay, side: Side) -> None:
        self.relay = relay
        self.side = side

    def data_received(self, data: bytes) -> None:
        self.relay.received(self.side, data)

    def eof_received(self) -> bool:
        return self.side is Side.CLIENT and self.relay.said_all()

    def connection_lost(self, exc: Exception | None) -> None:
        self.relay.lost(self.side)

    def pause_writing(self) -> None:
        self.relay.pause(self.side)

    def resume_writing(self) -> None:
        self.relay.resume(self.side)
