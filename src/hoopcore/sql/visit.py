"""What a walk over a tree collects, and how it visits every node.

A kind of node has a method, or is known to mean nothing of its own and is visited child by child;
a kind that is neither is ``unknown``.  So nothing hides in a corner of the grammar.

Order: what is collected, the visit, units of values and conditions, and relations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from hoopcore.sql.filters import Filters
from hoopcore.sql.functions import words
from hoopcore.sql.grammar import Node, kind_of, tree
from hoopcore.sql.literals import Meetings, Unit
from hoopcore.statement import ANY_DDL, CopyOut, Effect, Relation, Statement, Touch

# Nodes that mean nothing of their own here: their children are visited, and that is all.
PLAIN = words(
    """
    a_array_expr a_indices a_star bit_string bool_expr boolean boolean_test case_when
    coalesce_expr collate_clause current_of_expr def_elem float grouping_func grouping_set
    infer_clause integer join_expr json_agg_constructor json_argument
    json_array_constructor json_behavior json_format json_func_expr
    json_is_predicate json_key_value json_object_constructor json_output
    json_parse_expr json_returning json_scalar_expr json_serialize_expr json_table_path_spec
    json_value_expr list merge_support_func min_max_expr multi_assign_ref named_arg_expr null_test
    on_conflict_clause param_ref range_subselect range_table_func_col json_table_column
    returning_clause returning_option role_spec row_expr set_to_default sqlvalue_function string
    window_def xml_expr xml_serialize ctecycle_clause ctesearch_clause access_priv
    create_op_class_item create_stmt function_parameter object_with_args partition_bound_spec
    partition_cmd partition_elem partition_range_datum partition_spec publication_obj_spec
    publication_table replica_identity_stmt stats_elem table_like_clause trigger_transition
    vacuum_relation atalter_constraint
    """
)
_KIND_OF_MESSAGE = {field.message_type.name: field.name for field in tree.Node.DESCRIPTOR.fields}


def is_temporary(schema: str) -> bool:
    """Whether it may be the session's own: ``pg_temp``, or ``pg_temp_3`` as it is called."""
    return schema.lower().startswith("pg_temp")


