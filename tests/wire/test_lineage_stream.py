"""Lineage on the wire: which statement a result is of, and when that is not certain."""
# ruff: noqa: E501 - a statement stands on one line

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from hoopcli.demo.postgres import Postgres
from hoopcore.masking import Masking
from hoopcore.protocols.postgres import wire
from tests.wire.gate import Gate, Server, catalog
from tests.wire.sequences import SYNC, bind, describe, execute
from tests.wire.test_stream_traps import values

MASKS = """
[[mask]]
column = "public.people.ssn"
style = "keep-last 4"
"""
STARS = b"*******6789"


@pytest.fixture(scope="module")
def traced(postgres: Postgres) -> Iterator[str]:
    postgres.psql("create database traced")
    postgres.psql(
        "create table people (id int primary key, name text, ssn text);"
        "insert into people select n, 'name ' || n, '123-45-6789' from generate_series(1, 3) n",
        "traced",
    )
    yield "traced"
    postgres.psql("drop database traced with (force)")


@pytest.fixture
def open_gate(postgres: Postgres, traced: str) -> Iterator[Callable[..., Gate]]:
    opened: list[Server] = []
    bound = Masking.load(MASKS).bind(catalog(postgres, traced))

    def make() -> Gate:
        server = Server(postgres, traced)
        opened.append(server)
        return Gate(server, bound)

    yield make
    for server in opened:
        server.close()


ONE = "select name, upper(ssn), (select ssn from people where id = 2) as s, count(*) over () from people where id = 1"
SEEN = [b"name 1", None, STARS, b"1"]


def test_each_column_of_a_query_is_masked_by_its_lineage(open_gate: Callable[..., Gate]) -> None:
    assert values(open_gate().ask(wire.query(ONE.encode()))) == [SEEN]


def test_a_prepared_statement_is_masked_by_its_lineage_on_every_run(
    open_gate: Callable[..., Gate],
) -> None:
    gate = open_gate()
    got = gate.ask(wire.parse(b"s", ONE.encode()) + describe(b"S", b"s") + SYNC)
    for _ in range(3):
        got = gate.ask(bind(b"", b"s") + execute(b"") + SYNC)
        assert values(got) == [SEEN]
    got = gate.ask(bind(b"p", b"s") + describe(b"P", b"p") + execute(b"p") + SYNC)
    assert values(got) == [SEEN]


def test_results_of_one_message_are_each_of_their_own_statement(
    open_gate: Callable[..., Gate],
) -> None:
    text = b"begin; ; select 1, ssn from people where id = 1; update people set name = name where id = 9; "
    text += (
        b"select ssn || '', 'x' from people where id = 1; commit; select 2 from people where id = 1"
    )
    expected = [[b"1", STARS], [None, b"x"], [b"2"]]
    assert values(open_gate().ask(wire.query(text))) == expected


def test_behind_a_set_in_the_same_message_nothing_is_traced(open_gate: Callable[..., Gate]) -> None:
    text = (
        b"select 1, id from people where id = 1; set search_path = x; select 2 from public.people"
    )
    got = values(open_gate().ask(wire.query(text)))
    assert got == [[None, b"1"], [None], [None], [None]]


def test_in_a_transaction_that_defines_something_nothing_is_traced(
    open_gate: Callable[..., Gate],
) -> None:
    gate = open_gate()
    asked = [b"begin", b"create table made (x int)", b"select 1, id from people where id = 1"]
    asked += [b"rollback", b"select 1, id from people where id = 1"]
    got = [values(gate.ask(wire.query(text))) for text in asked]
    assert got == [[], [], [[None, b"1"]], [], [[b"1", b"1"]]]


def test_a_cursor_of_sql_is_not_traced(open_gate: Callable[..., Gate]) -> None:
    gate = open_gate()
    asked = [
        b"begin",
        b"declare c cursor for select 1, id, ssn from people where id = 1",
        b"fetch c",
    ]
    got = [values(gate.ask(wire.query(text))) for text in asked]
    assert got[2] == [[None, b"1", STARS]]


def test_the_row_that_says_how_a_statement_is_run_is_null(open_gate: Callable[..., Gate]) -> None:
    got = values(open_gate().ask(wire.query(b"explain (costs off) select name from people")))
    assert got == [[None]]
