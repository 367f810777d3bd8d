"""Who may see which session, read its recording and end it; and that all of it is on the trail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from hoopagent.api import keeping, sessions
from hoopagent.api.context import Agent, install
from hoopagent.errors import Refused
from hoopagent.recorder import Recorder
from hoopagent.recording_keys import RecordingKeys
from hoopagent.store import Store, StoreAway, Token
from hoopagent.store.sql import open_store
from hoopcore.model import AuditEvent, Principal, Session
from hoopcore.recording import EndCause, Header, Said, verify_file
from tests.store.world import CONFIG, HOUR, START, principal

ANA = replace(principal("ana", "engineering"), id="p-0000000ana")
ADA = replace(principal("ada", "admin"), id="p-0000000ada")
OWEN = replace(principal("owen", "owners"), id="p-000000owen")  # of prod-db
SUE = replace(principal("sue", "sales"), id="p-0000000sue")


@dataclass(slots=True)
class Doors:
    """The tokens are names; what is live is in a set."""

    live: set[str] = field(default_factory=set)
    killed: list[tuple[str, str, str]] = field(default_factory=list)

    async def authenticate(self, token: str, uid: int | None) -> Principal:
        for one in (ANA, ADA, OWEN, SUE):
            if one.subject == token:
                return one
        raise Refused(401, "not_signed_in", "you are not signed in")

    async def logout(self, token: str) -> None:
        raise AssertionError

    async def status(self, token: str) -> Token:
        raise AssertionError("nobody asks for it here")

    async def kill(self, session: str, actor: str, reason: str) -> bool:
        self.killed.append((session, actor, reason))
        return session in self.live

    async def close_for_grant(self, grant: str) -> list[str]:
        raise AssertionError


class Deaf:
    """A store that can be read, and takes no audit."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def audit(self, event: AuditEvent) -> None:
        raise StoreAway("no")


