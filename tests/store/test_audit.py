"""The audit on both stores: one chain, whoever writes; append-only; signed, followed, asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from hoopagent.audit import Audit, Wish
from hoopagent.audit_follow import Following, NotNow
from hoopagent.audit_heads import FILE, Heads
from hoopagent.config import Role
from hoopagent.ends import Ends
from hoopagent.errors import Refused
from hoopagent.recording_keys import RecordingKeys
from hoopagent.store import AuditQuery, StoreAway
from hoopagent.store.audit import log
from hoopagent.store.database import Database, postgres_engine, sqlite_engine
from hoopagent.store.sql import APPLICATION, SqlStore
from hoopcore.audit import Chain, Fault, Row
from hoopcore.model import SECOND, AuditEvent
from tests.store.conftest import opened
from tests.store.world import HOUR, START, World


async def everything(store: SqlStore) -> list[Row]:
    return await store.audit_rows(AuditQuery(), 100_000)


async def verified(store: SqlStore) -> Fault | None:
    chain = Chain(await store.audit_heads())
    for row in await everything(store):
        chain.take(row)
    return chain.end(await store.audit_tail())


def said(number: int) -> AuditEvent:
    return AuditEvent(START + number, "p-ana", "test.said", f"x{number}", {"n": str(number)})


async def do(store: SqlStore, *statements: str) -> None:
    async with store._database.engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))


# --- one chain ------------------------------------------------------------------------------------


async def test_agents_that_write_at_once_make_one_chain(store: SqlStore, url: str) -> None:
    other = await opened(url)
    try:
        await asyncio.gather(*(one.audit(said(n)) for n, one in enumerate([store, other] * 20)))
    finally:
        await other.close()
    rows = await everything(store)
    assert [row.seq for row in rows] == list(range(1, 41))
    assert await verified(store) is None


async def test_a_whole_life_is_one_chain(world: World) -> None:
    grant = await world.granted(world.ana)
    await world.grants.revoke(world.ada, grant, "the incident is over")
    with pytest.raises(Refused):
        await world.approve(world.sue, (await world.ask(world.ana))["id"])
    world.wait(30 * HOUR)
    await world.look()
    assert isinstance(world.store, SqlStore)
    assert await verified(world.store) is None
    assert len(await everything(world.store)) > 5


async def test_rows_are_never_changed_or_removed_by_the_program(store: SqlStore) -> None:
    await store.audit(said(1))
    for statement in (
        "UPDATE audit SET actor = 'x'",
        "DELETE FROM audit",
        "UPDATE audit_heads SET hash = 'x'",
        "DELETE FROM audit_heads",
    ):
        if "heads" in statement:
            await do(store, "INSERT INTO audit_heads VALUES (1, 'k', 'h', 1, 's')") if not (
                await store.audit_heads()
            ) else None
        with pytest.raises((DBAPIError, IntegrityError), match="only added to"):
            await do(store, statement)
    assert await verified(store) is not None  # the head above is a lie, and is found


async def unlock(store: SqlStore) -> None:
    """As somebody with the database's own password would."""
    if store._database.engine.dialect.name == "postgresql":
        await do(
            store,
            "ALTER TABLE audit DISABLE TRIGGER audit_append_only",
            "ALTER TABLE audit_heads DISABLE TRIGGER audit_heads_append_only",
        )
    else:
        names = ("audit_no_update", "audit_no_delete", "audit_heads_no_delete")
        await do(store, *(f"DROP TRIGGER {name}" for name in names))


async def test_what_was_done_behind_the_program_s_back_is_found(store: SqlStore) -> None:
    for number in range(6):
        await store.audit(said(number))
    await unlock(store)
    await do(store, 'UPDATE audit SET detail = \'{"n": "9"}\' WHERE seq = 4')
    found = await verified(store)
    assert found is not None
    assert found.seq == 4
    await do(store, "DELETE FROM audit WHERE seq >= 4")
    found = await verified(store)
    assert found is not None
    assert "cut" in found.why


