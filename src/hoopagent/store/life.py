"""The store's part about access: requests, votes, grants, and what each change leaves behind.

A change is one UPDATE that names the state it starts from.  Its audit rows are written in the
same transaction, so neither is ever there without the other.

A transaction takes the row of the request first, then votes, then grants: nobody waits in a ring.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hoopagent.store import HasLeft, Settle, rows
from hoopagent.store.audit import log
from hoopagent.store.clocks import ends, live, live_or_later
from hoopagent.store.database import Database
from hoopagent.store.tables import decisions, grants, principals, requests, votes
from hoopcore.access import ENDABLE, GRANT_MOVES, REQUEST_MOVES
from hoopcore.model import (
    AuditEvent,
    Decision,
    Grant,
    GrantState,
    Request,
    RequestState,
    Time,
    Vote,
)


class Life:
    _database: Database

    # --- requests

    async def add_request(
        self, request: Request, audit: AuditEvent, settle: Settle | None = None
    ) -> Request:
        async def work(connection: AsyncConnection) -> Request:
            if request.held is None:
                await check_stays(connection, request.requester)
            await connection.execute(insert(requests).values(**rows.request_values(request)))
            told = await _settle(connection, request.id, settle) if settle is not None else ()
            await log(connection, audit, *told)
            return await _request(connection, request.id)

        try:
            return await self._database.write(work)
        except IntegrityError as problem:
            if request.key:
                earlier = await self.request_with_key(request.requester, request.key)
                if earlier is not None:
                    return earlier
            raise ValueError(f"request {request.id} does not fit what is stored") from problem

    async def request(self, id: str) -> Request | None:
        found = await self.requests(ids=[id], limit=1)
        return found[0] if found else None

    async def request_with_key(self, requester: str, key: str) -> Request | None:
        async def work(connection: AsyncConnection) -> Request | None:
            found = await connection.execute(
                select(requests).where(requests.c.requester == requester, requests.c.key == key)
            )
            row = found.mappings().one_or_none()
            return rows.request(row) if row is not None else None

        return await self._database.read(work)

    async def requests(
        self,
        *,
        requester: str | None = None,
        state: RequestState | None = None,
        target: str | None = None,
        ids: Sequence[str] | None = None,
        limit: int = 200,
    ) -> list[Request]:
        question = select(requests).order_by(requests.c.created.desc(), requests.c.id).limit(limit)
        if requester is not None:
            question = question.where(requests.c.requester == requester)
        if state is not None:
            question = question.where(requests.c.state == state.value)
        if target is not None:
            question = question.where(requests.c.target == target)
        if ids is not None:
            question = question.where(requests.c.id.in_(set(ids)))

        async def work(connection: AsyncConnection) -> list[Request]:
            found = await connection.execute(question)
            return [rows.request(row) for row in found.mappings()]

        return await self._database.read(work)

    async def move_request(
        self, id: str, old: RequestState, new: RequestState, audit: AuditEvent
    ) -> bool:
        if new not in REQUEST_MOVES[old] or new is RequestState.FULFILLED:
            raise ValueError(f"a request that is {old} cannot become {new} by itself")

        async def work(connection: AsyncConnection) -> bool:
            moved = await _move_request(connection, id, old, new)
            if moved:
                await log(connection, audit)
            return moved

        return await self._database.write(work)

    # --- votes

    async def add_vote(self, vote: Vote, audit: AuditEvent, settle: Settle | None = None) -> bool:
        async def work(connection: AsyncConnection) -> bool:
            # Changes nothing but takes the row: voters on one request stand in line here.
            pending = await connection.execute(
                update(requests)
                .where(
                    requests.c.id == vote.request,
                    requests.c.state == RequestState.PENDING.value,
                    requests.c.expires > vote.at,
                )
                .values(state=RequestState.PENDING.value)
            )
            if pending.rowcount != 1:
                return False
            await connection.execute(insert(votes).values(**rows.vote_values(vote)))
            told = await _settle(connection, vote.request, settle) if settle is not None else ()
            await log(connection, audit, *told)
            return True

        try:
            return await self._database.write(work)
        except IntegrityError:
            return False

    async def votes(self, request: str) -> list[Vote]:
        return (await self.votes_on([request])).get(request, [])

    async def votes_on(self, requests: Sequence[str]) -> dict[str, list[Vote]]:
        async def work(connection: AsyncConnection) -> dict[str, list[Vote]]:
            gathered: dict[str, list[Vote]] = {}
            for vote in await _votes(connection, requests):
                gathered.setdefault(vote.request, []).append(vote)
            return gathered

        return await self._database.read(work) if requests else {}

    # --- grants

    async def fulfil(
        self, request: str, old: RequestState, grant: Grant, audit: AuditEvent
    ) -> bool:
        if old not in (RequestState.PENDING, RequestState.APPROVED):
            raise ValueError(f"a request that is {old} cannot be fulfilled")

        async def work(connection: AsyncConnection) -> bool:
            won = await _fulfil(connection, request, old, grant)
            if won:
                await log(connection, audit)
            return won

        try:
            return await self._database.write(work)
        except IntegrityError:
            return False

    async def grant(self, id: str) -> Grant | None:
        async def work(connection: AsyncConnection) -> Grant | None:
            found = await connection.execute(select(grants).where(grants.c.id == id))
            row = found.mappings().one_or_none()
            return rows.grant(row) if row is not None else None

        return await self._database.read(work)

    async def grants(
        self,
        *,
        principal: str | None = None,
        target: str | None = None,
        live_at: Time | None = None,
        later: bool = False,
        requests: Sequence[str] | None = None,
        limit: int | None = 500,
    ) -> list[Grant]:
        question = select(grants).order_by(ends.desc(), grants.c.id).limit(limit)
        if principal is not None:
            question = question.where(grants.c.principal == principal)
        if target is not None:
            question = question.where(grants.c.target == target)
        if requests is not None:
            question = question.where(grants.c.request.in_(set(requests)))
        if live_at is not None:
            question = question.where(live_or_later(live_at) if later else live(live_at))

        async def work(connection: AsyncConnection) -> list[Grant]:
            found = await connection.execute(question)
            return [rows.grant(row) for row in found.mappings()]

        return await self._database.read(work)

    async def move_grant(
        self, id: str, old: GrantState, new: GrantState, audit: AuditEvent
    ) -> bool:
        if new not in GRANT_MOVES[old] or new not in ENDABLE:
            raise ValueError(f"a grant that is {old} cannot become {new} without ending")

        async def work(connection: AsyncConnection) -> bool:
            moved = await connection.execute(
                update(grants)
                .where(grants.c.id == id, grants.c.state == old.value)
                .values(state=new.value)
            )
            if moved.rowcount == 1:
                await log(connection, audit)
            return moved.rowcount == 1

        return await self._database.write(work)

    async def end_grant(
        self,
        id: str,
        state: GrantState,
        by: str,
        why: str,
        at: Time,
        audit: AuditEvent,
        decision: Decision | None = None,
    ) -> bool:
        if state in ENDABLE:
            raise ValueError(f"{state} is no end of a grant")
        endable = and_(grants.c.id == id, grants.c.state.in_([old.value for old in ENDABLE]))
        if state is not GrantState.EXPIRED:
            endable = and_(endable, ends > at)
        values = {
            "state": state.value,
            "ended_at": at,
            "ended_by": by,
            "ended_why": rows.plain(why),
        }

        async def work(connection: AsyncConnection) -> bool:
            ended = await connection.execute(update(grants).where(endable).values(**values))
            if ended.rowcount == 1:
                if decision is not None:
                    await connection.execute(
                        insert(decisions).values(**rows.decision_values(decision))
                    )
                await log(connection, audit)
            return ended.rowcount == 1

        return await self._database.write(work)


# --- inside a transaction -------------------------------------------------------------------------


async def check_stays(connection: AsyncConnection, principal: str) -> None:
    """HasLeft where somebody has left; where not, nobody can before this transaction is over."""
    found = await connection.execute(
        select(principals.c.left_at).where(principals.c.id == principal).with_for_update(read=True)
    )
    if found.scalar_one_or_none() is not None:
        raise HasLeft(f"{principal} has left")


async def _request(connection: AsyncConnection, id: str) -> Request:
    found = await connection.execute(select(requests).where(requests.c.id == id))
    return rows.request(found.mappings().one())


async def _votes(connection: AsyncConnection, ids: Sequence[str]) -> list[Vote]:
    found = await connection.execute(
        select(votes).where(votes.c.request.in_(set(ids))).order_by(votes.c.at, votes.c.id)
    )
    return [rows.vote(row) for row in found.mappings()]


async def _move_request(
    connection: AsyncConnection, id: str, old: RequestState, new: RequestState
) -> bool:
    moved = await connection.execute(
        update(requests)
        .where(requests.c.id == id, requests.c.state == old.value)
        .values(state=new.value)
    )
    return moved.rowcount == 1


async def _fulfil(
    connection: AsyncConnection, request: str, old: RequestState, grant: Grant
) -> bool:
    if grant.request != request:
        raise ValueError(f"grant {grant.id} is not of request {request}")
    won = await _move_request(connection, request, old, RequestState.FULFILLED)
    if won:
        await connection.execute(insert(grants).values(**rows.grant_values(grant)))
    return won


async def _settle(connection: AsyncConnection, id: str, settle: Settle) -> tuple[AuditEvent, ...]:
    """Does what follows, and gives what is to be told of it.

    The caller holds the row, so nothing changes between look and leap.
    """
    settled = settle(await _request(connection, id), await _votes(connection, [id]))
    if settled.state is RequestState.PENDING:
        return ()
    if settled.grant is not None:
        done = await _fulfil(connection, id, RequestState.PENDING, settled.grant)
    else:
        done = await _move_request(connection, id, RequestState.PENDING, settled.state)
    return settled.audit if done else ()
