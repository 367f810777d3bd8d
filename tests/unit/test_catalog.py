"""A catalog says what a name may mean."""

from __future__ import annotations

from hoopcore.sql.catalog import Catalog, Table, catalog_of
from hoopcore.sql.system import is_harmless
from hoopcore.statement import Relation

ROWS = [
    (20001, "public", "people", "p", [1, 3], ["id", "email"], [23, 25], [], [], []),
    (20002, "public", "people_a", "r", [1, 2], ["id", "email"], [23, 25], [20001, 7], [], []),
    (20003, "archive", "people", "r", [1], ["id"], [23], [], [1], [2]),
    (20004, "public", "v", "v", [1], ["id"], [23], [], [], []),
]
CATALOG = catalog_of(ROWS, [(90001,)])


def oids(tables: tuple[Table, ...] | list[Table]) -> list[int]:
    return [table.oid for table in tables]


def test_a_name_without_a_schema_may_mean_a_relation_of_any() -> None:
    assert oids(CATALOG.named(Relation("", "people"))) == [20001, 20003]
    assert oids(CATALOG.named(Relation("archive", "people"))) == [20003]
    assert CATALOG.named(Relation("pg_temp", "people")) == ()
    assert CATALOG.named(Relation("", "People")) == ()


def test_columns_keep_their_numbers_where_others_were_dropped() -> None:
    people = CATALOG.table(20001)
    assert people is not None
    assert people.columns == ((1, "id", 23), (3, "email", 25))
    assert CATALOG.table(1) is None
    assert CATALOG.texts == {90001}


def test_kin_are_parents_and_children_that_are_known() -> None:
    people, part = CATALOG.tables[:2]
    assert oids(CATALOG.kin(people)) == [20002]
    assert oids(CATALOG.kin(part)) == [20001]
    assert CATALOG.kin(CATALOG.tables[3]) == []


def test_only_tables_and_partitioned_tables_are_ordinary() -> None:
    assert [table.ordinary for table in CATALOG.tables] == [True, True, True, False]


def test_two_readings_of_the_same_rows_are_two_catalogs() -> None:
    assert catalog_of(ROWS, []) != catalog_of(ROWS, [])
    assert Catalog(()) != Catalog(())


def test_only_what_initdb_made_can_be_harmless() -> None:
    def table(name: str, *, oid: int = 1000, schema: str = "pg_catalog", kind: str = "r") -> Table:
        return Table(oid, schema, name, kind, ())

    assert is_harmless(table("pg_class"))
    assert is_harmless(table("pg_roles", kind="v"))
    assert is_harmless(table("columns", schema="information_schema", kind="v"))
    for secret in ("pg_statistic", "pg_statistic_ext_data", "pg_largeobject", "pg_authid"):
        assert not is_harmless(table(secret))
    for telling in ("pg_stats", "pg_stats_ext", "pg_stat_activity", "pg_cursors", "pg_sequences"):
        assert not is_harmless(table(telling, kind="v"))
    assert not is_harmless(table("pg_class", oid=20000))
    assert not is_harmless(table("columns", oid=20000, schema="information_schema", kind="v"))
    assert not is_harmless(table("pg_toast_1", schema="pg_toast", kind="t"))
