"""Break-glass: access at once, with nobody's vote, for a short time, and looked at afterwards.

What makes it bearable is everything around it: masks stay on whatever was offered, the owners of
the target are told, somebody else has to say within a day whether it was right, and until that is
said the person does not break another.

Order of the file: breaking it, and looking back at it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from hoopcore.access.asking import LONGEST_NOTE, LONGEST_REASON, Refusal, Wish, fault_in
from hoopcore.access.deciding import answers_for
from hoopcore.access.offers import Eligibility, offers_for
from hoopcore.model import SECOND, ApprovalRule, Kind, Principal, Priority, Request, Target, Time

LONGEST = 30 * 60
"""Seconds such a grant lasts at the most."""

REVIEW_WITHIN = 24 * 3600 * SECOND
"""From the grant's beginning until somebody should have looked at it."""

AUTO = "break-glass"


# --- breaking it ----------------------------------------------------------------------------------


def break_glass(
    wish: Wish,
    incident: str,
    asker: Principal,
    target: Target,
    offers: Iterable[Eligibility],
    *,
    now: Time,
    id: str,
    policy_version: str,
) -> Request | Refusal:
    """The request it is kept as, already decided by its rule; or why there is none.

    Of the offers that allow it, the one for the longest time is taken, then the first.
    """
    best = _best(wish, incident, asker, target, offers)
    if isinstance(best, Refusal):
        return best
    rule = _rule(best, target, incident)
    return Request(
        id=id,
        requester=asker.id,
        target=target.name,
        scope=best.scope.with_masks if wish.scope is None else wish.scope,
        reason=wish.reason,
        duration=min(wish.duration, rule.max_duration),
        created=now,
        expires=now + best.expires * SECOND,
        rule=rule,
        policy_version=policy_version,
        task=wish.task,
        ticket=wish.ticket,
        priority=Priority.INCIDENT,
        key=wish.key,
        break_glass=True,
        incident=incident,
    )


def _best(
    wish: Wish, incident: str, asker: Principal, target: Target, offers: Iterable[Eligibility]
) -> Eligibility | Refusal:
    fault = _fault_of(wish, incident)
    if fault is not None:
        return fault
    if asker.kind is not Kind.HUMAN:
        return Refusal("not_human", "only people break the glass")
    offered = [
        one
        for one in offers_for(asker, target.name, offers)
        if one.break_glass and one.scope.with_masks.atoms
    ]
    if not offered:
        return Refusal("not_eligible", f'no role of yours may break the glass of "{target.name}"')
    fitting = [one for one in offered if wish.scope is None or one.scope.covers(wish.scope)]
    if not fitting:
        words = f'"{wish.scope}" is more than you may have of "{target.name}" by breaking the glass'
        return Refusal("scope_too_wide", words)
    return max(fitting, key=lambda one: one.max_duration)


def _rule(offer: Eligibility, target: Target, incident: str) -> ApprovalRule:
    """The offer's own rule without its votes, with masks on whatever it imposes otherwise."""
    rule = offer.rule(target)
    return replace(
        rule,
        votes=0,
        needs=(),
        later=(),
        auto=AUTO,
        because=f"incident {incident}",
        max_duration=min(rule.max_duration, target.max_duration, LONGEST),
        limits=replace(rule.limits, masked=True),
        start_within=None,
        give_back=None,
    )


def _fault_of(wish: Wish, incident: str) -> Refusal | None:
    if not wish.reason.strip():
        return Refusal("reason", "breaking the glass needs a reason")
    if not incident.strip():
        return Refusal("incident", "breaking the glass needs an incident")
    lines = (
        ("reason", wish.reason, LONGEST_REASON),
        ("incident", incident, LONGEST_NOTE),
        ("task", wish.task, LONGEST_NOTE),
        ("ticket", wish.ticket, LONGEST_NOTE),
    )
    for name, text, longest in lines:
        fault = fault_in(text, longest)
        if fault is not None:
            return Refusal(name, f"the {name} {fault}")
    if wish.duration < 1:
        return Refusal("duration", "a grant lasts at least one second")
    if wish.scope is not None and not wish.scope.atoms:
        return Refusal("scope", "the scope cannot be used: it is empty")
    if wish.scope is not None and wish.scope.unmasks:
        return Refusal("scope", "masks stay on when the glass is broken")
    return None


# --- looking back at it ---------------------------------------------------------------------------


class ItemState(StrEnum):
    PENDING = "pending"
    JUSTIFIED = "justified"
    UNJUSTIFIED = "unjustified"


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """What somebody else has to say about a grant: whether it was right to break the glass."""

    id: str
    grant: str
    principal: str  # who broke it
    target: str
    made: Time
    due: Time
    state: ItemState = ItemState.PENDING
    decided_at: Time | None = None
    decided_by: str = ""
    reason: str = ""


def item_for(grant: str, request: Request, now: Time, id: str) -> ReviewItem:
    return ReviewItem(id, grant, request.requester, request.target, now, now + REVIEW_WITHIN)


def reviews_as(
    actor: Principal, subject: Principal | None, target: Target | None, administers: bool
) -> str | None:
    """As what the actor may say whether it was right; None: not at all.

    Nobody looks back at themselves, or at a program of their own, and no program looks back.
    """
    if actor.kind is not Kind.HUMAN or subject is None or actor.id == subject.id:
        return None
    if answers_for(actor, subject):
        return None
    if target is not None and (actor.id in target.owners or actor.groups & target.owners):
        return "owner"
    return "administrator" if administers else None
