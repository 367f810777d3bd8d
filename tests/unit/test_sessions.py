"""Sessions at the seams: opened while something ends, and while the parts around them fail."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest

from hoopagent import config
from hoopagent.clock import Clock
from hoopagent.config import Config, Credential, TargetSection, Tls
from hoopagent.connect import Place
from hoopagent.doors.login import Admitted, Caller, LoggedIn
from hoopagent.ephemeral import User
from hoopagent.lane import Lane
from hoopagent.live import Live, Prepared
from hoopagent.own import AskedInVain
from hoopagent.reader import Reader
from hoopagent.recording_keys import RecordingKeys
from hoopagent.sessions import Sessions
from hoopagent.store import Standing, Store, StoreAway, Terms
from hoopcore.model import (
    EVERYTHING,
    SECOND,
    Grant,
    GrantState,
    Kind,
    Principal,
    Priority,
    Session,
    Time,
)
from hoopcore.recording import EndCause
from hoopcore.stream import Admit, LoginRefused, Opened, Side
from tests.unit.test_relay import SETTINGS, FakeLane, FakeTransport, frame, query

ANA = Principal("p-ana", Kind.HUMAN, "https://idp", "ana", "ana@example.com", frozenset({"dba"}))
NOON: Time = 1_000_000 * SECOND


@dataclass
class FakeClock(Clock):
    now: Time = NOON

    def late(self) -> Time:
        return self.now


@dataclass
class FakeStore:
    """What ana has; a test changes it, or says what happens when it is asked."""

    principals: dict[str, Principal] = field(default_factory=lambda: {ANA.id: ANA})
    held: dict[str, Grant] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    asked: int = 0
    trouble: Exception | None = None
    meanwhile: Callable[[], object] = lambda: None  # while a session is being opened
    changes: int | None = None

    async def grants(self, **_: object) -> list[Grant]:
        self.asked += 1
        if self.trouble is not None:
            raise self.trouble
        return [grant for grant in self.held.values() if grant.state is GrantState.ACTIVE]

    async def standing(
        self, principal: str, target: str, live_at: Time, *, who: bool = False
    ) -> Standing:
        grants, until = await self.grants(), await self.identity_until(principal)
        return Standing(grants, until, self.principals.get(principal) if who else None)

    async def terms(self, ids: Sequence[str]) -> dict[str, Terms]:
        return {id: Terms("", Priority.NORMAL) for id in ids}

    async def grant(self, id: str) -> Grant | None:
        return self.held.get(id)

    async def identity_until(self, principal: str) -> Time:
        return NOON + 3600 * SECOND

    async def add_session(self, session: Session) -> None:
        self.sessions[session.id] = session
        self.meanwhile()

    async def update_session(self, session: Session) -> None:
        self.sessions[session.id] = session


@dataclass
class World:
    """One target, ana with a grant on it, and connections that are fakes."""

    folder: Path
    group: asyncio.TaskGroup
    clock: FakeClock = field(default_factory=FakeClock)
    store: FakeStore = field(default_factory=FakeStore)
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.config = Config(
            folder=self.folder,
            agent=config.Agent(held_bytes=256 << 20),
            identity=config.Identity(issuer="https://idp", client_id="hoop"),
            targets={
                "db": TargetSection(
                    address="127.0.0.1:1",
                    databases=("shop",),
                    credential=Credential(user="app"),
                    tls=Tls(mode="off"),
                )
            },
            roles={},
            rules="",
            masks="",
            version="1",
        )
        self.sessions = Sessions(
            config_now=lambda: self.config,
            store=cast(Store, self.store),
            clock=self.clock,
            random=os.urandom,
            folder=self.folder / "recordings",
            keys=RecordingKeys.open(self.folder / "keys"),
            reader=Reader(),
            version="0",
        )
        self.sessions.begin(self.group)
        self.give("g-1")

    def give(self, id: str, seconds: int = 600) -> None:
        span = NOON - SECOND, NOON + seconds * SECOND
        self.store.held[id] = Grant(id, "r-1", ANA.id, "db", EVERYTHING, *span)

    def revoke(self, id: str = "g-1") -> None:
        ended = replace(
            self.store.held[id], state=GrantState.REVOKED, ended_by="p-ben", ended_why="over"
        )
        self.store.held[id] = ended

    async def admitted(self) -> Admitted:
        return await self.sessions.admit(Caller(ANA, "db", "local", "here"), Admit("e-1", "", ""))

    async def opening(self) -> Opening:
        """A client that is admitted, and whose session is being opened in the background."""
        admitted = await self.admitted()
        client, target = FakeTransport("client", self.log), FakeTransport("target", self.log)
        opened = Opened(dict(SETTINGS), 1, b"tttt", b"cccc", "shop", "", frame(b"Z", b"I"))
        lanes = [cast(Lane, FakeLane(side)) for side in (client, target)]
        caller = Caller(ANA, "db", "local", "here")
        login = LoggedIn(caller, admitted, opened, *lanes)
        task = self.group.create_task(self.sessions.run(login))
        return Opening(self, admitted.detail, client, target, task)


@dataclass
class Opening:
    world: World
    prepared: Prepared
    client: FakeTransport
    target: FakeTransport
    task: asyncio.Task[None]

    @property
    def live(self) -> Live:
        return self.world.sessions._open[self.prepared.session]

    async def until_open(self) -> Live:
        async with asyncio.timeout(5):
            while self.target.protocol is None:  # noqa: ASYNC110 - the relay tells nobody
                await asyncio.sleep(0.01)
        return self.live

    async def until_closed(self) -> str:
        """The cause, as the store has it."""
        async with asyncio.timeout(5):
            await self.task
        return self.world.store.sessions[self.prepared.session].end_cause


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with asyncio.TaskGroup() as group:
        made = World(tmp_path, group)
        yield made
        for live in list(made.sessions._open.values()):
            assert live.relay is not None
            live.relay.lost(Side.CLIENT)


# --- opened while something ends ------------------------------------------------------------------


async def test_a_grant_revoked_while_the_session_opens_lets_nobody_in(world: World) -> None:
    world.store.meanwhile = world.revoke
    opening = await world.opening()
    assert await opening.until_closed() == "grant revoked"
    assert opening.client.written.startswith(b"E")
    assert b"Z" not in opening.client.written[:1]


@pytest.mark.parametrize(("before", "after"), [(7, 8), (None, None), (None, 7)])
async def test_what_the_store_counts_as_a_change_is_looked_at(
    world: World, before: int | None, after: int | None
) -> None:
    def revoke() -> None:
        world.revoke()
        world.store.changes = after

    world.store.changes, world.store.meanwhile = before, revoke
    opening = await world.opening()
    assert await opening.until_closed() == "grant revoked"


async def test_the_store_is_asked_once_where_nothing_has_changed(world: World) -> None:
    world.store.changes = 7
    opening = await world.opening()
    assert world.store.asked == 1
    opening.client.close()
    await opening.until_closed()


async def test_a_revocation_waits_for_a_session_that_is_just_opening(world: World) -> None:
    closed: list[asyncio.Task[list[str]]] = []

    def revoke() -> None:
        world.revoke()
        closed.append(world.group.create_task(world.sessions.close_for_grant("g-1")))

    world.store.meanwhile = revoke
    opening = await world.opening()
    assert await opening.until_closed() == "grant revoked"
    async with asyncio.timeout(5):
        await closed[0]


async def test_a_login_that_ends_while_the_agent_stops_opens_nothing(world: World) -> None:
    admitted = await world.opening()
    world.sessions.draining = True
    async with asyncio.timeout(5):
        await admitted.task
    assert b"57P03" in admitted.client.written
    assert world.store.sessions == {}


async def test_a_session_that_opens_while_the_agent_stops_is_ended_recorded(world: World) -> None:
    def stop() -> None:
        world.sessions.draining = True

    world.store.meanwhile = stop
    opening = await world.opening()
    assert await opening.until_closed() == "agent stopped"
    assert world.sessions.emptied.is_set()


async def test_a_session_has_the_groups_that_its_principal_has_now(world: World) -> None:
    world.store.principals[ANA.id] = replace(ANA, groups=frozenset({"engineering"}))
    admitted = await world.admitted()
    assert admitted.detail.principal.groups == {"engineering"}


async def test_who_is_not_known_any_more_is_not_admitted(world: World) -> None:
    world.store.principals.clear()
    with pytest.raises(LoginRefused):
        await world.admitted()


async def test_a_job_that_is_written_down_no_more_is_not_admitted(world: World) -> None:
    """Its endpoints go over to the agent that was started without it."""
    world.store.principals[ANA.id] = replace(ANA, kind=Kind.AGENT, subject="ci", owner="dba")
    with pytest.raises(LoginRefused):
        await world.admitted()
    job = config.Workload(name="ci", kind="agent", owner="dba", audience="a", claims={"sub": "ci"})
    identity = world.config.identity.model_copy(update={"workloads": (job,)})
    world.config = world.config.model_copy(update={"identity": identity})
    assert (await world.admitted()).detail.principal.subject == "ci"


async def test_who_may_open_no_more_sessions_makes_no_users_on_the_target(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor do users that could not be made use up the room."""
    few = world.config.agent.model_copy(update={"sessions_per_principal": 1})
    credential = Credential(user="maker", ephemeral=True)
    target = world.config.targets["db"].model_copy(update={"credential": credential})
    world.config = world.config.model_copy(update={"agent": few, "targets": {"db": target}})
    made = 0

    async def make(*_: object) -> User:
        nonlocal made
        made += 1
        if made == 1:
            raise AskedInVain("no")
        return User("db", f"hoop_{made}", "")

    monkeypatch.setattr(world.sessions.users, "make", make)
    with pytest.raises(LoginRefused, match="no user could be made"):
        await world.admitted()
    await world.admitted()
    for _ in range(3):
        with pytest.raises(LoginRefused, match="more are not allowed"):
            await world.admitted()
    assert made == 2


