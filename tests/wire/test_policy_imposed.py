"""Imposed settings on real servers: whatever a client may say, they stay what they are or stricter.

The oracle is the server: the settings it has behind each statement, and what a new transaction of
the session may do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hoopcli.demo.postgres import Postgres
from hoopcore.sql.imposed import Imposed, as_options, for_startup, for_transaction, undoing
from hoopcore.sql.postgres import read

IMPOSED = Imposed(30_000, 60_000, read_only=True)
PIECES = (
    *("set {scope} statement_timeout = {time}", "set {scope} statement_timeout to default"),
    *("set {scope} idle_in_transaction_session_timeout to {time}", "reset statement_timeout"),
    *("select set_config('statement_timeout', {text}, {flag})", "reset all", "discard all"),
    *("set {scope} default_transaction_read_only = {flag}", "reset default_transaction_read_only"),
    *("set {scope} transaction_read_only = {flag}", "reset transaction_read_only"),
    *("set {scope} transaction_read_only to default", "begin", "begin {mode}", "commit"),
    *("start transaction isolation level serializable, {mode}", "set transaction {mode}"),
    *("set session characteristics as transaction {mode}", "rollback", "commit and chain"),
    *("rollback and chain", "savepoint a", "rollback to a", "release a", "select 1"),
    *("select set_config('transaction_read_only', {text}, {flag})", "show transaction_read_only"),
    *("do $$ begin set statement_timeout = 0; end $$", "set session authorization default"),
    *("alter role current_user set statement_timeout = 0", "set role none", "reset role"),
    *("alter database postgres set default_transaction_read_only = off", "discard plans"),
    "reset session authorization",
    *("create table t (a int)", "create temp table t (a int)"),
)
WORDS = {
    "scope": ("", "session", "local"),
    "time": ("0", "'0'", "5000", "'29s'", "'30s'", "'31s'", "'1min'", "'10us'", "'0.5s'", "-1"),
    "text": ("'0'", "'off'", "'1s'", "'on'", "''"),
    "flag": ("true", "false"),
    "mode": ("read write", "read only", "not deferrable"),
}


@st.composite
def statements(draw: st.DrawFn) -> str:
    piece = draw(st.sampled_from(PIECES))
    return piece.format(**{name: draw(st.sampled_from(words)) for name, words in WORDS.items()})


@pytest.fixture(scope="module", params=["postgres", "postgres15"])
def server(request: pytest.FixtureRequest) -> Postgres:
    chosen: Postgres = request.getfixturevalue(request.param)
    return chosen


def connected(server: Postgres, options: str = "") -> psycopg.Connection:
    """Prepares nothing by itself, since DISCARD ALL takes it away."""
    return psycopg.connect(server.dsn(), autocommit=True, options=options, prepare_threshold=None)


@pytest.fixture
def session(server: Postgres) -> Iterator[psycopg.Connection]:
    options = as_options(for_startup(IMPOSED, {}))
    with connected(server, options) as connection:
        yield connection


def run(session: psycopg.Connection, text: str) -> None:
    try:
        session.execute(text)
    except psycopg.Error:
        assert not session.closed


def in_force(session: psycopg.Connection) -> tuple[int, int, str, str]:
    """The settings as they are now, in milliseconds, and in a transaction whether it writes."""
    row = session.execute(
        "select max(setting::int) filter (where name = 'statement_timeout'),"
        " max(setting::int) filter (where name = 'idle_in_transaction_session_timeout'),"
        " current_setting('default_transaction_read_only'),"
        " current_setting('transaction_read_only') from pg_catalog.pg_settings"
        " where name in ('statement_timeout', 'idle_in_transaction_session_timeout')"
    ).fetchone()
    assert row is not None
    return row


def check(session: psycopg.Connection) -> None:
    if session.info.transaction_status == psycopg.pq.TransactionStatus.INERROR:
        return
    statement, idle, default, now = in_force(session)
    assert 0 < statement <= IMPOSED.statement_timeout
    assert 0 < idle <= IMPOSED.idle_timeout
    assert (default, now) == ("on", "on")


@settings(
    max_examples=1500 if os.environ.get("HOOP_LONG") else 60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(statements(), max_size=8))
def test_nothing_that_passes_leaves_a_weaker_setting(
    session: psycopg.Connection, texts: list[str]
) -> None:
    run(session, "rollback")
    run(session, "discard all")
    check(session)
    for text in texts:
        reading = read(text.encode())
        if any(undoing(one, IMPOSED) for one in reading.statements):
            continue
        run(session, text)
        check(session)


@pytest.mark.parametrize(
    "text",
    [
        "set statement_timeout = 0",
        "select set_config('statement_timeout', '0', false)",
        "set default_transaction_read_only = off",
        "set session characteristics as transaction read write",
        "begin read write",
        "do $$ begin perform set_config('statement_timeout', '0', false); end $$",
    ],
)
def test_what_is_refused_would_really_undo_them(session: psycopg.Connection, text: str) -> None:
    assert all(undoing(one, IMPOSED) for one in read(text.encode()).statements)
    run(session, text)
    statement, _, default, now = in_force(session)
    assert statement == 0 or "off" in (default, now)


def test_role_and_database_do_not_win_over_the_startup_packet(server: Postgres) -> None:
    server.psql("alter role all set statement_timeout = 0; alter role all set lock_timeout = 77")
    try:
        options = as_options(for_startup(IMPOSED, {"statement_timeout": "7s"}))
        with connected(server, options) as session:
            assert in_force(session)[0] == 7000
            session.execute("discard all")
            assert in_force(session)[0] == 7000
            assert session.execute("show lock_timeout").fetchone() == ("77ms",)
    finally:
        server.psql("alter role all reset all")


def test_a_transaction_behind_a_pooler_has_them_until_its_end(server: Postgres) -> None:
    with connected(server) as session:
        session.execute("begin")
        session.execute("; ".join(for_transaction(IMPOSED)))
        assert in_force(session) == (30_000, 60_000, "off", "on")
        session.execute("savepoint a")
        run(session, "rollback to a")
        assert in_force(session)[0] == 30_000
        session.execute("commit and chain")
        assert in_force(session)[0] == 0  # so a chain is refused there
        session.execute("rollback")
