"""What a session's grants show in clear of what is masked: said, recorded and audited.

A mask comes off for a grant that was asked for with it, and is on again when that grant ends.  The
recording says so before the first statement that it is true for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hoopagent.live import Live
from hoopagent.recorder import RecorderFailed
from hoopcore.model import AuditEvent, Time
from hoopcore.recording import EndCause, Unmasked


@dataclass(frozen=True, slots=True)
class Unmasking:
    """Tells of each change."""

    audit: Callable[[AuditEvent], None]
    clock: Callable[[], Time]

    def tell(self, live: Live) -> None:
        """Tells what is shown now, where that is something else than before."""
        shown = live.judge.bound.shown
        if shown == live.shown:
            return
        live.shown = shown
        grants = live.access.grants
        try:
            live.recorder.append_later(Unmasked(columns=shown, grants=grants))
        except RecorderFailed:
            words = "this session can no longer be recorded"
            live.end("58030", words, EndCause.RECORDING_FAILED)
            return
        detail = {"columns": " ".join(shown), "grants": " ".join(grants)}
        record = live.record
        target = {"target": record.target}
        event = AuditEvent(
            self.clock(), record.principal, "session.unmasked", record.id, target | detail
        )
        self.audit(event)
        live.say_soon(words_for(shown))


def words_for(shown: tuple[str, ...]) -> str:
    """What the client is told."""
    if not shown:
        return "hoop: every mask is on again"
    return f"hoop: shown in clear by your grant, and recorded so: {', '.join(shown)}"
