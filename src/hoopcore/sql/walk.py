"""The walk over one statement that is a query or a change of rows.

What a relation's name means hangs on where it stands: in FROM it is read, unless a WITH above gives
the name another meaning.  What is not a query stands in ``utility.py``.

Order: queries, changes, names in FROM, and which kind of node each method visits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import Any, ClassVar

from hoopcore.sql.expressions import Expressions, setting_named
from hoopcore.sql.grammar import Node, kind_of, tree
from hoopcore.sql.literals import ANY
from hoopcore.sql.sources import Sources
from hoopcore.statement import Effect, Relation, Touch

_WRITERS = {
    tree.CMD_INSERT: Effect.INSERT,
    tree.CMD_UPDATE: Effect.UPDATE,
    tree.CMD_DELETE: Effect.DELETE,
}
# Names that a select list gives to an expression without AS, as columns of what reads it.
_UNNAMED = frozenset(
    {"array", "case", "coalesce", "exists", "greatest", "least", "nullif", "row", "?column?"}
)
_CATALOG_SCHEMAS = frozenset({"pg_catalog", "information_schema", "pg_toast"})


def _from_items(nodes: Iterable[Node]) -> Iterator[Node]:
    for node in nodes:
        if kind_of(node) == "join_expr":
            yield from _from_items((node.join_expr.larg, node.join_expr.rarg))
        else:
            yield node


class Walk(Sources):
    """Collects what one statement does; ``statement`` gives it when its tree has been visited."""

    # --- queries ----------------------------------------------------------------------------

    def select(self, query: Node, *, flows: bool = True) -> None:
        """SELECT, VALUES, TABLE and their unions.  ``flows``: its rows go on into something."""
        ctes = self.ctes
        # A name of the query around means nothing in here.
        around, self.setting = self.setting, None
        if query.HasField("with_clause"):
            self._with(query.with_clause)
        if query.op != tree.SETOP_NONE:
            self.select(query.larg, flows=flows)
            left = self.listed
            self.select(query.rarg, flows=flows)
            nothing: set[str] = set()
            self.listed = [a | b for a, b in zip_longest(left, self.listed, fillvalue=nothing)]
            if not query.all:
                self.all_places()
        listed = self.listed if query.op != tree.SETOP_NONE else []
        before = set(self.touches) if query.locking_clause else None
        self.visit_all(query.from_clause)
        if before is not None:
            self._lock(query, self.touches - before)
        self.listed = listed
        self.setting = setting_named(query)
        for target in query.target_list:
            self._select_item(target.res_target, flows)
        self.setting = None
        if query.HasField("into_clause"):
            self.into(query.into_clause)
        if query.HasField("where_clause"):
            self.condition(query.where_clause)
        if query.HasField("having_clause"):
            self.condition(query.having_clause)
        for row in query.values_lists:
            self.values(row.list.items, *((ANY,) if flows else ()))
        self._chosen(query, listed)
        self.ctes, self.setting = ctes, around

    def _chosen(self, query: Node, listed: list[set[str]]) -> None:
        """What its rows are grouped, sorted and cut off by."""
        with self.filtering():
            for clause in (query.distinct_clause, query.group_clause, query.window_clause):
                self.values(clause)
            self.values(query.sort_clause)
            for limit in ("limit_offset", "limit_count"):
                if query.HasField(limit):
                    with self.unit():
                        self.visit(getattr(query, limit))
        self.listed = listed
        if any(kind_of(node) == "" for node in query.distinct_clause):
            self.all_places()
        for clause in (query.distinct_clause, query.group_clause, query.sort_clause):
            self.by_place(clause)

    def into(self, clause: Node) -> None:
        """The relation that SELECT INTO, CREATE TABLE AS and their like make from a query."""
        self.ddl.add("CREATE TABLE")
        mode, self.mode = self.mode, Effect.DDL
        self.children(clause)
        self.mode = mode
        self.copies = True
        if clause.on_commit == tree.ONCOMMIT_DROP:
            self.keeps.discard("temporary")

    def _select_item(self, item: Node, flows: bool) -> None:
        value = item.val
        name = item.name
        if flows:
            kind = kind_of(value)
            if kind == "column_ref":
                fields = value.column_ref.fields
                if name and fields[-1].string.sval != name:
                    self.meetings.renamed.add(name)
            elif name:
                self.meetings.renamed.add(name)
            elif kind == "func_call":
                self.meetings.renamed.add(value.func_call.funcname[-1].string.sval)
            else:
                self.meetings.renamed.update(_UNNAMED)
        listed = self.listed
        with (
            self.unit(*((ANY,) if flows else (name,) if name else ())),
            self.gathering() as columns,
        ):
            self.visit_all(item.indirection)
            self.visit(value)
        self.listed = listed
        self.name_item(item, columns, _UNNAMED)

    def _with(self, clause: Node) -> None:
        queries = [node.common_table_expr for node in clause.ctes]
        renamed = self.meetings.renamed
        if clause.recursive:
            self.ctes |= {query.ctename for query in queries}
        for query in queries:
            renamed.add(query.ctename)
            renamed.update(name.string.sval for name in query.aliascolnames)
            for name in query.aliascolnames:
                self.give_name(name.string.sval, (ANY,))
            self.visit(query.ctequery)
            self.flowing = self.given
            for clause_name in ("search_clause", "cycle_clause"):
                if query.HasField(clause_name):
                    self.meetings.all_renamed = True
                    with self.unit(ANY):
                        self.children(getattr(query, clause_name))
            # Not before its own query: there the name still means the relation.
            self.ctes |= {query.ctename}

    def _lock(self, query: Node, read: set[Touch]) -> None:
        """FOR UPDATE and its like: of the relations it names, or of all this query reads."""
        names: dict[str, Relation] = {}
        for item in _from_items(query.from_clause):
            if kind_of(item) == "range_var":
                name = item.range_var
                alias = name.alias.aliasname or name.relname
                names[alias] = Relation(name.schemaname, name.relname)
        self.effects.add(Effect.LOCK)
        for clause in query.locking_clause:
            wanted = [names.get(r.range_var.relname) for r in clause.locking_clause.locked_rels]
            for touch in read:
                if not wanted or None in wanted or touch.relation in wanted:
                    self.touch(touch.relation, Effect.LOCK)

    # --- changes ----------------------------------------------------------------------------

    def insert(self, change: Node) -> None:
        ctes = self.ctes
        if change.HasField("with_clause"):
            self._with(change.with_clause)
        target = self._target(change.relation, Effect.INSERT)
        names = [column.res_target.name for column in change.cols]
        self.columns.update(names or (ANY,))
        for column in change.cols:
            self.values(column.res_target.indirection, column.res_target.name)
        self._inserted(change.select_stmt, names)
        if change.HasField("on_conflict_clause"):
            self._on_conflict(change.on_conflict_clause, target)
        self._returning(change, target)
        self.ctes = ctes

    def _inserted(self, source: Node, names: list[str]) -> None:
        if kind_of(source) != "select_stmt":  # DEFAULT VALUES
            return
        query = source.select_stmt
        before = self.sources
        if query.values_lists and not query.HasField("with_clause"):
            for row in query.values_lists:
                self._inserted_row(row.list.items, names)
            self.values(query.sort_clause)
            for limit in ("limit_offset", "limit_count"):
                if query.HasField(limit):
                    self.visit(getattr(query, limit))
        else:
            self.select(query)
        if self.sources > before:
            self.copies = True

    def _inserted_row(self, values: Iterable[Node], names: list[str]) -> None:
        for index, value in enumerate(values):
            name = names[index] if index < len(names) else ANY
            if kind_of(value) == "a_const" and self.open_unit is None:
                self.meetings.constant(name, value.a_const)  # long texts are made of these
            else:
                with self.unit(name):
                    self.visit(value)

    def _on_conflict(self, clause: Node, target: Relation) -> None:
        if clause.HasField("infer"):
            with self.unit(), self.filtering():
                self.visit_all(clause.infer.index_elems)
            if clause.infer.HasField("where_clause"):
                self.condition(clause.infer.where_clause)
        if clause.action == tree.ONCONFLICT_UPDATE:
            self.touch(target, Effect.UPDATE)
        before = self.sources + self.values_seen - self.excluded_seen
        self._assign(clause.target_list)
        if self.sources + self.values_seen - self.excluded_seen > before:
            self.copies = True
        if clause.HasField("where_clause"):
            self.condition(clause.where_clause)

    def update(self, change: Node) -> None:
        ctes = self.ctes
        if change.HasField("with_clause"):
            self._with(change.with_clause)
        target = self._target(change.relation, Effect.UPDATE)
        self.visit_all(change.from_clause)
        before = self.sources + self.values_seen
        self._assign(change.target_list)
        if self.sources + self.values_seen > before:
            self.copies = True
        self._bound(change, Effect.UPDATE)
        self._returning(change, target)
        self.ctes = ctes

    def delete(self, change: Node) -> None:
        ctes = self.ctes
        if change.HasField("with_clause"):
            self._with(change.with_clause)
        target = self._target(change.relation, Effect.DELETE)
        self.visit_all(change.using_clause)
        self._bound(change, Effect.DELETE)
        self._returning(change, target)
        self.ctes = ctes

    def merge(self, change: Node) -> None:
        ctes = self.ctes
        if change.HasField("with_clause"):
            self._with(change.with_clause)
        target = Relation(change.relation.schemaname, change.relation.relname)
        self.rename(change.relation)
        self.visit(change.source_relation)
        joined = self.condition(change.join_condition)
        for node in change.merge_when_clauses:
            self._merge_action(node.merge_when_clause, change.relation, joined)
        if not self.touches & {Touch(target, effect) for effect in _WRITERS.values()}:
            self.touch(target, Effect.READ)  # only DO NOTHING
        self._returning(change, target)
        self.ctes = ctes

    def _merge_action(self, action: Node, target: Node, joined: bool) -> None:
        chosen = joined and action.match_kind != tree.MERGE_WHEN_NOT_MATCHED_BY_SOURCE
        if action.HasField("condition"):
            chosen = self.condition(action.condition) or chosen
        effect = _WRITERS.get(action.command_type)
        if effect is None:
            return
        self._target(target, effect)
        if effect is not Effect.DELETE:
            self.copies = True
        if effect is not Effect.INSERT and not chosen:
            self.unbounded.add(effect)
        if effect is Effect.UPDATE:
            self._assign(action.target_list)
            return
        names = [column.res_target.name for column in action.target_list]
        self.columns.update(names or (ANY,))
        for column in action.target_list:
            self.values(column.res_target.indirection, column.res_target.name)
        for index, value in enumerate(action.values):
            with self.unit(names[index] if index < len(names) else ANY):
                self.visit(value)

    def _target(self, name: Node, effect: Effect) -> Relation:
        """The relation that is changed, and what else it may be than a table of rows."""
        relation = self.touch_named(name, effect)
        if relation.name.startswith("pg_") or relation.schema in _CATALOG_SCHEMAS:
            self.effects.add(Effect.DDL)  # rows of the catalog are what DDL writes
            self.ddl.add("*")
            self.opaque = True
            if relation.name == "pg_settings":  # a view whose rule calls set_config
                self.effects |= {Effect.SET, Effect.CALL}
                self.keeps.add("setting")
                self.copies = True
        return relation

    def _assign(self, targets: Iterable[Node]) -> None:
        """SET a = …, (b, c) = …"""
        for node in targets:
            item = node.res_target
            self.columns.add(item.name)
            with self.unit(item.name):
                self.visit_all(item.indirection)
                self.visit(item.val)

    def _bound(self, change: Node, effect: Effect) -> None:
        if not (change.HasField("where_clause") and self.condition(change.where_clause)):
            self.unbounded.add(effect)

    def _returning(self, change: Node, target: Relation) -> None:
        if not change.HasField("returning_clause"):
            return
        self.touch(target, Effect.READ)
        clause = change.returning_clause
        renamed = self.meetings.renamed
        rows = {option.returning_option.value for option in clause.options}
        renamed |= rows
        self.ranges |= rows
        for node in clause.exprs:
            self._select_item(node.res_target, True)

    # --- names in FROM ------------------------------------------------------------------

    def range_var(self, name: Node) -> None:
        if self.mode is not Effect.READ:
            self.touch_named(name, self.mode)
            return
        self.sources += 1
        self.rename(name)
        if not name.schemaname and name.relname in self.ctes:
            return
        self.touch_named(name, Effect.READ)

    def query_inside(self, query: Node) -> None:
        """A query that stands in something else."""
        mode, self.mode = self.mode, Effect.READ
        self.select(query)
        self.flowing = self.given
        self.mode = mode

    def alias(self, alias: Node) -> None:
        self.give_alias(alias)

    def result_target(self, item: Node) -> None:
        self._select_item(item, True)

    methods: ClassVar[Mapping[str, Callable[[Any, Node], None]]] = {
        "select_stmt": query_inside,
        "insert_stmt": insert,
        "update_stmt": update,
        "delete_stmt": delete,
        "merge_stmt": merge,
        "range_var": range_var,
        "join_expr": Sources.join,
        "range_function": Sources.range_function,
        "range_table_func": Sources.table_function,
        "json_table": Sources.table_function,
        "range_table_sample": Sources.table_sample,
        "alias": alias,
        "a_const": Expressions.constant,
        "column_ref": Expressions.column,
        "a_indirection": Expressions.indirection,
        "a_expr": Expressions.operation,
        "sub_link": Expressions.sub_link,
        "sort_by": Expressions.sort_by,
        "res_target": result_target,
        "type_cast": Expressions.cast,
        "type_name": Expressions.type_name,
        "column_def": Expressions.column_definition,
        "index_elem": Expressions.index_element,
        "json_array_agg": Expressions.json_aggregate,
        "json_object_agg": Expressions.json_aggregate,
        "json_array_query_constructor": Expressions.json_aggregate,
        "case_expr": Expressions.case,
        "alter_table_cmd": Expressions.alter_command,
        "constraint": Expressions.constraint,
        "func_call": Expressions.function_call,
    }
