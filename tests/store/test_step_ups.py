"""Step-ups on both stores: who answers, what is learned, and what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from hoopagent import holds as holds_module
from hoopagent.background import Background, until
from hoopagent.errors import Refused
from hoopagent.hold import Case, Ending, Hold, Terms
from hoopagent.holds import Holds
from hoopagent.means import target_of
from hoopagent.stepping import GONE, StepUps
from hoopcore.model import Grant, GrantState, Held, Principal, RequestState, Scope, Tier
from tests.store.reviewed import DELEGATE, KEEP, NARROW, Looking
from tests.store.world import World

PATIENCE = 10.0
ORDERS, CARDS = "public.orders:read", "public.cards:read"


@dataclass
class Stepping:
    """Statements of ana's that are outside what she has narrowed."""

    world: World
    holds: Holds
    looking: Looking

    async def narrowed(self, who: Principal | None = None, scope: str = ORDERS) -> Grant:
        who = who or self.world.ana
        grant = await self.world.granted(who)
        done = await self.looking.answer(who, grant, NARROW, scope=scope)
        return await self.grant(done["narrowed"]["id"])

    async def grant(self, id: str) -> Grant:
        found = await self.world.store.grant(id)
        assert found is not None
        return found

    def begin(
        self, grant: Grant, *atoms: str, who: Principal | None = None, held_too: bool = False
    ) -> Hold:
        atoms = atoms or (CARDS,)
        learns = Scope.parse(" ".join(atoms)).atoms
        terms = Terms("narrowed", learns=learns, held_too=held_too)
        target = target_of("prod-db", self.world.config.targets["prod-db"])
        held = Held("s-0123456789", 3, "shop", "select", "it was narrowed", learns=atoms)

        async def complete(case: Case) -> Case:
            return case

        hold = Hold(
            id=self.holds.new_id(),
            case=Case(who or self.world.ana, target, (grant.id,), terms, held),
            ended=asyncio.get_running_loop().create_future(),
            complete=complete,
            say=lambda _text, _hint: None,
            still=lambda: "",
            gone=lambda: False,
        )
        self.holds.begin(hold)
        return hold

    async def asked(self, grant: Grant, *atoms: str, **more: object) -> Hold:
        hold = self.begin(grant, *atoms, **more)  # type: ignore[arg-type]  # as it takes them
        assert await until(lambda: hold.request is not None or hold.ended.done(), PATIENCE)
        return hold

    async def confirm(self, hold: Hold, who: Principal | None = None, reason: str = "why") -> None:
        await StepUps(self.world.means).confirm(who or self.world.ana, hold.id, reason)

    async def refused(self, hold: Hold, who: Principal | None = None, reason: str = "why") -> str:
        with pytest.raises(Refused) as refusal:
            await self.confirm(hold, who, reason)
        return refusal.value.error

    async def ending(self, hold: Hold) -> Ending:
        async with asyncio.timeout(PATIENCE):
            return await hold.ended

    async def live(self) -> list[Grant]:
        grants = await self.world.store.grants(live_at=self.world.time)
        return [one for one in grants if one.principal == self.world.ana.id]


@pytest.fixture
async def steps(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stepping]:
    monkeypatch.setattr(holds_module, "LOOKED", 0.005)
    background = Background()
    looking = Looking(world)
    looking.tier(Tier.LOW)
    async with asyncio.TaskGroup() as group:
        background.begin(group)
        stepping = Stepping(world, Holds(world.means, background), looking)
        yield stepping
        for hold in list(stepping.holds._open.values()):
            hold.end(Ending(False, "the test is over"))


