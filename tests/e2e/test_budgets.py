"""Budgets of a grant, through the whole agent: what is counted, and what then happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import asyncpg
import psycopg
import pytest

from hoopcore.protocols.postgres import wire
from tests.bypass.raw import Gone
from tests.bypass.world import Doorway, eventually
from tests.e2e.targets import Targets, granted
from tests.e2e.world import Person
from tests.wire.sequences import SYNC, bind, execute

NUMBERS = "select n from generate_series(1, {}) n"


@contextmanager
def opened(guest: Person, target: str) -> Iterator[Doorway]:
    """A way in under a grant of its own, which ends with the test."""
    grant = granted(guest, target)
    doorway = Doorway(guest, target)
    try:
        yield doorway
    finally:
        doorway.close()
        guest.hoop("relinquish", grant, status=None)


def client(door: Doorway, **how: Any) -> psycopg.Connection[Any]:
    return psycopg.connect(door.dsn, autocommit=True, **how)


def rows(connection: psycopg.Connection[Any], count: int) -> int:
    return len(connection.execute(NUMBERS.format(count)).fetchall())  # type: ignore[call-overload, unused-ignore] # a number of ours


def test_a_session_that_would_pass_its_budget_of_rows_ends_with_nothing_more(guest: Person) -> None:
    with opened(guest, "few-rows") as door, client(door) as one:
        assert rows(one, 60) == 60
        with pytest.raises(psycopg.OperationalError) as raised:
            rows(one, 60)
        assert raised.value.diag.sqlstate == "53400"
        assert 'budget "few-rows"' in str(raised.value)
        assert one.closed
        with client(door) as again:  # what was not let through is not charged
            assert rows(again, 40) == 40
            with pytest.raises(psycopg.OperationalError, match="100 rows in an hour are used up"):
                again.execute("select 1")
        with pytest.raises(psycopg.OperationalError) as refused:
            client(door)
        assert "53400" in str(refused.value) or "used up" in str(refused.value)
        assert "Try again at" in str(refused.value)


def test_an_endless_result_ends_when_it_passes_the_budget_and_not_later(guest: Person) -> None:
    """As one Query, as COPY, and in the extended protocol: no more than the budget ever arrives."""
    rows = b"select repeat('x', 1000), generate_series(1, 100000000)"
    with opened(guest, "few-bytes") as door:
        for message in (
            wire.query(rows),
            wire.query(b"copy (" + rows + b") to stdout"),
            wire.parse(b"", rows) + bind(b"", b"") + execute(b"") + SYNC,
        ):
            with door.connect() as raw:
                raw.send(message)
                with pytest.raises(Gone):
                    raw.until(wire.READY)
                assert raw.received.count(b"x" * 1000) * 1000 <= 64 << 10
                assert b"C53400" in raw.received
                assert b"few-bytes" in raw.received


def test_a_cursor_in_portions_is_charged_with_each(guest: Person) -> None:
    async def run(door: Doorway, seen: list[object]) -> None:
        one = await asyncpg.connect(
            host=door.host, port=5432, user=door.user, database=door.database
        )
        try:
            async with one.transaction():
                async for row in one.cursor(NUMBERS.format(1000), prefetch=25):
                    seen.append(row)
        finally:
            one.terminate()

    with opened(guest, "few-rows") as door:
        seen: list[object] = []
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)) as raised:
            asyncio.run(run(door, seen))
        # Whose connection is closed inside a portal, asyncpg tells no more than that.
        ended = raised.value.__context__ or raised.value
        assert getattr(ended, "sqlstate", "") in ("53400", "08003")
        assert 50 <= len(seen) <= 100


def test_values_that_masks_meet_are_counted(guest: Person) -> None:
    with opened(guest, "few-secrets") as door, client(door) as one:
        assert one.execute("select ssn from public.customers limit 2").fetchall()
        with pytest.raises(psycopg.OperationalError, match="sensitive values"):
            one.execute("select ssn from public.customers limit 2")


def test_statements_are_counted_in_both_protocols_and_over_sessions(guest: Person) -> None:
    with opened(guest, "few-statements") as door, client(door) as one, client(door) as other:
        one.execute("select 1")
        other.execute("select %s::int", (1,))
        one.pgconn.exec_(b"select 1; select 2")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            other.execute("hoop is no statement")
        with pytest.raises(psycopg.OperationalError, match="5 statements"):
            one.execute("select 1")
        assert other.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        with pytest.raises(psycopg.OperationalError, match="5 statements"):
            other.execute("select 1")


def test_a_warning_is_given_once_and_all_of_it_is_recorded(guest: Person, targets: Targets) -> None:
    notices: list[str] = []
    with opened(guest, "few-told") as door, client(door) as one:
        one.add_notice_handler(lambda told: notices.append(told.message_primary or ""))
        for _ in range(4):
            assert rows(one, 6) == 6
        assert notices == ['budget "few-told": 10 rows in an hour are used up: a test']
    session = guest.json("sessions", "--mine", "--target", "few-told")[0]["id"]
    told = guest.hoop("replay", session, "--no-wait").stdout
    assert "few-told" in told
    url = targets.folder / "agent" / "data" / "hoop.sqlite"
    import sqlite3

    with sqlite3.connect(url) as store:
        found = store.execute("select detail from audit where action = 'budget.reached'").fetchall()
    assert any(json.loads(detail)["budget"] == "few-told" for (detail,) in found)


def test_what_is_left_is_shown(guest: Person) -> None:
    with opened(guest, "few-rows") as door, client(door) as one:
        rows(one, 30)

        def left() -> Any:
            [budget] = guest.json("targets", "show", "few-rows")["budgets"]
            return budget["limits"][0]

        eventually(lambda: left()["used"] == 30)
        assert left() == {"measure": "rows", "limit": 100, "used": 30, "left": 70}
        shown = guest.hoop("targets", "show", "few-rows").stdout
        assert "30 of 100 rows" in shown


def test_behind_a_budget_that_holds_each_statement_waits_for_an_approval(
    guest: Person, targets: Targets
) -> None:
    other = Person(targets, "ben")
    other.sign_in()
    guest.granted(other, target="held-few")
    door = Doorway(guest, "held-few")
    with client(door) as one:
        assert rows(one, 10) == 10
        one.execute("begin")
        one.execute("rollback")  # waits for nobody
        with ThreadPoolExecutor(1) as pool:
            held = pool.submit(rows, one, 3)
            waiting: list[Any] = []

            def asked() -> bool:
                waiting[:] = other.json("requests", "--to-decide")
                return bool(waiting)

            eventually(asked)
            other.hoop("approve", waiting[0]["id"], "--reason", "a test")
            assert held.result(20) == 3
            again = pool.submit(rows, one, 3)
            eventually(asked)
            other.hoop("deny", waiting[0]["id"], "--reason", "enough")
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="enough"):
                again.result(20)
        one.execute("rollback")
    door.close()
