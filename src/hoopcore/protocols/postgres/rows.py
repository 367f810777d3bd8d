"""DataRows under a plan: whole frames in, the same frames masked out.

A mask that keeps the length is written over the value where it stands.  A NULL takes bytes away:
the rows keep their place until all is masked, and then the chunk is put together once without
what was cut.  Below 64 rows a plain loop does it; from there on the fields of all rows are found at
once, one step per column.  Both ways give the same bytes.

Fields behind the last column that a plan touches are passed on as they came.

First what both ways share, then the loop, then the arrays, then the cutting out.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hoopcore.masking import Plan
from hoopcore.protocols.postgres.hits import Counts, Cut, detect, star
from hoopcore.stream import ProtocolError
from hoopcore.styles import Octets, Offsets, Style, each_of, hidden, hidden_at_once
from hoopcore.watches import Watch

# numpy costs 40 µs before the first row; at 64 rows both ways cost the same.
FEW = 64
# Rows that are looked at together: bounds what the arrays of offsets take.
_AT_ONCE = 4096

_HEAD = struct.Struct("!cIH")
_SIZE = struct.Struct("!xI")
_LENGTH = struct.Struct("!i")
_NULL = _LENGTH.pack(-1)


def mask_rows(plan: Plan, chunk: bytearray) -> tuple[bytearray | memoryview, Counts]:
    """The rows of the chunk as the plan wants them, and how many values it masked of each column.

    The chunk is a whole number of DataRow frames and belongs to this function from here on: it is
    written over, and may be what is returned.  Anything that does not fit is a ProtocolError.
    """
    counts: Counts = defaultdict(int)
    starts = _frames(chunk)
    if not starts:
        return chunk, {}
    if plan.cells is None:  # all rows of one result are of one width
        plan = Plan((Style.NULL,) * _HEAD.unpack_from(chunk, 0)[2])
    if len(starts) < FEW:
        cuts = _Loop(plan, chunk, counts).mask(starts)
        result = _without(chunk, cuts) if cuts else chunk
    else:
        arrays = _Arrays(plan, chunk, starts, counts)
        arrays.mask()
        result = arrays.without_cuts()
    return result, dict(counts)


def _frames(chunk: bytearray) -> list[int]:
    """Where each frame begins."""
    starts, place, end = [], 0, len(chunk)
    size_at = _SIZE.unpack_from
    try:
        while place < end:
            starts.append(place)
            (size,) = size_at(chunk, place)
            if size < 6:
                raise ProtocolError("a row is too short")
            place += size + 1
    except struct.error:
        place = -1
    if place != end:
        raise ProtocolError("a row is cut short")
    return starts


def _needed(plan: Plan) -> int:
    """How many columns from the left must be found."""
    assert plan.cells is not None
    return max((index + 1 for index, cell in enumerate(plan.cells) if cell is not None), default=0)


def _field(chunk: bytearray, place: int, end: int) -> tuple[int, int]:
    """Where a field's value starts and stops; the stop is before the start where it is NULL."""
    if place + 4 > end:
        raise ProtocolError("a row ends inside a field")
    length: int = _LENGTH.unpack_from(chunk, place)[0]
    if length < -1 or place + 4 + length > end:
        raise ProtocolError("a field has a wrong length")
    return place + 4, place + 4 + length


# --- few rows -------------------------------------------------------------------------------------


