"""What people do to each other's access, on two agents, with clocks and stores that go wrong.

An act that is led alone, with nothing breaking, is held against what must come of it; one of two
at once, or one in which the store breaks, only against the invariants afterwards
(``lives_checks.py``).

Order of the file: the life, what people do, what nobody does at the same time as something else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from hoopagent.ends import Ends
from hoopagent.errors import Refused
from hoopagent.store import StoreAway
from hoopcore.access import GRANT_MOVES, Wish
from hoopcore.access.glass import ItemState
from hoopcore.model import (
    SECOND,
    Answer,
    Grant,
    GrantState,
    Kind,
    Principal,
    RequestState,
    Scope,
)
from tests.store.lives_ground import (
    APPROVERS,
    CEILINGS,
    ENGINEERS,
    ESCALATES,
    LATER,
    PEOPLE,
    SIGNED_IN,
    TARGETS,
    Faults,
    Ground,
    company,
)
from tests.store.lives_model import Act, Model
from tests.store.test_glass import glass
from tests.store.world import HOUR, START, World, section

T = TypeVar("T")


@dataclass(slots=True)
class Lives(Model):
    """One life of the company."""

    @classmethod
    async def begin(cls, ground: Ground, number: int) -> Lives:
        lives = cls(ground, Faults())
        await ground.fresh(lives.faults)
        config = company()
        for agent, store in enumerate(ground.stores):
            world = World(store, config, START)
            world.dice.seed(number * 2 + agent)
            lives.worlds.append(world)
        lives.people = {person.id: person for person in PEOPLE}
        lives.identity = dict.fromkeys(lives.people, START + SIGNED_IN * SECOND)
        return lives

    async def do(self, act: Act, agent: int = 0) -> None:
        who = self.somebody(act)
        if who.id in self.left and act.name != "sign_in":
            return  # no agent listens to them
        world = self.worlds[agent]
        if self.alone:
            await self.see_time(world)
        await getattr(self, act.name)(world, who, act.what, *act.more)

    async def together(self, one: Act, other: Act) -> None:
        """On two agents at the same time."""
        self.alone = False
        await asyncio.gather(self.do(one, 0), self.do(other, 1))

    async def broken(self, act: Act, how: str, at: int) -> None:
        """While the store breaks: at a write, behind a commit, on the audit, or all its lines."""
        self.alone = False
        if how == "lines":
            await asyncio.gather(self.do(act), self.ground.drop_connections())
            return
        self.faults.arm(how, at)
        try:
            await self.do(act)
        finally:
            self.faults.disarm()

    async def attempt(self, who: Principal, use: Awaitable[T], about: str = "") -> T | None:
        """The answer; None where it was refused, or where the store broke in it."""
        try:
            return await use
        except Refused as refused:
            there = about in self.seen.requests | self.seen.grants | self.seen.items
            # What makes no sense (422), and what is not there, is no try at anything.
            if refused.status in (403, 409) or (refused.status == 404 and there):
                self.refused[who.id, refused.error] += 1
        except StoreAway:
            assert not self.alone, "the store is there"
        return None

    # --- what people do ---------------------------------------------------------------------------

    async def ask(
        self, world: World, who: Principal, what: int, seconds: int, scope: str | None, key: str,
        starts: int | None, ticket: str, reason: str,
    ) -> None:  # fmt: skip
        again = what >= len(TARGETS)  # where somebody had something already
        target = self.a_grant_or_target(what - len(TARGETS)) if again else TARGETS[what]
        wish = Wish(
            target, reason, seconds, _scope(scope), ticket=ticket, key=key,
            starts=None if starts is None else world.time + starts * SECOND,
        )  # fmt: skip
        await self._asked(who, wish, world.requests.ask(who, wish))

    async def ask_again(self, world: World, who: Principal, what: int, seconds: int) -> None:
        """Who was suspended asks for the same, as the policy would grant it by itself."""
        grant = self.a_grant(what)
        if not self.suspended() and grant is not None:
            ends = Ends(world.means, world.grants)
            await self.attempt(who, ends.suspend(who, grant.id, "is it yours?"), grant.id)
            return  # it is asked for another time
        suspended = self.suspended()
        if not suspended:
            return
        held = suspended[what % len(suspended)]
        who = self.people[held.principal]
        if who.id in self.left:
            return
        scope = _scope("*.*:read")
        wish = Wish(held.target, "orders are stuck", seconds, scope, ticket="OPS-1")
        await self._asked(who, wish, world.requests.ask(who, wish))

    async def granted(
        self, world: World, who: Principal, what: int, seconds: int, scope: str | None, first: int,
        starts: int | None,
    ) -> None:  # fmt: skip
        """Asked for, and approved by whoever it takes; most of what people do begins with this."""
        at = None if starts is None else world.time + starts * SECOND
        target = TARGETS[what % len(TARGETS)]
        wish = Wish(target, "orders are stuck", seconds, _scope(scope), starts=at)
        made = await self._asked(who, wish, world.requests.ask(who, wish))
        voters = [one for one in self.people.values() if one.groups & APPROVERS[wish.target]]
        for voter in voters[first:] + voters[:first]:
            if made is None or made["state"] != "pending":
                return
            if voter.kind is Kind.HUMAN and voter.id not in self.left:
                voting = world.requests.vote(voter, made["id"], Answer.APPROVE, "so it is")
                made = await self.attempt(voter, voting, made["id"]) or made

    async def extend(self, world: World, who: Principal, what: int, seconds: int) -> None:
        grant = self.a_grant(what)
        wish = Wish("", "it takes longer", seconds, extends=grant.id if grant else "grt-00000000")
        made = await self._asked(who, wish, world.requests.ask(who, wish), wish.extends)
        if made is not None and self.alone:
            assert grant is not None
            assert (made["target"], who.id) == (grant.target, grant.principal)
            # An end is an end, and nobody goes on from what somebody has suspended.
            assert grant.state in (GrantState.ACTIVE, GrantState.SCHEDULED)

    async def break_glass(
        self, world: World, who: Principal, what: int, seconds: int, key: str
    ) -> None:
        target = ("prod-db", "prod-vault", "dev-db")[what % 3]
        wish = Wish(target, "it is down", seconds, key=key)
        await self._asked(who, wish, glass(world).break_glass(who, wish, "INC-1"))

    async def _asked(
        self, who: Principal, wish: Wish, use: Awaitable[Any], about: str = ""
    ) -> Any | None:
        before = self.keyed(who.id, wish.key)
        self.wishes.append((who.id, wish))
        made = await self.attempt(who, use, about)
        if made is not None and before is not None:
            assert made["id"] == before  # 15: a repeat is the one that is there
            self.wishes.pop()
        elif made is not None and self.alone:
            assert made["id"] not in self.seen.requests
        return made

    async def vote(
        self, world: World, who: Principal, what: int, answer: Answer, seconds: int | None,
        scope: str | None, delay: int | None,
    ) -> None:  # fmt: skip
        request = self.a_request(what)
        id = request.id if request else "req-00000000"
        may = request is not None and self.may_vote(request, who)
        starts = None if delay is None else self.now + delay * SECOND
        given = await self.attempt(
            who,
            world.requests.vote(
                who, id, answer, "so it is", seconds, scope=_scope(scope), starts=starts
            ),
            id,
        )
        if request is None or not self.alone:
            return
        if not may and given is not None:
            assert (who.id, answer) in [(v.voter, v.answer) for v in self.seen.votes[id]]
        if may and answer is Answer.DENY and (seconds, scope, delay) == (None, None, None):
            assert given is not None
            assert given["state"] == "denied"

    async def vote_at_the_brink(self, answer: Answer, agent: int, seconds: int) -> None:
        """Who is added later votes so long before or behind that moment."""
        soon = self.escalates_soon()
        if not soon:
            ana, world = self.people["p-ana"], self.worlds[agent]
            if ana.id not in self.left:
                await self.ask(world, ana, 0, HOUR, None, "", None, "OPS-1", "orders are stuck")
            return
        request = soon[-1]
        moment = request.created + (ESCALATES + seconds) * SECOND
        await self.wait(max(0, (moment - self.now) // SECOND))
        world = self.worlds[agent]
        await self.see_time(world)
        later = LATER[request.target]
        who = next(one for one in self.people.values() if one.groups & later)
        pending = [one for one in self.seen.requests.values() if one.state is RequestState.PENDING]
        if who.id not in self.left:
            await self.vote(world, who, pending[::-1].index(request), answer, None, None, None)

    async def cancel(self, world: World, who: Principal, what: int) -> None:
        request = self.a_request(what)
        id = request.id if request else "req-00000000"
        done = await self.attempt(who, world.requests.cancel(who, id), id)
        if self.alone and done is not None:
            assert request is not None
            assert request.requester == who.id
            assert request.state in (RequestState.PENDING, RequestState.CANCELLED)

    async def connect(self, world: World, who: Principal, what: int) -> None:
        target = self.a_grant_or_target(what)
        expected = await self.until(who.id, target) if self.alone else None
        session = await self.attempt(who, world.connect(who, target))
        if self.alone:
            assert (session is not None) is (expected is not None)

    async def disconnect(self, world: World, who: Principal, what: int) -> None:
        mine = [id for id, (person, _) in self.sessions.items() if person == who.id]
        if mine:
            id = mine[what % len(mine)]
            await self.attempt(who, world.disconnect(id))

    async def relinquish(self, world: World, who: Principal, what: int) -> None:
        grant = self.a_grant(what)
        await self._ended(world, who, grant, world.grants.relinquish, GrantState.RELINQUISHED)

    async def revoke(self, world: World, who: Principal, what: int) -> None:
        async def use(who: Principal, id: str) -> Any:
            return await world.grants.revoke(who, id, "enough")

        await self._ended(world, who, self.a_grant(what), use, GrantState.REVOKED)

    async def suspend(self, world: World, who: Principal, what: int) -> None:
        async def use(who: Principal, id: str) -> Any:
            return await Ends(world.means, world.grants).suspend(who, id, "is it yours?")

        await self._ended(world, who, self.a_grant(what), use, GrantState.SUSPENDED)

    async def resume(self, world: World, who: Principal, what: int) -> None:
        grant = self.a_grant(what)
        id = grant.id if grant else "grt-00000000"
        done = await self.attempt(who, Ends(world.means, world.grants).resume(who, id), id)
        if self.alone and done is not None:
            assert grant is not None
            assert who.id != grant.principal
            assert grant.state in (GrantState.SUSPENDED, GrantState.ACTIVE)

    async def _ended(
        self, world: World, who: Principal, grant: Grant | None, use: Any, state: GrantState
    ) -> None:
        """Invariants 2 and 13: closed before the answer is given, told, and refused afterwards."""
        id = grant.id if grant else "grt-00000000"
        before = await world.live_sessions() if self.alone else set()
        ended = await self.attempt(who, use(who, id), id)
        if ended is None or not self.alone:
            return
        assert grant is not None
        assert GRANT_MOVES[grant.state] or grant.state is state
        after = await world.live_sessions()
        assert before - after == set(ended["closed"])
        until = await self.until(grant.principal, grant.target)
        for session in after & self.sessions.keys():
            stored = await world.store.session(session)
            assert stored is not None
            assert id not in stored.grants or until is not None
        if until is None:
            assert await world.connect(self.people[grant.principal], grant.target) is None

    async def decide(self, world: World, who: Principal, what: int, state: ItemState) -> None:
        items = sorted(self.seen.items.values(), key=lambda item: -item.made)
        item = items[what % len(items)] if items else None
        id = item.id if item else "rev-00000000"
        done = await self.attempt(who, glass(world).decide(who, id, state, "so it was"), id)
        if self.alone and done is not None:
            assert item is not None
            assert item.state is ItemState.PENDING
            assert who.id != item.principal

    async def leave(self, world: World, who: Principal, what: int) -> None:
        """Somebody leaves, as one who administers says."""
        gone = list(self.people.values())[what % len(self.people)]
        ends = Ends(world.means, world.grants)
        done = await self.attempt(who, ends.leave(who.id, gone.id, "left", "administrator"))
        if done is not None or await self.has_left(world, gone.id):
            self.left.add(gone.id)
            self.identity[gone.id] = 0

    async def come_back(self, world: World, who: Principal, what: int) -> None:
        gone = sorted(self.left) or list(self.people)
        back = self.people[gone[what % len(gone)]]
        ends = Ends(world.means, world.grants)
        await self.attempt(who, ends.come_back(who.id, back.id, "is back", "administrator"))
        if not await self.has_left(world, back.id):
            self.left.discard(back.id)

    async def has_left(self, world: World, person: str) -> bool:
        how, self.faults.how = self.faults.how, ""
        gone = await world.store.has_left(person)
        self.faults.how = how
        return gone

    async def sweep(self, world: World, who: Principal, _what: int) -> None:
        await self.attempt(who, world.grants.sweep(world.time))

    # --- what nobody does at the same time as something else --------------------------------------

    async def regroup(self, world: World, who: Principal, what: int) -> None:
        """Signed in again with other groups; as in ``Identity``, before that is believed."""
        was = next(person for person in PEOPLE if person.id == who.id)
        groups = (was.groups, was.groups - ENGINEERS, frozenset({"engineering", "security"}))
        new = replace(who, groups=groups[what % len(groups)])
        now = await world.means.now()
        lost = await Ends(world.means, world.grants).regrouped(who, new, now)
        await world.store.put_principal(new, now)
        live = [g for g in self.seen.grants.values() if g.principal == who.id and self.lives(g)]
        covered = bool(new.groups & ENGINEERS) or not who.groups & ENGINEERS
        assert set(lost) == (set() if covered else {grant.id for grant in live})
        self.people[who.id] = new

    async def sign_in(self, world: World, who: Principal, what: int) -> None:
        if who.id in self.left:
            return
        hours = (1, 12)[what % 2]
        if what % 3 == 0:
            await world.store.revoke_tokens_of(who.id)
            self.identity[who.id] = 0
        await world.sign_in(who, hours)
        await self.see_time(world)
        until = self.now + hours * HOUR * SECOND
        self.identity[who.id] = max(self.identity[who.id], until)

    async def change_ceiling(self, _world: World, _who: Principal, what: int, seconds: int) -> None:
        target = self.a_grant_or_target(what)
        self.ceilings[target] = min(seconds, CEILINGS[target])
        for world in self.worlds:
            world.set_target(target, section(f"{self.ceilings[target]}s", owners=["owners"]))

    async def wait(self, seconds: int) -> None:
        for world in self.worlds:
            world.wait(seconds)

    async def turn_back(self, agent: int, seconds: int) -> None:
        """Invariant 1: turning the clock of an agent back extends nothing."""
        world = self.worlds[agent]
        await self.see_time(world)
        pairs = self.pairs()
        before = [await self.until(person, target) for person, target in pairs]
        world.wait(-seconds)
        for (person, target), until in zip(pairs, before, strict=True):
            found = await world.access(self.people[person], target)
            assert (found.until if found else None) == until

    async def restart(self, agent: int) -> None:
        """The agent is another process: it knows what the store knows, and nothing else."""
        await self.ground.stores[agent].close()
        store = self.ground.open(self.faults)
        self.ground.stores[agent] = store
        self.worlds[agent].store = store


def _scope(text: str | None) -> Scope | None:
    return None if text is None else Scope.parse(text)
