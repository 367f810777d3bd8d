"""The steps that every answer to a review goes through: settled, told, finished.

What follows from an answer is one transaction of the store; the grant's sessions are closed right
after; and a removal is done when the gate was seen to refuse (``removal.py``).

Order of the file: settling, finishing, how it looks from outside.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from hoopagent.errors import Refused
from hoopagent.grants import Grants
from hoopagent.means import Means, View, person, time_or_none
from hoopagent.removal import probe
from hoopagent.store import GrantMove, ReviewChange, RunBound
from hoopcore.access import ENDABLE
from hoopcore.model import (
    SYSTEM,
    AuditEvent,
    Decision,
    Grant,
    GrantState,
    Principal,
    ReviewAnswer,
    Time,
    rfc3339,
)
from hoopcore.review import Item, ItemState
from hoopcore.usage import Shape

log = structlog.get_logger()

_PAST = {
    ReviewAnswer.KEEP: "kept",
    ReviewAnswer.NARROW: "narrowed",
    ReviewAnswer.GIVE_BACK: "given-back",
    ReviewAnswer.DELEGATE: "delegated",
    ReviewAnswer.CANNOT_SAY: "cannot-say",
    ReviewAnswer.UNDO: "undone",
    ReviewAnswer.CONFIRM: "confirmed",
    ReviewAnswer.OVERRIDE: "overridden",
}


@dataclass(frozen=True, slots=True)
class Settling:
    """An answer, and what it does: ``was`` None where the item is new."""

    item: Item
    was: Item | None
    grant: Grant
    decision: Decision
    move: GrantMove | None = None
    narrowed: Grant | None = None
    bound: RunBound | None = None


@dataclass(frozen=True, slots=True)
class Steps:
    means: Means
    grants: Grants

    # --- settling ---------------------------------------------------------------------------------

    async def settle(self, what: Settling) -> Item:
        """In one transaction; Refused where somebody else was first."""
        kept = replace(what.item, decision=what.decision.id)
        change = ReviewChange(
            item=kept,
            was=None if what.was is None else what.was.state,
            after="" if what.was is None else what.was.decision,
            decision=what.decision,
            grant=what.move,
            narrowed=what.narrowed,
            bound=what.bound,
            audit=self._events(what, kept),
        )
        if not await self.means.store.change_review(change):
            words = f"something has happened to {what.grant.id} meanwhile, so nothing was changed"
            raise Refused(409, "changed", words, "Look again:  hoop review mine")
        return kept

    def _events(self, what: Settling, item: Item) -> tuple[AuditEvent, ...]:
        decision, grant, move, event = what.decision, what.grant, what.move, self.means.event
        about = {"target": grant.target, "principal": grant.principal, "grant": grant.id}
        asked = item.reviewer if decision.answer is ReviewAnswer.DELEGATE else ""
        events = [
            event(
                decision.at, decision.actor, f"review.{past(decision.answer)}", item.id,
                decision=decision.id, reason=decision.reason, to=item.state.value, asked=asked,
                **about,
            )
        ]  # fmt: skip
        if move is not None:
            name = "resumed" if move.new is GrantState.ACTIVE else move.new.value
            events.append(
                event(
                    decision.at, move.by, f"grant.{name}", grant.id, reason=move.why,
                    capacity="holder" if grant.principal == move.by else "reviewer",
                    to=move.new.value, target=grant.target, **{"from": move.old.value},
                )
            )  # fmt: skip
        if what.narrowed is not None:
            less = what.narrowed
            events.append(
                event(
                    decision.at, decision.actor, "grant.made", less.id, request=grant.request,
                    principal=grant.principal, target=grant.target, scope=less.scope,
                    until=rfc3339(less.ends), supersedes=grant.id,
                    soft=less.soft.scope if less.soft else "",
                    soft_until=rfc3339(less.soft.until) if less.soft else "",
                )
            )  # fmt: skip
        return tuple(events)

    # --- finishing --------------------------------------------------------------------------------

    async def finish(self, item: Item, now: Time, tried: Sequence[Shape] = ()) -> Item:
        """Ends the grant where its time to be undone is over, and asks the gate for it."""
        if item.until is not None and item.until > now:
            return item
        store = self.means.store
        grant = await store.grant(item.grant)
        if grant is not None and grant.state in ENDABLE:
            actor = await store.principal(item.reviewer)
            if actor is not None:
                await self._relinquish(grant, actor, now)
        proof = await probe(self.means, item, now, tried)
        state = ItemState.VERIFIED if proof["refused"] else ItemState.FAILED
        if state is ItemState.FAILED:
            log.error("review.not_verified", review=item.id, grant=item.grant)
            if item.state is ItemState.FAILED:
                return item
        text = json.dumps(proof, sort_keys=True, ensure_ascii=False)
        done = replace(item, state=state, proof=text, ended=now)
        event = self.means.event(
            now, SYSTEM, f"review.{state.value}", item.id, grant=item.grant, target=item.target,
            principal=item.subject, said=proof["said"], checks=len(proof["checks"]),
            also=" ".join(proof["also"]), soft_until=proof["soft_until"] or "",
        )  # fmt: skip
        change = ReviewChange(done, item.state, item.decision, audit=(event,))
        return done if await store.change_review(change) else item

    async def _relinquish(self, grant: Grant, actor: Principal, now: Time) -> None:
        why, state = "given back in a review", GrantState.RELINQUISHED
        event = self.means.event(
            now, actor.id, "grant.relinquished", grant.id, reason=why,
            capacity="holder" if actor.id == grant.principal else "reviewer",
            **{"from": grant.state.value},
        )  # fmt: skip
        await self.means.store.end_grant(grant.id, state, actor.id, why, now, event)
        await self.grants.end_extensions(grant, state, actor, now)
        await self.grants.close_sessions(grant.id)

    async def moot(self, item: Item, now: Time) -> None:
        """Its grant has ended meanwhile."""
        over = replace(item, state=ItemState.MOOT, ended=now)
        event = self.means.event(now, SYSTEM, "review.moot", item.id, grant=item.grant)
        change = ReviewChange(over, item.state, item.decision, audit=(event,))
        await self.means.store.change_review(change)

    # --- how it looks from outside ----------------------------------------------------------------

    async def item(self, id: str) -> Item | None:
        found = await self.means.store.grant_reviews(ids=[id])
        return found[0] if found else None

    async def view(self, item: Item) -> View:
        """The item as the API gives it."""
        known = await self.means.store.principals(sorted({item.subject, *item.path}))
        undoable = item.state is ItemState.REMEDIATING
        return {
            "id": item.id,
            "grant": item.grant,
            "target": item.target,
            "subject": person(item.subject, known),
            "reviewer": person(item.reviewer, known),
            "state": item.state.value,
            "answer": item.answer,
            "made": rfc3339(item.made),
            "after": item.after or None,
            "undo_until": time_or_none(item.until) if undoable else None,
            "proof": json.loads(item.proof) if item.proof else None,
            "ended": time_or_none(item.ended),
        }


def past(answer: ReviewAnswer) -> str:
    """What was done, as the audit has it."""
    return _PAST[answer]


def decision_view(decision: Decision) -> View:
    return {
        "id": decision.id,
        "grant": decision.grant,
        "actor": decision.actor,
        "answer": decision.answer.value,
        "reason": decision.reason,
        "at": rfc3339(decision.at),
    }
