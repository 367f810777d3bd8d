"""Who is told of each row of the audit: in order, none left out, also when they are away.

The audit itself is the queue.  A follower keeps in the store how far it has come, so a restart
loses nothing and nothing is kept twice; agents that share a store take turns.  What is told may be
told twice (an agent may die between telling and keeping), never not at all.

A follower that is away holds nobody up: it is tried again, at longer and longer intervals, and
``hoop doctor`` says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from hoopagent.logs import places
from hoopagent.store import AuditQuery, Follower, Store, StoreAway
from hoopcore.audit import Row
from hoopcore.model import SECOND, Time

log = structlog.get_logger()

LEASE = 20 * SECOND  # longer than one delivery takes; after it another agent takes over
PAGE = 200  # rows at once
_EVERY = 1.0
_LONGEST_PAUSE = 60.0


class NotNow(Exception):
    """It could not be told.  The text says why, without what was to be told or any secret."""

    def __init__(self, why: str, *, done: int = 0, never: bool = False) -> None:
        super().__init__(why)
        self.done = done  # rows that were told before that one
        self.never = never  # no later attempt is worth it


class Tells(Protocol):
    """Where rows go."""

    @property
    def name(self) -> str:
        """Under which its place is kept."""
        ...

    async def tell(self, rows: Sequence[Row]) -> int:
        """How many of the rows, from the first on, are done with; NotNow."""
        ...


@dataclass(slots=True)
class Following:
    """One follower of one agent.  ``oldest`` gives the time before which rows are given up."""

    store: Store
    tells: Tells
    holder: str  # this agent
    clock: Callable[[], Time]
    oldest: Callable[[Time], Time] = lambda _: 0
    lease: Time = LEASE
    _seen: int = -1  # the last row when nothing was left to tell
    _rests: bool = True

    async def run(self) -> None:
        """Until it is cancelled."""
        pause = _EVERY
        while True:
            await asyncio.sleep(pause)
            try:
                went_well = await self.step()
            except StoreAway:
                went_well = True  # the agent says so elsewhere
            except Exception as problem:  # noqa: BLE001 - the border: whom it tells is no part of us
                log.error(
                    "follower.failed",
                    name=self.tells.name,
                    problem=type(problem).__name__,
                    where=places(problem),
                )
                went_well = False
            if not went_well:
                pause = min(2 * max(pause, _EVERY), _LONGEST_PAUSE)
            else:
                pause = _EVERY if self._rests else 0

    async def step(self) -> bool:
        """Tells what there is to tell, up to a page; whether that went well."""
        self._rests = True
        last, _ = await self.store.audit_tail()
        if last == self._seen:
            return True
        now = self.clock()
        follower = await self.store.follow(self.tells.name, self.holder, now, now + self.lease)
        if follower is None:
            return True
        found = await self.store.audit_rows(AuditQuery(after=follower.seq), PAGE)
        follower, rows = await self._given_up(follower, found, now)
        if not rows:
            self._rests = not found
            self._seen = last if self._rests else self._seen
            return await self._kept(follower, "", now)
        self._rests = False
        try:
            done = await self.tells.tell(rows)
        except NotNow as problem:
            return await self._failed(follower, rows, problem, now)
        if done:
            follower = follower._replace(seq=rows[done - 1].seq)
        return await self._kept(follower, "", now)

    async def _given_up(
        self, follower: Follower, rows: Sequence[Row], now: Time
    ) -> tuple[Follower, Sequence[Row]]:
        oldest = self.oldest(now)
        late = [row for row in rows if row.event.at < oldest]
        if not late:
            return follower, rows
        log.error("follower.gave_up", name=self.tells.name, rows=len(late))
        moved = follower._replace(seq=late[-1].seq, lost=follower.lost + len(late))
        return moved, [row for row in rows if row.seq > moved.seq]

    async def _failed(
        self, follower: Follower, rows: Sequence[Row], problem: NotNow, now: Time
    ) -> bool:
        done = problem.done + problem.never
        if done:
            lost = follower.lost + problem.never
            follower = follower._replace(seq=rows[done - 1].seq, lost=lost)
        if not follower.problem:
            log.error("follower.waits", name=self.tells.name, why=str(problem))
        await self._kept(follower, str(problem), now)
        return problem.never  # the next one may fare better, at once

    async def _kept(self, follower: Follower, problem: str, now: Time) -> bool:
        since = 0 if not problem else follower.since or now
        kept = follower._replace(problem=problem, since=since)
        await self.store.followed(self.holder, kept)
        return True