async def test_one_s_own_word_is_no_vote_and_is_kept_with_its_reason(steps: Stepping) -> None:
    world = steps.world
    old = await steps.narrowed()
    hold = await steps.asked(old)
    await steps.confirm(hold, reason="order 4711 has a card")
    await steps.confirm(hold, reason="order 4711 has a card")  # once more changes nothing
    done = await steps.ending(hold)
    assert (done.approved, done.by) == (True, ())
    assert await world.store.votes(hold.id) == []
    request = await world.store.request(hold.id)
    assert request is not None
    assert request.held is not None
    assert request.held.confirmed is not None
    assert request.held.confirmed.reason == "order 4711 has a card"
    assert request.state is RequestState.FULFILLED
    (new,) = await steps.live()
    assert (new.supersedes, str(new.scope)) == (old.id, f"{CARDS} {ORDERS}")
    assert (new.not_before, new.ends) == (old.not_before, old.ends)
    assert (await steps.grant(old.id)).state is GrantState.SUPERSEDED
    told = {event.action: event for event in reversed(await world.audited())}  # the newest
    said = told["step-up.confirmed"]
    assert (said.actor, said.detail["capacity"]) == (world.ana.id, "holder")
    assert (said.detail["learns"], said.detail["policy"]) == (CARDS, "policy-1")
    assert len(said.detail["shown"]) == 64
    assert told["grant.made"].detail["supersedes"] == old.id
    assert told["grant.superseded"].subject == old.id
    assert "vote.cast" in told  # of the grant itself
    assert all(e.subject != hold.id for e in await world.audited() if e.action == "vote.cast")


async def test_nobody_else_answers_for_them_and_only_with_a_reason(steps: Stepping) -> None:
    hold = await steps.asked(await steps.narrowed())
    assert await steps.refused(hold, steps.world.ben) == "no_request"
    assert await steps.refused(hold, reason=" ") == "reason"
    with pytest.raises(Refused):
        await steps.world.approve(steps.world.ana, hold.id)
    assert not hold.ended.done()


@pytest.mark.parametrize("why", ["tier", "service", "rule", "suspended"])
async def test_where_one_may_not_answer_oneself_an_approver_does(steps: Stepping, why: str) -> None:
    world = steps.world
    who = world.bot if why == "service" else world.ana
    if why == "tier":
        steps.looking.tier(Tier.MEDIUM)
    grant = await steps.narrowed(who)
    if why == "suspended":
        other = await world.granted(world.ana)
        await suspend(world, other)
    hold = await steps.asked(grant, who=who, held_too=why == "rule")
    assert await steps.refused(hold, who) == "not_own"
    await world.approve(world.ben, hold.id)
    done = await steps.ending(hold)
    assert (done.approved, done.by) == (True, (world.ben.id,))


async def suspend(world: World, grant: str) -> None:
    event = world.means.event(world.time, world.ben.id, "grant.suspended", grant, reason="wait")
    await world.store.move_grant(grant, GrantState.ACTIVE, GrantState.SUSPENDED, event)


async def test_a_tier_that_rises_meanwhile_takes_the_answer_away(steps: Stepping) -> None:
    hold = await steps.asked(await steps.narrowed())
    steps.looking.tier(Tier.HIGH)
    assert await steps.refused(hold) == "not_own"


async def test_what_somebody_else_has_narrowed_is_not_soft(steps: Stepping) -> None:
    world = steps.world
    grant = await world.granted(world.ana)
    await steps.looking.answer(world.ana, grant, DELEGATE, "ben knows", to=world.ben)
    done = await steps.looking.answer(world.ben, grant, NARROW, scope=ORDERS)
    assert (await steps.grant(done["narrowed"]["id"])).soft is None
    assert done["review"]["proof"]["soft_until"] is None


async def test_what_is_denied_or_expires_teaches_nothing(steps: Stepping) -> None:
    world = steps.world
    steps.looking.tier(Tier.HIGH)
    grant = await steps.narrowed()
    denied = await steps.asked(grant)
    await world.deny(world.ben, denied.id)
    assert not (await steps.ending(denied)).approved
    late = await steps.asked(grant)
    world.wait(601)
    assert not (await steps.ending(late)).approved
    assert [one.id for one in await steps.live()] == [grant.id]