async def made_at(url: str, revision: str, *statements: str) -> None:
    """A store as that step of the migrations left it, with rows of its time."""
    sqlite = url.startswith("sqlite")
    engine = sqlite_engine(Path(url.removeprefix("sqlite:///"))) if sqlite else postgres_engine(url)
    database = Database(engine)

    def steps(connection: Connection) -> None:
        with as_file(files("hoopagent.store") / "migrations") as folder:
            config = AlembicConfig()
            config.set_main_option("script_location", str(folder))
            config.attributes["connection"] = connection
            command.upgrade(config, revision)

    async def work(connection: AsyncConnection) -> None:
        await connection.run_sync(steps)
        for statement in statements:
            await connection.exec_driver_sql(statement)

    await database.write(work)
    if sqlite:
        await database.outside(f"PRAGMA application_id = {APPLICATION}")
    await database.close()


async def test_rows_of_before_the_chain_are_chained_by_the_migration(url: str) -> None:
    await made_at(  # with a gap in the numbers, as PostgreSQL leaves them
        url,
        "0005",
        "INSERT INTO audit (seq, at, actor, action, subject, detail) VALUES "
        "(1, 1, 'a', 'b.c', 'd', '{}'), (3, 2, 'é', 'b.c', 'd', '{\"reason\": \"ü\"}')",
    )
    store = await opened(url)
    try:
        await store.audit(said(1))
        rows = await everything(store)
        assert [row.seq for row in rows] == [1, 3, 4]
        assert rows[1].event.detail == {"reason": "ü"}
        assert await verified(store) is None
        with pytest.raises((DBAPIError, IntegrityError), match="only added to"):
            await do(store, "UPDATE audit SET actor = 'x'")
    finally:
        await store.close()


# --- what cannot be written is not done -----------------------------------------------------------


async def asked(world: World) -> str:
    return str((await world.ask(world.ana))["id"])


async def suspended(world: World) -> str:
    grant = await world.granted(world.ana)
    await Ends(world.means, world.grants).suspend(world.ada, grant, "look")
    return grant


Done = Callable[[World, str], Awaitable[object]]

ACTIONS: dict[str, tuple[Callable[[World], Awaitable[str]], Done]] = {
    "ask": (asked, lambda w, _: w.ask(w.ana, "dev-db", scope="public.orders:read")),
    "approve": (asked, lambda w, id: w.approve(w.ben, id)),
    "deny": (asked, lambda w, id: w.deny(w.ben, id)),
    "cancel": (asked, lambda w, id: w.requests.cancel(w.ana, id)),
    "revoke": (lambda w: w.granted(w.ana), lambda w, id: w.grants.revoke(w.ada, id, "over")),
    "relinquish": (lambda w: w.granted(w.ana), lambda w, id: w.grants.relinquish(w.ana, id)),
    "suspend": (
        lambda w: w.granted(w.ana),
        lambda w, id: Ends(w.means, w.grants).suspend(w.ada, id, "look"),
    ),
    "resume": (suspended, lambda w, id: Ends(w.means, w.grants).resume(w.ada, id)),
    "leave": (
        lambda w: w.granted(w.ana),
        lambda w, _: Ends(w.means, w.grants).leave("operator", "p-ana", "left", "operator"),
    ),
    "expire": (lambda w: w.granted(w.ana), lambda w, _: w.store.expire(START + 99 * HOUR * SECOND)),
}


@pytest.mark.parametrize("action", ACTIONS)
async def test_what_cannot_be_put_on_the_audit_is_not_done(world: World, action: str) -> None:
    before, act = ACTIONS[action]
    id = await before(world)
    assert isinstance(world.store, SqlStore)
    await do(world.store, "ALTER TABLE audit RENAME TO audit_away")
    try:
        state = await _state(world)
        with pytest.raises(StoreAway):
            await act(world, id)
        assert await _state(world) == state
    finally:
        await do(world.store, "ALTER TABLE audit_away RENAME TO audit")
    await act(world, id)
    assert await _state(world) != state
    assert await verified(world.store) is None


async def _state(world: World) -> object:
    requests = await world.store.requests()
    votes = await world.store.votes_on([request.id for request in requests])
    return requests, votes, await world.store.grants()


