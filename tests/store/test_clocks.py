"""Access that begins later, goes on, or is given back: on both stores."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from hoopagent.config import Auto, Eligibility, Reasons, Role
from hoopagent.errors import Refused
from hoopagent.requests import Requests
from hoopagent.store.sql import SqlStore
from hoopcore.access import Wish
from hoopcore.model import SECOND, Answer, Grant, GrantState, Principal, Scope, Time
from tests.store.conftest import opened
from tests.store.world import DAY, HOUR, START, World

TARGET = "prod-db"


def offering(world: World, **offer: Any) -> None:
    """Reloads the config with this offer for engineers, and no other."""
    made = Eligibility.model_validate(
        {"targets": [TARGET], "approvers": ["dba"], "max": "2h", **offer}
    )
    roles = {**world.config.roles}
    roles["engineer"] = Role(groups=frozenset({"engineering", "dba"}), may_request=(made,))
    world.config = world.config.model_copy(update={"roles": roles})


async def wish(world: World, who: Principal, **wished: Any) -> dict[str, Any]:
    plain = Wish(TARGET, "order 4711 is stuck", HOUR)
    return await world.requests.ask(who, replace(plain, **wished))


async def grant_in(world: World, view: dict[str, Any]) -> Grant:
    found = await world.store.grant(str(view["grant"]))
    assert found is not None
    return found


# --- the first connection -------------------------------------------------------------------------


async def test_the_time_of_a_grant_begins_with_the_first_connection(world: World) -> None:
    offering(world, starts="connect", start_within="12h")
    asked = await wish(world, world.ana)
    grant = await grant_in(world, await world.approve(world.ben, str(asked["id"])))
    assert grant.waits
    world.wait(6 * HOUR)
    await world.grants.sweep(world.time)
    assert await world.connect(world.ana) is not None
    begun = await grant_in(world, {"grant": grant.id})
    assert (begun.state, begun.started) == (GrantState.ACTIVE, world.time)
    assert begun.not_after == grant.not_after  # never changes
    world.wait(HOUR - 1)
    await world.look()
    assert len(await world.live_sessions()) == 1
    world.wait(1)
    await world.look()
    assert await world.live_sessions() == set()
    assert await world.connect(world.ana) is None  # connecting again begins nothing anew


async def test_who_has_not_connected_by_the_latest_start_has_nothing(world: World) -> None:
    offering(world, starts="connect", start_within="12h")
    asked = await wish(world, world.ana)
    grant = await grant_in(world, await world.approve(world.ben, str(asked["id"])))
    world.wait(12 * HOUR)
    await world.sign_in(world.ana)
    assert await world.connect(world.ana) is None
    await world.grants.sweep(world.time)
    over = await grant_in(world, {"grant": grant.id})
    assert (over.state, over.ended_why) == (GrantState.EXPIRED, "nobody connected")


async def test_two_agents_begin_a_grant_once(world: World, url: str) -> None:
    offering(world, starts="connect")
    store = await opened(url)
    try:
        twin = World(store, dice=type(world.dice)(8))
        twin.config = world.config
        for _ in range(5):
            asked = await wish(world, world.ana)
            grant = await grant_in(world, await world.approve(world.ben, str(asked["id"])))
            twin.time = world.time + SECOND
            await asyncio.gather(world.connect(world.ana), twin.connect(twin.ana))
            started = [e for e in await world.audited() if e.action == "grant.started"]
            assert sum(event.subject == grant.id for event in started) == 1
            world.wait(2)
    finally:
        await store.close()


async def test_ceilings_hold_when_a_grant_begins(world: World) -> None:
    offering(world, starts="connect")
    asked = await wish(world, world.ana)
    grant = await grant_in(world, await world.approve(world.ben, str(asked["id"])))
    offering(world, starts="connect", max="10m")
    assert await world.connect(world.ana) is not None
    begun = await grant_in(world, {"grant": grant.id})
    assert begun.ends == world.time + 600 * SECOND


async def test_a_grant_that_no_role_offers_any_more_does_not_begin(world: World) -> None:
    offering(world, starts="connect")
    asked = await wish(world, world.ana)
    grant = await grant_in(world, await world.approve(world.ben, str(asked["id"])))
    offering(world, starts="connect", targets=["other-*"])
    assert await world.connect(world.ana) is None
    ended = await grant_in(world, {"grant": grant.id})
    assert (ended.state, ended.ended_by) == (GrantState.REVOKED, "system")


# --- later ----------------------------------------------------------------------------------------


async def test_access_asked_for_tonight_begins_tonight_and_not_before(world: World) -> None:
    offering(world)
    tonight: Time = START + 8 * HOUR * SECOND
    asked = await wish(world, world.ana, starts=tonight)
    await world.approve(world.ben, str(asked["id"]))
    assert await world.connect(world.ana) is None
    world.time = tonight - 1
    await world.grants.sweep(world.time)
    assert await world.connect(world.ana) is None
    world.time = tonight
    await world.grants.sweep(world.time)
    assert await world.connect(world.ana) is not None
    listed = await world.grants.listed(world.ana, live=True)
    assert [one["state"] for one in listed] == ["active"]


async def test_turning_the_clock_back_and_forth_begins_nothing_twice(world: World) -> None:
    offering(world)
    asked = await wish(world, world.ana, starts=START + HOUR * SECOND)
    grant = await grant_in(world, await world.approve(world.ben, str(asked["id"])))
    for jump in (HOUR, -DAY, HOUR // 2, -HOUR, DAY):
        world.wait(jump)
        await world.grants.sweep(world.time)
        now = await grant_in(world, {"grant": grant.id})
        assert (now.not_before, now.not_after) == (grant.not_before, grant.not_after)
    started = [e for e in await world.audited() if e.action == "grant.started"]
    assert len(started) == 1


# --- going on -------------------------------------------------------------------------------------


async def extended(world: World, grant: str, seconds: int = HOUR) -> Grant:
    wished = Wish("", "it takes longer", seconds, extends=grant)
    asked = await world.requests.ask(world.ana, wished)
    return await grant_in(world, await world.approve(world.ben, str(asked["id"])))


async def test_an_extension_keeps_the_session_and_begins_where_the_other_ends(
    world: World,
) -> None:
    first = await world.granted(world.ana)
    session = await world.connect(world.ana)
    more = await extended(world, first)
    old = await grant_in(world, {"grant": first})
    assert more.not_before == old.not_after
    access = await world.access(world.ana)
    assert access is not None
    assert access.until == more.not_after
    world.wait(HOUR)
    await world.look()
    assert await world.live_sessions() == {session}
    world.wait(HOUR)
    await world.look()
    assert await world.live_sessions() == set()


async def test_an_extension_of_an_extension_goes_on_from_its_end(world: World) -> None:
    first = await world.granted(world.ana)
    second = await extended(world, first, 600)
    third = await extended(world, first, 600)
    assert third.not_before == second.not_after


async def test_revoking_a_grant_ends_what_was_to_go_on_from_it(world: World) -> None:
    first = await world.granted(world.ana)
    more = await extended(world, first)
    session = await world.connect(world.ana)
    ended = await world.grants.revoke(world.ben, first, "enough")
    assert ended["closed"] == [session]
    assert (await grant_in(world, {"grant": more.id})).state is GrantState.REVOKED
    world.wait(HOUR)
    await world.grants.sweep(world.time)
    assert await world.connect(world.ana) is None


async def test_nobody_extends_what_is_not_theirs_or_has_ended_or_is_more(world: World) -> None:
    first = await world.granted(world.ana)
    wished = Wish("", "it takes longer", HOUR, extends=first)
    with pytest.raises(Refused, match="no grant"):
        await world.requests.ask(world.cat, wished)
    offering(world, scope="*.*:read")
    with pytest.raises(Refused) as refused:
        await world.requests.ask(world.ana, wished)
    assert refused.value.error == "scope_too_wide"
    await world.grants.relinquish(world.ana, first)
    with pytest.raises(Refused, match="ended"):
        await world.requests.ask(world.ana, wished)


async def test_grants_stack_to_the_union_of_their_scopes(world: World) -> None:
    offering(world)
    for scope in ("public.orders:read", "public.customers:read"):
        asked = await wish(world, world.ana, scope=Scope.parse(scope))
        await world.approve(world.ben, str(asked["id"]))
    access = await world.access(world.ana)
    assert access is not None
    assert str(access.scope) == "public.customers:read public.orders:read"


# --- given back -----------------------------------------------------------------------------------


async def test_unused_time_is_given_back_only_where_the_policy_says_so(world: World) -> None:
    for patience, state in ((None, GrantState.ACTIVE), ("10m", GrantState.RELINQUISHED)):
        offering(world, give_back=patience)
        asked = await wish(world, world.ana)
        grant = await grant_in(world, await world.approve(world.ben, str(asked["id"])))
        world.wait(900)
        await world.grants.sweep(world.time)
        assert (await grant_in(world, {"grant": grant.id})).state is GrantState.ACTIVE  # unused yet
        session = await world.connect(world.ana)
        await world.grants.sweep(world.time)
        await world.disconnect(str(session))
        world.wait(599)
        await world.grants.sweep(world.time)
        assert (await grant_in(world, {"grant": grant.id})).state is GrantState.ACTIVE
        world.wait(1)
        await world.grants.sweep(world.time)
        assert (await grant_in(world, {"grant": grant.id})).state is state
        if state is GrantState.ACTIVE:
            await world.grants.relinquish(world.ana, grant.id)


# --- what is kept ---------------------------------------------------------------------------------


async def test_the_matched_rule_is_kept_with_the_request_as_it_was(world: World) -> None:
    offering(
        world,
        votes=1,
        needs=[{"approvers": ["dba"]}, {"approvers": ["security"]}],
        later=[{"after": "30m", "approvers": ["managers"]}],
        auto=[Auto(name="reads", scope="*.*:read", read_only=True, max_rows=10)],
        reasons=Reasons(min_length=5),
    )
    asked = await wish(world, world.ana)
    before = await world.store.request(str(asked["id"]))
    offering(world, votes=1)
    assert await world.store.request(str(asked["id"])) == before
    assert before is not None
    assert before.rule.total == 2
    assert (await world.approve(world.ben, before.id))["state"] == "pending"
    assert (await world.approve(world.cat, before.id))["state"] == "fulfilled"


async def test_what_is_granted_by_the_policy_has_its_name_and_limits(world: World) -> None:
    offering(world, auto=[Auto(name="reads", scope="*.*:read", read_only=True, max_rows=10)])
    made = await wish(world, world.ana, scope=Scope.parse("*.*:read"))
    assert (made["state"], made["auto"]) == ("fulfilled", "reads")
    grant = await grant_in(world, made)
    assert grant.limits.rows == 10
    access = await world.access(world.ana)
    assert access is not None
    assert access.rows == 10
    (event,) = [e for e in await world.audited() if e.action == "request.approved"]
    assert event.actor == "system"
    assert event.detail["auto"] == "reads"


async def test_conditions_of_a_vote_only_reduce(world: World) -> None:
    offering(world)
    asked = await wish(world, world.ana, scope=Scope.parse("public.*:read"))
    requests: Requests = world.requests

    async def vote(**conditions: Any) -> dict[str, Any]:
        voting = requests.vote(
            world.ben,
            str(asked["id"]),
            Answer.APPROVE,
            "but less",
            **conditions,
        )
        return await voting

    for wider in (
        {"scope": Scope.parse("*.*:read")},
        {"starts": START - 1},
        {"duration": 2 * HOUR},
    ):
        with pytest.raises(Refused) as refused:
            await vote(**wider)
        assert refused.value.status == 422
    made = await vote(scope=Scope.parse("public.orders:read"), starts=START + 60 * SECOND)
    grant = await grant_in(world, made)
    assert (str(grant.scope), grant.not_before) == ("public.orders:read", START + 60 * SECOND)
    (kept,) = await world.store.votes(str(asked["id"]))
    assert (str(kept.scope), kept.voter_is.groups) == ("public.orders:read", frozenset({"dba"}))


async def test_a_rule_of_a_newer_agent_is_not_read_as_less(store: SqlStore) -> None:
    from hoopagent.store.rules import rule_of

    with pytest.raises(ValueError, match="newer"):
        rule_of('{"approvers":[],"votes":1,"name":"x","max_duration":1,"and_also":2}')