@pytest.mark.parametrize("end", ["revoked", "suspended", "given back"])
async def test_with_the_grant_what_is_soft_of_it_ends_too(steps: Stepping, end: str) -> None:
    world = steps.world
    steps.looking.tier(Tier.HIGH)
    grant = await steps.narrowed()
    hold = await steps.asked(grant)
    if end == "revoked":
        await world.grants.revoke(world.ben, grant.id, "it is over")
    elif end == "suspended":
        await suspend(world, grant.id)
    else:
        await world.grants.relinquish(world.ana, grant.id)
    await world.approve(world.ben, hold.id)
    done = await steps.ending(hold)
    assert (done.approved, GONE in done.reason) == (False, True)
    assert await steps.live() == []
    assert not (await steps.ending(steps.begin(grant))).approved  # nor is anybody asked


async def test_after_the_quiet_period_nothing_is_learned_and_it_begins_anew(
    steps: Stepping,
) -> None:
    world = steps.world
    steps.looking.tier(Tier.LOW, narrow_softly="10m")
    grant = await steps.narrowed()
    world.wait(599)
    first = await steps.asked(grant)
    await steps.confirm(first)
    assert (await steps.ending(first)).approved
    (grant,) = await steps.live()
    world.wait(599)  # not the first period: it was counted from what was learned
    second = await steps.asked(grant, "public.t:read")
    world.wait(2)
    await steps.confirm(second)
    assert GONE in (await steps.ending(second)).reason
    assert GONE in (await steps.ending(steps.begin(grant, "public.t:read"))).reason
    assert [one.id for one in await steps.live()] == [grant.id]


async def test_where_the_target_turns_it_off_it_is_over_at_once(steps: Stepping) -> None:
    grant = await steps.narrowed()
    hold = await steps.asked(grant)
    steps.looking.tier(Tier.LOW, narrow_softly="0s")
    await steps.confirm(hold)
    assert GONE in (await steps.ending(hold)).reason
    assert (await steps.narrowed()).soft is None


async def test_of_two_sessions_that_learn_at_once_both_are_learned(steps: Stepping) -> None:
    grant = await steps.narrowed()
    holds = [await steps.asked(grant, atom) for atom in (CARDS, "public.t:read", CARDS)]
    await asyncio.gather(*(steps.confirm(hold) for hold in holds))
    for hold in holds:
        assert (await steps.ending(hold)).approved
    (new,) = await steps.live()
    assert str(new.scope) == f"{CARDS} {ORDERS} public.t:read"
    every = await steps.world.store.grants(principal=steps.world.ana.id)
    assert sum(one.state is GrantState.ACTIVE for one in every) == 1


async def test_while_somebody_is_asked_about_the_grant_it_stays_what_it_is(
    steps: Stepping,
) -> None:
    steps.looking.tier(Tier.HIGH)
    grant = await steps.narrowed()
    kept = await steps.looking.answer(steps.world.ana, grant.id, KEEP, "still at it")
    assert kept["review"]["state"] == "awaiting confirmation"
    hold = await steps.asked(grant)
    await steps.world.approve(steps.world.ben, hold.id)
    assert (await steps.ending(hold)).approved
    assert [one.id for one in await steps.live()] == [grant.id]


async def test_what_budgets_have_counted_goes_over_to_the_grant_that_has_learned(
    steps: Stepping,
) -> None:
    from hoopcore.policy import Amount

    grant = await steps.narrowed()
    await steps.world.store.spend({(grant.id, 7): Amount(rows=5)}, 0)
    hold = await steps.asked(grant)
    await steps.confirm(hold)
    await steps.ending(hold)
    (new,) = await steps.live()
    assert (await steps.world.store.spent([new.id], 0))[new.id][7].rows == 5


async def test_use_before_and_behind_a_step_up_is_one_grant_s(steps: Stepping) -> None:
    grant = await steps.narrowed()
    await steps.looking.session(steps.world.ana, RuntimeError("not read"))
    hold = await steps.asked(grant)
    await steps.confirm(hold)
    await steps.ending(hold)
    item = await steps.looking.one(steps.world.ana)
    assert item["sessions"] == 1
    assert item["soft"]["scope"] == "*.*:*"
    assert item["soft"]["until"] == item["not_after"]  # which comes before the period is over
