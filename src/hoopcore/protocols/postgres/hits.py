"""What a detector's hit does to a cell: it is overwritten, or the cell becomes NULL.

A cell that is written over must still be a value of its type.  In JSON that means inside a string,
and never half of an escape; a number becomes null.  In an array, inside one element.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NamedTuple, TypeAlias

from hoopcore.detectors import Span, Sweep
from hoopcore.form_arrays import parts
from hoopcore.masking import Plan
from hoopcore.watches import Watch

Counts: TypeAlias = dict[tuple[int, str], int]
"""Column, counted from 0, and kind → values masked."""


class Cut(NamedTuple):
    """A cell that becomes NULL, or another value."""

    row: int  # where its row begins
    start: int
    stop: int
    column: int  # counted from 0
    instead: bytes | None = None


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
    sweep = plan.sweep
    assert sweep is not None
    cell = (cut.start, cut.stop)
    if watch is Watch.MEMBERS:
        spans = _in_members(sweep, bytes(chunk[cell[0] : cell[1]]), cell[0])
    else:
        spans = sweep.confirm(chunk, cell, places)
    for span in spans:
        counts[cut.column, span.kind] += 1
    if watch is Watch.JSON and len(spans) < _escaped(sweep, bytes(chunk[cell[0] : cell[1]])):
        counts[cut.column, "escaped"] += 1
        return False
    return not spans or _overwrite(chunk, watch, cell, spans)


def _in_members(sweep: Sweep, value: bytes, base: int) -> list[Span]:
    """The hits in each element of an array in binary; in the whole where it is none."""
    try:
        places = list(parts(value))
    except ValueError:
        places = []
    return [
        Span(base + start + span.start, base + start + span.stop, span.kind, span.keep)
        for start, stop in places or [(0, len(value))]
        for span in sweep.find(value[start:stop])
    ]


_ESCAPES = re.compile(rb"\\(?:u00([2-7][0-9A-Fa-f])|(/))")


def _escaped(sweep: Sweep, text: bytes) -> int:
    """How many hits there are in JSON whose characters may be written as escapes; 0 without any."""
    plain, count = _ESCAPES.subn(
        lambda found: bytes.fromhex(found[1].decode()) if found[1] else b"/", text
    )
    return len(sweep.find(plain)) if count else 0


_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


_FORBIDDEN = {Watch.ARRAY: b'{},"\\', Watch.XML: b"<>&;'\"=/"}


def _overwrite(chunk: bytearray, watch: Watch, cell: tuple[int, int], spans: list[Span]) -> bool:
    """Hides the spans; False where the cell would no longer be a value, and must be NULL."""
    if watch is Watch.NULL:
        return False
    forbidden = _FORBIDDEN.get(watch)
    if forbidden and any(_has(chunk, span, forbidden) for span in spans):
        return False
    hidden = [(span.start, span.stop - span.keep) for span in spans]
    if watch is Watch.JSON:
        return _overwrite_json(chunk, cell, hidden)
    for start, stop in hidden:
        star(chunk, start, stop)
    return True


def _has(chunk: bytearray, span: Span, bytes_: bytes) -> bool:
    text = chunk[span.start : span.stop]
    return len(text.translate(None, bytes_)) != len(text)


def _overwrite_json(chunk: bytearray, cell: tuple[int, int], hidden: list[tuple[int, int]]) -> bool:
    """Stars inside strings, null and blanks in place of numbers; False where it is neither."""
    base = cell[0]
    text = bytes(chunk[base : cell[1]])
    strings = [match.span() for match in _STRINGS.finditer(text)]
    begins = [start for start, _ in strings]
    found: list[tuple[int, int, bytes]] = []
    for low, high in hidden:
        start, stop = low - base, high - base
        place = bisect_right(begins, start) - 1
        if place >= 0 and start < strings[place][1]:
            if stop > strings[place][1]:
                return False
            start = _behind_escape(text, strings[place][0], start)
            found.append((start, stop, b"*" * (stop - start)))
        else:
            number = _number(text, start)
            if number is None or number[1] < stop:
                return False
            found.append((*number, b"null".ljust(number[1] - number[0])))
    for start, stop, instead in found:
        chunk[base + start : base + stop] = instead
    return True


_NUMBER = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_NUMERIC = b"0123456789.eE+-"


def _number(text: bytes, start: int) -> tuple[int, int] | None:
    """The JSON number that this offset is in, if it is one and as long as null at least."""
    head = text[max(0, start - 64) : start]
    low = start - (len(head) - len(head.rstrip(_NUMERIC)))
    found = _NUMBER.match(text, low)
    if found is None or found.end() - low < 4:
        return None
    beside = text[max(0, low - 1) : low] + text[found.end() : found.end() + 1]
    return (low, found.end()) if not beside.strip(b" \t\r\n:,[]{}") else None


def _behind_escape(text: bytes, opening: int, start: int) -> int:
    r"""The first offset from ``start`` on that is no part of an escape, such as the n of \n."""
    low = max(opening + 1, start - 5)
    while low > opening + 1 and text[low - 1] == ord("\\"):
        low -= 1  # the escapes are read from the left, so begin where one cannot be cut
    while low < start:
        size = 1 if text[low] != ord("\\") else 6 if text[low + 1] == ord("u") else 2
        low += size
    return low
