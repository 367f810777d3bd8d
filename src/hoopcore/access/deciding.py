"""Votes on a request, what follows from them, and the grant it becomes.

Order of the file: voting, granting.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from hoopcore.model import (
    SECOND,
    Answer,
    ApprovalRule,
    Grant,
    Kind,
    Principal,
    Request,
    RequestState,
    Target,
    Time,
    Vote,
)

# --- voting ---------------------------------------------------------------------------------------


class WhyNot(StrEnum):
    """Why a principal may not vote on a request."""

    ASKER = "it is your own request"
    OWNER = "you answer for whoever asks"
    NOT_HUMAN = "only people vote"
    NOT_APPROVER = "you are in none of the groups that decide it"
    NOT_PENDING = "it is not pending any more"
    VOTED = "you have voted on it already"


def may_vote(request: Request, voter: Principal, votes: Sequence[Vote], now: Time) -> WhyNot | None:
    """Why this principal may not vote on this request now; None: they may.

    No role is exempt, and being in several of the groups makes nobody two people.
    """
    if voter.id == request.requester:
        return WhyNot.ASKER
    if voter.kind is not Kind.HUMAN:
        return WhyNot.NOT_HUMAN
    if not voter.groups & request.rule.approvers:
        return WhyNot.NOT_APPROVER
    if any(vote.voter == voter.id for vote in votes):
        return WhyNot.VOTED
    if settle(request, votes, now) is not RequestState.PENDING:
        return WhyNot.NOT_PENDING
    return None


def answers_for(voter: Principal, requester: Principal) -> bool:
    """Whether the requester is a service or an agent of this very person.

    What it asks for is asked for its owner.  An owner that is a group names nobody.  Providers and
    people spell addresses in different cases.
    """
    owner = requester.owner.casefold()
    names = (voter.id, voter.email.casefold(), voter.subject.casefold())
    return bool(owner) and owner in names


def _counted(request: Request, votes: Iterable[Vote]) -> list[Vote]:
    """The votes on this request that count: not the asker's own, and none after the deadline."""
    return [
        vote
        for vote in votes
        if vote.request == request.id
        and vote.voter != request.requester
        and vote.at < request.expires
    ]


def settle(request: Request, votes: Sequence[Vote], now: Time) -> RequestState:
    """Where a request stands, given every vote on it so far.

    One denial settles it.  Approvals count once per person, and never the asker's own.
    A request still short of approvals at its deadline has expired.  What is not pending stays
    as it is.
    """
    if request.state is not RequestState.PENDING:
        return request.state
    counted = _counted(request, votes)
    if any(vote.answer is Answer.DENY for vote in counted):
        return RequestState.DENIED
    voters = {vote.voter for vote in counted if vote.answer is Answer.APPROVE}
    if len(voters) >= request.rule.votes:
        return RequestState.APPROVED
    return RequestState.EXPIRED if now >= request.expires else RequestState.PENDING


# --- granting -------------------------------------------------------------------------------------


def grant_for(
    request: Request, votes: Sequence[Vote], target: Target, *, now: Time, id: str
) -> Grant:
    """The grant an approved request becomes: what was asked for, or less.

    The shortest condition of any vote wins; the ceilings of the rule and of the target, as they
    are now, hold here too.  Its time begins now and its end never changes.
    """
    conditions = [vote.duration for vote in _counted(request, votes) if vote.duration is not None]
    seconds = min(request.duration, request.rule.max_duration, target.max_duration, *conditions)
    return Grant(
        id=id,
        request=request.id,
        principal=request.requester,
        target=request.target,
        scope=request.scope,
        not_before=now,
        not_after=now + seconds * SECOND,
    )


def capacity(
    actor: Principal, target: Target | None, rule: ApprovalRule, administers: bool
) -> str | None:
    """As what the actor may end somebody else's grant, or see the request; None: not at all.

    An owner of a target is named by group or by principal id.
    """
    if administers:
        return "administrator"
    if target is not None and (actor.id in target.owners or actor.groups & target.owners):
        return "owner"
    if actor.groups & rule.approvers:
        return "approver"
    return None
