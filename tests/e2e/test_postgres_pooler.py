"""A target behind pgbouncer 1.18 in transaction mode, through the whole agent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import asyncpg
import psycopg
import pytest

from tests.bypass.world import Doorway
from tests.e2e.holds import waiting
from tests.e2e.targets import Targets, granted
from tests.e2e.world import Person


@pytest.fixture(scope="module")
def door(guest: Person) -> Iterator[Doorway]:
    granted(guest, "pool-db")
    doorway = Doorway(guest, "pool-db")
    yield doorway
    doorway.close()


@pytest.fixture
def client(door: Doorway) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(door.dsn, autocommit=True, prepare_threshold=None) as connection:
        yield connection


def refused(client: psycopg.Connection[Any], text: str) -> str:
    """The message and hint of a refusal; the session goes on."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as raised:
        client.execute(text)
    assert client.execute("select 1").fetchone() == (1,)
    return f"{raised.value.diag.message_primary} {raised.value.diag.message_hint}"


def test_statements_run_on_both_protocols_through_a_pooler(door: Doorway) -> None:
    with psycopg.connect(door.dsn, autocommit=True, prepare_threshold=None) as client:
        assert client.execute("select count(*) from public.orders").fetchone() == (5,)
        found = client.execute("select id from public.orders where id = %s", (3,))
        assert found.fetchone() == (3,)
        with client.transaction():
            client.execute("set local statement_timeout = '7s'")
            assert client.execute("show statement_timeout").fetchone() == ("7s",)
        assert client.execute("show statement_timeout").fetchone() == ("0",)
        simple = client.pgconn.exec_(b"select 1; select 2")
        assert simple.get_value(0, 0) == b"2"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("set work_mem = '1MB'", "SET LOCAL"),
        ("reset all", "SET LOCAL"),
        ("select set_config('work_mem', '1MB', false)", "SET LOCAL"),
        ("create temp table t (a int)", "ON COMMIT DROP"),
        ("select 1 as a into temp t", "ON COMMIT DROP"),
        ("create function pg_temp.f() returns int language sql as 'select 1'", "ON COMMIT DROP"),
        ("prepare p as select 1", "the driver's own"),
        ("execute p", "the driver's own"),
        ("deallocate all", "the driver's own"),
        ("listen news", "without a pooler"),
        ("select pg_advisory_lock(1)", "pg_advisory_xact_lock"),
        ("declare c cursor with hold for select 1", "without WITH HOLD"),
        ("discard all", "SET LOCAL"),
        ("set role postgres", "SET LOCAL"),
    ],
)
def test_what_would_stay_with_the_servers_connection_is_refused_by_name(
    client: psycopg.Connection[Any], text: str, hint: str
) -> None:
    said = refused(client, text)
    assert 'refused by rule "pooler"' in said
    assert hint in said


def test_what_ends_with_its_transaction_is_not_refused(client: psycopg.Connection[Any]) -> None:
    with client.transaction():
        client.execute("create temp table gone (a int) on commit drop")
        client.execute("select pg_advisory_xact_lock(7)")
        client.execute("declare c cursor for select id from public.orders")
        assert client.execute("fetch 1 from c").fetchone() is not None
        client.execute("notify news")


def test_a_named_statement_is_refused_with_what_to_turn_off(door: Doorway) -> None:
    with psycopg.connect(door.dsn, autocommit=True, prepare_threshold=0) as client:
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as raised:
            client.execute("select %s::int", (1,))
        assert "prepare_threshold=None" in str(raised.value.diag.message_hint)


def test_an_unnamed_statement_of_an_earlier_batch_is_not_run(door: Doorway) -> None:
    """On the server's connection it may be another client's by then."""
    with psycopg.connect(door.dsn, autocommit=True) as client:
        raw = client.pgconn
        raw.prepare(b"", b"select 1")
        done = raw.exec_prepared(b"", [])
        assert b'refused by rule "pooler"' in done.error_message
        raw.exec_(b"begin")
        raw.prepare(b"", b"select 1")
        assert raw.exec_prepared(b"", []).get_value(0, 0) == b"1"
        raw.exec_(b"commit")


