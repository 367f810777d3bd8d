"""The store's part about what was: sessions, decisions of reviews."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hoopagent.store import rows
from hoopagent.store.audit import log
from hoopagent.store.database import Database
from hoopagent.store.tables import decisions, session_grants, sessions
from hoopcore.model import AuditEvent, Decision, Session, Time

# What a session is never changes; only these do.
_COUNTS = frozenset({"ended", "end_cause", "statements", "refused", "masked", "head"})


class Past:
    _database: Database

    # --- sessions

    async def add_session(self, session: Session) -> None:
        async def work(connection: AsyncConnection) -> None:
            await connection.execute(insert(sessions).values(**rows.session_values(session)))
            await _rest_on(connection, session.id, session.grants)

        try:
            await self._database.write(work, counts=False)
        except IntegrityError as problem:
            raise ValueError(f"session {session.id} does not fit what is stored") from problem

    async def update_session(self, session: Session) -> None:
        values = {k: v for k, v in rows.session_values(session).items() if k in _COUNTS}

        async def work(connection: AsyncConnection) -> None:
            changed = await connection.execute(
                update(sessions)
                .where(
                    sessions.c.id == session.id,
                    or_(sessions.c.ended.is_(None), sessions.c.ended == session.ended),
                )
                .values(**values)
            )
            if changed.rowcount == 1:
                await connection.execute(
                    delete(session_grants).where(session_grants.c.session == session.id)
                )
                await _rest_on(connection, session.id, session.grants)

        try:
            await self._database.write(work, counts=False)
        except IntegrityError as problem:
            raise ValueError(f"session {session.id} does not fit what is stored") from problem

    async def session(self, id: str) -> Session | None:
        async def work(connection: AsyncConnection) -> Session | None:
            found = await connection.execute(select(sessions).where(sessions.c.id == id))
            row = found.mappings().one_or_none()
            if row is None:
                return None
            return rows.session(row, (await _grants(connection, [id])).get(id, []))

        return await self._database.read(work)

    async def sessions(
        self,
        *,
        principal: str | None = None,
        target: str | None = None,
        grant: str | None = None,
        since: Time | None = None,
        live: bool | None = None,
        limit: int = 200,
    ) -> list[Session]:
        """Newest first.  ``since``: those still open then, or opened later."""
        question = select(sessions).order_by(sessions.c.started.desc(), sessions.c.id).limit(limit)
        if principal is not None:
            question = question.where(sessions.c.principal == principal)
        if target is not None:
            question = question.where(sessions.c.target == target)
        if grant is not None:
            resting = select(session_grants.c.session).where(session_grants.c.grant_id == grant)
            question = question.where(sessions.c.id.in_(resting))
        if since is not None:
            question = question.where(or_(sessions.c.ended.is_(None), sessions.c.ended >= since))
        if live is not None:
            ended = sessions.c.ended
            question = question.where(ended.is_(None) if live else ended.is_not(None))

        async def work(connection: AsyncConnection) -> list[Session]:
            found = (await connection.execute(question)).mappings().all()
            grants = await _grants(connection, [row["id"] for row in found])
            return [rows.session(row, grants.get(row["id"], [])) for row in found]

        return await self._database.read(work)

    # --- decisions: only ever added to

    async def add_decision(self, decision: Decision, audit: AuditEvent) -> None:
        async def work(connection: AsyncConnection) -> None:
            await connection.execute(insert(decisions).values(**rows.decision_values(decision)))
            await log(connection, audit)

        try:
            await self._database.write(work)
        except IntegrityError as problem:
            raise ValueError(f"decision {decision.id} does not fit what is stored") from problem

    async def decisions(self, grant: str) -> list[Decision]:
        async def work(connection: AsyncConnection) -> list[Decision]:
            found = await connection.execute(
                select(decisions)
                .where(decisions.c.grant_id == grant)
                .order_by(decisions.c.at, decisions.c.id)
            )
            return [rows.decision(row) for row in found.mappings()]

        return await self._database.read(work)


async def _rest_on(connection: AsyncConnection, session: str, grants: Sequence[str]) -> None:
    links = [
        {"session": session, "grant_id": grant, "place": place}
        for place, grant in enumerate(dict.fromkeys(grants))
    ]
    if links:
        await connection.execute(insert(session_grants), links)


async def _grants(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, list[str]]:
    found = await connection.execute(
        select(session_grants.c.session, session_grants.c.grant_id)
        .where(session_grants.c.session.in_(ids))
        .order_by(session_grants.c.place)
    )
    gathered: dict[str, list[str]] = {}
    for session, grant in found:
        gathered.setdefault(session, []).append(grant)
    return gathered