class Visit(Filters):
    """Collects what one statement does.  ``statement`` gives it when the tree has been visited."""

    methods: ClassVar[Mapping[str, Callable[[Any, Node], None]]] = {}

    def __init__(self, allowed: frozenset[str]) -> None:
        super().__init__()
        self.allowed = allowed  # functions and types of the target that are harmless too
        self.effects: set[Effect] = set()
        self.touches: set[Touch] = set()
        self.functions: set[str] = set()
        self.operators: set[str] = set()
        self.ddl: set[str] = set()
        self.unbounded: set[Effect] = set()
        self.settings: list[tuple[str, str]] = []
        self.keeps: set[str] = set()  # what is left in the session behind the transaction
        self.copies = False
        self.opaque = False
        self.unlimited = False
        self.guises = False
        self.ranges: set[str] = {"old", "new", "excluded"}  # what stands for a whole row
        self.modes: list[tuple[str, str]] = []
        self.resets: set[str] = set()
        self.tag = ""
        self.flow: bytes | None = None  # its tree, where lineage may be asked for
        self.why = ""
        self.copy_out: CopyOut | None = None
        self.meetings = Meetings()
        self.mode = Effect.READ  # what happens to a relation that is named outside a query
        self.open_unit: Unit | None = None
        self.ctes: frozenset[str] = frozenset()
        self.row_sources: dict[str, frozenset[str]] = {}  # functions in FROM, and their columns
        self.sources = 0  # relations, WITH queries and unknown code read so far
        self.given = 0  # values of unknown code met so far
        self.flowing = 0  # those of them that stand in FROM or WITH, where others get at them
        self.values_seen = 0  # columns and sub-selects met so far
        self.excluded_seen = 0  # those of them that are the row an INSERT proposes

    def statement(self) -> Statement:
        return Statement(
            effects=frozenset(self.effects),
            touches=frozenset(self.touches),
            functions=frozenset(self.functions),
            columns=frozenset(self.columns),
            unbounded=frozenset(self.unbounded),
            settings=tuple(self.settings),
            copies=self.copies,
            opaque=self.opaque,
            tag=self.tag,
            keeps=frozenset(self.keeps),
            unlimited=self.unlimited,
            guises=self.guises or not self.ranges.isdisjoint(self.columns),
            modes=tuple(self.modes),
            resets=frozenset(self.resets),
            operators=frozenset(self.operators),
            flow=self.flow,
            ddl=frozenset(self.ddl) or (ANY_DDL if Effect.DDL in self.effects else frozenset()),
            copy_out=self.copy_out,
            filters=self.all_filters(self.ranges),
        )

    def unknown(self, why: str) -> None:
        self.effects.add(Effect.UNKNOWN)
        self.opaque = True
        self.why = self.why or why

    def absorb(self, inner: Visit) -> None:
        """All that another statement does which this one runs; its rows and constants stay its."""
        self.effects |= inner.effects
        self.touches |= inner.touches
        self.functions |= inner.functions
        self.columns |= inner.columns
        self.absorb_filters(inner)
        self.operators |= inner.operators
        self.ddl |= inner.ddl or (ANY_DDL if Effect.DDL in inner.effects else set())
        self.ranges |= inner.ranges
        self.unbounded |= inner.unbounded
        self.settings += inner.settings
        self.keeps |= inner.keeps
        self.resets |= inner.resets
        self.modes += inner.modes
        # What is read may go by way of a variable to whatever else is there.
        self.copies = self.copies or inner.copies or inner.sources > 0
        self.opaque = self.opaque or inner.opaque
        self.guises = self.guises or inner.guises
        self.why = self.why or inner.why

    # --- the visit --------------------------------------------------------------------------

    def visit(self, node: Node) -> None:
        """A Node of the tree, whatever it wraps."""
        kind = node.WhichOneof("node")
        if kind is not None:
            self._dispatch(kind, getattr(node, kind))

    def visit_all(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            self.visit(node)

    def children(self, message: Node) -> None:
        """Every node below a message that stands for itself."""
        for field, value in message.ListFields():
            if field.message_type is None:
                continue
            for child in value if field.is_repeated else (value,):
                if field.message_type.name == "Node":
                    self.visit(child)
                else:
                    self._dispatch(_KIND_OF_MESSAGE.get(field.message_type.name, ""), child)

    def _dispatch(self, kind: str, message: Node) -> None:
        method = self.methods.get(kind)
        if method is not None:
            method(self, message)
        elif kind in PLAIN:
            self.children(message)
        else:
            self.unknown("it holds something that is not known here")

    @contextmanager
    def unit(self, *columns: str) -> Iterator[None]:
        """What is visited inside is one value or one condition, and meets these columns too."""
        if self.open_unit is not None:  # part of a larger one
            self.open_unit.columns.update(columns)
            yield
            return
        self.open_unit = Unit(set(columns))
        try:
            yield
        finally:
            self.meetings.units.append(self.open_unit)
            self.open_unit = None

    def values(self, nodes: Iterable[Node], *columns: str) -> None:
        for node in nodes:
            with self.unit(*columns):
                self.visit(node)

    def condition(self, node: Node) -> bool:
        """A condition, conjunct by conjunct.  Gives whether it depends on any row at all."""
        before = self.values_seen
        if self.open_unit is None and kind_of(node) == "bool_expr":
            for part in node.bool_expr.args:
                self.condition(part)
        else:
            with self.unit(), self.filtering():
                self.visit(node)
        return self.values_seen > before or kind_of(node) == "current_of_expr"

    def touch(self, relation: Relation, effect: Effect) -> None:
        self.effects.add(effect)
        self.touches.add(Touch(relation, effect))

    def touch_named(self, name: Node, effect: Effect) -> Relation:
        """A relation that is named where no WITH can mean another: the target of a change."""
        relation = Relation(name.schemaname, name.relname)
        if not name.relname.isascii() and len(name.relname.encode()) > 59:
            self.unknown("a name may be cut")  # the server cuts at 63 bytes of its own encoding
        if effect is Effect.DDL and (name.relpersistence == "t" or is_temporary(name.schemaname)):
            self.keeps.add("temporary")
        self.rename(name)
        self.touch(relation, effect)
        return relation

    def rename(self, name: Node) -> None:
        self.meetings.renamed.add(name.relname)
        self.ranges.add(name.relname)
        if name.HasField("alias"):
            self.give_alias(name.alias)
            self.guises = self.guises or bool(name.alias.colnames)

    def give_alias(self, alias: Node) -> None:
        renamed = self.meetings.renamed
        renamed.add(alias.aliasname)
        self.ranges.add(alias.aliasname)
        renamed.update(column.string.sval for column in alias.colnames)
        for column in alias.colnames:
            self.give_name(column.string.sval, "*")
