"""What a database has, as far as masks must know it: relations, their columns, who inherits.

A catalog is read on the agent's own connection and then only looked at.  It is what tells an
ordinary table, whose columns mean themselves, from everything else that can stand behind a name.

First the values, then the three queries they are made from (PostgreSQL 13 to 18).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hoopcore.sql.behind import NO_DEPTHS, Deep, Depths
from hoopcore.sql.grammar import CannotParse, tokens
from hoopcore.sql.lineage_values import Column
from hoopcore.sql.postgres import IN_PROCESS, read
from hoopcore.statement import Beneath, Effect, Reading, Relation, Statement

FIRST_USER_OID = 16384
"""Objects with a smaller oid were made by initdb (FirstNormalObjectId in PostgreSQL)."""

_MOST_MEANT = 1024
_SHORT = 256  # constants of a text whose reading is kept; long ones hardly come again


@dataclass(frozen=True, slots=True)
class Table:
    """One relation.  ``kind`` is pg_class.relkind: r and p are ordinary, v, m, f, S are not."""

    oid: int
    schema: str
    name: str
    kind: str
    columns: tuple[tuple[int, str, int], ...]  # attnum, name, type oid; dropped ones left out
    parents: tuple[int, ...] = ()  # oids it inherits from, or is a partition of
    derived: tuple[tuple[int, int], ...] = ()  # generated attnum, attnum it is computed from

    @property
    def ordinary(self) -> bool:
        """Whether its rows are its own: a table or a partitioned table."""
        return self.kind in ("r", "p")

    @property
    def system(self) -> bool:
        """Whether initdb made it."""
        return self.oid < FIRST_USER_OID


@dataclass(frozen=True, eq=False)
class Catalog:
    """All relations of one database at one moment.  Two catalogs are equal iff they are one.

    ``texts`` are the types beyond PostgreSQL's own whose values are plain text in either format
    (citext), so that a masked text is a value of theirs.  ``code`` are names of functions that
    somebody made here, ``fields`` those of them that ``row.name`` may call.
    """

    tables: tuple[Table, ...]
    texts: frozenset[int] = frozenset()
    code: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()
    depths: Depths = NO_DEPTHS
    views: Mapping[int, str] = field(default_factory=dict)  # what each view selects
    schemas: frozenset[str] = field(init=False, repr=False)  # that have a relation
    _by_oid: dict[int, Table] = field(init=False, repr=False)
    _by_name: dict[str, tuple[Table, ...]] = field(init=False, repr=False)
    _with_column: dict[str, list[Table]] = field(init=False, repr=False)
    _children: dict[int, list[int]] = field(init=False, repr=False)
    _viewed: dict[int, Statement | None] = field(init=False, repr=False)
    # Of relations: where the values of their columns come from, once lineage was asked for.
    traced: dict[int, tuple[Column, ...]] = field(init=False, repr=False)
    # By identity: the same readings are asked about at every run.
    _meant: dict[int, tuple[Reading, frozenset[str], Reading]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names: dict[str, tuple[Table, ...]] = {}
        columns: dict[str, list[Table]] = {}
        children: dict[int, list[int]] = {}
        for table in self.tables:
            names[table.name] = (*names.get(table.name, ()), table)
            for _, column, _ in table.columns:
                columns.setdefault(column, []).append(table)
            for parent in table.parents:
                children.setdefault(parent, []).append(table.oid)
        object.__setattr__(self, "_by_oid", {table.oid: table for table in self.tables})
        object.__setattr__(self, "_by_name", names)
        object.__setattr__(self, "schemas", frozenset(table.schema for table in self.tables))
        object.__setattr__(self, "_with_column", columns)
        object.__setattr__(self, "_children", children)
        for name in ("_meant", "_viewed", "traced"):
            object.__setattr__(self, name, {})

    def table(self, oid: int) -> Table | None:
        return self._by_oid.get(oid)

    def named(self, relation: Relation) -> tuple[Table, ...]:
        """All that the name may mean: of any schema where it names none.  Empty: not known."""
        found = self._by_name.get(relation.name, ())
        if not relation.schema:
            return found
        return tuple(table for table in found if table.schema == relation.schema)

    def column_names(self) -> Iterable[str]:
        """Every name that some column has, once."""
        return self._with_column

    def with_column(self, name: str) -> Sequence[Table]:
        """The relations that have a column of this name."""
        return self._with_column.get(name, ())

    def kin(self, table: Table) -> list[Table]:
        """Parents and children along pg_inherits, one step."""
        oids = (*table.parents, *self._children.get(table.oid, ()))
        return [self._by_oid[oid] for oid in oids if oid in self._by_oid]

    def meant(self, reading: Reading, harmless: frozenset[str] = frozenset()) -> Reading:
        """The reading, with the calls and the relations beneath that only this database can tell.

        ``age(p)`` is PostgreSQL's own, or somebody's ``age`` of the same name for another type, and
        ``p.total`` is a column or a function of the row: a text does not tell.  ``harmless`` are
        those that the target's config names.
        """
        if not self.code and not self.depths:
            return reading
        kept = self._meant.get(id(reading))
        if kept is not None and kept[0] is reading and kept[1] is harmless:
            return kept[2]
        found = tuple(self._told(statement, harmless) for statement in reading.statements)
        if all(new is old for new, old in zip(found, reading.statements, strict=True)):
            meant = reading
        else:
            meant = replace(reading, statements=found)
        if len(reading.literals) <= _SHORT:
            if len(self._meant) >= _MOST_MEANT:
                self._meant.clear()
            self._meant[id(reading)] = (reading, harmless, meant)
        return meant

    def _told(self, statement: Statement, harmless: frozenset[str]) -> Statement:
        if self._calls(statement, harmless):
            statement = _calling(statement)
        beneath = self._beneath(statement, harmless) if self.depths else None
        return statement if beneath is None else replace(statement, beneath=beneath)

    def _beneath(self, statement: Statement, harmless: frozenset[str]) -> Beneath | None:
        return Deep(self, self.depths, harmless).of(statement)

    def view(self, oid: int) -> Statement | None:
        """What a view selects, as its own text says; None where that is not known."""
        if oid not in self._viewed:
            text = self.views.get(oid, "")
            reading = read(text.encode()) if text and _may_be_read(text) else None
            known = reading is not None and len(reading.statements) == 1
            self._viewed[oid] = reading.statements[0] if known and reading else None
        return self._viewed[oid]

    def relation(self, oid: int) -> Relation | None:
        """Its name, of what has one here."""
        table = self._by_oid.get(oid)
        return None if table is None else Relation(table.schema, table.name)

    def oids(self, relation: Relation) -> list[int]:
        """Of all that the name may mean."""
        return [table.oid for table in self.named(relation)]

    def _calls(self, statement: Statement, harmless: frozenset[str]) -> bool:
        names = {name.rpartition(".")[2] for name in statement.functions - harmless}
        return not (
            self.code.isdisjoint(names) and self.fields.isdisjoint(statement.columns - harmless)
        )


def _calling(statement: Statement) -> Statement:
    """The same, of a statement that runs code which is not known."""
    effects = statement.effects | {Effect.CALL}
    writes = not effects.isdisjoint((Effect.INSERT, Effect.UPDATE, Effect.DDL))
    return replace(statement, effects=effects, opaque=True, copies=statement.copies or writes)


# Nesting takes a token a level, so this is no deeper than what IN_PROCESS bytes can hold: names
# make a view long, not deep.
_MOST_TOKENS = IN_PROCESS // 2
_LONGEST_VIEW = 16 << 10


def _may_be_read(text: str) -> bool:
    """Whether the parser cannot be killed by it, nor kept busy."""
    size = len(text.encode())
    if size > IN_PROCESS:
        try:
            return size <= _LONGEST_VIEW and len(tokens(text)) <= _MOST_TOKENS
        except CannotParse:
            return False
    return True


# Temporary tables are left out: they are one session's own, and another session's are not
# reachable.  So are indexes, composite types and TOAST tables: a name of theirs is not known, and
# what is not known counts as covered.  What a generated column is computed from stands in
# pg_depend: since PostgreSQL 15 with its expression, before that with the column.
CATALOG_QUERY = """
SELECT c.oid::int8, n.nspname::text, c.relname::text, c.relkind::text,
       coalesce(a.attnums, '{}'), coalesce(a.names, '{}'), coalesce(a.types, '{}'),
       coalesce(i.parents, '{}'), coalesce(d.made, '{}'), coalesce(d.sources, '{}')
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN (
    SELECT attrelid, array_agg(attnum::int4 ORDER BY attnum) AS attnums,
           array_agg(attname::text ORDER BY attnum) AS names,
           array_agg(atttypid::int8 ORDER BY attnum) AS types
    FROM pg_catalog.pg_attribute WHERE attnum > 0 AND NOT attisdropped GROUP BY attrelid
) a ON a.attrelid = c.oid
LEFT JOIN (
    SELECT inhrelid, array_agg(inhparent::int8 ORDER BY inhseqno) AS parents
    FROM pg_catalog.pg_inherits GROUP BY inhrelid
) i ON i.inhrelid = c.oid
LEFT JOIN (
    SELECT g.attrelid, array_agg(g.attnum::int4 ORDER BY g.attnum, s.refobjsubid) AS made,
           array_agg(s.refobjsubid::int4 ORDER BY g.attnum, s.refobjsubid) AS sources
    FROM pg_catalog.pg_attribute g
    JOIN pg_catalog.pg_attrdef e ON e.adrelid = g.attrelid AND e.adnum = g.attnum
    JOIN pg_catalog.pg_depend s
      ON s.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND s.refobjid = g.attrelid
     AND s.refobjsubid > 0 AND s.refobjsubid <> g.attnum
     AND (s.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND s.objid = e.oid
          OR s.classid = s.refclassid AND s.objid = g.attrelid AND s.objsubid = g.attnum)
    WHERE g.attgenerated <> '' AND NOT g.attisdropped GROUP BY g.attrelid
) d ON d.attrelid = c.oid
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't'
"""

# Types that borrow both the text output and the binary output of text, such as citext.
TEXTS_QUERY = """
SELECT t.oid::int8
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_proc o ON o.oid = t.typoutput
JOIN pg_catalog.pg_proc s ON s.oid = t.typsend
JOIN pg_catalog.pg_language l ON l.oid = o.prolang AND l.oid = s.prolang AND l.lanname = 'internal'
WHERE o.prosrc IN ('textout', 'varcharout', 'bpcharout')
  AND s.prosrc IN ('textsend', 'varcharsend', 'bpcharsend')
