"""Declared masks on a catalog: which columns of which tables have which style.

Order: the whole, and the steps to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from hoopcore.masks_file import Mask
from hoopcore.model import Atom
from hoopcore.sql.catalog import Catalog, Table
from hoopcore.styles import Style

Declared: TypeAlias = Mapping[int, Mapping[int, Style]]
"""Oid of a table → attnum → style."""


def stricter(one: Style | None, other: Style) -> Style:
    """The style that hides what either hides, so that the order of the file does not matter."""
    if one is None or one is other:
        return other
    return Style.NULL if Style.NULL in (one, other) else Style.FULL


def declared_on(catalog: Catalog | None, masks: Sequence[Mask]) -> Declared:
    """Which columns of which ordinary tables are masked.

    A row of a child is read through its parents too, and an UPDATE of a partition key moves rows
    between siblings: so a mask goes along pg_inherits both ways, as far as there are columns of
    that name.  What is computed from a masked column (GENERATED) is NULL.
    """
    styles: dict[int, dict[int, Style]] = {}
    if catalog is None:
        return styles
    for mask in masks:
        for name in catalog.column_names():
            if not mask.name.fullmatch(name):
                continue
            named = [t for t in catalog.with_column(name) if _is_on(mask, t)]
            for table in _family(catalog, named, name):
                attnum = next(number for number, column, _ in table.columns if column == name)
                of_table = styles.setdefault(table.oid, {})
                of_table[attnum] = stricter(of_table.get(attnum), mask.style)
    for oid, of_table in styles.items():
        owner = catalog.table(oid)
        _spread(of_table, owner.derived if owner else ())
    return styles


def without(
    declared: Declared, catalog: Catalog | None, unmasks: frozenset[Atom]
) -> tuple[Declared, Declared]:
    """What stays masked, and what these atoms show.

    A column that is computed from another one stays masked unless it is named itself.
    """
    if not unmasks or catalog is None:
        return declared, {}
    masked: dict[int, dict[int, Style]] = {}
    clear: dict[int, dict[int, Style]] = {}
    for oid, styles in declared.items():
        table = catalog.table(oid)
        names = {attnum: name for attnum, name, _ in table.columns} if table is not None else {}
        for attnum, style in styles.items():
            shows = table is not None and any(
                atom.unmasks(table.schema, table.name, names.get(attnum, "")) for atom in unmasks
            )
            (clear if shows else masked).setdefault(oid, {})[attnum] = style
    return masked, clear


def _is_on(mask: Mask, table: Table) -> bool:
    # A pattern such as *.*.name is meant for the user's tables, not for PostgreSQL's own.
    named = mask.schema.fullmatch(table.schema) and mask.table.fullmatch(table.name)
    return named is not None and not table.system


def _family(catalog: Catalog, tables: Sequence[Table], column: str) -> list[Table]:
    """The tables and all kin that are reached through tables with a column of this name."""
    with_column = {table.oid for table in catalog.with_column(column)}
    found = {table.oid: table for table in tables}
    waiting = list(tables)
    while waiting:
        for kin in catalog.kin(waiting.pop()):
            if kin.oid in with_column and kin.oid not in found:
                found[kin.oid] = kin
                waiting.append(kin)
    return list(found.values())


def _spread(of_table: dict[int, Style], derived: Sequence[tuple[int, int]]) -> None:
    """Generated columns that are computed from a masked one, and have no mask, are NULL."""
    for made, source in derived:  # a generated column is never computed from a generated one
        if source in of_table:
            of_table.setdefault(made, Style.NULL)
