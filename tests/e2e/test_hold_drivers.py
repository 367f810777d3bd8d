"""Held statements in drivers: simple, extended and pipelined; nothing of a batch goes before."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import psycopg
import pytest

from tests.e2e.holds import PATIENCE, Holding, until, waiting
from tests.e2e.test_clients import listening
from tests.e2e.test_ssh_lane import forwarded
from tests.e2e.world import Person


@pytest.fixture(scope="module")
def dsn(asker: Person) -> Iterator[str]:
    with listening(asker) as dsn:
        yield dsn


@pytest.fixture
def connection(dsn: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


@contextmanager
def meanwhile(decide: Callable[[], None]) -> Iterator[None]:
    """Runs this in a thread beside; what fails there fails here."""
    problems: list[BaseException] = []

    def run() -> None:
        try:
            decide()
        except BaseException as problem:  # noqa: BLE001 - for the test's own thread
            problems.append(problem)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join(PATIENCE)
        if problems:
            raise problems[0]


def deciding(
    decider: Person, answer: str, look: Callable[[Any], None] = lambda hold: None, times: int = 1
) -> Callable[[], None]:
    """Waits for a held statement, looks at it, and answers; as often as is said."""

    def decide() -> None:
        for _ in range(times):
            hold = waiting(decider)[0]
            try:
                look(hold)
            finally:
                decider.hoop(answer, hold["id"], "--reason", "a test")

    return decide


def locks(holding: Holding, *relations: str) -> int:
    """How many locks sessions have on these, past every gate."""
    names = ", ".join(f"'{name}'::regclass" for name in relations)
    found = holding.direct(f"select count(*) from pg_locks where relation in ({names})")
    return int(found[0][0])


def left(holding: Holding, table: str, id: int) -> int:
    return int(holding.direct(f"select count(*) from {table} where id = {id}")[0][0])


def test_parameters_are_part_of_what_is_approved(
    holding: Holding, decider: Person, connection: psycopg.Connection[Any]
) -> None:
    shown: list[Any] = []
    for id in (13, 14):
        with meanwhile(deciding(decider, "approve", shown.append)):
            done = connection.execute("delete from notes where id = %s", (id,), prepare=True)
        assert done.rowcount == 1
    assert [one["held"]["text"] for one in shown] == ["delete from notes where id = $1"] * 2
    values = [one["held"]["parameters"] for one in shown]
    assert values in ([["13"], ["14"]], [["\\x000d"], ["\\x000e"]])


def test_nothing_of_a_batch_goes_before_what_is_held_in_it(
    holding: Holding, decider: Person, connection: psycopg.Connection[Any]
) -> None:
    def look(hold: Any) -> None:
        assert locks(holding, "notes", "drafts") == 0
        assert left(holding, "drafts", 100) == 0

    with (  # noqa: PT012 - the pipeline is what fails, not one statement of it
        meanwhile(deciding(decider, "deny", look)),
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="said no"),
        connection.pipeline(),
    ):
        connection.execute("insert into drafts values (100)")
        connection.execute("delete from notes where id = %s", (15,))
        connection.execute("select 1")
    assert left(holding, "drafts", 100) == 0
    assert left(holding, "notes", 15) == 1
    assert connection.execute("select 1").fetchone() == (1,)


def test_an_approved_pipeline_runs_in_order(
    holding: Holding, decider: Person, connection: psycopg.Connection[Any]
) -> None:
    with meanwhile(deciding(decider, "approve", times=2)), connection.pipeline():
        first = connection.execute("insert into drafts values (101)")
        second = connection.execute("delete from notes where id = %s", (16,))
        third = connection.execute("delete from notes where id = %s", (17,))
        fourth = connection.execute("select count(*) from notes where id in (16, 17)")
    assert [one.rowcount for one in (first, second, third)] == [1, 1, 1]
    assert fourth.fetchone() == (0,)


def test_a_held_statement_inside_a_transaction_of_psycopg(
    holding: Holding, decider: Person, dsn: str
) -> None:
    with psycopg.connect(dsn) as connection:
        notices: list[str] = []
        connection.add_notice_handler(lambda said: notices.append(said.message_primary or ""))
        connection.execute("insert into drafts values (102)")
        with meanwhile(deciding(decider, "approve")):
            connection.execute("delete from notes where id = 18")
        assert connection.info.transaction_status is psycopg.pq.TransactionStatus.INTRANS
        connection.rollback()
        assert 'held by rule "four-eyes"' in notices[0]
    assert left(holding, "notes", 18) == 1


def test_a_denied_statement_is_an_ordinary_error_in_a_simple_query(
    holding: Holding, decider: Person, connection: psycopg.Connection[Any]
) -> None:
    cursor = psycopg.ClientCursor(connection)
    with (
        meanwhile(deciding(decider, "deny")),
        pytest.raises(psycopg.errors.InsufficientPrivilege) as denied,
    ):
        cursor.execute("delete from notes where id = %s; select 1", (18,))
    assert denied.value.diag.message_hint
    assert connection.execute("select 1").fetchone() == (1,)


def test_asyncpg_is_held_at_each_run_of_what_it_has_prepared(
    holding: Holding, decider: Person, dsn: str
) -> None:
    async def play() -> tuple[str, str]:
        connection = await asyncpg.connect(dsn)
        try:
            runs = []
            for id in (19, 20):
                async with asyncio.TaskGroup() as group:
                    group.create_task(asyncio.to_thread(deciding(decider, "approve")))
                    runs.append(await connection.execute("delete from notes where id = $1", id))
            return runs[0], runs[1]
        finally:
            await connection.close()

    assert asyncio.run(play()) == ("DELETE 1", "DELETE 1")


def test_asyncpg_s_own_time_limit_withdraws_what_is_held(
    holding: Holding, decider: Person, dsn: str
) -> None:
    async def play() -> Any:
        connection = await asyncpg.connect(dsn)
        try:
            with pytest.raises(asyncio.TimeoutError):
                await connection.execute("delete from notes where id = $1", 18, timeout=1)
            return await connection.fetchval("select 7")
        finally:
            await connection.close()

    assert asyncio.run(play()) == 7
    until(lambda: not [one for one in decider.json("requests", "--to-decide") if one["held"]])
    assert left(holding, "notes", 18) == 1


def test_a_cancel_of_psycopg_is_the_error_that_it_expects(
    decider: Person, connection: psycopg.Connection[Any]
) -> None:
    def cancel(_: Any) -> None:
        connection.cancel_safe()

    def when_held() -> None:
        cancel(waiting(decider)[0])

    with meanwhile(when_held), pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute("delete from notes where id = %s", (18,))
    assert connection.execute("select 1").fetchone() == (1,)


def test_a_batch_that_is_too_large_to_wait_is_refused_and_says_so(
    holding: Holding, connection: psycopg.Connection[Any]
) -> None:
    with (  # noqa: PT012 - the pipeline is what fails, not one statement of it
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="send it by itself"),
        connection.pipeline(),
    ):
        for _ in range(400):
            connection.execute("select %s::text", ("x" * 4096,))
        connection.execute("delete from notes where id = %s", (18,))
    assert connection.execute("select 1").fetchone() == (1,)


def test_who_sends_on_while_something_is_held_waits_in_order(
    holding: Holding, decider: Person, dsn: str
) -> None:
    raw = psycopg.pq.PGconn.connect(dsn.encode())
    raw.enter_pipeline_mode()
    raw.send_query_params(b"delete from notes where id = $1", [b"18"])
    raw.pipeline_sync()
    for _ in range(40):  # 640 KiB: more than the agent reads on for
        raw.send_query_params(b"select length($1)", [b"x" * 16384])
        raw.pipeline_sync()
        raw.flush()
    deciding(decider, "approve", lambda hold: None)()
    raw.nonblocking = 0
    tags: list[bytes] = []

    def drain() -> bool:
        raw.flush()
        while True:
            result = raw.get_result()
            if result is None:
                return False
            if result.command_status:
                tags.append(result.command_status)
            if result.status == psycopg.pq.ExecStatus.PIPELINE_SYNC:
                return len(tags) == 41

    until(drain)
    raw.finish()
    assert tags == [b"DELETE 1", *[b"SELECT 1"] * 40]


def test_what_is_held_by_the_ssh_door_is_cancelled_and_approved_there(
    holding: Holding, asker: Person, decider: Person
) -> None:
    with forwarded(asker, "prod-db") as port:
        dsn = f"host=127.0.0.1 port={port} dbname=shop user={asker.name} sslmode=disable"
        with psycopg.connect(dsn, autocommit=True) as connection:
            one = connection.pgconn
            one.send_query(b"delete from notes where id = 21 returning id")
            waiting(decider)
            one.get_cancel().cancel()
            result = one.get_result()
            assert result is not None
            assert result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"57014"
            assert one.get_result() is None
            with meanwhile(deciding(decider, "approve")):
                found = connection.execute("delete from notes where id = 21 returning id")
                assert found.fetchone() == (21,)
    assert holding.direct("select count(*) from notes where id = 21") == [(0,)]
