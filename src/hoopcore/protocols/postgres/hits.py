"""What a detector's hit does to a cell: it is overwritten, or the cell becomes NULL.

A cell that is written over must still be a value of its type.  In JSON that means inside a string,
and never half of an escape.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NamedTuple, TypeAlias

from hoopcore.detectors import Span
from hoopcore.masking import Plan
from hoopcore.watches import Watch

Counts: TypeAlias = dict[tuple[int, str], int]
"""Column, counted from 0, and kind → values masked."""


class Cut(NamedTuple):
    """A cell that becomes NULL."""

    row: int  # where its row begins
    start: int
    stop: int
    column: int  # counted from 0


def star(chunk: bytearray, start: int, stop: int) -> None:
    """Overwrites these bytes with ``*``."""
    while start < stop:  # in pieces, since a value may be of many megabytes
        size = min(stop - start, 65536)
        chunk[start : start + size] = b"*" * size
        start += size


def detect(
    plan: Plan,
    chunk: bytearray,
    cut: Cut,
    watch: Watch,
    places: list[tuple[int, int]],
    counts: Counts,
) -> bool:
    """Hides what is found in one cell; False where the cell must be NULL."""
    assert plan.sweep is not None
    cell = (cut.start, cut.stop)
    spans = plan.sweep.confirm(chunk, cell, places)
    for span in spans:
        counts[cut.column, span.kind] += 1
    return not spans or _overwrite(chunk, watch, cell, spans)


_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


def _overwrite(chunk: bytearray, watch: Watch, cell: tuple[int, int], spans: list[Span]) -> bool:
    """Hides the spans; False where the cell would no longer be a value, and must be NULL."""
    if watch is Watch.NULL:
        return False
    parts = [(span.start, span.stop - span.keep) for span in spans]
    if watch is Watch.JSON:
        inside = _within_strings(bytes(chunk[cell[0] : cell[1]]), cell[0], parts)
        if inside is None:
            return False
        parts = inside
    for start, stop in parts:
        star(chunk, start, stop)
    return True


def _within_strings(
    text: bytes, base: int, parts: list[tuple[int, int]]
) -> list[tuple[int, int]] | None:
    """The parts, each beginning behind an escape; None where one is not inside a string."""
    strings = [match.span() for match in _STRINGS.finditer(text)]
    begins = [start for start, _ in strings]
    inside = []
    for start, stop in parts:
        place = bisect_right(begins, start - base) - 1
        if place < 0 or stop - base >= strings[place][1]:
            return None
        inside.append((base + _behind_escape(text, strings[place][0], start - base), stop))
    return inside


def _behind_escape(text: bytes, opening: int, start: int) -> int:
    r"""The first offset from ``start`` on that is no part of an escape, such as the n of \n."""
    low = max(opening + 1, start - 5)
    while low > opening + 1 and text[low - 1] == ord("\\"):
        low -= 1  # the escapes are read from the left, so begin where one cannot be cut
    while low < start:
        size = 1 if text[low] != ord("\\") else 6 if text[low + 1] == ord("u") else 2
        low += size
    return low
