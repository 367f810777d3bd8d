"""Ends that are nobody's own wish, on both stores: suspended, groups lost, people who leave."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hoopagent.ends import Ends
from hoopagent.errors import Refused
from hoopcore.access import Wish
from hoopcore.model import SECOND, GrantState, Kind, Principal, RequestState
from tests.store.world import HOUR, World


def ends(world: World) -> Ends:
    return Ends(world.means, world.grants)


async def state(world: World, grant: str) -> GrantState:
    found = await world.store.grant(grant)
    assert found is not None
    return found.state


# --- suspending -----------------------------------------------------------------------------------


async def test_a_suspended_grant_carries_nothing_until_it_is_taken_up_again(world: World) -> None:
    grant = await world.granted(world.ana)
    session = await world.connect(world.ana)
    shown = await ends(world).suspend(world.ben, grant, "is this load yours?")
    assert shown["closed"] == [session]
    assert shown["state"] == "suspended"
    assert await world.connect(world.ana) is None
    world.wait(600)
    await ends(world).resume(world.ben, grant)
    found = await world.access(world.ana)
    assert found is not None
    before = await world.store.grant(grant)
    assert before is not None
    assert found.until == before.not_after  # what has passed is not given back
    actions = [(e.action, e.detail["from"], e.detail["to"]) for e in await world.audited()
               if e.action in ("grant.suspended", "grant.resumed")]  # fmt: skip
    assert actions == [
        ("grant.resumed", "suspended", "active"),
        ("grant.suspended", "active", "suspended"),
    ]


async def test_another_live_grant_keeps_the_session_of_a_suspended_one(world: World) -> None:
    grant = await world.granted(world.ana)
    await world.granted(world.ana)
    session = await world.connect(world.ana)
    assert (await ends(world).suspend(world.ben, grant, "look"))["closed"] == []
    assert await world.live_sessions() == {session}


async def test_nobody_suspends_or_resumes_their_own(world: World) -> None:
    grant = await world.granted(world.ana)
    await ends(world).suspend(world.ada, grant, "look")
    for act in (ends(world).resume(world.ana, grant), ends(world).suspend(world.ana, grant, "x")):
        with pytest.raises(Refused, match="your own grant"):
            await act
    assert (await world.audited())[0].action == "grant.suspended.refused"
    with pytest.raises(Refused, match="no grant"):
        await ends(world).resume(world.sue, grant)
    with pytest.raises(Refused, match="needs a reason"):
        await ends(world).suspend(world.ben, grant, " ")


async def test_what_is_suspended_is_not_had_again_without_somebodys_word(world: World) -> None:
    grant = await world.granted(world.ana, "dev-db")
    await ends(world).suspend(world.ada, grant, "is this load yours?")
    longer = Wish("", "it takes longer", 60, extends=grant)
    for again in (world.ask(world.ana, "dev-db"), world.requests.ask(world.ana, longer)):
        with pytest.raises(Refused, match="is suspended") as refused:
            await again
        assert f"hoop resume {grant}" in refused.value.hint
        assert (await world.audited())[0].action == "request.made.refused"
    assert await world.access(world.ana, "dev-db") is None
    await world.granted(world.ana)  # elsewhere, and by a vote, as ever
    await ends(world).resume(world.ada, grant)
    await world.requests.ask(world.ana, longer)


async def test_what_its_holder_gives_back_keeps_nothing_from_them(world: World) -> None:
    grant = await world.granted(world.ana, "dev-db")
    old, new = GrantState.ACTIVE, GrantState.SUSPENDED  # as a review does it: decision 0039
    event = world.means.event(world.time, world.ana.id, "grant.suspended", grant, reason="done")
    assert await world.store.move_grant(grant, old, new, event)
    await world.granted(world.ana, "dev-db")
    live = await world.grants.listed(world.ana, live=True)
    assert grant not in [one["id"] for one in live]


async def test_a_suspended_grant_is_listed_with_who_did_it_and_why(world: World) -> None:
    grant = await world.granted(world.ana)
    for reason in ("look", "is this load yours?"):
        await ends(world).suspend(world.ben, grant, reason)
        await ends(world).resume(world.ben, grant)
    await ends(world).suspend(world.ada, grant, "it goes on")
    (shown,) = await world.grants.listed(world.ana, live=True)
    assert (shown["state"], shown["suspended"]["by"]) == ("suspended", "ada@test")
    assert shown["suspended"]["why"] == "it goes on"
    world.wait(2 * HOUR)
    assert await world.grants.listed(world.ana, live=True) == []


async def test_a_try_at_what_one_may_not_see_is_on_the_record(world: World) -> None:
    grant = await world.granted(world.ana)
    asked = await world.ask(world.ana)
    tries = {
        "vote.cast": world.approve(world.sue, asked["id"]),
        "request.cancelled": world.requests.cancel(world.sue, asked["id"]),
        "grant.revoked": world.grants.revoke(world.sue, grant, "no"),
        "grant.relinquished": world.grants.relinquish(world.sue, grant),
        "grant.suspended": ends(world).suspend(world.sue, grant, "no"),
        "request.made": world.requests.ask(world.sue, Wish("", "longer", 60, extends=grant)),
    }
    for action, one in tries.items():
        with pytest.raises(Refused) as refused:
            await one
        assert refused.value.status == 404  # it says nothing of what there is
        last = (await world.audited())[0]
        assert (last.action, last.actor) == (f"{action}.refused", world.sue.id)
    before = len(await world.audited())
    with pytest.raises(Refused):
        await world.grants.revoke(world.sue, "grt-nothing", "no")
    assert len(await world.audited()) == before


async def test_who_leaves_while_they_ask_gets_nothing(world: World) -> None:
    """A wish that was on its way when its asker left is not there when they come back."""
    await ends(world).leave("operator", world.ana.email, "left", "operator")
    for target in ("prod-db", "dev-db"):
        with pytest.raises(Refused, match="you have left"):
            await world.ask(world.ana, target)
    assert await world.store.requests() == []
    assert (await world.audited())[0].action == "request.made.refused"
    await ends(world).come_back("operator", world.ana.email, "is back", "operator")
    await world.granted(world.ana)


async def test_suspending_and_resuming_twice_changes_nothing(world: World) -> None:
    grant = await world.granted(world.ana)
    for _ in range(2):
        await ends(world).suspend(world.ben, grant, "look")
    for _ in range(2):
        await ends(world).resume(world.ben, grant)
    done = [e.action for e in await world.audited()]
    assert (done.count("grant.suspended"), done.count("grant.resumed")) == (1, 1)


async def test_what_has_ended_is_neither_suspended_nor_resumed(world: World) -> None:
    over = await world.granted(world.ana)
    await world.grants.revoke(world.ada, over, "over")
    with pytest.raises(Refused, match="is revoked"):
        await ends(world).suspend(world.ben, over, "look")
    late = await world.granted(world.ana)
    await ends(world).suspend(world.ben, late, "look")
    world.wait(2 * HOUR)
    with pytest.raises(Refused, match="is expired"):
        await ends(world).resume(world.ben, late)
    await world.look()
    assert await state(world, late) is GrantState.EXPIRED


# --- groups that were lost ------------------------------------------------------------------------


async def test_a_group_that_is_lost_takes_its_grants_along(world: World) -> None:
    grant = await world.granted(world.ana)
    session = await world.connect(world.ana)
    fewer = replace(world.ana, groups=frozenset({"guests"}))
    assert await ends(world).regrouped(world.ana, fewer, world.time) == [grant]
    assert await state(world, grant) is GrantState.REVOKED
    assert session not in await world.live_sessions()


async def test_other_groups_and_other_policies_take_nothing(world: World) -> None:
    grant = await world.granted(world.ana)
    more = replace(world.ana, groups=world.ana.groups | {"guests"})
    assert await ends(world).regrouped(world.ana, more, world.time) == []
    other = replace(world.ana, groups=frozenset({"dba"}))  # the same role by another group
    assert await ends(world).regrouped(more, other, world.time) == []
    world.config = world.config.model_copy(update={"roles": {}})
    fewer = replace(world.ana, groups=frozenset())
    assert await ends(world).regrouped(world.ana, fewer, world.time) == []
    assert await state(world, grant) is GrantState.ACTIVE


# --- leaving --------------------------------------------------------------------------------------


async def test_who_leaves_loses_all_at_once_and_others_nothing(world: World) -> None:
    grant = await world.granted(world.ana)
    held = await world.granted(world.ana, "dev-db")
    await ends(world).suspend(world.ada, held, "look")
    pending = await world.ask(world.ana, "prod-vault")
    theirs = await world.granted(world.cat, "dev-db")
    session = await world.connect(world.ana)
    (left,) = await ends(world).leave("p-ada", "ANA@test", "left the company", "administrator")
    assert sorted(left["grants"]) == sorted([grant, held])
    assert left["requests"] == [pending["id"]]
    assert left["closed"] == [session]
    for id in (grant, held):
        assert await state(world, id) is GrantState.REVOKED
    assert await state(world, theirs) is GrantState.ACTIVE
    request = await world.store.request(pending["id"])
    assert request is not None
    assert request.state is RequestState.CANCELLED
    assert await world.store.identity_until("p-ana") == 0
    assert await world.store.has_left("p-ana")
    actions = [e.action for e in await world.audited()]
    assert actions.count("grant.revoked") == 2
    assert "principal.left" in actions


async def test_who_has_left_comes_back_with_nothing(world: World) -> None:
    grant = await world.granted(world.ana)
    await ends(world).leave("operator", "p-ana", "left", "operator")
    (back,) = await ends(world).come_back("operator", "ana@test", "another Ana", "operator")
    assert back["principal"]["id"] == "p-ana"
    assert not await world.store.has_left("p-ana")
    assert await ends(world).come_back("operator", "ana@test", "again", "operator") == []
    await world.sign_in(world.ana)
    assert await world.access(world.ana) is None
    assert await state(world, grant) is GrantState.REVOKED


async def test_agents_that_act_for_a_leaver_end_with_them_and_services_stay(world: World) -> None:
    acting = Principal("p-helper", Kind.AGENT, "https://id.test", "helper", "",
                       frozenset({"engineering"}), "Ana@test")  # fmt: skip
    service = replace(acting, id="p-ci", kind=Kind.SERVICE, subject="ci")
    for one in (acting, service):
        await world.sign_in(one)
    left = await ends(world).leave("operator", "ana@test", "left", "operator")
    assert {one["principal"]["id"] for one in left} == {"p-ana", "p-helper"}
    assert await world.store.identity_until("p-helper") == 0
    assert await world.store.identity_until("p-ci") > world.time


async def test_nobody_known_by_that_name_leaves(world: World) -> None:
    with pytest.raises(Refused, match="nobody called"):
        await ends(world).leave("operator", "nobody@test", "left", "operator")
    with pytest.raises(Refused, match="needs a reason"):
        await ends(world).leave("operator", "ana@test", "", "operator")


async def test_a_clock_turned_back_does_not_bring_back_what_ended(world: World) -> None:
    grant = await world.granted(world.ana)
    await ends(world).suspend(world.ben, grant, "look")
    world.wait(2 * HOUR)
    await world.look()
    world.time -= 3 * HOUR * SECOND
    with pytest.raises(Refused, match="is expired"):
        await ends(world).resume(world.ben, grant)
    assert await world.access(world.ana) is None
