"""Asking for access, and deciding on it.

The rules are ``hoopcore.access``; here they meet the store.  What is decided and what is written
down are one transaction: a vote, what follows from all votes, the grant, and their audit rows.

Order of the file: asking, voting, cancelling, and how requests look from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hoopagent.errors import Refused
from hoopagent.means import Means, View, offers_of, target_of
from hoopagent.request_views import request_view
from hoopagent.store import Settle, Settled
from hoopcore.access import (
    LONGEST_REASON,
    REQUEST_MOVES,
    Refusal,
    WhyNot,
    Wish,
    answers_for,
    ask,
    capacity,
    fault_in,
    grant_for,
    may_vote,
    offers_for,
    repeats,
    settle,
    still_offered,
)
from hoopcore.model import (
    SYSTEM,
    Answer,
    Principal,
    Request,
    RequestState,
    Target,
    Time,
    Vote,
    rfc3339,
)

__all__ = ["Requests", "target_of"]

# What one list looks through.  Who has more than this pending has another problem.
_MOST = 1_000

_NONSENSE = frozenset({"reason", "task", "ticket", "duration", "scope"})
_TOO_LATE = frozenset({WhyNot.NOT_PENDING, WhyNot.VOTED})


@dataclass(frozen=True, slots=True)
class Requests:
    """The use cases of a request.  What is refused is raised as Refused and written down."""

    means: Means

    # --- asking ---------------------------------------------------------------------------------

    async def ask(self, asker: Principal, wish: Wish) -> View:
        """The request this wish becomes; granted at once where the policy wants no vote.

        A repeat with the same idempotency key gives the request that is there already.
        """
        wish = replace(wish, reason=wish.reason.strip())
        store, now = self.means.store, await self.means.now()
        if wish.key:
            earlier = await store.request_with_key(asker.id, wish.key)
            if earlier is not None:
                return await self._repeated(asker, wish, earlier, now)
        target = self.means.target(wish.target)
        if target is None:
            raise Refused(404, "no_target", f'there is no target "{wish.target}"', "hoop targets")
        request = await self._asked(asker, wish, target, now)
        event = self.means.event(
            now,
            asker.id,
            "request.made",
            request.id,
            target=request.target,
            scope=request.scope,
            duration=request.duration,
            rule=request.rule.name,
            reason=request.reason,
        )
        stored = await store.add_request(request, event, self._settling(target, now))
        if stored.id != request.id:
            return await self._repeated(asker, wish, stored, now)
        return await self.view(stored, now)

    async def _asked(self, asker: Principal, wish: Wish, target: Target, now: Time) -> Request:
        offers = offers_for(asker, target.name, offers_of(self.means.config_now()))
        groups = sorted(set().union(*(offer.approvers for offer in offers)))
        made = ask(
            wish,
            asker,
            target,
            offers,
            await self.means.store.principals_in(groups),
            now=now,
            id=self.means.id("req"),
            policy_version=self.means.config_now().version,
        )
        if isinstance(made, Request):
            return made
        refused = _refused(made)
        if refused.status == 403:
            await self.means.refuse(now, asker, "request.made", target.name, refused)
        raise refused

    async def _repeated(self, asker: Principal, wish: Wish, earlier: Request, now: Time) -> View:
        if repeats(earlier, wish):
            return await self.view(earlier, now)
        words = f'the key "{wish.key}" belongs to another request of yours, {earlier.id}'
        raise Refused(409, "key_used", words, f"Look at it:  hoop requests {earlier.id}")

    # --- voting ---------------------------------------------------------------------------------

    async def vote(
        self,
        voter: Principal,
        id: str,
        answer: Answer,
        reason: str,
        duration: int | None = None,
    ) -> View:
        """Counts the vote and does what follows from it.  The same vote again changes nothing."""
        now = await self.means.now()
        request = await self._visible(voter, id)
        votes = await self.means.store.votes(id)
        if _is_among(votes, voter, answer, duration):
            return await self.view(request, now)
        why_not = may_vote(request, voter, votes, now)
        if why_not is None and await self._is_for(voter, request):
            why_not = WhyNot.OWNER
        if why_not is not None:
            raise await self._no_vote(voter, request, why_not, now)
        target = self.means.target(request.target)
        if answer is Answer.APPROVE and request.held is None and target is not None:
            target = await self._offered(request, target, voter, now)
        vote = self._vote(request, voter, answer, reason.strip(), duration, target, now)
        event = self.means.event(
            now,
            voter.id,
            "vote.cast",
            id,
            vote=vote.id,
            answer=answer.value,
            capacity="approver",
            reason=vote.reason,
            duration=duration or "",
        )
        if await self.means.store.add_vote(vote, event, self._settling(target, now)):
            return await self.view(await self._visible(voter, id), now)
        # Somebody else was first: a vote that settled it, or this very one sent twice.
        votes = await self.means.store.votes(id)
        request = await self._visible(voter, id)
        if _is_among(votes, voter, answer, duration):
            return await self.view(request, now)
        why_not = may_vote(request, voter, votes, now) or WhyNot.NOT_PENDING
        raise await self._no_vote(voter, request, why_not, now)

    async def _is_for(self, voter: Principal, request: Request) -> bool:
        requester = await self.means.store.principal(request.requester)
        return requester is not None and answers_for(voter, requester)

    async def _offered(
        self, request: Request, target: Target, voter: Principal, now: Time
    ) -> Target:
        """The target, with the ceiling of what its asker could ask for now.  Refused: nothing."""
        asker = await self.means.store.principal(request.requester)
        offers = offers_of(self.means.config_now())
        seconds = 0 if asker is None else still_offered(request, asker, offers)
        if not seconds:
            words = f"no role of the asker's covers {request.id} any more"
            refused = Refused(409, "not_eligible", words, f"hoop deny {request.id}")
            raise await self.means.refuse(now, voter, "vote.cast", request.id, refused)
        return replace(target, max_duration=min(target.max_duration, seconds))

    def _vote(
        self,
        request: Request,
        voter: Principal,
        answer: Answer,
        reason: str,
        duration: int | None,
        target: Target | None,
        now: Time,
    ) -> Vote:
        _check_reason(reason, needed=answer is Answer.DENY)
        if request.held is not None:
            if duration is not None:
                raise Refused(422, "duration", f"{request.id} is one statement: it has no duration")
        elif answer is Answer.APPROVE:
            if target is None:
                words = f'there is no target "{request.target}" any more'
                raise Refused(409, "no_target", words, f"hoop deny {request.id}")
            if duration is not None and not 0 < duration <= request.duration:
                words = f"a vote may only shorten: {request.id} asks for {request.duration} s"
                raise Refused(422, "duration", words)
        elif duration is not None:
            raise Refused(422, "duration", "a denial has no duration")
        return Vote(self.means.id("vote"), request.id, voter.id, answer, reason, now, duration)

    async def _no_vote(
        self, voter: Principal, request: Request, why_not: WhyNot, now: Time
    ) -> Refused:
        groups = " or ".join(sorted(request.rule.approvers))
        hint = {
            WhyNot.ASKER: f"Somebody else of {groups} has to:  hoop approve {request.id}",
            WhyNot.OWNER: f"Somebody else of {groups} has to:  hoop approve {request.id}",
            WhyNot.NOT_APPROVER: f"Somebody of {groups} has to:  hoop approve {request.id}",
        }.get(why_not, f"Look at it:  hoop requests {request.id}")
        status = 409 if why_not in _TOO_LATE else 403
        word = why_not.name.lower()
        words = f"you cannot vote on {request.id}: {why_not.value}"
        refused = Refused(status, word, words, hint)
        return await self.means.refuse(now, voter, "vote.cast", request.id, refused)

    def _settling(self, target: Target | None, now: Time) -> Settle:
        """What follows from the votes, as a function of them alone."""
        grant_id = self.means.id("grt")

        def settling(request: Request, votes: Sequence[Vote]) -> Settled:
            state = settle(request, votes, now)
            if request.held is not None:
                return self._settled_hold(request, state, now)
            if state is RequestState.PENDING or (state is RequestState.APPROVED and target is None):
                return Settled(RequestState.PENDING)
            event = self.means.event(
                now, SYSTEM, f"request.{state.value}", request.id, rule=request.rule.name
            )
            if state is not RequestState.APPROVED or target is None:
                return Settled(state, None, (event,))
            grant = grant_for(request, votes, target, now=now, id=grant_id)
            made = self.means.event(
                now,
                SYSTEM,
                "grant.made",
                grant.id,
                request=request.id,
                principal=grant.principal,
                target=grant.target,
                scope=grant.scope,
                until=rfc3339(grant.not_after),
                rule=request.rule.name,
            )
            return Settled(state, grant, (event, made))

        return settling

    def _settled_hold(self, request: Request, state: RequestState, now: Time) -> Settled:
        """No grant is made: whoever holds the statement uses the approval, once."""
        if state is RequestState.PENDING:
            return Settled(state)
        rule = request.rule.name
        event = self.means.event(now, SYSTEM, f"request.{state.value}", request.id, rule=rule)
        return Settled(state, None, (event,))

    # --- cancelling -----------------------------------------------------------------------------

    async def cancel(self, asker: Principal, id: str) -> View:
        """Takes a pending request back.  Once more changes nothing."""
        now = await self.means.now()
        request = await self._visible(asker, id)
        if request.requester != asker.id:
            words = f"{id} is not your request"
            refused = Refused(403, "not_yours", words, f"Refuse it:  hoop deny {id}")
            raise await self.means.refuse(now, asker, "request.cancelled", id, refused)
        event = self.means.event(now, asker.id, "request.cancelled", id)
        new = RequestState.CANCELLED
        if new in REQUEST_MOVES[request.state]:
            await self.means.store.move_request(id, request.state, new, event)
            request = await self._visible(asker, id)
        if request.state is not new:
            words = f"{id} cannot be cancelled: it is {request.state.value}"
            refused = Refused(409, "not_pending", words, f"Look at it:  hoop requests {id}")
            raise await self.means.refuse(now, asker, "request.cancelled", id, refused)
        return await self.view(request, now)

    # --- how requests look ------------------------------------------------------------------------

    async def show(self, viewer: Principal, id: str) -> View:
        """One request the viewer may see: their own, or one they could decide on or end."""
        return await self.view(await self._visible(viewer, id), self.means.clock())

    async def listed(
        self,
        viewer: Principal,
        *,
        mine: bool = False,
        to_decide: bool = False,
        state: RequestState | None = None,
    ) -> list[View]:
        """Newest first: the viewer's own, those waiting for their vote, or all they may see."""
        store, now = self.means.store, self.means.clock()
        if mine:
            found = await store.requests(requester=viewer.id, state=state)
        else:
            wanted = RequestState.PENDING if to_decide else state
            found = await store.requests(state=wanted, limit=_MOST)
            found = [request for request in found if self._sees(viewer, request)]
        votes = await store.votes_on([request.id for request in found])
        if to_decide:
            found = [r for r in found if may_vote(r, viewer, votes.get(r.id, []), now) is None]
            mine_to_answer_for = {
                id
                for id, asker in (await store.principals([r.requester for r in found])).items()
                if answers_for(viewer, asker)
            }
            found = [r for r in found if r.requester not in mine_to_answer_for]
        return await self._views(found, votes, now)

    async def view(self, request: Request, now: Time) -> View:
        votes = await self.means.store.votes_on([request.id])
        return (await self._views([request], votes, now))[0]

    async def _views(
        self, requests: Sequence[Request], votes: dict[str, list[Vote]], now: Time
    ) -> list[View]:
        store = self.means.store
        grants = await store.grants(requests=[request.id for request in requests], limit=None)
        made = {grant.request: grant for grant in reversed(grants)}
        ids = {request.requester for request in requests}
        ids |= {vote.voter for cast in votes.values() for vote in cast}
        known = await store.principals(sorted(ids))
        return [
            request_view(request, votes.get(request.id, []), made.get(request.id), known, now)
            for request in requests
        ]

    def _sees(self, viewer: Principal, request: Request) -> bool:
        if viewer.id == request.requester:
            return True
        target = self.means.target(request.target)
        administers = self.means.administers(viewer)
        return capacity(viewer, target, request.rule, administers) is not None

    async def _visible(self, viewer: Principal, id: str) -> Request:
        request = await self.means.store.request(id)
        if request is None or not self._sees(viewer, request):
            words = f"there is no request {id} that you may see"
            raise Refused(404, "no_request", words, "hoop requests")
        return request


# --- values ---------------------------------------------------------------------------------------


def _refused(refusal: Refusal) -> Refused:
    status = 422 if refusal.error in _NONSENSE else 403
    hint = "" if status == 422 else "What you may ask for:  hoop targets"
    return Refused(status, refusal.error, refusal.message, hint)


def _check_reason(reason: str, *, needed: bool) -> None:
    if needed and not reason:
        raise Refused(422, "reason", "this needs a reason", 'Say why:  --reason "…"')
    fault = fault_in(reason, LONGEST_REASON)
    if fault is not None:
        raise Refused(422, "reason", f"the reason {fault}")


def _is_among(
    votes: Sequence[Vote], voter: Principal, answer: Answer, duration: int | None
) -> bool:
    return any((v.voter, v.answer, v.duration) == (voter.id, answer, duration) for v in votes)
