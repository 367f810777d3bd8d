"""Which columns a COPY of a relation gives, as far as the catalog can tell before it runs.

A COPY names no table in its reply, only how many columns there are.  So each relation that the name
may mean is one possibility, and whoever masks takes them all together.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from hoopcore.sql.catalog import Catalog, Table
from hoopcore.statement import CopyOut


class Copied(NamedTuple):
    """One column of a table, as text."""

    name: str
    table: int
    attnum: int
    type: int


Columns: TypeAlias = tuple[Copied, ...]


def possible(catalog: Catalog, copy: CopyOut) -> tuple[Columns, ...]:
    """The columns of each relation that it may be of; empty: of a query, or nobody knows."""
    if copy.relation is None:
        return ()
    found = []
    for table in catalog.named(copy.relation):
        columns = _of(table, copy.columns)
        if columns is not None:
            found.append(columns)
    return tuple(found)


def _of(table: Table, names: tuple[str, ...]) -> Columns | None:
    """None where the table has not all of them: the COPY fails then, if it is of this one."""
    every = {name: Copied(name, table.oid, attnum, kind) for attnum, name, kind in table.columns}
    if names:
        wanted = [every.get(name) for name in names]
        return tuple(one for one in wanted if one is not None) if None not in wanted else None
    made = {attnum for attnum, _ in table.derived}  # generated ones are left out
    return tuple(one for one in every.values() if one.attnum not in made)
