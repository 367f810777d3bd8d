"""The lists of harmless functions, operators and types against the catalogs of real servers."""

from __future__ import annotations

import re
import subprocess

import psycopg
import pytest

from hoopcli.demo.postgres import Postgres
from hoopcore.sql import functions as known
from hoopcore.sql.functions import words
from hoopcore.sql.postgres import read
from hoopcore.statement import Effect

# VOLATILE, and harmless all the same: each was looked at.
_VOLATILE = words(
    """
    array_sample array_shuffle clock_timestamp current_query gen_random_uuid pg_blocking_pids
    pg_collation_actual_version pg_current_wal_flush_lsn pg_current_wal_insert_lsn
    pg_current_wal_lsn pg_database_collation_actual_version pg_database_size pg_indexes_size
    pg_get_wal_replay_pause_state pg_is_in_recovery pg_is_wal_replay_paused
    pg_jit_available pg_last_wal_receive_lsn pg_last_wal_replay_lsn
    pg_last_xact_replay_timestamp pg_notification_queue_usage pg_partition_ancestors
    pg_partition_tree pg_relation_size pg_sequence_last_value pg_sleep pg_sleep_for
    pg_sleep_until pg_table_size pg_tablespace_size pg_total_relation_size
    pg_xact_commit_timestamp pg_xact_status random random_normal timeofday txid_status uuidv4
    uuidv7
    """
)


def query(server: Postgres, text: str) -> set[str]:
    return set(server.psql(text).split("\n")) - {""}


@pytest.fixture(scope="module", params=["postgres", "postgres15"])
def server(request: pytest.FixtureRequest) -> Postgres:
    chosen: Postgres = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture(scope="module")
def shop(postgres: Postgres) -> str:
    """A database of our own."""
    postgres.psql("create database sql_functions")
    postgres.psql(
        "create table shop (id serial primary key, name text unique, t tsvector);"
        "create view shop_view as select * from shop;"
        "create function shop_f() returns int language sql as 'select 1';"
        "create table written (a int);"
        "create function writes() returns int volatile language sql"
        " as 'insert into written values (1) returning a';"
        "create function wraps() returns int stable language plpgsql"
        " as 'begin return writes(); end';",
        database="sql_functions",
    )
    return "sql_functions"


_OURS = "pronamespace = 'pg_catalog'::regnamespace"


def test_every_harmless_function_is_postgresql_s_own(
    postgres: Postgres, postgres15: Postgres
) -> None:
    names = f"select distinct proname from pg_proc where {_OURS}"
    assert known.HARMLESS - (query(postgres, names) | query(postgres15, names)) == set()


def test_volatile_function_is_harmless_only_where_it_was_looked_at(server: Postgres) -> None:
    volatile = query(
        server, f"select proname from pg_proc where {_OURS} and provolatile = 'v' and prokind = 'f'"
    )
    assert volatile & known.HARMLESS <= _VOLATILE


def test_no_harmless_function_takes_a_query_or_makes_code_run(server: Postgres) -> None:
    internal = query(
        server,
        f"select proname from pg_proc where {_OURS} and prorettype in ('trigger'::regtype,"
        " 'event_trigger'::regtype, 'language_handler'::regtype, 'fdw_handler'::regtype)",
    )
    assert internal & known.HARMLESS == set()


def test_operators_and_types_are_those_of_the_server(server: Postgres) -> None:
    operators = query(
        server,
        "select oprname from pg_operator where oprnamespace = 'pg_catalog'::regnamespace",
    )
    assert operators == known.OPERATORS
    types = query(
        server,
        "select typname from pg_type where typnamespace = 'pg_catalog'::regnamespace"
        " and typtype in ('b', 'p', 'r', 'm')",
    )
    assert known.TYPES - types == set()


def test_every_function_that_a_field_may_call_is_a_trap_or_harmless(server: Postgres) -> None:
    callable_by_field = query(
        server,
        f"select distinct proname from pg_proc where {_OURS} and provolatile in ('v', 's')"
        " and prokind = 'f' and pronargs >= 1 and pronargs - pronargdefaults <= 1"
        " and not proargtypes::oid[] && array['internal'::regtype, 'cstring'::regtype]::oid[]"
        " and proname !~ '(send|out)$'",  # they give the form of a value, and do nothing
    )
    free = {n for n in callable_by_field - known.HARMLESS if not known.is_field_trap(n)}
    assert free == set()


def test_field_of_a_function_in_from_really_is_a_call(server: Postgres) -> None:
    text = "select t.pg_read_file from unnest(array['PG_VERSION'::text]) t"
    assert server.psql(text).strip() in ("15", "18")
    assert Effect.CALL in read(text.encode()).effects


# What psql sends for its commands, which everybody types.
_COMMANDS = r"""
\d
\d+ shop
\d+ shop_id_seq
\d shop_view
\di+
\dv+
\df
\df+ lower
\dn+
\dt+ *.*
\du+
\l+
\dT+
\dx
\dp
\ddp
\dD
\dS pg_class
\sf shop_f
\sv shop_view
\drds
\dRp+
\des+
\dc
\dC
\do +
\dy
\dF+
\dP+
\dX
\dO
\dconfig
"""


def test_what_psql_asks_for_its_commands_is_no_call(postgres: Postgres, shop: str) -> None:
    program = postgres.install / "bin" / "psql"
    where = f"-h {postgres.socket_dir} -p {postgres.port} -U postgres -d {shop}"
    done = subprocess.run(
        [str(program), "-XE", *where.split(" ")],
        input=_COMMANDS,
        capture_output=True,
        text=True,
        check=True,
    )
    queries = re.findall(r"^/\*+ QUERY \*+/\n(.*?)\n/\*+/$", done.stdout, re.S | re.M)
    assert len(queries) > 40
    calls = {
        name
        for text in queries
        for statement in read(text.encode()).statements
        if statement.effects != {Effect.READ}
        for name in statement.functions or {"unknown"}
    }
    assert calls == set()


def test_stable_wrapper_of_a_volatile_function_writes_and_is_a_call(
    postgres: Postgres, shop: str
) -> None:
    text = "select wraps()"
    with psycopg.connect(postgres.dsn(shop), autocommit=True) as connection:
        connection.execute(text)
        (count,) = connection.execute("select count(*) from written").fetchone() or (0,)
    assert count == 1
    assert read(text.encode()).effects == {Effect.READ, Effect.CALL}
