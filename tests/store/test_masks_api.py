"""``/v1/masks`` on both stores: who may try and scan what, and what ends a scan."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import httpx
import pytest
from fastapi import FastAPI

from hoopagent.api import masks
from hoopagent.api.context import install
from hoopagent.background import Background
from hoopagent.bounds import Bounds
from hoopagent.catalogs import Catalogs
from hoopagent.config import Role
from hoopagent.reader import Reader
from hoopagent.scan import Scans
from hoopagent.secrets import Secrets
from hoopagent.trial import Trial
from hoopcore.sql.catalog import Catalog
from tests.store.test_api import Api, agent_of
from tests.store.world import World, offer
from tests.unit.test_masking import CATALOG, MASKS

BY_HAND = "select ssn, email from customers"
PATIENCE = 20.0


@dataclass
class Shelf:
    """Catalogs that are read when a test lets them be."""

    catalog: Catalog | None = CATALOG
    free: asyncio.Event = field(default_factory=asyncio.Event)

    async def get(self, target: str, database: str) -> Catalog | None:
        return self.catalog

    async def renew(self, target: str, database: str) -> Catalog | None:
        await self.free.wait()
        return None


@dataclass
class Hands:
    """What a test holds in its hands."""

    api: Api
    shelf: Shelf
    scans: Scans
    later: float = 0.0

    def now(self) -> float:
        return asyncio.get_running_loop().time() + self.later


@pytest.fixture
async def hands(world: World, tmp_path: Path) -> AsyncIterator[Hands]:
    world.config = world.config.model_copy(update={"masks": MASKS})
    agent, shelf = agent_of(world, tmp_path), Shelf()
    background = Background()

    bounds = Bounds(lambda: world.config, cast(Catalogs, shelf), {}, background)
    scans = Scans(world.means, bounds, Secrets(lambda: world.config, lambda: world.time))
    agent.parts |= {
        "trial": Trial(world.means, Reader(), bounds),
        "scans": scans,
    }
    app = FastAPI()
    install(app, agent)
    app.include_router(masks.router(agent))
    transport = httpx.ASGITransport(app=app)
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://agent") as client,
        asyncio.TaskGroup() as group,
    ):
        found = Hands(Api(client), shelf, scans)
        scans.clock = found.now
        running = group.create_task(scans.run())
        await asyncio.sleep(0)
        yield found
        running.cancel()


async def tried(
    hands: Hands, who: str, status: int = 200, *, person: str = "", **more: str
) -> dict[str, object]:
    wish = {"target": "prod-db", "statement": BY_HAND, "as": person} | more
    told = await hands.api.post(who, "/masks/try", status, **wish)
    return cast(dict[str, object], told)


# --- try ------------------------------------------------------------------------------------------


async def test_a_trial_is_under_the_grant_the_offer_or_nothing(hands: Hands, world: World) -> None:
    assert (await tried(hands, "ana"))["way"] == "offer"
    await world.granted(world.ana)
    told = await tried(hands, "ana")
    assert told["way"] == "grant"
    assert [one["mask"] for one in cast(list[dict[str, str]], told["columns"])] == [
        "keep-last-4", "keep-domain",
    ]  # fmt: skip
    assert (await tried(hands, "ada", person="p-sue"))["way"] == "none"


async def test_exempt_groups_are_those_of_whom_it_is_tried_for(hands: Hands) -> None:
    for_ana = await tried(hands, "ada", person="ana")
    for_ben = await tried(hands, "ada", person="p-ben")
    masked = [
        [one["mask"] for one in cast(list[dict[str, str]], told["columns"])]
        for told in (for_ana, for_ben)
    ]
    assert masked == [["keep-last-4", "keep-domain"], ["", "keep-domain"]]


async def test_what_one_may_not_see_is_not_there(hands: Hands, world: World) -> None:
    assert (await tried(hands, "sue", 404))["error"] == "no_target"
    assert (await tried(hands, "ana", 404, target="lonely-db"))["error"] == "no_target"
    assert (await tried(hands, "ana", 404, person="ben"))["error"] == "no_target"
    assert (await tried(hands, "ada", 404, person="zoe"))["error"] == "no_principal"
    assert (await tried(hands, "ana", 404, database="nope"))["error"] == "no_database"
    await tried(hands, "", 401)
    assert not [one for one in await world.audited() if one.action == "mask.tried"]


async def test_names_out_of_reach_are_told_to_who_looks_after_the_target_alone(
    hands: Hands, world: World
) -> None:
    narrow = offer("prod-db", ["dba"], scope="public.orders:read")
    roles = {
        **world.config.roles,
        "engineer": Role(groups=frozenset({"engineering"}), may_request=(narrow,)),
    }
    world.config = world.config.model_copy(update={"roles": roles})
    for statement in ("table public.customers", "table public.custmers"):
        told = await tried(hands, "ana", statement=statement)
        assert told["verdict"] == "refuse"
        assert (told["columns"], told["not_there"]) == ([], [])
    seen = await tried(hands, "ada", person="ana", statement="table public.custmers")
    assert seen["not_there"] == ["public.custmers"], "what is near is out of reach"
    near = await tried(hands, "ana", statement="table public.order")
    assert near["verdict"] == "refuse"
    assert (await tried(hands, "ana", statement="table public.orders"))["verdict"] == "allow"


async def test_a_trial_for_others_is_audited_without_the_text(hands: Hands, world: World) -> None:
    await tried(hands, "ada", person="ana")
    (event,) = [one for one in await world.audited() if one.action == "mask.tried"]
    assert (event.actor, event.subject, event.detail["owner"]) == ("p-ada", "prod-db", "p-ana")
    assert "ssn" not in str(event)


async def test_without_a_catalog_it_is_said_that_all_is_null(hands: Hands) -> None:
    hands.shelf.catalog = None
    told = await tried(hands, "ana")
    assert told["catalog"] is False
    assert "could not be read" in cast(str, told["instead"])


async def test_a_text_that_is_no_sql_has_its_fault_and_its_place(hands: Hands) -> None:
    told = await tried(hands, "ana", statement="select 'é' frm frm")
    assert told["fault"] == {"message": 'syntax error at or near "frm"', "at": 16}
    assert (await tried(hands, "ana", statement="select " + "1+" * 2_000 + " frm x"))[
        "fault"
    ] is None


# --- scan -----------------------------------------------------------------------------------------


async def begun(hands: Hands, who: str = "ada", target: str = "prod-db", status: int = 200) -> str:
    told = await hands.api.post(who, "/masks/scans", status, target=target)
    return str(told.get("id") or told["error"])


async def ended(hands: Hands, id: str) -> dict[str, object]:
    async with asyncio.timeout(PATIENCE):
        while True:
            told = await hands.api.get("ada", f"/masks/scans/{id}")
            if told["state"] != "running":
                return cast(dict[str, object], told)


async def test_a_scan_is_for_who_looks_after_the_target_and_is_audited(
    hands: Hands, world: World
) -> None:
    assert await begun(hands, "ana", status=404) == "no_target"
    assert await begun(hands, target="nope", status=404) == "no_target"
    id = await begun(hands)
    (event,) = [one for one in await world.audited() if one.action == "mask.scanned"]
    assert (event.actor, event.subject) == ("p-ada", "prod-db")
    assert (await hands.api.get("ben", f"/masks/scans/{id}", 404))["error"] == "no_scan"
    hands.shelf.free.set()
    told = await ended(hands, id)
    assert told["state"] == "failed"
    assert "catalog could not be read" in cast(str, told["why"])


async def test_one_database_is_scanned_once_at_a_time_and_few_at_once(
    hands: Hands, world: World
) -> None:
    await begun(hands)
    assert await begun(hands, status=409) == "scanned_already"
    for name in ("prod-vault", "dev-db", "lonely-db"):
        await begun(hands, target=name)
    world.config.targets["more-db"] = world.config.targets["dev-db"]
    assert await begun(hands, target="more-db", status=409) == "too_many"


async def test_a_scan_that_nobody_looks_at_ends(hands: Hands) -> None:
    id = await begun(hands)
    hands.later = 16.0
    scan = hands.scans._scans[id]
    async with asyncio.timeout(PATIENCE):
        await scan.ended.wait()
    assert (scan.state, scan.why) == ("failed", "nobody looked at it any more")


async def test_a_scan_is_stopped_by_who_began_it(hands: Hands) -> None:
    id = await begun(hands)
    told = (await hands.api.client.delete(f"/v1/masks/scans/{id}", headers=_token("ada"))).json()
    assert (told["state"], told["why"]) == ("failed", "it was stopped")
    assert (await begun(hands)) != id


def _token(who: str) -> dict[str, str]:
    return {"authorization": f"Bearer {who}"}
