"""What stands in FROM → a level of names: relations, sub-selects, functions, joins.

A sub-select sees what stands left of it only under LATERAL; a function always does.  What a lateral
sub-select filters by decides, row by row, over what it gives, like a sub-select in an expression.

Order: one item, relations, sub-selects, functions, joins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from hoopcore.sql.functions import words
from hoopcore.sql.grammar import Node, kind_of
from hoopcore.sql.lineage_expressions import plain_name
from hoopcore.sql.lineage_rows import Rows
from hoopcore.sql.lineage_scope import Level, Scope, Source, renamed
from hoopcore.sql.lineage_values import NOWHERE, Base, Column, NotKnown, Value, computed, either

# Functions of pg_catalog that give more than one column, by their names; those that are not here
# and not known to give one are open.
_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "json_each": ("key", "value"),
    "json_each_text": ("key", "value"),
    "jsonb_each": ("key", "value"),
    "jsonb_each_text": ("key", "value"),
}
_SCALAR: Final = words(
    """
    generate_series generate_subscripts regexp_matches regexp_split_to_table string_to_table
    json_array_elements json_array_elements_text jsonb_array_elements jsonb_array_elements_text
    json_object_keys jsonb_object_keys jsonb_path_query current_setting now lower upper abs
    current_database version to_char date_trunc
    """
)


class From(Rows):
    """Levels from what stands in FROM."""

    def relation(self, schema: str, name: str) -> Source:
        """A relation by its name, without an alias."""
        raise NotImplementedError

    def level(self, items: Iterable[Node], scope: Scope) -> Level:
        """Of a whole FROM clause."""
        level = Level()
        for item in items:
            level = level.beside(self.item(item, scope, level))
            self.spend(len(level.columns) >> 4)
        return level

    def item(self, node: Node, scope: Scope, left: Level) -> Level:
        """Of one item of FROM; ``left`` is what stands left of it."""
        kind = kind_of(node)
        self.spend(1)
        method = self.items.get(kind)
        if method is None:
            raise NotKnown("it reads from what is not known here")
        found: Level = method(self, getattr(node, kind), scope, left)
        return found

    # --- relations ------------------------------------------------------------------------------

    def _range_var(self, name: Node, scope: Scope, left: Level) -> Level:
        called = plain_name(name.relname)
        cte = None if name.schemaname else scope.ctes.get(called)
        if cte is not None:
            source = Source(called, tuple(cte.columns(self.filters)))
        else:
            source = self.relation(plain_name(name.schemaname), called)
        self.spend(len(source.columns or ()))
        level = Level.of(_aliased(source, name))
        level.repeats = cte.carried if cte is not None else level.repeats
        return level

    def _sample(self, sample: Node, scope: Scope, left: Level) -> Level:
        self.count((*sample.args, sample.repeatable), scope.within(left))
        if self.filters is not None:
            within = scope.within(left)
            self.filters |= self.parts(sample.args, within)
            if sample.HasField("repeatable"):
                self.filters |= self.parts((sample.repeatable,), within)
        return self.item(sample.relation, scope, left)

    # --- sub-selects ----------------------------------------------------------------------------

    def _subselect(self, item: Node, scope: Scope, left: Level) -> Level:
        query = item.subquery.select_stmt
        decides: frozenset[Base] = frozenset()
        outside, self.carried = self.carried, set()
        if item.lateral:
            columns, filters = self.filtered(
                query, Scope((left, *scope.levels), scope.ctes), expression=False
            )
            decides = frozenset(filters)
            columns = [
                Column(column.name, column.value.with_derived(decides), column.origins)
                for column in columns
            ]
        else:
            columns = self.query(query, Scope(scope.levels, scope.ctes))
        level = Level.of(_aliased(Source("", tuple(columns)), item))
        level.repeats = decides | self.carried  # it repeats the rows left of it, or leaves them out
        self.carried = outside
        return level

    # --- functions ------------------------------------------------------------------------------

    def _function(self, item: Node, scope: Scope, left: Level) -> Level:
        within = scope.within(left)
        columns: list[Column] | None = []
        everything: set[Base] = set()
        alias = item.alias.aliasname
        for function in item.functions:  # a list: the call, and the columns it is said to give
            call, *_ = function.list.items
            given = self.parts((call,), within)
            everything |= given
            value = computed({*given, NOWHERE})
            names = _columns_of(item, function.list.items, alias)
            if names is None:
                columns = None
            elif columns is not None:
                columns += [Column(name, value) for name in names]
        value = computed({*everything, NOWHERE})
        if columns is not None and item.ordinality:
            columns.append(Column("ordinality", value))
        name = alias or _called(item)
        if columns is None:
            named = tuple(plain_name(column.string.sval) for column in item.alias.colnames)
            return self._made(
                Source(name, None, open=value, maybe=_all_of(named, value)), everything
            )
        return self._made(_aliased(Source(name, tuple(columns)), item), everything)

    def _made(self, source: Source, given: set[Base]) -> Level:
        """The level of a function, whose arguments say how many rows there are."""
        if self.filters is not None:
            self.filters |= given
        self.counted_by(given)
        level = Level.of(source)
        level.repeats = frozenset(given)
        return level

    def _table_function(self, item: Node, scope: Scope, left: Level) -> Level:
        """XMLTABLE and JSON_TABLE: every column from all that is in it."""
        within = scope.within(left)
        into: set[Base] = set()
        names: list[str] = []
        if item.DESCRIPTOR.name == "JsonTable":
            self._part("json_value_expr", item.context_item, within, into)
            into |= self.parts(item.passing, within)
            self._json_columns(item.columns, within, into, names)
        else:
            parts = [item.docexpr, item.rowexpr, *item.namespaces]
            for column in item.columns:
                one = column.range_table_func_col
                names.append(plain_name(one.colname))
                parts += [one.colexpr, one.coldefexpr]
            into |= self.parts(parts, within)
        value = computed({*into, NOWHERE})
        name = "json_table" if item.DESCRIPTOR.name == "JsonTable" else "xmltable"
        columns = tuple(Column(each, value) for each in names)
        return self._made(_aliased(Source(name, columns), item), into)

    def _json_columns(
        self, nodes: Iterable[Node], scope: Scope, into: set[Base], names: list[str]
    ) -> None:
        for node in nodes:
            column = node.json_table_column
            if column.columns:
                self._json_columns(column.columns, scope, into, names)
                continue
            names.append(plain_name(column.name))
            for field in ("on_empty", "on_error"):
                if column.HasField(field):
                    self._part("json_behavior", getattr(column, field), scope, into)

    # --- joins ----------------------------------------------------------------------------------

    def _join(self, join: Node, scope: Scope, outer: Level) -> Level:
        left = self.item(join.larg, scope, outer)
        right = self.item(join.rarg, scope, outer.beside(left))
        if join.HasField("quals"):
            self.decide(join.quals, scope.within(left.beside(right)))
        if self.filters is not None and join.HasField("quals"):
            self.filters |= self.parts((join.quals,), scope.within(left.beside(right)))
        names = [plain_name(name.string.sval) for name in join.using_clause]
        if join.is_natural:
            names = _common(left, right)
        level = self._merged(join, left, right, names) if names else left.beside(right)
        if not join.HasField("alias"):
            return level
        named = Level.of(_aliased(Source("", tuple(level.star())), join))
        named.repeats = level.repeats
        return named

    def _merged(self, join: Node, left: Level, right: Level, names: Sequence[str]) -> Level:
        """JOIN USING: one column in place of two."""
        merged = []
        for name in names:
            one, other = left.found(name), right.found(name)
            if one is None or other is None:
                raise NotKnown("a column of USING is not found")
            merged.append(_same(one, other))
            self.same(one, other)
            if self.filters is not None:
                self.filters |= merged[-1].value.sources
        rest = [column for column in (*left.columns, *right.columns) if column.name not in names]
        sources = [*left.sources, *right.sources]
        if join.HasField("join_using_alias"):
            sources.append(Source(plain_name(join.join_using_alias.aliasname), tuple(merged)))
        level = Level(sources, [*merged, *rest], [*left.vague, *right.vague])
        level.counted = left.counted and right.counted
        level.repeats = left.repeats | right.repeats
        return level

    items: ClassVar[Mapping[str, Callable[[Any, Node, Scope, Level], Level]]] = {
        "range_var": _range_var,
        "range_subselect": _subselect,
        "range_function": _function,
        "range_table_sample": _sample,
        "range_table_func": _table_function,
        "json_table": _table_function,
        "join_expr": _join,
    }


def _aliased(source: Source, item: Node) -> Source:
    """Under the alias of its item, if that has one."""
    if not item.HasField("alias"):
        return source
    source = Source(
        plain_name(item.alias.aliasname),
        source.columns,
        frozenset(),
        source.open,
        source.maybe,
        source.tables,
    )
    names = [plain_name(name.string.sval) for name in item.alias.colnames]
    if names:
        if source.columns is None or source.maybe:
            raise NotKnown("it is not known which columns an alias names")
        source.columns = renamed(source.columns, names)
    return source


def _columns_of(item: Node, parts: Sequence[Node], alias: str) -> Sequence[str] | None:
    """The names of the columns that a function in FROM gives; None: not known."""
    definitions = [node for part in parts[1:] for node in part.list.items]
    definitions += item.coldeflist
    if definitions:
        return [plain_name(node.column_def.colname) for node in definitions]
    if kind_of(parts[0]) != "func_call":
        return None if not alias else [alias]
    name = str(parts[0].func_call.funcname[-1].string.sval)
    if name in _COLUMNS:
        return _COLUMNS[name]
    if name in _SCALAR:
        single = alias if alias and len(item.functions) == 1 else name
        return [single]
    return None


def _called(item: Node) -> str:
    call = item.functions[0].list.items[0]
    if kind_of(call) != "func_call":
        return ""
    return str(call.func_call.funcname[-1].string.sval)


def _all_of(names: Iterable[str], value: Value) -> dict[str, Column]:
    return {name: Column(name, value) for name in names}


def _common(left: Level, right: Level) -> list[str]:
    """The names that a NATURAL join joins by, in the order of the left side."""
    here, there = left.star(), right.star()
    if any(not column.name for column in (*here, *there)) or left.vague or right.vague:
        raise NotKnown("it is not known by which columns it joins")
    names = {column.name for column in there}
    return [column.name for column in here if column.name in names]


def _same(left: Column, right: Column) -> Column:
    """The column that stands for two that are equal."""
    return Column(left.name, either(left.value, right.value), left.origins | right.origins)
