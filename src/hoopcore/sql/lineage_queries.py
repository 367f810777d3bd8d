"""SELECT, VALUES, set operations and WITH → the columns of a query.

What decides which rows come (WHERE, ON, GROUP BY, ORDER BY) is not lineage at the outside: that
tells things by inference, as ``docs/reference/masking.md`` says.  Within an expression it is, since
there it makes a value: ``self.filters`` collects it where it is not None.

Order: queries, select lists, filters, WITH.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hoopcore.sql.grammar import Node, kind_of, tree
from hoopcore.sql.lineage_expressions import plain_name, source_of
from hoopcore.sql.lineage_from import From
from hoopcore.sql.lineage_names import name_of
from hoopcore.sql.lineage_scope import Scope, renamed
from hoopcore.sql.lineage_values import MADE, Base, Column, NotKnown, Value, computed, either

_ROUNDS = 64  # of a recursive query, each of which adds a source or is the last


class Queries(From):
    """The columns of queries."""

    def changed(self, kind: str, change: Node, scope: Scope) -> list[Column]:
        """What a change of rows returns."""
        raise NotImplementedError

    def query(self, query: Node, scope: Scope) -> list[Column]:
        """The columns of a select_stmt."""
        self.spend(1)
        scope = self.with_of(query, scope)
        if query.op != tree.SETOP_NONE:
            return self._set_operation(query, scope)
        if query.values_lists:
            columns = self._values(query.values_lists, scope)
            self.arrange(query.sort_clause, columns, Scope((), scope.ctes))
            self._decide(query, scope, columns)
            return columns
        return self._select(query, scope)

    def _select(self, query: Node, scope: Scope) -> list[Column]:
        level = self.level(query.from_clause, scope)
        windows = {node.window_def.name: node.window_def for node in query.window_clause}
        within = scope.within(level, windows)
        columns = self.targets(query.target_list, within)
        for clause in ("where_clause", "having_clause"):
            if query.HasField(clause):
                self.decide(getattr(query, clause), within)
        self._arrange(query, within, columns)
        if self.filters is not None:
            for clause in ("where_clause", "having_clause"):
                if query.HasField(clause):
                    self.filters |= self.parts((getattr(query, clause),), within)
            self._group(query, within, columns)
            if query.distinct_clause:
                self._by(query.distinct_clause, within, columns)
                self._all(columns)
        self._decide(query, within, columns)
        return columns

    def _set_operation(self, query: Node, scope: Scope) -> list[Column]:
        left, right = self.query(query.larg, scope), self.query(query.rarg, scope)
        columns = _united(left, right)
        if query.sort_clause or not (query.all and query.op == tree.SETOP_UNION):
            self.arrange_all(columns)
        if self.filters is not None and not (query.all and query.op == tree.SETOP_UNION):
            self._all(columns)
        self._decide(query, Scope((), scope.ctes), columns)
        return columns

    def _values(self, rows: Iterable[Node], scope: Scope) -> list[Column]:
        found: list[Value] = []
        for count, row in enumerate(rows):
            values = [self.value(node, scope) for node in row.list.items]
            if count == 0:
                found = values
            elif len(values) != len(found):
                raise NotKnown("rows of VALUES are not of one length")
            else:
                found = [either(one, two) for one, two in zip(found, values, strict=True)]
        return [
            Column(f"column{number}", value.with_derived(MADE.derived))
            for number, value in enumerate(found, 1)
        ]

    # --- select lists ---------------------------------------------------------------------------

    def targets(self, nodes: Iterable[Node], scope: Scope) -> list[Column]:
        """The columns of a select list, ``*`` included.

        A function that repeats its row tells how often with every column of it.
        """
        outside, self.repeats = self.repeats, set(scope.levels[0].repeats)
        columns = self._targets(nodes, scope)
        repeats, self.repeats = frozenset(self.repeats), outside
        self.carried |= repeats
        if self.filters is not None:
            self.filters |= repeats
        return [
            Column(column.name, column.value.with_derived(repeats), column.origins)
            for column in columns
        ]

    def _targets(self, nodes: Iterable[Node], scope: Scope) -> list[Column]:
        columns: list[Column] = []
        for node in nodes:
            target = node.res_target
            value = target.val
            if kind_of(value) == "column_ref" and kind_of(value.column_ref.fields[-1]) == "a_star":
                columns += self._star(value.column_ref, scope)
            elif kind_of(value) == "a_indirection" and _ends_in_star(value.a_indirection):
                columns += self._row_star(value.a_indirection, scope)
            else:
                column = self.column(value, scope).named(plain_name(name_of(target)))
                if kind_of(value) not in ("column_ref", "sub_link"):
                    self.evaluated(column.value.derived)
                columns.append(column if column.value.sources else column._replace(value=MADE))
            self.spend(1)
        self.spend(len(columns))
        return columns

    def _star(self, reference: Node, scope: Scope) -> Sequence[Column]:
        if len(reference.fields) == 1:
            return scope.levels[0].star()
        columns: Sequence[Column] | None = source_of(reference, scope).columns
        if columns is None:
            raise NotKnown("it is not known which columns * gives")
        return columns

    def _row_star(self, expression: Node, scope: Scope) -> Sequence[Column]:
        """``(c).*``, where ``c`` is a source."""
        arg = expression.arg
        if len(expression.indirection) == 1 and kind_of(arg) == "column_ref":
            fields = arg.column_ref.fields
            source = scope.row_of(plain_name(fields[0].string.sval)) if len(fields) == 1 else None
            if source is not None and source.columns is not None:
                return source.columns
        raise NotKnown("it is not known which columns * gives")

    # --- filters --------------------------------------------------------------------------------

    def _arrange(self, query: Node, scope: Scope, columns: Sequence[Column]) -> None:
        """What the rows are grouped, ordered and made distinct by."""
        for clause in (query.group_clause, query.sort_clause):
            self.arrange(clause, columns, scope)
        if query.distinct_clause:
            if any(map(kind_of, query.distinct_clause)):
                self.arrange(query.distinct_clause, columns, scope)
            else:
                self.arrange_all(columns)

    def _decide(self, query: Node, scope: Scope, columns: Sequence[Column]) -> None:
        """ORDER BY and LIMIT: which rows come, where not all do."""
        for limit in ("limit_offset", "limit_count"):
            if query.HasField(limit):
                self.count((getattr(query, limit),), scope)
        if self.filters is None:
            return
        self._by(query.sort_clause, scope, columns)
        for limit in ("limit_offset", "limit_count"):
            if query.HasField(limit):
                self.filters |= self.parts((getattr(query, limit),), scope)

    def _group(self, query: Node, scope: Scope, columns: Sequence[Column]) -> None:
        for node in query.group_clause:
            if kind_of(node) == "grouping_set":
                for inner in node.grouping_set.content:
                    nodes = inner.grouping_set.content if _is_set(inner) else (inner,)
                    if any(map(_is_set, nodes)):
                        raise NotKnown("its grouping is nested too deeply")
                    self._by(nodes, scope, columns)
            else:
                self._by((node,), scope, columns)

    def _by(self, nodes: Iterable[Node], scope: Scope, columns: Sequence[Column]) -> None:
        """What stands in ORDER BY and its like: an expression, a number or a name of a column."""
        assert self.filters is not None
        for node in nodes:
            inner = node.sort_by.node if kind_of(node) == "sort_by" else node
            kind = kind_of(inner)
            if kind == "a_const" or not kind:
                self._all(columns)
                continue
            if kind == "row_expr":  # the server takes one apart
                self._by(inner.row_expr.args, scope, columns)
                continue
            name = ""
            if kind == "column_ref" and len(inner.column_ref.fields) == 1:
                name = inner.column_ref.fields[0].string.sval
            hits = [column for column in columns if column.name in (name, "")] if name else []
            for column in hits:
                self.filters |= column.value.sources
            try:
                self.filters |= self.parts((inner,), scope)
            except NotKnown:
                if not hits:
                    raise

    def _all(self, columns: Iterable[Column]) -> None:
        assert self.filters is not None
        for column in columns:
            self.filters |= column.value.sources

    # --- WITH -----------------------------------------------------------------------------------

    def with_of(self, query: Node, scope: Scope) -> Scope:
        """The scope in which the queries of its WITH have their names."""
        if not query.HasField("with_clause"):
            return scope
        clause = query.with_clause
        ctes: dict[str, Cte] = dict(scope.ctes)
        mine: list[Cte] = []
        for node in clause.ctes:
            one = node.common_table_expr
            # Without RECURSIVE a query sees those before it.
            seen = ctes if clause.recursive else dict(ctes)
            cte = Cte(self, one, Scope(scope.levels, seen), recursive=clause.recursive)
            mine.append(cte)
            ctes[plain_name(one.ctename)] = cte
        for cte in mine:
            if cte.changes:
                cte.columns(self.filters)  # it writes, whether it is read or not
        return Scope(scope.levels, ctes, scope.windows)


class Cte:
    """One query of a WITH.  Its columns are found when they are first asked for."""

    def __init__(self, tracing: Queries, node: Node, scope: Scope, *, recursive: bool) -> None:
        self._tracing = tracing
        self._node = node
        self._scope = scope
        self._recursive = recursive
        self._outside = tracing.outside
        self._filters: set[Base] = set()
        self.carried: frozenset[Base] = frozenset()  # what says how often its rows come
        self._found: list[Column] | None = None
        self._begun = False
        self._so_far: list[Column] | None = None  # of a recursive query that is being traced

    @property
    def changes(self) -> bool:
        """Whether it is a change of rows."""
        return kind_of(self._node.ctequery) != "select_stmt"

    def columns(self, filters: set[Base] | None) -> list[Column]:
        """Its columns; what decides over its rows is added to ``filters``."""
        if self._found is None:
            if self._begun:
                if self._so_far is None:
                    raise NotKnown("a query of WITH reads itself in an odd place")
                return self._so_far
            self._begun = True
            tracing = self._tracing
            before = tracing.filters, tracing.outside, tracing.carried
            tracing.filters, tracing.outside = self._filters, self._outside
            tracing.carried = set()
            try:
                self._found = self._searched(self._trace())
                self.carried = frozenset(tracing.carried)
            finally:
                tracing.filters, tracing.outside, tracing.carried = before
        if filters is not None:
            filters |= self._filters
        return self._found

    def _trace(self) -> list[Column]:
        tracing, node = self._tracing, self._node.ctequery
        if self.changes:
            kind = kind_of(node)
            return self._named(tracing.changed(kind, getattr(node, kind), self._scope))
        query = node.select_stmt
        if not self._recursive or query.op != tree.SETOP_UNION:
            return self._named(tracing.query(query, self._scope))
        scope = tracing.with_of(query, self._scope)
        self._so_far = self._named(tracing.query(query.larg, scope))
        for _ in range(_ROUNDS):
            # Anew: a WITH of its own may have read what was so far.
            scope = tracing.with_of(query, self._scope)
            united = _united(self._so_far, tracing.query(query.rarg, scope))
            if [column.value for column in united] == [one.value for one in self._so_far]:
                if not query.all:
                    tracing.arrange_all(united)
                    if tracing.filters is not None:
                        tracing.filters |= {b for one in united for b in one.value.sources}
                return united
            self._so_far = united
        raise NotKnown("a recursive query does not settle")

    def _named(self, columns: Sequence[Column]) -> list[Column]:
        names = [plain_name(name.string.sval) for name in self._node.aliascolnames]
        return list(renamed(columns, names))

    def _searched(self, columns: list[Column]) -> list[Column]:
        """SEARCH and CYCLE add columns, made of others."""
        node = self._node
        everything = computed({base for column in columns for base in column.value.sources})
        names: list[str] = []
        if node.HasField("search_clause"):
            names.append(node.search_clause.search_seq_column)
        if node.HasField("cycle_clause"):
            cycle = node.cycle_clause
            names += [cycle.cycle_mark_column, cycle.cycle_path_column]
            # How far it goes hangs on what is in its rows.
            self._tracing.counted_by(everything.sources)
            self._filters |= everything.sources
        return [*columns, *(Column(plain_name(name), everything) for name in names)]


def _united(left: Sequence[Column], right: Sequence[Column]) -> list[Column]:
    """Column by column, under the names of the left."""
    if len(left) != len(right):
        raise NotKnown("the parts of a set operation are not of one width")
    pairs = zip(left, right, strict=True)
    return [Column(one.name, _one_of(one.value, other.value)) for one, other in pairs]


def _one_of(one: Value, other: Value) -> Value:
    """Of two columns as they stand; else what differs between the two is in no relation."""
    found = either(one, other)
    plain = one.copied and other.copied and not found.derived
    return found if plain else found.with_derived(MADE.derived)


def _ends_in_star(expression: Node) -> bool:
    return kind_of(expression.indirection[-1]) == "a_star"


def _is_set(node: Node) -> bool:
    return kind_of(node) == "grouping_set"
