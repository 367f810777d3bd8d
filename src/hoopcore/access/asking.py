"""What a wish becomes: a request, or the reason why it becomes none.

An offer of a role says who may ask for what, how long at the most, and who decides; what it said
is kept with the request, so a later policy changes nothing about it.

Order of the file: the wish, the request, what smaller wish would be granted, what is wrong.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeGuard

from hoopcore.access.offers import (
    Asked,
    Auto,
    Eligibility,
    decidable,
    fits,
    granted_by,
    offers_for,
    starts_at,
    unmet,
)
from hoopcore.model import (
    READS,
    SECOND,
    UNMASK,
    Principal,
    Priority,
    Request,
    Scope,
    Target,
    Time,
)
from hoopcore.statement import Effect
from hoopcore.voters import NO_VOTERS, Voters

NO_ROSTERS: Mapping[str, frozenset[str]] = MappingProxyType({})

LONGEST_REASON = 1_000
LONGEST_NOTE = 200
# Joiners, without which Persian words and many emoji fall apart; other format characters can
# turn the order of a line around on the screen of the person who decides.
_JOINERS = frozenset({"\u200c", "\u200d"})
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for, in their words."""

    target: str
    reason: str
    duration: int  # seconds
    scope: Scope | None = None  # None: whatever the rule offers, with masks on
    task: str = ""
    ticket: str = ""
    priority: Priority = Priority.NORMAL
    key: str = ""
    starts: Time | None = None  # None: once it is approved
    extends: str = ""  # the grant it goes on from; then the scope is never None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there will be no request: a word for programs, a sentence for people.

    ``reason``, ``task``, ``ticket``, ``duration``, ``scope``, ``starts``: that part of the wish
    makes no sense, or is not what the policy asks for.
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


def repeats(request: Request, wish: Wish) -> bool:
    """Whether the wish is the one this request was made of.

    Ceilings may have cut the duration and the rule may have given the scope, so a longer wish
    and a wish without a scope agree.
    """
    return (
        (request.target, request.reason) == (wish.target, wish.reason)
        and (request.task, request.ticket) == (wish.task, wish.ticket)
        and request.duration <= wish.duration
        and (
            wish.scope in (None, request.scope)
            or (_only_unmasks(wish.scope) and wish.scope.unmasks == request.scope.unmasks)
        )
    )


def _only_unmasks(scope: Scope | None) -> TypeGuard[Scope]:
    """Whether it says what is to be shown in clear, and not of what: of whatever is offered."""
    return scope is not None and bool(scope.unmasks) and not scope.with_masks.atoms


@dataclass(frozen=True, slots=True)
class Choice:
    """The offer a wish is asked under, and what it becomes there."""

    offer: Eligibility
    auto: Auto | None  # the condition under which the policy grants it itself
    scope: Scope
    duration: int  # seconds, ceilings applied


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
    rosters: Mapping[str, frozenset[str]] = NO_ROSTERS,
) -> Request | Refusal:
    """The request this wish becomes, or why it becomes none.

    Of the offers that fit, the one that allows most of the wished time is taken, then the one
    with the fewest votes, then the first.  Ceilings cut the duration; they do not refuse.
    Where nobody but the asker could decide, it is refused at once (``decidable``).
    """
    chosen = choose(wish, asker, target, offers, people, now=now, rosters=rosters)
    if isinstance(chosen, Refusal):
        return chosen
    offer = chosen.offer
    return Request(
        id=id,
        requester=asker.id,
        target=target.name,
        scope=chosen.scope,
        reason=wish.reason,
        duration=chosen.duration,
        created=now,
        expires=now + offer.expires * SECOND,
        rule=offer.rule(target, chosen.auto),
        policy_version=policy_version,
        task=wish.task,
        ticket=wish.ticket,
        priority=wish.priority,
        key=wish.key,
        starts=starts_at(wish.starts, now),
        extends=wish.extends,
    )


