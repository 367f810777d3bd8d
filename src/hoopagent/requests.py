"""Deciding on what was asked for, taking it back, and looking at it.

The rules are ``hoopcore.access``; here they meet the store.  What is decided and what is written
down are one transaction: a vote, what follows from all votes, the grant, and their audit rows.

Order of the file: asking (``asking.py``), voting, cancelling, looking.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hoopagent.asking import Asking
from hoopagent.ballot import Ballot
from hoopagent.deciding import shown
from hoopagent.errors import Refused
from hoopagent.means import Means, View, offers_of, target_of, time_or_none
from hoopagent.request_views import view, views
from hoopagent.settling import settling
from hoopcore.access import (
    REQUEST_MOVES,
    WhyNot,
    Wish,
    answers_for,
    capacity,
    may_vote,
    still_offered,
    votes_as,
)
from hoopcore.model import (
    Answer,
    Principal,
    Request,
    RequestState,
    Scope,
    Target,
    Time,
    Vote,
)

__all__ = ["Requests", "target_of"]

# What one list looks through.  Who has more than this pending has another problem.
_MOST = 1_000

_TOO_LATE = frozenset({WhyNot.NOT_PENDING, WhyNot.VOTED})


@dataclass(frozen=True, slots=True)
class Requests:
    """The use cases of a request.  What is refused is raised as Refused and written down."""

    means: Means

    async def ask(self, asker: Principal, wish: Wish) -> View:
        return await Asking(self.means).ask(asker, wish)

    # --- voting ---------------------------------------------------------------------------------

    async def vote(
        self,
        voter: Principal,
        id: str,
        answer: Answer,
        reason: str,
        duration: int | None = None,
        *,
        scope: Scope | None = None,
        starts: Time | None = None,
        seen: str = "",
    ) -> View:
        """Counts the vote and does what follows from it.  The same vote again changes nothing.

        ``duration``, ``scope`` and ``starts`` are conditions: less than was asked for, or later.
        """
        now = await self.means.now()
        request = await self._visible(voter, id, "vote.cast")
        votes = await self.means.store.votes(id)
        ballot = Ballot(answer, reason.strip(), duration, scope, starts)
        if ballot.is_among(votes, voter):
            return await view(self.means, request, now)
        why_not = may_vote(request, voter, votes, now)
        if why_not is None and await self._is_for(voter, request):
            why_not = WhyNot.OWNER
        if why_not is not None:
            raise await self._no_vote(voter, request, why_not, now)
        target = self.means.target(request.target)
        if answer is Answer.APPROVE and request.held is None and target is not None:
            target = await self._offered(request, target, voter, now)
        try:
            ballot.check(request, votes, target, now)
        except Refused as refused:
            if refused.status == 409:
                await self.means.refuse(now, voter, "vote.cast", request.id, refused)
            raise
        vote = Vote(
            self.means.id("vote"),
            request.id,
            voter.id,
            answer,
            ballot.reason,
            now,
            duration,
            scope,
            starts,
            votes_as(request, voter, now),
            seen,
        )
        if await self._cast(vote, request, target, now):
            return await view(self.means, await self._visible(voter, id), now)
        # Somebody else was first: a vote that settled it, or this very one sent twice.
        votes = await self.means.store.votes(id)
        request = await self._visible(voter, id)
        if ballot.is_among(votes, voter):
            return await view(self.means, request, now)
        why_not = may_vote(request, voter, votes, now) or WhyNot.NOT_PENDING
        raise await self._no_vote(voter, request, why_not, now)

    async def _cast(self, vote: Vote, request: Request, target: Target | None, now: Time) -> bool:
        """Whether the vote counts now; what follows from it is done with it."""
        event = self.means.event(
            now,
            vote.voter,
            "vote.cast",
            vote.request,
            vote=vote.id,
            answer=vote.answer.value,
            capacity="approver",
            voter_is=vote.voter_is,
            reason=vote.reason,
            duration=vote.duration or "",
            scope=vote.scope or "",
            starts=time_or_none(vote.starts) or "",
            shown=vote.shown,
        )
        settle = await settling(self.means, request, target, now)
        return await self.means.store.add_vote(vote, event, settle)

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

    async def _no_vote(
        self, voter: Principal, request: Request, why_not: WhyNot, now: Time
    ) -> Refused:
        groups = request.rule.voters(now - request.created)
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

    # --- cancelling -----------------------------------------------------------------------------

    async def cancel(self, asker: Principal, id: str) -> View:
        """Takes a pending request back.  Once more changes nothing."""
        now = await self.means.now()
        request = await self._visible(asker, id, "request.cancelled")
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
        return await view(self.means, request, now)

    # --- how requests look ------------------------------------------------------------------------

    async def show(self, viewer: Principal, id: str) -> View:
        """One request the viewer may see: their own, or one they could decide on or end."""
        return await view(self.means, await self._visible(viewer, id), self.means.clock())

    async def told(self, viewer: Principal, id: str) -> View:
        """What somebody who decides should know beside the request."""
        request = await self._visible(viewer, id)
        return await shown(self.means, request)

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
        return await views(self.means, found, votes, now)

    def _sees(self, viewer: Principal, request: Request) -> bool:
        if viewer.id == request.requester:
            return True
        target = self.means.target(request.target)
        administers = self.means.administers(viewer)
        return capacity(viewer, target, request.rule, administers) is not None

    async def _visible(self, viewer: Principal, id: str, action: str = "") -> Request:
        """``action``: what the viewer is about to do with it; a try at a hidden one is kept."""
        request = await self.means.store.request(id)
        if request is None or not self._sees(viewer, request):
            words = f"there is no request {id} that you may see"
            refused = Refused(404, "no_request", words, "hoop requests")
            if request is not None and action:
                await self.means.refuse(await self.means.now(), viewer, action, id, refused)
            raise refused
        return request
