"""The store's part about who: principals, groups, ID tokens that were used, agent tokens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from sqlalchemy import Select, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hoopagent.store import Token, rows
from hoopagent.store.database import Database
from hoopagent.store.tables import clock, id_tokens, memberships, principals, tokens
from hoopcore.model import SECOND, Principal, Time

# The hash of an ID token is kept a little longer than the token lives: whoever checks it allows
# for clocks that differ, and must not meet a token that is still good here and forgotten there.
ID_TOKEN_MARGIN = 3600 * SECOND


class People:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def close(self) -> None:
        await self._database.close()

    async def highest_time(self, now: Time) -> Time:
        async def work(connection: AsyncConnection) -> Time:
            await connection.execute(
                update(clock).where(clock.c.id == 1, clock.c.highest < now).values(highest=now)
            )
            highest: Time = (
                await connection.execute(select(clock.c.highest).where(clock.c.id == 1))
            ).scalar_one()
            return highest

        return await self._database.write(work, counts=False)

    # --- principals

    async def put_principal(self, principal: Principal, now: Time) -> None:
        values = {
            "kind": principal.kind.value,
            "issuer": rows.plain(principal.issuer),
            "subject": rows.plain(principal.subject),
            "email": rows.plain(principal.email),
            "owner": rows.plain(principal.owner),
            "seen": now,
        }
        groups = sorted({rows.plain(group) for group in principal.groups})

        async def work(connection: AsyncConnection) -> None:
            changed = await connection.execute(
                update(principals).where(principals.c.id == principal.id).values(**values)
            )
            if not changed.rowcount:
                await connection.execute(insert(principals).values(id=principal.id, **values))
            await connection.execute(
                delete(memberships).where(memberships.c.principal == principal.id)
            )
            if groups:
                await connection.execute(
                    insert(memberships),
                    [{"principal": principal.id, "member_of": group} for group in groups],
                )

        try:
            await self._database.write(work)
        except IntegrityError:
            # Another agent stored the same new principal between our two statements; now it is
            # there, and the update finds it.
            await self._database.write(work)

    async def principal(self, id: str) -> Principal | None:
        return (await self.principals([id])).get(id)

    async def principals(self, ids: Sequence[str]) -> dict[str, Principal]:
        if not ids:
            return {}
        found = await self._people(select(principals).where(principals.c.id.in_(set(ids))))
        return {person.id: person for person in found}

    async def principals_in(self, groups: Sequence[str]) -> list[Principal]:
        if not groups:
            return []
        members = select(memberships.c.principal).where(memberships.c.member_of.in_(set(groups)))
        return await self._people(
            select(principals).where(principals.c.id.in_(members)).order_by(principals.c.id)
        )

    async def principals_named(self, name: str) -> list[Principal]:
        """Those with this e-mail address, subject or id; an address is spelled in any case."""
        named = or_(
            func.lower(principals.c.email) == name.lower(),
            principals.c.subject == name,
            principals.c.id == name,
        )
        return await self._people(select(principals).where(named).order_by(principals.c.id))

    async def principals_owned(self, owners: Sequence[str]) -> list[Principal]:
        """Those that one of these e-mail addresses answers for."""
        if not owners:
            return []
        lowered = [owner.lower() for owner in owners]
        return await self._people(
            select(principals).where(func.lower(principals.c.owner).in_(lowered))
        )

    async def _people(self, question: Select[tuple[object, ...]]) -> list[Principal]:
        return await self._database.read(partial(people, question=question))

    # --- tokens

    async def use_id_token(self, hash: str, expires: Time, now: Time) -> bool:
        async def work(connection: AsyncConnection) -> bool:
            await connection.execute(
                delete(id_tokens).where(id_tokens.c.expires < now - ID_TOKEN_MARGIN)
            )
            await connection.execute(insert(id_tokens).values(hash=hash, expires=expires))
            return True

        try:
            return await self._database.write(work)
        except IntegrityError:
            return False

    async def add_token(self, token: Token) -> None:
        async def work(connection: AsyncConnection) -> None:
            await connection.execute(insert(tokens).values(**rows.token_values(token)))

        try:
            await self._database.write(work)
        except IntegrityError as problem:
            raise ValueError("the token is stored already, or its principal is not") from problem

    async def token(self, hash: str) -> Token | None:
        async def work(connection: AsyncConnection) -> Token | None:
            found = await connection.execute(select(tokens).where(tokens.c.hash == hash))
            row = found.mappings().one_or_none()
            return rows.token(row) if row is not None else None

        return await self._database.read(work)

    async def bind_token(self, hash: str, uid: int) -> bool:
        async def work(connection: AsyncConnection) -> bool:
            bound = await connection.execute(
                update(tokens)
                .where(
                    tokens.c.hash == hash,
                    tokens.c.revoked.is_(False),
                    or_(tokens.c.uid.is_(None), tokens.c.uid == uid),
                )
                .values(uid=uid)
            )
            return bound.rowcount == 1

        return await self._database.write(work)

    async def revoke_token(self, hash: str) -> bool:
        async def work(connection: AsyncConnection) -> bool:
            revoked = await connection.execute(
                update(tokens)
                .where(tokens.c.hash == hash, tokens.c.revoked.is_(False))
                .values(revoked=True)
            )
            return revoked.rowcount == 1

        return await self._database.write(work)

    async def revoke_tokens_of(self, principal: str) -> int:
        async def work(connection: AsyncConnection) -> int:
            revoked = await connection.execute(
                update(tokens)
                .where(tokens.c.principal == principal, tokens.c.revoked.is_(False))
                .values(revoked=True)
            )
            return revoked.rowcount

        return await self._database.write(work)

    async def revoke_sign_in(self, sign_in: str, but: Sequence[str] = ()) -> int:
        async def work(connection: AsyncConnection) -> int:
            revoked = await connection.execute(
                update(tokens)
                .where(
                    tokens.c.sign_in == sign_in,
                    tokens.c.revoked.is_(False),
                    tokens.c.hash.not_in(list(but)),
                )
                .values(revoked=True)
            )
            return revoked.rowcount

        return await self._database.write(work)

    async def identity_until(self, principal: str, sign_in: str | None = None) -> Time:
        return await self._database.read(
            partial(identity_until, principal=principal, sign_in=sign_in)
        )


# --- what others ask within a transaction of their own --------------------------------------------


async def people(
    connection: AsyncConnection, question: Select[tuple[object, ...]]
) -> list[Principal]:
    """The principals that a question about their table finds, with their groups."""
    found = (await connection.execute(question)).mappings().all()
    if not found:
        return []
    belong = await connection.execute(
        select(memberships.c.principal, memberships.c.member_of).where(
            memberships.c.principal.in_([row["id"] for row in found])
        )
    )
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for belonging in belong.mappings():
        groups[belonging["principal"]].append(belonging["member_of"])
    return [rows.principal(row, groups[row["id"]]) for row in found]


async def identity_until(
    connection: AsyncConnection, principal: str, sign_in: str | None = None
) -> Time:
    """See ``Store.identity_until``."""
    question = select(func.max(tokens.c.identity_until)).where(
        tokens.c.principal == principal, tokens.c.revoked.is_(False)
    )
    if sign_in is not None:
        question = question.where(tokens.c.sign_in == sign_in)
    latest: Time | None = (await connection.execute(question)).scalar_one()
    return latest or 0
