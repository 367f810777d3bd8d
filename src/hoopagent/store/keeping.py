"""The store's part about where recordings are kept, which ones are held, and whose time is up.

A row is there only for a recording that was archived, held or deleted.  Holding and deleting are
conditional updates of that one row, so of two at once exactly one wins.

Order of the file: reading, archiving, holding, deleting.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, and_, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hoopagent.store import Kept, KeptState, Part
from hoopagent.store.audit import log
from hoopagent.store.database import Database
from hoopagent.store.tables import recordings_kept, session_facets, sessions
from hoopcore.model import AuditEvent, Time

_row = recordings_kept.c
_GOING = (KeptState.DELETING.value, KeptState.DELETED.value)
_IDS = 1_000  # of one question


class Keeping:
    _database: Database

    # --- reading

    async def kept(self, ids: Sequence[str]) -> dict[str, Kept]:
        async def work(connection: AsyncConnection) -> dict[str, Kept]:
            found: dict[str, Kept] = {}
            for i in range(0, len(ids), _IDS):
                question = select(recordings_kept).where(_row.session.in_(ids[i : i + _IDS]))
                for one in (await connection.execute(question)).mappings():
                    found[one["session"]] = _kept(one)
            return found

        return await self._database.read(work)

    # --- archiving

    async def archived(self, kept: Kept) -> bool:
        values = _values(kept)

        async def work(connection: AsyncConnection) -> bool:
            await _there(connection, kept.session)
            changed = await connection.execute(
                update(recordings_kept)
                .where(_row.session == kept.session, _row.state == KeptState.AGENT.value)
                .values(**values)
            )
            return changed.rowcount == 1

        return await self._row_written(work)

    async def unarchived(self, limit: int, *, since: Time | None = None) -> list[str]:
        ended = sessions.c.ended.is_not(None) if since is None else sessions.c.ended >= since
        question = (
            _with_kept()
            .where(ended, or_(_row.state.is_(None), _row.state == KeptState.AGENT.value))
            .order_by(sessions.c.ended, sessions.c.id)
            .limit(limit)
        )
        return await self._ids(question)

    # --- holding

    async def hold_recording(
        self, session: str, by: str, why: str, at: Time, audit: AuditEvent
    ) -> bool:
        async def work(connection: AsyncConnection) -> bool:
            await _there(connection, session)
            changed = await connection.execute(
                update(recordings_kept)
                .where(_row.session == session, _row.held.is_(None), _row.state.not_in(_GOING))
                .values(held=at, held_by=by, held_why=why)
            )
            if changed.rowcount == 1:
                await log(connection, audit)
            return changed.rowcount == 1

        return await self._row_written(work)

    async def release_recording(self, session: str, audit: AuditEvent) -> bool:
        async def work(connection: AsyncConnection) -> bool:
            changed = await connection.execute(
                update(recordings_kept)
                .where(_row.session == session, _row.held.is_not(None))
                .values(held=None, held_by="", held_why="")
            )
            if changed.rowcount == 1:
                await log(connection, audit)
            return changed.rowcount == 1

        return await self._database.write(work, counts=False)

    # --- deleting

    async def outlived(
        self, before: Time | None, of: Mapping[str, Time | None], limit: int
    ) -> list[str]:
        late: list[ColumnElement[bool]] = [
            and_(sessions.c.target == target, sessions.c.ended < time)
            for target, time in of.items()
            if time is not None
        ]
        if before is not None:
            late.append(and_(sessions.c.target.not_in(list(of)), sessions.c.ended < before))
        if not late:
            return []
        question = (
            _with_kept()
            .where(or_(*late), _row.held.is_(None))
            .where(or_(_row.state.is_(None), _row.state.not_in(_GOING)))
            .order_by(sessions.c.ended, sessions.c.id)
            .limit(limit)
        )
        return await self._ids(question)

    async def begin_deletion(self, session: str, audit: AuditEvent) -> bool:
        async def work(connection: AsyncConnection) -> bool:
            await _there(connection, session)
            changed = await connection.execute(
                update(recordings_kept)
                .where(_row.session == session, _row.held.is_(None), _row.state.not_in(_GOING))
                .values(state=KeptState.DELETING.value)
            )
            if changed.rowcount == 1:
                await log(connection, audit)
            return changed.rowcount == 1

        return await self._row_written(work)

    async def deleting(self, limit: int) -> list[str]:
        question = (
            select(_row.session)
            .where(_row.state == KeptState.DELETING.value)
            .order_by(_row.session)
            .limit(limit)
        )
        return await self._ids(question)

    async def recording_deleted(self, session: str, at: Time) -> None:
        async def work(connection: AsyncConnection) -> None:
            await connection.execute(
                update(recordings_kept)
                .where(_row.session == session, _row.state == KeptState.DELETING.value)
                .values(state=KeptState.DELETED.value, deleted=at)
            )
            await connection.execute(
                delete(session_facets).where(session_facets.c.session == session)
            )

        await self._database.write(work, counts=False)

    async def _ids(self, question: Any) -> list[str]:
        async def work(connection: AsyncConnection) -> list[str]:
            return list((await connection.execute(question)).scalars())

        return await self._database.read(work)

    async def _row_written(self, work: Any) -> bool:
        """Once more where somebody else made the row at the same moment."""
        for _ in range(3):
            try:
                return bool(await self._database.write(work, counts=False))
            except IntegrityError as problem:
                last = problem
        raise ValueError("this session is not in the store") from last


def _with_kept() -> Any:
    return select(sessions.c.id).outerjoin(recordings_kept, _row.session == sessions.c.id)


async def _there(connection: AsyncConnection, session: str) -> None:
    """The row, made where there is none."""
    known = await connection.execute(select(_row.session).where(_row.session == session))
    if known.one_or_none() is None:
        await connection.execute(insert(recordings_kept).values(session=session))


def _values(kept: Kept) -> dict[str, Any]:
    return {
        "state": KeptState.ARCHIVED.value,
        "place": kept.place,
        "parts": json.dumps(kept.parts),
        "size": kept.size,
        "sha256": kept.sha256,
        "archived": kept.archived,
    }


def _kept(row: RowMapping) -> Kept:
    values = dict(row)
    parts = json.loads(values.pop("parts") or "[]")
    state = KeptState(values.pop("state"))
    kept = Kept(state=state, **values)
    return replace(kept, parts=tuple(Part(*part) for part in parts))
