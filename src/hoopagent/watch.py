"""The watch: a session ends when nothing carries it any more.

Grants end, are revoked or given back, and sign-ins run out; a session rests on all of them.  Once a
second the store is asked what carries each open session now.  A store that is slow, or away, never
makes an access longer than what was known when it last answered.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import structlog

from hoopagent.background import Background
from hoopagent.clock import Clock
from hoopagent.live import FAILED, Live
from hoopagent.relay import places
from hoopagent.store import Store, StoreAway
from hoopcore.access import Access, access, holds
from hoopcore.model import SECOND, SYSTEM, Grant, Target, rfc3339
from hoopcore.recording import EndCause

log = structlog.get_logger()

# A store that is slow to answer delays the end of an access by this much, and no more.
_OVERDUE = 3 * SECOND
_MOST_ROLES = 10_000

_ENDINGS = {
    "revoked": EndCause.GRANT_REVOKED,
    "relinquished": EndCause.GRANT_RELINQUISHED,
}


class Watch:
    """Looks after all open sessions of this agent."""

    def __init__(
        self, store: Store, clock: Clock, open_sessions: dict[str, Live], background: Background
    ) -> None:
        self._store = store
        self._clock = clock
        self._open = open_sessions
        self._background = background
        self._roles: dict[str, str] = {}  # by grant; what a grant gives never changes

    async def opening(self, principal: str, target: Target) -> tuple[Access, str] | None:
        """What a session may do that opens there now, and as which database role.

        Grants of different roles do not add up: a session has one role, that of the grant which
        began last, and rests on the grants of that role.  StoreAway where nobody can say.
        """
        now = self._clock.late()
        grants = await self._store.grants(principal=principal, target=target.name, live_at=now)
        live = [grant for grant in grants if holds(grant, target, now)]
        if not live:
            return None
        role = await self._role(max(live, key=lambda grant: (grant.not_before, grant.id)))
        found = await self.access(principal, target, role)
        return None if found is None else (found, role)

    async def access(self, principal: str, target: Target, role: str = "") -> Access | None:
        """What this principal's grants of that role allow there now; StoreAway."""
        now = self._clock.late()
        grants = await self._store.grants(principal=principal, target=target.name, live_at=now)
        until = await self._store.identity_until(principal)
        mine = [grant for grant in grants if await self._role(grant) == role]
        return access(mine, principal, target, now, until)

    async def _role(self, grant: Grant) -> str:
        """The database role of the rule under which the grant was asked for."""
        role = self._roles.get(grant.id)
        if role is None:
            request = await self._store.request(grant.request)
            if request is None:
                raise StoreAway("a grant without its request")
            if len(self._roles) > _MOST_ROLES:
                self._roles.clear()
            role = self._roles[grant.id] = request.rule.database_role
        return role

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
