"""What views, rules, defaults and operators do that a text does not name."""

from __future__ import annotations

from typing import Any

import pytest

from hoopcore.model import Kind, Principal, Scope, Target
from hoopcore.policy import Facts, Policy
from hoopcore.sql.behind import depths_of
from hoopcore.sql.catalog import Catalog, Table, catalog_of
from hoopcore.sql.postgres import read
from hoopcore.statement import Effect, Statement

# oids: 1 table, 2 view of it, 3 view of the view, 4 with a default, 5 with rules, 6 audit
_TABLES = {
    1: ("people", "r"), 2: ("names", "v"), 3: ("called", "v"), 4: ("stamped", "r"),
    5: ("inbox", "v"), 6: ("audit", "r"), 7: ("whole", "v"), 8: ("coding", "v"), 9: ("long", "v"),
}  # fmt: skip
_READS = [
    (2, 1, ["", "name", "born"]), (3, 2, ["name"]), (7, 1, ["id"]), (8, 1, ["id"]),
    (9, 6, ["id"]), (9, 77, ["gone"]),
]  # fmt: skip
_RULES = [
    (2, "1", "", False), (3, "1", "", False), (7, "1", "", True), (8, "1", "", False),
    (5, "3", "CREATE RULE a AS ON INSERT TO app.inbox DO INSTEAD DELETE FROM app.people", False),
    (5, "4", "CREATE RULE b AS ON DELETE TO app.inbox DO ALSO SELECT app.mail(old.id)", False),
    (5, "2", "no rule at all", False),
    (9, "3", f"CREATE RULE a AS ON INSERT TO app.long DO ALSO SELECT {'1+' * 1200}1", False),
]  # fmt: skip
_CODE = [
    (4, "d", False, ["made_up"]), (4, "d", True, ["now", "nextval"]), (8, "1", False, ["twice"]),
    (1, "d", True, ["nextval", "upper"]), (3, "1", True, ["upper"]),
]  # fmt: skip


def catalog(operators: tuple[str, ...] = ()) -> Catalog:
    rows: list[tuple[Any, ...]] = [
        (oid + 20000, "app", name, kind, [1, 2], ["id", "name"], [23, 25], [], [], [])
        for oid, (name, kind) in _TABLES.items()
    ]

    def up(rows: list[Any], places: int) -> list[Any]:
        return [(*(oid + 20000 for oid in row[:places]), *row[places:]) for row in rows]

    depths = depths_of(up(_READS, 2), up(_RULES, 1), up(_CODE, 1), [(o,) for o in operators])
    return catalog_of(rows, (), (), depths)


def full(text: str, harmless: tuple[str, ...] = (), operators: tuple[str, ...] = ()) -> Statement:
    (statement,) = catalog(operators).meant(read(text.encode()), frozenset(harmless)).statements
    return statement.in_full


def beneath(text: str) -> set[str]:
    (named,) = read(text.encode()).statements
    return {f"{t.relation}:{t.effect}" for t in full(text).touches - named.touches}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("select * from people", set()),
        ("select name from names", {"app.people:read"}),
        ("select name from app.called", {"app.people:read", "app.names:read"}),
        ("with x as (select * from names) select 1 from x", {"app.people:read"}),
        (
            "update called set name = 'x'",
            {"app.people:read", "app.people:update", "app.names:read", "app.names:update"},
        ),
        ("insert into inbox values (1)", {"app.people:delete"}),
        ("select * from inbox", set()),
        ("alter view names rename to others", set()),
        ("comment on view names is 'x'", set()),
        ("refresh materialized view names", {"app.people:read"}),
        ("delete from inbox", set()),
    ],
)
def test_relations_behind_a_name_are_seen(text: str, wanted: set[str]) -> None:
    assert beneath(text) == wanted


def test_what_is_not_in_the_catalog_has_no_name() -> None:
    assert beneath("select id from long") == {"app.audit:read"}


