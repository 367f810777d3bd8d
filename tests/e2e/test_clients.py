"""Clients that nobody here wrote, through ``hoop connect``, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import psycopg
import pytest

from tests.e2e.world import Person

SSN = "219-09-9999"


@contextmanager
def listening(person: Person) -> Iterator[str]:
    """``hoop connect prod-db --listen``: a DSN that works while it runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hoopcli", "connect", "prod-db", "--listen"],
        env=person.world.environment(person.name),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()
        process.stdin.close()


@pytest.fixture
def dsn(ana: Person, grant: str) -> Iterator[str]:
    with listening(ana) as dsn:
        yield dsn


def test_psql_reads_and_writes_what_policy_allows(ana: Person, grant: str) -> None:
    assert ana.psql("-c", "select count(*) from orders").stdout == "5\n"
    assert ana.psql("-c", "update orders set note = note where id = 1").stdout == "UPDATE 1\n"


def test_psql_s_own_exit_status_is_hoop_s(ana: Person, grant: str) -> None:
    ana.psql("-v", "ON_ERROR_STOP=1", "-c", "select 1/0", status=1)
    ana.psql("-d", "nowhere", "-c", "select 1", status=2)


def test_psql_describes_tables_although_masks_are_on(ana: Person, grant: str) -> None:
    told = ana.hoop("connect", "prod-db", "--", "-X", "-c", r"\d customers").stdout
    assert '"customers_pkey" PRIMARY KEY, btree (id)' in told
    assert 'TABLE "orders" CONSTRAINT "orders_customer_id_fkey"' in told
    assert "customers" in ana.psql("-c", r"\dt").stdout


def test_a_refused_statement_leaves_the_session_alive_in_psql(ana: Person, grant: str) -> None:
    done = ana.psql("-c", "delete from orders", "-c", "select count(*) from orders")
    assert 'refused by rule "no-unbounded-delete"' in done.stderr
    assert done.stdout == "5\n"


def test_a_refused_statement_leaves_the_session_alive_in_psycopg(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
            connection.execute("delete from orders")
        assert "no-unbounded-delete" in str(refused.value)
        assert connection.execute("select count(*) from orders").fetchone() == (5,)


def test_a_refusal_inside_a_transaction_fails_it_like_any_error(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("update orders set status = 'lost' where id = 1")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("delete from orders")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("select 1")
        connection.rollback()
        row = connection.execute("select status from orders where id = 1").fetchone()
        assert row == ("paid",)


def test_a_refusal_inside_a_pipeline_keeps_nothing_of_the_batch(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        with (  # noqa: PT012 - the pipeline is what fails, not one statement of it
            pytest.raises(psycopg.errors.InsufficientPrivilege),
            connection.pipeline(),
        ):
            connection.execute("update orders set status = 'lost' where id = 2")
            connection.execute("delete from orders")
            connection.execute("update orders set status = 'lost' where id = 3")
        connection.rollback()
        found = connection.execute("select status from orders where id in (2, 3) order by id")
        assert found.fetchall() == [("paid",), ("refunded",)]


@pytest.mark.parametrize("binary", [False, True])
def test_psycopg_sees_masked_values_by_column_alias_or_not(dsn: str, binary: bool) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.cursor(binary=binary)
        cursor.execute("select ssn, ssn as other, email from customers where id = 1")
        assert cursor.fetchone() == ("*******9999", "*******9999", "***@example.com")


def test_expressions_over_masked_columns_are_null(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(
            "select upper(ssn), ssn || '', substr(ssn, 1, 3), md5(ssn), name, c, to_jsonb(c)"
            " from customers c where id = 1"
        ).fetchone()
    assert row == (None, None, None, None, "Ada Lindgren", None, None)


def test_error_texts_of_masked_statements_are_withheld(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InvalidTextRepresentation) as failed:
            connection.execute("select ssn::int from customers where id = 1")
        assert SSN not in str(failed.value)
        assert SSN not in str(failed.value.diag.message_detail)


def test_copy_out_of_masked_relations_is_masked(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        with connection.cursor().copy("copy customers (id, ssn) to stdout") as copy:
            assert ("1", "*******9999") in list(copy.rows())
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege, match="mask-copy-out"),
            connection.cursor().copy("copy customers to stdout (format binary)") as copy,
        ):
            copy.read()
        with connection.cursor().copy("copy (select id from orders) to stdout") as copy:
            assert b"".join(copy).count(b"\n") == 5


def test_copy_in_works_both_ways(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        with connection.cursor().copy("copy orders from stdin") as copy:
            copy.write_row((90, 1, "2026-11-21", "1.00", "new", None))
        row = connection.execute("select status from orders where id = 90").fetchone()
        assert row == ("new",)
        connection.rollback()


async def test_asyncpg_s_cached_statement_is_masked_on_every_run(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for _ in range(4):
            row = await connection.fetchrow("select ssn, name from customers where id = $1", 1)
            assert tuple(row) == ("*******9999", "Ada Lindgren")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("delete from orders")
        assert await connection.fetchval("select count(*) from orders") == 5
    finally:
        await connection.close()


async def test_asyncpg_learns_types_that_it_does_not_know(dsn: str) -> None:
    """It asks the catalog for them, and sets jit off and on around that."""
    connection = await asyncpg.connect(dsn)
    try:
        found = await connection.fetch("select o from orders o where o.id = 1")
        assert found[0]["o"]["id"] == 1
        masked = await connection.fetch("select c, name from customers c where c.id = 1")
        assert tuple(masked[0]) == (None, "Ada Lindgren")
    finally:
        await connection.close()


async def test_many_connections_share_one_hoop_connect(dsn: str) -> None:
    async def one(number: int) -> int:
        connection = await asyncpg.connect(dsn)
        try:
            found: int = await connection.fetchval("select $1::int from orders limit 1", number)
            return found
        finally:
            await connection.close()

    assert await asyncio.gather(*(one(n) for n in range(12))) == list(range(12))


def test_a_cancel_reaches_the_statement_it_is_meant_for(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        timer = threading.Timer(0.5, connection.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("select count(*) from generate_series(1, 10000000000)")
        timer.join()
        assert connection.execute("select 1").fetchone() == (1,)


def test_notices_and_notifications_arrive(dsn: str) -> None:
    heard: list[str] = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.add_notice_handler(lambda notice: heard.append(notice.severity or ""))
        connection.execute("listen door")
        connection.execute("set client_min_messages = debug1")
        connection.execute("notify door")
        (notified,) = connection.notifies(timeout=5, stop_after=1)
        assert notified.channel == "door"


def test_a_parse_relevant_setting_pipelined_in_front_hides_nothing(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set standard_conforming_strings = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(r"select '\'; delete from orders; --'")
        row = connection.execute("select count(*) from orders").fetchone()
        assert row == (5,)


def test_startup_options_that_policy_does_not_know_are_refused(dsn: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="session_replication_role"):
        psycopg.connect(dsn, options="-c session_replication_role=replica")
    with pytest.raises(psycopg.OperationalError, match="replication"):
        psycopg.connect(dsn, replication="database")


def test_the_target_sees_who_it_is(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True, application_name="report") as connection:
        row = connection.execute("show application_name").fetchone()
    assert row is not None
    # The address in it is masked for the client, like any other that a detector finds.
    assert re.fullmatch(r"hoop:\*+@shop\.example:s-[0-9a-z]{10} report", str(row[0]))
