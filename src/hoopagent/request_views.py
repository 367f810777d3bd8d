"""How requests look from outside: what the API gives of one, and of many.

Order of the file: reading what is shown, the request, the statement that is held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from hoopagent.means import Means, View, person, time_or_none
from hoopcore.access import settle, still_missing
from hoopcore.model import SECOND, Grant, Held, Principal, Request, Time, Vote, rfc3339
from hoopcore.voters import Need, Voters


async def views(
    means: Means, requests: Sequence[Request], votes: dict[str, list[Vote]], now: Time
) -> list[View]:
    """The requests as the API gives them, in their order."""
    store = means.store
    grants = await store.grants(requests=[request.id for request in requests], limit=None)
    made = {grant.request: grant for grant in reversed(grants)}
    ids = {request.requester for request in requests}
    ids |= {vote.voter for cast in votes.values() for vote in cast}
    known = await store.principals(sorted(ids))
    return [
        request_view(request, votes.get(request.id, []), made.get(request.id), known, now)
        for request in requests
    ]


async def view(means: Means, request: Request, now: Time) -> View:
    votes = await means.store.votes_on([request.id])
    return (await views(means, [request], votes, now))[0]


# --- the request ------------------------------------------------------------------------------


def request_view(
    request: Request,
    votes: Sequence[Vote],
    grant: Grant | None,
    known: dict[str, Principal],
    now: Time,
) -> View:
    """The request as the API gives it; one past its deadline is expired before anybody swept."""
    rule = request.rule
    voters = rule.voters(now - request.created)
    return {
        "id": request.id,
        "requester": person(request.requester, known),
        "target": request.target,
        "scope": str(request.scope),
        "reason": request.reason,
        "duration": request.duration,
        "created": rfc3339(request.created),
        "expires": rfc3339(request.expires),
        "starts": time_or_none(request.starts),
        "extends": request.extends,
        "state": settle(request, votes, now).value,
        "rule": rule.name,
        "auto": rule.auto,
        "because": rule.because,
        "limits": str(rule.limits),
        "approvers": sorted(voters.groups),
        "people": sorted(voters.people - voters.groups),
        "needs": [_need(need) for need in rule.needs],
        "later": [
            {"at": rfc3339(request.created + one.after * SECOND), **_voters(one.voters)}
            for one in rule.later
        ],
        "votes_needed": rule.total,
        "votes_missing": still_missing(request, votes),
        "votes": [_vote(vote, known) for vote in votes],
        "grant": grant.id if grant else None,
        "task": request.task,
        "ticket": request.ticket,
        "priority": request.priority.value,
        "held": _held_view(request.held, known),
    }


def _vote(vote: Vote, known: dict[str, Principal]) -> View:
    return {
        "voter": person(vote.voter, known),
        "answer": vote.answer.value,
        "reason": vote.reason,
        "at": rfc3339(vote.at),
        "duration": vote.duration,
        "scope": None if vote.scope is None else str(vote.scope),
        "starts": time_or_none(vote.starts),
    }


def _need(need: Need) -> View:
    return {"votes": need.votes, **_voters(need.voters)}


def _voters(voters: Voters) -> View:
    return {"approvers": sorted(voters.groups), "people": sorted(voters.people)}


# --- the statement that is held -----------------------------------------------------------------


def _held_view(held: Held | None, known: dict[str, Principal]) -> View | None:
    if held is None:
        return None
    said = held.confirmed
    told = None
    if said is not None:
        told = {"by": person(said.by, known), "reason": said.reason, "at": rfc3339(said.at)}
    return {**asdict(held), "confirmed": told}
