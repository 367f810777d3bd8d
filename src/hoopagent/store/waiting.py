"""The store's part about held statements, beside what ``life`` does for every request."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from hoopagent.store import rows
from hoopagent.store.audit import log
from hoopagent.store.database import Database
from hoopagent.store.tables import requests
from hoopcore.model import AuditEvent, Request, RequestState


class Waiting:
    _database: Database

    async def use_hold(self, id: str, audit: AuditEvent) -> bool:
        async def work(connection: AsyncConnection) -> bool:
            used = await connection.execute(
                update(requests)
                .where(
                    requests.c.id == id,
                    requests.c.held != "",
                    requests.c.state == RequestState.APPROVED.value,
                )
                .values(state=RequestState.FULFILLED.value)
            )
            if used.rowcount == 1:
                await log(connection, audit)
            return used.rowcount == 1

        return await self._database.write(work)

    async def open_holds(self) -> list[Request]:
        states = [RequestState.PENDING.value, RequestState.APPROVED.value]
        question = select(requests).where(requests.c.state.in_(states), requests.c.held != "")

        async def work(connection: AsyncConnection) -> list[Request]:
            found = await connection.execute(question)
            return [rows.request(row) for row in found.mappings()]

        return await self._database.read(work)
