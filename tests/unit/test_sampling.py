"""Which tables are sampled, how much of them, and which columns one pattern may stand for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hoopagent.sampling import _percent, alike, tables_of
from hoopcore.sightings import Sighting
from hoopcore.sql.catalog import Catalog, Table
from tests.unit.test_masking import table

MAIL = Sighting("app", "t1", "mail", "text", "keep-domain", "email", 10, 9, True, True)


def tables(count: int, *more: str) -> list[Table]:
    return [
        table(30_000 + i, f"t{i}", "id", *(("mail",) if i <= count else more), schema="app")
        for i in range(1, count + 1 + bool(more))
    ]


def sighted(*names: str) -> list[Sighting]:
    return [replace(MAIL, table=name) for name in names]


def test_a_pattern_stands_for_columns_that_are_alike_in_every_table_that_has_one() -> None:
    assert alike(tables(3), sighted("t1", "t2", "t3")) == {("app", "mail"): "app.*.mail"}
    assert alike(tables(3, "other"), sighted("t1", "t2", "t3")) == {("app", "mail"): "app.*.mail"}


@pytest.mark.parametrize(
    "seen",
    [
        sighted("t1", "t2"),
        [*sighted("t1", "t2"), replace(MAIL, table="t3", style="full")],
        [*sighted("t1", "t2"), replace(MAIL, table="t3", sure=False)],
    ],
    ids=["one looks like nothing", "another style", "a doubt"],
)
def test_one_that_differs_keeps_them_apart(seen: list[Sighting]) -> None:
    assert alike(tables(3), seen) == {}
    assert alike(tables(2), sighted("t1", "t2")) == {}, "two are few"


def test_system_tables_views_and_partitions_are_not_sampled() -> None:
    catalog = Catalog(
        (
            table(20_001, "b", "id"),
            table(20_002, "a", "id", kind="p"),
            table(20_003, "a_1", "id", parents=(20_002,)),
            table(20_004, "child", "id", parents=(20_001,)),
            table(20_005, "seen", "id", kind="v"),
            table(20_006, "far", "id", kind="f"),
            table(1259, "pg_class", "oid", schema="pg_catalog"),
        )
    )
    assert [one.name for one in tables_of(catalog)] == ["a", "b", "child"]


def test_of_a_large_table_pages_are_drawn_and_a_small_one_is_read_from_its_start() -> None:
    assert _percent(10, 50, 200) is None
    drawn = _percent(1_000_000, 50, 200)
    assert drawn is not None
    assert 0 < drawn < 0.01
    unknown = _percent(1_000_000, 0, 1_000)
    assert unknown is not None
    assert unknown <= 100
