"""The store's part about break-glass, reviews of it, people who have left, and what was told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping, exists, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hoopagent.store import rows
from hoopagent.store.audit import log
from hoopagent.store.database import Database
from hoopagent.store.life import check_stays
from hoopagent.store.tables import (
    grants,
    principals,
    reminders,
    requests,
    review_items,
    tokens,
)
from hoopcore.access.glass import ItemState, ReviewItem
from hoopcore.model import AuditEvent, Grant, GrantState, Request, RequestState, Time

_LIVE = [GrantState.ACTIVE.value, GrantState.SUSPENDED.value, GrantState.SCHEDULED.value]


class Glass:
    _database: Database

    # --- break-glass

    async def break_glass(
        self, request: Request, grant: Grant, item: ReviewItem, events: Sequence[AuditEvent]
    ) -> bool:
        """Request, grant and review item at once; False where one of theirs was not looked at yet.

        ValueError where the request's key was used before.
        """

        async def work(connection: AsyncConnection) -> bool:
            await check_stays(connection, request.requester)
            pending = await connection.execute(select(_pending_of(request.requester)))
            if pending.scalar_one():
                return False
            values = rows.request_values(request) | {"state": RequestState.FULFILLED.value}
            await connection.execute(insert(requests).values(**values))
            await connection.execute(insert(grants).values(**rows.grant_values(grant)))
            await connection.execute(insert(review_items).values(**_item_values(item)))
            await log(connection, *events)
            return True

        try:
            return await self._database.write(work)
        except IntegrityError as problem:
            if await self.review_items(principal=request.requester, state=ItemState.PENDING):
                return False  # two at once: the other one was first
            raise ValueError(f"request {request.id} does not fit what is stored") from problem

    async def review_items(
        self,
        *,
        principal: str | None = None,
        state: ItemState | None = None,
        due_by: Time | None = None,
        ids: Sequence[str] | None = None,
        limit: int = 200,
    ) -> list[ReviewItem]:
        """Those that are due first come first."""
        question = select(review_items).order_by(review_items.c.due, review_items.c.id).limit(limit)
        if principal is not None:
            question = question.where(review_items.c.principal == principal)
        if state is not None:
            question = question.where(review_items.c.state == state.value)
        if due_by is not None:
            question = question.where(review_items.c.due <= due_by)
        if ids is not None:
            question = question.where(review_items.c.id.in_(list(ids)))

        async def work(connection: AsyncConnection) -> list[ReviewItem]:
            found = await connection.execute(question)
            return [_item(row) for row in found.mappings()]

        return await self._database.read(work)

    async def decide_item(
        self, id: str, state: ItemState, by: str, reason: str, at: Time, audit: AuditEvent
    ) -> bool:
        """False where somebody has said so already."""

        async def work(connection: AsyncConnection) -> bool:
            decided = await connection.execute(
                update(review_items)
                .where(review_items.c.id == id, review_items.c.state == ItemState.PENDING.value)
                .values(state=state.value, decided_at=at, decided_by=by, reason=rows.plain(reason))
            )
            if decided.rowcount == 1:
                await log(connection, audit)
            return decided.rowcount == 1

        return await self._database.write(work)

    # --- people who have left

    async def has_left(self, principal: str) -> bool:
        async def work(connection: AsyncConnection) -> bool:
            question = select(principals.c.left_at).where(principals.c.id == principal)
            return (await connection.execute(question)).scalar_one_or_none() is not None

        return await self._database.read(work)

    async def leave(
        self, principal: str, by: str, why: str, at: Time, audit: AuditEvent
    ) -> tuple[list[str], list[str]]:
        """Ends all that somebody has, and keeps them out: (ids of grants, ids of requests)."""

        async def work(connection: AsyncConnection) -> tuple[list[str], list[str]]:
            await connection.execute(
                update(principals).where(principals.c.id == principal).values(left_at=at)
            )
            await connection.execute(
                update(tokens).where(tokens.c.principal == principal).values(revoked=True)
            )
            withdrawn = await _withdraw(connection, principal)
            ended = await _end_all(connection, principal, by, why, at)
            told = {"reason": why, "capacity": "leaver", "principal": principal}
            told |= {"policy": audit.detail["policy"]} if "policy" in audit.detail else {}
            events = [AuditEvent(at, by, "request.cancelled", id, told) for id in withdrawn]
            events += [
                AuditEvent(at, by, "grant.revoked", id, told | {"target": target})
                for id, target in sorted(ended.items())
            ]
            await log(connection, audit, *events)
            return sorted(ended), withdrawn

        return await self._database.write(work)

    async def come_back(self, principal: str, audit: AuditEvent) -> bool:
        """Whether somebody had left, and may sign in again."""

        async def work(connection: AsyncConnection) -> bool:
            back = await connection.execute(
                update(principals)
                .where(principals.c.id == principal, principals.c.left_at.is_not(None))
                .values(left_at=None)
            )
            if back.rowcount == 1:
                await log(connection, audit)
            return back.rowcount == 1

        return await self._database.write(work)

    # --- what is told once

    async def remind(self, subject: str, event: str, audit: AuditEvent) -> bool:
        """Whether this was told for the first time, and is on the audit now."""

        async def work(connection: AsyncConnection) -> bool:
            await connection.execute(insert(reminders).values(subject=subject, event=event))
            await log(connection, audit)
            return True

        try:
            return await self._database.write(work, counts=False)
        except IntegrityError:
            return False

    async def reminded(
        self, subjects: Sequence[str], events: Sequence[str]
    ) -> dict[str, list[str]]:
        question = (
            select(reminders.c.subject, reminders.c.event)
            .where(reminders.c.subject.in_(list(subjects)), reminders.c.event.in_(list(events)))
            .order_by(reminders.c.subject, reminders.c.event)
        )

        async def work(connection: AsyncConnection) -> dict[str, list[str]]:
            found: dict[str, list[str]] = {}
            for subject, event in await connection.execute(question):
                found.setdefault(subject, []).append(event)
            return found

        return await self._database.read(work)

    async def ending(self, after: Time, by: Time) -> list[Grant]:
        """Active grants that end in between, of which nobody was reminded."""
        reminded = exists().where(
            reminders.c.subject == grants.c.id, reminders.c.event == "grant.expiring"
        )
        question = select(grants).where(
            grants.c.state == GrantState.ACTIVE.value,
            grants.c.not_after > after,
            grants.c.not_after <= by,
            ~reminded,
        )

        async def work(connection: AsyncConnection) -> list[Grant]:
            found = await connection.execute(question)
            return [rows.grant(row) for row in found.mappings()]

        return await self._database.read(work)


# --- inside a transaction -------------------------------------------------------------------------


async def _withdraw(connection: AsyncConnection, principal: str) -> list[str]:
    """Takes back what somebody has asked for and nobody has decided."""
    withdrawn = await connection.execute(
        update(requests)
        .where(requests.c.requester == principal, requests.c.state == RequestState.PENDING.value)
        .values(state=RequestState.CANCELLED.value)
        .returning(requests.c.id)
    )
    return sorted(withdrawn.scalars())


async def _end_all(
    connection: AsyncConnection, principal: str, by: str, why: str, at: Time
) -> dict[str, str]:
    """Revokes every grant of theirs that has not ended: ids, and their targets."""
    ended = await connection.execute(
        update(grants)
        .where(grants.c.principal == principal, grants.c.state.in_(_LIVE), grants.c.not_after > at)
        .values(
            state=GrantState.REVOKED.value,
            ended_at=at,
            ended_by=by,
            ended_why=rows.plain(why),
        )
        .returning(grants.c.id, grants.c.target)
    )
    return {str(row.id): str(row.target) for row in ended}


# --- values ---------------------------------------------------------------------------------------


def _pending_of(principal: str) -> Any:
    return (
        select(review_items.c.id)
        .where(
            review_items.c.principal == principal,
            review_items.c.state == ItemState.PENDING.value,
        )
        .exists()
    )


def _item_values(item: ReviewItem) -> rows.Values:
    return {
        "id": item.id,
        "grant_id": item.grant,
        "principal": item.principal,
        "target": item.target,
        "made": item.made,
        "due": item.due,
        "state": item.state.value,
        "decided_at": item.decided_at,
        "decided_by": item.decided_by,
        "reason": rows.plain(item.reason),
    }


def _item(row: RowMapping) -> ReviewItem:
    return ReviewItem(
        row["id"],
        row["grant_id"],
        row["principal"],
        row["target"],
        row["made"],
        row["due"],
        ItemState(row["state"]),
        row["decided_at"],
        row["decided_by"],
        row["reason"],
    )
