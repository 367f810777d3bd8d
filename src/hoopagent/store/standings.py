"""The store's part about what carries a session: who it is, their grants there, their sign-in.

It is asked whenever a session opens and once a second while it is open, so all of it is one look.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from hoopagent.store import Standing, Terms, rows
from hoopagent.store.clocks import ends, live_or_later
from hoopagent.store.database import Database
from hoopagent.store.people import identity_until, people
from hoopagent.store.tables import grants, principals, requests
from hoopcore.model import Time


class Standings:
    _database: Database

    @property
    def changes(self) -> int | None:
        return self._database.changes if self._database.alone else None

    async def standing(
        self, principal: str, target: str, live_at: Time, *, who: bool = False
    ) -> Standing:
        question = (
            select(grants)
            .where(
                grants.c.principal == principal, grants.c.target == target, live_or_later(live_at)
            )
            .order_by(ends.desc(), grants.c.id)
        )

        async def work(connection: AsyncConnection) -> Standing:
            held = [rows.grant(row) for row in (await connection.execute(question)).mappings()]
            until = await identity_until(connection, principal)
            found = []
            if who:
                found = await people(
                    connection, select(principals).where(principals.c.id == principal)
                )
            return Standing(held, until, found[0] if found else None)

        return await self._database.read(work)

    async def terms(self, ids: Sequence[str]) -> dict[str, Terms]:
        question = (
            select(grants.c.id, requests.c.rule, requests.c.priority)
            .join(requests, requests.c.id == grants.c.request)
            .where(grants.c.id.in_(set(ids)))
        )

        async def work(connection: AsyncConnection) -> dict[str, Terms]:
            found = (await connection.execute(question)).mappings()
            return {row["id"]: rows.terms(row) for row in found}

        return await self._database.read(work)