class _Loop:
    """Row by row, field by field."""

    def __init__(self, plan: Plan, chunk: bytearray, counts: Counts) -> None:
        assert plan.cells is not None
        self.plan, self.chunk, self.counts = plan, chunk, counts
        self.width = len(plan.cells)
        self.cells = plan.cells[: _needed(plan)]
        self.styled = [0] * len(self.cells)  # values of each column that a style has masked

    def mask(self, starts: Sequence[int]) -> list[Cut]:
        """Masks in place and returns the cells that become NULL, in order."""
        cuts: list[Cut] = []
        watched: list[tuple[Cut, Watch]] = []
        for row in starts:
            self._row(row, cuts, watched)
        for column, count in enumerate(self.styled):
            if count:
                self.counts[column, str(self.cells[column])] = count
        if self.plan.sweep is not None and watched:
            places = self.plan.sweep.suspects(self.chunk, 0, len(self.chunk))
            if places:
                cuts += self._look(watched, places)
                cuts.sort()
        return cuts

    def _row(self, row: int, cuts: list[Cut], watched: list[tuple[Cut, Watch]]) -> None:
        chunk = self.chunk
        kind, size, width = _HEAD.unpack_from(chunk, row)
        if kind != b"D" or width != self.width:
            raise ProtocolError("a row does not fit its description")
        place, end = row + 7, row + 1 + size
        for column, cell in enumerate(self.cells):
            start, stop = _field(chunk, place, end)
            if stop < start:
                place = start
                continue
            place = stop
            if cell is None:
                continue
            if isinstance(cell, Watch):
                watched.append((Cut(row, start, stop, column), cell))
                continue
            self.styled[column] += 1
            if cell is Style.NULL:
                cuts.append(Cut(row, start, stop, column))
            else:
                value = bytes(chunk[start:stop])
                star(chunk, start, start + hidden(cell, value, utf8=self.plan.utf8))
        if len(self.cells) == self.width and place != end:
            raise ProtocolError("a row goes on behind its last field")

    def _look(
        self, watched: list[tuple[Cut, Watch]], places: list[tuple[int, int]]
    ) -> Iterable[Cut]:
        """Looks at the watched cells that hold one of these places."""
        begins = [cut.start for cut, _ in watched]
        suspects: dict[int, list[tuple[int, int]]] = {}
        for place in places:
            index = bisect_right(begins, place[1] - 1) - 1
            if index >= 0 and place[1] <= watched[index][0].stop:
                suspects.setdefault(index, []).append(place)
        return [
            watched[index][0]
            for index, near in suspects.items()
            if not detect(self.plan, self.chunk, *watched[index], near, self.counts)
        ]


def _without(chunk: bytearray, cuts: list[Cut]) -> bytearray:
    """The chunk with these cells NULL."""
    pieces, done = [], 0
    with memoryview(chunk) as view:
        for row, start, stop, _ in cuts:
            chunk[start - 4 : start] = _NULL
            (size,) = _SIZE.unpack_from(chunk, row)
            struct.pack_into("!I", chunk, row + 1, size - (stop - start))
            pieces.append(view[done:start])
            done = stop
        pieces.append(view[done:])
        result = bytearray(b"").join(pieces)
        for piece in pieces:
            piece.release()
    return result


# --- more rows: all at once -----------------------------------------------------------------------


@dataclass
class _Field:
    """One column of the rows: those of its cells that are not NULL."""

    column: int
    rows: Offsets  # which row each cell is of, counted from the first of these rows
    starts: Offsets
    stops: Offsets