def choose(
    wish: Wish,
    asker: Principal,
    target: Target,
    offers: Iterable[Eligibility],
    people: Sequence[Principal],
    *,
    now: Time,
    rosters: Mapping[str, frozenset[str]] = NO_ROSTERS,
) -> Choice | Refusal:
    """Under which offer this wish is asked for, or why under none."""
    fault = _fault_of(wish)
    if fault is not None:
        return fault
    offered = offers_for(asker, target.name, offers)
    fitting = [o for o in offered if wish.scope is None or o.scope.covers(wish.scope)]
    choices = [_choice(wish, asker, target, offer, now, rosters) for offer in fitting]
    choices = [
        one for one in choices if one.auto or decidable(one.offer, asker, people, target.owners)
    ]
    if not choices:
        return _why_none(wish, offered, fitting)
    best = min(choices, key=lambda one: (-one.duration, _votes(one)))
    return _objection(wish, best, now) or best


def _choice(
    wish: Wish,
    asker: Principal,
    target: Target,
    offer: Eligibility,
    now: Time,
    rosters: Mapping[str, frozenset[str]],
) -> Choice:
    duration = min(wish.duration, offer.max_duration, target.max_duration)
    scope = offer.scope.with_masks if wish.scope is None else wish.scope
    if _only_unmasks(wish.scope) and not wish.extends:
        scope = offer.scope.with_masks.join(wish.scope)
    auto = granted_by(offer, _asked(wish, asker, target, scope, duration, now, rosters))
    return Choice(offer, auto, scope, duration)


def _asked(
    wish: Wish,
    asker: Principal,
    target: Target,
    scope: Scope,
    duration: int,
    now: Time,
    rosters: Mapping[str, frozenset[str]],
) -> Asked:
    return Asked(
        asker, target.name, scope, duration, wish.ticket, wish.priority, wish.extends, now, rosters
    )


def _votes(choice: Choice) -> int:
    offer = choice.offer
    return 0 if choice.auto else max(offer.votes, sum(need.votes for need in offer.needs))


def _objection(wish: Wish, choice: Choice, now: Time) -> Refusal | None:
    """What the offer itself wants of a reason, a ticket and a beginning."""
    lint = choice.offer.lint
    words = " ".join(wish.reason.split())
    if words.casefold().strip(".!? ") in lint.refused:
        return Refusal("reason", f'"{words}" is no reason: say what it is for')
    if len(words) < lint.min_length:
        return Refusal("reason", f"a reason here has at least {lint.min_length} characters")
    if lint.ticket and not fits(lint.ticket, wish.ticket):
        what = f'"{wish.ticket}" is not' if wish.ticket else "it needs"
        return Refusal("ticket", f"{what} a ticket of the form {lint.ticket}")
    if (wish.starts or 0) > now + choice.offer.ahead * SECOND:
        return Refusal("starts", f"it may begin {choice.offer.ahead // 3600} hours ahead at most")
    return None


@dataclass(frozen=True, slots=True)
class Smaller:
    """A wish for less, which the policy would grant at once."""

    scope: Scope
    duration: int  # seconds
    auto: Auto


def smaller(
    wish: Wish,
    choice: Choice,
    asker: Principal,
    target: Target,
    now: Time,
    rosters: Mapping[str, frozenset[str]] = NO_ROSTERS,
) -> Smaller | None:
    """What of this wish would be granted at once under the same offer; None: nothing of it.

    Only scope and duration are made smaller: no other condition is the asker's to bend.
    """
    for auto in choice.offer.auto:
        scope = choice.scope.meet(auto.scope) if auto.scope is not None else choice.scope
        if auto.limits.read_only:
            scope = scope.meet(READS)
        duration = min(choice.duration, auto.max_duration or choice.duration)
        asked = _asked(wish, asker, target, scope, duration, now, rosters)
        if scope.atoms and not unmet(auto, asked):
            return Smaller(scope, duration, auto)
    return None


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
        known = {"*", UNMASK, *Effect}
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
    voters = NO_VOTERS
    for offer in fitting:
        voters |= Voters(offer.approvers, offer.people)
    whose = str(voters) or "nobody"
    why = f'nobody but you could approve this: "{wish.target}" wants a vote of {whose}'
    return Refusal("no_approver", f"{why}, and nobody else of them has signed in here")
