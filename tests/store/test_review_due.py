"""Small reviews at the right moment: when a ticket closes, and where nobody has used a grant."""

from __future__ import annotations

import pytest

from hoopagent.errors import Refused
from hoopagent.review_due import Dues, due
from hoopcore.access import Wish
from hoopcore.model import SECOND, Priority, Tier
from hoopcore.usage import Use
from tests.store.reviewed import KEEP, Looking, statement, used
from tests.store.world import DAY, HOUR, World


@pytest.fixture
def looking(world: World) -> Looking:
    return Looking(world)


def dues(looking: Looking) -> Dues:
    return Dues(looking.world.means, looking._read)


async def for_ticket(world: World, ticket: str) -> str:
    wish = Wish("prod-db", "order 4711", HOUR, None, "", ticket, Priority.NORMAL, "", None)
    asked = await world.requests.ask(world.ana, wish)
    return str((await world.approve(world.ben, asked["id"]))["grant"])


async def test_when_a_ticket_closes_its_grants_are_to_be_looked_at(looking: Looking) -> None:
    world = looking.world
    looking.tier(Tier.LOW)
    grant, other = await for_ticket(world, "OPS-214"), await for_ticket(world, "OPS-215")
    for who in (world.ben, world.ana, world.ben):
        told = await dues(looking).ticket_closed(who, "OPS-214")
        assert [one["grant"] for one in told] == [grant]
    events = [one for one in await world.audited() if one.action == "review.due"]
    assert [one.subject for one in events] == [grant]  # told once
    assert (events[0].actor, events[0].detail["ticket"]) == (world.ben.id, "OPS-214")
    cards = {one["grant"]: one["due"] for one in await looking.mine(world.ana)}
    assert cards == {grant: ["its ticket is closed"], other: []}
    assert (await looking.reviews.card(world.ana, grant))["due"] == ["its ticket is closed"]
    await looking.answer(world.ana, grant, KEEP)
    assert await due(world.means, [grant], world.time) == {}


async def test_who_has_nothing_to_do_with_a_ticket_learns_nothing_of_it(looking: Looking) -> None:
    world = looking.world
    await for_ticket(world, "OPS-214")
    for who, ticket in ((world.sue, "OPS-214"), (world.ben, "OPS-9")):
        with pytest.raises(Refused) as refused:
            await dues(looking).ticket_closed(who, ticket)
        assert refused.value.error == "no_ticket"
    assert "review.due" not in await looking.actions()


@pytest.mark.parametrize("case", ["unused", "used", "not known"])
async def test_of_no_use_is_told_after_sixty_days_where_it_is_known(
    looking: Looking, case: str
) -> None:
    world = looking.world
    section = world.config.targets["prod-db"]
    world.set_target(
        "prod-db", section.model_copy(update={"max_duration": "90d", "only_way": True})
    )
    roles = {**world.config.roles}
    (first, *others) = roles["engineer"].may_request
    longer = first.model_copy(update={"max": "90d"})
    roles["engineer"] = roles["engineer"].model_copy(update={"may_request": (longer, *others)})
    world.config = world.config.model_copy(update={"roles": roles})
    grant = await world.granted(world.ana, seconds=89 * DAY)
    if case != "not known":
        await world.store.beat(["prod-db"], world.time)
    later = world.time + 30 * DAY * SECOND
    use = used(statement(later, "public.orders:read")) if case == "used" else Use()
    session = await looking.session(world.ana, use)
    await world.disconnect(session)
    world.wait(59 * DAY)
    await dues(looking).look(world.time)
    assert await due(world.means, [grant], world.time) == {}
    world.wait(2 * DAY)
    await covered(world, from_start=case != "not known")
    await dues(looking).look(world.time)
    told = await due(world.means, [grant], world.time)
    assert bool(told) is (case == "unused")


async def covered(world: World, *, from_start: bool) -> None:
    """Notes of the agent, without a pause, for as long as the grant holds."""
    from sqlalchemy import update

    from hoopagent.store.tables import coverage

    if from_start:
        await world.store._database.write(  # type: ignore[attr-defined]  # as if it had run
            lambda connection: connection.execute(update(coverage).values(until=world.time))
        )
