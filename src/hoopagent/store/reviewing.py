"""The store's part about looking back: what sessions came to, coverage, and reviews of grants.

A change of a review is one transaction with all that follows from it: the item, the decision, the
grant and the one that supersedes it, and the audit.  Each of its updates names the state it starts
from; where one of them finds another, nothing of it happens.

Order of the file: usage, coverage, reviews, values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import RowMapping, and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hoopagent.store import Counted, ReviewChange, RunBound, rows
from hoopagent.store.audit import log
from hoopagent.store.clocks import ends
from hoopagent.store.database import Database
from hoopagent.store.tables import (
    coverage,
    decisions,
    grant_reviews,
    grants,
    principals,
    session_grants,
    session_usage,
    sessions,
    spent,
)
from hoopcore.access import ENDABLE
from hoopcore.model import AuditEvent, Decision, Grant, ReviewAnswer, Session, Time
from hoopcore.review import Item, ItemState, may_move
from hoopcore.usage import VERSION, Span, Use, decoded, encoded
from hoopcore.usage.coverage import BEAT


class _Lost(Exception):
    """Another one was first: nothing of this transaction stays."""


class Reviewing:
    _database: Database

    # --- usage ------------------------------------------------------------------------------------

    async def put_use(self, session: Session, use: Use) -> None:
        values = {
            "session": session.id,
            "principal": session.principal,
            "target": session.target,
            "started": session.started,
            "ended": session.started if session.ended is None else session.ended,
            "version": VERSION,
            "use": encoded(use),
        }

        async def work(connection: AsyncConnection) -> None:
            same = session_usage.c.session == session.id
            await connection.execute(delete(session_usage).where(same))
            await connection.execute(insert(session_usage).values(**values))

        await self._database.write(work, counts=False)

    async def uses(
        self, principal: str, since: Time, target: str | None = None
    ) -> dict[str, list[Counted]]:
        resting = (
            select(session_usage.c.use, session_usage.c.version, sessions)
            .outerjoin(session_usage, session_usage.c.session == sessions.c.id)
            .where(
                sessions.c.principal == principal,
                or_(sessions.c.ended.is_(None), sessions.c.ended >= since),
            )
            .order_by(sessions.c.started)
        )
        if target is not None:
            resting = resting.where(sessions.c.target == target)
        linked = (
            select(session_grants.c.session, session_grants.c.grant_id)
            .join(sessions, sessions.c.id == session_grants.c.session)
            .where(
                sessions.c.principal == principal,
                or_(sessions.c.ended.is_(None), sessions.c.ended >= since),
            )
            .order_by(session_grants.c.place)
        )

        async def work(connection: AsyncConnection) -> dict[str, list[Counted]]:
            carrying: dict[str, list[str]] = {}
            for session, grant in await connection.execute(linked):
                carrying.setdefault(session, []).append(grant)
            found: dict[str, list[Counted]] = {}
            for row in (await connection.execute(resting)).mappings():
                known = {k: v for k, v in row.items() if k not in ("use", "version")}
                session_of = Session(**known, grants=tuple(carrying.get(row["id"], ())))
                use = decoded(row["use"]) if row["version"] == VERSION else None
                found.setdefault(session_of.target, []).append(Counted(session_of, use))
            return found

        return await self._database.read(work)

    # --- coverage ---------------------------------------------------------------------------------

    async def beat(self, targets: Sequence[str], now: Time) -> None:
        """The gate is up, and the only way to these targets."""

        async def work(connection: AsyncConnection) -> None:
            for target in targets:
                newest = select(func.max(coverage.c.since)).where(coverage.c.target == target)
                since = (await connection.execute(newest)).scalar_one()
                goes_on = and_(
                    coverage.c.target == target,
                    coverage.c.since == since,
                    coverage.c.until >= now - 2 * BEAT,
                )
                grown = await connection.execute(update(coverage).where(goes_on).values(until=now))
                if not grown.rowcount and since != now:
                    values = {"target": target, "since": now, "until": now}
                    await connection.execute(insert(coverage).values(**values))

        try:
            await self._database.write(work, counts=False)
        except IntegrityError:
            return  # another agent has said the same at the same microsecond

    async def coverage(self, targets: Sequence[str]) -> dict[str, list[Span]]:
        question = select(coverage).where(coverage.c.target.in_(list(targets)))

        async def work(connection: AsyncConnection) -> dict[str, list[Span]]:
            found: dict[str, list[Span]] = {}
            for row in (await connection.execute(question)).mappings():
                found.setdefault(row["target"], []).append(Span(row["since"], row["until"]))
            return found

        return await self._database.read(work)

    # --- reviews ----------------------------------------------------------------------------------

    async def grant_reviews(
        self,
        *,
        ids: Sequence[str] | None = None,
        grant: str | None = None,
        subject: str | None = None,
        reviewer: str | None = None,
        states: Sequence[ItemState] | None = None,
        due: Time | None = None,
        over: Time | None = None,
        limit: int = 500,
    ) -> list[Item]:
        of = grant_reviews.c
        question = select(grant_reviews).order_by(of.made.desc(), of.id).limit(limit)
        if ids is not None:
            question = question.where(of.id.in_(list(ids)))
        if grant is not None:
            question = question.where(of.grant_id == grant)
        if subject is not None:
            question = question.where(of.subject == subject)
        if reviewer is not None:
            question = question.where(of.reviewer == reviewer)
        if states is not None:
            question = question.where(of.state.in_([state.value for state in states]))
        if due is not None:
            question = question.where(or_(of.until.is_(None), of.until <= due))
        if over is not None:
            ended = or_(grants.c.state.not_in([one.value for one in ENDABLE]), ends <= over)
            question = question.join(grants, grants.c.id == of.grant_id).where(ended)

        async def work(connection: AsyncConnection) -> list[Item]:
            found = await connection.execute(question)
            return [_item(row) for row in found.mappings()]

        return await self._database.read(work)

    async def change_review(self, change: ReviewChange) -> bool:
        if change.was is not None and not may_move(change.was, change.item.state):
            words = f"a review that is {change.was.value} cannot become {change.item.state.value}"
            raise ValueError(words)

        async def work(connection: AsyncConnection) -> None:
            await _put_item(connection, change)
            if change.grant is not None:
                await _move_grant(connection, change)
            if change.narrowed is not None:
                await put_in_place(connection, change.item.grant, change.narrowed)
            if change.decision is not None:
                values = rows.decision_values(change.decision)
                await connection.execute(insert(decisions).values(**values))
            if change.bound is not None:
                await _within(connection, change.bound)
            await log(connection, *change.audit)

        try:
            await self._database.write(work)
        except (_Lost, IntegrityError):
            return False
        return True

    async def seal_review(self, grant: str, audit: AuditEvent) -> bool:
        undoable = and_(
            grant_reviews.c.grant_id == grant,
            grant_reviews.c.state == ItemState.REMEDIATING.value,
            grant_reviews.c.until.is_not(None),
        )

        async def work(connection: AsyncConnection) -> bool:
            sealed = await connection.execute(
                update(grant_reviews).where(undoable).values(until=None)
            )
            if sealed.rowcount:
                await log(connection, audit)
            return sealed.rowcount > 0

        return await self._database.write(work)

    async def decided_since(self, actor: str, since: Time) -> list[Decision]:
        question = select(decisions).where(decisions.c.actor == actor, decisions.c.at >= since)

        async def work(connection: AsyncConnection) -> list[Decision]:
            found = await connection.execute(question.order_by(decisions.c.at, decisions.c.id))
            return [rows.decision(row) for row in found.mappings()]

        return await self._database.read(work)

    async def last_answers(self, ids: Sequence[str]) -> dict[str, Decision]:
        """By grant: what its reviewer has answered last."""
        said = [ReviewAnswer.KEEP.value, ReviewAnswer.CANNOT_SAY.value]
        question = (
            select(decisions)
            .where(decisions.c.grant_id.in_(list(ids)), decisions.c.answer.in_(said))
            .order_by(decisions.c.at, decisions.c.id)
        )

        async def work(connection: AsyncConnection) -> dict[str, Decision]:
            found = await connection.execute(question)
            return {row["grant_id"]: rows.decision(row) for row in found.mappings()}

        return await self._database.read(work)


# --- inside a transaction -------------------------------------------------------------------------


async def _put_item(connection: AsyncConnection, change: ReviewChange) -> None:
    values = _values(change.item)
    if change.was is None:
        await connection.execute(insert(grant_reviews).values(**values))
        return
    same = and_(
        grant_reviews.c.id == change.item.id,
        grant_reviews.c.state == change.was.value,
        grant_reviews.c.decision == change.after,
    )
    moved = await connection.execute(update(grant_reviews).where(same).values(**values))
    if moved.rowcount != 1:
        raise _Lost


async def _move_grant(connection: AsyncConnection, change: ReviewChange) -> None:
    """The grant from one state to another; one that ends by itself meanwhile is not there."""
    move = change.grant
    assert move is not None, "the caller has looked"
    same = and_(grants.c.id == change.item.grant, grants.c.state == move.old.value, ends > move.at)
    values: dict[str, Any] = {"state": move.new.value}
    if move.ends:
        values |= {"ended_at": move.at, "ended_by": move.by, "ended_why": rows.plain(move.why)}
    moved = await connection.execute(update(grants).where(same).values(**values))
    if moved.rowcount != 1:
        raise _Lost


async def _within(connection: AsyncConnection, bound: RunBound) -> None:
    """Whoever gives back much at once stands in line here, at their own row."""
    same = principals.c.id == bound.actor
    await connection.execute(update(principals).where(same).values(seen=principals.c.seen))
    question = select(decisions.c.grant_id, decisions.c.answer).where(
        decisions.c.actor == bound.actor, decisions.c.at >= bound.since
    )
    said = [tuple(row) for row in await connection.execute(question)]
    gone = {grant for grant, answer in said if answer == ReviewAnswer.GIVE_BACK.value}
    gone -= {grant for grant, answer in said if answer == ReviewAnswer.UNDO.value}
    if len(gone) > bound.most:
        raise _Lost


async def put_in_place(connection: AsyncConnection, old: str, new: Grant) -> None:
    """The narrower grant, with what budgets have counted on the old one: it begins nothing anew."""
    await connection.execute(insert(grants).values(**rows.grant_values(new)))
    counted = (await connection.execute(select(spent).where(spent.c.grant_id == old))).mappings()
    copied: list[Mapping[str, Any]] = [{**row, "grant_id": new.id} for row in counted]
    if copied:
        await connection.execute(insert(spent), copied)


# --- values ---------------------------------------------------------------------------------------


def _values(item: Item) -> rows.Values:
    return {
        "id": item.id,
        "grant_id": item.grant,
        "subject": item.subject,
        "target": item.target,
        "reviewer": item.reviewer,
        "state": item.state.value,
        "made": item.made,
        "path": " ".join(item.path),
        "answer": item.answer,
        "decision": item.decision,
        "after": item.after,
        "scope": item.scope,
        "until": item.until,
        "proof": rows.plain(item.proof),
        "ended": item.ended,
    }


def _item(row: RowMapping) -> Item:
    return Item(
        id=row["id"],
        grant=row["grant_id"],
        subject=row["subject"],
        target=row["target"],
        state=ItemState(row["state"]),
        made=row["made"],
        path=tuple(row["path"].split()),
        answer=row["answer"],
        decision=row["decision"],
        after=row["after"],
        scope=row["scope"],
        until=row["until"],
        proof=row["proof"],
        ended=row["ended"],
    )
