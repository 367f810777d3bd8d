"""Lineage: which base columns every column of a result is computed from.

A statement keeps its tree (``Statement.flow``), and the catalog says what its names mean: the two
make its lineage, here, when a mask asks for it.  What is not certain is not known, and then every
column counts as computed from masked ones (decision 0026).

The steps are in ``lineage_expressions``, ``lineage_from``, ``lineage_queries`` and
``lineage_changes``, each a layer on the one before; what they are made of in ``lineage_values`` and
``lineage_scope``.

Order: the entry, relations, views.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from hoopcore.sql.catalog import FIRST_USER_OID, Catalog, Table
from hoopcore.sql.grammar import unpacked
from hoopcore.sql.lineage_changes import Changes
from hoopcore.sql.lineage_scope import Source
from hoopcore.sql.lineage_values import (
    MADE,
    PSEUDO,
    Base,
    Column,
    Lineage,
    NotKnown,
    Output,
    Value,
    computed,
)
from hoopcore.statement import Relation, Statement

__all__ = ["Base", "Lineage", "Output", "lineage", "runs_own"]

# A select of all columns of ten tables spends some hundreds; ten milliseconds are some 10,000.
_EFFORT: Final = 60_000


def lineage(statement: Statement, catalog: Catalog) -> Lineage:
    """Of any statement.  Where it is not known, ``outputs`` is None and ``why`` says why."""
    if statement.opaque:
        return Lineage(None, why="it may do what its text does not show")
    if statement.flow is None:
        return Lineage(None, why="it is of a kind that is not traced")
    tracing = _Tracing(catalog, statement)
    try:
        if runs_own(statement, catalog):
            raise NotKnown("it may call a function or an operator that is not known")
        outputs = tuple(map(_output, tracing.statement(unpacked(statement.flow))))
    except NotKnown as problem:
        return Lineage(None, why=str(problem))
    except Exception:  # noqa: BLE001 - fail closed: a tree we did not think of is not traced
        return Lineage(None, why="its tree is not understood")
    written = frozenset(tracing.written - PSEUDO)
    decides, within = tuple(tracing.decides), frozenset(tracing.within)
    if statement.tag == "EXPLAIN":  # its rows tell of the plan, and of what a run would do
        return Lineage(None, written, "it shows a plan", decides, within, True)
    return Lineage(outputs, written, "", decides, within, True)


def runs_own(statement: Statement, catalog: Catalog | None) -> bool:
    """Whether code of somebody's may run under a name of PostgreSQL's."""
    if catalog is None:
        return True
    names = {name.rpartition(".")[2] for name in statement.functions}
    return not (
        catalog.code.isdisjoint(names)
        and catalog.fields.isdisjoint(statement.columns)
        and catalog.depths.operators.isdisjoint(statement.operators)
    )


def _output(column: Column) -> Output:
    value = column.value
    made = not value.derived.isdisjoint(MADE.derived)
    return Output(column.name, value.copied, value.derived - PSEUDO, column.origins, made)


class _Tracing(Changes):
    """One statement on one catalog.

    ``inside`` are the views it is within: there a name without a schema is PostgreSQL's own, since
    the text of a view is read with nothing else in sight.
    """

    def __init__(
        self,
        catalog: Catalog,
        statement: Statement,
        inside: frozenset[int] = frozenset(),
    ) -> None:
        super().__init__(_EFFORT)
        self._catalog = catalog
        self._statement = statement
        self._inside = inside
        self._named: dict[tuple[str, str], Source] = {}

    # --- relations ------------------------------------------------------------------------------

    def relation(self, schema: str, name: str) -> Source:
        known = self._named.get((schema, name))
        if known is None:
            known = self._named[schema, name] = self._relation(schema, name)
        return known

    def _relation(self, schema: str, name: str) -> Source:
        tables = self._meant(schema, name)
        schemas = frozenset(table.schema for table in tables)
        oids = frozenset(table.oid for table in tables)
        lists = [self._columns(table) for table in tables]
        names = [column.name for column in lists[0]]
        if all([column.name for column in each] == names for each in lists[1:]):
            return Source(name, _merged(lists), schemas, tables=oids)
        maybe: dict[str, Column] = {}
        for each in lists:
            for column in each:
                known = maybe.get(column.name)
                maybe[column.name] = column if known is None else _merged([(known,), (column,)])[0]
        return Source(name, None, schemas, maybe=maybe, tables=oids)

    def _meant(self, schema: str, name: str) -> Sequence[Table]:
        """All that the name may mean."""
        if self._inside and not schema:
            schema = "pg_catalog"
        if schema:
            relations = {Relation(schema, name)}
        else:
            touched = {t.relation for t in self._statement.touches if t.relation.name == name}
            sure = touched and all(relation.schema for relation in touched)
            relations = touched if sure else {Relation("", name)}
        found = [table for one in relations for table in self._catalog.named(one)]
        if not found:
            raise NotKnown("a relation is not known")
        return found

    def changeable(self, schema: str, name: str) -> Source:
        for table in self._meant(schema, name):
            behind = self._catalog.depths.relations.get(table.oid)
            ruled = behind is not None and (behind.rules or _calls_rule(behind.calls.values()))
            if not table.ordinary or ruled:
                raise NotKnown("it changes what is not a plain table")
        return self.relation(schema, name)

    def generated(self, tables: Iterable[int]) -> frozenset[Base]:
        found = (self._catalog.table(oid) for oid in tables)
        return frozenset(
            (table.oid, made) for table in found if table is not None for made, _ in table.derived
        )

    def _columns(self, table: Table) -> tuple[Column, ...]:
        known = self._catalog.traced.get(table.oid)
        if known is None:
            self.spend(len(table.columns))
            values = self._viewed(table)
            known = self._catalog.traced[table.oid] = tuple(
                Column(name, value, frozenset({(table.oid, attnum)}))
                for (attnum, name, _), value in zip(table.columns, values, strict=True)
            )
        return known

    # --- views ----------------------------------------------------------------------------------

    def _viewed(self, table: Table) -> Sequence[Value]:
        """The values of its columns: of a view, what its text makes them from."""
        own = [Value(frozenset({(table.oid, attnum)}), pure=True) for attnum, _, _ in table.columns]
        if table.kind not in ("v", "m") or table.oid < FIRST_USER_OID:
            return own
        # A view that is not known is a base of its own, which nobody takes for a plain column.
        return self._trace_view(table) or [computed(value.copied) for value in own]

    def _trace_view(self, table: Table) -> tuple[Value, ...]:
        """Empty where it is not known."""
        statement = self._catalog.view(table.oid)
        if statement is None or statement.opaque or statement.flow is None:
            return ()
        if table.oid in self._inside or runs_own(statement, self._catalog):
            return ()
        inner = _Tracing(self._catalog, statement, self._inside | {table.oid})
        try:
            columns = inner.statement(unpacked(statement.flow))
        except NotKnown:
            return ()
        if len(columns) != len(table.columns) or inner.written:
            return ()
        return tuple(column.value for column in columns)


def _merged(lists: Sequence[tuple[Column, ...]]) -> tuple[Column, ...]:
    """Of relations with the same names of columns, any of which it may be."""
    if len(lists) == 1:
        return lists[0]
    none: frozenset[Base] = frozenset()
    return tuple(
        Column(
            same[0].name,
            Value(
                none.union(*(column.value.copied for column in same)),
                none.union(*(column.value.derived for column in same)),
            ),
            none.union(*(column.origins for column in same)),
        )
        for same in zip(*lists, strict=True)
    )


def _calls_rule(calls: Iterable[set[str]]) -> bool:
    return any("a rule" in names for names in calls)
