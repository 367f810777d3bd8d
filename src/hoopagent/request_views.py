"""How requests look from outside: what the API gives of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from hoopagent.means import View, person
from hoopcore.access import settle
from hoopcore.model import Grant, Held, Principal, Request, Time, Vote, rfc3339


def request_view(
    request: Request,
    votes: Sequence[Vote],
    grant: Grant | None,
    known: dict[str, Principal],
    now: Time,
) -> View:
    """The request as the API gives it; one past its deadline is expired before anybody swept."""
    return {
        "id": request.id,
        "requester": person(request.requester, known),
        "target": request.target,
        "scope": str(request.scope),
        "reason": request.reason,
        "duration": request.duration,
        "created": rfc3339(request.created),
        "expires": rfc3339(request.expires),
        "state": settle(request, votes, now).value,
        "rule": request.rule.name,
        "approvers": sorted(request.rule.approvers),
        "votes_needed": request.rule.votes,
        "votes": [
            {
                "voter": person(vote.voter, known),
                "answer": vote.answer.value,
                "reason": vote.reason,
                "at": rfc3339(vote.at),
                "duration": vote.duration,
            }
            for vote in votes
        ],
        "grant": grant.id if grant else None,
        "task": request.task,
        "ticket": request.ticket,
        "priority": request.priority.value,
        "held": _held_view(request.held),
    }


def _held_view(held: Held | None) -> View | None:
    return None if held is None else asdict(held)
