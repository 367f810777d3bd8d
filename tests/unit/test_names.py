"""What a name without a schema means, where it is known; and what makes it uncertain."""

from __future__ import annotations

import json

import pytest

from hoopcore.sql.catalog import Catalog, Table
from hoopcore.sql.names import (
    Names,
    Viewer,
    changes_path,
    changes_relations,
    changes_viewer,
    parts_of,
)
from hoopcore.sql.postgres import read


def catalog(*names: str) -> Catalog:
    tables = []
    for number, name in enumerate(names):
        schema, _, table = name.partition(".")
        tables.append(Table(20_000 + number, schema, table, "r", ((1, "id", 23),)))
    return Catalog(tuple(tables))


CATALOG = catalog("public.orders", "app.orders", "payroll.pay", "pg_catalog.pg_class", "ann.own")
USABLE = frozenset({"public", "app", "payroll", "pg_catalog"})


def names(path: str, usable: frozenset[str] = USABLE, user: str = "ann") -> Names | None:
    return Viewer(user, path, usable).names(CATALOG)


def meant(text: str, path: str = '"$user", public') -> set[str]:
    found = names(path, USABLE | {"ann"})
    assert found is not None
    reading = found.meant(read(text.encode()))
    return {str(relation) for one in reading.statements for relation in one.relations}


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ('"$user", public', ["$user", "public"]),
        ("", []),
        ("A,b , C", ["a", "b", "c"]),
        ('"A b", "x""y",z', ["A b", 'x"y', "z"]),
        ('"a,b"', ["a,b"]),
        ('"open', None),
        ("a,,b", None),
        ("a,", None),
        ('a"b', None),
        ('"a" b', None),
        ("é", None),
    ],
)
def test_a_search_path_is_read_as_it_is_shown(path: str, parts: list[str] | None) -> None:
    assert parts_of(path) == parts


@pytest.mark.parametrize(
    ("text", "path", "relations"),
    [
        ("select * from orders", "public, app", {"public.orders"}),
        ("select * from orders", "app, public", {"app.orders"}),
        ("select * from orders", "payroll, app", {"app.orders"}),
        ("select * from own", '"$user", public', {"ann.own"}),
        ("select * from pay", "public", {"pay"}),
        ("select * from pg_class", "public", {"pg_catalog.pg_class"}),
        ("select * from payroll.pay, orders", "public", {"payroll.pay", "public.orders"}),
        ("insert into orders select id from pay", "public, payroll",
         {"public.orders", "payroll.pay"}),
        ("with orders as (select 1) select * from orders", "public", set()),
        ('select * from "Orders"', "public", {"Orders"}),
    ],
)  # fmt: skip
def test_a_name_is_the_first_of_the_search_path(text: str, path: str, relations: set[str]) -> None:
    assert meant(text, path) == relations


@pytest.mark.parametrize(
    "text",
    [
        "prepare p as select * from orders",
        "declare c cursor for select * from orders",
        "set search_path = app; select * from orders",
        "select * from orders; reset all",
        "select f(id) from orders",
        "create table t as select * from orders",
        "grant select on orders to ben",
        "set role ben; select * from orders",
        "select set_config('search_path', 'app', true) from orders",
    ],
)
def test_what_may_be_looked_up_otherwise_is_left_as_it_is(text: str) -> None:
    assert "orders" in meant(text)


def test_a_schema_nobody_has_told_us_of_makes_names_uncertain() -> None:
    assert names("hidden, public") is not None, "there is nothing in it that could be meant"
    assert names("ann, public") is None, "it has relations, and whether they may be used?"
    assert names('"$user", public') is None
    assert names('"$user", public', USABLE, user="ben") is not None
    assert names('"open') is None
    assert names(f"public, {'a' * 63}") is not None
    assert names(f"{'a' * 64}, public") is None, "the server cuts it, and finds another schema"


def test_what_the_session_told_is_read_or_it_is_not_known() -> None:
    told = json.dumps(["ann", "public", ["public"]])
    assert Viewer.told(told) == Viewer("ann", "public", frozenset({"public"}))
    for nonsense in ("", "[]", "{}", "[1]", '["a", "b", null]', "x"):
        assert Viewer.told(nonsense) is None


@pytest.mark.parametrize(
    ("text", "relations", "path", "viewer"),
    [
        ("select 1", False, False, False),
        ("set statement_timeout = 1", False, False, False),
        ("set search_path = app", False, True, False),
        ("set schema 'app'", False, True, False),
        ("reset all", False, True, False),
        ("reset search_path", False, True, False),
        ("discard all", True, True, False),
        ("select set_config('search_path', 'app', false)", False, True, False),
        ("select f()", True, True, False),
        ("do $$ begin end $$", False, False, False),
        ("do $$ begin perform f(); end $$", True, True, False),
        ("do $$ begin execute 'select 1'; end $$", True, True, True),
        ("do $$ begin set work_mem = 1; reset search_path; end $$", False, True, False),
        ("drop table orders", True, False, False),
        ("create temp table orders ()", True, False, False),
        ("set role ben", False, True, True),
        ("grant usage on schema app to ben", False, False, True),
        ("select '", True, False, True),
    ],
)
def test_what_a_statement_may_change_of_the_meaning_of_names(
    text: str, relations: bool, path: bool, viewer: bool
) -> None:
    reading = read(text.encode())
    found = changes_relations(reading), changes_path(reading), changes_viewer(reading)
    assert found == (relations, path, viewer)
