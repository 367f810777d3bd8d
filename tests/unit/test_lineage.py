"""Lineage: which base columns a column of a result is made from, statement by statement."""
# ruff: noqa: E501 - a case stands on one line

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopcore.masking import Bound, Column, Masking
from hoopcore.masks_told import explain
from hoopcore.sql.behind import Behind, Depths
from hoopcore.sql.catalog import Catalog, Table
from hoopcore.sql.lineage import Lineage, lineage
from hoopcore.sql.postgres import read
from hoopcore.statement import Effect, Relation
from hoopcore.styles import Style


def table(oid: int, name: str, *columns: str, kind: str = "r", schema: str = "public") -> Table:
    return Table(oid, schema, name, kind, tuple((n, c, 25) for n, c in enumerate(columns, 1)))


C = table(20001, "c", "id", "email", "ssn")
O = table(20002, "o", "id", "customer", "note")  # noqa: E741
VIEWS = {
    20010: "SELECT c.id AS i, c.ssn AS s, upper(c.email) AS u FROM public.c",
    20011: "SELECT v.s AS s2, 1 AS one FROM public.v",
    20012: "SELECT o.note AS n, count(*) AS k FROM public.o GROUP BY o.note",
    20013: "SELECT public.secret() AS n",
    20014: "SELECT " + "o.note || " * 400 + "'' AS n FROM public.o",
    20015: "SELECT o.note, o.id FROM public.o",
}
TABLES = (
    C,
    O,
    table(20003, "twin", "id", "x"),
    table(20004, "twin", "id", "y", schema="other"),
    table(20005, "same", "id", "x"),
    table(20006, "same", "id", "x", schema="other"),
    table(20010, "v", "i", "s", "u", kind="v"),
    table(20011, "vv", "s2", "one", kind="v"),
    table(20012, "notes", "n", "k", kind="v"),
    table(20013, "dark", "n", kind="v"),
    table(20014, "long", "n", kind="v"),
    table(20015, "narrow", "note", kind="v"),
    table(20016, "far", "id", "x", kind="f"),
    table(1259, "pg_class", "oid", "relname", schema="pg_catalog"),
    table(12001, "pg_stats", "most_common_vals", schema="pg_catalog", kind="v"),
)
CATALOG = Catalog(TABLES, views=VIEWS)
NAMES = {
    (t.oid, number): f"{t.name}.{name}" if t.schema != "other" else f"other.{t.name}.{name}"
    for t in TABLES
    for number, name, _ in t.columns
}


def traced(text: str, catalog: Catalog = CATALOG) -> Lineage:
    [statement] = catalog.meant(read(text.encode())).statements
    return lineage(statement, catalog)


def words(text: str) -> str:
    """``itself`` of each column, ``<`` and what it is derived from; ``?`` where it is not known."""
    found = traced(text)
    if found.outputs is None:
        return "?"
    columns = []
    for output in found.outputs:
        itself = " ".join(sorted(NAMES.get(base, "!") for base in output.itself))
        derived = " ".join(sorted(NAMES.get(base, "!") for base in output.derived))
        columns.append(itself + (f"<{derived}" if derived else ""))
    written = " ".join(sorted(NAMES.get(base, "!") for base in found.written))
    return ", ".join(column or "-" for column in columns) + (f" => {written}" if written else "")


