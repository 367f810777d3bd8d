"""What decides which rows a statement gives, where that could tell a masked value.

A condition on one column tells one thing of one row: that is inference, and published.  A condition
that holds a column against what differs from row to row (a generator, VALUES, another column) finds
the value out by itself, since the rows that come, or their number, are the value.  Here each
condition is noted by the columns in it; whether that mixes masked ones with others is asked by who
knows the masks (decision 0026).

Only what stands at the outside counts: within an expression it makes a value, and is its source.

Order: conditions, what is counted, what is ordered and grouped by.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hoopcore.sql.grammar import Node, kind_of, tree
from hoopcore.sql.lineage_expressions import Expressions
from hoopcore.sql.lineage_scope import Scope
from hoopcore.sql.lineage_values import NOWHERE, Base, Column, NotKnown


class Rows(Expressions):
    """Notes what decides over rows: ``decides``, the columns of each condition."""

    def __init__(self, effort: int) -> None:
        super().__init__(effort)
        self.decides: list[frozenset[Base]] = []

    # --- conditions -----------------------------------------------------------------------------

    def decide(self, node: Node, scope: Scope) -> None:
        """A condition on rows.  The parts of an AND decide one by one, those of an OR together."""
        if not self.outside:
            return
        kind = kind_of(node)
        if kind == "bool_expr":
            inner = node.bool_expr.args
            if node.bool_expr.boolop == tree.AND_EXPR:
                for part in inner:
                    self.decide(part, scope)
                return
            if node.bool_expr.boolop == tree.NOT_EXPR and _is_asked(inner[0]):
                node, kind = inner[0], "sub_link"
        if kind == "sub_link" and _is_asked(node):
            self._ask(node.sub_link, scope)
        elif kind:
            self.mix((node,), scope)

    def _ask(self, link: Node, scope: Scope) -> None:
        """EXISTS and IN: a level of its own, with conditions of its own."""
        inner = Scope(scope.levels, scope.ctes)
        columns = self.query(link.subselect.select_stmt, inner)
        if link.sub_link_type == tree.ANY_SUBLINK:
            tested = self.parts((link.testexpr,), scope)
            for column in columns:
                self._note(tested | column.value.sources)

    def mix(self, nodes: Sequence[Node], scope: Scope) -> None:
        """One condition, whatever it does with the columns in it."""
        if self.outside:
            self._note(self.parts(nodes, scope))

    def same(self, left: Column, right: Column) -> None:
        """Two columns that are to be equal."""
        if self.outside:
            self._note(left.value.sources | right.value.sources)

    def _note(self, bases: Iterable[Base]) -> None:
        found = frozenset(bases)
        if found:
            self.decides.append(found)

    # --- what is counted ------------------------------------------------------------------------

    def count(self, nodes: Iterable[Node], scope: Scope) -> None:
        """Numbers of rows: LIMIT, OFFSET, TABLESAMPLE."""
        if self.outside:
            self.counted_by(self.parts(nodes, scope))

    def counted_by(self, bases: Iterable[Base]) -> None:
        """A function that gives rows, by what it makes them from."""
        if self.outside:
            found = frozenset(bases)
            self._note(found and found | {NOWHERE})

    # --- what is ordered and grouped by ---------------------------------------------------------

    def arrange(
        self,
        nodes: Iterable[Node],
        columns: Sequence[Column],
        scope: Scope,
    ) -> None:
        """ORDER BY, GROUP BY, DISTINCT ON: expressions, numbers and names of columns."""
        if not self.outside:
            return
        for node in nodes:
            inner = node.sort_by.node if kind_of(node) == "sort_by" else node
            kind = kind_of(inner)
            if kind == "grouping_set":
                self.arrange(inner.grouping_set.content, columns, scope)
            elif kind == "row_expr":  # the server takes one apart, and a number in it is a place
                self.arrange(inner.row_expr.args, columns, scope)
            elif kind == "a_const":
                # A number means a column of the list, and readings are shared by texts that
                # differ in their constants: so it may mean each.
                self.arrange_all(columns)
            elif kind:
                self._arrange_by(inner, columns, scope)

    def _arrange_by(self, node: Node, columns: Sequence[Column], scope: Scope) -> None:
        """By an expression; a single name may be that of a column of the list, or of a source."""
        hits: list[Column] = []
        if kind_of(node) == "column_ref" and len(node.column_ref.fields) == 1:
            name = node.column_ref.fields[0].string.sval
            hits = [column for column in columns if column.name in (name, "")]
        self.arrange_all(hits)
        try:
            self.mix((node,), scope)
        except NotKnown:
            if not hits:
                raise

    def arrange_all(self, columns: Iterable[Column]) -> None:
        """DISTINCT, set operations and their order: by each of these columns.

        What is made of a masked column is held against other rows of its own kind: it mixes.
        """
        if self.outside:
            for column in columns:
                self._note(column.value.sources)


def _is_asked(node: Node) -> bool:
    """Whether it is EXISTS (…) or x IN (…)."""
    asked = (tree.EXISTS_SUBLINK, tree.ANY_SUBLINK)
    return kind_of(node) == "sub_link" and node.sub_link.sub_link_type in asked
