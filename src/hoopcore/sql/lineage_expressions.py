"""Expressions → where their value comes from.

A reference to a column is that column as it stands; anything else is computed from all that is in
it, whatever it does.  What only asks whether a value is there (``count``, ``is null``) does not
hang on the value itself.  A kind of node that is not listed makes the lineage unknown.

Order: values, references, what is special, windows, sub-selects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from hoopcore.sql import functions as known
from hoopcore.sql.expressions import BETWEEN
from hoopcore.sql.functions import words
from hoopcore.sql.grammar import Node, kind_of, tree
from hoopcore.sql.lineage_scope import Scope
from hoopcore.sql.lineage_values import (
    CLEAN,
    NOWHERE,
    PSEUDO,
    VARIES,
    Base,
    Column,
    NotKnown,
    Value,
    computed,
)

# What is made of what stands in it, and of nothing else.
_PLAIN = words(
    """
    a_array_expr a_const a_indices bit_string bool_expr boolean boolean_test case_expr case_when
    coalesce_expr collate_clause float integer json_agg_constructor json_argument json_array_agg
    json_array_constructor json_array_query_constructor json_behavior json_format json_func_expr
    json_is_predicate json_key_value json_object_agg json_object_constructor json_output
    json_parse_expr json_returning json_scalar_expr json_serialize_expr json_value_expr
    json_table_path_spec list merge_support_func min_max_expr multi_assign_ref named_arg_expr
    param_ref res_target row_expr set_to_default sort_by sqlvalue_function string type_cast
    xml_expr xml_serialize
    """
)
# What differs from group to group whatever stands in it.  The least and the greatest value of a
# column are values of that column.
_VARYING = known.AGGREGATES - words("min max")
# The same from row to row.
_MAKING = known.ROW_MAKERS | words(
    """
    clock_timestamp gen_random_uuid random random_normal timeofday uuidv4 uuidv7
    """
)
_KIND_OF_MESSAGE = {field.message_type.name: field.name for field in tree.Node.DESCRIPTOR.fields}
_LONG_NAME = 59  # the server cuts a name at 63 bytes of its own encoding

_Into = set[Base]


class Expressions:
    """The state of one tracing, and expressions.  ``query`` and ``Scope`` come from the others."""

    def __init__(self, effort: int) -> None:
        self.effort = effort  # what may still be spent; a text can ask for any amount of work
        self.filters: _Into | None = None  # within an expression: what decides over its rows
        self.outside = True  # of every expression
        self.repeats: _Into = set()  # what functions of this select list give rows by
        self.carried: _Into = set()  # the same of the whole query at hand, for whoever reads it

    def query(self, query: Node, scope: Scope) -> list[Column]:
        raise NotImplementedError

    def counted_by(self, bases: Iterable[Base]) -> None:
        """A function gives rows, as many as these say."""
        raise NotImplementedError

    def spend(self, effort: int) -> None:
        self.effort -= effort
        if self.effort < 0:
            raise NotKnown("it is too much to trace")

    # --- values ---------------------------------------------------------------------------------

    def column(self, node: Node, scope: Scope) -> Column:
        """An expression as a column, which has an origin only where it is one."""
        kind = kind_of(node)
        if kind == "column_ref" and not _is_star(node.column_ref):
            return self.reference(node.column_ref, scope)
        if kind == "a_indirection":
            found = self._projection(node.a_indirection, scope)
            if found is not None:
                return found
        return Column("", self.value(node, scope))

    def value(self, node: Node, scope: Scope) -> Value:
        kind = kind_of(node)
        if kind == "column_ref" and not _is_star(node.column_ref):
            return self.reference(node.column_ref, scope).value
        if kind == "sub_link" and node.sub_link.sub_link_type == tree.EXPR_SUBLINK:
            return self._scalar(node.sub_link, scope)
        return computed(self.parts((node,), scope))

    def parts(self, nodes: Iterable[Node], scope: Scope) -> _Into:
        """All that these are computed from."""
        into: _Into = set()
        for node in nodes:
            self._gather(node, scope, into)
        return into

    def _gather(self, node: Node, scope: Scope, into: _Into) -> None:
        kind = node.WhichOneof("node")
        if kind is not None:
            self._part(kind, getattr(node, kind), scope, into)

    def _part(self, kind: str, message: Node, scope: Scope, into: _Into) -> None:
        self.spend(1)
        method = self.special.get(kind)
        if method is not None:
            method(self, message, scope, into)
        elif kind in _PLAIN:
            self._children(message, scope, into)
        else:
            raise NotKnown("it holds an expression that is not known here")

    def _children(self, message: Node, scope: Scope, into: _Into) -> None:
        for field, value in message.ListFields():
            if field.message_type is None:
                continue
            for child in value if field.is_repeated else (value,):
                if field.message_type.name == "Node":
                    self._gather(child, scope, into)
                else:
                    kind = _KIND_OF_MESSAGE.get(field.message_type.name, "")
                    self._part(kind, child, scope, into)

    # --- references -----------------------------------------------------------------------------

    def reference(self, reference: Node, scope: Scope) -> Column:
        """What a name means: a column, or the whole row of a source."""
        names = [plain_name(field.string.sval) for field in reference.fields]
        self.spend(1)
        if len(names) == 1:
            return scope.column(names[0])
        if len(names) > 3:
            raise NotKnown("a name has too many parts")
        source = scope.source(names[-2], names[0] if len(names) == 3 else "")
        counted = source.columns is not None and not source.vague
        if names[-1] in known.OF_ROWS and counted and source.found(names[-1]) is None:
            # A call of that function with the whole row.
            return Column(names[-1], computed({*source.row().value.sources, NOWHERE}))
        return source.column(names[-1])

    def _column_ref(self, reference: Node, scope: Scope, into: _Into) -> None:
        if not _is_star(reference):
            found = self.reference(reference, scope).value.sources
        elif len(reference.fields) == 1:
            columns = scope.levels[0].star() if scope.levels else ()
            found = frozenset().union(*(column.value.sources for column in columns))
        else:
            found = source_of(reference, scope).row().value.sources
        self.spend(len(found) >> 3)
        into |= found

    def _projection(self, expression: Node, scope: Scope) -> Column | None:
        """``(c).ssn`` is a column, where ``c`` is a source."""
        steps = expression.indirection
        if len(steps) != 1 or kind_of(steps[0]) != "string":
            return None
        arg = expression.arg
        if kind_of(arg) != "column_ref" or not _is_name(arg.column_ref):
            return None
        source = scope.row_of(plain_name(arg.column_ref.fields[0].string.sval))
        if source is None:
            return None
        return source.column(plain_name(steps[0].string.sval))

    def _indirection(self, expression: Node, scope: Scope, into: _Into) -> None:
        self._gather(expression.arg, scope, into)
        for step in expression.indirection:
            if kind_of(step) == "a_star":
                raise NotKnown("it is not known which columns * gives")
            self._gather(step, scope, into)

    # --- what is special ------------------------------------------------------------------------

    def _operation(self, expression: Node, scope: Scope, into: _Into) -> None:
        names = [name.string.sval for name in expression.name]
        if (
            names
            and expression.kind not in BETWEEN
            and (names[-1] not in known.OPERATORS or names[:-1] not in ([], ["pg_catalog"]))
        ):
            raise NotKnown("it has an operator that is not known")
        self._children(expression, scope, into)

    def _type_name(self, name: Node, scope: Scope, into: _Into) -> None:
        parts = [part.string.sval for part in name.names]
        if parts[-1] not in known.TYPES or parts[:-1] not in ([], ["pg_catalog"]):
            raise NotKnown("it has a type that is not known")

    def _null_test(self, test: Node, scope: Scope, into: _Into) -> None:
        into |= self._presence(test.arg, scope)

    def _presence(self, node: Node, scope: Scope) -> frozenset[Base]:
        """What it hangs on whether this is NULL."""
        if kind_of(node) == "column_ref" and not _is_star(node.column_ref):
            return self.reference(node.column_ref, scope).value.derived
        return self.value(node, scope).sources

    def _grouping(self, call: Node, scope: Scope, into: _Into) -> None:
        """GROUPING says which columns are grouped by, and nothing of their values."""
        into.add(VARIES)

    def _of_no_relation(self, node: Node, scope: Scope, into: _Into) -> None:
        """What differs from row to row whatever is in them."""
        self._children(node, scope, into)
        into.add(VARIES)

    def _call(self, call: Node, scope: Scope, into: _Into) -> None:
        names = [name.string.sval for name in call.funcname]
        if names[-1] not in known.HARMLESS or names[:-1] not in ([], ["pg_catalog"]):
            raise NotKnown("it calls a function that is not known")
        if call.HasField("over") or names[-1] in _VARYING:
            into.add(VARIES)
        elif names[-1] in _MAKING:
            into.add(NOWHERE)
        if call.HasField("over"):
            self._window(call.over, scope, into)
            if call.over.name:
                self._window(_window_of(call.over.name, scope), scope, into)
        into |= self.parts(call.agg_order, scope)
        if call.HasField("agg_filter"):
            self._gather(call.agg_filter, scope, into)
        if names[-1] == "count" and len(call.args) == 1:
            into |= self._counted(call.args[0], scope, distinct=call.agg_distinct)
        else:
            given = self.parts(call.args, scope)
            if names[-1] in known.ROW_MAKERS:
                self.repeats |= given
                self.counted_by(given)
            into |= given

    def _counted(self, node: Node, scope: Scope, *, distinct: bool) -> frozenset[Base]:
        """What ``count(x)`` hangs on.  How many values of one column differ tells none of them."""
        if kind_of(node) != "column_ref":
            return self.value(node, scope).sources
        if _is_star(node.column_ref):  # count(c.*): a row is there, whatever is in it
            return self.value(node, scope).sources if distinct else CLEAN.sources
        if not distinct and _is_name(node.column_ref):
            name = plain_name(node.column_ref.fields[0].string.sval)
            if scope.row_of(name) is not None:
                return CLEAN.sources
        value = self.reference(node.column_ref, scope).value
        return value.derived if value.pure or not distinct else value.sources

    # --- windows --------------------------------------------------------------------------------

    def _window(self, window: Node, scope: Scope, into: _Into) -> None:
        """Which rows a window function sees, in which order, decides over what it gives."""
        self.spend(1)
        if window.refname:
            self._window(_window_of(window.refname, scope), scope, into)
        into |= self.parts(window.partition_clause, scope)
        into |= self.parts(window.order_clause, scope)
        for offset in ("start_offset", "end_offset"):
            if window.HasField(offset):
                self._gather(getattr(window, offset), scope, into)

    # --- sub-selects ----------------------------------------------------------------------------

    def filtered(
        self, query: Node, scope: Scope, *, expression: bool = True
    ) -> tuple[list[Column], _Into]:
        """A query within an expression: its columns, and what decides over its rows."""
        outside, self.filters = self.filters, set()
        repeats, self.repeats = self.repeats, set()
        before, self.outside = self.outside, self.outside and not expression
        try:
            columns = self.query(query, scope)
            inside = self.filters
        finally:
            self.filters, self.repeats, self.outside = outside, repeats, before
        if outside is not None:
            outside |= inside
        return columns, inside

    def _scalar(self, link: Node, scope: Scope) -> Value:
        """``(select x …)``: x as it stands, as far as nothing decides which."""
        columns = self._one_row(link, scope)
        if len(columns) != 1:
            raise NotKnown("a sub-select has not one column")
        return columns[0]

    def _one_row(self, link: Node, scope: Scope) -> list[Value]:
        """The values of a sub-select that gives one row."""
        around = [(level, level.touched) for level in scope.levels]
        for level in scope.levels:
            level.touched = False
        columns, filters = self.filtered(link.subselect.select_stmt, _inner(scope))
        # What names nothing of the levels around is one value for all rows: as good as a constant.
        apart = not scope.ctes and not any(level.touched for level, _ in around)
        for level, before in around:
            level.touched = level.touched or before
        values = (column.value.with_derived(frozenset(filters)) for column in columns)
        if not apart:
            return list(values)
        return [Value(value.copied, value.derived - PSEUDO, value.pure) for value in values]

    def _sub_link(self, link: Node, scope: Scope, into: _Into) -> None:
        names = [name.string.sval for name in link.oper_name]
        if names and (names[-1] not in known.OPERATORS or names[:-1] not in ([], ["pg_catalog"])):
            raise NotKnown("it has an operator that is not known")
        if link.sub_link_type == tree.EXPR_SUBLINK:
            for value in self._one_row(link, scope):
                into |= value.sources
            return
        columns, filters = self.filtered(link.subselect.select_stmt, _inner(scope))
        into |= filters
        if link.sub_link_type == tree.EXISTS_SUBLINK:
            return
        for column in columns:
            into |= column.value.sources
        if link.HasField("testexpr"):
            self._gather(link.testexpr, scope, into)

    special: ClassVar[Mapping[str, Callable[[Any, Node, Scope, _Into], None]]] = {
        "column_ref": _column_ref,
        "a_indirection": _indirection,
        "a_expr": _operation,
        "type_name": _type_name,
        "null_test": _null_test,
        "grouping_func": _grouping,
        "merge_support_func": _of_no_relation,
        "json_agg_constructor": _of_no_relation,
        "json_array_agg": _of_no_relation,
        "json_object_agg": _of_no_relation,
        "func_call": _call,
        "sub_link": _sub_link,
    }


def plain_name(name: str) -> str:
    """A name as it stands, where the server reads it like we do."""
    if not name.isascii() and (len(name.encode()) > _LONG_NAME or name != name.lower()):
        raise NotKnown("a name may be read in another way")
    return name


def _is_name(reference: Node) -> bool:
    """Whether it is a name without a source."""
    return len(reference.fields) == 1 and not _is_star(reference)


def _is_star(reference: Node) -> bool:
    return kind_of(reference.fields[-1]) == "a_star"


def source_of(reference: Node, scope: Scope) -> Any:
    """The source that ``c.*`` or ``s.c.*`` names."""
    names = [plain_name(field.string.sval) for field in reference.fields[:-1]]
    if len(names) > 2:
        raise NotKnown("a name has too many parts")
    return scope.source(names[-1], names[0] if len(names) == 2 else "")


def _window_of(name: str, scope: Scope) -> Node:
    if name not in scope.windows:
        raise NotKnown("a window is not found")
    return scope.windows[name]


def _inner(scope: Scope) -> Scope:
    """Windows are a query's own."""
    return Scope(scope.levels, scope.ctes)
