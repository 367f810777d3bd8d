"""Looking back at one's own grants: what each was for, what was done with it, and what now.

A review only ever reduces.  Keeping changes nothing about the grant's end; giving back ends it, and
its sessions, at once; narrowing puts a smaller one in its place.  Nobody's silence is an answer.

What follows from an answer is ``review_steps.py``; what comes after it ``confirming.py``.

Order of the file: looking, answering, whose it is, the breaker.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from hoopagent.errors import Refused
from hoopagent.grants import Grants, grant_view, soft_view
from hoopagent.means import Means, View
from hoopagent.review_due import due
from hoopagent.review_evidence import Found, Looked, evidence_of, look, soft_if_narrowed
from hoopagent.review_steps import Settling, Steps, decision_view, past
from hoopagent.store import GrantMove, RunBound
from hoopcore.model import (
    Decision,
    Grant,
    Principal,
    ReviewAnswer,
    Scope,
    Session,
    Tier,
    Time,
    rfc3339,
)
from hoopcore.policy.scope import missing
from hoopcore.review import (
    OPEN,
    Fault,
    Group,
    Item,
    ItemState,
    Outcome,
    Said,
    most_ended,
    ordered,
    outcome,
    trips,
)
from hoopcore.review.breaker import RUN
from hoopcore.usage import Shape, Use, fold, replay, wanted_by

_STATUS = {"reason": 422, "scope": 422, "until": 422, "to": 422, "group": 422, "answer": 422}


@dataclass(frozen=True, slots=True)
class Told:
    """What belongs to an answer, and is kept with it."""

    opened: tuple[str, ...] = ()  # what the reviewer has looked at
    took: int = 0  # seconds
    sure: bool = False  # they know that it ends much at once


NOTHING_TOLD = Told()


@dataclass(frozen=True, slots=True)
class Reviews:
    """``read`` reads a session's recording; whatever it raises means that it cannot be read."""

    means: Means
    grants: Grants
    read: Callable[[Session], Use]

    @property
    def steps(self) -> Steps:
        return Steps(self.means, self.grants)

    # --- looking ----------------------------------------------------------------------------------

    async def mine(self, principal: Principal) -> list[View]:
        """Each live grant, hardest first, and what others have handed to this principal."""
        now = self.means.clock()
        live = await self.means.store.grants(principal=principal.id, live_at=now)
        looked = await look(self.means, self.read, principal, live, now)
        found = [evidence_of(self.means, looked, grant) for grant in live]
        for item in await self._handed(principal):
            one = await self._evidence(item.grant, now, principal.id)
            if one is not None:
                found.append(one[1]._replace(view={**one[1].view, "handed": True}))
        found.sort(key=lambda one: (ordered(Group(one.view["group"])), one.view["not_after"]))
        why = await due(self.means, [one.id for one in live], now)
        return [{**self._shown(one), "due": why.get(one.view["grant"], [])} for one in found]

    async def _handed(self, principal: Principal) -> list[Item]:
        states = [ItemState.DELEGATED]
        return await self.means.store.grant_reviews(reviewer=principal.id, states=states)

    def _shown(self, found: Found) -> View:
        """What a reviewer sees: on a high tier without a suggestion, until they have answered."""
        hidden = found.tier is Tier.HIGH
        return {
            "handed": False,
            **found.view,
            "suggestion": None if hidden else found.suggestion or None,
        }

    async def card(self, principal: Principal, id: str) -> View:
        """One grant that is this principal's, or was handed to them, as ``mine`` has it."""
        grant, _ = await self._theirs(principal, id)
        found = await self._evidence(grant.id, self.means.clock(), principal.id)
        assert found is not None, "it was there just now"
        why = await due(self.means, [grant.id], self.means.clock())
        return {**self._shown(found[1]), "due": why.get(id, [])}

    async def evidence(self, grant: Grant) -> View:
        """What was done with one grant, for whoever looks back at it."""
        now = self.means.clock()
        found = await self._evidence(grant.id, now)
        return {} if found is None else found[1].view

    async def _evidence(
        self, id: str, now: Time, reviewer: str = ""
    ) -> tuple[Grant, Found, Looked] | None:
        store = self.means.store
        grant = await store.grant(id)
        subject = None if grant is None else await store.principal(grant.principal)
        if grant is None or subject is None:
            return None
        looked = await look(self.means, self.read, subject, [grant], now)
        return grant, evidence_of(self.means, looked, grant, reviewer), looked

    async def replayed(self, principal: Principal, id: str, scope: Scope) -> View:
        """How many recorded statements would pass under this scope.  Nothing is decided."""
        grant, item = await self._theirs(principal, id)
        if not grant.scope.covers(scope):
            words = f'"{scope}" is not within what {id} has: "{grant.scope}"'
            raise Refused(422, "scope", words)
        found = await self._evidence(item.grant, self.means.clock())
        assert found is not None, "it was there just now"
        history = found[1].history
        passing = replay(scope, history.done, soft_if_narrowed(self.means, grant, principal.id))
        return {
            "grant": id,
            "scope": str(scope),
            "passed": passing.passed,
            "held": passing.held,
            "of": passing.of,
            "exact": not history.inexact and not passing.perhaps,
            "outside": list(passing.outside[:20]),
        }

    # --- answering --------------------------------------------------------------------------------

    async def decide(
        self, principal: Principal, id: str, said: Said, told: Told = NOTHING_TOLD
    ) -> View:
        """Keeps the answer with what was shown, and does what follows from it."""
        async with self.means.trying(principal, f"review.{past(said.answer)}", id):
            return await self._decide(principal, id, said, told)

    async def _decide(self, principal: Principal, id: str, said: Said, told: Told) -> View:
        now = await self.means.now()
        said = replace(said, reason=said.reason.strip())
        grant, item = await self._theirs(principal, id)
        found = await self._evidence(id, now, principal.id)
        assert found is not None, "it was there just now"
        _, shown, looked = found
        new = self.means.id("grt")
        soft = self.means.soft_for(grant.target)
        settled = outcome(said, item, grant, shown.tier, principal, now, new, soft)
        if isinstance(settled, Fault):
            raise self._refused(settled, id)
        bound = None
        if said.answer is ReviewAnswer.GIVE_BACK:
            bound = await self._bound(principal, id, told, now)
        decision = self._decision(settled, said, told, shown, grant, principal, now)
        was = None if item.state is ItemState.PENDING else item
        move = _move(settled, decision, grant)
        kept = await self.steps.settle(
            Settling(settled.item, was, grant, decision, move, settled.narrowed, bound)
        )
        closed: list[str] = []
        if move is not None:
            closed = await self.grants.close_sessions(grant.id)
            kept = await self.steps.finish(kept, now, _outside(settled, looked, grant))
        request = looked.requests.get(grant.request)
        less = settled.narrowed
        return {
            "decision": decision_view(decision),
            "review": await self.steps.view(kept),
            "closed": closed,
            "suggestion": shown.suggestion or None,
            "narrowed": None if less is None else grant_view(less, request, {}, now),
        }

    def _decision(
        self,
        settled: Outcome,
        said: Said,
        told: Told,
        shown: Found,
        grant: Grant,
        actor: Principal,
        now: Time,
    ) -> Decision:
        after = grant.scope if settled.narrowed is None else settled.narrowed.scope
        until = grant.ends if settled.narrowed is None else settled.narrowed.ends
        kept = {
            "review": settled.item.id,
            "opened": list(told.opened[:50]),
            "took": told.took,
            "group": said.group,
            "suggestion": shown.suggestion,
            "hidden": shown.tier is Tier.HIGH,
            "before": {"scope": str(grant.scope), "until": rfc3339(grant.ends)},
            "after": None
            if said.answer is ReviewAnswer.GIVE_BACK
            else {"scope": str(after), "until": rfc3339(until)},
        }
        if settled.narrowed is not None:
            kept["soft"] = soft_view(settled.narrowed, now)
        return Decision(
            self.means.id("dec"),
            grant.id,
            actor.id,
            said.answer,
            said.reason,
            now,
            json.dumps(shown.view, sort_keys=True, ensure_ascii=False),
            json.dumps(kept, sort_keys=True, ensure_ascii=False),
        )

    # --- whose it is ------------------------------------------------------------------------------

    async def _theirs(self, principal: Principal, id: str) -> tuple[Grant, Item]:
        """A grant that is this principal's, or was handed to them, and what is asked about it."""
        store = self.means.store
        grant = await store.grant(id)
        items = [] if grant is None else await store.grant_reviews(grant=id, states=sorted(OPEN))
        item = items[0] if items else None
        mine = grant is not None and grant.principal == principal.id
        if grant is None or not (mine or (item is not None and item.reviewer == principal.id)):
            words = f"there is no grant {id} of yours"
            raise Refused(404, "no_grant", words, "hoop review mine")
        if item is None:
            now, new = await self.means.now(), self.means.id("rev")
            path = (principal.id,)
            item = Item(new, id, grant.principal, grant.target, ItemState.PENDING, now, path)
        return grant, item

    def _refused(self, fault: Fault, id: str) -> Refused:
        hint = "hoop review mine"
        if fault.error == "reason":
            hint = f'Say why:  hoop review mine --keep {id} --reason "…"'
        elif fault.error == "moot":
            hint = "hoop grants"
        status = _STATUS.get(fault.error, 403 if fault.error == "not_yours" else 409)
        return Refused(status, fault.error, fault.message, hint)

    # --- the breaker ------------------------------------------------------------------------------

    async def _bound(self, actor: Principal, id: str, told: Told, now: Time) -> RunBound | None:
        """Stops a run that would end too much: what was ended within some minutes counts.

        What it gives is looked at once more in the transaction, for runs side by side.
        """
        if told.sure:
            return None
        store = self.means.store
        done = await store.decided_since(actor.id, now - RUN)
        gone = {one.grant for one in done if one.answer is ReviewAnswer.GIVE_BACK}
        gone -= {one.grant for one in done if one.answer is ReviewAnswer.UNDO}
        live = await store.grants(principal=actor.id, live_at=now)
        if not trips(len(gone), 1, len(live)):
            return RunBound(actor.id, now - RUN, most_ended(len(gone), len(live)))
        words = f"that would end {len(gone) + 1} of your {len(gone) + len(live)} grants at once"
        hint = f"If it is meant:  hoop review mine --give-back {id} --sure"
        refused = Refused(409, "too_many", words, hint)
        raise await self.means.refuse(now, actor, "review.given-back", id, refused)


# --- values ---------------------------------------------------------------------------------------


def _move(settled: Outcome, decision: Decision, grant: Grant) -> GrantMove | None:
    if settled.grant is None:
        return None
    why = decision.reason or f"{past(decision.answer).replace('-', ' ')} in a review"
    return GrantMove(grant.state, settled.grant, decision.actor, why, decision.at)


def _outside(settled: Outcome, looked: Looked, grant: Grant) -> list[Shape]:
    """Recorded shapes that the narrowed grant lets through no more."""
    if settled.narrowed is None or grant.target not in looked.uses:
        return []
    done = fold(looked.uses[grant.target].pairs, grant.scope).done
    scope = settled.narrowed.scope
    return [one for one in done if missing(scope, wanted_by(one)) is not None]