async def test_a_chain_without_its_tail_writes_nothing(store: SqlStore) -> None:
    await do(store, "DELETE FROM audit_tail")
    with pytest.raises(StoreAway):
        await store.audit(said(1))
    assert await everything(store) == []


# --- heads ----------------------------------------------------------------------------------------


@pytest.fixture
def heads(store: SqlStore, tmp_path: Path) -> Heads:
    keys = RecordingKeys.open(tmp_path / "keys")
    return Heads(store, tmp_path, keys, lambda: START)


async def test_a_signed_head_is_kept_in_the_store_and_beside_it(
    store: SqlStore, heads: Heads, tmp_path: Path
) -> None:
    await heads.write()
    assert await store.audit_heads() == []  # nothing to sign
    await store.audit(said(1))
    await heads.write()
    await heads.write()
    assert await store.audit_heads() == [heads.last()]
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert await verified(store) is None
    assert await heads.fault() is None


async def test_a_tail_that_was_cut_in_the_store_is_found_by_the_agent_s_own_head(
    store: SqlStore, heads: Heads
) -> None:
    for number in range(4):
        await store.audit(said(number))
    rows = await everything(store)
    await heads.write()
    await unlock(store)
    await do(
        store,
        "DELETE FROM audit WHERE seq > 2",
        "DELETE FROM audit_heads",
        f"UPDATE audit_tail SET seq = 2, hash = '{rows[1].hash}'",
    )
    assert await verified(store) is None  # the store alone knows of nothing
    assert "not there any more" in str(await heads.fault())
    await store.audit(said(9))
    await store.audit(said(9))
    assert "another one" in str(await heads.fault())
    await heads.write()
    last = heads.last()
    assert last is not None
    assert last.hash == rows[-1].hash  # nothing is signed over what was found


# --- asking ---------------------------------------------------------------------------------------


def reading(world: World) -> Audit:
    return Audit(world.means)


def auditor(world: World) -> None:
    roles = world.config.roles | {"auditor": Role(groups=frozenset({"sales"}), audit=True)}
    world.config = world.config.model_copy(update={"roles": roles})


async def test_an_auditor_sees_all_and_others_what_is_about_them(world: World) -> None:
    auditor(world)
    grant = await world.granted(world.ana)
    await world.grants.revoke(world.ada, grant, "over")
    seen = await reading(world).listed(world.sue, Wish(AuditQuery()))
    assert seen["whole"] is True
    assert {row["actor"] for row in seen["rows"]} >= {"p-ana", "p-ben", "p-ada"}
    assert seen["names"]["p-ana"] == "ana@test"
    mine = await reading(world).listed(world.ben, Wish(AuditQuery()))
    assert mine["whole"] is False
    assert {row["actor"] for row in mine["rows"]} == {"p-ben"}
    hers = await reading(world).listed(world.ana, Wish(AuditQuery(action="grant.made")))
    assert [row["subject"] for row in hers["rows"]] == [grant]  # what was made for her
    with pytest.raises(Refused, match="auditors"):
        await reading(world).signed(world.ben)


async def test_reading_the_audit_is_on_the_audit(world: World) -> None:
    auditor(world)
    await reading(world).listed(world.sue, Wish(AuditQuery(action="grant"), "ana@test"))
    await reading(world).signed(world.sue)
    events = await world.audited()
    assert [event.action for event in events[:2]] == ["audit.verified", "audit.read"]
    assert events[1].detail["capacity"] == "auditor"
    assert events[1].detail["by"] == "ana@test"


