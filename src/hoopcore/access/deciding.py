"""Votes on a request, what follows from them, and the grant it becomes.

Order of the file: voting, granting.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from hoopcore.model import (
    READS,
    SECOND,
    Answer,
    ApprovalRule,
    Grant,
    GrantState,
    Kind,
    Principal,
    Request,
    RequestState,
    Scope,
    Target,
    Time,
    Vote,
)
from hoopcore.voters import Voters, missing

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
    if not votes_as(request, voter, now):
        return WhyNot.NOT_APPROVER
    if any(vote.voter == voter.id for vote in votes):
        return WhyNot.VOTED
    if settle(request, votes, now) is not RequestState.PENDING:
        return WhyNot.NOT_PENDING
    return None


def votes_as(request: Request, voter: Principal, now: Time) -> Voters:
    """Which of those who may vote on it now this principal is; empty: none of them.

    It is kept with the vote: groups change, and a vote stays what it was.
    """
    return request.rule.voters(now - request.created).among(voter.groups, names_of(voter))


def names_of(principal: Principal) -> frozenset[str]:
    """How a principal may be named, in small letters."""
    names = (principal.id, principal.email, principal.subject)
    return frozenset(name.casefold() for name in names if name)


def answers_for(voter: Principal, requester: Principal) -> bool:
    """Whether the requester is a service or an agent of this very person.

    What it asks for is asked for its owner.  An owner that is a group names nobody.  Providers and
    people spell addresses in different cases.
    """
    owner = requester.owner.casefold()
    return bool(owner) and owner in names_of(voter)


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

    One denial settles it.  Approvals count once per person, and never the asker's own; where the
    rule says of whom some of them must be, distinct people must be those.  A request still short
    of approvals at its deadline has expired.  What is not pending stays as it is.
    """
    if request.state is not RequestState.PENDING:
        return request.state
    counted = _counted(request, votes)
    if any(vote.answer is Answer.DENY for vote in counted):
        return RequestState.DENIED
    if not still_missing(request, counted):
        return RequestState.APPROVED
    return RequestState.EXPIRED if now >= request.expires else RequestState.PENDING


def still_missing(request: Request, votes: Sequence[Vote]) -> int:
    """How many approvals are missing at the least, of whomever.

    Who was added because it waited may stand in for anybody; the number never gets lower.
    """
    rule = request.rule
    yes = {
        vote.voter: vote.voter_is
        for vote in _counted(request, votes)
        if vote.answer is Answer.APPROVE
    }
    unfilled = missing(rule.needs, rule.added(), list(yes.values())) if rule.needs else 0
    return max(rule.total - len(yes), unfilled, 0)


# --- granting -------------------------------------------------------------------------------------


def grant_for(
    request: Request,
    votes: Sequence[Vote],
    target: Target,
    *,
    now: Time,
    id: str,
    goes_on: Time | None = None,
) -> Grant:
    """The grant an approved request becomes: what was asked for, or less.

    The shortest, narrowest and latest condition of any vote wins; the ceilings of the rule and of
    the target, as they are now, hold here too.  Its time begins now, or when it was asked for, or
    at ``goes_on``, the end of the grant it extends; or with the first connection, where the rule
    says so.  Its end never changes.
    """
    rule, counted = request.rule, _counted(request, votes)
    shorter = [vote.duration for vote in counted if vote.duration is not None]
    later = [vote.starts for vote in counted if vote.starts is not None]
    seconds = min(request.duration, rule.max_duration, target.max_duration, *shorter)
    begins = max(now, request.starts or now, goes_on or now, *later)
    at_connect = rule.start_within is not None and goes_on is None
    slack = (rule.start_within or 0) if at_connect else 0
    is_scheduled = begins > now or at_connect
    return Grant(
        id=id,
        request=request.id,
        principal=request.requester,
        target=request.target,
        scope=granted_scope(request, counted),
        not_before=begins,
        not_after=begins + (slack + seconds) * SECOND,
        state=GrantState.SCHEDULED if is_scheduled else GrantState.ACTIVE,
        lasts=seconds if at_connect else None,
        limits=rule.limits,
    )


def granted_scope(request: Request, votes: Iterable[Vote]) -> Scope:
    """What all of the votes, and the limits of the rule, leave of the scope; it may be nothing."""
    scope = request.scope
    for vote in votes:
        if vote.scope is not None:
            scope = scope.meet(vote.scope)
    return scope.meet(READS) if request.rule.limits.read_only else scope


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
    if rule.voters().among(actor.groups, names_of(actor)):
        return "approver"
    return None
