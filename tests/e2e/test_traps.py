"""Traps that were found on real servers before this was written, through the whole agent.

Each mark *(run)* of the design has a named test on a real server.  Those about the wire alone are
in ``tests/wire`` (``test_stream_traps.py``, ``test_sql_oracle.py``, ``test_sql_functions.py``,
``test_reader.py``, ``test_recorder.py``); the ones that want the whole agent are here.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import psycopg
import pytest

from hoopcli.demo.world import World
from tests.e2e.test_clients import dsn as dsn
from tests.e2e.world import Person

ROWS = 60_000


@pytest.fixture(scope="module")
def superuser(world: World) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Around hoop, as who runs the database."""
    assert world.postgres is not None
    connection = psycopg.connect(world.postgres.dsn("shop"), autocommit=True)
    yield connection
    connection.close()


def test_a_slow_client_never_sees_an_unmasked_byte(
    dsn: str, superuser: psycopg.Connection[tuple[object, ...]]
) -> None:
    # uvloop keeps a reference to what it was given while the client is slow: a buffer that is
    # used again would send what has not been masked yet.
    superuser.execute(
        "insert into customers select n, 'bulk', 'bulk' || n || '@example.com',"
        f" 'SECRET-VALUE-' || lpad(n::text, 8, '0'), repeat('x', 60)"
        f" from generate_series(1000, {1000 + ROWS}) n"
    )
    try:
        client = psycopg.connect(dsn, autocommit=True)
        with client, socket.socket(fileno=socket.dup(client.fileno())) as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.setblocking(True)
            text = b"select ssn, ssn, ssn from customers where id >= 1000\0"
            raw.sendall(b"Q" + (len(text) + 4).to_bytes(4, "big") + text)
            seen = bytearray()
            while not seen.endswith(b"Z\0\0\0\5I"):
                part = raw.recv(65536)
                assert part
                seen += part
                if len(seen) < 400_000:
                    time.sleep(0.002)  # slow enough to fill every buffer on the way
    finally:
        superuser.execute("delete from customers where id >= 1000")
    assert len(seen) > 3 * 25 * ROWS
    assert b"SECRET" not in seen
    assert b"VALUE" not in seen
    assert seen.count(b"*" * 17) >= 3 * ROWS


def test_the_target_s_log_shows_only_our_text_for_a_refused_statement(
    ana: Person, grant: str, world: World
) -> None:
    assert world.postgres is not None
    ana.psql("-c", "delete from orders /* not for the log */", status=None)
    log = world.postgres.log.read_text(errors="replace")
    assert "hoop refused no-unbounded-delete session s-" in log
    assert "not for the log" not in log


def test_a_text_that_defeats_the_parser_is_refused_and_the_session_lives(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for text in (
            "select " + "||".join(["'a'"] * 13_000),
            "select " + "(" * 30_000 + "1" + ")" * 30_000,
            "select " + "1" + "+1" * 60,
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="unreadable"):
                connection.execute(text.encode())
            assert connection.execute("select 1").fetchone() == (1,)


def test_an_insert_of_sixteen_megabytes_stalls_nobody(dsn: str) -> None:
    huge = "insert into orders values " + ",".join(["(1, 1, '2026-01-01', 1, 'x', 'y')"] * 500_000)
    with psycopg.connect(dsn, autocommit=True) as one, psycopg.connect(dsn, autocommit=True) as two:
        one.pgconn.send_query(huge.encode())
        assert two.execute("select 1").fetchone() == (1,)
        refused = _last(one)
        assert refused.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"42501"
        assert one.execute("select count(*) from orders").fetchone() == (5,)


def _last(connection: psycopg.Connection[tuple[object, ...]]) -> psycopg.pq.abc.PGresult:
    found = None
    while result := connection.pgconn.get_result():
        found = result
    assert found is not None
    return found


def test_an_immutable_function_that_would_run_at_bind_is_a_call(
    dsn: str, superuser: psycopg.Connection[tuple[object, ...]]
) -> None:
    superuser.execute("create table if not exists public.witness (at timestamptz)")
    superuser.execute(
        "create or replace function public.sneaky(int) returns int language plpgsql immutable as"
        " $$ begin insert into public.witness values (now()); return $1; end $$"
    )
    try:
        with (
            psycopg.connect(dsn, autocommit=True) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            # A masked relation beside it: what the function is given could be kept anywhere.
            connection.execute("select sneaky(1), ssn from customers where id = %s", (1,))
        assert superuser.execute("select count(*) from witness").fetchone() == (0,)
    finally:
        superuser.execute("drop function public.sneaky(int)")
        superuser.execute("drop table public.witness")


def test_a_function_that_reads_relations_not_in_the_text_is_covered(dsn: str) -> None:
    # This PostgreSQL has no XML, so it fails; the text of that is withheld like any other.
    with (
        psycopg.connect(dsn, autocommit=True) as connection,
        pytest.raises(psycopg.errors.FeatureNotSupported, match="withheld"),
    ):
        connection.execute("select table_to_xml('customers', true, false, '')")
