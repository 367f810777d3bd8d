"""INSERT, UPDATE, DELETE, MERGE, CREATE TABLE AS, COPY → what they return, and what they write.

Order: the entry, each kind, and RETURNING.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from hoopcore.sql.grammar import Node, kind_of, tree
from hoopcore.sql.lineage_expressions import plain_name
from hoopcore.sql.lineage_queries import Queries
from hoopcore.sql.lineage_scope import Level, Scope, Source
from hoopcore.sql.lineage_values import Base, Column, NotKnown, computed


class Changes(Queries):
    """What statements give and write."""

    def __init__(self, effort: int) -> None:
        super().__init__(effort)
        self.written: set[Base] = set()

    def changeable(self, schema: str, name: str) -> Source:
        """The table that is changed, by its name: one without rules, and no view."""
        raise NotImplementedError

    def statement(self, node: Node) -> list[Column]:
        """The columns of its result; what it writes is added to ``written``."""
        kind = kind_of(node)
        message = getattr(node, kind) if kind else None
        if kind == "select_stmt":
            columns = self.query(message, Scope())
            if not _into_of(message):
                return columns
            self._write(columns)
            return []
        if kind in self.statements:
            return self.statements[kind](self, message, Scope())
        return self.changed(kind, message, Scope())

    def changed(self, kind: str, change: Node, scope: Scope) -> list[Column]:
        method = self.changes.get(kind)
        if method is None:
            raise NotKnown("it is of a kind that is not traced")
        return method(self, change, self.with_of(change, scope))

    def _write(self, columns: Iterable[Column]) -> None:
        for column in columns:
            self.written |= column.value.sources

    # --- each kind ------------------------------------------------------------------------------

    def _create_as(self, create: Node, scope: Scope) -> list[Column]:
        if create.objtype != tree.OBJECT_TABLE or kind_of(create.query) != "select_stmt":
            raise NotKnown("it is of a kind that is not traced")
        self._write(self.query(create.query.select_stmt, scope))
        return []

    def _copy(self, copy: Node, scope: Scope) -> list[Column]:
        """COPY TO: the columns of its lines.  Of a table those that are generated are left out."""
        if copy.is_from:
            raise NotKnown("it is of a kind that is not traced")
        if copy.HasField("query"):
            return self.statement(copy.query)
        name = copy.relation
        source = self.relation(plain_name(name.schemaname), plain_name(name.relname))
        if source.columns is None:
            raise NotKnown("it is not known which columns it has")
        if copy.attlist:
            return [source.column(plain_name(each.string.sval)) for each in copy.attlist]
        made = self.generated(source.tables)
        return [column for column in source.columns if not column.origins & made]

    def generated(self, tables: Iterable[int]) -> frozenset[Base]:
        """The generated columns of these, as far as they are known."""
        raise NotImplementedError

    def _insert(self, change: Node, scope: Scope) -> list[Column]:
        target = self._target(change.relation)
        given: Sequence[Column] = ()
        if kind_of(change.select_stmt) == "select_stmt":
            given = self.query(change.select_stmt.select_stmt, scope)
        self._write(given)
        if change.HasField("on_conflict_clause"):
            proposed = computed({base for column in given for base in column.value.sources})
            columns = tuple(Column(one.name, proposed) for one in target.columns or ())
            self._meet(change, target)
            level = Level.of(target)
            level.sources.append(Source("excluded", columns))
            within = scope.within(level)
            self._assign(change.on_conflict_clause.target_list, within)
            self._decides(change.on_conflict_clause, "where_clause", within)
        return self._returned(change, target, Level(), scope)

    def _meet(self, change: Node, target: Source) -> None:
        """ON CONFLICT says of each row that is given whether its values are there already."""
        rows = change.select_stmt.select_stmt
        if len(rows.values_lists) == 1 or not kind_of(change.select_stmt):
            return
        named = [node.index_elem for node in change.on_conflict_clause.infer.index_elems]
        if named and all(element.name for element in named):
            columns = [target.column(plain_name(element.name)) for element in named]
        else:
            columns = list(target.columns or ())
        for column in columns:
            self.counted_by(column.value.sources)

    def _update(self, change: Node, scope: Scope) -> list[Column]:
        target = self._target(change.relation)
        beside = self.level(change.from_clause, scope)
        within = scope.within(Level.of(target).beside(beside))
        self._assign(change.target_list, within)
        self._decides(change, "where_clause", within)
        return self._returned(change, target, beside, scope)

    def _delete(self, change: Node, scope: Scope) -> list[Column]:
        target = self._target(change.relation)
        beside = self.level(change.using_clause, scope)
        self._decides(change, "where_clause", scope.within(Level.of(target).beside(beside)))
        return self._returned(change, target, beside, scope)

    def _decides(self, change: Node, clause: str, scope: Scope) -> None:
        if change.HasField(clause):
            self.decide(getattr(change, clause), scope)

    def _merge(self, change: Node, scope: Scope) -> list[Column]:
        target = self._target(change.relation)
        beside = self.item(change.source_relation, scope, Level())
        within = scope.within(beside.beside(Level.of(target)))
        self._decides(change, "join_condition", within)
        for node in change.merge_when_clauses:
            action = node.merge_when_clause
            self._decides(action, "condition", within)
            self._assign(action.target_list, within)
            self.written |= self.parts(action.values, within)
        return self._returned(change, target, beside, scope, source_first=True)

    def _assign(self, targets: Iterable[Node], scope: Scope) -> None:
        """SET a = …, and the columns that an INSERT names, which have no value."""
        for node in targets:
            target = node.res_target
            self.written |= self.parts(target.indirection, scope)
            if target.HasField("val"):
                self.written |= self.parts((target.val,), scope)

    # --- RETURNING ------------------------------------------------------------------------------

    def _target(self, name: Node) -> Source:
        source = self.changeable(plain_name(name.schemaname), plain_name(name.relname))
        if name.HasField("alias"):
            alias = plain_name(name.alias.aliasname)
            source = Source(alias, source.columns, tables=source.tables, maybe=source.maybe)
        return source

    def _returned(
        self,
        change: Node,
        target: Source,
        beside: Level,
        scope: Scope,
        *,
        source_first: bool = False,
    ) -> list[Column]:
        if not change.HasField("returning_clause"):
            return []
        clause = change.returning_clause
        mine = Level.of(target)
        level = beside.beside(mine) if source_first else mine.beside(beside)
        level.sources = [target, *beside.sources]
        names = {"old", "new"}
        names |= {plain_name(option.returning_option.value) for option in clause.options}
        # The row as it was and as it is: of PostgreSQL 18, and a name in FROM comes first.
        level.sources += [
            Source(name, target.columns, maybe=target.maybe, tables=target.tables)
            for name in sorted(names)
        ]
        return self.targets(clause.exprs, scope.within(level))

    changes: ClassVar[Mapping[str, Callable[[Any, Node, Scope], list[Column]]]] = {
        "insert_stmt": _insert,
        "update_stmt": _update,
        "delete_stmt": _delete,
        "merge_stmt": _merge,
    }
    statements: ClassVar[Mapping[str, Callable[[Any, Node, Scope], list[Column]]]] = {
        "create_table_as_stmt": _create_as,
        "copy_stmt": _copy,
    }


def _into_of(query: Node) -> bool:
    """SELECT a INTO t … UNION …: the clause stands in the leftmost query."""
    while query.op != tree.SETOP_NONE:
        query = query.larg
    return bool(query.HasField("into_clause"))