CASES = {
    # names
    "select id, email as e, c.ssn, public.c.id from c": "c.id, c.email, c.ssn, c.id",
    "select * from c": "c.id, c.email, c.ssn",
    "select x.*, 1 from c x": "c.id, c.email, c.ssn, -",
    "select b from c as t(a, b)": "c.email",
    "select c from c": "<c.email c.id c.ssn",
    "select c.*::text from c": "<c.email c.id c.ssn",
    "select nosuch from c": "?",
    "select d.id from c": "?",
    "select c.upper from c": "?",
    "select ctid, tableoid, c.xmin from c": "-, -, -",
    'select "ÄRENDE" from c': "?",
    # expressions
    "select upper(ssn), email || id, 1, $1, current_user from c": "<c.ssn, <c.email c.id, -, -, -",
    'select ssn::text, ssn collate "C", (ssn), -id from c': "<c.ssn, <c.ssn, c.ssn, <c.id",
    "select case when ssn = 'a' then id else 2 end from c": "<c.id c.ssn",
    "select coalesce(ssn, email), array[ssn], row(id, ssn) from c": "<c.email c.ssn, <c.ssn, <c.id c.ssn",
    "select count(*), count(ssn), count(distinct ssn), ssn is null from c group by ssn": "-, -, -, -",
    "select count(upper(ssn)), upper(ssn) is null, count(distinct (id, ssn)) from c": "<c.ssn, <c.ssn, <c.id c.ssn",
    "select count(*) filter (where ssn = 'a'), sum(id) over (order by ssn) from c": "<c.ssn, <c.id c.ssn",
    "select string_agg(note, ',' order by id) from o": "<o.id o.note",
    "select count(*) over w from c window w as (partition by ssn)": "<c.ssn",
    "select count(*) over (v order by id) from c window w as (order by ssn), v as (w)": "<c.id c.ssn",
    "select count(*) over w from c": "?",
    "select grouping(ssn) from c group by rollup (ssn)": "-",
    "select secret(ssn) from c": "?",
    "select ssn === 'a' from c": "?",
    "select ssn::mood from c": "?",
    "select generate_series(1, length(ssn)), id from c": "<c.ssn, c.id<c.ssn",
    # sub-selects
    "select (select ssn from c where id = o.id) from o": "c.ssn<c.id o.id",
    "select exists(select ssn from c where c.id = o.id) from o": "<c.id o.id",
    "select exists(select 1 from c where c.ssn = o.note) from o": "<c.ssn o.note",
    "select note in (select ssn from c) from o": "<c.ssn o.note",
    "select array(select id from c order by ssn) from o": "<c.id c.ssn",
    "select (select id from c limit length((select max(ssn) from c)))": "c.id<c.ssn",
    "select x.id from (select * from c) x": "c.id",
    "select s from (select c.ssn s from c) x": "c.ssn",
    "select x.q from c, lateral (select c.ssn || '' q) x": "<c.ssn",
    "select x.id from c, lateral (select o.id from o where o.note = c.ssn) x": "o.id<c.ssn o.note",
    "select (select note from o as c limit 1), (select c.ssn from o) from c": "o.note, c.ssn",
    # WITH
    "with x as (select ssn s from c) select s, s || '' from x": "c.ssn, <c.ssn",
    "with x(a) as (select ssn, id from c) select a, id from x": "c.ssn, c.id",
    "with c as (select note as ssn from o) select ssn from c": "o.note",
    "with c as (select note as ssn from o) select ssn from public.c": "c.ssn",
    "with c as (select * from c) select ssn from c": "c.ssn",
    "with recursive r as (select ssn x, 1 n from c union all select x, n + 1 from r) select * from r": "c.ssn, -",
    "with recursive r(a, b, c) as (select '', '', ssn from c union all select b, c, a from r) select * from r": "c.ssn, c.ssn, c.ssn",
    "with recursive b as (select * from a), a as (select ssn from c) select * from b": "c.ssn",
    "with d as (delete from c returning ssn, id) select upper(ssn), id from d": "<c.ssn, c.id",
    "with d as (insert into o select 1, 2, ssn from c returning id) select 1 from o": "- => c.ssn",
    # sets
    "select ssn from c union select note from o": "c.ssn o.note",
    "select id, ssn from c union all select 1, upper(note) from o": "c.id, c.ssn<o.note",
    "values (1, (select ssn from c)), (2, 'x')": "-, c.ssn",
    "select count(distinct x) from (select ssn x from c union all select '1') q": "<c.ssn",
    # joins
    "select id, ssn from c join o using (id)": "c.id o.id, c.ssn",
    "select * from c natural join o": "c.id o.id, c.email, c.ssn, o.customer, o.note",
    "select j.b from (c join o on true) as j(a, b)": "c.email",
    "select u.id from c join o using (id) as u": "c.id o.id",
    "select c.id from (c join o on true) as j": "?",
    # functions and tables in FROM
    "select g, g + 1, c.id from generate_series(1, 3) g, c": "-, -, c.id",
    "select u from c, unnest(array[c.ssn]) u": "<c.ssn",
    "select u.x, u.n, c.id from c, unnest(array[ssn]) with ordinality u(x, n)": "<c.ssn, <c.ssn, c.id<c.ssn",
    "select k.key, k.value from c, jsonb_each(to_jsonb(c)) k": "<c.email c.id c.ssn, <c.email c.id c.ssn",
    "select * from json_to_record('{}') as r(a int, b text), c": "-, -, c.id, c.email, c.ssn",
    "select x from c, xmltable('/a' passing xmlelement(name a, ssn) columns x text path '.')": "<c.ssn",
    "select i from c, json_table('[]', '$' columns (i int path '$' default ssn on empty))": "<c.ssn",
    "select id from c tablesample system (50)": "c.id",
    # views
    "select i, s, u from v": "c.id, c.ssn, <c.email",
    "select s2, one from vv": "c.ssn, -",
    "select * from notes": "o.note, -",
    "select n, c.id from dark, c": "<dark.n, c.id",
    "select n from long": "<long.n",
    "select note from narrow": "<narrow.note",
    "select x from far": "far.x",
    "select relname from pg_class": "pg_class.relname",
    # names that may mean several relations
    "select x from same": "other.same.x same.x",
    "select * from same": "other.same.id same.id, other.same.x same.x",
    "select x from twin": "twin.x",
    "select id from twin": "other.twin.id twin.id",
    "select * from twin": "?",
    "select y from other.twin": "other.twin.y",
    "select x from nosuch": "?",
    # changes
    "insert into o select id, 1, ssn from c returning *": "o.id, o.customer, o.note => c.id c.ssn",
    "insert into o values (1, 2, (select ssn from c))": " => c.ssn",
    "insert into o (id) values (1) on conflict (id) do update set note = (select ssn from c)": " => c.ssn",
    "update o set note = c.email from c where c.id = o.id returning o.id, c.ssn": "o.id, c.ssn => c.email",
    "update o set (note, id) = (select ssn, 1 from c)": " => c.ssn",
    "delete from o using c where c.id = o.id returning *": "o.id, o.customer, o.note, c.id, c.email, c.ssn",
    "update c set id = 1 returning old.ssn, new.id, upper(old.email)": "c.ssn, c.id, <c.email",
    "update c set id = 1 returning with (old as before) before.ssn, c.id": "c.ssn, c.id",
    "merge into o using c on c.id = o.id when matched then update set note = c.ssn returning o.id": "o.id => c.ssn",
    "create table t as select ssn from c": " => c.ssn",
    "select id, ssn into t from c": " => c.id c.ssn",
    "update v set i = 1": "?",
    # COPY
    "copy c to stdout": "c.id, c.email, c.ssn",
    "copy c (ssn, id) to stdout": "c.ssn, c.id",
    "copy (select upper(ssn) from c) to stdout": "<c.ssn",
    # not traced
    "explain select ssn from c": "?",
    "declare d cursor for select ssn from c": "c.ssn",
    "prepare p as select ssn from c": "c.ssn",
    "execute p": "?",
    "fetch d": "?",
}


