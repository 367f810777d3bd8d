"""Code that a text alone does not tell, and values that go from one unknown code to another."""

from __future__ import annotations

from typing import Any

import pytest

from hoopcore.masking import Bound, Masking
from hoopcore.protocols.postgres import wire
from hoopcore.protocols.postgres.stream import PostgresStream
from hoopcore.sql.catalog import catalog_of
from hoopcore.sql.postgres import read
from hoopcore.statement import Effect, Relation, Statement
from hoopcore.stream import Side

ROWS: list[tuple[Any, ...]] = [
    (20001, "public", "people", "r", [1, 2], ["id", "ssn"], [23, 25], [], [], []),
    (20002, "public", "orders", "r", [1, 2], ["id", "note"], [23, 25], [], [], []),
]
CATALOG = catalog_of(ROWS, [], [("age", True), ("total", True), ("keep", False), ("note", None)])
MASKS = '[[mask]]\ncolumn = "public.people.ssn"\nstyle = "full"\n'


def bound() -> Bound:
    return Masking.load(MASKS).bind(CATALOG)


def meant(text: str, harmless: frozenset[str] = frozenset()) -> Statement:
    (statement,) = CATALOG.meant(read(text.encode()), harmless).statements
    return statement


@pytest.mark.parametrize(
    "text",
    [
        "select age(o) from orders o",
        "select public.age(o) from orders o",
        "select o.total from orders o",
        "select 1 from orders o where o.total > 1",
    ],
)
def test_a_name_that_somebody_made_here_is_a_call(text: str) -> None:
    statement = meant(text)
    assert Effect.CALL in statement.effects
    assert statement.opaque


@pytest.mark.parametrize("text", ["select lower(note), o.note from orders o", "select 1", ""])
def test_other_readings_stay_what_they_are(text: str) -> None:
    reading = read(text.encode())
    assert CATALOG.meant(reading) is reading


def test_the_target_may_say_that_it_is_harmless() -> None:
    assert not meant("select o.total, age(o) from orders o", frozenset({"total", "age"})).opaque


def test_what_such_code_gives_is_copied_where_something_is_written() -> None:
    text = "update orders set note = 'x' where orders.total = 1"
    assert meant(text).copies
    refused = bound().refusal(CATALOG.meant(read(text.encode())))
    assert refused is not None
    assert refused[0] == "mask-copies"
    assert not meant("select o.total from orders o").copies


def test_only_statements_that_call_are_changed() -> None:
    first, second = CATALOG.meant(read(b"select 1; select age(o) from orders o")).statements
    assert not first.opaque
    assert second.opaque


# --- from one unknown code to another -------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "copies"),
    [
        ("select keep(secret())", True),
        ("select keep(upper(secret()))", True),
        ("select keep((select x from secrets() x))", True),
        ("select keep(x) from secrets() x", True),
        ("select keep(x) from (select secret() as x) y", True),
        ("with y as (select secret() as x) select keep(x) from y", True),
        ("select 1 from secrets() x where keep(x) is null", True),
        ("select keep(t.own) from generate_series(1, 2) t", True),
        ("select keep('a' ### 'b'), keep((p.a).b) from p", True),
        ("call keep(secret())", True),
        ("execute p(secret())", True),
        ("select keep(1), secret()", False),
        ("select keep(note) from orders", False),
        ("select a(note), b(note) from orders", False),
        ("select keep(nextval('s'))", False),
        ("select x from secrets() x", False),
        ("execute p(1, 'x')", False),
    ],
)
def test_what_unknown_code_gives_to_other_code_may_be_kept(text: str, copies: bool) -> None:
    (statement,) = read(text.encode()).statements
    assert statement.copies is copies
    assert (bound().refusal(read(text.encode())) is not None) is copies


# --- definitions, files, texts --------------------------------------------------------------------


def test_renaming_a_schema_gives_every_masked_relation_in_it_another_name() -> None:
    assert bound().refusal(read(b"alter schema public rename to other")) is not None


@pytest.mark.parametrize("text", ["discard all", "discard temp", "discard plans"])
def test_discarding_defines_nothing(text: str) -> None:
    assert bound().refusal(read(text.encode())) is None


@pytest.mark.parametrize(
    "text",
    [
        "select pg_read_file('x')",
        "select * from pg_catalog.pg_ls_dir('/')",
        "select lo_import('x')",
        "select t.pg_read_file from unnest(array['x'::text]) t",
    ],
)
def test_a_function_that_reaches_files_of_the_server_says_so(text: str) -> None:
    assert {Effect.CALL, Effect.SERVER_FILE} <= read(text.encode()).effects


@pytest.mark.parametrize(("table", "withheld"), [("people", True), ("orders", False), ("", False)])
def test_an_error_about_a_masked_table_that_no_text_named_is_withheld(
    table: str, withheld: bool
) -> None:
    """A DELETE that cascades tells the values of the rows that stand in its way."""
    stream = PostgresStream({"client_encoding": "UTF8"}, bound(), "s-1")
    text = b"delete from orders where id = 1"
    stream.feed(Side.CLIENT, wire.query(text))
    ask = stream.next_ask()
    assert ask is not None
    stream.forward(ask, read(text))
    named = b"spublic\0t" + table.encode() + b"\0" if table else b""
    body = b"SERROR\0VERROR\0C23503\0Mno\0DKey (ssn)=(123).\0" + named + b"\0"
    stream.feed(Side.TARGET, wire.frame(wire.ERROR, body) + wire.ready_for_query())
    told = b"".join(stream.from_target().to_client)
    assert (b"123" not in told) is withheld
    assert b"23503" in told


def test_without_a_catalog_every_relation_is_near() -> None:
    assert Masking.load(MASKS).bind(None).is_near(Relation("public", "orders"))
