"""The rows that a client got, for recordings of targets whose policy keeps them.

It reads what goes to the client, behind every mask, so it can hold nothing that the principal did
not see.  Nothing of this is made, or run, where policy keeps counts alone.

Rows are numbered by the reply they belong to: each ``Finished`` has the rows since the one before,
and what is left belongs to the reply that is still coming.  A cell or a row that is too large is
cut and says so, with its size and its hash.

Order of the file: cutting frames, whose rows they are, events of rows.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from hoopcore.protocols.postgres import wire
from hoopcore.recording.events import Cut, Rows
from hoopcore.stream import Finished, Out, ProtocolError

# Of one cell so many characters are kept, where it has more than LARGEST_CELL bytes.
LARGEST_CELL = 4 << 10
_KEPT_OF_CELL = 1 << 10
# A row above this is not held: only its size and its hash are kept.
LARGEST_ROW = 1 << 20
# In one event, so that no line becomes large.
_ROWS = 200
_BYTES = 128 << 10
# What no text on a screen has: bytes of a binary format, most likely.
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(slots=True)
class _Large:
    """A row that goes by unheld."""

    left: int
    size: int
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)


Row = bytes | _Large


class Results:
    """``take`` what goes to the client, in order."""

    def __init__(self, most: int | None) -> None:
        """``most``: rows of one reply that are kept; None: all."""
        self.most = most
        self.withheld = False  # from here on rows are counted, and not kept
        self._held = bytearray()  # the beginning of a frame
        self._hop = 0  # bytes of a frame of no interest that are still to come
        self._large: _Large | None = None
        self._seq = 0  # whose reply is coming, as far as rows have been given to it
        self._given = 0

    # --- cutting frames ---------------------------------------------------------------------------

    def take(self, out: Out, answering: int) -> list[Rows]:
        """The events of the rows in it.  ``answering``: the ask whose reply comes behind it."""
        rows = [row for chunk in out.to_client for row in self._rows(memoryview(chunk))]
        return list(self._sorted(rows, out, answering))

    def _rows(self, data: memoryview) -> Iterator[Row]:
        at = 0
        while at < len(data):
            if self._hop:
                step = min(self._hop, len(data) - at)
                self._hop -= step
                at += step
            elif self._large is not None:
                at += self._pass(self._large, data[at:])
                if not self._large.left:
                    done, self._large = self._large, None
                    yield done
            elif self._held or len(data) - at < 5:
                at += self._gather(data[at:])
                if len(self._held) >= 5 and len(self._held) == self._size():
                    row, self._held = bytes(self._held), bytearray()
                    yield row[5:]
            else:
                kind, length = wire.HEADER.unpack_from(data, at)
                end = at + length + 1
                if kind != wire.DATA_ROW:
                    self._hop, at = length + 1, at
                elif length > LARGEST_ROW:
                    self._large = _Large(length + 1, length - 4)
                elif end <= len(data):
                    yield bytes(data[at + 5 : end])
                    at = end
                else:
                    self._held += data[at:]
                    at = len(data)

    def _size(self) -> int:
        return int(wire.HEADER.unpack_from(self._held, 0)[1]) + 1

    def _gather(self, data: memoryview) -> int:
        """More of a frame that was cut: how many bytes of it were taken."""
        if len(self._held) < 5:
            step = min(5 - len(self._held), len(data))
            self._held += data[:step]
            if len(self._held) == 5:
                self._begun()
            return step
        step = min(self._size() - len(self._held), len(data))
        self._held += data[:step]
        return step

    def _begun(self) -> None:
        """The header of a cut frame is whole."""
        kind, length = wire.HEADER.unpack_from(self._held, 0)
        if kind != wire.DATA_ROW:
            self._hop, self._held = length - 4, bytearray()
        elif length > LARGEST_ROW:
            self._large, self._held = _Large(length - 4, length - 4), bytearray()

    def _pass(self, large: _Large, data: memoryview) -> int:
        step = min(large.left, len(data))
        body = large.left - large.size  # of the header, where that was not read before
        large.digest.update(data[max(body, 0) : step])
        large.left -= step
        return step

    # --- whose rows they are ----------------------------------------------------------------------

    def _sorted(self, rows: Sequence[Row], out: Out, answering: int) -> Iterator[Rows]:
        at = 0
        for seen in out.seen:
            if isinstance(seen, Finished):
                given = self._given if seen.seq == self._seq else 0
                count = max(min(seen.rows - given, len(rows) - at), 0)
                yield from self._kept(seen.seq, given, rows[at : at + count])
                at += count
                if seen.seq == self._seq:
                    self._seq, self._given = 0, 0
        rest = rows[at:]
        if rest:
            given = self._given if answering == self._seq else 0
            yield from self._kept(answering, given, rest)
            self._seq, self._given = answering, given + len(rest)

    def _kept(self, seq: int, given: int, rows: Sequence[Row]) -> Iterator[Rows]:
        if self.withheld:
            if rows:
                yield Rows(seq=seq, first=given + 1, withheld=len(rows))
            return
        if self.most is not None:
            rows = rows[: max(self.most - given, 0)]
        yield from _events(seq, given + 1, rows)


# --- events of rows -------------------------------------------------------------------------------


def _events(seq: int, first: int, rows: Iterable[Row]) -> Iterator[Rows]:
    event, size = Rows(seq=seq, first=first), 0
    for row in rows:
        cuts: list[Cut] = []
        cells = _cells(row, len(event.rows) + 1, cuts)
        event.rows.append(cells)
        event.cuts += cuts
        size += sum(len(cell) for cell in cells if cell is not None)
        if len(event.rows) >= _ROWS or size >= _BYTES:
            yield event
            event, size = Rows(seq=seq, first=event.first + len(event.rows)), 0
    if event.rows:
        yield event


def _cells(row: Row, number: int, cuts: list[Cut]) -> list[str | None]:
    """The cells as texts; ``cuts`` gets what is not whole, by numbers from 1."""
    if isinstance(row, _Large):
        cuts.append(Cut(number, 0, row.size, row.digest.hexdigest()))
        return []
    try:
        body = wire.Body(row)
        values = [body.value() for _ in range(body.uint16())]
    except ProtocolError:
        cuts.append(Cut(number, 0, len(row), hashlib.sha256(row).hexdigest()))
        return []
    cells: list[str | None] = []
    for column, value in enumerate(values, 1):
        if value is not None and len(value) > LARGEST_CELL:
            cuts.append(Cut(number, column, len(value), hashlib.sha256(value).hexdigest()))
            cells.append(_text(value, _KEPT_OF_CELL))
        else:
            cells.append(None if value is None else _text(value))
    return cells


def _text(value: bytes, most: int | None = None) -> str:
    """The value, or ``\\x…`` where it is no text; with ``most`` not more than its beginning."""
    try:
        text = value.decode()
        if not _NO_TEXT.search(text):
            return text if most is None else text[:most]
    except UnicodeDecodeError:
        pass
    return "\\x" + value[:most].hex()
