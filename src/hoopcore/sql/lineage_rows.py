"""What decides which rows a statement gives, where that could tell a masked value.

A condition on one column tells one thing of one row: that is inference, and published.  A condition
that holds a column against what differs from row to row (a generator, VALUES, another column) finds
the value out by itself, since the rows that come, or their number, are the value.  Here each
condition is noted by the columns in it; whether that mixes masked ones with others is asked by who
knows the masks (decision 0026).

Within an expression a condition makes a value, and its columns are sources of that; but how much is
done there shows elsewhere (in counters, in time, at which row an error comes), so one that mixes is
noted as well.

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
        self.decides: list[tuple[frozenset[Base], ...]] = []
        self.within: set[tuple[frozenset[Base], ...]] = set()  # the same within expressions

    # --- conditions -----------------------------------------------------------------------------

    def decide(self, node: Node, scope: Scope, *, negated: bool = False) -> None:
        """A condition on rows.  The parts of an AND decide one by one, those of an OR at once."""
        kind = kind_of(node)
        if kind == "bool_expr":
            inner, operator = node.bool_expr.args, node.bool_expr.boolop
            if operator == tree.NOT_EXPR:
                self.decide(inner[0], scope, negated=not negated)
            elif (operator == tree.AND_EXPR) != negated:
                for part in inner:
                    self.decide(part, scope, negated=negated)
            else:
                self._note(*(self.parts((part,), scope) for part in inner))
        elif kind == "sub_link" and _is_asked(node):
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
        self._note(self.parts(nodes, scope))

    def same(self, left: Column, right: Column) -> None:
        """Two columns that are to be equal."""
        self._note(left.value.sources | right.value.sources)

    def _note(self, *choices: Iterable[Base]) -> None:
        """What is asked at once: of an OR several."""
        found = tuple(frozenset(bases) for bases in choices if bases)
        if not found:
            return
        if self.outside:
            self.decides.append(found)
        else:
            self.within.add(found)

    def evaluated(self, bases: frozenset[Base]) -> None:
        """An expression of a select list that may fail, and tell by the row at which it does."""
        relations = {oid for oid, _ in bases if oid}
        if NOWHERE in bases or len(relations) > 1:
            self.within.add((bases,))

    # --- what is counted ------------------------------------------------------------------------

    def count(self, nodes: Iterable[Node], scope: Scope) -> None:
        """Numbers of rows: LIMIT, OFFSET, TABLESAMPLE."""
        self.counted_by(self.parts(nodes, scope))

    def counted_by(self, bases: Iterable[Base]) -> None:
        """A function that gives rows, by what it makes them from."""
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
        for column in columns:
            self._note(column.value.sources)


def _is_asked(node: Node) -> bool:
    """Whether it is EXISTS (…) or x IN (…)."""
    asked = (tree.EXISTS_SUBLINK, tree.ANY_SUBLINK)
    return kind_of(node) == "sub_link" and node.sub_link.sub_link_type in asked
