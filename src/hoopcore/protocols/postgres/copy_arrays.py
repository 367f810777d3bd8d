"""Styles in the rows of a COPY, many rows at once: one step per column.

A row of CopyData without an escape or a quote holds its values as they stand, between delimiters,
and so a style is written over them where they are, as in a DataRow.  NULL takes a field's bytes
away and puts the text for NULL there.  Every other row is left to whoever asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hoopcore.masking import Plan
from hoopcore.protocols.postgres.hits import Counts
from hoopcore.protocols.postgres.row_arrays import star_field
from hoopcore.statement import CopyForm
from hoopcore.styles import FORMED, Octets, Offsets, Style

_HEAD = 5  # of a frame: its kind and its length
_NEWLINE = 10
_BACKSLASH = 92


def fits(plan: Plan, form: CopyForm, styled: Sequence[int]) -> bool:
    """Whether styles of these columns can be written in place in this form.

    The text for NULL must be one that no masked value can be, and a delimiter one byte that is no
    part of it.
    """
    assert plan.cells is not None
    cells = [plan.cells[index] for index in styled]
    return (
        form.null in (b"", b"\\N")
        and len(form.delimiter) == 1
        and form.delimiter not in b"\\\n*N"
        and all(isinstance(cell, Style) and cell not in FORMED for cell in cells)
        and not any(index in plan.forms for index in styled)
    )


class CopyArrays:
    """The frames of one chunk, each of one row."""

    def __init__(self, plan: Plan, form: CopyForm, chunk: bytearray, bounds: Sequence[int]) -> None:
        assert plan.cells is not None
        self.plan, self.form, self.chunk = plan, form, chunk
        self.width = len(plan.cells)
        self.octets: Octets = np.frombuffer(chunk, np.uint8)
        self.bounds: Offsets = np.array(bounds, np.int64)

        self._rows: Offsets = np.empty(0, np.int64)  # the plain ones
        self._found()

    def _found(self) -> None:
        """Finds where fields end, and in which row: delimiters and newlines beside the heads."""
        octets = self.octets
        ends: Any = np.flatnonzero((octets == self.form.delimiter[0]) | (octets == _NEWLINE))
        of: Any = np.searchsorted(self.bounds, ends, "right") - 1
        inside = ends - self.bounds[of] >= _HEAD
        self._field_ends, self._of = ends[inside], of[inside]

    def plain(self, skipped: set[int]) -> set[int]:
        """The rows that ``mask`` is going to mask: plain ones that are not skipped.

        They have no escape or quote, one newline, and as many fields as there are columns.
        """
        count = len(self.bounds) - 1
        plain = np.ones(count, bool)
        plain[list(skipped)] = False
        sign = self.form.quote[0] if self.form.csv else _BACKSLASH
        strange: Any = np.flatnonzero(self.octets == sign)
        if self.form.null and len(strange):
            strange = strange[~self._is_null(strange)]
        plain[np.searchsorted(self.bounds, strange, "right") - 1] = False
        lines = self._of[self.octets[self._field_ends] == _NEWLINE]
        plain &= np.bincount(lines, minlength=count) == 1
        plain &= np.bincount(self._of, minlength=count) == self.width
        self._rows = np.flatnonzero(plain)
        self._field_ends = self._field_ends[plain[self._of]]
        return set(self._rows.tolist())

    def _is_null(self, signs: Offsets) -> Any:
        """Which of these backslashes begin a field that is no more than the text for NULL."""
        octets, last = self.octets, len(self.octets) - 1
        rows = np.searchsorted(self.bounds, signs, "right") - 1
        letter, behind = octets[np.minimum(signs + 1, last)], octets[np.minimum(signs + 2, last)]
        delimiter = self.form.delimiter[0]
        begins = (octets[signs - 1] == delimiter) | (signs - self.bounds[rows] == _HEAD)
        return begins & (letter == ord("N")) & ((behind == delimiter) | (behind == _NEWLINE))

    def mask(self, styled: Sequence[int], counts: Counts) -> list[tuple[int, int]]:
        """Masks these columns of the plain rows; gives back the fields that are to become NULL.

        They come in order.  The lengths of their frames are already those without them.
        """
        rows = self._rows
        if not len(rows):
            return []
        ends = self._field_ends.reshape(-1, self.width)
        cut: list[tuple[Offsets, Offsets, Offsets]] = []
        assert self.plan.cells is not None
        for column in styled:
            starts = ends[:, column - 1] + 1 if column else self.bounds[rows] + _HEAD
            stops = ends[:, column]
            here = np.flatnonzero(self._is_value(starts, stops))
            if not len(here):
                continue
            style = self.plan.cells[column]
            assert isinstance(style, Style)
            counts[column, str(style)] += len(here)
            starts, stops = starts[here], stops[here]
            if style is Style.NULL:
                cut.append((rows[here], starts, stops))
            else:
                star_field(self.octets, starts, stops, style, utf8=self.plan.utf8)
        return self._cut(cut)

    def _is_value(self, starts: Offsets, stops: Offsets) -> Any:
        sizes, null = stops - starts, self.form.null
        if not null:
            return sizes > 0
        behind = np.minimum(starts + 1, len(self.octets) - 1)
        same = (self.octets[starts] == null[0]) & (self.octets[behind] == null[1])
        return (sizes != len(null)) | ~same

    def _cut(self, cut: list[tuple[Offsets, Offsets, Offsets]]) -> list[tuple[int, int]]:
        """Writes the lengths of the frames that these leave; gives them back in order."""
        if not cut:
            return []
        rows, starts, stops = (np.concatenate(parts) for parts in zip(*cut, strict=True))
        order = np.argsort(starts, kind="stable")
        rows, starts, stops = rows[order], starts[order], stops[order]
        sizes: Any = np.ndarray((len(self.chunk) - 3,), ">i4", self.chunk, 0, (1,))
        changed = np.flatnonzero(np.diff(rows, prepend=-1))
        lost = stops - starts - len(self.form.null)
        sizes[self.bounds[rows[changed]] + 1] -= np.add.reduceat(lost, changed)
        return list(zip(starts.tolist(), stops.tolist(), strict=True))
