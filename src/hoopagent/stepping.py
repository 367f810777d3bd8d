"""Step-ups: a statement within what a grant was narrowed from, held, answered, and learned.

Whether it may be learned is asked of the store each time anew: when somebody is asked, when who has
said it answers by themselves, and in the end.  What happened to the grant in between (it ended, was
suspended, narrowed again, its quiet period is over) is then true, and nothing is learned.

An answer of one's own is no vote: it stands in the held statement, with its reason, and on the
audit as ``step-up.confirmed``.  Everything else about a held statement is ``holds.py``.

Order of the file: asking, answering by oneself, learning.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from hoopagent.errors import Refused
from hoopagent.hold import Case
from hoopagent.means import Means, View
from hoopagent.request_views import view
from hoopagent.store import Taught
from hoopagent.suspended import suspended
from hoopcore.access import (
    LONGEST_REASON,
    answers_oneself,
    fault_in,
    has_all,
    holds,
    learner,
    taught,
)
from hoopcore.model import (
    SYSTEM,
    Atom,
    AuditEvent,
    Confirmed,
    Grant,
    Principal,
    Request,
    RequestState,
    Scope,
    Target,
    Time,
    rfc3339,
)
from hoopcore.review import ItemState

GONE = "your grant was narrowed, and the time in which that could be had again is over"

# Tries to be the one who changes a grant that others change too.
_TRIES = 5
# Questions that somebody is asked about a grant: until they are answered it stays what it is.
_ASKED = (ItemState.DELEGATED, ItemState.AWAITING)


@dataclass(frozen=True, slots=True)
class StepUps:
    means: Means

    # --- asking -----------------------------------------------------------------------------------

    async def told(self, case: Case, now: Time) -> Case:
        """The same, with whether who has said it may answer by themselves."""
        own = await self._own(case.principal, case.target.name, case.terms.held_too, now)
        return replace(case, held=replace(case.held, own=own))

    async def _own(self, who: Principal, target: str, held_too: bool, now: Time) -> bool:
        """On the target as it is now; not while somebody has suspended what they have there."""
        there = self.means.target(target)
        if there is None or not answers_oneself(who.kind, there, held_too=held_too):
            return False
        return await suspended(self.means, who, target, now) is None

    async def is_open(self, case: Case, now: Time) -> bool:
        """Whether a grant of the session is still soft for all of this, or has it already."""
        live, atoms = await self._live(case, now), case.terms.learns
        return has_all(live, atoms) or (
            bool(self._period(case)) and learner(live, atoms, now) is not None
        )

    def _period(self, case: Case) -> int:
        return self.means.soft_for(case.target.name)

    async def _live(self, case: Case, now: Time) -> list[Grant]:
        """The grants of now that the session rests on, by the requests behind them."""
        store = self.means.store
        resting = [await store.grant(id) for id in case.grants]
        behind = {grant.request for grant in resting if grant is not None}
        target: Target | None = self.means.target(case.target.name)
        standing = await store.standing(case.principal.id, case.target.name, now)
        return [
            grant
            for grant in standing.grants
            if target is not None and grant.request in behind and holds(grant, target, now)
        ]

    # --- answering by oneself ---------------------------------------------------------------------

    async def confirm(self, who: Principal, id: str, reason: str) -> View:
        """Says why it is needed, and lets it run.  Once more changes nothing."""
        means, reason = self.means, reason.strip()
        now = await means.now()
        request = await means.store.request(id)
        if request is None or request.requester != who.id or request.held is None:
            words = f"there is no held statement {id} of yours"
            refused = Refused(404, "no_request", words, "hoop requests --mine")
            raise refused if request is None else await self._no(now, who, id, refused)
        said = request.held.confirmed
        if said is not None and said.reason == reason:
            return await view(means, request, now)
        await self._check(who, request, reason, now)
        shown = hashlib.sha256(
            json.dumps(asdict(request.held), sort_keys=True).encode()
        ).hexdigest()
        event = means.event(
            now, who.id, "step-up.confirmed", id, reason=reason, capacity="holder", shown=shown,
            target=request.target, session=request.held.session, learns=_words(request),
        )  # fmt: skip
        if not await means.store.confirm_hold(request, Confirmed(who.id, reason, now), event):
            request = await means.store.request(id) or request
            words = f"{id} does not wait any more: it is {request.state.value}"
            refused = Refused(409, "not_pending", words, f"Look at it:  hoop requests {id}")
            raise await self._no(now, who, id, refused)
        return await view(means, await means.store.request(id) or request, now)

    async def _check(self, who: Principal, request: Request, reason: str, now: Time) -> None:
        """Refused where this is not theirs to answer, or no answer."""
        held, id = request.held, request.id
        assert held is not None, "the caller has looked"
        # ``own`` was said when it was held; what has changed since then counts too.
        own = held.own and bool(held.learns)
        if not own or not await self._own(who, request.target, False, now):
            groups = request.rule.voters() or "those who look after the target"
            words = f"{id} is not yours to answer: it wants an approval"
            hint = f"Somebody of {groups} has to:  hoop approve {id}"
            raise await self._no(now, who, id, Refused(403, "not_own", words, hint))
        fault = fault_in(reason, LONGEST_REASON) if reason else "is missing"
        if fault is not None:
            hint = f'Say why:  hoop step-up {id} --reason "…"'
            raise Refused(422, "reason", f"the reason {fault}", hint)
        if request.state is not RequestState.PENDING or now >= request.expires:
            state = "expired" if now >= request.expires else request.state.value
            words = f"{id} does not wait any more: it is {state}"
            refused = Refused(409, "not_pending", words, f"Look at it:  hoop requests {id}")
            raise await self._no(now, who, id, refused)

    async def _no(self, now: Time, who: Principal, id: str, refused: Refused) -> Refused:
        return await self.means.refuse(now, who, "step-up.confirmed", id, refused)

    # --- learning ---------------------------------------------------------------------------------

    async def learn(
        self, case: Case, id: str, used: AuditEvent, by: Sequence[str], now: Time
    ) -> tuple[str, Grant | None]:
        """Uses the approval and teaches the grant, in one transaction.

        Why that cannot be, empty where it was; and the grant that has learned, if one had to.
        """
        store, atoms = self.means.store, case.terms.learns
        said = by or [case.principal.id]
        for _ in range(_TRIES):
            live = await self._live(case, now)
            if has_all(live, atoms) and live:
                done = await store.use_hold(id, used)
                return "" if done else f"{id} was used already", None
            old = learner(live, atoms, now) if self._period(case) else None
            if old is None:
                return GONE, None
            if await store.grant_reviews(grant=old.id, states=_ASKED):
                done = await store.use_hold(id, used)
                return "" if done else f"{id} was used already", None
            new = taught(old, atoms, self._period(case), now, self.means.id("grt"))
            why = f"it has learned by {id}"
            change = Taught(old, new, said[0], why, now)
            events = (used, *self._events(old, new, id, atoms, said, why, now))
            if await store.use_hold(id, *events, taught=change):
                return "", new
            request = await store.request(id)
            if request is None or request.state is not RequestState.APPROVED:
                return f"{id} was used already", None
        return "its grant is changed too often by others", None

    def _events(
        self,
        old: Grant,
        new: Grant,
        id: str,
        atoms: frozenset[Atom],
        by: Sequence[str],
        why: str,
        now: Time,
    ) -> tuple[AuditEvent, ...]:
        own = list(by) == [old.principal]
        about = {"target": old.target, "principal": old.principal, "answered": " ".join(by)}
        over = self.means.event(
            now, by[0], "grant.superseded", old.id, reason=why, to="superseded",
            capacity="holder" if own else "approver", **about, **{"from": old.state.value},
        )  # fmt: skip
        soft = "" if new.soft is None else rfc3339(new.soft.until)
        made = self.means.event(
            now, SYSTEM, "grant.made", new.id, request=new.request, scope=new.scope,
            until=rfc3339(new.ends), supersedes=old.id, learned=str(Scope(atoms)), by=id,
            soft_until=soft, **about,
        )  # fmt: skip
        return over, made


def _words(request: Request) -> str:
    return " ".join(request.held.learns) if request.held is not None else ""
