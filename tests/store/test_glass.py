"""Break-glass on both stores: at once, short, masked, looked at by somebody else, then again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from hoopagent.errors import Refused
from hoopagent.glass import Glass, remind
from hoopagent.reviews import Reviews
from hoopagent.store import StoreAway
from hoopagent.store.sql import SqlStore
from hoopcore.access import Wish
from hoopcore.access.glass import ItemState
from hoopcore.model import SECOND, Kind, Principal, Scope, Session
from hoopcore.usage import Use
from tests.store.conftest import opened
from tests.store.world import HOUR, World, offer

DAY = 24 * HOUR


def nothing(_: Session) -> Use:
    """Of a recording without a statement."""
    return Use()


def glass(world: World) -> Glass:
    return Glass(world.means, Reviews(world.means, world.grants, nothing))


@pytest.fixture(autouse=True)
def allowed(world: World) -> None:
    engineer = world.config.roles["engineer"]
    offers = [one.model_copy(update={"break_glass": True}) for one in engineer.may_request[:2]]
    changed = engineer.model_copy(update={"may_request": (*offers, *engineer.may_request[2:])})
    roles = world.config.roles | {"engineer": changed}
    world.config = world.config.model_copy(update={"roles": roles})


async def broken(world: World, who: Principal | None = None, **wish: Any) -> Any:
    asked = Wish("prod-db", "the shop is down", 4 * HOUR)
    return await glass(world).break_glass(who or world.ana, replace(asked, **wish), "INC-1")


OWNER = Principal("p-oda", Kind.HUMAN, "https://id.test", "oda", "oda@test", frozenset({"owners"}))


# --- breaking it ----------------------------------------------------------------------------------


async def test_the_glass_is_broken_at_once_for_half_an_hour_with_masks_on(world: World) -> None:
    made = await broken(world)
    assert made["state"] == "fulfilled"
    assert made["review"].startswith("rev-")
    grant = await world.store.grant(made["grant"])
    request = await world.store.request(made["id"])
    assert grant is not None
    assert request is not None
    assert grant.not_after - grant.not_before == 30 * 60 * SECOND
    assert grant.limits.masked
    assert (request.break_glass, request.incident) == (True, "INC-1")
    assert await world.access(world.ana) is not None
    world.wait(30 * 60)
    await world.look()
    assert await world.access(world.ana) is None
    actions = {event.action: event for event in await world.audited()}
    assert actions["glass.broken"].detail["owners"] == "owners"
    assert actions["glass.broken"].detail["incident"] == "INC-1"
    assert "grant.made" in actions


async def test_a_ceiling_of_the_target_cuts_it_shorter(world: World) -> None:
    world.set_target("prod-db", world.config.targets["prod-db"].model_copy(
        update={"max_duration": "5m"}))  # fmt: skip
    grant = await world.store.grant((await broken(world))["grant"])
    assert grant is not None
    assert grant.not_after - grant.not_before == 5 * 60 * SECOND


@pytest.mark.parametrize(
    ("wish", "word"),
    [
        ({"reason": "  "}, "reason"),
        ({"duration": 0}, "duration"),
        ({"target": "nowhere"}, "no_target"),
        ({"target": "dev-db"}, "not_eligible"),  # a role offers it, but not this way
        ({"scope": Scope.parse("*.*:unmask")}, "scope"),
    ],
)
async def test_what_is_no_break_glass_gives_nothing(
    world: World, wish: dict[str, Any], word: str
) -> None:
    with pytest.raises(Refused) as refused:
        await broken(world, **wish)
    assert refused.value.error == word
    assert await world.store.grants() == []
    assert await world.store.review_items() == []


async def test_only_people_whose_role_allows_it_break_the_glass(world: World) -> None:
    for somebody in (world.sue, world.bot):
        with pytest.raises(Refused) as refused:
            await broken(world, somebody)
        assert refused.value.status == 403
        assert (await world.audited())[0].action == "glass.broken.refused"
    wish = Wish("prod-db", "the shop is down", 60)
    with pytest.raises(Refused, match="incident"):
        await glass(world).break_glass(world.ana, wish, " ")


async def test_a_policy_that_does_not_name_it_has_none(world: World) -> None:
    engineer = world.config.roles["engineer"]
    plain = engineer.model_copy(update={"may_request": (offer("prod-db", ["dba"]),)})
    roles = world.config.roles | {"engineer": plain}
    world.config = world.config.model_copy(update={"roles": roles})
    with pytest.raises(Refused, match="no role of yours may break the glass"):
        await broken(world)


async def test_a_repeat_with_the_same_key_breaks_one(world: World) -> None:
    first = await broken(world, key="k")
    again = await broken(world, key="k")
    assert again["id"] == first["id"]
    assert len(await world.store.grants()) == 1
    with pytest.raises(Refused, match="another request"):
        await broken(world, key="k", reason="another reason")


async def test_with_the_store_away_there_is_none(world: World) -> None:
    assert isinstance(world.store, SqlStore)
    async with world.store._database.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE audit RENAME TO audit_away"))
    with pytest.raises(StoreAway):
        await broken(world)
    async with world.store._database.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE audit_away RENAME TO audit"))
    assert await world.store.grants() == []
    assert await world.store.requests() == []
    assert await world.store.review_items() == []


async def test_two_at_once_are_one(world: World, url: str) -> None:
    other = await opened(url)
    twin = World(other, config=world.config, dice=type(world.dice)(9))
    try:
        done = await asyncio.gather(
            *(broken(one) for one in [world, twin] * 4), return_exceptions=True
        )
    finally:
        await other.close()
    assert sum(isinstance(one, dict) for one in done) == 1
    assert all(one.error == "unreviewed" for one in done if isinstance(one, Refused))
    assert len(await world.store.grants()) == 1


# --- looking back at it ---------------------------------------------------------------------------


async def test_nobody_breaks_a_second_one_before_somebody_has_looked(world: World) -> None:
    first = await broken(world)
    world.wait(2 * DAY)
    await world.look()
    with pytest.raises(Refused) as refused:
        await broken(world, target="prod-vault")
    assert refused.value.error == "unreviewed"
    assert f"hoop review break-glass {first['review']}" in refused.value.hint
    assert "owners" in refused.value.hint
    await broken(world, world.cat)  # somebody else's is theirs
    await glass(world).decide(OWNER, first["review"], ItemState.UNJUSTIFIED, "ask next time")
    world.wait(HOUR)
    await broken(world)


async def test_the_owner_says_whether_it_was_right_and_the_person_never(world: World) -> None:
    await world.sign_in(OWNER)
    made = await broken(world)
    id = made["review"]
    for nobody in (world.ana, world.sue, world.ben):
        with pytest.raises(Refused):
            await glass(world).decide(nobody, id, ItemState.JUSTIFIED, "fine")
    with pytest.raises(Refused, match="missing"):
        await glass(world).decide(OWNER, id, ItemState.JUSTIFIED, " ")
    (waits,) = await glass(world).listed(OWNER)
    assert waits["yours_to_say"] is True
    assert (waits["incident"], waits["reason"]) == ("INC-1", "the shop is down")
    (mine,) = await glass(world).listed(world.ana)
    assert mine["yours_to_say"] is False
    assert await glass(world).listed(world.sue) == []
    decided = await glass(world).decide(OWNER, id, ItemState.JUSTIFIED, "it was down")
    assert (decided["state"], decided["decided_by"]) == ("justified", "oda@test")
    with pytest.raises(Refused, match="already"):
        await glass(world).decide(world.ada, id, ItemState.UNJUSTIFIED, "no")
    event = next(e for e in await world.audited() if e.action == "review.decided")
    assert event.detail["capacity"] == "owner"
    assert (event.detail["from"], event.detail["to"]) == ("pending", "justified")
    assert "0 statements" in event.detail["shown"]
    assert await glass(world).listed(OWNER) == []
    assert len(await glass(world).listed(OWNER, all=True)) == 1


async def test_an_owner_does_not_look_back_at_themselves(world: World) -> None:
    owner = replace(world.ana, groups=world.ana.groups | {"owners"})
    await world.sign_in(owner)
    made = await broken(world, owner)
    with pytest.raises(Refused, match="not yours"):
        await glass(world).decide(owner, made["review"], ItemState.JUSTIFIED, "fine")


async def test_a_review_that_is_due_is_told_once(world: World) -> None:
    await broken(world)
    for _ in range(3):
        world.wait(12 * HOUR)
        await remind(world.means, world.time)
    due = [e for e in await world.audited() if e.action == "review.due"]
    assert len(due) == 1
    assert due[0].detail["target"] == "prod-db"


async def test_a_grant_that_ends_soon_is_told_once_and_a_short_one_never(world: World) -> None:
    long = await world.granted(world.ana, seconds=HOUR)
    await world.granted(world.ana, seconds=15 * 60)
    for _ in range(60):
        await remind(world.means, world.time)
        world.wait(60)
    soon = [e for e in await world.audited() if e.action == "grant.expiring"]
    assert [event.subject for event in soon] == [long]
