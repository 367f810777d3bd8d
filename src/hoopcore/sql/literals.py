"""Which constants of a text meet which columns.

A unit is the largest expression that is one value or one condition: a conjunct of WHERE, an item
of a select list, a value that is written.  All constants of a unit meet all columns of it; that
says too much at times, never too little.  Where a value may reach a column by a way that is not
followed here, it meets ``*``: any column.

Order: the unit, what a text collects, and the list a reading holds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from hoopcore.sql.grammar import Node
from hoopcore.statement import Literal

ANY = "*"


@dataclass(slots=True)
class Unit:
    columns: set[str] = field(default_factory=set)
    places: list[int] = field(default_factory=list)  # where constants begin, as the tree says

    def add(self, constant: Node) -> None:
        """Truth values and NULL are words, not constants."""
        if constant.WhichOneof("val") not in (None, "boolval"):
            self.places.append(constant.location)


@dataclass(slots=True)
class Meetings:
    """The units of one statement, in order, and the names under which columns go as well."""

    units: list[Unit] = field(default_factory=list)
    renamed: set[str] = field(default_factory=set)  # a column so named may be any column
    all_renamed: bool = False
    _of_column: dict[str, Unit] = field(default_factory=dict)

    def constant(self, column: str, constant: Node) -> None:
        """A constant that is a value of its own, for this column."""
        unit = self._of_column.get(column)
        if unit is None:
            unit = self._of_column[column] = Unit({column})
            self.units.append(unit)
        unit.add(constant)

    def add_to(self, columns: dict[int, frozenset[str]]) -> None:
        """What each place meets; a place that is read twice meets the columns of both units."""
        for unit in self.units:
            if not unit.places:
                continue
            met = frozenset(unit.columns)
            if self.all_renamed or not self.renamed.isdisjoint(met):
                met |= {ANY}
            for place in unit.places:
                known = columns.get(place)
                columns[place] = met if known is None else known | met


def literals(
    text: bytes, tokens: Sequence[tuple[int, int]], columns: dict[int, frozenset[str]]
) -> tuple[Literal, ...]:
    """One Literal a token; a token that no expression of the tree holds meets any column.

    The tree places a negative number at its sign, which may be parted from the number by blanks,
    comments and parentheses: it belongs to the next token that is a constant.
    """
    starts = [start for start, _ in tokens]
    met: list[frozenset[str] | None] = [None] * len(tokens)
    for place, names in columns.items():
        index = bisect_left(starts, place)
        if index == len(starts) or place <= 0:  # 0 is what the tree says of no place
            continue
        if starts[index] != place and text[place : place + 1] != b"-":
            continue
        found = met[index]
        met[index] = names if found is None else found | names
    return tuple(
        Literal(start, stop, _UNKNOWN if names is None else names)
        for (start, stop), names in zip(tokens, met, strict=True)
    )


_UNKNOWN = frozenset({ANY})
