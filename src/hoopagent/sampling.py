"""Some rows of each table, looked at for what they hold; none of them is kept.

The agent asks on a connection of its own, in a read-only transaction for each table, so that one
that may not be read, is locked or takes too long is passed over and said to be.

Order of the file: which tables, what is asked of one, looking.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hoopagent.own import AskedInVain, Own, Row
from hoopcore.detectors import Sweep
from hoopcore.masking import Declared
from hoopcore.sightings import Looks, Sighting, is_read, look, sighting, type_of
from hoopcore.sql.catalog import Catalog, Table
from hoopcore.sql.spelling import spelled

# Of one value so many characters are looked at, and of one table so many bytes.
_LONGEST = 512
_MOST_BYTES = 16 << 20

_PATIENCE_MS = 5_000  # for one table
_LOCK_MS = 1_000  # for a table that somebody is changing

# search_path: nobody's function or operator stands in for PostgreSQL's own.
_BEGIN = (
    "BEGIN READ ONLY; SET LOCAL search_path = pg_catalog; SET LOCAL jit = off;"
    f" SET LOCAL statement_timeout = {_PATIENCE_MS}; SET LOCAL lock_timeout = {_LOCK_MS};"
    " SET LOCAL max_parallel_workers_per_gather = 0; "
)
_WHY = {
    "42501": "the agent's credential may not read it",
    "57014": f"it took longer than {_PATIENCE_MS // 1000} s",
    "55P03": "somebody has it locked",
    "42P01": "it is gone",
    "42703": "it has changed meanwhile",
}


class Column(NamedTuple):
    attnum: int
    name: str
    type: str
    form: str


@dataclass(slots=True)
class Found:
    """What came out, so far."""

    tables: int = 0  # to be looked at
    done: int = 0
    rows: int = 0
    at: str = ""  # the table that is being looked at
    declared: int = 0  # columns that have a mask already
    sightings: list[Sighting] = field(default_factory=list)
    patterns: dict[tuple[str, str], str] = field(default_factory=dict)  # see ``alike``
    inside: dict[str, list[str]] = field(default_factory=dict)  # kind → columns of longer texts
    skipped: list[tuple[str, str]] = field(default_factory=list)  # table, why


# --- which tables ---------------------------------------------------------------------------------


def tables_of(catalog: Catalog) -> list[Table]:
    """The ordinary tables of the users; a partitioned one stands for its partitions."""
    return sorted(
        (t for t in catalog.tables if t.ordinary and not t.system and not _is_part(catalog, t)),
        key=lambda table: (table.schema, table.name),
    )


def _is_part(catalog: Catalog, table: Table) -> bool:
    parents = (catalog.table(oid) for oid in table.parents)
    return any(parent is not None and parent.kind == "p" for parent in parents)


def _columns(catalog: Catalog, table: Table) -> Iterator[Column]:
    for attnum, name, oid in table.columns:
        known = type_of(oid, catalog.texts)
        if known is not None:
            yield Column(attnum, name, *known)


def alike(tables: Iterable[Table], sightings: Iterable[Sighting]) -> dict[tuple[str, str], str]:
    """(schema, column) → ``schema.*.column``, where all tables with such a column want one mask.

    Only for three and more.  A column of that name that looks like nothing, or has a mask already,
    keeps all of them apart.
    """
    having = Counter((table.schema, name) for table in tables for _, name, _ in table.columns)
    groups: dict[tuple[str, str], list[Sighting]] = {}
    for one in sightings:
        groups.setdefault((one.schema, one.column), []).append(one)
    return {
        place: f"{spelled(place[0])}.*.{spelled(place[1])}"
        for place, group in groups.items()
        if 3 <= len(group) == having[place]
        and len({(one.kind, one.style, one.sure) for one in group}) == 1
    }


# --- what is asked of one -------------------------------------------------------------------------


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _size(table: Table) -> str:
    """Pages of it, and rows on one page as far as PostgreSQL has counted."""
    asked = (
        "SELECT pg_relation_size(oid) / current_setting('block_size')::int8,"
        " CASE WHEN relpages > 0 THEN reltuples / relpages ELSE 20 END"
        " FROM pg_class WHERE oid ="
    )
    return f"{_BEGIN}{asked} {table.oid}; COMMIT"


def _query(table: Table, columns: Iterable[Column], rows: int, percent: float | None) -> str:
    """The first characters of each column, of some pages of the table or of its first rows."""
    shown = ", ".join(f"left({_text_of(one)}, {_LONGEST})" for one in columns)
    sample = "" if percent is None else f" TABLESAMPLE SYSTEM ({percent:.6f})"
    name = f"{_quoted(table.schema)}.{_quoted(table.name)}"
    # Names are quoted, and everything else is a number of ours.
    return f"{_BEGIN}SELECT {shown} FROM {name} AS t{sample} LIMIT {rows}; COMMIT"  # noqa: S608


def _text_of(column: Column) -> str:
    name = f"t.{_quoted(column.name)}"
    return f"host({name})" if column.form == "address" else f"{name}::text"


def _percent(pages: float, each: float, rows: int) -> float | None:
    """How much of a large table gives twice as many rows, on twenty pages at least."""
    wanted = max(2 * rows / max(each, 1.0), 20)
    return None if pages <= 4 * wanted else max(100 * wanted / pages, 0.000_001)


# --- looking --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sampling:
    """One database, looked at table by table."""

    own: Own
    catalog: Catalog
    declared: Declared
    sweep: Sweep
    rows: int  # of each table, at most

    async def run(self, found: Found) -> None:
        """All tables; ``found`` grows meanwhile."""
        tables = tables_of(self.catalog)
        found.tables = len(tables)
        for table in tables:
            found.at = spelled(table.schema, table.name)
            masked = self.declared.get(table.oid, {})
            found.declared += len(masked)
            columns = [one for one in _columns(self.catalog, table) if one.attnum not in masked]
            try:
                looks = await self._looks(table, columns, found)
            except AskedInVain as problem:
                await self.own.rows("ROLLBACK")
                why = _WHY.get(problem.code, f"the target says no ({problem.code})")
                found.skipped.append((found.at, why))
                looks = {}
            self._conclude(table, columns, looks, found)
            found.done += 1
        found.at = ""
        found.patterns = alike(tables, found.sightings)

    async def _looks(
        self, table: Table, columns: Iterable[Column], found: Found
    ) -> dict[int, Looks]:
        """What the values of each column look like, by attnum."""
        read = [one for one in columns if is_read(one.form)]
        if not read:
            return {}
        rows = max(10, min(self.rows, _MOST_BYTES // (_LONGEST * len(read))))
        percent = None
        if table.kind == "r":
            ((pages, each),) = await self.own.rows(_size(table)) or [("0", "20")]
            percent = _percent(float(pages or 0), float(each or 0), rows)
        sampled = await self.own.rows(_query(table, read, rows, percent), lossy=True)
        if percent is not None and not sampled:  # it happens that no page is drawn
            sampled = await self.own.rows(_query(table, read, rows, None), lossy=True)
        found.rows += len(sampled)
        # Thousands of values take part of a second, and sessions go on meanwhile.
        return await asyncio.to_thread(_seen, read, sampled, self.sweep)

    def _conclude(
        self, table: Table, columns: Iterable[Column], looks: Mapping[int, Looks], found: Found
    ) -> None:
        for column in columns:
            seen = looks.get(column.attnum, Looks())
            place = (table.schema, table.name, column.name)
            one = sighting(place, column.type, column.form, seen)
            if one is not None:
                found.sightings.append(one)
                continue
            for kind in seen.inside | seen.whole:
                found.inside.setdefault(kind, []).append(spelled(*place))


def _seen(columns: Sequence[Column], rows: Sequence[Row], sweep: Sweep) -> dict[int, Looks]:
    values = zip(*rows, strict=True) if rows else iter([()] * len(columns))
    return {
        column.attnum: look((None if v is None else v.encode() for v in one), sweep)
        for column, one in zip(columns, values, strict=True)
    }
