"""The store's part about the audit: rows that are chained as they are written, and asked again.

The one row of ``audit_tail`` says where the chain ends.  Who writes takes it first and keeps it to
the end of the transaction, so agents that share a store stand in line and the chain never forks;
``log`` is therefore the last thing that a transaction does.

Order of the file: writing, asking, heads, who follows.
"""

from __future__ import annotations

import json

from sqlalchemy import ColumnElement, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hoopagent.store import AuditQuery, Follower, rows
from hoopagent.store.database import Database
from hoopagent.store.tables import audit, audit_heads, audit_tail, followers
from hoopcore.audit import Head, Row, seal
from hoopcore.model import AuditEvent, Time

# --- writing --------------------------------------------------------------------------------------


async def log(connection: AsyncConnection, *events: AuditEvent) -> None:
    """Writes audit rows in the transaction that does what they tell of."""
    if not events:
        return
    took = await connection.execute(
        update(audit_tail)
        .where(audit_tail.c.id == 1)
        .values(seq=audit_tail.c.seq + len(events))
        .returning(audit_tail.c.seq, audit_tail.c.hash)
    )
    last, previous = took.one()  # without it nothing may be done: StoreAway
    values = []
    for seq, event in enumerate(events, last - len(events) + 1):
        kept = rows.event_values(event)
        row = _sealed(seq, rows.event(kept), previous)
        values.append(kept | {"seq": seq, "previous": previous, "hash": row.hash})
        previous = row.hash
    await connection.execute(insert(audit), values)
    await connection.execute(update(audit_tail).where(audit_tail.c.id == 1).values(hash=previous))


def _sealed(seq: int, event: AuditEvent, previous: str) -> Row:
    try:
        return seal(seq, event, previous)
    except ValueError as problem:  # no calendar has this time
        raise OverflowError(str(problem)) from problem


# --- asking ---------------------------------------------------------------------------------------


class Audit:
    _database: Database

    async def audit(self, event: AuditEvent) -> None:
        async def work(connection: AsyncConnection) -> None:
            await log(connection, event)

        await self._database.write(work, counts=False)

    async def audit_events(self, limit: int = 200) -> list[AuditEvent]:
        """The last ones, newest first."""
        found = await self.audit_rows(AuditQuery(newest=True), limit)
        return [row.event for row in found]

    async def audit_rows(self, query: AuditQuery, limit: int = 1_000) -> list[Row]:
        order = audit.c.seq.desc() if query.newest else audit.c.seq
        question = select(audit).where(*_wanted(query)).order_by(order).limit(limit)

        async def work(connection: AsyncConnection) -> list[Row]:
            found = await connection.execute(question)
            return [
                Row(row["seq"], rows.event(row), row["previous"], row["hash"])
                for row in found.mappings()
            ]

        return await self._database.read(work)

    async def audit_tail(self) -> tuple[int, str]:
        """Number and hash of the last row; 0 and 64 zeros where there is none."""

        async def work(connection: AsyncConnection) -> tuple[int, str]:
            found = await connection.execute(select(audit_tail.c.seq, audit_tail.c.hash))
            seq, hash = found.one()
            return seq, hash

        return await self._database.read(work)

    # --- heads

    async def add_audit_head(self, head: Head) -> None:
        """Keeps a head; the same one again changes nothing."""

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(
                insert(audit_heads).values(
                    seq=head.seq, key=head.key, hash=head.hash, at=head.at,
                    signature=head.signature,
                )
            )  # fmt: skip

        try:
            await self._database.write(work, counts=False)
        except IntegrityError:
            return

    async def audit_heads(self, after: int = 0, limit: int = 10_000) -> list[Head]:
        """Those of rows behind that one, in their order."""
        question = (
            select(audit_heads)
            .where(audit_heads.c.seq > after)
            .order_by(audit_heads.c.seq, audit_heads.c.key)
            .limit(limit)
        )

        async def work(connection: AsyncConnection) -> list[Head]:
            found = await connection.execute(question)
            return [
                Head(row["seq"], row["hash"], row["at"], row["key"], row["signature"])
                for row in found.mappings()
            ]

        return await self._database.read(work)

    # --- who follows

    async def follow(self, name: str, holder: str, now: Time, until: Time) -> Follower | None:
        """Where this follower stands, taken until then; None while another agent has it.

        One that nobody has seen before begins behind the rows that are there.
        """

        async def work(connection: AsyncConnection) -> Follower | None:
            there = await connection.execute(
                select(followers.c.name).where(followers.c.name == name)
            )
            if there.one_or_none() is None:
                tail = (await connection.execute(select(audit_tail.c.seq))).scalar_one()
                await connection.execute(
                    insert(followers).values(
                        name=name, seq=tail, holder="", until=0, problem="", since=0, lost=0
                    )
                )
            took = await connection.execute(
                update(followers)
                .where(
                    followers.c.name == name,
                    or_(followers.c.holder == holder, followers.c.until <= now),
                )
                .values(holder=holder, until=until)
                .returning(
                    followers.c.seq, followers.c.problem, followers.c.since, followers.c.lost
                )
            )
            row = took.one_or_none()
            return None if row is None else Follower(name, *row)

        try:
            return await self._database.write(work, counts=False)
        except IntegrityError:
            return None  # another agent has just made it

    async def followed(self, holder: str, follower: Follower) -> bool:
        """Keeps how far it came and how it fares; False where another agent has it now."""

        async def work(connection: AsyncConnection) -> bool:
            kept = await connection.execute(
                update(followers)
                .where(followers.c.name == follower.name, followers.c.holder == holder)
                .values(
                    seq=follower.seq,
                    problem=rows.plain(follower.problem),
                    since=follower.since,
                    lost=follower.lost,
                )
            )
            return kept.rowcount == 1

        return await self._database.write(work, counts=False)

    async def followers(self) -> list[Follower]:
        question = select(
            followers.c.name, followers.c.seq, followers.c.problem, followers.c.since,
            followers.c.lost,
        ).order_by(followers.c.name)  # fmt: skip

        async def work(connection: AsyncConnection) -> list[Follower]:
            return [Follower(*row) for row in await connection.execute(question)]

        return await self._database.read(work)


def _wanted(query: AuditQuery) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if query.after:
        conditions.append(audit.c.seq > query.after)
    if query.to:
        conditions.append(audit.c.seq <= query.to)
    if query.since is not None:
        conditions.append(audit.c.at >= query.since)
    if query.until is not None:
        conditions.append(audit.c.at < query.until)
    if query.actors is not None:
        conditions.append(audit.c.actor.in_(list(query.actors)))
    if query.about is not None:
        whose = [_says("principal", one) for one in query.about]
        about = list(query.about)
        conditions.append(or_(audit.c.actor.in_(about), audit.c.subject.in_(about), *whose))
    if query.action:
        conditions.append(_action(query.action))
    if query.target:
        conditions.append(or_(audit.c.subject == query.target, _says("target", query.target)))
    return conditions


def _says(name: str, value: str) -> ColumnElement[bool]:
    """Whether the details hold that; spelled as ``rows.event_values`` does.

    Within another value the quotes would have backslashes, so nothing else is found by it.
    """
    return audit.c.detail.contains(f'"{name}": {json.dumps(value)}', autoescape=True)


def _action(pattern: str) -> ColumnElement[bool]:
    """``grant.revoked``, ``grant.*`` or ``grant``."""
    stem = pattern.removesuffix("*").removesuffix(".")
    return or_(audit.c.action == stem, audit.c.action.startswith(f"{stem}.", autoescape=True))
