"""On which columns it hangs which rows there are, how many, and in which order.

Whoever may not see a column can still guess at it: ``where ssn like '2%'``, ``order by ssn``.  So
the columns that stand in a condition, a join, a group, a sort, in DISTINCT or in what an aggregate
or a window chooses by are kept apart from those that are only shown.  A name that the text itself
gives stands for the columns it was made from.

Order: what is collected, names that are given, places in a select list, the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from hoopcore.sql.functions import ROW_MAKERS
from hoopcore.sql.grammar import Node, kind_of
from hoopcore.sql.literals import ANY


class Filters:
    """Part of a walk over one statement."""

    def __init__(self) -> None:
        self.columns: set[str] = set()  # mentioned anywhere
        self.filters: set[str] = set()  # … where rows hang on them
        self.given_names: dict[str, set[str]] = {}  # → the columns that such a name stands for
        self.listed: list[set[str]] = []  # of each place of the select list that was read last

    @contextmanager
    def gathering(self) -> Iterator[set[str]]:
        """The columns that are mentioned inside."""
        outer, self.columns = self.columns, set()
        try:
            yield self.columns
        finally:
            outer |= self.columns
            self.columns = outer

    @contextmanager
    def filtering(self) -> Iterator[None]:
        """Rows hang on what is mentioned inside."""
        with self.gathering() as columns:
            yield
            self.filters |= columns

    # --- names that are given ---------------------------------------------------------------------

    def give_name(self, name: str, columns: Iterable[str]) -> None:
        self.given_names.setdefault(name, set()).update(columns)

    def name_item(self, item: Node, columns: set[str], others: Iterable[str]) -> None:
        """An item of a select list: by its alias, or by the name that the server gives it."""
        value, name = item.val, item.name
        kind = kind_of(value)
        if name:
            if columns != {name}:
                self.give_name(name, columns)
        elif kind == "func_call":
            self.give_name(value.func_call.funcname[-1].string.sval, columns)
        elif kind != "column_ref":
            for other in others:
                self.give_name(other, columns)
            if kind == "type_cast":
                self.give_name(value.type_cast.type_name.names[-1].string.sval, columns)
            elif kind in ("xml_expr", "xml_serialize") or kind.startswith("json"):
                self.filters |= columns  # named by rules of their own
        self.listed.append(columns)

    # --- places in a select list ------------------------------------------------------------------

    def by_place(self, nodes: Iterable[Node]) -> None:
        """ORDER BY 2, GROUP BY 1: the columns of any place.

        A reading is kept for texts of other numbers too (``shapes.py``), so it is not told which.
        """
        for node in nodes:
            item = node.sort_by.node if kind_of(node) == "sort_by" else node
            kind = kind_of(item)
            if kind == "a_const":
                self.all_places()
            elif kind == "grouping_set":  # ROLLUP (1)
                self.by_place(item.grouping_set.content)
            elif kind == "row_expr":
                self.by_place(item.row_expr.args)

    def all_places(self) -> None:
        """DISTINCT, UNION: rows that are alike in all of them are one."""
        for columns in self.listed:
            self.filters |= columns

    @staticmethod
    def makes_rows(function: str) -> bool:
        """Whether how many rows there are hangs on its arguments."""
        return function in ROW_MAKERS

    # --- the end ----------------------------------------------------------------------------------

    def all_filters(self, ranges: set[str]) -> frozenset[str]:
        """With what the names in it stand for; ``ranges`` are names of whole rows."""
        found, waiting = set(self.filters), list(self.filters)
        while waiting:
            for name in self.given_names.get(waiting.pop(), ()):
                if name not in found:
                    found.add(name)
                    waiting.append(name)
        if not ranges.isdisjoint(found):
            found.add(ANY)
        return frozenset(found)

    def absorb_filters(self, inner: Filters) -> None:
        """Those of another statement, which this one runs."""
        self.filters |= inner.filters
        for name, columns in inner.given_names.items():
            self.give_name(name, columns)