class _Arrays:
    """One step per column for all rows; what is one step per cell is only for hits."""

    def __init__(self, plan: Plan, chunk: bytearray, starts: list[int], counts: Counts) -> None:
        assert plan.cells is not None
        self.plan, self.chunk, self.counts = plan, chunk, counts
        self.cells = plan.cells
        self.needed = _needed(plan)
        self.octets: Octets = np.frombuffer(chunk, np.uint8)
        # The big-endian int32 at every offset: lengths stand anywhere.  At least 65 frames of 7
        # bytes are here, so the shapes are never negative.
        self.sizes: Any = np.ndarray((len(chunk) - 3,), ">i4", chunk, 0, (1,))
        self.bounds: Offsets = np.array([*starts, len(chunk)], np.int64)
        self.cuts: list[tuple[Offsets, Offsets, Offsets]] = []  # rows' starts, starts, stops

    def mask(self) -> None:
        widths: Any = np.ndarray((len(self.chunk) - 1,), ">u2", self.chunk, 0, (1,))
        rows = self.bounds[:-1]
        if (self.octets[rows] != ord("D")).any() or (widths[rows + 5] != len(self.cells)).any():
            raise ProtocolError("a row does not fit its description")
        for first in range(0, len(rows), _AT_ONCE):
            bounds = self.bounds[first : first + _AT_ONCE + 1]
            watched = self._style(bounds)
            if watched:
                self._sweep(bounds, watched)

    def _style(self, bounds: Offsets) -> list[tuple[_Field, Watch]]:
        """Finds the fields of these rows and masks the declared ones; gives back the watched."""
        watched = []
        places, ends = bounds[:-1] + 7, bounds[1:]
        for column, cell in enumerate(self.cells[: self.needed]):
            if (places + 4 > ends).any():
                raise ProtocolError("a row ends inside a field")
            lengths = self.sizes[places].astype(np.int64)
            starts = places + 4
            places = starts + np.maximum(lengths, 0)
            if (lengths < -1).any() or (places > ends).any():
                raise ProtocolError("a field has a wrong length")
            if cell is None:
                continue
            rows = np.flatnonzero(lengths >= 0)
            field = _Field(column, rows, starts[rows], places[rows])
            if isinstance(cell, Watch):
                watched.append((field, cell))
            else:
                self._mask_field(bounds, field, cell)
        if self.needed == len(self.cells) and (places != ends).any():
            raise ProtocolError("a row goes on behind its last field")
        return watched

    def _mask_field(self, bounds: Offsets, field: _Field, style: Style) -> None:
        if not len(field.rows):
            return
        self.counts[field.column, str(style)] += len(field.rows)
        if style is Style.NULL:
            self.cuts.append((bounds[field.rows], field.starts, field.stops))
            return
        starts, utf8 = field.starts, self.plan.utf8
        sizes = hidden_at_once(style, self.octets, starts, field.stops, utf8=utf8) - starts
        # A range of offsets costs 16 bytes per byte, so long values are written one by one.
        for place in np.flatnonzero(sizes > 128).tolist():
            _star_octets(self.octets, int(starts[place]), int(sizes[place]))
        short = sizes <= 128
        if not short.all():
            starts, sizes = starts[short], sizes[short]
        self.octets[each_of(starts, sizes)] = ord("*")

    def _sweep(self, bounds: Offsets, watched: list[tuple[_Field, Watch]]) -> None:
        """Looks at the cells in which something could be."""
        assert self.plan.sweep is not None
        places = self.plan.sweep.suspects(self.chunk, int(bounds[0]), int(bounds[-1]))
        if not places:
            return
        lasts = np.array([stop - 1 for _, stop in places], np.int64)
        for field, watch in watched:
            if not len(field.rows):
                continue
            nearest = np.searchsorted(field.starts, lasts, "right") - 1
            inside = (nearest >= 0) & (lasts < field.stops[nearest])
            suspects: dict[int, list[tuple[int, int]]] = {}
            for place in np.flatnonzero(inside).tolist():
                suspects.setdefault(int(nearest[place]), []).append(places[place])
            self._look(bounds, field, watch, suspects)

    def _look(
        self,
        bounds: Offsets,
        field: _Field,
        watch: Watch,
        suspects: dict[int, list[tuple[int, int]]],
    ) -> None:
        nulls = []
        for cell, near in suspects.items():
            start, stop = int(field.starts[cell]), int(field.stops[cell])
            cut = Cut(0, start, stop, field.column)
            if not detect(self.plan, self.chunk, cut, watch, near, self.counts):
                nulls.append(cell)
        if nulls:
            cells = np.array(nulls, np.int64)
            rows = bounds[field.rows[cells]]
            self.cuts.append((rows, field.starts[cells], field.stops[cells]))

    def without_cuts(self) -> bytearray:
        """The chunk with every cut cell NULL, put together once."""
        if not self.cuts:
            return self.chunk
        rows, starts, stops = (np.concatenate(parts) for parts in zip(*self.cuts, strict=True))
        order = np.argsort(starts, kind="stable")
        rows, starts, stops = rows[order], starts[order], stops[order]
        self.sizes[starts - 4] = -1
        changed = np.flatnonzero(np.diff(rows, prepend=-1))
        lost = np.add.reduceat(stops - starts, changed)
        self.sizes[rows[changed] + 1] = self.sizes[rows[changed] + 1] - lost
        if len(starts) <= 2 * len(self.bounds):
            return self._joined(starts, stops)
        return self._compressed(starts, stops)

    def _joined(self, starts: Offsets, stops: Offsets) -> bytearray:
        chunk = self.chunk
        begins, ends = [0, *stops.tolist()], [*starts.tolist(), len(chunk)]
        pieces = [chunk[begin:end] for begin, end in zip(begins, ends, strict=True)]
        return bytearray(b"").join(pieces)

    def _compressed(self, starts: Offsets, stops: Offsets) -> bytearray:
        """The same, where most rows lose more than two cells."""
        edges = np.empty(2 * len(starts) + 1, np.int64)
        edges[0:-1:2], edges[1::2], edges[-1] = starts, stops, len(self.chunk)
        keep = np.arange(len(edges)) % 2 == 0
        kept: Octets = self.octets[np.repeat(keep, np.diff(edges, prepend=0))]
        return bytearray(kept.data)


def _star_octets(octets: Octets, start: int, size: int) -> None:
    octets[start : start + size] = ord("*")
