"""Random sequences of events around access, held against the invariants of the domain.

The model below knows nothing of the code under test: it keeps what people did, as they did it, and
computes afresh what must hold.  Each sequence has people of its own, so one store serves many.

HOOP_LONG=1 runs many more and longer sequences.  A failure names its seed and the steps so far.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hoopagent.config import Config
from hoopagent.errors import Refused
from hoopagent.store import Token
from hoopagent.store.sql import SqlStore
from hoopcore.access import GRANT_MOVES, REQUEST_MOVES, Wish
from hoopcore.model import (
    SECOND,
    Answer,
    AuditEvent,
    Grant,
    GrantState,
    Kind,
    Principal,
    Request,
    RequestState,
    Time,
    Vote,
)
from tests.store.conftest import opened
from tests.store.world import CONFIG, DAY, HOUR, World, offer, section

LONG = bool(os.environ.get("HOOP_LONG"))
SEQUENCES, STEPS = (150, 100) if LONG else (6, 50)

TARGETS = ("prod-db", "prod-vault", "dev-db", "wait-db")
CEILINGS = {"prod-db": 4 * HOUR, "prod-vault": HOUR // 2, "dev-db": 8 * HOUR, "wait-db": HOUR}
RULES = {"prod-db": 2 * HOUR, "prod-vault": 2 * HOUR, "dev-db": 8 * HOUR, "wait-db": 2 * HOUR}
VOTES = {"prod-db": 1, "prod-vault": 2, "dev-db": 0, "wait-db": 1}
APPROVERS = {
    "prod-db": {"dba", "oncall"},
    "prod-vault": {"dba", "security"},
    "dev-db": set(),
    "wait-db": {"dba"},
}
START_WITHIN = {"wait-db": 3 * HOUR}


def config() -> Config:
    """The company's, with a target where a grant's time begins with the first connection."""
    waiting = offer("wait-*", ["dba"], starts="connect", start_within="3h")
    engineer = CONFIG.roles["engineer"]
    offers = (*engineer.may_request, waiting)
    return CONFIG.model_copy(
        update={
            "targets": {**CONFIG.targets, "wait-db": section("1h")},
            "roles": {
                **CONFIG.roles,
                "engineer": engineer.model_copy(update={"may_request": offers}),
            },
        }
    )


@dataclass(slots=True)
class Lives:
    """One sequence: the world it happens in, and what the model remembers of it."""

    world: World
    twin: World
    dice: random.Random
    people: list[Principal]
    ceilings: dict[str, int] = field(default_factory=lambda: dict(CEILINGS))
    now: Time = 0  # the highest time anybody has seen
    identity: dict[str, Time] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)  # request → seconds wished for
    keys: dict[tuple[str, str], str] = field(default_factory=dict)
    requests: dict[str, Request] = field(default_factory=dict)  # as last seen
    grants: dict[str, Grant] = field(default_factory=dict)
    sessions: dict[str, tuple[str, str]] = field(default_factory=dict)  # open: person, target
    steps: list[str] = field(default_factory=list)

    # --- what people do ---------------------------------------------------------------------------

    async def step(self) -> None:
        acts: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (7, self.ask),
            (3, self.extend),
            (9, self.vote),
            (4, self.two_at_once),
            (1, self.cancel),
            (6, self.connect),
            (2, self.relinquish),
            (2, self.revoke),
            (2, self.suspend),
            (5, self.wait),
            (1, self.turn_back),
            (1, self.sign_in),
            (2, self.change_ceiling),
        ]
        act = self.dice.choices([act for _, act in acts], [weight for weight, _ in acts])[0]
        self.steps.append(act.__name__)
        await act()

    def tell(self, *words: object) -> None:
        self.steps[-1] += " " + " ".join(map(str, words))

    async def attempt(self, use: Awaitable[Any]) -> Any:
        """The answer, or None where it was refused; nothing else may come of any act."""
        try:
            return await use
        except Refused as refused:
            self.tell(f"→ {refused.error}")
            return None

    def person(self) -> Principal:
        return self.dice.choice(self.people)

    def any_request(self) -> str:
        pending = [r.id for r in self.requests.values() if r.state is RequestState.PENDING]
        pool = pending if pending and self.dice.random() < 0.8 else list(self.requests)
        return self.dice.choice(pool) if pool else "req-00000000"

    def any_grant(self) -> str:
        live = [grant.id for grant in self.grants.values() if GRANT_MOVES[grant.state]]
        pool = live if live and self.dice.random() < 0.9 else list(self.grants)
        return self.dice.choice(pool) if pool else "grt-00000000"

    async def ask(self) -> None:
        who, target = self.person(), self.dice.choice(TARGETS)
        if self.dice.random() < 0.7:
            who = self.people[0]
        seconds = self.dice.choice([1, 60, HOUR // 2, HOUR, 3 * HOUR, 9 * HOUR])
        key = self.dice.choice(["", "", "k1", "k2"])
        scope = self.dice.choice([None, "public.orders:read", "*.*:read"])
        starts = self.dice.choice([None, None, None, HOUR // 4, 3 * HOUR])
        at = None if starts is None else self.world.time + starts * SECOND
        self.tell(who.subject, target, seconds, key, scope, starts)
        asking = self.world.ask(who, target, seconds, scope=scope, key=key, starts=at)
        made = await self.attempt(asking)
        if made is None:
            return
        earlier = self.keys.get((who.id, key)) if key else None
        if earlier is not None:
            assert made["id"] == earlier
            return
        assert made["id"] not in self.asked
        self.asked[made["id"]] = seconds
        if key:
            self.keys[who.id, key] = made["id"]

    async def extend(self) -> None:
        id = self.any_grant()
        grant = self.grants.get(id)
        who = self.person()
        if grant is not None and self.dice.random() < 0.9:
            who = next(person for person in self.people if person.id == grant.principal)
        seconds = self.dice.choice([60, HOUR // 2, 9 * HOUR])
        self.tell(who.subject, id, seconds)
        wish = Wish("", "it takes longer", seconds, extends=id)
        made = await self.attempt(self.world.requests.ask(who, wish))
        if made is not None:
            assert grant is not None
            assert (made["target"], who.id) == (grant.target, grant.principal)
            self.asked[made["id"]] = seconds

    async def vote(self) -> None:
        await self.one_vote(self.world)

    async def one_vote(self, world: World, id: str = "") -> None:
        id = id or self.any_request()
        who = self.person()
        request = self.requests.get(id)
        if request is not None and self.dice.random() < 0.8:
            groups = request.rule.approvers
            voters = [p for p in self.people if p.groups & groups or p.id == request.requester]
            who = self.dice.choice(voters)
        answer = self.dice.choices([Answer.APPROVE, Answer.DENY], [5, 1])[0]
        seconds = None
        if answer is Answer.APPROVE:
            seconds = self.dice.choice([None, None, 30, HOUR // 4])
        self.tell(who.subject, id, answer.value, seconds)
        await self.attempt(world.requests.vote(who, id, answer, "so it is", seconds))

    async def cancel(self) -> None:
        id = self.any_request()
        request = self.requests.get(id)
        who = self.person()
        if request is not None and self.dice.random() < 0.7:
            who = next(person for person in self.people if person.id == request.requester)
        self.tell(who.subject, id)
        await self.attempt(self.world.requests.cancel(who, id))

    async def two_at_once(self) -> None:
        """On one request, from two agents."""
        id = self.any_request()
        self.twin.time = self.world.time
        other = self.dice.choice(["vote", "cancel", "sweep"])
        request = self.requests.get(id)
        first = self.one_vote(self.world, id)
        if other == "vote":
            await asyncio.gather(first, self.one_vote(self.twin, id))
        elif other == "cancel" and request is not None:
            who = next(person for person in self.people if person.id == request.requester)
            cancelling = self.twin.requests.cancel(who, id)
            await asyncio.gather(first, self.attempt(cancelling))
        else:
            await asyncio.gather(first, self.twin.grants.sweep(self.twin.time))

    async def connect(self) -> None:
        who, target = self.dice.choice(self.some_pairs())
        self.tell(who.subject, target)
        await self.see_time()
        expected = await self.until(who.id, target)
        session = await self.world.connect(who, target)
        assert (session is not None) is (expected is not None)
        if session is not None:
            self.sessions[session] = (who.id, target)

    async def relinquish(self) -> None:
        id = self.any_grant()
        grant = self.grants.get(id)
        who = self.person()
        if grant is not None and self.dice.random() < 0.7:
            who = next(person for person in self.people if person.id == grant.principal)
        self.tell(who.subject, id)
        await self.end(id, self.world.grants.relinquish(who, id))

    async def revoke(self) -> None:
        who, id = self.person(), self.any_grant()
        if self.dice.random() < 0.7:
            who = next(person for person in self.people if "admin" in person.groups)
        self.tell(who.subject, id)
        await self.end(id, self.world.grants.revoke(who, id, "enough"))

    async def end(self, id: str, use: Awaitable[Any]) -> None:
        before = await self.world.live_sessions()
        ended = await self.attempt(use)
        after = await self.world.live_sessions()
        if ended is not None:
            # Invariant 2: closed before the answer is given, and told.
            assert before - after == set(ended["closed"])
            await self.see_time()
            for session in after & set(self.sessions):
                stored = await self.world.store.session(session)
                assert stored is not None
                if id in stored.grants:
                    assert await self.until(*self.sessions[session]) is not None

    async def suspend(self) -> None:
        id = self.any_grant()
        old, new = GrantState.ACTIVE, GrantState.SUSPENDED
        if self.dice.random() < 0.5:
            old, new = new, old
        self.tell(id, new.value)
        event = AuditEvent(self.world.time, "system", f"grant.{new.value}", id)
        await self.world.store.move_grant(id, old, new, event)

    async def wait(self) -> None:
        long, short = [HOUR, 2 * HOUR, DAY], [1, 29, 30, 60, HOUR // 4]
        seconds = self.dice.choice(long if self.dice.random() < 0.15 else short)
        self.tell(seconds)
        self.world.wait(seconds)

    async def turn_back(self) -> None:
        seconds = self.dice.choice([1, HOUR, DAY])
        self.tell(seconds)
        await self.see_time()
        before = [(p, t, await self.until(p.id, t)) for p, t in self.some_pairs()]
        self.world.wait(-seconds)
        for person, target, until in before:
            found = await self.world.access(person, target)
            # Invariant 1: turning the clock back extends nothing.
            assert (found.until if found else None) == until

    async def sign_in(self) -> None:
        who = self.person()
        hours = self.dice.choice([1, 12])
        self.tell(who.subject, hours)
        if self.dice.random() < 0.3:
            await self.world.store.revoke_tokens_of(who.id)
            self.identity[who.id] = 0
        await self.world.sign_in(who, hours)
        await self.see_time()
        until = self.now + hours * HOUR * SECOND
        self.identity[who.id] = max(self.identity[who.id], until)

    async def change_ceiling(self) -> None:
        _, target = self.dice.choice(self.some_pairs())
        seconds = self.dice.choice([60, HOUR // 2, CEILINGS[target]])
        self.tell(target, seconds)
        self.ceilings[target] = seconds
        for world in (self.world, self.twin):
            world.set_target(target, section(f"{seconds}s", owners=["owners"]))

    # --- what must hold ---------------------------------------------------------------------------

    async def see_time(self) -> None:
        self.now = await self.world.store.highest_time(self.world.time)

    def some_pairs(self) -> list[tuple[Principal, str]]:
        """Of people and targets; those who hold something more often than the others."""
        by_id = {person.id: person for person in self.people}
        held = [(by_id[grant.principal], grant.target) for grant in self.grants.values()]
        pairs = [(self.person(), self.dice.choice(TARGETS)) for _ in range(2)]
        return pairs + self.dice.sample(held, min(3, len(held)))

    async def until(self, person: str, target: str) -> Time | None:
        """Invariants 1 and 11, computed from the model's own memory and the rows' states."""
        spans, found = [], []
        ceiling = self.ceilings[target] * SECOND
        for grant in await self.world.store.grants(principal=person, target=target, limit=None):
            born = self.grants.get(grant.id, grant)
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

    async def check(self) -> None:
        await self.see_time()
        await self.check_requests()
        await self.check_grants()
        await self.check_access()

    async def check_requests(self) -> None:
        stored = [
            request
            for person in self.people
            for request in await self.world.store.requests(requester=person.id)
        ]
        assert len(stored) == len({r.id for r in stored}) == len(self.asked)  # 15
        votes = await self.world.store.votes_on([request.id for request in stored])
        for request in stored:
            before = self.requests.get(request.id)
            if before is not None:
                assert replace(request, state=before.state) == before  # nothing but the state
                assert moved(before.state, request.state)
            self.check_votes(request, votes.get(request.id, []))
            assert request.duration <= min(
                self.asked[request.id], RULES[request.target], CEILINGS[request.target]
            )
        self.requests = {request.id: request for request in stored}

    def check_votes(self, request: Request, votes: list[Vote]) -> None:
        """Invariants 3 and 8: distinct people, never the asker, no service; deny beats approve."""
        voters = [vote.voter for vote in votes]
        assert len(voters) == len(set(voters))
        for vote in votes:
            voter = next(person for person in self.people if person.id == vote.voter)
            assert voter.id != request.requester
            assert voter.kind is Kind.HUMAN
            assert voter.groups & APPROVERS[request.target]
            assert request.created <= vote.at < request.expires
        denied = any(vote.answer is Answer.DENY for vote in votes)
        enough = sum(vote.answer is Answer.APPROVE for vote in votes) >= VOTES[request.target]
        assert (request.state is RequestState.DENIED) is denied
        if not denied:
            assert (request.state is RequestState.FULFILLED) is enough

    async def check_grants(self) -> None:
        stored = [
            grant
            for person in self.people
            for grant in await self.world.store.grants(principal=person.id)
        ]
        fulfilled = {r.id for r in self.requests.values() if r.state is RequestState.FULFILLED}
        assert sorted(grant.request for grant in stored) == sorted(fulfilled)  # 16: one each
        for grant in stored:
            request = self.requests[grant.request]
            before = self.grants.get(grant.id)
            if before is None:
                await self.check_new_grant(grant, request)
            else:
                assert (
                    replace(
                        grant,
                        state=before.state,
                        ended_at=before.ended_at,
                        ended_by=before.ended_by,
                        ended_why=before.ended_why,
                        lasts=before.lasts,
                        started=before.started,
                    )
                    == before
                )
                self.check_clock(before, grant)
                assert before.state is grant.state or moved(before.state, grant.state)
        self.grants = {grant.id: grant for grant in stored}

    def check_clock(self, before: Grant, grant: Grant) -> None:
        """A clock begins once, at its time or with a connection, within every ceiling of then."""
        if (grant.started, grant.lasts) == (before.started, before.lasts):
            return
        whole = (before.not_after - before.not_before) // SECOND
        assert before.started is None
        assert grant.started is not None
        assert grant.lasts is not None
        assert grant.lasts == min(before.lasts or whole, self.ceilings[grant.target])
        assert before.not_before <= grant.started <= self.now
        assert grant.ends <= grant.not_after

    async def check_new_grant(self, grant: Grant, request: Request) -> None:
        """Invariant 5: never more than asked for, than any vote allowed, than any ceiling."""
        conditions = [
            vote.duration
            for vote in await self.world.store.votes(request.id)
            if vote.duration is not None
        ]
        bound = min([request.duration, self.ceilings[grant.target], *conditions])
        slack = 0 if request.extends else START_WITHIN.get(grant.target, 0)
        assert grant.not_after - grant.not_before == (bound + slack) * SECOND
        assert request.created <= grant.not_before
        assert grant.not_before >= (request.starts or 0)
        if not request.extends and request.starts is None:
            assert grant.not_before < request.expires
        assert (grant.principal, grant.target) == (request.requester, request.target)
        assert request.scope.covers(grant.scope)

    async def check_access(self) -> None:
        # The watch, which the agent runs each second.
        await self.world.look()
        live = await self.world.live_sessions()
        for session, (person, target) in self.sessions.items():
            assert (session in live) is (await self.until(person, target) is not None)  # 2
        for one, target in self.some_pairs():
            found = await self.world.access(one, target)
            assert (found.until if found else None) == await self.until(one.id, target)
        self.sessions = {id: of for id, of in self.sessions.items() if id in live}

    async def check_audit(self) -> None:
        """No change without its row, and no row twice."""
        await self.check_requests()
        await self.check_grants()
        told = [
            (event.action, event.subject) for event in await self.world.store.audit_events(5_000)
        ]
        for grant in self.grants.values():
            assert told.count(("grant.made", grant.id)) == 1
            ends = {f"grant.{state.value}" for state in GrantState if not GRANT_MOVES[state]}
            ended = [action for action, subject in told if subject == grant.id and action in ends]
            assert ended == ([] if GRANT_MOVES[grant.state] else [f"grant.{grant.state.value}"])
        for request in self.requests.values():
            assert told.count(("request.made", request.id)) == 1


def moved(old: Any, new: Any) -> bool:
    """Whether the one state can follow from the other, over any number of steps."""
    moves: Any = REQUEST_MOVES if isinstance(old, RequestState) else GRANT_MOVES
    reached, edge = {old}, {old}
    while edge:
        edge = {after for state in edge for after in moves[state]} - reached
        reached |= edge
    return new in reached


async def begin(store: SqlStore, other: SqlStore, seed: int, start: Time) -> Lives:
    dice = random.Random(seed)

    def somebody(name: str, *groups: str, kind: Kind = Kind.HUMAN) -> Principal:
        subject = f"{name}-{seed}"
        return Principal(f"p-{subject}", kind, "iss", subject, "", frozenset(groups))

    people = [
        somebody("ana", "engineering", "security"),
        somebody("eli", "engineering", "oncall"),
        somebody("ben", "dba", "oncall", "security"),
        somebody("cat", "dba"),
        somebody("ada", "dba", "admin"),
        somebody("sec", "security"),
        somebody("bot", "dba", kind=Kind.SERVICE),
        somebody("sue", "sales"),
    ]
    worlds = [
        World(each, config(), start, random.Random(seed * 2 + n))
        for n, each in enumerate((store, other))
    ]
    lives = Lives(worlds[0], worlds[1], dice, people)
    for person in people:
        await store.put_principal(person, start)
        until = start + 12 * HOUR * SECOND
        await store.add_token(
            Token(f"{person.id}-first", person.id, start, start, until, "SHA256:key")
        )
        lives.identity[person.id] = until
    return lives


async def live_through(lives: Lives) -> Time:
    for _ in range(STEPS):
        await lives.step()
        await lives.check()
    await lives.check_audit()
    # The next sequence begins when all of this one is over.
    return max(lives.now, lives.world.time) + 2 * DAY * SECOND


async def test_no_sequence_of_events_breaks_an_invariant(
    store: SqlStore, url: str, tmp_path: Path
) -> None:
    other = await opened(url)
    start = await store.highest_time(0)
    first = int(os.environ.get("HOOP_SEED", "0"))
    try:
        for seed in range(first, first + SEQUENCES):
            lives = await begin(store, other, seed, start)
            try:
                start = await live_through(lives)
            except Exception as problem:
                problem.add_note("\n".join([f"seed {seed}", *lives.steps]))
                raise
    finally:
        await other.close()
