"""Small reviews at the right moment: a grant that nobody uses, a ticket that is closed.

Being due changes nothing about a grant: it is told, once, on the audit and to who is notified, and
stands with the grant until somebody has looked at it.  Of no use is told only where that is known.

Order of the file: what is due, tickets, idle grants.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from hoopagent.errors import Refused
from hoopagent.logs import places
from hoopagent.means import Means, View
from hoopagent.review_evidence import KEPT_FOR, evidence_of, look
from hoopagent.store import StoreAway
from hoopcore.access import capacity
from hoopcore.model import SYSTEM, Grant, Principal, Session, Time, rfc3339
from hoopcore.review import IDLE
from hoopcore.usage import DAY, Use

log = structlog.get_logger()

TICKET, UNUSED = "review.ticket", "review.unused"

WHY = {
    TICKET: "its ticket is closed",
    UNUSED: "it was not used for 60 days",
}

EVERY = 3600
"""Seconds between two looks for grants that nobody uses."""


async def due(means: Means, ids: Sequence[str], now: Time) -> dict[str, list[str]]:
    """By grant, why somebody should look at it; those that were kept lately are left out."""
    told = await means.store.reminded(ids, sorted(WHY)) if ids else {}
    if not told:
        return {}
    answers = await means.store.last_answers(sorted(told))
    kept = {id for id, one in answers.items() if now - one.at < KEPT_FOR * DAY}
    return {id: [WHY[one] for one in events] for id, events in told.items() if id not in kept}


@dataclass(frozen=True, slots=True)
class Dues:
    """``read`` reads a session's recording; whatever it raises means that it cannot be read."""

    means: Means
    read: Callable[[Session], Use]

    # --- tickets ----------------------------------------------------------------------------------

    async def ticket_closed(self, who: Principal, ticket: str) -> list[View]:
        """The live grants of that ticket which this principal may speak of; their own, too."""
        now, store = await self.means.now(), self.means.store
        live = await store.grants(live_at=now, later=True, limit=None)
        asked = await store.requests(
            ids=sorted({one.request for one in live}), limit=max(len(live), 1)
        )
        of_it = {one.id: one for one in asked if one.ticket == ticket}
        found = []
        for grant in live:
            request = of_it.get(grant.request)
            if request is None:
                continue
            target, administers = self.means.target(grant.target), self.means.administers(who)
            as_what = capacity(who, target, request.rule, administers)
            if grant.principal != who.id and as_what is None:
                continue
            await self._remind(grant, TICKET, now, by=who.id, ticket=ticket)
            found.append({"grant": grant.id, "target": grant.target, "ends": rfc3339(grant.ends)})
        if not found:
            words = f'there is no live grant for ticket "{ticket}" that you may speak of'
            raise Refused(404, "no_ticket", words, "hoop grants --all")
        return found

    async def _remind(
        self, grant: Grant, event: str, now: Time, *, by: str, **more: object
    ) -> None:
        told = self.means.event(
            now, by, "review.due", grant.id, grant=grant.id, target=grant.target,
            principal=grant.principal, why=WHY[event], **more,
        )  # fmt: skip
        await self.means.store.remind(grant.id, event, told)

    # --- idle grants ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Once an hour, until it is cancelled; recordings are read, so it is by itself."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.look(await self.means.now())
            except StoreAway:
                log.warning("store.away")
            except Exception as problem:  # noqa: BLE001 - the border: the next hour tries again
                log.error("due.failed", problem=type(problem).__name__, where=places(problem))

    async def look(self, now: Time) -> None:
        """Tells of each grant that was not used for long, where that is known."""
        store = self.means.store
        live = await store.grants(live_at=now, limit=None)
        old: dict[str, list[Grant]] = {}
        for grant in live:
            if now - grant.not_before >= IDLE:
                old.setdefault(grant.principal, []).append(grant)
        for id, grants in old.items():
            subject = await store.principal(id)
            if subject is None:
                continue
            looked = await look(self.means, self.read, subject, grants, now)
            for grant in grants:
                found = evidence_of(self.means, looked, grant)
                last = found.history.last
                idle = now - (grant.not_before if last is None else last) >= IDLE
                if idle and found.view["window"]["known"]:
                    await self._remind(grant, UNUSED, now, by=SYSTEM)
