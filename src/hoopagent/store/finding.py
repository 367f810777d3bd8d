"""The store's part about finding sessions: by what they touched, and who looked at them before.

The index comes from recordings and from nothing else, so it may be forgotten and filled anew.

Order of the file: filling, finding, who answered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import merge
from itertools import islice

from sqlalchemy import ColumnElement, Select, and_, delete, exists, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from hoopagent.store.database import Database
from hoopagent.store.tables import (
    grants,
    requests,
    session_facets,
    session_indexed,
    sessions,
    votes,
)
from hoopcore.model import Session, Time
from hoopcore.recording.facets import VERSION, Alternative, Condition, Count, Facet

_ROWS = 500  # of one insert


class Finding:
    _database: Database

    # --- filling

    async def put_facets(self, session: Session, found: Mapping[Facet, Count]) -> None:
        rows = [
            {
                "session": session.id,
                "started": session.started,
                "kind": facet.kind,
                "name": facet.name,
                "full_name": facet.full,
                "done": count.done,
                "refused": count.refused,
            }
            for facet, count in found.items()
        ]

        async def work(connection: AsyncConnection) -> None:
            for table in (session_facets, session_indexed):
                await connection.execute(delete(table).where(table.c.session == session.id))
            for i in range(0, len(rows), _ROWS):
                await connection.execute(insert(session_facets), rows[i : i + _ROWS])
            await connection.execute(
                insert(session_indexed).values(session=session.id, version=VERSION)
            )

        await self._database.write(work, counts=False)

    async def unindexed(self, limit: int, *, since: Time | None = None) -> list[str]:
        there = exists().where(
            session_indexed.c.session == sessions.c.id, session_indexed.c.version == VERSION
        )
        ended = sessions.c.ended.is_not(None) if since is None else sessions.c.ended >= since
        question = (
            select(sessions.c.id)
            .where(ended, ~there)
            .order_by(sessions.c.ended.desc())
            .limit(limit)
        )

        async def work(connection: AsyncConnection) -> list[str]:
            return list((await connection.execute(question)).scalars())

        return await self._database.read(work)

    async def forget_index(self) -> None:
        async def work(connection: AsyncConnection) -> None:
            await connection.execute(delete(session_indexed))
            await connection.execute(delete(session_facets))

        await self._database.write(work, counts=False)

    # --- finding

    async def found(
        self,
        wanted: Sequence[Condition],
        *,
        principal: str | None = None,
        target: str | None = None,
        since: Time | None = None,
        until: Time | None = None,
        limit: int = 200,
    ) -> list[str]:
        first, *others = wanted
        about = [*_about(principal, target, since, until), *map(_meets, others)]
        questions = [_question(one, first.refused, about, limit) for one in first.any_of]

        async def work(connection: AsyncConnection) -> list[str]:
            lists = [list(await connection.execute(question)) for question in questions]
            newest = merge(*lists, key=lambda row: (-row.started, row.session))
            return list(islice(dict.fromkeys(row.session for row in newest), limit))

        return await self._database.read(work)

    # --- who answered

    async def answered_by(self, voter: str, session: str, on: Sequence[str]) -> list[str]:
        made = select(grants.c.request).where(grants.c.id.in_(on))
        held = requests.c.held.contains(f'"{session}"', autoescape=True)
        question = (
            select(votes.c.request)
            .join(requests, requests.c.id == votes.c.request)
            .where(votes.c.voter == voter, or_(votes.c.request.in_(made), held))
        )

        async def work(connection: AsyncConnection) -> list[str]:
            return list((await connection.execute(question)).scalars())

        return await self._database.read(work)


def _question(
    one: Alternative, refused: bool, about: Sequence[ColumnElement[bool]], limit: int
) -> Select[tuple[str, Time]]:
    """In the order of the index, so that it ends with the last row that is wanted."""
    facet = session_facets.c
    return (
        select(facet.session, facet.started)
        .join(sessions, sessions.c.id == facet.session)
        .where(*_is(one, refused), *about)
        .group_by(facet.started, facet.session)
        .order_by(facet.started.desc(), facet.session)
        .limit(limit)
    )


def _is(one: Alternative, refused: bool) -> list[ColumnElement[bool]]:
    facet = session_facets.c
    found = [facet.kind == one.kind, facet.name == one.name]
    if one.fulls:
        found.append(facet.full_name.in_(one.fulls))
    if refused:
        found.append(facet.refused > 0)
    return found


def _meets(condition: Condition) -> ColumnElement[bool]:
    """Whether the session has one of these facets too."""
    facet = session_facets.alias()
    kinds = [
        and_(
            facet.c.kind == one.kind,
            facet.c.name == one.name,
            *([facet.c.full_name.in_(one.fulls)] if one.fulls else []),
            *([facet.c.refused > 0] if condition.refused else []),
        )
        for one in condition.any_of
    ]
    return exists().where(facet.c.session == sessions.c.id, or_(*kinds))


def _about(
    principal: str | None, target: str | None, since: Time | None, until: Time | None
) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [sessions.c.ended.is_not(None)]
    if principal is not None:
        found.append(sessions.c.principal == principal)
    if target is not None:
        found.append(sessions.c.target == target)
    if since is not None:
        found.append(sessions.c.ended >= since)
    if until is not None:
        found.append(sessions.c.started < until)
    return found
