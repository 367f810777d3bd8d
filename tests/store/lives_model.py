"""What a model remembers that knows no code, and what must come of an act by it.

An act is a value: its name, and what it is done with.  People and ids are numbers into what there
is at that moment, the newest first, so that any act can be done in any life.

Order of the file: acts, what is remembered, what there is, what must come of it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hoopcore.access import GRANT_MOVES, Wish
from hoopcore.access.glass import ReviewItem
from hoopcore.model import (
    SECOND,
    Grant,
    GrantState,
    Kind,
    Principal,
    Request,
    RequestState,
    Time,
    Vote,
)
from tests.store.lives_ground import (
    APPROVERS,
    CEILINGS,
    ENGINEERS,
    ESCALATES,
    LATER,
    TARGETS,
    Faults,
    Ground,
)
from tests.store.world import START, World

# --- acts -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Act:
    """Which method of ``Lives``, by whom (a number), on what (a number), with what else."""

    name: str
    who: int = 0
    what: int = 0
    more: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """All that a life has come to, as the store tells it."""

    requests: dict[str, Request] = field(default_factory=dict)
    votes: dict[str, list[Vote]] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)
    items: dict[str, ReviewItem] = field(default_factory=dict)


# --- what is remembered ---------------------------------------------------------------------------


@dataclass(slots=True)
class Model:
    """One life of the company on two agents, as far as it has come."""

    ground: Ground
    faults: Faults
    worlds: list[World] = field(default_factory=list)
    people: dict[str, Principal] = field(default_factory=dict)  # as they are now, by id
    left: set[str] = field(default_factory=set)
    ceilings: dict[str, int] = field(default_factory=lambda: dict(CEILINGS))
    identity: dict[str, Time] = field(default_factory=dict)
    now: Time = START  # the highest time anybody has seen
    seen: Seen = field(default_factory=Seen)
    asked: dict[str, Wish] = field(default_factory=dict)  # what each request was made of
    voted_as: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    sessions: dict[str, tuple[str, str]] = field(default_factory=dict)  # open: person, target
    # Of the step that is being done:
    alone: bool = True  # nothing else happens at the same time, and nothing breaks
    wishes: list[tuple[str, Wish]] = field(default_factory=list)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)  # who, why

    # --- what there is ----------------------------------------------------------------------------

    def a_request(self, what: int) -> Request | None:
        """Those that are pending come first."""
        pending = [r for r in self.seen.requests.values() if r.state is RequestState.PENDING]
        rest = [r for r in self.seen.requests.values() if r.state is not RequestState.PENDING]
        found = pending[::-1] + rest[::-1]
        return found[what % len(found)] if found else None

    def a_grant(self, what: int) -> Grant | None:
        """Those that have not ended come first."""
        live = [grant for grant in self.seen.grants.values() if GRANT_MOVES[grant.state]]
        rest = [grant for grant in self.seen.grants.values() if not GRANT_MOVES[grant.state]]
        found = live[::-1] + rest[::-1]
        return found[what % len(found)] if found else None

    def suspended(self) -> list[Grant]:
        """What its holder would have now if nobody had suspended it."""
        held = self.seen.grants.values()
        return [one for one in held if one.state is GrantState.SUSPENDED and self.lives(one)]

    def escalates_soon(self) -> list[Request]:
        """What others may vote on when it has waited long enough."""
        return [
            one
            for one in self.seen.requests.values()
            if one.state is RequestState.PENDING
            and one.target in LATER
            and self.now < one.created + ESCALATES * SECOND // 2
        ]

    def a_grant_or_target(self, what: int) -> str:
        grant = self.a_grant(what)
        return TARGETS[what % len(TARGETS)] if grant is None else grant.target

    def somebody(self, act: Act) -> Principal:
        """Mostly one of those who may do it, as far as that is easily said; else anybody."""
        everybody = list(self.people.values())
        fitting = [person for person in everybody if self.suits(person, act)]
        if act.who >= 2 * len(everybody) and fitting:
            return fitting[act.who % len(fitting)]
        return everybody[act.who % len(everybody)]

    def suits(self, person: Principal, act: Act) -> bool:
        grant = self.a_grant(act.what)
        holds = grant is not None and grant.principal == person.id
        request = self.a_request(act.what)
        if act.name == "vote":
            # Who may only vote later is one of them: an escalation that comes early is tried.
            return request is not None and self.may_vote(request, person, escalated=True)
        if act.name == "cancel":
            return request is not None and request.requester == person.id
        if act.name in ("relinquish", "extend", "connect"):
            return holds
        if act.name == "ask" and act.what >= len(TARGETS):
            grant = self.a_grant(act.what - len(TARGETS))
            return grant is not None and grant.principal == person.id
        if act.name in ("revoke", "suspend", "ask_again", "resume", "decide"):
            return not holds and bool(person.groups & {"admin", "owners"})
        return bool(person.groups & ENGINEERS)

    def keyed(self, person: str, key: str) -> str | None:
        of = [r.id for r in self.seen.requests.values() if key and r.requester == person
              and r.key == key]  # fmt: skip
        return of[0] if of else None

    def lives(self, grant: Grant) -> bool:
        return bool(GRANT_MOVES[grant.state]) and grant.ends > self.now

    def pairs(self) -> list[tuple[str, str]]:
        """Of people and targets: all that ever held."""
        held = {(grant.principal, grant.target) for grant in self.seen.grants.values()}
        return sorted(held) + [("p-ana", "prod-db")] * (not held)

    # --- what must come of it ---------------------------------------------------------------------

    async def see_time(self, world: World) -> None:
        self.now = await world.store.highest_time(world.time)

    def may_vote(self, request: Request, who: Principal, *, escalated: bool = False) -> bool:
        """Whether they may now; ``escalated``: as if nobody had answered for long enough."""
        requester = self.people[request.requester]
        groups = set(APPROVERS[request.target])
        if escalated or self.now >= request.created + ESCALATES * SECOND:
            groups |= LATER.get(request.target, set())
        return (
            request.state is RequestState.PENDING
            and self.now < request.expires
            and who.id != requester.id
            and who.kind is Kind.HUMAN
            and who.email.casefold() != requester.owner.casefold()
            and bool(who.groups & groups)
            and all(vote.voter != who.id for vote in self.seen.votes.get(request.id, []))
        )

    async def until(self, person: str, target: str) -> Time | None:
        """Invariants 1 and 11, computed from the model's own memory and the rows' states."""
        spans, found = [], []
        ceiling = self.ceilings[target] * SECOND
        store = self.worlds[0].store
        for grant in await store.grants(principal=person, target=target, limit=None):
            born = self.seen.grants.get(grant.id, grant)
            if grant.state not in (GrantState.ACTIVE, GrantState.SCHEDULED):
                continue
            if grant.lasts is None:
                spans.append((born.not_before, min(born.not_after, born.not_before + ceiling)))
            elif grant.started is not None:
                length = min(grant.lasts * SECOND, ceiling)
                spans.append((grant.started, min(born.not_after, grant.started + length)))
            elif born.not_before <= self.now < born.not_after - grant.lasts * SECOND:
                found.append(self.now + min(grant.lasts * SECOND, ceiling))  # if they connect now
        end = self.now
        while any(first <= end < last for first, last in spans):  # one goes on from another
            end = max(last for first, last in spans if first <= end)
        found += [end] if end > self.now else []
        if not found or self.identity[person] <= self.now:
            return None
        return min(max(found), self.identity[person])
