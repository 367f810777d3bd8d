"""Reviews after their first answer: taken back, confirmed by somebody independent, finished.

Order of the file: taking back, somebody else's word, what is left to do.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from hoopagent.errors import Refused
from hoopagent.means import Means, View
from hoopagent.review_steps import Settling, Steps, decision_view
from hoopagent.store import GrantMove
from hoopcore.access import ENDABLE, LONGEST_REASON, fault_in
from hoopcore.model import Decision, Grant, GrantState, Principal, ReviewAnswer, Time
from hoopcore.review import Item, ItemState, confirms_as


@dataclass(frozen=True, slots=True)
class Confirming:
    """The use cases of an answer that was given."""

    means: Means
    steps: Steps

    # --- taking back ------------------------------------------------------------------------------

    async def undo(self, principal: Principal, id: str) -> View:
        """What was given back is there again, where its ten minutes are not over."""
        async with self.means.trying(principal, "review.undone", id):
            return await self._undo(principal, id)

    async def _undo(self, principal: Principal, id: str) -> View:
        now = await self.means.now()
        item = await self.steps.item(id)
        if item is None or principal.id not in (item.reviewer, item.subject):
            raise Refused(404, "no_review", f"there is no review {id} of yours", "hoop review done")
        grant = await self.means.store.grant(item.grant)
        assert grant is not None, "grants are never removed"
        late = item.until is None or item.until <= now
        if item.state is not ItemState.REMEDIATING or late or item.reviewer != principal.id:
            words = f"{id} cannot be undone any more: it is {item.state.value}"
            if item.reviewer != principal.id:
                words = f"{id} can be undone only by whoever gave it back"
            raise Refused(409, "too_late", words, f"hoop request {item.target} --reason …")
        move = GrantMove(GrantState.SUSPENDED, GrantState.ACTIVE, principal.id, "undone", now)
        undone = replace(item, state=ItemState.UNDONE, ended=now)
        decision = self._short(grant, undone, ReviewAnswer.UNDO, "", principal, now)
        kept = await self.steps.settle(Settling(undone, item, grant, decision, move))
        return {
            "decision": decision_view(decision),
            "review": await self.steps.view(kept),
            "closed": [],
        }

    def _short(
        self,
        grant: Grant,
        item: Item,
        answer: ReviewAnswer,
        reason: str,
        actor: Principal,
        now: Time,
        shown: View | None = None,
    ) -> Decision:
        """A decision about an answer that was given before."""
        kept = {"review": item.id, "about": item.decision, "group": 1, "before": str(grant.scope)}
        text = json.dumps(shown or {}, sort_keys=True, ensure_ascii=False)
        told = json.dumps(kept, sort_keys=True)
        return Decision(self.means.id("dec"), grant.id, actor.id, answer, reason, now, text, told)

    async def done(self, principal: Principal) -> list[View]:
        """What this principal's answers have come to, newest first, with the proofs."""
        store = self.means.store
        items = await store.grant_reviews(subject=principal.id)
        known = {item.id for item in items}
        items += [i for i in await store.grant_reviews(reviewer=principal.id) if i.id not in known]
        return [await self.steps.view(item) for item in items]

    async def one(self, who: Principal, id: str) -> View:
        """A review that this principal was asked about, or may confirm."""
        item = await self.steps.item(id)
        if item is not None and (
            who.id in (item.subject, *item.path) or await self._confirms(who, item) is not None
        ):
            return await self.steps.view(item)
        words = f"there is no review {id} that you may see"
        raise Refused(404, "no_review", words, "hoop review done")

    # --- somebody else's word ---------------------------------------------------------------------

    async def to_confirm(self, actor: Principal) -> list[View]:
        """Answers that wait for this principal's word, with what the reviewer was shown."""
        waiting = await self.means.store.grant_reviews(states=[ItemState.AWAITING])
        return [
            await self._confirming(item)
            for item in waiting
            if await self._confirms(actor, item) is not None
        ]

    async def confirm(self, actor: Principal, id: str, answer: ReviewAnswer, reason: str) -> View:
        """An independent person confirms an answer, or takes the grant away."""
        async with self.means.trying(actor, "review.confirmed", id):
            return await self._confirm(actor, id, answer, reason)

    async def _confirm(self, actor: Principal, id: str, answer: ReviewAnswer, reason: str) -> View:
        now = await self.means.now()
        item, reason = await self.steps.item(id), reason.strip()
        as_what = None if item is None else await self._confirms(actor, item)
        if item is None or as_what is None:
            words = f"there is no review {id} that you may confirm"
            raise Refused(404, "no_review", words, "hoop review confirm")
        fault = fault_in(reason, LONGEST_REASON) if reason else "is missing"
        if fault is not None:
            raise Refused(422, "reason", f"the reason {fault}", 'Say why:  --reason "…"')
        if item.state is not ItemState.AWAITING:
            words = f"{id} is {item.state.value}: nobody waits for a word on it"
            raise Refused(409, "decided", words, "hoop review confirm")
        grant = await self.means.store.grant(item.grant)
        assert grant is not None, "grants are never removed"
        shown = await self._confirming(item)
        settled, move = self._overruled(item, grant, answer, reason, actor, now)
        decision = self._short(grant, settled, answer, reason, actor, now, shown)
        kept = await self.steps.settle(Settling(settled, item, grant, decision, move))
        closed: list[str] = []
        if move is not None:
            closed = await self.steps.grants.close_sessions(grant.id)
            kept = await self.steps.finish(kept, now)
        return {
            "decision": decision_view(decision),
            "review": await self.steps.view(kept),
            "closed": closed,
        }

    def _overruled(
        self,
        item: Item,
        grant: Grant,
        answer: ReviewAnswer,
        reason: str,
        actor: Principal,
        now: Time,
    ) -> tuple[Item, GrantMove | None]:
        if grant.state not in ENDABLE or grant.ends <= now:
            words = f"{grant.id} has ended already, so there is nothing to decide"
            raise Refused(409, "moot", words, "hoop review confirm")
        if answer is ReviewAnswer.CONFIRM:
            return replace(item, state=ItemState.CONFIRMED, ended=now), None
        taken = replace(item, state=ItemState.REMEDIATING, scope=str(grant.scope))
        move = GrantMove(grant.state, GrantState.REVOKED, actor.id, reason, now)
        return taken, move

    async def _confirms(self, actor: Principal, item: Item) -> str | None:
        store = self.means.store
        subject = await store.principal(item.subject)
        grant = await store.grant(item.grant)
        request = None if grant is None else await store.request(grant.request)
        rule = None if request is None else request.rule
        target, administers = self.means.target(item.target), self.means.administers(actor)
        return confirms_as(actor, subject, item, target, rule, administers)

    async def _confirming(self, item: Item) -> View:
        """The answer, what the reviewer was shown, and the suggestion that they were not."""
        decisions = await self.means.store.decisions(item.grant)
        answer = next((one for one in decisions if one.id == item.decision), None)
        told = json.loads(answer.told) if answer is not None and answer.told else {}
        return {
            **await self.steps.view(item),
            "reason": "" if answer is None else answer.reason,
            "evidence": json.loads(answer.evidence) if answer is not None else {},
            "suggestion": told.get("suggestion") or None,
            "opened": told.get("opened", []),
            "took": told.get("took", 0),
        }

    # --- what is left to do -----------------------------------------------------------------------

    async def sweep(self, now: Time) -> None:
        """Ends for good what can be undone no more, looks for refusals, and drops what is moot."""
        store = self.means.store
        states = [ItemState.REMEDIATING, ItemState.FAILED]
        for item in await store.grant_reviews(states=states, due=now):
            await self.steps.finish(item, now)
        waiting = [ItemState.DELEGATED, ItemState.AWAITING]
        for item in await store.grant_reviews(states=waiting, over=now):
            await self.steps.moot(item, now)
