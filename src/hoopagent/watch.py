"""The watch: a session ends when nothing carries it any more.

Grants end, are revoked or given back, and sign-ins run out; a session rests on all of them.  Once a
second the store is asked what carries each open session now.  A store that is slow, or away, never
makes an access longer than what was known when it last answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Generic, NamedTuple, Protocol, TypeVar

import structlog

from hoopagent.background import Background
from hoopagent.beginning import begin_waiting
from hoopagent.clock import Clock
from hoopagent.ending_soon import Seen, last_of, mark_passed, words
from hoopagent.judge import Judge
from hoopagent.live import FAILED, Prepared
from hoopagent.logs import places
from hoopagent.means import Means
from hoopagent.store import AuditQuery, Standing, StoreAway, Terms
from hoopcore.access import Access, access, holds
from hoopcore.model import (
    NOTHING,
    SECOND,
    SYSTEM,
    Grant,
    GrantState,
    Principal,
    Priority,
    Session,
    Target,
    Time,
    rfc3339,
)
from hoopcore.recording import EndCause

log = structlog.get_logger()

# A store that is slow to answer delays the end of an access by this much, and no more.
_OVERDUE = 3 * SECOND
_MOST_TERMS = 10_000

_ENDINGS = {
    "revoked": EndCause.GRANT_REVOKED,
    "relinquished": EndCause.GRANT_RELINQUISHED,
    "suspended": EndCause.GRANT_SUSPENDED,
}


class Opening(NamedTuple):
    """What a session may open with."""

    principal: Principal  # as known now
    access: Access
    role: str  # the database role; empty: the credential's own
    priorities: frozenset[Priority]  # of the requests behind its grants
    changes: int | None  # of the store, as they were before it was asked


class Watched(Protocol):
    """What is to be known of an open session, whatever its protocol."""

    record: Session
    prepared: Prepared
    judge: Judge
    access: Access

    def end(
        self, code: str, text: str, cause: EndCause, by: str = SYSTEM, why: str = ""
    ) -> None: ...

    def say_soon(self, text: str, hint: str = "") -> None: ...


Live = TypeVar("Live", bound=Watched)


def _nobody(_: Watched) -> None:
    """Nobody is told."""


class Watch(Generic[Live]):
    """Looks after all open sessions of this agent."""

    def __init__(
        self,
        means: Means,
        clock: Clock,
        open_sessions: dict[str, Live],
        background: Background,
    ) -> None:
        self._means = means
        self._store = means.store
        self._clock = clock
        self._open = open_sessions
        self._background = background
        self._terms: dict[str, Terms] = {}  # by grant; they never change
        self.masks_changed: Callable[[Live], None] = _nobody  # other ones are shown in clear
        self._seen: dict[str, Seen] = {}  # by session: how its end looked last

    async def opening(self, principal: str, target: Target) -> Opening | None:
        """What a session may do that opens there now, and as which database role.

        Grants of different roles do not add up: a session has one role, that of the grant which
        began last, and rests on the grants of that role.  StoreAway where nobody can say.  Grants
        that wait for a connection begin with this one.
        """
        changes = self._store.changes
        now = self._clock.late()
        standing = await self._store.standing(principal, target.name, now, who=True)
        live = [grant for grant in standing.grants if holds(grant, target, now)]
        if standing.principal is None or not live:
            return None
        terms = await self._terms_of(standing.grants)
        role = terms[max(live, key=lambda grant: (grant.not_before, grant.id)).id].role
        mine = [grant for grant in live if terms[grant.id].role == role]
        if await begin_waiting(self._means, mine, target, now):
            changes = self._store.changes
            standing = await self._store.standing(principal, target.name, now, who=True)
        found = await self._access(standing, principal, target, role, now)
        if found is None or standing.principal is None:
            return None
        priorities = frozenset(terms[id].priority for id in found.grants)
        return Opening(standing.principal, found, role, priorities, changes)

    async def _going_on(self, live: Live) -> Access | None:
        """What an open session's grants allow now; what waits for a connection has found one."""
        who, target, role = live.record.principal, live.prepared.target, live.prepared.granted_role
        now = self._clock.late()
        standing = await self._store.standing(who, target.name, now)
        terms = await self._terms_of(standing.grants)
        mine = [grant for grant in standing.grants if terms[grant.id].role == role]
        if await begin_waiting(self._means, mine, target, now):
            standing = await self._store.standing(who, target.name, now)
        found = await self._access(standing, who, target, role, now)
        if found is not None:
            self._warn(live, standing.grants, found, now)
        return found

    def _warn(self, live: Live, grants: list[Grant], found: Access, now: Time) -> None:
        """Tells the client of an end that comes near."""
        seen = Seen(found.until, found.until - now)
        before, self._seen[live.record.id] = self._seen.get(live.record.id), seen
        if mark_passed(before, seen) is not None:
            target = live.prepared.target
            last = last_of(grants, found, target)
            live.say_soon(*words(target.name, seen.until, seen.left, last))

    async def _access(
        self, standing: Standing, principal: str, target: Target, role: str, now: Time
    ) -> Access | None:
        terms = await self._terms_of(standing.grants)
        mine = [grant for grant in standing.grants if terms[grant.id].role == role]
        found = access(mine, principal, target, now, standing.until)
        if found is not None and not self._means.soft_for(target.name):
            found = replace(found, soft=NOTHING)
        return found

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
        self._seen = {id: seen for id, seen in self._seen.items() if id in self._open}
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
            found = await self._going_on(live)
        except StoreAway:
            # It goes on to the end it already knows, and not beyond.
            found = previous if self._clock.late() < previous.again else None
            answered = False
        if found is None:
            await self._end_bereft(live, previous)
        else:
            live.access = found
            if (found.scope.unmasks, found.masked) != (previous.scope.unmasks, previous.masked):
                self.masks_changed(live)
            facts = live.judge.facts
            now = (found.scope, found.soft, found.rows)
            if now != (facts.scope, facts.soft, facts.rows):
                live.judge.facts = replace(
                    facts, scope=found.scope, soft=found.soft, rows=found.rows
                )
        return answered

    async def _end_bereft(self, live: Live, previous: Access) -> None:
        cause, by, why = await self._why_ended(live, previous)
        target = live.prepared.target.name
        text = f'your access to "{target}" has ended: {why or cause.value}'
        live.end("57P01", text, cause, by, why)

    async def _why_ended(self, live: Live, previous: Access) -> tuple[EndCause, str, str]:
        """Which way it was, and whose doing."""
        now = self._clock.late()
        try:
            for id in previous.grants:
                grant = await self._store.grant(id)
                if grant is None or grant.state.value not in _ENDINGS:
                    continue
                by, why = grant.ended_by, grant.ended_why
                if grant.state is GrantState.SUSPENDED:
                    by, why = await self._why_suspended(id)
                return _ENDINGS[grant.state.value], by, why
            if await self._store.identity_until(live.record.principal) <= now:
                return EndCause.IDENTITY_ENDED, SYSTEM, "the sign-in has ended; hoop login"
        except StoreAway:
            pass
        return EndCause.GRANT_ENDED, SYSTEM, f"the grant ended at {rfc3339(previous.until)}"

    async def _why_suspended(self, grant: str) -> tuple[str, str]:
        """By whom, and why, as the audit has it: a grant that may go on has no end to tell of."""
        query = AuditQuery(about=[grant], action="grant.suspended", newest=True)
        rows = await self._store.audit_rows(query, 1)
        if not rows:
            return SYSTEM, "it is suspended"
        event = rows[0].event
        return event.actor, f"it is suspended: {event.detail.get('reason', '')}"
