"""DataRows under a plan: whole frames in, the same frames masked out.

A mask that keeps the length is written over the value where it stands.  A NULL takes bytes away,
and a hash brings others: the rows keep their place until all is masked, and then the chunk is put
together once without what was cut.  Below 64 rows a plain loop does it; from there on the fields of
all rows are found at once, one step per column (``row_arrays.py``).  Both give the same bytes.

Fields behind the last column that a plan touches are passed on as they came.

First what settles which way is taken, then the loop, then the cutting out.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence

from hoopcore.masking import Plan
from hoopcore.protocols.postgres.binaries import hard_hits
from hoopcore.protocols.postgres.hits import Counts, Cut, detect, star
from hoopcore.protocols.postgres.row_arrays import Arrays, needed
from hoopcore.protocols.postgres.row_frames import Starts, frames_of
from hoopcore.protocols.postgres.wire import DATA_ROW
from hoopcore.stream import ProtocolError
from hoopcore.styles import FORMED, Style, hidden
from hoopcore.watches import HARD, Watch

# numpy costs 40 µs before the first row; at 64 rows both ways cost the same.
FEW = 64

_HEAD = struct.Struct("!cIH")
_SIZE = struct.Struct("!xI")
_LENGTH = struct.Struct("!i")
_NULL = _LENGTH.pack(-1)


def mask_rows(
    plan: Plan, chunk: bytearray, starts: Starts | None = None
) -> tuple[bytearray | memoryview, Counts]:
    """The rows of the chunk as the plan wants them, and how many values it masked of each column.

    The chunk is a whole number of DataRow frames and belongs to this function from here on: it is
    written over, and may be what is returned.  Anything that does not fit is a ProtocolError.
    ``starts`` are where ``frames_of`` says that its frames begin, where that was asked already.
    """
    counts: Counts = defaultdict(int)
    if starts is None:
        with memoryview(chunk) as view:
            starts, end = frames_of(DATA_ROW, view, 0, len(chunk))
        if end != len(chunk):
            raise ProtocolError("a row is cut short")
    if not len(starts):
        return chunk, {}
    if len(chunk) - int(starts[-1]) < _HEAD.size:
        raise ProtocolError("a row is too short")
    if plan.cells is None:  # all rows of one result are of one width
        plan = Plan((Style.NULL,) * _HEAD.unpack_from(chunk, 0)[2])
    if len(starts) < FEW:
        few = starts if isinstance(starts, list) else starts.tolist()
        cuts = _Loop(plan, chunk, counts).mask(few)
        result = _without(chunk, cuts) if cuts else chunk
    else:
        arrays = Arrays(plan, chunk, starts, counts)
        arrays.mask()
        result = arrays.without_cuts()
    return result, dict(counts)


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
        self.cells = plan.cells[: needed(plan)]
        self.styled = [0] * len(self.cells)  # values of each column that a style has masked
        self.forms = plan.forms
        self.formed = bool(plan.forms) or any(cell in FORMED for cell in self.cells)
        self.hard = any(cell in HARD for cell in self.cells)

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
            if self.hard:
                cuts += self._look_hard(watched)
            cuts.sort(key=_start)
        return cuts

    def _row(self, row: int, cuts: list[Cut], watched: list[tuple[Cut, Watch]]) -> None:
        chunk = self.chunk
        kind, size, width = _HEAD.unpack_from(chunk, row)
        if size < 6:
            raise ProtocolError("a row is too short")
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
            elif self.formed and (cell in FORMED or column in self.forms):
                self._form(Cut(row, start, stop, column), cuts)
            else:
                value = bytes(chunk[start:stop])
                star(chunk, start, start + hidden(cell, value, utf8=self.plan.utf8))
        if len(self.cells) == self.width and place != end:
            raise ProtocolError("a row goes on behind its last field")

    def _form(self, cell: Cut, cuts: list[Cut]) -> None:
        """Writes the value in its column's form; one that has none is NULL."""
        row, start, stop, column, _ = cell
        form = self.forms.get(column)
        made = None if form is None else form.one(bytes(self.chunk[start:stop]))
        if made is not None and len(made) == stop - start:
            self.chunk[start:stop] = made
        else:
            cuts.append(Cut(row, start, stop, column, made))

    def _look_hard(self, watched: list[tuple[Cut, Watch]]) -> Iterable[Cut]:
        """Looks at the cells in which the quick look sees nothing."""
        sweep = self.plan.sweep
        assert sweep is not None
        cut = []
        for cell, watch in watched:
            if watch not in HARD:
                continue
            for _, kind in hard_hits(sweep, watch, self.chunk, [cell.start], [cell.stop]):
                self.counts[cell.column, kind] += 1
                cut.append(cell)
        return cut

    def _look(
        self, watched: list[tuple[Cut, Watch]], places: list[tuple[int, int]]
    ) -> Iterable[Cut]:
        """Looks at the watched cells that hold one of these places."""
        begins = [cut.start for cut, _ in watched]
        suspects: dict[int, list[tuple[int, int]]] = {}
        for place in places:
            index = bisect_right(begins, place[1] - 1) - 1
            if index < 0 or watched[index][1] in HARD:
                continue
            if place[1] <= watched[index][0].stop:
                suspects.setdefault(index, []).append(place)
        return [
            watched[index][0]
            for index, near in suspects.items()
            if not detect(self.plan, self.chunk, *watched[index], near, self.counts)
        ]


def _without(chunk: bytearray, cuts: list[Cut]) -> bytearray:
    """The chunk with these cells NULL, or with what is to stand there instead."""
    pieces: list[memoryview | bytes] = []
    done = 0
    with memoryview(chunk) as view:
        for row, start, stop, _, instead in cuts:
            chunk[start - 4 : start] = _NULL if instead is None else _LENGTH.pack(len(instead))
            (size,) = _SIZE.unpack_from(chunk, row)
            struct.pack_into("!I", chunk, row + 1, size - (stop - start) + len(instead or b""))
            pieces.append(view[done:start])
            if instead:
                pieces.append(instead)
            done = stop
        pieces.append(view[done:])
        result = bytearray(b"").join(pieces)
        for piece in pieces:
            if isinstance(piece, memoryview):
                piece.release()
    return result


def _start(cut: Cut) -> int:
    return cut.start
