"""Imposed settings against a client that wants to be rid of them, through the whole agent.

Each trick is tried on PostgreSQL 18 and 15, as a Query and in the extended protocol; what counts is
not the answer but what the server says the settings are behind it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from hoopcore.protocols.postgres import wire
from tests.bypass.world import Doorway
from tests.e2e.targets import Targets, granted
from tests.e2e.world import Person
from tests.wire.sequences import SYNC, bind, execute

TRICKS = {
    "set": "set statement_timeout = 0",
    "set-odd-case": 'SET SESSION "statement_timeout" TO 0',
    "set-longer": "set statement_timeout = '1h'",
    "set-local": "begin; set local statement_timeout = 0",
    "set-default": "set statement_timeout to default",
    "reset": "reset statement_timeout",
    "reset-all": "reset all",
    "discard-all": "discard all",
    "set-config": "select set_config('statement_timeout', '0', false)",
    "set-config-built": "select set_config('statement_' || 'timeout', '0', false)",
    "set-config-cte": "with x as (select set_config('statement_timeout','0',false)) table x",
    "update-pg-settings": "update pg_settings set setting = '0' where name = 'statement_timeout'",
    "view-of-pg-settings": "create temp view v as select * from pg_settings",
    "comment-inside": "set/**/statement_timeout/* = 1 */= 0",
    "unicode-escape": "select set_config(U&'statement\\005ftimeout', '0', false)",
    "second-of-two": "select 1; set statement_timeout = 0",
    "idle": "set idle_in_transaction_session_timeout = 0",
    "alter-role": "alter role current_user set statement_timeout = 0",
    "alter-database": "alter database rooms set default_transaction_read_only = off",
    "alter-system": "alter system set statement_timeout = 0",
    "begin-read-write": "begin read write",
    "start-read-write": "start transaction isolation level serializable, read write",
    "set-transaction": "begin; set transaction read write",
    "set-transaction-variable": "begin; set transaction_read_only = off",
    "reset-transaction-variable": "begin; reset transaction_read_only",
    "session-characteristics": "set session characteristics as transaction read write",
    "default-read-only": "set default_transaction_read_only = off",
    "function-with-set": (
        "create function pg_temp.f() returns int language sql set statement_timeout = 0"
        " as 'select 1'"
    ),
    "do": "do $$ begin set statement_timeout = 0; end $$",
    "do-dynamic": "do $$ begin execute 'set statement_' || 'timeout = 0'; end $$",
    "call": "call pg_temp.p()",
    "function-of-the-database": "select public.turns()",
    "prepare": "prepare p as select set_config('statement_timeout', '0', false)",
    "execute": "execute p",
    "explain-analyze": "explain analyze select set_config('statement_timeout', '0', false)",
    "session-authorization": "set session authorization default",
    "do-that-commits": "do $$ begin commit; update public.orders set id = id; end $$",
    "do-with-a-loop": "do $$ begin for i in 1..2 loop rollback; set transaction read write; "
    "end loop; end $$",
    "chain": "begin; commit and chain",
    "load": "load 'auto_explain'",
    "commit-and-go-on": "begin; commit; set transaction read write",
}


def settings_of(client: psycopg.Connection[Any]) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = client.execute(
        "select current_setting('statement_timeout')::interval <= '30s'"
        " and current_setting('statement_timeout') <> '0',"
        " current_setting('idle_in_transaction_session_timeout')::interval <= '60s'"
        " and current_setting('idle_in_transaction_session_timeout') <> '0',"
        " current_setting('default_transaction_read_only'),"
        " current_setting('transaction_read_only')"
    ).fetchone()
    assert row is not None
    return row


def tried(client: psycopg.Connection[Any], text: str, *, extended: bool) -> None:
    """The trick, and whatever comes of it."""
    raw = client.pgconn
    for one in text.split("; ") if extended and "$$" not in text else [text]:
        if extended:
            raw.exec_params(one.encode(), None)
        else:
            raw.exec_(one.encode())
    assert not client.closed


def writes(client: psycopg.Connection[Any], table: str) -> bool:
    """Whether this session can write."""
    with contextlib.suppress(psycopg.errors.ReadOnlySqlTransaction):
        client.execute(f"update {table} set id = id where id = 1")
        return True
    return False


@pytest.fixture(scope="module", params=["kept-18", "kept-15"])
def kept(request: pytest.FixtureRequest, guest: Person) -> Iterator[Doorway]:
    granted(guest, request.param)
    doorway = Doorway(guest, request.param)
    yield doorway
    doorway.close()


@pytest.fixture(scope="module")
def client(kept: Doorway) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(kept.dsn, autocommit=True, prepare_threshold=None) as connection:
        yield connection


def play(client: psycopg.Connection[Any], trick: str, *, extended: bool) -> bool:
    """Plays the trick; whether it has left a transaction open."""
    tried(client, TRICKS[trick], extended=extended)
    return client.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS


EACH_TRICK = pytest.mark.parametrize("trick", TRICKS)
BOTH_WAYS = pytest.mark.parametrize("extended", [False, True], ids=["simple", "extended"])


@BOTH_WAYS
@EACH_TRICK
def test_no_trick_undoes_an_imposed_setting(
    client: psycopg.Connection[Any], trick: str, extended: bool
) -> None:
    if play(client, trick, extended=extended):
        assert settings_of(client)[2:] == ("on", "on")
    client.pgconn.exec_(b"rollback")
    assert settings_of(client) == (True, True, "on", "on")
    assert not writes(client, "app.orders")


@pytest.mark.parametrize(
    "options",
    ["-c statement_timeout=0", "-cstatement_timeout=1h", "--statement-timeout=0",
     "-c default_transaction_read_only=off", "-c Default_Transaction_Read_Only=no",
     "-c idle_in_transaction_session_timeout=0", "-c statement_timeout=nonsense"],
)  # fmt: skip
def test_the_startup_packet_cannot_bring_a_weaker_one(kept: Doorway, options: str) -> None:
    with psycopg.connect(kept.dsn, autocommit=True, options=options) as client:
        assert settings_of(client) == (True, True, "on", "on")


def test_a_stricter_wish_is_kept_and_holds(kept: Doorway) -> None:
    options = "-c statement_timeout=300"
    with psycopg.connect(kept.dsn, autocommit=True, options=options) as client:
        assert client.execute("show statement_timeout").fetchone() == ("300ms",)
        client.execute("set statement_timeout = '20s'")
        client.execute("discard all")
        assert client.execute("show statement_timeout").fetchone() == ("300ms",)
        with pytest.raises(psycopg.errors.QueryCanceled):
            client.execute("select count(*) from generate_series(1, 1000000000)")


def test_what_a_role_has_set_does_not_win(kept: Doorway, targets: Targets) -> None:
    for server in (targets.server("kept-18"), targets.server("kept-15")):
        server.psql("alter role gate set statement_timeout = 0")
    try:
        with psycopg.connect(kept.dsn, autocommit=True) as client:
            assert settings_of(client) == (True, True, "on", "on")
    finally:
        for server in (targets.server("kept-18"), targets.server("kept-15")):
            server.psql("alter role gate reset statement_timeout")


# --- behind a pooler ------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["kept-pool", "kept-pool-15"])
def pool(request: pytest.FixtureRequest, guest: Person) -> Iterator[Doorway]:
    granted(guest, request.param)
    doorway = Doorway(guest, request.param)
    yield doorway
    doorway.close()


@pytest.fixture
def pooled(pool: Doorway) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(pool.dsn, autocommit=True, prepare_threshold=None) as connection:
        yield connection


NOW = (
    "select current_setting('statement_timeout'), current_setting('transaction_read_only'),"
    " current_setting('idle_in_transaction_session_timeout')"
)
KEPT = ("30s", "on", "1min")


def test_a_statement_outside_a_transaction_has_them_behind_a_pooler(
    pooled: psycopg.Connection[Any],
) -> None:
    assert pooled.execute(NOW).fetchone() == KEPT
    assert pooled.execute(NOW + ", %s::int", (7,)).fetchone() == (*KEPT, 7)
    assert pooled.pgconn.exec_(b"select 1; " + NOW.encode()).get_value(0, 1) == b"on"
    assert pooled.pgconn.exec_(b"").status == psycopg.pq.ExecStatus.EMPTY_QUERY
    assert pooled.pgconn.exec_(b" ; ").status == psycopg.pq.ExecStatus.EMPTY_QUERY
    assert not writes(pooled, "public.orders")


@pytest.mark.parametrize(
    "begin", ["begin", "begin isolation level serializable", "start transaction read only"]
)
@pytest.mark.parametrize("extended", [False, True], ids=["simple", "extended"])
def test_a_transaction_has_them_behind_a_pooler_to_its_end(
    pooled: psycopg.Connection[Any], begin: str, extended: bool
) -> None:
    tried(pooled, begin, extended=extended)
    assert pooled.execute(NOW).fetchone() == KEPT
    pooled.execute("set local statement_timeout = '7s'")
    assert pooled.execute(NOW).fetchone() == ("7s", *KEPT[1:])
    assert pooled.execute("show transaction_isolation").fetchone() == (
        ("serializable" if "serial" in begin else "read committed"),
    )
    tried(pooled, "commit", extended=extended)
    assert pooled.execute(NOW).fetchone() == KEPT


@BOTH_WAYS
@EACH_TRICK
def test_no_trick_undoes_them_behind_a_pooler(
    pooled: psycopg.Connection[Any], trick: str, extended: bool
) -> None:
    if play(pooled, trick, extended=extended):
        assert pooled.execute(NOW).fetchone() == KEPT
        assert not writes(pooled, "public.orders")
    pooled.pgconn.exec_(b"rollback")
    assert pooled.execute(NOW).fetchone() == KEPT
    assert not writes(pooled, "public.orders")


def parse(text: str) -> bytes:
    return wire.parse(b"", text.encode())


RUN = bind(b"", b"") + execute(b"")


def rows_of(messages: list[tuple[int, bytes]]) -> list[bytes]:
    return [body for kind, body in messages if kind == wire.DATA_ROW]


def test_one_batch_of_many_transactions_has_them_in_each(pool: Doorway) -> None:
    """As a JDBC driver does: BEGIN and the first statement in one batch, and what follows too."""
    show = parse("select current_setting('transaction_read_only')") + RUN
    batch = b"".join((
        show, parse("begin") + RUN, show, show, parse("commit") + RUN, show,
        parse("begin") + RUN, show, parse("rollback") + RUN, show, SYNC,
    ))  # fmt: skip
    with pool.connect() as raw:
        raw.send(batch + show + SYNC)
        messages = raw.until(wire.READY, 2)
    assert [row[-2:] for row in rows_of(messages)] == [b"on"] * 7
    kinds = [kind for kind, _ in messages]
    assert kinds.count(wire.PARSE_COMPLETE) == kinds.count(wire.BIND_COMPLETE) == 11
    assert kinds.count(wire.COMMAND_COMPLETE) == 11
    assert wire.NOTICE not in kinds
    assert wire.ERROR not in kinds


def test_a_write_behind_a_commit_in_one_batch_is_refused_by_the_server(pool: Doorway) -> None:
    write = parse("update public.orders set id = id where id = 1") + RUN
    for before in ("commit", "rollback", "begin", "savepoint a", "select 1"):
        with pool.connect() as raw:
            raw.send(parse(before) + RUN + write + SYNC)
            codes = [body for kind, body in raw.until(wire.READY) if kind == wire.ERROR]
            assert len(codes) == 1, before
            assert b"C25006" in codes[0] or b"C25P01" in codes[0], before


def test_an_error_is_where_the_client_wrote_it(pooled: psycopg.Connection[Any]) -> None:
    for text, parameters in (("select 1 + nowhere", None), ("select %s + nowhere", (1,))):
        with pytest.raises(psycopg.errors.UndefinedColumn) as raised:
            pooled.execute(text, parameters)
        assert raised.value.diag.statement_position == str(12 + bool(parameters))


def test_copy_and_pipelines_work_with_them(pooled: psycopg.Connection[Any]) -> None:
    with pooled.cursor().copy("copy (select id from public.orders) to stdout") as copy:
        assert len(list(copy.rows())) >= 1
    with pooled.pipeline() as pipeline:
        first = pooled.execute(NOW)
        pipeline.sync()
        second = pooled.execute(NOW)
        assert first.fetchone() == second.fetchone() == KEPT
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), pooled.transaction():
        pooled.execute("delete from public.orders where id = 1")


def test_what_follows_a_commit_in_one_query_is_refused(pooled: psycopg.Connection[Any]) -> None:
    for text in ("begin; commit; select 1", "rollback; select 1"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="imposed-setting"):
            pooled.execute(text)
    pooled.execute("begin; select 1; commit")


def test_nothing_of_it_stays_with_the_servers_connection(
    pooled: psycopg.Connection[Any], targets: Targets
) -> None:
    """Another client of the pooler has its own settings, on the same connections."""
    word = (targets.folder / "agent" / "shop_app.18.password").read_text()
    dsn = f"host=127.0.0.1 port={targets.pool} user=shop_app password={word} dbname=shop"
    assert pooled.execute(NOW).fetchone() == KEPT
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as other:
        for _ in range(4):
            assert other.execute("show statement_timeout").fetchone() == ("0",)
