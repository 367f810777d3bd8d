"""Rows that a target's policy keeps: from what goes to the client into the recording.

What a grant shows in clear of what is masked is not kept: whoever reads the recording later may
have no such grant, and what is sealed cannot be masked for each reader (decision 0037).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hoopagent.config import TargetSection
from hoopagent.meter import RowMeter
from hoopcore.protocols.postgres.results import Results
from hoopcore.stream import Out, Side

if TYPE_CHECKING:
    from hoopagent.live import Live


def results_for(section: TargetSection) -> Results | None:
    """None where policy keeps counts alone: then nothing of this runs."""
    keeps = section.record_results
    if keeps == "counts":
        return None
    return Results(None if keeps == "all" else int(keeps))


@dataclass(slots=True)
class KeptRows:
    """One session's."""

    live: Live
    meter: RowMeter | None
    results: Results

    def flowed(self, out: Out) -> None:
        """Charges the rows, then records those that may go; RecorderFailed."""
        if self.meter is not None:
            self.meter.flowed(out)
        if self.live.judge.bound.shown:
            self.results.withheld = True
        events = self.results.take(out, self.live.stream.answering)
        behind = self.live.recorder.append(*events) if events else None
        relay = self.live.relay
        if behind is not None and relay is not None:
            relay.pause(Side.CLIENT)  # so that the target is not read from
            behind.add_done_callback(self._caught_up)

    def _caught_up(self, _: asyncio.Future[None]) -> None:
        if self.live.relay is not None:
            self.live.relay.resume(Side.CLIENT)
