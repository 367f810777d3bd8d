"""DataRows under a plan, many at once: one step per column for all rows.

What is one step per cell is only for hits, and for values that are written in a form which numpy
cannot write.

First the fields, then the styles, then the detectors, then the cutting out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hoopcore.detectors.many import addresses
from hoopcore.masking import Plan
from hoopcore.protocols.postgres.binaries import hard_hits
from hoopcore.protocols.postgres.hits import Counts, Cut, detect
from hoopcore.protocols.postgres.row_frames import Starts
from hoopcore.stream import ProtocolError
from hoopcore.styles import FORMED, Octets, Offsets, Style, hidden_at_once, star_at_once
from hoopcore.watches import HARD, Watch

# Rows that are looked at together: bounds what the arrays of offsets take.
_AT_ONCE = 4096
# From so many places in a column on, numpy's steps cost less than a look at each.
_FEW_HITS = 12


def needed(plan: Plan) -> int:
    """How many columns from the left must be found."""
    assert plan.cells is not None
    return max((index + 1 for index, cell in enumerate(plan.cells) if cell is not None), default=0)


@dataclass
class _Field:
    """One column of the rows: those of its cells that are not NULL."""

    column: int
    rows: Offsets  # which row each cell is of, counted from the first of these rows
    starts: Offsets
    stops: Offsets


class Arrays:
    """One step per column for all rows; what is one step per cell is only for hits."""

    def __init__(self, plan: Plan, chunk: bytearray, starts: Starts, counts: Counts) -> None:
        assert plan.cells is not None
        self.plan, self.chunk, self.counts = plan, chunk, counts
        self.cells = plan.cells
        self.needed = needed(plan)
        self.octets: Octets = np.frombuffer(chunk, np.uint8)
        # The big-endian int32 at every offset: lengths stand anywhere.  At least 65 frames of 7
        # bytes are here, so the shapes are never negative.
        self.sizes: Any = np.ndarray((len(chunk) - 3,), ">i4", chunk, 0, (1,))
        self.bounds: Offsets = np.append(np.asarray(starts, np.int64), len(chunk))
        # Rows' starts, starts, stops, and what is to stand there instead of NULL.
        self.cuts: list[tuple[Offsets, Offsets, Offsets, list[bytes | None] | None]] = []

    def mask(self) -> None:
        widths: Any = np.ndarray((len(self.chunk) - 1,), ">u2", self.chunk, 0, (1,))
        rows = self.bounds[:-1]
        if int(np.diff(self.bounds).min()) < 7:
            raise ProtocolError("a row is too short")
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
        every, last_heads = np.arange(len(places)), ends - 4
        for column, cell in enumerate(self.cells[: self.needed]):
            if (places > last_heads).any():  # behind the field before, too
                raise ProtocolError("a row ends inside a field")
            lengths = self.sizes[places].astype(np.int64)
            least = int(lengths.min())
            if least < -1:
                raise ProtocolError("a field has a wrong length")
            starts = places + 4
            places = starts + (lengths if least >= 0 else np.maximum(lengths, 0))
            if cell is None:
                continue
            if least >= 0:
                field = _Field(column, every, starts, places)
            else:
                rows = np.flatnonzero(lengths >= 0)
                field = _Field(column, rows, starts[rows], places[rows])
            if (places > ends).any():
                raise ProtocolError("a field has a wrong length")
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
            self.cuts.append((bounds[field.rows], field.starts, field.stops, None))
            return
        if style in FORMED or field.column in self.plan.forms:
            self._form_field(bounds, field)
            return
        star_field(self.octets, field.starts, field.stops, style, utf8=self.plan.utf8)

    def _form_field(self, bounds: Offsets, field: _Field) -> None:
        """Writes the values in the column's form; those that have none are NULL."""
        form = self.plan.forms.get(field.column)
        if form is None:
            self._null(bounds, field, np.arange(len(field.rows)))
            return
        if form.at_once is not None:
            self._null(bounds, field, form.at_once(self.octets, field.starts, field.stops))
            return
        one, chunk = form.one, self.chunk
        places: list[int] = []
        instead: list[bytes | None] = []
        spans = zip(field.starts.tolist(), field.stops.tolist(), strict=True)
        for place, (start, stop) in enumerate(spans):
            made = one(bytes(chunk[start:stop]))
            if made is not None and len(made) == stop - start:
                chunk[start:stop] = made
            else:
                places.append(place)
                instead.append(made)
        if places:
            at = np.array(places, np.int64)
            rows = bounds[field.rows[at]]
            self.cuts.append((rows, field.starts[at], field.stops[at], instead))

    def _null(self, bounds: Offsets, field: _Field, places: Offsets) -> None:
        if len(places):
            rows = bounds[field.rows[places]]
            self.cuts.append((rows, field.starts[places], field.stops[places], None))

    def _sweep(self, bounds: Offsets, watched: list[tuple[_Field, Watch]]) -> None:
        """Looks at the cells in which something could be."""
        sweep = self.plan.sweep
        assert sweep is not None
        places = sweep.suspects(self.chunk, int(bounds[0]), int(bounds[-1]))
        lasts = np.array([stop - 1 for _, stop in places], np.int64)
        for field, watch in watched:
            if not len(field.rows):
                continue
            if watch in HARD:
                starts, stops = field.starts.tolist(), field.stops.tolist()
                found = hard_hits(sweep, watch, self.chunk, starts, stops)
                for _, kind in found:
                    self.counts[field.column, kind] += 1
                self._null(bounds, field, np.array([place for place, _ in found], np.int64))
            elif places:
                self._look(bounds, field, watch, places, lasts)

    def _look(
        self,
        bounds: Offsets,
        field: _Field,
        watch: Watch,
        places: list[tuple[int, int]],
        lasts: Offsets,
    ) -> None:
        """Looks at the cells of a column that hold one of these places."""
        assert self.plan.sweep is not None
        nearest = np.searchsorted(field.starts, lasts, "right") - 1
        inside = np.flatnonzero((nearest >= 0) & (lasts < field.stops[nearest]))
        if not len(inside):
            return
        cells = nearest[inside]
        if watch is Watch.TEXT and len(inside) > _FEW_HITS and self.plan.sweep.plain_mail:
            inside = inside[~self._mails(field, cells, lasts[inside])]
            cells = nearest[inside]
        starts, stops = field.starts[cells].tolist(), field.stops[cells].tolist()
        suspects: dict[int, tuple[int, int, list[tuple[int, int]]]] = {}
        for cell, start, stop, place in zip(
            cells.tolist(), starts, stops, inside.tolist(), strict=True
        ):
            near = suspects.get(cell)
            if near is None:
                suspects[cell] = (start, stop, [places[place]])
            else:
                near[2].append(places[place])
        nulls = []
        for cell, (start, stop, here) in suspects.items():
            cut = Cut(0, start, stop, field.column)
            if not detect(self.plan, self.chunk, cut, watch, here, self.counts):
                nulls.append(cell)
        self._null(bounds, field, np.array(nulls, np.int64))

    def _mails(self, field: _Field, cells: Offsets, lasts: Offsets) -> Any:
        """Hides plain e-mail addresses; says which of these places need no other look.

        Several places of a cell stand side by side, and are looked at together: not here.
        """
        alone = np.ones(len(cells), bool)
        same = cells[1:] == cells[:-1]
        alone[1:] &= ~same
        alone[:-1] &= ~same
        chosen = np.flatnonzero(alone & (self.octets[lasts] == ord("@")))
        if not len(chosen):
            return np.zeros(len(cells), bool)
        at, where = lasts[chosen], cells[chosen]
        found = addresses(self.octets, at, field.starts[where], field.stops[where])
        starts, stops = found.starts[found.hits], at[found.hits]
        if len(starts):
            star_at_once(self.octets, starts, stops - starts)
            self.counts[field.column, "email"] += len(starts)
        done = np.zeros(len(cells), bool)
        done[chosen] = found.certain
        return done

    def without_cuts(self) -> bytearray:
        """The chunk with every cut cell NULL, put together once."""
        if not self.cuts:
            return self.chunk
        rows, starts, stops = (
            np.concatenate(parts) for parts in list(zip(*self.cuts, strict=True))[:3]
        )
        order = np.argsort(starts, kind="stable")
        rows, starts, stops = rows[order], starts[order], stops[order]
        instead = self._instead(order)
        lengths = np.array([-1 if one is None else len(one) for one in instead or ()], np.int64)
        self.sizes[starts - 4] = lengths if instead else -1
        changed = np.flatnonzero(np.diff(rows, prepend=-1))
        lost = stops - starts - (np.maximum(lengths, 0) if instead else 0)
        self.sizes[rows[changed] + 1] -= np.add.reduceat(lost, changed)
        if instead or len(starts) <= 2 * len(self.bounds):
            return self._joined(starts, stops, instead)
        return self._compressed(starts, stops)

    def _instead(self, order: Offsets) -> list[bytes | None] | None:
        """What is to stand in place of each cut cell; None where all become NULL."""
        if all(cut[3] is None for cut in self.cuts):
            return None
        every: list[bytes | None] = []
        for _, starts, _, instead in self.cuts:
            every += [None] * len(starts) if instead is None else instead
        return [every[place] for place in order.tolist()]

    def _joined(
        self, starts: Offsets, stops: Offsets, instead: list[bytes | None] | None
    ) -> bytearray:
        chunk = self.chunk
        begins, ends = [0, *stops.tolist()], [*starts.tolist(), len(chunk)]
        pieces = [chunk[begin:end] for begin, end in zip(begins, ends, strict=True)]
        if instead is None:
            return bytearray(b"").join(pieces)
        between = [b"" if one is None else one for one in instead]
        every: list[bytes | bytearray] = [pieces[0]]
        for made, piece in zip(between, pieces[1:], strict=True):
            every += (made, piece)
        return bytearray(b"").join(every)

    def _compressed(self, starts: Offsets, stops: Offsets) -> bytearray:
        """The same, where most rows lose more than two cells."""
        edges = np.empty(2 * len(starts) + 1, np.int64)
        edges[0:-1:2], edges[1::2], edges[-1] = starts, stops, len(self.chunk)
        keep = np.arange(len(edges)) % 2 == 0
        kept: Octets = self.octets[np.repeat(keep, np.diff(edges, prepend=0))]
        return bytearray(kept.data)


def star_field(
    octets: Octets, starts: Offsets, stops: Offsets, style: Style, *, utf8: bool
) -> None:
    """Writes a style that keeps lengths over each of these values.  Starts are rising."""
    sizes = hidden_at_once(style, octets, starts, stops, utf8=utf8) - starts
    # A round of stars is 8 bytes of each value, so long ones are written one by one.
    for place in np.flatnonzero(sizes > 128).tolist():
        start = int(starts[place])
        octets[start : start + int(sizes[place])] = ord("*")
    short = sizes <= 128
    if not short.all():
        starts, sizes = starts[short], sizes[short]
    star_at_once(octets, starts, sizes)
