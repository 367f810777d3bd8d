"""``GET /v1/who-can`` on both stores: by grants that hold, by offers, and for whom it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from hoopagent.api import who_can
from hoopagent.api.context import install
from tests.store.test_api import MASKS, Api, agent_of
from tests.store.world import World

RULES = """
[[rule]]
name = "not-deleted"
reason = "a test"
verdict = "hold"
effects = ["delete"]
"""
EMAIL = "public.customers.email"


@pytest.fixture
async def api(world: World, tmp_path: Path) -> AsyncIterator[Api]:
    world.config = world.config.model_copy(update={"masks": MASKS, "rules": RULES})
    app = FastAPI()
    agent = agent_of(world, tmp_path)
    install(app, agent)
    app.include_router(who_can.router(agent))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://agent") as client:
        yield Api(client)


async def test_who_holds_a_grant_and_who_may_ask_for_one_are_told(api: Api, world: World) -> None:
    grant = await world.granted(world.ana)
    told = await api.get("ada", "/who-can", place=EMAIL, target="prod-db")
    first, *offers = told["ways"]
    assert (first["way"], first["grant"], first["who"]) == (
        "grant", grant, {"id": "p-ana", "name": "ana@test"},
    )  # fmt: skip
    assert first["masks"] == [{"column": EMAIL, "style": "keep-domain"}]
    assert first["verbs"]["delete"]["rule"] == "not-deleted"
    by_group = {way["group"]: way for way in offers if not way["alone"]}
    assert sorted(by_group) == ["dba", "engineering"]
    assert by_group["dba"]["masks"] == []
    assert [one["id"] for one in by_group["engineering"]["people"]] == ["p-ana"]
    assert {one["id"] for one in by_group["dba"]["people"]} >= {"p-ben", "p-cat"}
    world.wait(24 * 3600)
    later = await api.get("ada", "/who-can", place=EMAIL, target="prod-db")
    assert [way["way"] for way in later["ways"]] == ["offer", "offer"]


async def test_a_grant_counts_with_the_groups_its_holder_has_now(api: Api, world: World) -> None:
    await world.granted(world.ana)
    await world.sign_in(replace(world.ana, groups=frozenset({"engineering", "dba"})))
    told = await api.get("ada", "/who-can", place=EMAIL, target="prod-db")
    assert told["ways"][0]["who"]["id"] == "p-ana"
    assert told["ways"][0]["masks"] == []
    alone = [way for way in told["ways"] if way.get("alone")]
    assert [(way["group"], way["people"][0]["id"]) for way in alone] == [("engineering", "p-ana")]


async def test_scope_bounds_what_is_told(api: Api) -> None:
    told = await api.get("ada", "/who-can", place=EMAIL, target="dev-db")
    assert {frozenset(way["verbs"]) for way in told["ways"]} == {frozenset({"read"})}


async def test_it_is_told_to_who_looks_after_the_target_alone(api: Api, world: World) -> None:
    await api.get("sue", "/who-can", 403, place=EMAIL)
    for target in ("prod-db", "no-such"):
        assert (await api.get("sue", "/who-can", 404, place=EMAIL, target=target))["error"] == (
            "no_target"
        )
    prod = world.config.targets["prod-db"].model_copy(update={"owners": frozenset({"sales"})})
    world.set_target("prod-db", prod)
    told = await api.get("sue", "/who-can", place=EMAIL)
    assert {way["target"] for way in told["ways"]} == {"prod-db"}
    await api.get("sue", "/who-can", 404, place=EMAIL, target="dev-db")
    await api.get("", "/who-can", 401, place=EMAIL)


async def test_what_is_no_place_is_refused(api: Api) -> None:
    assert (await api.get("ada", "/who-can", 422, place="customers"))["error"] == "malformed"
