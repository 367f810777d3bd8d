"""The store's part about time: when grants hold, begin and end, and what is past its time.

A grant ends at ``not_after``, or earlier where its time began with a connection, or waits for one
(``Grant.ends``); what SQL asks is the same, so that nothing holds in one place and not in another.

Order of the file: when a grant holds, the questions, the sweep inside its transaction.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, case, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from hoopagent.store import rows
from hoopagent.store.audit import log
from hoopagent.store.database import Database
from hoopagent.store.tables import grants, requests
from hoopcore.access import ENDABLE
from hoopcore.model import SECOND, SYSTEM, AuditEvent, Grant, GrantState, RequestState, Time

# When a grant ends as things stand, as ``Grant.ends`` has it.
ends: ColumnElement[int] = case(
    (grants.c.lasts.is_(None), grants.c.not_after),
    (grants.c.started.is_(None), grants.c.not_after - grants.c.lasts * SECOND),
    else_=grants.c.started + grants.c.lasts * SECOND,
)

_HOLDING = (GrantState.ACTIVE.value, GrantState.SCHEDULED.value)


def live(at: Time) -> ColumnElement[bool]:
    """Grants that hold at that time, scheduled ones included."""
    return and_(live_or_later(at), grants.c.not_before <= at)


def live_or_later(at: Time) -> ColumnElement[bool]:
    """Grants that hold at that time, or will."""
    return and_(grants.c.state.in_(_HOLDING), ends > at)


def _begins(now: Time) -> ColumnElement[bool]:
    """Scheduled ones whose time has come; those that wait for a connection begin with one."""
    return and_(
        grants.c.state == GrantState.SCHEDULED.value,
        grants.c.not_before <= now,
        grants.c.lasts.is_(None),
    )


# --- the questions ------------------------------------------------------------------------------


class Clocks:
    _database: Database

    async def scheduled(self, now: Time) -> list[Grant]:
        async def work(connection: AsyncConnection) -> list[Grant]:
            found = await connection.execute(select(grants).where(_begins(now)))
            return [rows.grant(row) for row in found.mappings()]

        return await self._database.read(work)

    async def begin_grant(
        self, id: str, at: Time | None, lasts: int | None, audit: AuditEvent
    ) -> bool:
        waiting = and_(
            grants.c.id == id,
            grants.c.state == GrantState.SCHEDULED.value,
            grants.c.started.is_(None),
        )
        if at is not None:
            waiting = and_(waiting, grants.c.not_before <= at, ends > at)
        if lasts is not None:
            waiting = and_(waiting, grants.c.not_after >= (at or 0) + lasts * SECOND)
        values = {"state": GrantState.ACTIVE.value, "started": at, "lasts": lasts}

        async def work(connection: AsyncConnection) -> bool:
            begun = await connection.execute(update(grants).where(waiting).values(**values))
            if begun.rowcount == 1:
                await log(connection, audit)
            return begun.rowcount == 1

        return await self._database.write(work)

    async def expire(self, now: Time) -> tuple[list[str], list[str]]:
        due = or_(
            _begins(now),
            and_(grants.c.state.in_([s.value for s in ENDABLE]), ends <= now),
        )
        late = and_(requests.c.state == RequestState.PENDING.value, requests.c.expires <= now)

        async def anything(connection: AsyncConnection) -> bool:
            found = await connection.execute(
                select(
                    select(requests.c.id).where(late).exists()
                    | select(grants.c.id).where(due).exists()
                )
            )
            return bool(found.scalar_one())

        # Asked every second, mostly for nothing: a read disturbs no writer.
        if not await self._database.read(anything):
            return [], []
        return await self._database.write(lambda connection: _expire(connection, now))


# --- inside a transaction -------------------------------------------------------------------------


async def _expire(connection: AsyncConnection, now: Time) -> tuple[list[str], list[str]]:
    late = await connection.execute(
        update(requests)
        .where(requests.c.state == RequestState.PENDING.value, requests.c.expires <= now)
        .values(state=RequestState.EXPIRED.value)
        .returning(requests.c.id)
    )
    over = await connection.execute(
        update(grants)
        .where(
            grants.c.state.in_([state.value for state in ENDABLE]),
            ends <= now,
        )
        .values(
            state=GrantState.EXPIRED.value,
            ended_at=ends,
            ended_by=SYSTEM,
            ended_why=case(
                (and_(grants.c.lasts.is_not(None), grants.c.started.is_(None)), "nobody connected"),
                else_="its time was over",
            ),
        )
        .returning(grants.c.id)
    )
    begun = await connection.execute(
        update(grants)
        .where(_begins(now))
        .values(state=GrantState.ACTIVE.value)
        .returning(grants.c.id)
    )
    requests_late = sorted(late.scalars())
    grants_over = sorted(over.scalars())
    events = [AuditEvent(now, SYSTEM, "request.expired", id) for id in requests_late]
    events += [AuditEvent(now, SYSTEM, "grant.expired", id) for id in grants_over]
    events += [AuditEvent(now, SYSTEM, "grant.started", id) for id in sorted(begun.scalars())]
    await log(connection, *events)
    return requests_late, grants_over
