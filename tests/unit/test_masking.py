"""What masks.toml means for statements and for the columns of a result."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from hoopcore.masking import Bound, Column, MaskError, Masking, Plan
from hoopcore.sql.catalog import Catalog, Table
from hoopcore.statement import CopyOut, Effect, Reading, Relation, Statement, Touch, unreadable
from hoopcore.styles import Style
from hoopcore.watches import Watch

TEXT, INT8, JSON, JSONB, CITEXT, TEXTS, NUMERIC, UUID = 25, 20, 114, 3802, 90001, 1009, 1700, 2950


def table(
    oid: int,
    name: str,
    *columns: str,
    kind: str = "r",
    schema: str = "public",
    parents: tuple[int, ...] = (),
    derived: tuple[tuple[int, int], ...] = (),
) -> Table:
    numbered = tuple((number, column, TEXT) for number, column in enumerate(columns, 1))
    return Table(oid, schema, name, kind, numbered, parents, derived)


CUSTOMERS = table(20001, "customers", "id", "email", "ssn")
ORDERS = table(20002, "orders", "id", "note")
CATALOG = Catalog(
    (
        CUSTOMERS,
        ORDERS,
        table(20003, "names", "id", "email", kind="v"),
        table(20004, "totals", "id", kind="m"),
        table(20005, "far", "id", kind="f"),
        table(20006, "customers", "id", schema="archive"),
        table(1259, "pg_class", "oid", "relname", schema="pg_catalog"),
        table(2619, "pg_statistic", "starelid", "stavalues1", schema="pg_catalog"),
        table(12000, "pg_roles", "rolname", schema="pg_catalog", kind="v"),
        table(12001, "pg_stats", "most_common_vals", schema="pg_catalog", kind="v"),
        table(13000, "columns", "column_name", schema="information_schema", kind="v"),
    ),
    frozenset({CITEXT}),
)
MASKS = """
detectors = ["card", "ssn", "email"]
[[mask]]
column = "public.customers.email"
style = "keep-domain"
[[mask]]
column = "public.customers.ssn"
style = "keep-last 4"
exempt = ["dba"]
"""


def bound(
    text: str = MASKS, catalog: Catalog | None = CATALOG, groups: Iterable[str] = ()
) -> Bound:
    return Masking.load(text).bind(catalog, groups)


def column(oid: int, attnum: int, type_: int = TEXT, format_: int = 0) -> Column:
    return Column("as the client likes", oid, attnum, type_, format_)


def cell(of: Bound, one: Column, *, covered: bool = True) -> Style | Watch | None:
    plan = of.plan([one], covered, "UTF8")
    return plan.cells[0] if plan is not None and plan.cells is not None else None


def reading(
    *names: str,
    effect: Effect = Effect.READ,
    copies: bool = False,
    opaque: bool = False,
    functions: Iterable[str] = (),
    tag: str = "",
    effects: Iterable[Effect] = (),
) -> Reading:
    touches: set[Touch] = set()
    for name in names:
        schema, _, relation = name.rpartition(".")
        touches.add(Touch(Relation(schema, relation), effect))
    statement = Statement(
        frozenset({effect, *effects}),
        frozenset(touches),
        frozenset(functions),
        copies=copies,
        opaque=opaque,
        tag=tag,
        copy_out=CopyOut(touches.pop().relation) if effect is Effect.COPY_OUT else None,
    )
    return Reading((statement,))


# --- columns ----------------------------------------------------------------------------------


def test_a_declared_column_has_its_style_under_any_name_and_format() -> None:
    for format_ in (0, 1):
        assert cell(bound(), column(20001, 2, TEXT, format_)) is Style.KEEP_DOMAIN
        assert cell(bound(), column(20001, 3, TEXT, format_)) is Style.KEEP_LAST_4


def test_a_declared_column_is_masked_even_where_the_statement_seemed_harmless() -> None:
    assert cell(bound(), column(20001, 3), covered=False) is Style.KEEP_LAST_4


@pytest.mark.parametrize("type_", [INT8, NUMERIC, UUID, JSON, JSONB, 1082, 17, 18, 90002])
def test_a_masked_value_that_would_not_be_one_of_its_type_is_null(type_: int) -> None:
    for format_ in (0, 1):
        assert cell(bound(), column(20001, 3, type_, format_)) is Style.NULL


def test_a_type_that_borrows_the_output_of_text_is_text() -> None:
    assert cell(bound(), column(20001, 3, CITEXT, 1)) is Style.KEEP_LAST_4


@pytest.mark.parametrize(
    "where",
    [
        *((0, 0), (20001, 0), (20001, 9), (20003, 2), (20004, 1), (20005, 1), (99999, 1)),
        *((2619, 2), (12000, 1), (12001, 1), (0, 3)),
    ],
)
def test_what_is_no_column_of_an_ordinary_table_is_null_while_covered(
    where: tuple[int, int],
) -> None:
    assert cell(bound(), column(*where)) is Style.NULL
    assert cell(bound(), column(*where), covered=False) is Watch.TEXT


@pytest.mark.parametrize("where", [(20002, 2), (20001, 1), (20001, -1), (20006, 1), (1259, 2)])
def test_columns_of_known_tables_pass_beside_masked_ones(where: tuple[int, int]) -> None:
    assert cell(bound(MASKS.replace('"card", "ssn", "email"', "")), column(*where)) is None


@pytest.mark.parametrize(
    ("type_", "format_", "expected"),
    [
        *((TEXT, 0, Watch.TEXT), (TEXT, 1, Watch.TEXT), (CITEXT, 1, Watch.TEXT)),
        *((JSON, 0, Watch.JSON), (JSONB, 1, Watch.JSON), (TEXTS, 0, Watch.ARRAY)),
        *((TEXTS, 1, Watch.MEMBERS), (INT8, 0, Watch.NULL), (NUMERIC, 0, Watch.NULL)),
        *((INT8, 1, Watch.INT8), (NUMERIC, 1, Watch.NUMERIC), (17, 0, Watch.BYTEA)),
        *((UUID, 0, None), (23, 0, None), (1184, 0, None), (600, 1, None), (3614, 1, Watch.NULL)),
        *((90002, 0, Watch.NULL), (90002, 1, Watch.PARTS), (2249, 0, Watch.NULL)),
        *((2249, 1, Watch.PARTS), (1016, 1, Watch.PARTS), (142, 1, Watch.XML)),
        *((869, 0, Watch.NULL), (869, 1, Watch.INET)),
    ],
)
def test_a_hit_is_overwritten_only_where_a_value_is_left(
    type_: int, format_: int, expected: Watch | None
) -> None:
    assert cell(bound(), column(20002, 2, type_, format_)) is expected


def test_a_result_without_anything_to_do_has_no_plan() -> None:
    numbers = [column(20002, 1, 23), column(20002, 2, UUID)]
    assert bound().plan(numbers, covered=False) is None
    assert bound("").plan([column(0, 0)], covered=True) is None
    assert not bound("").active
    assert not Masking.load("").declared
    assert Masking.load(MASKS).declared
    assert bound('detectors = ["card"]').active


def test_rows_without_a_description_are_null() -> None:
    assert bound().unknown() is Plan.nulls
    assert bound().unknown(2).cells == (Style.NULL, Style.NULL)


# --- who and what is declared -----------------------------------------------------------------


def test_members_of_an_exempt_group_see_that_column_only() -> None:
    dba = bound(groups=["dba", "staff"])
    assert cell(dba, column(20001, 3)) is Watch.TEXT
    assert cell(dba, column(20001, 2)) is Style.KEEP_DOMAIN
    assert dba.names == {"email"}


def test_with_every_mask_exempt_nothing_is_covered() -> None:
    all_exempt = MASKS.replace('"keep-domain"', '"keep-domain"\nexempt = ["dba"]')
    dba = bound(all_exempt, groups=["dba"])
    assert not dba.covers(reading("customers", opaque=True))
    assert dba.refusal(reading("customers", effect=Effect.COPY_OUT)) is None


def test_without_a_catalog_everything_is_covered_and_null() -> None:
    blind = bound(catalog=None)
    assert blind.covers(reading())
    assert blind.covers(reading("orders"))
    assert cell(blind, column(20001, 2)) is Style.NULL
    assert blind.names == {"*"}
    assert blind.refusal(reading("t", effect=Effect.DDL)) is not None


@pytest.mark.parametrize(
    ("pattern", "masked"),
    [
        *(("*.*.email", True), ("public.c*.e?ail", True), ("PUBLIC.Customers.Email", True)),
        *(('public."customers".email', True), ('public."Customers".email', False)),
        *(
            ('public."c*".email', False),
            ("public.customers.mail", False),
            ("*.custom.email", False),
        ),
    ],
)
def test_patterns_of_column_names(pattern: str, masked: bool) -> None:
    text = f"[[mask]]\ncolumn = '{pattern}'\nstyle = \"full\""
    assert cell(bound(text), column(20001, 2)) is (Style.FULL if masked else None)
    assert bound(text).unmatched == (() if masked else (pattern,))


def test_two_masks_on_one_column_hide_what_either_hides() -> None:
    for styles, expected in [
        (("keep-domain", "keep-last-4"), Style.FULL),
        (("keep-domain", "keep-domain"), Style.KEEP_DOMAIN),
        (("full", "null"), Style.NULL),
        (("null", "keep-domain"), Style.NULL),
    ]:
        text = "".join(f'[[mask]]\ncolumn="*.*.email"\nstyle="{style}"\n' for style in styles)
        assert cell(bound(text), column(20001, 2)) is expected


def test_masks_go_along_inheritance_both_ways_by_column_name() -> None:
    catalog = Catalog(
        (
            table(30000, "people", "id", "email", kind="p"),
            table(30001, "people_a", "email", "id", parents=(30000,)),
            table(30002, "people_b", "id", "email", parents=(30000,)),
            table(30003, "people_b1", "x", "id", "email", parents=(30002,)),
            table(30004, "others", "email", "id"),
        )
    )
    declared = bound('[[mask]]\ncolumn="public.people_b.email"\nstyle="full"', catalog)
    for where in [(30000, 2), (30001, 1), (30002, 2), (30003, 3)]:
        assert cell(declared, column(*where)) is Style.FULL
    assert cell(declared, column(30004, 1)) is None
    for name in ("people", "people_a", "people_b1"):
        assert declared.covers(reading(name))
    assert not declared.covers(reading("others"))


def test_what_is_generated_from_a_masked_column_is_null() -> None:
    made = table(30000, "t", "ssn", "upper", "size", derived=((2, 1), (3, 2)))
    declared = bound('[[mask]]\ncolumn="public.t.ssn"\nstyle="full"', Catalog((made,)))
    assert cell(declared, column(30000, 2)) is Style.NULL


# --- statements -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("customers", "public.customers", "names", "totals", "far", "nobody_knows", "pg_temp.x"),
        *("pg_stats", "pg_statistic", "pg_stat_activity", "pg_catalog.pg_prepared_statements"),
        "pg_toast.pg_toast_20001",
    ],
)
def test_what_may_lead_to_a_masked_value_is_covered(name: str) -> None:
    assert bound().covers(reading("orders", name))


@pytest.mark.parametrize(
    "name",
    ["orders", "public.orders", "archive.customers", "pg_class", "pg_catalog.pg_class", "pg_roles"],
)
def test_what_leads_to_no_masked_value_is_not_covered(name: str) -> None:
    assert not bound().covers(reading(name))
    assert not bound().covers(reading("information_schema.columns"))


def test_a_table_with_the_name_of_a_system_table_is_not_taken_for_it() -> None:
    catalog = Catalog((*CATALOG.tables, table(20009, "pg_class", "x", kind="v")))
    assert bound(catalog=catalog).covers(reading("pg_class"))
    assert not bound(catalog=catalog).covers(reading("pg_catalog.pg_class"))


def test_what_cannot_be_read_is_covered_only_while_masks_are_declared() -> None:
    assert bound().covers(unreadable("too deep"))
    assert bound().covers(reading("orders", opaque=True))
    assert not bound('detectors = ["card"]').covers(unreadable("too deep"))
    assert not bound().covers(Reading(()))


def rule(found: tuple[str, str] | None) -> str | None:
    return found[0] if found else None


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (reading("customers"), None),
        (reading("customers", effect=Effect.COPY_OUT), None),  # masked as rows are
        (reading("names", effect=Effect.COPY_OUT), None),  # a view: the target says no
        (reading("brand_new", effect=Effect.COPY_OUT), "mask-copy-out"),
        (reading("orders", effect=Effect.COPY_OUT), None),
        (reading("customers", effects=[Effect.SERVER_FILE]), "mask-copy-out"),
        (reading("customers", effects=[Effect.PROGRAM]), "mask-copy-out"),
        (reading("customers", effect=Effect.INSERT), None),
        (reading("customers", "orders", effect=Effect.INSERT, copies=True), "mask-copies"),
        (reading("orders", effect=Effect.INSERT, copies=True), None),
        (reading("orders", effect=Effect.DDL), None),
        (reading("brand_new", effect=Effect.DDL), None),
        (reading("brand_new", effect=Effect.DDL, copies=True), None),
        (reading("brand_new", effect=Effect.DDL, copies=True, opaque=True), "mask-ddl"),
        (reading("customers", effect=Effect.DDL), "mask-ddl"),
        (reading("names", effect=Effect.DDL), "mask-ddl"),
        (reading(effect=Effect.DDL, opaque=True), "mask-ddl"),
        (reading("brand_new", effect=Effect.DDL, opaque=True), "mask-ddl"),
        (reading("customers", effects=[Effect.CALL], opaque=True), "mask-call"),
        (reading("orders", effects=[Effect.CALL], opaque=True), None),
        (reading(effects=[Effect.CALL], opaque=True, tag="DO"), "mask-call"),
        (reading("customers", functions=["set_config"]), "mask-call"),
        (reading("customers", functions=["pg_catalog.pg_notify"]), "mask-call"),
        (reading("customers", functions=["upper", "count"]), None),
        (unreadable("too deep"), None),  # the policy's business
    ],
)
def test_ways_to_carry_masked_values_elsewhere_are_refused(
    statement: Reading, expected: str | None
) -> None:
    assert rule(bound().refusal(statement)) == expected
    assert bound('detectors = ["card"]').refusal(statement) is None


def test_a_view_over_a_masked_table_cannot_be_made() -> None:
    made = Touch(Relation("", "brand_new"), Effect.DDL)
    over = Touch(Relation("", "customers"), Effect.READ)
    view = Statement(frozenset({Effect.DDL}), frozenset({made, over}))
    assert rule(bound().refusal(Reading((view,)))) == "mask-ddl"
    harmless = Statement(
        frozenset({Effect.DDL}), frozenset({made, Touch(Relation("", "orders"), Effect.READ)})
    )
    assert bound().refusal(Reading((harmless,))) is None


def test_one_refused_statement_refuses_the_message() -> None:
    good, bad = reading("orders"), reading("brand_new", effect=Effect.COPY_OUT)
    both = Reading(good.statements + bad.statements)
    found = bound().refusal(both)
    assert found is not None
    assert found[0] == "mask-copy-out"
    assert "COPY" in found[1]


def test_copying_is_told_apart_from_reading() -> None:
    assert rule(bound().refusal(reading("customers", copies=True))) == "mask-copies"
    assert bound().refusal(reading("customers")) is None
    assert bound().refusal(reading("orders", copies=True)) is None


def test_names_of_relations_from_the_client_do_not_fill_the_memory() -> None:
    of = bound()
    for number in range(20_000):
        of.covers(reading(f"name_{number}"))
    assert len(of._verdicts) <= 10_001


# --- the file ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "key", "said"),
    [
        ('detecters = ["card"]', 1, "detecters", 'did you mean "detectors"'),
        ('\ndetectors = ["crad"]', 2, "detectors", 'did you mean "card"'),
        ('detectors = "card"', 1, "detectors", "list of words"),
        ('[[mask]]\ncolumn = "a.b.c"\nstil = "full"', 3, "stil", 'did you mean "style"'),
        ('[[mask]]\ncolumn = "a.b"\nstyle = "full"', 2, "column", "schema.table.column"),
        ('[[mask]]\ncolumn = "a..c"\nstyle = "full"', 2, "column", "schema.table.column"),
        ('[[mask]]\ncolumn = \'"a"b.c.d\'\nstyle = "full"', 2, "column", "schema.table.column"),
        ('[[mask]]\ncolumn = 5\nstyle = "full"', 2, "column", "schema.table.column"),
        ('[[mask]]\ncolumn = "a.b.c"\nstyle = "ful"', 3, "style", 'did you mean "full"'),
        ('[[mask]]\ncolumn = "a.b.c"\nstyle = "blur"', 3, "style", "known are"),
        ('detectors = ["phone"]\nphone_regions = ["UK"]', 2, "phone_regions", "unknown region"),
        ('[[detector]]\nname = "x"\nmatch = ["x"]', 1, "pattern", 'wants "pattern"'),
        ('[[detector]]\nname = "x"\npattern = "x"', 1, "match", 'wants "match"'),
        ('[[detector]]\nname = "x"\npattern = "x"\nmatch = []', 4, "match", "an example"),
        ('[[detector]]\nname = "card"\npattern = "x"\nmatch = ["x"]', 2, "name", "already"),
        ('[[detector]]\nname = "A b"\npattern = "x"\nmatch = ["x"]', 2, "name", "not a name"),
        ('[[detector]]\nname = "x"\npattern = 5\nmatch = ["x"]', 3, "pattern", "is a text"),
        ('[[detector]]\nname = "x"\npattern = "x("\nmatch = ["x"]', 3, "pattern", "no RE2"),
        ('[[detector]]\nname = "x"\npattern = "(?=x)"\nmatch = ["x"]', 3, "pattern", "no RE2"),
        ('[[detector]]\nname = "x"\npattern = "é"\nmatch = ["x"]', 3, "pattern", "ASCII"),
        ('[[detector]]\nname = "x"\npattern = "x*"\nmatch = ["x"]', 3, "pattern", "empty text"),
        ('[[detector]]\nname = "x"\npattern = "x"\nmatch = ["y"]', 3, "pattern", "is to be found"),
        (
            '[[detector]]\nname = "x"\npattern = "x"\nmatch = ["x"]\nno_match = ["ax"]',
            *(3, "pattern", "is not to be found"),
        ),
        (
            '[[detector]]\nname = "x"\npattern = "x"\nmatch = ["x"]\nkeep = 99',
            *(5, "keep", "0 to 8"),
        ),
        (
            '[[detector]]\nname = "x"\npattern = "x"\nmatch = ["x"]\nchecksum = "lun"',
            *(5, "checksum", 'did you mean "luhn"'),
        ),
        ('[[mask]]\ncolumn = "a.b.c"', 1, "style", 'wants "style"'),
        ('[[mask]]\nstyle = "full"', 1, "column", 'wants "column"'),
        ('[[mask]]\ncolumn="a.b.c"\nstyle="full"\nexempt = "dba"', 4, "exempt", "list of words"),
        ('mask = "a.b.c"', 1, "mask", "[[mask]]"),
        ("\n\n[[mask]", 3, "", ""),
    ],
)
def test_what_is_not_understood_is_an_error_with_its_line(
    text: str, line: int, key: str, said: str
) -> None:
    with pytest.raises(MaskError) as caught:
        Masking.load(text)
    assert (caught.value.line, caught.value.key) == (line, key)
    assert said in caught.value.message


def test_the_file_of_the_example_folder_is_understood() -> None:
    from importlib.resources import files

    text = files("hoopagent").joinpath("example/masks.toml").read_text()
    assert "public.customers.ssn" in Masking.load(text).columns


def test_the_same_masks_on_the_same_catalog_are_bound_once() -> None:
    masking = Masking.load(MASKS)
    assert masking.bind(CATALOG, ["a"]) is masking.bind(CATALOG, ["b"])
    assert masking.bind(CATALOG, ["dba"]) is not masking.bind(CATALOG, ["b"])
    for _ in range(100):
        masking.bind(Catalog(()), ["a"])
    assert len(masking._bound) <= 10
