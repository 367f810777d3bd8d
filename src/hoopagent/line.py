"""What one session's relay is made of, and in which words it ends when something fails.

Each part of a line is plain, and may be replaced in a test.  ``live.py`` puts a line together;
``relay.py`` runs it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from hoopagent.recorder import RecorderFailed
from hoopcore.policy import Verdict
from hoopcore.recording import EndCause, Event
from hoopcore.statement import Reading
from hoopcore.stream import Ask, MaskFailed, Out, ProtocolError, Seen, Stream

if TYPE_CHECKING:
    from hoopagent.relay import Relay

OURS: Final = frozenset({EndCause.MASKING_FAILED, EndCause.INTERNAL_ERROR})
"""Causes that are our own mistakes: worth a line in the log."""


class Recorder(Protocol):
    """The part of recorder.py that the line needs."""

    def append(self, *events: Event) -> asyncio.Future[None] | None:
        """Durable when it returns None or the future is done; else RecorderFailed."""
        ...

    def append_later(self, *events: Event) -> None:
        """Sealed now, written a moment later at the most; else RecorderFailed."""
        ...


@dataclass
class Line:
    """What one session's relay is made of; each part is plain and may be replaced in a test."""

    stream: Stream
    recorder: Recorder
    read: Callable[[Ask], Reading | asyncio.Future[Reading]]
    judge: Callable[[Ask, Reading], Verdict]
    said: Callable[[Ask, Reading, Verdict], Event]
    saw: Callable[[Seen], Event]
    behind: Callable[[Seen], asyncio.Future[None] | None]  # what must be done before the next ask
    over_budget: Callable[[], bool]  # all sessions together hold too much, and this one most
    cancel: Callable[[], None]  # asks the target to give up the statement in flight
    # What to do now about an ask that is held; None: it waits.  Without it, it is refused.
    hold: Callable[[Relay, Ask, Reading, Verdict], Verdict | None] | None = None
    # The session ends: what is to be recorded of an ask that waits.
    unhold: Callable[[EndCause], Event | None] | None = None
    flowed: Callable[[Out], None] | None = None  # charges rows before they go to the client


def ending_of(problem: Exception) -> tuple[str, str, EndCause]:
    """SQLSTATE, words for the client and cause, where a turn of the relay raised this."""
    if isinstance(problem, ProtocolError):
        return getattr(problem, "code", "08P01"), str(problem), EndCause.PROTOCOL_ERROR
    if isinstance(problem, RecorderFailed):
        return "58030", "this session can no longer be recorded", EndCause.RECORDING_FAILED
    cause = EndCause.INTERNAL_ERROR
    if isinstance(problem, MaskFailed):
        cause = EndCause.MASKING_FAILED
    return "XX000", "the agent failed; the session was ended to be safe", cause
