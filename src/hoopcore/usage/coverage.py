"""Whether what was not seen did not happen.

"Not used" may be said of a window only where the gate was up, and the only way to the target, for
the whole of it; everywhere else it is "not seen".  Who keeps the target's configuration says that
there is no other way; the agent notes, a beat at a time, that it was up while this was said.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from hoopcore.model import SECOND, Time

BEAT: Time = 60 * SECOND
"""Between two notes that the gate is up.  Up to two of them may be missing between two spans."""


class Span(NamedTuple):
    """From when to when the gate is known to have been up and the only way."""

    since: Time
    until: Time


def joined(spans: Iterable[Span], gap: Time = 2 * BEAT) -> list[Span]:
    """The spans in order, those that overlap or are ``gap`` apart at the most made one."""
    found: list[Span] = []
    for span in sorted(spans):
        if found and span.since <= found[-1].until + gap:
            found[-1] = Span(found[-1].since, max(found[-1].until, span.until))
        else:
            found.append(span)
    return found


def known_since(spans: Iterable[Span], until: Time, gap: Time = 2 * BEAT) -> Time | None:
    """Since when all was seen up to ``until``, without a pause; None: not even at the end."""
    for span in joined(spans, gap):
        if span.since <= until <= span.until + gap:
            return span.since
    return None
