"""What is told of a suspended grant, and what its holder cannot have meanwhile.

Suspending is somebody else's "not now".  What the policy would grant by itself on the same target,
an extension of that grant, and a broken glass would each take that back without anybody's word.
What people vote on can still be asked for.

A grant that its own holder gives back in a review is suspended for some minutes too (decision
0039); nobody has said "not now" there, so nothing is kept from them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hoopagent.errors import Refused
from hoopagent.means import Means, View, person
from hoopagent.store import AuditQuery
from hoopcore.access import Eligibility
from hoopcore.model import AuditEvent, Grant, GrantState, Principal, Time, rfc3339


async def suspended(means: Means, who: Principal, target: str, now: Time) -> Grant | None:
    """A grant of theirs there that somebody else has suspended; None: there is none."""
    grants = await means.store.grants(principal=who.id, target=target, limit=None)
    held = {g.id: g for g in grants if g.state is GrantState.SUSPENDED and g.ends > now}
    by = await _last_suspensions(means, list(held))
    return next((g for id, g in held.items() if id in by and by[id].actor != who.id), None)


async def _last_suspensions(means: Means, held: list[str]) -> dict[str, AuditEvent]:
    """By grant."""
    if not held:
        return {}
    query = AuditQuery(about=held, action="grant.suspended", newest=True)
    last: dict[str, AuditEvent] = {}
    for row in await means.store.audit_rows(query):
        last.setdefault(row.event.subject, row.event)
    return last


def decided_by_people(offers: Iterable[Eligibility]) -> tuple[Eligibility, ...]:
    """The offers that want a vote, with nothing that is granted without one."""
    return tuple(replace(one, auto=()) for one in offers if one.votes or one.needs)


async def with_suspensions(means: Means, views: list[View], held: list[str]) -> list[View]:
    """The views of grants, with who has suspended these of them, why and when (``suspended``)."""
    last = await _last_suspensions(means, held)
    if not last:
        return views
    known = await means.store.principals([event.actor for event in last.values()])
    told = {
        id: {
            "by": person(event.actor, known)["name"],
            "by_id": event.actor,
            "why": event.detail.get("reason", ""),
            "at": rfc3339(event.at),
        }
        for id, event in last.items()
    }
    return [{**view, "suspended": told.get(view["id"])} for view in views]  # null: it is not


def given_back(view: View) -> bool:
    """Whether its holder has suspended this grant: it ends in some minutes."""
    how = view.get("suspended")
    return how is not None and how["by_id"] == view["principal"]["id"]


def refusal(grant: Grant) -> Refused:
    words = f'your access to "{grant.target}" is suspended ({grant.id})'
    return Refused(403, "suspended", words, f"Who may end it resumes it:  hoop resume {grant.id}")
