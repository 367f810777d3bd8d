"""Random histories of reviews: whatever happens, an answer only reduces, and nothing is called done
that was not seen to be refused.

Invariants of domain.md, by number: 3 (one's own word is no vote), 5 (nothing is had that was not
asked for), 6 (a decision says who, why, when, under which policy and what was shown), 9 (silence
extends nothing), 10 (a self-review only reduces, and a keep on a high tier waits), 11 (each live
grant counts, and one takes another's place), 13 (a removal is done when a refusal was seen), 14 (a
run ends no more than its share), 16 (two at once).  12 is ``tests/unit/test_usage.py``.

What was narrowed softly is stepped up to meanwhile, by whoever may and whoever may not.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hoopagent.background import Background
from hoopagent.errors import Refused
from hoopagent.hold import Case, Hold, Terms
from hoopagent.holds import Holds
from hoopagent.stepping import StepUps
from hoopcore.access import ENDABLE
from hoopcore.model import (
    SECOND,
    Grant,
    GrantState,
    Held,
    Principal,
    RequestState,
    ReviewAnswer,
    Scope,
    Tier,
)
from hoopcore.review import LEAST, SHARE, UNDO, ItemState
from tests.store.conftest import opened
from tests.store.reviewed import CONFIRM, GIVE_BACK, KEEP, OVERRIDE, Looking, statement, used
from tests.store.world import START, World

LONG = os.environ.get("HOOP_LONG") == "1"

SCOPES = ("public.orders:read", "public.*:read", "*.*:read", "public.orders:update", "*.*:*")
ATOMS = ("public.orders:read", "public.cards:read", "public.cards:update", "audit.log:read")
STEPS = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from(("prod-db", "dev-db")), st.integers(60, 7200)),
    st.tuples(st.just("use"), st.integers(0, 9), st.sampled_from(SCOPES[:2])),
    st.tuples(
        st.just("answer"),
        st.integers(0, 9),
        st.sampled_from(("keep", "give back", "cannot say", "delegate")),
        st.integers(0, 3),
    ),
    st.tuples(st.just("narrow"), st.integers(0, 9), st.sampled_from(SCOPES), st.integers(0, 3)),
    st.tuples(st.just("undo"), st.integers(0, 9), st.integers(0, 3)),
    st.tuples(st.just("word"), st.integers(0, 9), st.booleans(), st.integers(0, 3)),
    st.tuples(st.just("wait"), st.sampled_from((1, 60, 599, 601, 3600))),
    st.tuples(st.just("sweep")),
    st.tuples(st.just("revoke"), st.integers(0, 9)),
    st.tuples(st.just("twice"), st.integers(0, 9)),
    st.tuples(st.just("hold"), st.integers(0, 9), st.sampled_from(ATOMS)),
    st.tuples(
        st.just("say"),
        st.integers(0, 9),
        st.sampled_from(("confirm", "approve", "deny")),
        st.integers(0, 3),
    ),
    st.tuples(st.just("learn_twice"), st.integers(0, 9)),
)


class History:
    """One run of steps, and what must hold after each."""

    def __init__(self, world: World) -> None:
        self.world, self.looking = world, Looking(world)
        self.looking.tier(Tier.HIGH)
        self.looking.tier(Tier.LOW, "dev-db")
        self.people = (world.ana, world.ben, world.cat, world.ada)
        self.firsts: dict[str, Grant] = {}  # as they were made
        self.looked_at: set[str] = set()  # grants whose making was looked at
        self.holds = Holds(world.means, Background())

    async def step(self, name: str, *what: object) -> None:
        with suppress(Refused):  # what is refused must leave everything as it is, too
            await getattr(self, name)(*what)
        await self.check()

    # --- steps

    async def ask(self, target: str, seconds: int) -> None:
        await self.world.granted(self.world.ana, target, seconds)

    async def use(self, which: int, touch: str) -> None:
        grant = await self.grant(which)
        if grant.state is GrantState.ACTIVE and await self.world.connect(
            self.world.ana, grant.target
        ):
            sessions = await self.world.store.sessions(live=True, limit=1)
            atom = touch.replace("*", "orders", 1).replace(":", ":", 1)
            self.looking.did[sessions[0].id] = used(statement(self.world.time, atom))

    async def answer(self, which: int, answer: str, who: int) -> None:
        grant = await self.grant(which)
        to = self.people[(who + 1) % 4] if answer == "delegate" else None
        actor = self.people[who] if who else self.world.ana
        await self.looking.answer(actor, grant.id, ReviewAnswer(answer), "because", to=to)

    async def narrow(self, which: int, scope: str, who: int) -> None:
        grant = await self.grant(which)
        until = grant.ends - who * SECOND if who else None
        await self.looking.answer(
            self.world.ana, grant.id, ReviewAnswer.NARROW, scope=scope, until=until
        )

    async def undo(self, which: int, who: int) -> None:
        await self.looking.confirming.undo(self.people[who], await self.item(which))

    async def word(self, which: int, yes: bool, who: int) -> None:
        answer = CONFIRM if yes else OVERRIDE
        actor: Principal = self.people[who]
        await self.looking.confirming.confirm(actor, await self.item(which), answer, "I looked")

    async def wait(self, seconds: int) -> None:
        self.world.wait(seconds)

    async def sweep(self) -> None:
        await self.looking.sweep()

    async def revoke(self, which: int) -> None:
        grant = await self.grant(which)
        await self.world.grants.revoke(self.world.ben, grant.id, "the incident is over")

    async def twice(self, which: int) -> None:
        """Two at once: at the most one of them is the answer."""
        grant = await self.grant(which)
        before = len(await self.world.store.decisions(grant.id))
        both = [
            self.looking.answer(self.world.ana, grant.id, answer, "both")
            for answer in (KEEP, GIVE_BACK)
        ]
        done = await asyncio.gather(*both, return_exceptions=True)
        assert all(isinstance(one, dict | Refused) for one in done)
        won = sum(isinstance(one, dict) for one in done)
        assert len(await self.world.store.decisions(grant.id)) == before + won

    # --- steps of what is held because it was narrowed away

    async def hold(self, which: int, *atoms: str) -> Hold:
        """As a session of that grant does where a statement wants these."""
        grant = await self.grant(which)
        target = self.world.means.target(grant.target)
        assert target is not None
        learns = Scope.parse(" ".join(atoms)).atoms
        held = Held("s-0123456789", 1, "shop", "…", "narrowed", learns=atoms)
        case = Case(
            self.world.ana, target, (grant.id,), Terms("narrowed", learns=learns), held
        )  # fmt: skip

        async def complete(case: Case) -> Case:
            return case

        hold = Hold(
            self.world.means.id("hold"), case, asyncio.get_running_loop().create_future(),
            complete, lambda *_: None, str, bool,
        )  # fmt: skip
        await self.holds._store(hold)
        if hold.request is not None:
            self.holds._open[hold.id] = hold
            hold.over = partial(self.holds._over, hold)
        return hold

    async def say(self, which: int, answer: str, who: int) -> None:
        waiting = sorted(self.holds._open)
        if not waiting:
            return
        id, person = waiting[which % len(waiting)], self.people[who]
        if answer == "confirm":
            await StepUps(self.world.means).confirm(person, id, "I need it after all")
        elif answer == "approve":
            await self.world.approve(person, id)
        else:
            await self.world.deny(person, id)
        await self.holds._look()

    async def learn_twice(self, which: int) -> None:
        """Two sessions of one grant at once: neither is lost, and there is one grant."""
        both = [await self.hold(which, atom) for atom in ATOMS[1:3]]
        for one in both:
            with suppress(Refused):
                await self.world.approve(self.world.ben, one.id)
            with suppress(Refused):
                await StepUps(self.world.means).confirm(self.world.ana, one.id, "both")
        looks = [Holds(self.world.means, Background()) for _ in both]
        for look, one in zip(looks, both, strict=True):
            look._open[one.id] = one
        await asyncio.gather(*(look._look() for look in looks))

    async def grant(self, which: int) -> Grant:
        grants = await self.world.store.grants(principal=self.world.ana.id)
        if not grants:
            raise Refused(404, "none", "there is none yet")
        return sorted(grants, key=lambda one: one.id)[which % len(grants)]

    async def item(self, which: int) -> str:
        items = await self.world.store.grant_reviews()
        if not items:
            raise Refused(404, "none", "there is none yet")
        return items[which % len(items)].id

    # --- what must hold

    async def check(self) -> None:
        store = self.world.store
        grants = {one.id: one for one in await store.grants(principal=self.world.ana.id)}
        items = await store.grant_reviews(limit=10_000)
        superseded = {item.after: item.grant for item in items if item.after}
        for id, grant in grants.items():
            first = self.firsts.setdefault(id, grant)
            assert (grant.scope, grant.not_after) == (first.scope, first.not_after)
            if first.state not in ENDABLE:
                assert grant.state is first.state
            self.firsts[id] = replace(first, state=grant.state)
            if id in superseded:  # 10
                old = grants[superseded[id]]
                assert old.scope.covers(grant.scope)
                assert grant.ends <= old.ends
                assert grant.not_before == old.not_before
                assert old.state is GrantState.SUPERSEDED
        await self._softness(grants)
        await self._items(grants)
        await self._decisions()

    async def _softness(self, grants: dict[str, Grant]) -> None:
        """What was learned was had before, and somebody has said so who may."""
        made: dict[str, dict[str, str]] = {}
        if any(one.supersedes and id not in self.looked_at for id, one in grants.items()):
            events = await self.world.audited()
            made = {e.subject: e.detail for e in events if e.action == "grant.made"}
        followed: dict[str, int] = {}
        for id, grant in grants.items():
            if grant.soft is not None:
                assert grant.soft.until <= grant.not_after
            if not grant.supersedes:
                assert grant.soft is None
                continue
            old = grants[grant.supersedes]
            followed[old.id] = followed.get(old.id, 0) + 1
            assert old.state is GrantState.SUPERSEDED
            assert (grant.request, grant.not_before) == (old.request, old.not_before)
            assert grant.ends <= old.ends
            had = old.scope if old.soft is None else old.scope.join(old.soft.scope)
            assert had.covers(grant.scope)  # 5, 10
            assert grant.soft is None or had.covers(grant.soft.scope)
            if id in self.looked_at:
                continue
            self.looked_at.add(id)
            learned = made[id].get("learned")
            if learned is None:  # by a review
                assert old.scope.covers(grant.scope)
                continue
            assert grant.scope == old.scope.join(Scope.parse(learned))
            await self._answered(made[id]["by"], grant)
        assert set(followed.values()) <= {1}, "16"

    async def _answered(self, hold: str, grant: Grant) -> None:
        """3 and 6: by an approver's vote, or by one's own word where that will do."""
        request = await self.world.store.request(hold)
        assert request is not None
        assert request.held is not None
        assert request.state is RequestState.FULFILLED
        votes = await self.world.store.votes(hold)
        assert grant.principal not in {vote.voter for vote in votes}
        said = request.held.confirmed
        assert (said is None) is bool(votes)
        if said is not None:
            assert (said.by, grant.target) == (grant.principal, "dev-db")
            assert said.reason
            actions = [e.action for e in await self.world.audited() if e.subject == hold]
            assert "step-up.confirmed" in actions

    async def _items(self, grants: dict[str, Grant]) -> None:
        store = self.world.store
        for item in await store.grant_reviews(limit=10_000):
            grant = grants[item.grant]
            if item.state is ItemState.VERIFIED:  # 13
                assert json.loads(item.proof)["refused"]
                assert grant.state not in ENDABLE
                kinds = {one.action for one in await self.world.audited() if one.subject == item.id}
                assert "review.verified" in kinds
            if item.state is ItemState.REMEDIATING:
                assert grant.state is not GrantState.ACTIVE
                assert item.until is not None
            if item.state is ItemState.DECIDED:  # 10
                assert grant.target == "dev-db"
            assert len(item.path) <= 3
            assert item.subject not in item.path[1:]
            assert len(set(item.path)) == len(item.path)

    async def _decisions(self) -> None:
        """6 and 14, for everybody."""
        store = self.world.store
        audited = {e.detail.get("decision"): e for e in await self.world.audited()}
        for person in self.people:
            decided = await store.decided_since(person.id, 0)
            for one in decided:
                assert one.actor == person.id
                assert json.loads(one.evidence) or one.answer is ReviewAnswer.UNDO
                assert json.loads(one.told)["review"]
                event = audited[one.id]
                assert (event.actor, event.detail["policy"]) == (person.id, "policy-1")
            recent = [one for one in decided if one.at > self.world.time - UNDO]
            gone = {one.grant for one in recent if one.answer is GIVE_BACK}
            gone -= {one.grant for one in recent if one.answer is ReviewAnswer.UNDO}
            had = await store.grants(principal=person.id, limit=None)
            assert len(gone) <= max(LEAST, int(SHARE * len(had))), "14"


async def lived(steps: list[tuple[object, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = await opened(f"sqlite:///{folder}/hoop.sqlite", START)
        try:
            await store._database.outside("PRAGMA synchronous = off")
            history = History(await World.begin(store, Path(folder)))
            for name, *what in steps:
                await history.step(str(name), *what)
            # 9: nobody says anything any more, and all of it ends.
            history.world.wait(5 * 3600)
            await history.step("sweep")
            await history.step("sweep")
            live = await store.grants(live_at=history.world.time)
            assert live == []
            states = {one.state for one in await store.grant_reviews(limit=10_000)}
            assert states <= {
                ItemState.DECIDED, ItemState.VERIFIED, ItemState.MOOT, ItemState.UNDONE,
                ItemState.CONFIRMED,
            }  # fmt: skip
        finally:
            await store.close()


@settings(
    max_examples=400 if LONG else 8,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.lists(STEPS, min_size=4, max_size=60 if LONG else 25))
def test_whatever_is_answered_only_reduces_and_is_proved(steps: list[tuple[object, ...]]) -> None:
    begun: list[tuple[object, ...]] = [("ask", "prod-db", 3600), ("ask", "dev-db", 3600)]
    # Something is soft from the start on, or most of what is held would be refused at once.
    begun += [("narrow", which, "public.orders:read", 0) for which in (0, 1)]
    asyncio.run(lived(begun + steps))