@pytest.mark.parametrize("text", CASES)
def test_lineage_of_a_statement(text: str) -> None:
    assert words(text) == CASES[text]


CORPUS = Path(__file__).parents[1] / "conformance" / "statements.sql"


def corpus() -> list[str]:
    lines = CORPUS.read_text().splitlines()
    return [
        part for line in lines if line and not line.startswith("--") for part in line.split(";;")
    ]


def test_every_statement_of_the_corpus_has_a_lineage_or_none() -> None:
    tables = (
        table(30001, "customers", "id", "name", "email", "ssn", "m"),
        table(30002, "orders", "id"),
    )
    catalog = Catalog((*TABLES, *tables))
    for text in corpus():
        for statement in catalog.meant(read(text.encode())).statements:
            found = lineage(statement, catalog)
            assert (found.outputs is None) == bool(found.why)
            assert "tree" not in found.why, text  # nothing but what was thought of


@given(
    st.lists(
        st.sampled_from(sorted(" ".join(CASES).replace("(", " ( ").replace(")", " ) ").split())),
        max_size=25,
    )
)
def test_any_text_has_a_lineage_or_none(parts: list[str]) -> None:
    for statement in read(" ".join(parts).encode()).statements:
        lineage(statement, CATALOG)


# --- what masks make of it ------------------------------------------------------------------------

MASKS = """
[[mask]]
column = "public.c.email"
style = "keep-domain"
[[mask]]
column = "public.c.ssn"
style = "keep-last 4"
"""


def bound(catalog: Catalog = CATALOG, *, pooled: bool = False) -> Bound:
    return Masking.load(MASKS).bind(catalog, pooled=pooled)


