"""Where on its screen a terminal writes: which line it is, and what stands on the others.

A line is known by its number once a program has said one.  Nothing is known any more where lines
move in a way that is not followed here; then each line is a new one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from hoopcore.terminal.row import Row

Place: TypeAlias = tuple[int, int]
"""A line, counted from 1, and a column, counted from 0."""

# More than screens have.
_MOST_LINES: Final = 400
_LONGEST: Final = 1000


@dataclass(slots=True)
class Screen:
    columns: int = 0
    lines: int = 0
    _line: int = 0  # on which the row began that is written now; 0: not known
    _partly: bool = False
    _rows: dict[int, Row] = field(default_factory=dict)

    @property
    def known(self) -> bool:
        """Whether it is known which line is written."""
        return self._line > 0

    def forget(self) -> None:
        """What stands on other lines."""
        self._rows.clear()

    def scrolls_in_part(self) -> None:
        """From here on what a newline moves is not known."""
        self._partly = True
        self._rows.clear()

    def _now(self, row: Row) -> int:
        """The line that the cursor is on."""
        if not self._line:
            return 0
        return self._line + (row.starts_at(self.columns) // self.columns if self.columns else 0)

    def cursor(self, row: Row) -> Place | None:
        line = self._now(row)
        return (line, row.at - row.starts_at(self.columns)) if line else None

    def moved(self, row: Row, letter: str, count: int) -> Place | None:
        """Where the cursor comes to from there."""
        place = self.cursor(row)
        if place is None:
            return (count, row.at - row.starts_at(self.columns)) if letter == "d" else None
        line, column = place
        match letter:
            case "A":
                return max(1, line - count), column
            case "B":
                return line + count, column
            case "E":
                return line + count, 0
            case "F":
                return max(1, line - count), 0
            case _:
                return count, column

    def is_here(self, row: Row, line: int) -> bool:
        return self.known and self._now(row) == line

    def is_next(self, row: Row, place: Place) -> bool:
        """Whether it is the beginning of the line below one that is full."""
        return place == (self._now(row) + 1, 0) and self.known and row.at_margin(self.columns)

    def joined(self) -> None:
        """The row goes on in the next line; which that is, its length tells."""

    def next_line(self, row: Row, *, keep_column: bool) -> Row:
        """The row that is written behind a newline."""
        if not self.known:
            return Row()
        line = self._now(row)
        column = row.at - row.starts_at(self.columns) if keep_column else 0
        self._keep(row)
        if self.lines and line < self.lines and not self._partly:
            return self._enter((line + 1, column))
        if not self.lines or self._partly:
            self._rows.clear()
        else:
            self._rows = {n - 1: kept for n, kept in self._rows.items() if n > 1}
        self._line = self._line if self.lines else 0
        new = Row()
        new.go(column)
        new.held = new.at
        return new

    def at(self, row: Row, place: Place | None) -> Row:
        """The row that is written at another place."""
        self._keep(row)
        if place is None:
            self._line = 0
            return Row()
        return self._enter(place)

    def _keep(self, row: Row) -> None:
        if self._line and len(row.text) <= (self.columns or _LONGEST):
            if len(self._rows) >= _MOST_LINES:
                self._rows.clear()
            self._rows[self._line] = row

    def _enter(self, place: Place) -> Row:
        self._line, column = place
        row = self._rows.pop(self._line, None) or Row()
        row.go(min(column, _LONGEST))
        row.held, row.anchor = row.at, 0
        return row
