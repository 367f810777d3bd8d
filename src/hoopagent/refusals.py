"""Sign-ins that failed, for the audit: each kind at once, and then counted.

Whoever can reach a door can fail there as often as they like, so a row each would be a way to fill
the store.  The first of a kind is written when it happens; those that follow within a minute are
one row that says how many.  What differs is the door, why, who it was meant to be, and from where.

``note`` is for callbacks that cannot wait; ``write`` follows, at the latest a second later.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from hoopagent.store import Store
from hoopcore.model import SECOND, SYSTEM, AuditEvent, Time, is_id

log = structlog.get_logger()

MINUTE = 60 * SECOND
MOST = 60  # kinds within a minute; the rest of them is one kind of its own
LONGEST = 200  # characters of a text that came from outside

Kind = tuple[str, str, str, str]


@dataclass(slots=True)
class _Seen:
    count: int = 0
    written: Time | None = None


class Refusals:
    def __init__(self, store: Store, clock: Callable[[], Awaitable[Time]]) -> None:
        self._store = store
        self._clock = clock
        self._seen: dict[Kind, _Seen] = {}

    def note(self, door: str, why: str, *, who: str = "", peer: str = "") -> None:
        """Somebody was not let in: at which door, why, as whom, and where they came from."""
        kind = (door, why[:LONGEST], who if is_id(who) else "", peer[:LONGEST])
        if kind not in self._seen and len(self._seen) >= MOST:
            kind = (door, "of many kinds", "", "")
        self._seen.setdefault(kind, _Seen()).count += 1

    async def write(self) -> None:
        """Writes what has not been written; StoreAway keeps it for the next time."""
        if not self._seen:
            return
        now = await self._clock()
        for kind, seen in list(self._seen.items()):
            if seen.written is not None and 0 <= now - seen.written < MINUTE:
                continue
            if not seen.count:
                self._seen.pop(kind, None)
                continue
            count, seen.count, seen.written = seen.count, 0, now
            try:
                await self._store.audit(_event(kind, count, now))
            except BaseException:
                seen.count, seen.written = seen.count + count, None
                raise


def _event(kind: Kind, count: int, now: Time) -> AuditEvent:
    door, why, who, peer = kind
    detail = {"door": door, "why": why, "peer": peer, "times": str(count)}
    log.info("sign-in.refused", principal=who, **detail)
    return AuditEvent(now, SYSTEM, "sign-in.refused", who, detail)