"""

# What an extension brings is not somebody's own: citext has a replace() and a max() of its own.
CODE_QUERY = """
SELECT DISTINCT p.proname::text,
       p.pronargs >= 1 AND p.pronargs - p.pronargdefaults <= 1 AND t.typtype IN ('c', 'd', 'p')
FROM pg_catalog.pg_proc p
LEFT JOIN pg_catalog.pg_type t ON p.pronargs >= 1 AND t.oid = p.proargtypes[0]
WHERE p.oid >= 16384
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d
    WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
      AND d.deptype = 'e'
  )
"""

# Under search_path = pg_catalog its names are whole.  Temporary views are one session's own.
VIEWS_QUERY = """
SELECT c.oid::int8, pg_catalog.pg_get_viewdef(c.oid)
FROM pg_catalog.pg_class c
WHERE c.relkind IN ('v', 'm') AND c.oid >= 16384 AND c.relpersistence <> 't'
"""


def catalog_of(
    relations: Iterable[Sequence[Any]],
    texts: Iterable[Sequence[Any]],
    code: Iterable[Sequence[Any]] = (),
    depths: Depths = NO_DEPTHS,
    views: Iterable[Sequence[Any]] = (),
) -> Catalog:
    """The catalog from the rows of the four queries, and what is behind its names."""
    tables = tuple(
        Table(
            oid,
            schema,
            name,
            kind,
            tuple(zip(attnums, names, types, strict=True)),
            tuple(parents),
            tuple(zip(made, sources, strict=True)),
        )
        for oid, schema, name, kind, attnums, names, types, parents, made, sources in relations
    )
    functions = [(str(name), bool(is_field)) for name, is_field in code]
    return Catalog(
        tables,
        frozenset(row[0] for row in texts),
        frozenset(name for name, _ in functions),
        frozenset(name for name, is_field in functions if is_field),
        depths,
        {oid: text for oid, text in views if text},
    )