async def test_rows_are_found_by_who_what_when_and_where(world: World) -> None:
    auditor(world)
    await world.granted(world.ana)
    world.wait(60)
    middle = world.time
    await world.granted(world.ana, "dev-db")
    audit = reading(world)

    async def found(actor: str = "", **query: object) -> list[str]:
        wish = Wish(replace(AuditQuery(), **query), actor)  # type: ignore[arg-type] # by name
        rows = (await audit.listed(world.sue, wish))["rows"]
        return [row["action"] for row in rows if row["action"] != "audit.read"]

    assert await found("BEN@test") == ["vote.cast"]
    assert await found("p-ben") == ["vote.cast"]
    assert await found("nobody@test") == []
    assert await found(action="vote") == ["vote.cast"]
    assert await found(action="grant.*") == ["grant.made", "grant.made"]
    assert await found(action="gr") == []
    assert "grant.made" in await found(target="dev-db")
    assert "vote.cast" not in await found(target="dev-db")
    assert "vote.cast" not in await found(since=middle)
    assert "vote.cast" in await found(until=middle)
    assert await found(after=1, to=2) == [(await found())[1]]


# --- who follows ----------------------------------------------------------------------------------


@dataclass
class Listener:
    """Somebody who is told, and is away when ``away`` says why."""

    name: str = "test"
    away: str = ""
    never: bool = False

    def __post_init__(self) -> None:
        self.heard: list[str] = []

    async def tell(self, rows: Sequence[Row]) -> int:
        if self.away:
            raise NotNow(self.away, never=self.never)
        self.heard += [row.event.subject for row in rows]
        return len(rows)


async def test_a_follower_hears_each_row_once_in_order_whoever_tells(
    store: SqlStore, url: str
) -> None:
    other = await opened(url)
    listener = Listener()
    try:
        await store.audit(said(0))
        agents = [
            Following(one, listener, name, lambda: START)
            for one, name in ((store, "a"), (other, "b"))
        ]
        for agent in agents:
            await agent.step()  # who is new hears of what comes from now on
        for number in range(1, 9):
            await (store if number % 2 else other).audit(said(number))
            for agent in agents:
                assert await agent.step()
    finally:
        await other.close()
    assert listener.heard == [f"x{number}" for number in range(1, 9)]


async def test_a_follower_that_was_away_hears_it_all_afterwards(store: SqlStore) -> None:
    listener, now = Listener(), START
    following = Following(store, listener, "a", lambda: now)
    await following.step()
    listener.away = "the socket is closed"
    await store.audit(said(1))
    assert not await following.step()
    (told,) = await store.followers()
    assert (told.problem, told.since) == ("the socket is closed", START)
    await store.audit(said(2))
    # Another agent on the same store, once the first one has gone without a word.
    now += 60 * SECOND
    listener.away = ""
    later = Following(store, listener, "b", lambda: now)
    assert await later.step()
    assert listener.heard == ["x1", "x2"]
    (told,) = await store.followers()
    assert (told.problem, told.lost) == ("", 0)


async def test_what_is_too_old_is_given_up_and_counted(store: SqlStore) -> None:
    listener, now = Listener(away="no"), START
    following = Following(store, listener, "a", lambda: now, lambda at: at - 60 * SECOND)
    await following.step()
    await store.audit(said(1))
    assert not await following.step()
    now += 3600 * SECOND
    await store.audit(AuditEvent(now, "p-ana", "test.said", "new"))
    listener.away = ""
    assert await following.step()
    assert listener.heard == ["new"]
    assert (await store.followers())[0].lost == 1


async def test_pages_of_what_is_too_old_are_all_passed_over(store: SqlStore) -> None:
    listener, now = Listener(), START
    following = Following(store, listener, "a", lambda: now, lambda at: at - 60 * SECOND)
    await following.step()
    async with store._database.engine.begin() as connection:
        await log(connection, *(said(n % 9) for n in range(450)))
    now += 3600 * SECOND
    await store.audit(AuditEvent(now, "p-ana", "test.said", "new"))
    for _ in range(5):
        assert await following.step()
    assert listener.heard == ["new"]
    assert (await store.followers())[0].lost == 450


async def test_one_message_that_nobody_takes_does_not_stop_the_others(store: SqlStore) -> None:
    listener = Listener()
    following = Following(store, listener, "a", lambda: START)
    await following.step()
    await store.audit(said(1))
    listener.away, listener.never = "answered 400", True
    assert await following.step()
    listener.away = ""
    await store.audit(said(2))
    assert await following.step()
    assert listener.heard == ["x2"]
    assert (await store.followers())[0].lost == 1
