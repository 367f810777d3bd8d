"""The watch: a session ends when nothing carries it any more.

Grants end, are revoked or given back, and sign-ins run out; a session rests on all of them.  Once a
second the store is asked what carries each open session now.  A store that is slow, or away, never
makes an access longer than what was known when it last answered.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import NamedTuple

import structlog

from hoopagent.background import Background
from hoopagent.clock import Clock
from hoopagent.live import FAILED, Live
from hoopagent.logs import places
from hoopagent.store import Standing, Store, StoreAway, Terms
from hoopcore.access import Access, access, holds
from hoopcore.model import SECOND, SYSTEM, Grant, Principal, Priority, Target, Time, rfc3339
from hoopcore.recording import EndCause

log = structlog.get_logger()

# A store that is slow to answer delays the end of an access by this much, and no more.
_OVERDUE = 3 * SECOND
_MOST_TERMS = 10_000

_ENDINGS = {
    "revoked": EndCause.GRANT_REVOKED,
    "relinquished": EndCause.GRANT_RELINQUISHED,
}


class Opening(NamedTuple):
    """What a session may open with."""

    principal: Principal  # as known now
    access: Access
    role: str  # the database role; empty: the credential's own
    priorities: frozenset[Priority]  # of the requests behind its grants
    changes: int | None  # of the store, as they were before it was asked


class Watch:
    """Looks after all open sessions of this agent."""

    def __init__(
        self, store: Store, clock: Clock, open_sessions: dict[str, Live], background: Background
    ) -> None:
        self._store = store
        self._clock = clock
        self._open = open_sessions
        self._background = background
        self._terms: dict[str, Terms] = {}  # by grant; they never change

    async def opening(self, principal: str, target: Target) -> Opening | None:
        """What a session may do that opens there now, and as which database role.

        Grants of different roles do not add up: a session has one role, that of the grant which
        began last, and rests on the grants of that role.  StoreAway where nobody can say.
        """
        changes = self._store.changes
        now = self._clock.late()
        standing = await self._store.standing(principal, target.name, now, who=True)
        live = [grant for grant in standing.grants if holds(grant, target, now)]
        if standing.principal is None or not live:
            return None
        terms = await self._terms_of(standing.grants)
        role = terms[max(live, key=lambda grant: (grant.not_before, grant.id)).id].role
        found = await self._access(standing, principal, target, role, now)
        if found is None:
            return None
        priorities = frozenset(terms[id].priority for id in found.grants)
        return Opening(standing.principal, found, role, priorities, changes)

    async def access(self, principal: str, target: Target, role: str = "") -> Access | None:
        """What this principal's grants of that role allow there now; StoreAway."""
        now = self._clock.late()
        standing = await self._store.standing(principal, target.name, now)
        return await self._access(standing, principal, target, role, now)

    async def _access(
        self, standing: Standing, principal: str, target: Target, role: str, now: Time
    ) -> Access | None:
        terms = await self._terms_of(standing.grants)
        mine = [grant for grant in standing.grants if terms[grant.id].role == role]
        return access(mine, principal, target, now, standing.until)

    async def _terms_of(self, grants: list[Grant]) -> dict[str, Terms]:
        """What each grant was asked for under, and perhaps others'."""
        unknown = [grant.id for grant in grants if grant.id not in self._terms]
        if unknown:
            found = await self._store.terms(unknown)
            if not found.keys() >= set(unknown):
                raise StoreAway("a grant without its request")
            if len(self._terms) > _MOST_TERMS:
                self._terms = {
                    one.id: self._terms[one.id] for one in grants if one.id in self._terms
                }
            self._terms |= found
        return self._terms

    def stands(self, changes: int | None) -> bool:
        """Whether what was seen at that number of changes is so still, without another look."""
        return changes is not None and changes == self._store.changes

    async def run(self) -> None:
        """Once a second: what nothing carries any more ends.  Runs until it is cancelled.

        The store may take its time; what is past its time by what is known here ends without it.
        """
        looking: asyncio.Task[None] | None = None
        while True:
            await asyncio.sleep(1)
            if looking is None or looking.done():
                looking = self._background.apart(self.look())
            self.end_overdue()

    def end_overdue(self) -> None:
        """Ends each session whose access was over a while ago, and nobody could look again."""
        now = self._clock.late()
        for live in list(self._open.values()):
            if now >= live.access.again + _OVERDUE:
                why = f"the grant ended at {rfc3339(live.access.again)}, and nothing newer is known"
                text = f'your access to "{live.prepared.target.name}" has ended: {why}'
                live.end("57P01", text, EndCause.GRANT_ENDED, SYSTEM, why)

    async def look(self) -> None:
        """One look at all sessions, for as long as the store answers."""
        for live in list(self._open.values()):
            if not await self.look_again(live):
                return

    async def look_again(self, live: Live) -> bool:
        """Goes on, with what the grants allow now, or ends; whether the store answered."""
        try:
            return await self._look(live)
        except Exception as problem:  # noqa: BLE001 - the border: who cannot be watched may not stay
            log.error("look.failed", problem=type(problem).__name__, where=places(problem))
            live.end("XX000", FAILED, EndCause.INTERNAL_ERROR)
            return True

    async def _look(self, live: Live) -> bool:
        previous = live.access
        answered = True
        found: Access | None
        try:
            found = await self.access(
                live.record.principal, live.prepared.target, live.prepared.granted_role
            )
        except StoreAway:
            # It goes on to the end it already knows, and not beyond.
            found = previous if self._clock.late() < previous.again else None
            answered = False
        if found is None:
            await self._end_bereft(live, previous)
        else:
            live.access = found
            if found.scope != live.judge.facts.scope:
                live.judge.facts = replace(live.judge.facts, scope=found.scope)
        return answered

    async def _end_bereft(self, live: Live, previous: Access) -> None:
        cause, by, why = await self._why_ended(live, previous)
        target = live.prepared.target.name
        text = f'your access to "{target}" has ended: {why or cause.value}'
        live.end("57P01", text, cause, by, why)

    async def _why_ended(self, live: Live, previous: Access) -> tuple[EndCause, str, str]:
        """Which of the three ways it was, and whose doing."""
        now = self._clock.late()
        try:
            if await self._store.identity_until(live.record.principal) <= now:
                return EndCause.IDENTITY_ENDED, SYSTEM, "the sign-in has ended; hoop login"
            for id in previous.grants:
                grant = await self._store.grant(id)
                if grant is not None and grant.state.value in _ENDINGS and grant.ended_by != SYSTEM:
                    return _ENDINGS[grant.state.value], grant.ended_by, grant.ended_why
        except StoreAway:
            pass
        return EndCause.GRANT_ENDED, SYSTEM, f"the grant ended at {rfc3339(previous.until)}"