def test_columns_that_a_view_reads_are_seen_under_their_own_names() -> None:
    assert {"name", "born"} <= full("select name from called").columns
    assert "*" in full("select id from whole").columns


def test_a_rule_that_deletes_everything_has_no_where() -> None:
    assert full("insert into inbox values (1)").unbounded == {Effect.DELETE}


@pytest.mark.parametrize(
    "text",
    [
        "insert into stamped values (1)",
        "update stamped set id = default",
        "select * from coding",
        "delete from inbox",  # a rule that calls
        "update inbox set id = 1",  # a rule that is not understood
        "insert into long values (1)",  # one that is too long to be read here
    ],
)
def test_code_that_runs_without_its_name_is_a_call(text: str) -> None:
    assert Effect.CALL not in read(text.encode()).effects
    assert Effect.CALL in full(text).effects


@pytest.mark.parametrize(
    "text",
    ["insert into people values (1)", "select * from stamped", "select * from called", "select 1"],
)
def test_code_that_is_known_to_be_harmless_is_none(text: str) -> None:
    assert Effect.CALL not in full(text).effects


def test_the_target_may_say_that_it_is_harmless() -> None:
    assert Effect.CALL not in full("select * from coding", ("app.twice",)).effects
    assert Effect.CALL not in full("select 1 where 1 = 1", ("=",), ("=",)).effects


def test_operators_and_casts_that_somebody_made_are_calls() -> None:
    assert Effect.CALL in full("select 1 where 1 = 1", operators=("=",)).effects
    assert Effect.CALL in full("select a::text from people", operators=("::text",)).effects
    assert Effect.CALL not in full("select 1 where 1 < 1", operators=("=",)).effects


def test_masks_and_scopes_go_by_what_is_named() -> None:
    (statement,) = catalog().meant(read(b"select * from called")).statements
    assert {str(r) for r in statement.relations} == {"called"}
    assert statement.effects == {Effect.READ}
    assert not statement.opaque


def test_the_same_reading_is_found_out_about_once() -> None:
    found, reading = catalog(), read(b"select * from called")
    nothing: frozenset[str] = frozenset()
    assert found.meant(reading, nothing) is found.meant(reading, nothing)
    plain = read(b"select 1")
    assert found.meant(plain, nothing) is plain


def test_many_readings_are_not_all_kept() -> None:
    found, nothing = catalog(), frozenset[str]()
    for number in range(1100):
        found.meant(read(b"select %d from called" % number), nothing)
    assert 0 < len(found._meant) <= 1024
    found._meant.clear()
    found.meant(read(b"select " + b"1," * 300 + b"1"), nothing)
    assert not found._meant


_RULE = """
[[rule]]
name = "people"
verdict = "refuse"
reason = "nobody reads these"
effects = ["read", "delete"]
columns = ["app.people.born"]
"""


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("select name from app.called", False),
        ("select id from app.audit", True),
        ("select id from app.coding", True),  # reads another column of it
        ("select id from app.whole", False),
    ],
)
def test_a_rule_on_a_column_holds_through_views(text: str, allowed: bool) -> None:
    target = Target("db", "postgres", ("db:5432",))
    who = Principal("p", Kind.HUMAN, "i", "s", "p@x", frozenset())
    facts = Facts(who, target, Scope.parse("*.*"), "s-1")
    bound = Policy.load(_RULE).bind(facts)
    assert bound.decide(catalog().meant(read(text.encode()))).allowed is allowed


@pytest.mark.parametrize(
    ("effects", "looks"),
    [('["read"]', True), ('["call", "ddl"]', True), ('["ddl", "role"]', False)],
)
def test_the_catalog_is_wanted_where_a_rule_may_hang_on_it(effects: str, looks: bool) -> None:
    rule = _RULE.replace('["read", "delete"]', effects)
    assert Policy.load(rule).looks_behind is looks
    assert not Policy().looks_behind


def test_a_table_is_a_table() -> None:
    assert Table(1, "a", "b", "r", ()).ordinary