@dataclass(slots=True)
class Api:
    agent: Agent
    doors: Doors
    keys: RecordingKeys
    client: httpx.AsyncClient

    async def get(self, who: Principal, path: str, **params: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {who.subject}"}
        return await self.client.get(f"/v1/sessions{path}", params=params, headers=headers)

    async def ids(self, who: Principal, **params: str) -> list[str]:
        return [one["id"] for one in (await self.get(who, "", **params)).json()]

    async def kill(self, who: Principal, id: str, reason: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {who.subject}"}
        body = {"reason": reason}
        return await self.client.post(f"/v1/sessions/{id}/kill", json=body, headers=headers)

    async def trail(self) -> list[tuple[str, str, str]]:
        events = await self.agent.store.audit_events()
        return [(one.actor, one.action, one.subject) for one in events]

    async def add(self, id: str, who: Principal, target: str, age: int, live: bool) -> None:
        """A session of so many hours ago with one statement and one refusal in it."""
        started = START - age * HOUR * 1_000_000
        header = Header(session=id, principal=who.id, target=target)
        recorder = await Recorder.create(self.agent.recordings, header, self.keys)
        recorder.append(Said(seq=1, text="select 1"), Said(seq=2, verdict="refuse"))
        session = Session(id, who.id, target, "shop", "local", "psql", (), started)
        if not live:
            await recorder.close(EndCause.CLIENT_LEFT)
            session = replace(
                session, ended=started + 1, end_cause="client left", head=recorder.head
            )
        else:
            self.doors.live.add(id)
        await self.agent.store.add_session(session)
        await self.agent.store.update_session(session)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    store = await open_store(f"sqlite:///{tmp_path / 'store'}", START)
    for one in (ANA, ADA, OWEN, SUE):
        await store.put_principal(one, START)
    doors = Doors()
    keys = RecordingKeys.open(tmp_path / "keys")
    agent = Agent(
        store=store,
        identity=doors,
        live=doors,
        clock=lambda: START,
        random=lambda n: b"r" * n,
        recordings=tmp_path / "recordings",
        recording_key=keys.public,
        version="0",
        config_now=lambda: CONFIG,
    )
    app = FastAPI()
    install(app, agent)
    app.include_router(sessions.router(agent))
    app.include_router(keeping.router(agent))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://agent") as client:
        api = Api(agent, doors, keys, client)
        await api.add("s-000000000b", ANA, "prod-db", 2, live=False)
        await api.add("s-000000000c", ANA, "dev-db", 1, live=True)
        await api.add("s-000000000d", OWEN, "dev-db", 3, live=False)
        yield api
    await store.close()


async def test_ones_own_are_visible_and_those_of_others_to_admins_and_owners(api: Api) -> None:
    assert await api.ids(ANA) == ["s-000000000c", "s-000000000b"]
    assert await api.ids(ADA) == ["s-000000000c", "s-000000000b", "s-000000000d"]
    assert await api.ids(OWEN) == ["s-000000000b", "s-000000000d"]
    assert await api.ids(SUE) == []
    assert await api.ids(ADA, mine="1") == []


async def test_what_may_not_be_seen_is_not_there(api: Api) -> None:
    for who, id in ((SUE, "s-000000000b"), (OWEN, "s-000000000c"), (ADA, "s-999999999z")):
        for path in (f"/{id}", f"/{id}/recording"):
            answer = await api.get(who, path)
            assert answer.status_code == 404
            assert answer.json()["error"] == "no_session"
        assert (await api.kill(who, id, "why")).status_code == 404
    assert api.doors.killed == []
    assert (SUE.id, "session.read.refused", "s-000000000b") in await api.trail()


async def test_nobody_sees_anything_without_signing_in(api: Api) -> None:
    for path in ("", "/s-000000000b", "/s-000000000b/recording"):
        assert (await api.client.get(f"/v1/sessions{path}")).status_code == 401


async def test_the_list_is_narrowed_as_asked(api: Api) -> None:
    assert await api.ids(ADA, live="1") == ["s-000000000c"]
    assert await api.ids(ADA, target="prod-db") == ["s-000000000b"]
    assert await api.ids(ADA, principal=OWEN.name) == ["s-000000000d"]
    assert await api.ids(ADA, principal=OWEN.id) == ["s-000000000d"]
    assert await api.ids(ADA, limit="1") == ["s-000000000c"]
    assert await api.ids(ADA, since="2027-01-15T06:30:00Z") == ["s-000000000c"]
    for bad in ("yesterday", "2027-01-15T06:30:00"):
        assert (await api.get(ADA, "", since=bad)).status_code == 422


async def test_a_running_session_tells_what_it_came_to_so_far(api: Api) -> None:
    told = (await api.get(ANA, "/s-000000000c")).json()
    assert (told["statements"], told["refused"], told["ended"]) == (2, 1, None)
    assert told["principal"] == {"id": ANA.id, "name": "ana@test"}


async def test_reading_a_recording_gives_the_file_and_is_audited(api: Api) -> None:
    answer = await api.get(OWEN, "/s-000000000b/recording")
    assert answer.status_code == 200
    head = (await api.get(OWEN, "/s-000000000b")).json()["head"]
    assert verify_file([answer.content], api.keys.public, head=head).ok
    assert (OWEN.id, "recording.read", "s-000000000b") in await api.trail()


async def test_a_recording_is_not_read_where_that_cannot_be_audited(api: Api) -> None:
    api.agent.store = Deaf(api.agent.store)  # type: ignore[assignment] # all but one method
    assert (await api.get(ANA, "/s-000000000b/recording")).status_code == 503
    assert (await api.kill(ANA, "s-000000000c", "why")).status_code == 503
    assert api.doors.killed == []


async def test_a_recording_that_is_gone_is_said_to_be(api: Api) -> None:
    for path in api.agent.recordings.rglob("s-000000000b*"):
        path.unlink()
    answer = await api.get(ANA, "/s-000000000b/recording")
    assert (answer.status_code, answer.json()["error"]) == (404, "no_recording")


@pytest.mark.parametrize("id", ["..%2f..%2fetc", "s-000000000b%00", "S-000000000B", "x"])
async def test_an_id_that_is_none_is_no_path(api: Api, id: str) -> None:
    assert (await api.get(ADA, f"/{id}/recording")).status_code in (404, 422)


async def test_killing_needs_a_reason_and_is_audited(api: Api) -> None:
    assert (await api.kill(ADA, "s-000000000c", "  ")).status_code == 422
    assert (await api.kill(ADA, "s-000000000c", "a\x1bb")).status_code == 422
    assert api.doors.killed == []
    assert (await api.kill(ADA, "s-000000000c", "it holds a lock")).status_code == 200
    assert api.doors.killed == [("s-000000000c", ADA.id, "it holds a lock")]
    assert (ADA.id, "session.killed", "s-000000000c") in await api.trail()


async def test_a_session_that_has_ended_is_not_killed_again(api: Api) -> None:
    answer = await api.kill(ANA, "s-000000000b", "why")
    assert (answer.status_code, answer.json()["error"]) == (409, "ended")
    assert api.doors.killed == []


async def test_a_recording_whose_time_was_up_is_said_to_be_deleted_and_cannot_be_held(
    api: Api,
) -> None:
    event = AuditEvent(START, "system", "recording.deleted", "s-000000000b")
    assert await api.agent.store.begin_deletion("s-000000000b", event)
    answer = await api.get(ANA, "/s-000000000b/recording")
    assert (answer.status_code, answer.json()["error"]) == (410, "deleted")
    assert (await api.get(ANA, "/s-000000000b")).json()["kept"] == "deleting"
    for who, status in ((ADA, 410), (ANA, 403), (SUE, 403)):
        headers = {"Authorization": f"Bearer {who.subject}"}
        held = await api.client.post(
            "/v1/sessions/s-000000000b/hold", json={"reason": "case 7"}, headers=headers
        )
        assert held.status_code == status
    assert (ANA.id, "recording.held.refused", "s-000000000b") in await api.trail()
