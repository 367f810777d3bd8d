"""The rows of a COPY TO STDOUT under a plan: CopyData in, the same with masked fields out.

A field is written in a way of its own (escapes, quotes, a text for NULL), so masks are not written
over it.  The fields that a plan touches become DataRows, are masked like those (``rows.py``), and
are written anew: what hides in a row hides in a COPY, by the same code.  A row in which nothing is
declared and no detector sees anything passes as it came; a style that keeps lengths is written over
the values of many rows at once, where they stand as they are (``copy_arrays.py``).

PostgreSQL sends one CopyData for each row.  Nothing rests on that: what does not end where a row
ends is kept until it does.

Order of the file: rows out of frames, which rows are touched, their masks, one row's fields.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from re import Match, Pattern
from typing import Final

from hoopcore.masking import Plan
from hoopcore.protocols.postgres.copy_arrays import CopyArrays, fits
from hoopcore.protocols.postgres.hits import Counts
from hoopcore.protocols.postgres.rows import mask_rows
from hoopcore.statement import CopyForm
from hoopcore.stream import ProtocolError
from hoopcore.styles import Style
from hoopcore.watches import HARD, Watch

Chunk = bytes | bytearray | memoryview

_FEW = 32  # rows: below, a step for each costs less than numpy's

_FRAME: Final = struct.Struct("!BI")
_LENGTH: Final = struct.Struct("!i")
_NULL: Final = _LENGTH.pack(-1)
_HEAD: Final = struct.Struct("!cIH")
_KIND: Final = 0x64  # CopyData, in either direction
_BROKEN: Final = "a row of a COPY is not in the form that the statement asks for"

# What CopyAttributeOutText of PostgreSQL writes behind a backslash.
_LETTERS: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_SIGNS: Final = {sign: b"\\" + letter for letter, sign in _LETTERS.items()}
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)


class CopyRows:
    """One COPY: how its rows are written, and what becomes of each field."""

    def __init__(self, form: CopyForm, plan: Plan, width: int) -> None:
        cells = (Style.NULL,) * width if plan.cells is None else plan.cells
        if len(cells) != width:
            raise ProtocolError("a COPY has another number of columns than was foretold")
        # A value in the text format may be written like a NULL of the client's choice: whether it
        # is one would tell what the value is.
        if not form.csv and form.null not in (b"", b"\\N"):
            cells = tuple(Style.NULL if isinstance(cell, Style) else cell for cell in cells)
        self.plan = replace(plan, cells=cells)
        self.held = bytearray()  # of a row that is not whole
        self.counts: Counts = defaultdict(int)
        self._header = form.header  # … is still to come
        self._delimiter = form.delimiter
        self._width = width
        self._fields = _Fields(form)
        # Where the quick look sees nothing, each row is read, as under a style.
        styled = [i for i, cell in enumerate(cells) if isinstance(cell, Style) or cell in HARD]
        watched = [i for i, cell in enumerate(cells) if isinstance(cell, Watch) and i not in styled]
        self._styled, self._all = _Part(styled, width), _Part(sorted(styled + watched), width)
        self._sweep = plan.sweep if watched else None
        self._at_once = bool(styled) and fits(self.plan, form, styled)

    # --- rows out of frames -----------------------------------------------------------------------

    def take(self, chunk: bytearray) -> list[Chunk]:
        """What a run of whole CopyData frames becomes; ``held`` is what must wait.

        Anything that does not fit the form is a ProtocolError.
        """
        starts = [] if self.held else _starts(chunk)
        if not starts:
            return self._slowly(chunk)
        first = 1 if self._header else 0
        suspects = self._suspects(chunk, starts)
        needed = set(range(len(starts))) if self._styled.indexes else suspects | set(range(first))
        bounds = [*starts, len(chunk)]
        arrays = None
        if self._at_once and len(starts) >= _FEW:
            arrays = CopyArrays(self.plan, self._fields.form, chunk, bounds)
            needed -= arrays.plain(suspects | set(range(first)))
        rows = {place: bytes(chunk[bounds[place] + 5 : bounds[place + 1]]) for place in needed}
        # Before anything is written: what is no row may be part of one with what is beside it.
        if not all(self._fields.is_row(row) for row in rows.values()):
            return self._slowly(chunk)
        cuts = [] if arrays is None else arrays.mask(self._styled.indexes, self.counts)
        return _spliced(chunk, bounds, self._changed(rows, suspects), cuts, self._fields.form.null)

    def end(self) -> None:
        """The COPY is over; a row that is not whole by now never will be."""
        if self.held:
            raise ProtocolError(_BROKEN)

    def _slowly(self, chunk: bytearray) -> list[Chunk]:
        """The same of frames that are not one row each."""
        found: list[bytes] = []
        place, end = 0, len(chunk)
        while place < end:
            size = _FRAME.unpack_from(chunk, place)[1] + 1
            payload = bytes(chunk[place + 5 : place + size])
            self.held += payload
            if b"\n" in payload:
                whole, rest = self._fields.rows(bytes(self.held))
                found += whole
                self.held = bytearray(rest)
            place += size
        rows = dict(enumerate(found))
        changed = self._changed(rows, set(rows))
        return [_framed(changed.get(place, row)) for place, row in rows.items()]

    # --- which rows are touched -------------------------------------------------------------------

    def _suspects(self, chunk: bytearray, starts: list[int]) -> set[int]:
        """Frames in which a detector may see something.

        A row without an escape or a quote holds its values as they are.  What another one holds is
        only known when it has been read.
        """
        if self._sweep is None:
            return set()
        found = set()
        sign, last = self._fields.sign, len(starts) - 1
        at = chunk.find(sign)
        while at >= 0:
            place = bisect_right(starts, at) - 1
            found.add(place)
            at = chunk.find(sign, starts[place + 1]) if place < last else -1
        for start, stop in self._sweep.suspects(chunk, 0, len(chunk)):
            low, high = bisect_right(starts, start), bisect_right(starts, stop - 1)
            found.update(range(low - 1, high))
        return found

    def _changed(self, rows: dict[int, bytes], suspects: set[int]) -> dict[int, bytes]:
        """Those of the rows that are written anew."""
        changed: dict[int, bytes] = {}
        if self._header and rows:
            self._header = False
            self._fields.split(rows[0], self._width)
            rows = {place: row for place, row in rows.items() if place}
        if self._styled.indexes:
            clean = [place for place in rows if place not in suspects]
            self._mask(self._styled, rows, clean, changed)
        self._mask(self._all, rows, [place for place in rows if place in suspects], changed)
        return changed

    # --- their masks ------------------------------------------------------------------------------

    def _mask(
        self, part: _Part, rows: dict[int, bytes], places: list[int], changed: dict[int, bytes]
    ) -> None:
        """Writes those of the rows anew that the plan changes in these columns."""
        if not places:
            return
        form = self._fields
        split = [form.split(rows[place], self._width) for place in places]
        values = [[form.value(fields[index]) for index in part.indexes] for fields in split]
        frames = bytearray(b"".join([part.row(of_row) for of_row in values]))
        masked, counts = mask_rows(self.plan, frames)
        for what, count in counts.items():
            self.counts[what] += count
        data = bytes(masked)
        at = 0
        for place, fields, before in zip(places, split, values, strict=True):
            after, at = part.values(data, at)
            if after == before:
                continue
            for index, old, new in zip(part.indexes, before, after, strict=True):
                if new != old:
                    fields[index] = form.written(new, fields[index])
            changed[place] = self._delimiter.join(fields) + b"\n"


class _Part:
    """Some columns of a row, as a DataRow in which all others are NULL."""

    def __init__(self, indexes: list[int], width: int) -> None:
        self.indexes = indexes
        ends = [-1, *indexes, width]
        # NULLs in front of each column, and behind the last.
        self._gaps = [4 * (b - a - 1) for a, b in pairwise(ends)]
        self._nulls = [b"\xff" * gap for gap in self._gaps]
        self._width = width

    def row(self, values: list[bytes | None]) -> bytes:
        parts = [b""]
        for null, value in zip(self._nulls, values, strict=False):
            parts.append(null)
            if value is None:
                parts.append(_NULL)
            else:
                parts.append(_LENGTH.pack(len(value)))
                parts.append(value)
        parts.append(self._nulls[-1])
        body = b"".join(parts)
        return _HEAD.pack(b"D", len(body) + 6, self._width) + body

    def values(self, data: bytes, at: int) -> tuple[list[bytes | None], int]:
        """The values of the DataRow that begins there, and where it ends."""
        found: list[bytes | None] = []
        at += 7
        for gap in self._gaps[:-1]:
            size = _LENGTH.unpack_from(data, at + gap)[0]
            at += gap + 4
            if size < 0:
                found.append(None)
            else:
                found.append(data[at : at + size])
                at += size
        return found, at + self._gaps[-1]


def _starts(chunk: bytearray) -> list[int]:
    """Where each frame begins; nothing where one does not end as a row does."""
    starts, place, end = [], 0, len(chunk)
    unpack = _FRAME.unpack_from
    while place < end:
        starts.append(place)
        place += unpack(chunk, place)[1] + 1
        if chunk[place - 1] != 10:
            return []
    return starts


def _framed(row: bytes) -> bytes:
    return _FRAME.pack(_KIND, len(row) + 4) + row


def _spliced(
    chunk: bytearray,
    bounds: list[int],
    changed: dict[int, bytes],
    cuts: list[tuple[int, int]],
    null: bytes,
) -> list[Chunk]:
    """The frames of the chunk with the changed ones in their places, and NULL in those of cuts."""
    if not changed and not cuts:
        return [chunk]
    places = [(bounds[at], bounds[at + 1], _framed(row)) for at, row in changed.items()]
    places += [(start, stop, null) for start, stop in cuts]
    places.sort()
    out: list[Chunk] = []
    done = 0
    for start, stop, instead in places:
        out.append(chunk[done:start])
        out.append(instead)
        done = stop
    out.append(chunk[done:])
    return [b"".join(out)]


# --- one row's fields -----------------------------------------------------------------------------


class _Fields:
    """How the fields of a row are found, read and written in one form."""

    def __init__(self, form: CopyForm) -> None:
        self.form = form
        self.sign = form.quote if form.csv else b"\\"  # without it fields are values as they stand
        # Inside a value such a delimiter is written as a letter.
        self.simple = not form.csv and form.delimiter in _SIGNS
        d, q, e = (re.escape(sign) for sign in (form.delimiter, form.quote, form.escape))
        if not form.csv:
            field = rb"(?:[^\\\n" + d + rb"]++|\\[^\n])*+"
            self._special: Pattern[bytes] = re.compile(rb"[\\\x08\x0c\n\r\t\x0b" + d + rb"]")
        elif q == e:
            field = q + rb"[^" + q + rb"]*+(?:" + q + q + rb"[^" + q + rb"]*+)*+" + q
            field = rb"(?:" + field + rb"|[^" + d + q + rb"\n\r]*+)"
            self._special = re.compile(rb"[" + d + q + rb"\r\n]")
        else:
            inside = rb"[^" + q + e + rb"]++|" + e + rb"[" + q + e + rb"]"
            field = rb"(?:" + q + rb"(?:" + inside + rb")*+" + q
            field += rb"|[^" + d + q + rb"\n\r]*+)"
            self._special = re.compile(rb"[" + d + q + e + rb"\r\n]")
        self._quoted: Pattern[bytes] = re.compile(rb"[" + (q + e or rb"\\") + rb"]")
        self._field: Pattern[bytes] = re.compile(field + rb"(?=[" + d + rb"\n])")
        self._row: Pattern[bytes] = re.compile(field + rb"(?:" + d + field + rb")*+\n", re.DOTALL)

    def is_row(self, payload: bytes) -> bool:
        """Whether these bytes are one row and no more."""
        end = payload.find(b"\n")
        if not self.form.csv or self.form.quote not in payload:
            return end >= 0 and end == len(payload) - 1
        match = self._row.match(payload)
        return match is not None and match.end() == len(payload)

    def rows(self, text: bytes) -> tuple[list[bytes], bytes]:
        """The whole rows at the beginning of a text, and what is behind them."""
        found, at = [], 0
        while (match := self._row.match(text, at)) is not None:
            found.append(match.group())
            at = match.end()
        return found, text[at:]

    def split(self, row: bytes, width: int) -> list[bytes]:
        """The fields of a row as they are written; ProtocolError where there are not so many."""
        if self.simple or self.sign not in row:
            fields = row[:-1].split(self.form.delimiter)
        else:
            fields = self._split_slowly(row)
        if width == 0 and fields == [b""]:
            return []
        if len(fields) != width:
            raise ProtocolError(_BROKEN)
        return fields

    def _split_slowly(self, row: bytes) -> list[bytes]:
        fields, at, end = [], 0, len(row)
        while at < end:
            match = self._field.match(row, at)
            if match is None:
                raise ProtocolError(_BROKEN)
            fields.append(match.group())
            at = match.end() + 1
        return fields

    def value(self, field: bytes) -> bytes | None:
        """What stands in a field; None for NULL."""
        form = self.form
        if field == form.null:
            return None
        if not form.csv:
            return _ESCAPED.sub(_plain, field) if b"\\" in field else field
        if not field.startswith(form.quote):
            return field
        inside = field[1:-1]
        if form.quote == form.escape:
            return inside.replace(form.quote * 2, form.quote)
        return re.sub(re.escape(form.escape) + rb"(.)", _behind, inside, flags=re.DOTALL)

    def written(self, value: bytes | None, before: bytes) -> bytes:
        """The field that says this, in place of what it was."""
        form = self.form
        if value is None:
            return form.null
        if not form.csv:
            return self._special.sub(_escaped, value)
        plain = not before.startswith(form.quote) and value != form.null
        if plain and self._special.search(value) is None:
            return value
        escaped = self._quoted.sub(lambda sign: form.escape + sign.group(), value)
        return form.quote + escaped + form.quote


def _plain(match: Match[bytes]) -> bytes:
    sign = match.group(1)
    return _LETTERS.get(sign, sign)


def _behind(match: Match[bytes]) -> bytes:
    return match.group(1)


def _escaped(match: Match[bytes]) -> bytes:
    sign = match.group()
    return _SIGNS.get(sign, b"\\" + sign)
