"""What a wish becomes: a request, or the reason why it becomes none.

Eligibility comes from roles.  It says who may ask for what, how long at the most, and who decides;
what it said is kept with the request, so a later policy changes nothing about it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from hoopcore.model import (
    SECOND,
    ApprovalRule,
    Kind,
    Principal,
    Priority,
    Request,
    Scope,
    Target,
    Time,
)
from hoopcore.statement import Effect

LONGEST_REASON = 1_000
LONGEST_NOTE = 200
# Joiners, without which Persian words and many emoji fall apart; other format characters can
# turn the order of a line around on the screen of the person who decides.
_JOINERS = frozenset({"\u200c", "\u200d"})
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class Eligibility:
    """Who may ask for what, and who decides: one ``may_request`` of a role."""

    name: str  # what people call the rule
    groups: frozenset[str]  # who has the role
    targets: tuple[str, ...]  # patterns
    scope: Scope
    max_duration: int  # seconds
    approvers: frozenset[str]  # groups
    votes: int  # 0: granted at once by the policy
    expires: int  # seconds until a request nobody answers ends
    database_role: str = ""  # what sessions under such a grant are on the target


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for, in their words."""

    target: str
    reason: str
    duration: int  # seconds
    scope: Scope | None = None  # None: whatever the rule offers
    task: str = ""
    ticket: str = ""
    priority: Priority = Priority.NORMAL
    key: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there will be no request: a word for programs, a sentence for people.

    ``reason``, ``task``, ``ticket``, ``duration``, ``scope``: that part of the wish makes no sense.
    ``not_eligible``, ``scope_too_wide``, ``no_approver``: the policy has no place for it.
    """

    error: str
    message: str


def fault_in(text: str, longest: int) -> str | None:
    """What is wrong with a line a person wrote, or None.  An empty one is no fault here."""
    if len(text) > longest:
        return f"is longer than {longest:,} characters"
    if any(unicodedata.category(c) in _UNSEEN and c not in _JOINERS for c in text):
        return "has control characters in it"
    return None


def offers_for(
    asker: Principal, target: str, offers: Iterable[Eligibility]
) -> tuple[Eligibility, ...]:
    """Those under which this principal may ask for this target, in the order they are written."""
    return tuple(
        offer
        for offer in offers
        if offer.groups & asker.groups
        and any(fnmatchcase(target, pattern) for pattern in offer.targets)
    )


def still_offered(request: Request, asker: Principal, offers: Iterable[Eligibility]) -> int:
    """For how many seconds the asker could ask for the same now; 0 where they could not at all.

    Between a request and its approval roles change, and so do the groups of the asker.
    """
    return max(
        (
            offer.max_duration
            for offer in offers_for(asker, request.target, offers)
            if offer.scope.covers(request.scope)
            and offer.database_role == request.rule.database_role
        ),
        default=0,
    )


def decidable(offer: Eligibility, asker: Principal, people: Iterable[Principal]) -> bool:
    """Whether somebody other than the asker could decide a request under this offer.

    ``people`` are all who are known here.  Somebody of the groups may still sign in for the first
    time, so it is certain that nobody can only where the asker alone is known in them.
    """
    if not offer.votes:
        return True
    known = {p.id for p in people if p.kind is Kind.HUMAN and p.groups & offer.approvers}
    others = known - {asker.id}
    return bool(offer.approvers) and (bool(others) or not asker.groups & offer.approvers)


def repeats(request: Request, wish: Wish) -> bool:
    """Whether the wish is the one this request was made of.

    Ceilings may have cut the duration and the rule may have given the scope, so a longer wish
    and a wish without a scope agree.
    """
    return (
        (request.target, request.reason) == (wish.target, wish.reason)
        and (request.task, request.ticket) == (wish.task, wish.ticket)
        and request.duration <= wish.duration
        and wish.scope in (None, request.scope)
    )


def ask(
    wish: Wish,
    asker: Principal,
    target: Target,
    offers: Iterable[Eligibility],
    people: Sequence[Principal],
    *,
    now: Time,
    id: str,
    policy_version: str,
) -> Request | Refusal:
    """The request this wish becomes, or why it becomes none.

    Of the offers that fit, the one that allows most of the wished time is taken, then the one
    with the fewest votes, then the first.  Ceilings cut the duration; they do not refuse.
    Where nobody but the asker could decide, it is refused at once (``decidable``).
    """
    fault = _fault_of(wish)
    if fault is not None:
        return fault
    offered = offers_for(asker, target.name, offers)
    fitting = [o for o in offered if wish.scope is None or o.scope.covers(wish.scope)]
    open_offers = [o for o in fitting if decidable(o, asker, people)]
    if not open_offers:
        return _why_none(wish, offered, fitting)
    wished = min(wish.duration, target.max_duration)
    best = min(open_offers, key=lambda o: (-min(wished, o.max_duration), o.votes))
    return _made(wish, asker, target, best, now=now, id=id, policy_version=policy_version)


def _made(
    wish: Wish,
    asker: Principal,
    target: Target,
    best: Eligibility,
    *,
    now: Time,
    id: str,
    policy_version: str,
) -> Request:
    ceiling = min(best.max_duration, target.max_duration)
    return Request(
        id=id,
        requester=asker.id,
        target=target.name,
        scope=best.scope if wish.scope is None else wish.scope,
        reason=wish.reason,
        duration=min(wish.duration, ceiling),
        created=now,
        expires=now + best.expires * SECOND,
        rule=ApprovalRule(best.name, best.approvers, best.votes, ceiling, best.database_role),
        policy_version=policy_version,
        task=wish.task,
        ticket=wish.ticket,
        priority=wish.priority,
        key=wish.key,
    )


def _fault_of(wish: Wish) -> Refusal | None:
    lines = (
        ("reason", wish.reason, LONGEST_REASON),
        ("task", wish.task, LONGEST_NOTE),
        ("ticket", wish.ticket, LONGEST_NOTE),
    )
    if not wish.reason.strip():
        return Refusal("reason", "a request needs a reason")
    for name, text, longest in lines:
        fault = fault_in(text, longest)
        if fault is not None:
            return Refusal(name, f"the {name} {fault}")
    if wish.duration < 1:
        return Refusal("duration", "a grant lasts at least one second")
    if wish.scope is not None:
        known = {"*", *Effect}
        odd = sorted({a.verb for a in wish.scope.atoms} - known)
        if odd or not wish.scope.atoms:
            what = f'"{odd[0]}" is no verb' if odd else "it is empty"
            return Refusal("scope", f"the scope cannot be used: {what}")
    return None


def _why_none(
    wish: Wish, offered: Sequence[Eligibility], fitting: Sequence[Eligibility]
) -> Refusal:
    if not offered:
        return Refusal("not_eligible", f'no role of yours may ask for "{wish.target}"')
    if not fitting:
        widest = " or ".join(sorted({str(offer.scope) for offer in offered}))
        more = f'"{wish.scope}" is more than you may ask for on "{wish.target}"'
        return Refusal("scope_too_wide", f"{more}, which is {widest}")
    groups = " or ".join(sorted(set().union(*(offer.approvers for offer in fitting)))) or "nobody"
    why = f'nobody but you could approve this: "{wish.target}" wants a vote of {groups}'
    return Refusal("no_approver", f"{why}, and nobody else of them has signed in here")