def test_asyncpg_works_with_its_cache_off(door: Doorway) -> None:
    async def run() -> Any:
        connection = await asyncpg.connect(
            host=door.host, port=5432, user=door.user, database=door.database,
            statement_cache_size=0,
        )  # fmt: skip
        async with connection.transaction():
            found = await connection.fetchval("select count(*) from public.orders where id > $1", 0)
        await connection.close(timeout=5)
        return found

    assert asyncio.run(run()) == 5


def test_a_refusal_by_substitution_goes_through_a_pooler_in_transaction_mode(
    client: psycopg.Connection[Any], targets: Targets
) -> None:
    """The text that cannot parse reaches the server, and its error comes back as ours."""
    for _ in range(3):
        assert "pooler" in refused(client, "listen news")
    with client.transaction():
        client.execute("select 1")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            client.execute("set work_mem = '1MB'")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            client.execute("select 1")
        raise psycopg.Rollback
    with client.pipeline() as pipeline:
        first = client.execute("select 1")
        pipeline.sync()
        assert first.fetchone() == (1,)
    assert client.execute("select 2").fetchone() == (2,)
    log = targets.server("pool-db").log.read_text(errors="replace")
    assert "hoop refused pooler session" in log
    assert "listen news" not in log


def test_what_is_held_keeps_no_connection_of_the_pooler_busy(
    door: Doorway, client: psycopg.Connection[Any], targets: Targets
) -> None:
    """Two server connections for five clients that wait, and others go on meanwhile."""
    other = Person(targets, "ben")
    other.sign_in()
    waiters = [psycopg.connect(door.dsn, autocommit=True) for _ in range(5)]
    try:
        for number, one in enumerate(waiters):
            one.pgconn.send_query(b"delete from public.orders where id = %d" % -number)
        found = waiting(other, len(waiters))
        assert client.execute("select count(*) from public.orders").fetchone() == (5,)
        other.hoop("deny", found[0]["id"], "--reason", "not this one")
        for hold in found[1:]:
            other.hoop("approve", hold["id"], "--reason", "agreed")
        results = [one.pgconn.get_result() for one in waiters]
        tags = sorted(r.command_status or b"" for r in results if r is not None)
        assert tags == [b"", *[b"DELETE 0"] * 4]
    finally:
        for one in waiters:
            one.close()


def test_a_cancel_goes_through_the_pooler(client: psycopg.Connection[Any]) -> None:
    import threading

    timer = threading.Timer(0.3, client.cancel_safe)
    timer.start()
    with pytest.raises(psycopg.errors.QueryCanceled):
        client.execute("select pg_sleep(20)")
    timer.join()


# --- masks ----------------------------------------------------------------------------------------


def test_masks_hold_through_a_pooler(client: psycopg.Connection[Any]) -> None:
    [(ssn,)] = client.execute("select ssn from public.customers where id = 1").fetchall()
    assert ssn == "*******9999"
    assert client.execute("select upper(ssn) from public.customers").fetchone() == (None,)


def test_another_clients_temporary_table_shows_nothing(
    client: psycopg.Connection[Any], targets: Targets
) -> None:
    """It is a client of the pooler who does not come through hoop, on the same connection."""
    word = (targets.folder / "agent" / "shop_app.18.password").read_text()
    dsn = f"host=127.0.0.1 port={targets.pool} user=shop_app password={word} dbname=shop"
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as other:
        other.execute("create temp table orders as select 1 as id, ssn as note from customers")
        other.execute("create schema if not exists shadow")
        other.execute("create table shadow.orders as select ssn as note from public.customers")
        try:
            for text in ("select note from orders", "select upper(note) from orders"):
                assert set(client.execute(text)) <= {(None,)}
            other.execute("drop table pg_temp.orders")
            other.execute("set search_path = shadow, public")
            assert set(client.execute("select upper(note) from orders")) <= {(None,)}
        finally:
            other.execute("reset search_path")
            other.execute("drop schema shadow cascade")
    assert client.execute("select count(*) from public.orders").fetchone() == (5,)


# --- the startup packet ---------------------------------------------------------------------------


def test_a_startup_option_that_the_pooler_would_not_keep_is_refused(door: Doorway) -> None:
    with pytest.raises(psycopg.OperationalError, match="cannot be kept by the pooler"):
        psycopg.connect(door.dsn, options="-c search_path=public")
    with psycopg.connect(door.dsn, client_encoding="UTF8", options="-c timezone=UTC") as client:
        assert client.execute("show timezone").fetchone() == ("UTC",)
