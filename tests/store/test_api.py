"""The control API's nouns around access, over HTTP as the CLI speaks it, on both stores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from hoopagent.api import grants, requests, reviews, targets
from hoopagent.api.context import Agent, install
from hoopagent.config import Role
from hoopagent.errors import Refused
from hoopagent.store import StoreAway, Token
from hoopcore.model import Principal
from tests.store.world import World, offer

MASKS = """
[[mask]]
column = "public.customers.email"
style = "keep-domain"
exempt = ["dba"]
"""


@dataclass
class Names:
    """Tokens that are the names of people."""

    world: World

    async def authenticate(self, token: str, uid: int | None) -> Principal:
        for person in self.world.people:
            if person.subject == token:
                return person
        raise Refused(401, "not_signed_in", "you are not signed in", "hoop login")

    async def logout(self, token: str) -> None:
        raise AssertionError("nobody signs out here")

    async def status(self, token: str) -> Token:
        raise AssertionError("nobody asks for it here")


@dataclass
class Open:
    """The live sessions."""

    world: World

    async def kill(self, session: str, actor: str, reason: str) -> bool:
        raise AssertionError("nobody kills here")

    async def close_for_grant(self, grant: str) -> list[str]:
        return await self.world.close_sessions(grant)


@dataclass
class Api:
    client: httpx.AsyncClient

    async def get(self, who: str, path: str, status: int = 200, **query: str) -> Any:
        return await self._send("GET", who, path, status, params=query)

    async def post(self, who: str, path: str, status: int = 200, **body: Any) -> Any:
        return await self._send("POST", who, path, status, json=body)

    async def _send(self, method: str, who: str, path: str, status: int, **what: Any) -> Any:
        headers = {"authorization": f"Bearer {who}"} if who else {}
        answer = await self.client.request(method, f"/v1{path}", headers=headers, **what)
        assert answer.status_code == status, answer.text
        return answer.json()


def agent_of(world: World, folder: Path) -> Agent:
    return Agent(
        store=world.store,
        identity=Names(world),
        live=Open(world),
        clock=lambda: world.time,
        random=world.dice.randbytes,
        recordings=folder,
        recording_key=b"",
        version="0",
        config_now=lambda: world.config,
    )


@pytest.fixture
async def api(world: World, tmp_path: Path) -> AsyncIterator[Api]:
    world.config = world.config.model_copy(update={"masks": MASKS})
    app = FastAPI()
    agent = agent_of(world, tmp_path / "recordings")
    install(app, agent)
    for noun in (requests, grants, reviews, targets):
        app.include_router(noun.router(agent))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://agent") as client:
        yield Api(client)


ASK: dict[str, Any] = {"target": "prod-db", "reason": "order 4711", "duration": 3600}


async def test_from_asking_to_giving_back(api: Api, world: World) -> None:
    (before,) = [t for t in await api.get("ana", "/targets") if t["name"] == "prod-db"]
    assert (before["grant"], before["may_request"]) == (None, True)
    assert before["approvers"] == ["dba", "oncall"]
    assert before["masked"] == ["public.customers.email"]
    asked = await api.post("ana", "/requests", **ASK, scope="public.orders:select")
    assert (asked["state"], asked["scope"]) == ("pending", "public.orders:read")
    waiting = await api.get("ben", "/requests", to_decide="1")
    assert [request["id"] for request in waiting] == [asked["id"]]
    path = f"/requests/{asked['id']}"
    voted = await api.post("ben", f"{path}/votes", answer="approve", reason="ok", duration=600)
    assert voted["state"] == "fulfilled"
    assert voted["votes"][0]["voter"] == {"id": "p-ben", "name": "ben@test"}
    assert await api.get("ana", path) == voted
    (held,) = await api.get("ana", "/grants", mine="1", live="1")
    assert (held["id"], held["state"]) == (voted["grant"], "active")
    (shown,) = [t for t in await api.get("ana", "/targets") if t["name"] == "prod-db"]
    assert shown["grant"] == {"id": held["id"], "not_after": held["not_after"]}
    session = await world.connect(world.ana)
    (item,) = await api.get("ana", "/reviews/mine")
    assert (item["sessions"], item["unseen"]) == (1, 1)
    decided = await api.post("ana", "/reviews", grant=held["id"], answer="give back")
    assert decided["closed"] == [session]
    assert await api.get("ana", "/grants", live="1") == []


async def test_each_way_to_end_a_grant_tells_what_was_closed(api: Api, world: World) -> None:
    first, second = [await world.granted(world.ana) for _ in range(2)]
    await world.connect(world.ana)
    ended = await api.post("ana", f"/grants/{first}/relinquish")
    assert (ended["state"], ended["closed"]) == ("relinquished", [])
    ended = await api.post("ben", f"/grants/{second}/revoke", reason="enough")
    assert (ended["state"], len(ended["closed"])) == ("revoked", 1)
    assert len(await api.get("ben", "/grants", all="1")) == 2
    assert await api.get("ben", "/grants") == []


async def test_a_stolen_token_opens_nothing_on_a_channel_of_the_thief(api: Api) -> None:
    """Over SSH no uid binds a token; the certificate of the connection does."""
    there = api.client._transport
    assert isinstance(there, httpx.ASGITransport)
    transport = httpx.ASGITransport(app=there.app, client=("ssh:p-ben", 0))
    async with httpx.AsyncClient(transport=transport, base_url="http://agent") as client:
        bens = Api(client)
        assert await bens.get("ben", "/grants") == []
        assert (await bens.get("ana", "/grants", 401))["error"] == "other_principal"


async def test_no_route_answers_who_is_not_signed_in(api: Api) -> None:
    for path in ("/requests", "/grants", "/reviews/mine", "/targets", "/requests/req-00000000"):
        assert (await api.get("", path, 401))["error"] == "not_signed_in"
        assert (await api.get("nobody", path, 401))["hint"] == "hoop login"
    for path in (
        "/requests",
        "/reviews",
        "/requests/req-00000000/votes",
        "/requests/req-00000000/cancel",
        "/grants/grt-00000000/relinquish",
        "/grants/grt-00000000/revoke",
    ):
        await api.post("", path, 401)


async def test_a_refusal_says_what_and_what_to_type(api: Api) -> None:
    refused = await api.post("sue", "/requests", 403, **ASK)
    assert set(refused) == {"error", "message", "hint"}
    asked = await api.post("cat", "/requests", **ASK)
    own = await api.post("cat", f"/requests/{asked['id']}/votes", 403, answer="approve")
    assert own["error"] == "asker"
    assert "hoop approve" in own["hint"]
    await api.post("cat", f"/requests/{asked['id']}/cancel")
    await api.post("cat", f"/requests/{asked['id']}/cancel")
    late = await api.post("ben", f"/requests/{asked['id']}/votes", 409, answer="approve")
    assert late["error"] == "not_pending"


@pytest.mark.parametrize(
    "odd",
    [
        {"duration": 0},
        {"duration": 1 << 70},
        {"duration": "1h"},
        {"target": "Prod-DB"},
        {"target": "prod-db\0"},
        {"reason": ""},
        {"reason": "x" * 1_001},
        {"reason": "x" * 5_000},
        {"reason": "a\0b"},
        {"scope": ""},
        {"scope": "public.:read"},
        {"scope": "public.orders:reed"},
        {"key": "a b"},
        {"key": "x" * 129},
        {"priority": "very"},
        {"admin": True},
        {"ticket": "x" * 201},
    ],
)
async def test_a_request_that_makes_no_sense_is_422_and_leaves_nothing(
    api: Api, odd: dict[str, Any]
) -> None:
    said = await api.post("ana", "/requests", 422, **{**ASK, **odd})
    assert set(said) == {"error", "message", "hint"}
    assert await api.get("ana", "/requests") == []


async def test_odd_ids_are_refused_before_the_store_is_asked(api: Api) -> None:
    for id in ("req-%00000000", "..%2f..%2fetc", "x" * 400, "req-1"):
        await api.get("ana", f"/requests/{id}", 422 if "2f" not in id else 404)
    await api.post("ana", "/reviews", 422, grant="grt-\0\0\0\0\0\0\0\0", answer="keep", reason="x")
    await api.post("ana", "/reviews", 422, grant="grt-00000000", answer="perhaps")


async def test_masked_columns_are_listed_for_whom_they_are_masked(api: Api) -> None:
    for target in await api.get("ben", "/targets"):
        assert target["masked"] == []


async def test_everybody_sees_the_targets_that_concern_them(api: Api, world: World) -> None:
    async def names(who: str) -> list[str]:
        return [target["name"] for target in await api.get(who, "/targets")]

    assert await names("ana") == ["dev-db", "prod-db", "prod-vault"]
    assert await names("ada") == ["dev-db", "lonely-db", "prod-db", "prod-vault"]
    assert await names("sue") == []
    world.ana = world.ana.__class__(  # her groups are gone; the grant still holds
        world.ana.id, world.ana.kind, world.ana.issuer, "ana", "", frozenset()
    )
    assert await names("ana") == []


async def test_without_the_store_nothing_is_granted(
    api: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise StoreAway("gone")

    asked = await api.post("ana", "/requests", **ASK)
    monkeypatch.setattr(type(world.store), "add_vote", away)
    said = await api.post("ben", f"/requests/{asked['id']}/votes", 503, answer="approve")
    assert said["error"] == "store_away"
    assert await world.connect(world.ana) is None


# --- one target ---------------------------------------------------------------------------------


async def test_at_most_is_the_smaller_of_the_roles_and_the_targets(api: Api) -> None:
    """dev-db allows 8h and its role too, prod-db 4h and its role 2h, prod-vault 30m and 2h."""
    shown = {one["name"]: one["at_most"] for one in await api.get("ana", "/targets")}
    assert shown == {"dev-db": 8 * 3600, "prod-db": 2 * 3600, "prod-vault": 1800}


async def test_a_target_shows_what_one_may_do_there_and_by_what(api: Api, world: World) -> None:
    before = await api.get("ana", "/targets/prod-db")
    assert (before["open_until"], before["grants"]) == (None, [])
    (offered,) = before["offers"]
    assert (offered["role"], offered["at_most"], offered["votes"]) == ("engineer", 7200, 1)
    assert offered["decidable"] is True
    assert before["masks"] == [{"column": "public.customers.email", "style": "keep-domain"}]
    grant = await world.granted(world.ana)
    after = await api.get("ana", "/targets/prod-db")
    assert [one["id"] for one in after["grants"]] == [grant]
    assert after["grants"][0]["role"] == "engineer"
    assert after["open_until"] == after["grants"][0]["not_after"]


async def test_masks_are_shown_as_they_are_for_who_asks(api: Api) -> None:
    assert len((await api.get("ana", "/targets/prod-db"))["masks"]) == 1
    assert (await api.get("cat", "/targets/prod-db"))["masks"] == []  # dba are exempt


async def test_a_target_somebody_may_not_know_of_is_like_one_that_is_not_there(api: Api) -> None:
    hidden = await api.get("sue", "/targets/prod-db", status=404)
    absent = await api.get("sue", "/targets/no-such-db", status=404)
    assert {**hidden, "message": ""} == {**absent, "message": ""}
    assert hidden["message"].replace("prod-db", "no-such-db") == absent["message"]


async def test_where_a_target_is_only_those_who_look_after_it_are_told(
    api: Api, world: World
) -> None:
    await world.granted(world.ana)
    assert (await api.get("ana", "/targets/prod-db"))["address"] is None
    assert (await api.get("ada", "/targets/prod-db"))["address"] == ["db:5432"]


async def test_a_credential_is_shown_to_nobody(api: Api, world: World) -> None:
    section = world.config.targets["prod-db"]
    credential = section.credential.model_copy(update={"user": "USER", "password": "env:SECRET"})
    world.set_target("prod-db", section.model_copy(update={"credential": credential}))
    for who in ("ana", "ada"):
        shown = str(await api.get(who, "/targets/prod-db"))
        assert "USER" not in shown
        assert "SECRET" not in shown


async def test_one_who_alone_could_decide_is_told_that_nobody_can(api: Api, world: World) -> None:
    """Ben alone is known in oncall, and votes on nothing of his own."""
    alone = Role(groups=frozenset({"oncall"}), may_request=(offer("lonely-db", ["oncall"]),))
    world.config = world.config.model_copy(update={"roles": {"alone": alone}})
    (offered,) = (await api.get("ben", "/targets/lonely-db"))["offers"]
    assert offered["decidable"] is False
