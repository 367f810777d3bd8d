"""What roles offer: who may ask for what, who decides, and what the policy grants by itself.

An offer is one ``may_request`` of a role.  Its automatic approvals are conditions that must all
hold; one that cannot be told (a roster that is not to be had) does not hold, so a person decides.

Order of the file: the values, what fits an asker, whether anybody can decide, the conditions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Protocol

import re2

from hoopcore.access.deciding import names_of
from hoopcore.model import (
    READS,
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
from hoopcore.voters import NO_LIMITS, Escalation, Limits, Need, Voters

# --- the values -------------------------------------------------------------------------------


class Hours(Protocol):
    """Hours of the week in some place, as ``hoopcore.policy.windows`` has them."""

    @property
    def text(self) -> str: ...

    def holds(self, at: Time) -> bool: ...


@dataclass(frozen=True, slots=True)
class Auto:
    """An approval the policy gives by itself, where everything here holds.  Empty: any."""

    name: str
    groups: frozenset[str] = frozenset()  # the asker is in one of them
    targets: tuple[str, ...] = ()  # patterns
    scope: Scope | None = None  # covers what is asked for
    max_duration: int | None = None  # seconds asked for, at the most
    hours: tuple[Hours, ...] = ()  # in which it is asked
    ticket: str = ""  # pattern of the whole ticket
    priorities: frozenset[Priority] = frozenset()
    on_call: str = ""  # the roster that the asker is on
    extensions: bool = False  # whether what goes on from a grant is granted too
    limits: Limits = NO_LIMITS  # what it imposes

    def __str__(self) -> str:
        words = [
            f"asked by {' or '.join(sorted(self.groups))}" if self.groups else "",
            f"on {', '.join(self.targets)}" if self.targets else "",
            f"within {self.scope}" if self.scope else "",
            f"for at most {self.max_duration} s" if self.max_duration else "",
            f"at {' or '.join(one.text for one in self.hours)}" if self.hours else "",
            f"with a ticket like {self.ticket}" if self.ticket else "",
            f"priority {' or '.join(sorted(self.priorities))}" if self.priorities else "",
            f"by who is on call ({self.on_call})" if self.on_call else "",
            f"imposing: {self.limits}" if self.limits else "",
        ]
        return "; ".join(word for word in words if word) or "always"

    def covers(self, scope: Scope) -> bool:
        """Whether so wide a scope is granted: a read-only approval grants reading alone."""
        if scope.unmasks:
            return False  # a mask is never taken off without somebody's word
        read_only = not self.limits.read_only or READS.covers(scope)
        return read_only and (self.scope is None or self.scope.covers(scope))


@dataclass(frozen=True, slots=True)
class Lint:
    """What a reason and a ticket must be like."""

    min_length: int = 1  # of the reason, in characters
    refused: frozenset[str] = frozenset()  # reasons that say nothing, in small letters
    ticket: str = ""  # pattern of the whole ticket; empty: a ticket is not asked for


NO_LINT = Lint()


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
    people: frozenset[str] = frozenset()  # who may vote by name
    owners: bool = False  # whether the owners of the target may vote
    needs: tuple[Need, ...] = ()
    later: tuple[Escalation, ...] = ()
    auto: tuple[Auto, ...] = ()
    lint: Lint = NO_LINT
    start_within: int | None = None
    give_back: int | None = None
    ahead: int = 7 * 86_400  # seconds; how far in the future an access may begin
    break_glass: bool = False  # whether it may be had at once in an emergency

    def rule(self, target: Target, auto: Auto | None = None) -> ApprovalRule:
        """What is kept with a request on this target; with ``auto`` it is granted at once."""
        named = target.owners if self.owners else frozenset()
        return ApprovalRule(
            name=self.name,
            approvers=self.approvers | named,
            votes=0 if auto else self.votes,
            max_duration=min(self.max_duration, target.max_duration),
            database_role=self.database_role,
            people=self.people | named,
            needs=() if auto else self.needs,
            later=() if auto else self.later,
            auto=auto.name if auto else "",
            because=str(auto) if auto else "",
            limits=auto.limits if auto else NO_LIMITS,
            start_within=self.start_within,
            give_back=self.give_back,
        )


# --- what fits an asker -----------------------------------------------------------------------


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


# --- whether anybody can decide ---------------------------------------------------------------


def decidable(
    offer: Eligibility,
    asker: Principal,
    people: Iterable[Principal],
    owners: frozenset[str] = frozenset(),
) -> bool:
    """Whether somebody other than the asker could decide a request under this offer.

    ``people`` are all who are known here, ``owners`` those of the target.  Somebody of a group may
    still sign in for the first time, so it is certain that nobody can only where the asker alone
    is known in it.
    """
    named = owners if offer.owners else frozenset()
    every = Voters(offer.approvers | named, offer.people | named)
    for need in offer.needs:
        every |= need.voters
    others = [p for p in people if p.kind is Kind.HUMAN and p.id != asker.id]
    needs = [Need(every, offer.votes), *offer.needs]
    return all(_may_come(need, offer.later, asker, others) for need in needs if need.votes)


def _may_come(
    need: Need, later: Iterable[Escalation], asker: Principal, others: Iterable[Principal]
) -> bool:
    voters = need.voters
    for added in later:
        voters |= added.voters
    if any(voters.among(person.groups, names_of(person)) for person in others):
        return True
    named = {name for name in voters.people if name.casefold() not in names_of(asker)}
    strangers = bool(voters.groups) and not voters.groups & asker.groups
    return strangers or bool(named - voters.groups)  # an owner may be a group: then it is in both


# --- the conditions ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """A wish as the conditions look at it."""

    asker: Principal
    target: str
    scope: Scope
    duration: int
    ticket: str
    priority: Priority
    extends: str
    at: Time
    rosters: Mapping[str, frozenset[str]]  # who is on call; one that is not to be had is not in it


def granted_by(offer: Eligibility, asked: Asked) -> Auto | None:
    """The first condition of the offer under which the policy grants this itself."""
    return next((auto for auto in offer.auto if not unmet(auto, asked)), None)


def unmet(auto: Auto, asked: Asked) -> tuple[str, ...]:
    """Which conditions do not hold, each by the name of its key; none: all of them hold."""
    on_call = asked.rosters.get(auto.on_call, frozenset())
    checks = {
        "groups": not auto.groups or bool(auto.groups & asked.asker.groups),
        "targets": not auto.targets or any(fnmatchcase(asked.target, p) for p in auto.targets),
        "scope": auto.covers(asked.scope),
        "max": auto.max_duration is None or asked.duration <= auto.max_duration,
        "hours": not auto.hours or any(one.holds(asked.at) for one in auto.hours),
        "ticket": not auto.ticket or fits(auto.ticket, asked.ticket),
        "priorities": not auto.priorities or asked.priority in auto.priorities,
        "on_call": not auto.on_call
        or not names_of(asked.asker).isdisjoint(name.casefold() for name in on_call),
        "extensions": auto.extensions or not asked.extends,
    }
    return tuple(name for name, holds in checks.items() if not holds)


def fits(pattern: str, text: str) -> bool:
    """Whether the whole text is of that form (RE2, so no pattern takes for ever)."""
    return _compiled(pattern).fullmatch(text) is not None


@lru_cache(maxsize=1_000)
def _compiled(pattern: str) -> Any:
    return re2.compile(pattern)


def starts_at(wished: Time | None, now: Time) -> Time | None:
    """When access that is wished for then begins; None: once it is approved."""
    return wished if wished is not None and wished > now + SECOND else None