def styles(text: str, *columns: tuple[int, int], of: Bound | None = None) -> list[object]:
    """What becomes of the columns of a result that the target describes so."""
    of = of or bound()
    reading = read(text.encode())
    described = [Column("", oid, attnum, 25, 0) for oid, attnum in columns]
    covered = reading.opaque or of.covers(reading)
    plan = of.plan(described, covered, "UTF8", of.traceable(reading, 0))
    return list((None,) * len(columns) if plan is None or plan.cells is None else plan.cells)


NOTHING = (0, 0)


def test_a_column_keeps_its_mask_through_what_does_not_change_it() -> None:
    assert styles("select ssn from c", (20001, 3)) == [Style.KEEP_LAST_4]
    assert styles("select ssn from c union select ssn from c", NOTHING) == [Style.KEEP_LAST_4]
    assert styles("select s, u from v", (20010, 2), (20010, 3)) == [Style.KEEP_LAST_4, Style.NULL]
    assert styles("select ssn from c union select note from o", NOTHING) == [Style.KEEP_LAST_4]


def test_two_styles_of_one_column_hide_what_either_hides() -> None:
    assert styles("select ssn from c union select email from c", NOTHING) == [Style.FULL]


def test_what_is_computed_from_a_masked_column_is_null_and_the_rest_passes() -> None:
    text = "select upper(ssn), count(*), id, 1 from c group by ssn, id"
    assert styles(text, NOTHING, NOTHING, (20001, 1), NOTHING) == [Style.NULL, None, None, None]


def test_what_the_target_describes_otherwise_than_foretold_is_null() -> None:
    assert styles("select id from c", (20002, 1)) == [Style.NULL]
    assert styles("select 1 from c", (20002, 1)) == [Style.NULL]
    assert styles("select id, 1 from c", (20001, 1)) == [Style.NULL]
    assert styles("select id from c", (20001, 1), NOTHING) == [Style.NULL, Style.NULL]


def test_what_is_not_known_is_null_but_for_columns_of_tables() -> None:
    text = "select secret(), id from c"
    assert styles(text, NOTHING, (20001, 1)) == [Style.NULL, None]
    assert styles("select * from twin, c", *((20003, 1),) * 2, NOTHING) == [None, None, Style.NULL]


def test_columns_of_what_is_no_table_are_null() -> None:
    text = "select x, most_common_vals, relname, 1 from far, pg_stats, pg_class"
    described = ((20016, 2), (12001, 1), (1259, 2), NOTHING)
    assert styles(text, *described) == [Style.NULL, Style.NULL, None, None]


def test_a_view_that_reads_nothing_masked_is_as_clear_as_a_table() -> None:
    of = bound()
    for name in ("notes", "narrow"):
        assert not of.is_near(Relation("", name))
    for name in ("v", "vv", "dark", "long", "far"):
        assert of.is_near(Relation("public", name))
    assert not of.covers(read(b"select n, upper(n) from notes"))


def test_a_view_of_many_columns_is_known_and_a_deep_one_is_not() -> None:
    many = ", ".join(f"o.note AS a_rather_long_name_of_a_column_{n}" for n in range(100))
    deep = "(" * 1100 + "o.note" + ")" * 1100
    for selects, known in ((many, True), (deep, False), (many + " " * (16 << 10), False)):
        view = table(
            20020, "made", *(f"c{n}" for n in range(100 if selects != deep else 1)), kind="v"
        )
        catalog = Catalog((*TABLES, view), views={20020: f"SELECT {selects} FROM public.o"})
        assert len(catalog.views[20020]) > 2048
        assert (catalog.view(20020) is not None) is known
        assert bound(catalog).is_near(Relation("public", "made")) is not known


def test_views_that_read_each_other_are_not_known() -> None:
    tables = (table(20001, "a", "x", kind="v"), table(20002, "b", "x", kind="v"))
    views = {20001: "SELECT b.x FROM public.b", 20002: "SELECT a.x FROM public.a"}
    catalog = Catalog(tables, views=views)
    assert bound(catalog).covers(read(b"select x from a"))
    assert traced("select x from a", catalog).outputs is not None
    assert styles("select x from a", (20001, 1), of=bound(catalog)) == [Style.NULL]


def test_behind_a_pooler_only_names_with_their_schema_are_traced() -> None:
    of = bound(pooled=True)
    assert styles("select 1 from c", NOTHING, of=of) == [Style.NULL]
    assert styles("select 1 from public.c", NOTHING, of=of) == [None]


