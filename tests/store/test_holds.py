"""The life of a held statement, on both stores: asked for, voted on, used once, or ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from hoopagent import holds as holds_module
from hoopagent.background import Background, until
from hoopagent.errors import Refused
from hoopagent.hold import Case, Ending, Hold, Terms
from hoopagent.holds import Holds, close_left
from hoopagent.means import Means, target_of
from hoopagent.store import Store, StoreAway
from hoopcore.model import Answer, Held, Kind, RequestState, Session, Target
from tests.store.world import START, World

PATIENCE = 10.0


@dataclass
class Desk:
    """Holds of one agent, and what a test hears of them."""

    world: World
    holds: Holds
    session: str = ""
    said: list[str] = field(default_factory=list)
    why_not: str = ""
    left: bool = False

    @property
    def store(self) -> Store:
        return self.world.store

    def target(self) -> Target:
        return target_of("prod-db", self.world.config.targets["prod-db"])

    def begin(self, terms: Terms | None = None, **changes: Any) -> Hold:
        ana = self.world.ana
        held = Held(self.session, 3, "shop", "delete from orders", "gone is gone")
        grants = changes.pop("grants", ())
        case = Case(ana, self.target(), grants, terms or DBA, held)

        async def complete(case: Case) -> Case:
            return replace(case, **changes)

        hold = Hold(
            id=self.holds.new_id(),
            case=case,
            ended=asyncio.get_running_loop().create_future(),
            complete=complete,
            say=lambda text, hint: self.said.append(text),
            still=lambda: self.why_not,
            gone=lambda: self.left,
        )
        self.holds.begin(hold)
        return hold

    async def asked(self, terms: Terms | None = None, **changes: Any) -> Hold:
        """One that people can see."""
        hold = self.begin(terms, **changes)
        assert await until(lambda: hold.request is not None or hold.ended.done(), PATIENCE)
        return hold

    async def state(self, hold: Hold) -> RequestState:
        if hold.closing is not None:
            await hold.closing
        found = await self.store.request(hold.id)
        assert found is not None
        return found.state

    async def actions(self, hold: Hold) -> list[str]:
        events = await self.world.audited()
        return [event.action for event in reversed(events) if event.subject == hold.id]


DBA = Terms("four-eyes", frozenset({"dba"}))


async def ending(hold: Hold) -> Ending:
    async with asyncio.timeout(PATIENCE):
        return await hold.ended


@pytest.fixture
async def desk(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(holds_module, "LOOKED", 0.005)
    background = Background()
    async with asyncio.TaskGroup() as group:
        background.begin(group)
        desk = Desk(world, Holds(world.means, background))
        desk.session = world.means.id("s")
        ana = world.ana.id
        session = Session(desk.session, ana, "prod-db", "shop", "local", "psql", (), world.time)
        await world.store.add_session(session)
        yield desk
        for hold in list(desk.holds._open.values()):
            hold.end(Ending(False, "the test is over"))


async def test_an_approval_is_used_once_and_each_step_is_on_the_audit(desk: Desk) -> None:
    hold = await desk.asked()
    assert "waits for 1 of dba" in desk.said[0]
    await desk.world.approve(desk.world.ben, hold.id)
    done = await ending(hold)
    assert (done.approved, done.by) == (True, (desk.world.ben.id,))
    assert await desk.state(hold) is RequestState.FULFILLED
    event = desk.world.means.event(START, "system", "request.fulfilled", hold.id)
    assert not await desk.store.use_hold(hold.id, event)
    steps = ["request.made", "vote.cast", "request.approved", "request.fulfilled"]
    assert await desk.actions(hold) == steps
    assert await desk.store.grants() == []


async def test_one_person_is_one_vote_and_progress_is_told(desk: Desk) -> None:
    hold = await desk.asked(replace(DBA, votes=2))
    for _ in range(2):
        await desk.world.approve(desk.world.ben, hold.id)
    assert await until(lambda: len(desk.said) > 1, PATIENCE)
    assert desk.said[1] == f"{hold.id}: approved by ben@test; waits for 1 more of dba"
    assert not hold.ended.done()
    await desk.world.approve(desk.world.cat, hold.id)
    assert (await ending(hold)).by == (desk.world.ben.id, desk.world.cat.id)


async def test_nobody_approves_their_own_and_services_do_not(desk: Desk) -> None:
    world = desk.world
    everybody = Terms("r", frozenset({"dba", "engineering"}))
    hold = await desk.asked(everybody)
    for who, why in ((world.ana, "asker"), (world.bot, "not_human")):
        with pytest.raises(Refused) as refused:
            await world.approve(who, hold.id)
        assert (refused.value.status, refused.value.error) == (403, why)
    with pytest.raises(Refused) as unseen:
        await world.approve(world.sue, hold.id)
    assert unseen.value.status == 404


async def test_a_denial_says_whose_and_why(desk: Desk) -> None:
    hold = await desk.asked()
    await desk.world.deny(desk.world.ben, hold.id)
    done = await ending(hold)
    assert not done.approved
    assert done.reason == f"ben@test said no to {hold.id}: not now"
    assert await desk.state(hold) is RequestState.DENIED


async def test_a_vote_that_comes_too_late_is_told_so(desk: Desk) -> None:
    hold = await desk.asked()
    hold.end(Ending(False, "its client has left"))
    assert await desk.state(hold) is RequestState.CANCELLED
    with pytest.raises(Refused) as refused:
        await desk.world.approve(desk.world.ben, hold.id)
    assert (refused.value.status, refused.value.error) == (409, "not_pending")


async def test_it_is_one_statement_and_has_no_duration(desk: Desk) -> None:
    hold = await desk.asked()
    with pytest.raises(Refused) as refused:
        await desk.world.approve(desk.world.ben, hold.id, 600)
    assert refused.value.status == 422


async def test_nobody_s_answer_is_a_no_on_time(desk: Desk) -> None:
    hold = await desk.asked(replace(DBA, wait=90))
    desk.world.wait(61)
    assert await until(lambda: len(desk.said) > 1, PATIENCE)
    assert "still waits for 1 of dba, 29 s at most" in desk.said[1]
    desk.world.wait(29)
    assert "nobody has decided" in (await ending(hold)).reason
    assert await desk.state(hold) is RequestState.EXPIRED


async def test_its_session_cannot_wait_longer_than_the_target_does(desk: Desk) -> None:
    until_then = START + 20_000_000
    hold = await desk.asked(until=until_then, why_until="the target is impatient")
    assert "20 s at most (the target is impatient)" in desk.said[0]
    desk.world.wait(20)
    assert "the target is impatient" in (await ending(hold)).reason


async def test_where_there_is_no_time_nobody_is_asked(desk: Desk) -> None:
    hold = await desk.asked(until=START - 1, why_until="the target is impatient")
    assert "no time for an approval" in (await ending(hold)).reason
    assert await desk.store.request(hold.id) is None


async def test_its_owner_may_take_it_back(desk: Desk) -> None:
    hold = await desk.asked()
    await desk.world.requests.cancel(desk.world.ana, hold.id)
    assert "was cancelled" in (await ending(hold)).reason


async def test_a_client_that_left_is_noticed(desk: Desk) -> None:
    hold = await desk.asked()
    desk.left = True
    assert not (await ending(hold)).approved
    assert await desk.state(hold) is RequestState.CANCELLED


async def test_what_may_not_run_any_more_is_withdrawn_although_approved(desk: Desk) -> None:
    hold = await desk.asked()
    desk.why_not = 'it is refused by rule "frozen" now'
    await desk.world.approve(desk.world.ben, hold.id)
    assert "frozen" in (await ending(hold)).reason
    assert await desk.state(hold) is RequestState.WITHDRAWN


async def test_a_rule_without_approvers_asks_those_of_the_grant(desk: Desk) -> None:
    grant = await desk.world.granted(desk.world.ana)
    hold = await desk.asked(Terms("four-eyes"), grants=(grant,))
    assert hold.request is not None
    assert hold.request.rule.approvers == {"dba", "oncall"}
    assert hold.request.reason == "order 4711 is stuck"


async def test_where_nobody_may_approve_it_is_refused(desk: Desk) -> None:
    world = desk.world
    world.set_target("prod-db", world.config.targets["prod-db"].model_copy(update={"owners": ()}))
    hold = await desk.asked(Terms("four-eyes"))
    assert "names no approvers" in (await ending(hold)).reason


async def test_an_owner_is_not_an_approver_of_what_their_agent_says(desk: Desk) -> None:
    world = desk.world
    helper = replace(world.ana, id="p-helper", kind=Kind.AGENT, email="", owner=world.ben.email)
    await world.sign_in(helper)
    world.ana = helper
    hold = await desk.asked()
    with pytest.raises(Refused) as refused:
        await world.approve(world.ben, hold.id)
    assert refused.value.error == "owner"


class Away:
    """A store that cannot be reached."""

    def __getattr__(self, name: str) -> Any:
        async def away(*_: Any, **__: Any) -> Any:
            raise StoreAway("away")

        return away


async def test_without_the_store_nothing_is_held_and_nothing_passes(desk: Desk) -> None:
    means = desk.world.means
    away = Means(Away(), means.config_now, means.clock, means.random)
    desk.holds._means = away
    hold = desk.begin()
    done = await ending(hold)
    assert not done.approved
    assert "cannot reach its store" in done.reason


async def test_a_store_that_goes_away_meanwhile_makes_it_wait_no_longer(desk: Desk) -> None:
    hold = await desk.asked()
    means = desk.world.means
    desk.holds._means = Means(Away(), means.config_now, means.clock, means.random)
    desk.world.wait(600)
    assert not (await ending(hold)).approved


async def test_what_an_agent_left_open_is_closed(desk: Desk) -> None:
    session = await desk.store.session(desk.session)
    assert session is not None
    alive = await desk.asked()
    pending, approved = await desk.asked(), await desk.asked()
    for hold in (pending, approved):  # their agent died: nobody looks
        desk.holds._open.pop(hold.id)
        assert hold.request is not None
    await desk.world.approve(desk.world.ben, approved.id)
    await close_left(desk.store, START)
    assert await desk.state(pending) is RequestState.PENDING  # its session is open
    await desk.store.update_session(replace(session, ended=START, end_cause="recovered"))
    await close_left(desk.store, START)
    assert await desk.state(pending) is RequestState.CANCELLED
    assert await desk.state(approved) is RequestState.WITHDRAWN
    assert "was cancelled" in (await ending(alive)).reason


async def test_one_principal_fills_no_more_than_their_share(desk: Desk) -> None:
    for _ in range(holds_module.MOST_OF_ONE):
        assert not desk.holds.full(desk.world.ana.id)
        desk.begin()
    assert desk.holds.full(desk.world.ana.id)
    assert not desk.holds.full(desk.world.sue.id)


async def test_an_approver_finds_what_waits_for_them_and_nobody_else_does(desk: Desk) -> None:
    hold = await desk.asked()
    world = desk.world
    (shown,) = await world.requests.listed(world.ben, to_decide=True)
    assert (shown["id"], shown["held"]["text"]) == (hold.id, "delete from orders")
    assert await world.requests.listed(world.sue) == []
    vote = world.requests.vote(world.ben, hold.id, Answer.DENY, "no")
    await vote
    assert await world.requests.listed(world.ben, to_decide=True) == []
