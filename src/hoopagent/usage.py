"""What somebody did with their access: of sessions that are counted, and of those that are not yet.

The store has what came of each recording once its session has ended (``index.py`` reads it).  One
that still runs, or has just ended, is read here; one that cannot be read is told as unseen, and
then nothing is called unused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import structlog

from hoopagent.store import Counted, Store
from hoopcore.masking import Masking
from hoopcore.masks_file import Mask
from hoopcore.model import UNMASK, Atom, Session, Time
from hoopcore.usage import DAY, Use
from hoopcore.usage.lattice import Reaches

log = structlog.get_logger()

WINDOW = 90
"""Days that evidence goes back."""

# Recordings that are read because somebody asks; more are told as unseen until they are counted.
_MOST_READ = 100


@dataclass(slots=True)
class Uses:
    """Sessions of one principal on one target, within the window; the first first."""

    sessions: list[Session] = field(default_factory=list)
    use: dict[str, Use] = field(default_factory=dict)  # by session

    def of(self, grants: Iterable[str]) -> Uses:
        """Those that rested on one of these."""
        wanted = set(grants)
        mine = [one for one in self.sessions if not wanted.isdisjoint(one.grants)]
        return Uses(mine, {one.id: self.use[one.id] for one in mine if one.id in self.use})

    @property
    def pairs(self) -> list[tuple[str, Use]]:
        return [(one.id, self.use[one.id]) for one in self.sessions if one.id in self.use]

    @property
    def unseen(self) -> int:
        """Sessions of which something is missing: a damaged recording ends before its session."""
        return sum(self._lacks(one) for one in self.sessions)

    @property
    def covers_until(self) -> Time | None:
        """Until when all is counted; None: all of it is."""
        return min((one.started for one in self.sessions if self._lacks(one)), default=None)

    def _lacks(self, session: Session) -> bool:
        use = self.use.get(session.id)
        return use is None or use.statements < session.statements


async def uses_of(
    store: Store, read: Callable[[Session], Use], principal: str, since: Time
) -> dict[str, Uses]:
    """By target.  ``read`` reads a recording; whatever it raises means that it cannot be read."""
    found: dict[str, Uses] = {}
    budget = _MOST_READ
    for target, counted in (await store.uses(principal, since)).items():
        uses = found[target] = Uses([one.session for one in counted])
        for one in reversed(counted):
            use = one.use
            if use is None and budget:
                budget -= 1
                use = await _read(read, one)
            if use is not None:
                uses.use[one.session.id] = use
    return found


async def _read(read: Callable[[Session], Use], one: Counted) -> Use | None:
    try:
        return await asyncio.to_thread(read, one.session)
    except Exception as problem:  # noqa: BLE001 - one damaged recording must not hide the others
        log.warning("review.unseen", session=one.session.id, problem=type(problem).__name__)
        return None


def window(now: Time) -> tuple[Time, int]:
    """Where the window begins, and the day (counted from 1970) that it begins with."""
    day = now // DAY - (WINDOW - 1)
    return day * DAY, day


# --- what is sensitive --------------------------------------------------------------------------


def reaches(masks: str) -> Reaches:
    """Which masked columns an atom reaches, as masks.toml declares them.

    A pattern of tables, and an atom for all of them, reach what no single table does: nobody knows
    which tables there are.
    """
    declared = Masking.load(masks).masks

    def reached(atom: Atom) -> frozenset[str]:
        if atom.verb == UNMASK:
            return frozenset()
        return frozenset(
            f"{mask.column} of {atom.table if not _is_plain(mask) else ''}"
            for mask in declared
            if atom.schema == "*" or mask.schema.fullmatch(atom.schema)
            if atom.table == "*" or mask.table.fullmatch(atom.table)
        )

    return reached


def _is_plain(mask: Mask) -> bool:
    """Whether it names one table, by no pattern."""
    return "*" not in mask.column and "?" not in mask.column