def test_an_operator_or_a_function_that_somebody_made_is_not_traced() -> None:
    own = Catalog(TABLES, depths=Depths(operators=frozenset({"||"})))
    assert traced("select note || '' from o", own).outputs is None
    assert traced("select note from o", own).outputs is not None
    named = Catalog(TABLES, code=frozenset({"lower"}))
    assert traced("select lower(note) from o", named).outputs is None


def test_a_table_with_rules_is_not_traced_when_it_changes() -> None:
    behind = Behind(calls={Effect.INSERT: {"a rule"}})
    ruled = Catalog(TABLES, depths=Depths({20002: behind}))
    assert traced("insert into o values (1) returning id", ruled).outputs is None
    assert traced("select id from o", ruled).outputs is not None


def test_behind_a_set_in_the_same_text_nothing_is_traced() -> None:
    reading = read(b"set search_path = x; select 1 from c")
    assert bound().traceable(reading, 1) is None
    reading = read(b"begin; select 1 from c; commit")
    assert bound().traceable(reading, 1) is reading.statements[1]
    assert bound().traceable(reading, 3) is None


def test_a_text_that_asks_for_too_much_is_not_known() -> None:
    wide = Catalog((table(20001, "w", *(f"c{n}" for n in range(1600))),))
    text = "with a as (select * from w), b as (select x.*, y.* from a x, a y) select "
    found = traced(text + ", ".join(["x.*"] * 60) + " from b x", wide)
    assert found.why == "it is too much to trace"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("insert into o select id, 1, upper(note) from c, o", None),
        ("insert into o select id, 1, ssn from c", "mask-copies"),
        ("update c set id = id + 1", None),
        ("update c set ssn = email", "mask-copies"),
        ("create table t as select id, count(*) from c group by id", None),
        ("create table t as select ssn from c", "mask-ddl"),
        ("create table o as select id from c", None),
        ("create table c as select 1 from o", "mask-ddl"),
        ("create view t as select id from c", "mask-ddl"),
        ("create materialized view t as select id from c", "mask-ddl"),
        ("select id into t from c", None),
        ("set role x; insert into o select id from c", "mask-copies"),
        ("begin; insert into o select id from c; commit", None),
        ("with w as (insert into o select 1, 2, ssn from c) select 1", "mask-copies"),
        ("insert into o select id, secret(id) from c", "mask-copies"),
        ("insert into o select id, 1, set_config('a.b', 'x', true) from c", "mask-copies"),
    ],
)
def test_what_is_written_decides_whether_it_is_refused(text: str, rule: str | None) -> None:
    found = bound().refusal(read(text.encode()))
    assert (found and found[0]) == rule


@pytest.mark.parametrize(
    "text",
    [
        "select id, (select ssn from unnest(array[1]) u) from c",
        "select id, (select upper(ssn) from unnest(array[1]) u) from c",
        "select id, (select (select ssn from unnest(array[1]) u)) from c",
        "select id, (select c.ssn from json_to_record('{}') as u (x int)) from c",
        "select id, (select x from (select ssn as x) y, unnest(array[1]) u) from c",
    ],
)
def test_a_source_that_may_have_any_column_hides_none_of_the_query_around(text: str) -> None:
    found = bound().lineage(read(text.encode()).statements[0])
    assert found.outputs is not None
    ssn = traced("select ssn from c").outputs or ()
    assert not found.outputs[1].sources.isdisjoint(ssn[0].sources)


def test_what_is_told_names_sources_masks_and_why() -> None:
    told = explain(bound(), read(b"select id, ssn as s, upper(email), 1 from c"))
    assert [tuple(one)[:4] for one in told] == [
        ("id", ("public.c.id",), "", "no masked column in it"),
        ("s", ("public.c.ssn",), "keep-last-4", "the column itself: public.c.ssn"),
        ("upper", ("public.c.email",), "null", "computed from public.c.email"),
        ("?column?", (), "", "computed from no column"),
    ]


def test_what_cannot_be_told_says_why() -> None:
    def said(text: bytes) -> str:
        told = explain(bound(), read(text))
        assert isinstance(told, str)
        return told

    assert "mask-copies" in said(b"insert into o select 1, 2, ssn from c")
    assert "every column is NULL but" in said(b"execute p")
    assert "cannot be read" in said(b"selekt")
    assert "only detectors" in said(b"explain select 1 from o")
    assert "is not found" in said(b"select nosuch from c")
    assert explain(bound(), read(b"")) == ()
    assert "catalog" in str(explain(Masking.load(MASKS).bind(None), read(b"select 1 from c")))
