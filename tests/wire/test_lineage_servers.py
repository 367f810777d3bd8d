"""Lineage beside real servers: what it calls clean does not change with what is masked.

Two databases hold the same rows, but for the values of masked columns, which are others (and NULL
in the same places).  A column of a result that lineage lets pass has to be the same in both; one
that shows a part of a masked value has to hold such a value as it stands.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import psycopg
import pytest

from hoopcli.demo.postgres import Postgres
from hoopcore.masking import Bound, Column, Masking, Plan
from hoopcore.sql.postgres import read
from hoopcore.statement import Reading
from hoopcore.styles import Style
from tests.wire.lineage_generator import Maker
from tests.wire.lineage_statements import (
    CLEAN,
    COVERED,
    MASKED,
    MASKS,
    REFUSED,
    ROWS,
    SCHEMA,
)
from tests.wire.test_catalog_read import read_now

# What PostgreSQL 15 does not know.
_LATER = re.compile(
    r"json_(array|object|objectagg|query|table)\(|merge.*returning|(old|new)\.|with \(old"
)


class World(NamedTuple):
    """Both databases, open, and the masks on the first one's catalog."""

    bound: Bound
    databases: tuple[psycopg.Connection[tuple[object, ...]], ...]
    major: int


@pytest.fixture(scope="module", params=["postgres", "postgres15"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    server: Postgres = request.getfixturevalue(request.param)
    names = ("lineage_a", "lineage_b")
    server.psql(f"create database {names[0]}")
    server.psql(SCHEMA, names[0])
    server.psql(f"create database {names[1]} template {names[0]}")  # the same oids
    for name, letter, of_row in zip(names, "ab", ("i", "(13 - i)"), strict=True):
        server.psql(ROWS.format(s=letter, k=of_row), name)
    bound = Masking.load(MASKS).bind(read_now(server, database=names[0]))
    where = f"host=127.0.0.1 port={server.port} user=postgres password={server.password}"
    opened = [psycopg.connect(f"{where} dbname={name}", autocommit=True) for name in names]
    major = opened[0].info.server_version // 10000
    try:
        yield World(bound, tuple(opened), major)
    finally:
        for connection in opened:
            connection.close()


class Failed(Exception):
    """A statement that the server does not take."""


class Result(NamedTuple):
    columns: list[Column]
    rows: list[tuple[bytes | None, ...]]
    tables: list[
        list[object]
    ]  # what is in those columns of all tables that have no mask, behind it


def meant(world: World, text: str) -> Reading:
    catalog = world.bound.catalog
    assert catalog is not None
    return catalog.meant(read(text.encode()))


def ran(world: World, which: int, text: str, *, writes: bool) -> Result:
    """The result in one of the databases, nothing of which stays."""
    connection = world.databases[which]
    pg = connection.pgconn
    pg.exec_(b"begin")
    try:
        result = pg.exec_params(text.encode(), [])
        if result.error_message:
            raise Failed(result.error_message.decode())
        columns = [
            Column(
                (result.fname(n) or b"").decode(),
                result.ftable(n),
                result.ftablecol(n),
                result.ftype(n),
                result.fformat(n),
            )
            for n in range(result.nfields)
        ]
        rows = [
            tuple(result.get_value(row, n) for n in range(result.nfields))
            for row in range(result.ntuples)
        ]
        return Result(columns, rows, _unmasked(connection) if writes else [])
    finally:
        pg.exec_(b"rollback")


def _unmasked(connection: psycopg.Connection[tuple[object, ...]]) -> list[list[object]]:
    """The values of all columns without a mask, of all tables, as the transaction sees them."""
    found = connection.execute(
        "select c.oid::regclass::text, a.attname, c.relname from pg_class c"
        " join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"
        " where c.relkind = 'r' and c.oid >= 16384"
        " and c.relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema')"
        " order by 1, 2"
    ).fetchall()
    return [
        [table, column, sorted(map(str, connection.execute(f'select "{column}" from {table}')))]
        for table, column, name in found
        if (str(name), str(column)) not in MASKED
    ]


def planned(world: World, text: str, columns: list[Column]) -> Plan | None:
    reading = meant(world, text)
    covered = reading.opaque or world.bound.covers(reading)
    statement = world.bound.traceable(reading, 0) if covered else None
    return world.bound.plan(columns, covered, "UTF8", statement)


def differs(world: World, text: str) -> list[str]:
    """What is wrong with the plan of this text: columns that tell of masked values."""
    refusal = world.bound.refusal(meant(world, text))
    # Lineage has to hold, too, of what is refused for the rows that would come.
    if refusal is not None and refusal[0] != "mask-tells":
        return []
    try:
        return list(_differs(world, text))
    except Failed as problem:  # a server may be built without XML
        return [] if "unsupported XML" in str(problem) else [str(problem)]


def _differs(world: World, text: str) -> Iterator[str]:
    writes = not text.lower().startswith(("select", "values", "table"))
    one, other = (ran(world, which, text, writes=writes) for which in (0, 1))
    plan = planned(world, text, one.columns)
    if one.tables != other.tables:
        yield "what it writes hangs on masked values"
    cells = plan.cells if plan is not None else (None,) * len(one.columns)
    assert cells is not None
    shown = [n for n, cell in enumerate(cells) if cell is None]
    # With nothing shown, how many rows there are is inference.
    if shown and _only(one.rows, shown) != _only(other.rows, shown):
        yield "columns that pass hang on masked values"
    values = masked_values(world)
    for n, cell in enumerate(cells):
        if cell in (None, Style.NULL):
            continue
        same = Counter(row[n] for row in other.rows)
        for value, count in Counter(row[n] for row in one.rows).items():
            if value is not None and value not in values and same[value] < count:
                yield f"column {n} shows a part of what is no masked value itself"
                break


def _only(rows: list[tuple[bytes | None, ...]], places: list[int]) -> Counter[object]:
    return Counter(tuple(row[n] for n in places) for row in rows)


_VALUES: dict[int, set[bytes]] = {}


def masked_values(world: World) -> set[bytes]:
    key = id(world.bound)
    if key not in _VALUES:
        _VALUES[key] = {
            str(row[0]).encode()
            for table, column in MASKED
            for row in world.databases[0].execute(f"select {column} from {table}")
        }
    return _VALUES[key]


def known(world: World, text: str) -> bool:
    """Whether this server has what the text uses."""
    return world.major >= 17 or _LATER.search(text) is None


def needless(world: World, text: str) -> list[str]:
    """Columns that lineage hides though nothing masked is in them."""
    if (refusal := world.bound.refusal(meant(world, text))) is not None:
        return [refusal[0]]
    try:
        columns = ran(world, 0, text, writes=False).columns
    except Failed as problem:
        return [str(problem)]
    plan = planned(world, text, columns)
    cells = plan.cells if plan is not None else (None,) * len(columns)
    pairs = zip(columns, cells or (), strict=True)
    return [one.name for one, cell in pairs if cell and one.name not in ("email", "ssn", "born")]


def test_what_is_not_computed_from_masked_columns_passes_whole(world: World) -> None:
    assert {text: found for text in CLEAN if (found := needless(world, text))} == {}


def test_what_passes_does_not_change_with_what_is_masked(world: World) -> None:
    texts = [text for text in (*CLEAN, *COVERED) if known(world, text)]
    assert {text: found for text in texts if (found := differs(world, text))} == {}


def test_what_reads_masked_columns_is_not_refused(world: World) -> None:
    refused = {text: world.bound.refusal(meant(world, text)) for text in COVERED}
    found = {text: rule for text, rule in refused.items() if rule and rule[0] != "mask-tells"}
    assert found == {}


def test_what_would_write_a_masked_value_is_refused(world: World) -> None:
    assert [text for text in REFUSED if world.bound.refusal(meant(world, text)) is None] == []


LONG = bool(os.environ.get("HOOP_LONG"))
SEEDS = 20_000 if LONG else 120
_TAKEN = 0.5  # of what is made; the rest are errors of type or grouping


@pytest.mark.timeout(3600 if LONG else 300)
def test_what_passes_of_random_queries_does_not_change_with_what_is_masked(world: World) -> None:
    for connection in world.databases:
        connection.execute("set statement_timeout = 150; set jit = off")  # products of many rows
        # Which of rows that tie comes first under a LIMIT is a race between workers.
        connection.execute("set max_parallel_workers_per_gather = 0")
    taken, problems = 0, dict[str, list[str]]()
    for seed in range(SEEDS):
        text = Maker(seed).statement()
        try:
            found = list(_differs(world, text))
        except Failed:
            continue
        taken += 1
        if found:
            problems[text] = found
    assert not problems, "\n".join(problems)
    assert taken > SEEDS * _TAKEN