async def test_a_session_that_fails_as_it_opens_is_not_live_in_the_store(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def bound(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(world.sessions.bounds, "bound", bound)
    failed: list[type[Exception]] = []
    run = world.sessions.run

    async def contained(login: LoggedIn) -> None:
        try:
            await run(login)
        except ZeroDivisionError as problem:  # the door's border
            failed.append(type(problem))

    monkeypatch.setattr(world.sessions, "run", contained)
    opening = await world.opening()
    assert await opening.until_closed() == "internal error"
    assert failed == [ZeroDivisionError]


async def test_a_revocation_does_not_wait_for_a_session_that_another_grant_carries(
    world: World,
) -> None:
    world.give("g-2")
    await (await world.opening()).until_open()
    world.revoke("g-1")
    async with asyncio.timeout(5):
        assert await world.sessions.close_for_grant("g-1") == []


# --- the watch ------------------------------------------------------------------------------------


async def test_a_look_that_fails_ends_its_session_and_no_other_work(world: World) -> None:
    opening = await world.opening()
    await opening.until_open()
    world.store.trouble = ValueError("a row that makes no sense")
    await world.sessions.watch.look()
    assert await opening.until_closed() == "internal error"


async def test_with_the_store_away_a_session_goes_on_to_the_end_it_knows(world: World) -> None:
    opening = await world.opening()
    await opening.until_open()
    world.store.trouble = StoreAway("gone")
    await world.sessions.watch.look()
    assert opening.live.relay is not None
    assert opening.live.relay.cause is None
    world.clock.now = NOON + 600 * SECOND
    await world.sessions.watch.look()
    assert await opening.until_closed() == "grant ended"


async def test_a_store_that_is_away_is_asked_once_a_look(world: World) -> None:
    for _ in range(3):
        await (await world.opening()).until_open()
    world.store.trouble = StoreAway("gone")
    world.store.asked = 0
    await world.sessions.watch.look()
    assert world.store.asked == 1


async def test_a_store_that_never_answers_keeps_no_session_beyond_its_end(world: World) -> None:
    opening = await world.opening()
    await opening.until_open()
    world.clock.now = NOON + 600 * SECOND
    world.sessions.watch.end_overdue()  # a look may be on its way
    assert opening.live.relay is not None
    assert opening.live.relay.cause is None
    world.clock.now = NOON + 605 * SECOND
    world.sessions.watch.end_overdue()
    assert await opening.until_closed() == "grant ended"


async def test_what_fails_behind_a_sign_out_takes_nobody_else_along(world: World) -> None:
    opening = await world.opening()
    await opening.until_open()
    world.store.trouble = ValueError("a row that makes no sense")
    world.sessions.principal_left(ANA.id)
    assert await opening.until_closed() == "internal error"


async def test_a_cancel_that_fails_takes_nobody_else_along(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(place: Place, *_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("hoopagent.connect.cancel", broken)
    opening = await world.opening()
    live = await opening.until_open()
    opening.client.protocol.data_received(query(b"select pg_sleep(100)"))
    live.end("57P01", "over", EndCause.KILLED)
    opening.target.protocol.connection_lost(None)
    assert await opening.until_closed() == "killed"


async def test_sessions_whose_catalog_cannot_be_renewed_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(target: str, database: str) -> None:
        raise ZeroDivisionError

    opening = await world.opening()
    await opening.until_open()
    monkeypatch.setattr(world.sessions.bounds, "_rebind", broken)
    await world.sessions.bounds.renew("db", "shop")
    assert await opening.until_closed() == "internal error"


# --- what all of them hold ------------------------------------------------------------------------


async def test_the_largest_holder_ends_even_where_it_says_no_word_any_more(world: World) -> None:
    silent, other = await world.opening(), await world.opening()
    await silent.until_open()
    live = await other.until_open()
    silent.target.unsent = 300 << 20
    other.target.unsent = 1 << 20
    assert not world.sessions._over_budget(live)
    assert await silent.until_closed() == "held too much"
    assert live.relay is not None
    assert live.relay.cause is None
