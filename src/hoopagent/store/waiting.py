"""The store's part about held statements, beside what ``life`` does for every request."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import and_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hoopagent.store import Taught, rows
from hoopagent.store.audit import log
from hoopagent.store.clocks import ends
from hoopagent.store.database import Database
from hoopagent.store.reviewing import put_in_place
from hoopagent.store.tables import grants, requests
from hoopcore.model import AuditEvent, Confirmed, GrantState, Request, RequestState


class _Lost(Exception):
    """Another one was first: nothing of this transaction stays."""


class Waiting:
    _database: Database

    async def use_hold(self, id: str, *audit: AuditEvent, taught: Taught | None = None) -> bool:
        async def work(connection: AsyncConnection) -> None:
            used = await connection.execute(
                update(requests)
                .where(
                    requests.c.id == id,
                    requests.c.held != "",
                    requests.c.state == RequestState.APPROVED.value,
                )
                .values(state=RequestState.FULFILLED.value)
            )
            if used.rowcount != 1:
                raise _Lost
            if taught is not None:
                await _teach(connection, taught)
            await log(connection, *audit)

        try:
            await self._database.write(work)
        except (_Lost, IntegrityError):
            return False
        return True

    async def confirm_hold(self, request: Request, said: Confirmed, audit: AuditEvent) -> bool:
        assert request.held is not None, "the caller has looked"
        held = replace(request.held, confirmed=said)
        values = rows.request_values(replace(request, held=held))
        pending = and_(
            requests.c.id == request.id,
            requests.c.requester == said.by,
            requests.c.state == RequestState.PENDING.value,
            requests.c.expires > said.at,
        )

        async def work(connection: AsyncConnection) -> bool:
            moved = await connection.execute(
                update(requests)
                .where(pending)
                .values(state=RequestState.APPROVED.value, held=values["held"])
            )
            if moved.rowcount == 1:
                await log(connection, audit)
            return moved.rowcount == 1

        return await self._database.write(work)

    async def open_holds(self) -> list[Request]:
        states = [RequestState.PENDING.value, RequestState.APPROVED.value]
        question = select(requests).where(requests.c.state.in_(states), requests.c.held != "")

        async def work(connection: AsyncConnection) -> list[Request]:
            found = await connection.execute(question)
            return [rows.request(row) for row in found.mappings()]

        return await self._database.read(work)


async def _teach(connection: AsyncConnection, taught: Taught) -> None:
    """The one grant in the other's place; one that ends meanwhile learns nothing."""
    same = and_(
        grants.c.id == taught.old.id,
        grants.c.state == taught.old.state.value,
        grants.c.not_after == taught.old.not_after,
        ends > taught.at,
    )
    over = {
        "state": GrantState.SUPERSEDED.value,
        "ended_at": taught.at,
        "ended_by": taught.by,
        "ended_why": rows.plain(taught.why),
    }
    moved = await connection.execute(update(grants).where(same).values(**over))
    if moved.rowcount != 1:
        raise _Lost
    await put_in_place(connection, taught.old.id, taught.new)
