"""The store's part about what went through grants, in buckets of a few minutes (budgets).

Every agent on the store adds what it has counted, and reads what all of them have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hoopagent.store.database import Database
from hoopagent.store.tables import spent
from hoopcore.policy import Amount


class Spending:
    _database: Database

    async def spend(self, amounts: Mapping[tuple[str, int], Amount], oldest: int) -> None:
        async def work(connection: AsyncConnection) -> None:
            for (grant, bucket), amount in amounts.items():
                values = amount._asdict()
                added = {name: spent.c[name] + value for name, value in values.items()}
                changed = await connection.execute(
                    update(spent)
                    .where(spent.c.grant_id == grant, spent.c.bucket == bucket)
                    .values(**added)
                )
                if not changed.rowcount:
                    await connection.execute(
                        insert(spent).values(grant_id=grant, bucket=bucket, **values)
                    )
            await connection.execute(delete(spent).where(spent.c.bucket < oldest))

        try:
            await self._database.write(work)
        except IntegrityError:
            # Another agent began the same bucket between our two statements: now it is there.
            await self._database.write(work)

    async def spent(self, grants: Sequence[str], oldest: int) -> dict[str, dict[int, Amount]]:
        question = select(spent).where(spent.c.grant_id.in_(grants), spent.c.bucket >= oldest)

        async def work(connection: AsyncConnection) -> dict[str, dict[int, Amount]]:
            found: dict[str, dict[int, Amount]] = {}
            for row in (await connection.execute(question)).mappings():
                amount = Amount(*(row[name] for name in Amount._fields))
                found.setdefault(row["grant_id"], {})[row["bucket"]] = amount
            return found

        return await self._database.read(work)
