"""A flow of bytes: whole lines in which nothing can be go past it, many at once."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from typing import Final

import numpy as np
import numpy.typing as npt

from hoopcore.terminal.finder import Finder, encoded
from hoopcore.terminal.flow import Flow, Mark

# Shorter ones are looked at line by line.
_FEW: Final = 512


class Output:
    """``columns`` and ``lines`` are the terminal's; 0: there is none."""

    def __init__(
        self, finder: Finder, columns: int = 0, lines: int = 0, mark: Mark | None = None
    ) -> None:
        self.flow = Flow(finder, columns, lines, mark)
        self._quick = finder.quick
        self._sweep = finder.sweep
        self._columns = columns
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")

    @property
    def counts(self) -> Counter[str]:
        return self.flow.counts

    @property
    def waits(self) -> bool:
        return self.flow.waits or bool(self._decoder.getstate()[0])

    def resized(self, columns: int, lines: int) -> None:
        self._columns = columns
        self.flow.resized(columns, lines)

    def feed(self, data: bytes) -> bytes:
        """What goes on now."""
        end = data.rfind(b"\n") + 1 if len(data) >= _FEW else 0
        if not end:
            return self._slow(data)
        said = []
        place = 0
        if not self._is_new:
            place = data.find(b"\n") + 1
            said.append(self._slow(data[:place]))
        for start, stop in self._doubtful(data, place, end):
            if stop <= place:
                continue
            while place < start and not self._is_new:
                line = data.find(b"\n", place) + 1
                said.append(self._slow(data[place:line]))
                place = line
            if place < start:
                said.append(data[place:start])
                place = start
            if place < stop:
                said.append(self._slow(data[place:stop]))
                place = stop
        while place < end and not self._is_new:
            line = data.find(b"\n", place) + 1
            said.append(self._slow(data[place:line]))
            place = line
        said.append(data[place:end])
        if end < len(data):
            said.append(self._slow(data[end:]))
        return b"".join(said)

    def quiet(self) -> bytes:
        """Nothing more comes for now: all that waits goes on."""
        rest = self._decoder.decode(b"", final=True)
        return encoded((self.flow.feed(rest) if rest else "") + self.flow.quiet())

    def let_go(self) -> bytes:
        """All that waits goes on as it is."""
        return encoded(self.flow.let_go())

    @property
    def _is_new(self) -> bool:
        return self.flow.is_new and not self._decoder.getstate()[0]

    def _slow(self, data: bytes) -> bytes:
        return encoded(self.flow.feed(self._decoder.decode(data)))

    def _doubtful(self, data: bytes, start: int, end: int) -> list[tuple[int, int]]:
        """The lines that have to be looked at, rising; together where they touch."""
        region = data[start:end]
        plain = _COLOURS.sub(b"", region) if b"\x1b" in region else region
        found = self._lines(plain)
        if found and len(plain) < len(region):
            old, new = _line_ends(plain), _line_ends(region)
            numbers = np.searchsorted(old, [(low, high - 1) for low, high in found])
            begins = np.concatenate(([0], new[:-1] + 1))
            found = [(int(begins[low]), int(new[high]) + 1) for low, high in numbers.tolist()]
        return [(start + low, start + high) for low, high in found]

    def _lines(self, plain: bytes) -> list[tuple[int, int]]:
        """Those in whole lines without colours."""
        bare = plain.translate(None, _NEVER_SHOWN)
        if (len(plain) - len(bare)) * _BINARY > len(plain):
            return self._binary(plain)
        places = list(self._quick.suspects(plain, 0, len(plain)))
        if self._columns > 0:
            places = sorted(places + self._full_lines(plain))
        found: list[tuple[int, int]] = []
        for first, last in places:
            if found and last <= found[-1][1]:
                continue
            low = plain.rfind(b"\n", 0, first) + 1
            high = plain.find(b"\n", last - 1) + 1
            if found and low <= found[-1][1]:
                found[-1] = (found[-1][0], max(high, found[-1][1]))
            else:
                found.append((low, high))
        return found

    def _binary(self, data: bytes) -> list[tuple[int, int]]:
        """Those of what is no text: lines in which a value stands once controls are left out.

        What moves the cursor in it paints no value that somebody would see: nobody looks at it.
        """
        bare = data.translate(None, _CONTROLS)
        ends, real = _line_ends(bare), _line_ends(data)
        begins = np.concatenate(([0], real[:-1] + 1))
        found: list[tuple[int, int]] = []
        for span in self._sweep.find(bare):
            low, high = np.searchsorted(ends, (span.start, span.stop - 1)).tolist()
            start, stop = int(begins[low]), int(real[high]) + 1
            if found and start <= found[-1][1]:
                found[-1] = (found[-1][0], max(stop, found[-1][1]))
            else:
                found.append((start, stop))
        return found

    def _full_lines(self, plain: bytes) -> list[tuple[int, int]]:
        """Lines that fill the terminal's exactly, so that the next may go on with them.

        A line beyond ASCII may be as wide as it likes, and so is one of them.
        """
        octets = np.frombuffer(plain, np.uint8)
        ends = np.flatnonzero(octets == 10)
        begins = np.concatenate(([0], ends[:-1] + 1))
        cr = octets[np.maximum(ends - 1, 0)] == 13
        sizes = ends - begins - cr
        full = (sizes > 0) & (sizes % self._columns == 0)
        beyond = np.flatnonzero(octets >= 128)
        if len(beyond):
            full[np.unique(np.searchsorted(ends, beyond))] = True
        return list(zip(begins[full].tolist(), ends[full].tolist(), strict=True))


# No program that writes for people writes these; of bytes at random every tenth is one of them.
_NEVER_SHOWN: Final = bytes((*range(7), 0xB, 0xC, *range(0xE, 0x1B), *range(0x1C, 0x20), 0x7F))
_BINARY: Final = 20  # so many times their number: from there on it is no text
_CONTROLS: Final = bytes((*range(10), *range(0xB, 0x20), 0x7F))

# What programs colour lines with: it takes no cell and moves nothing (grep's K wipes out what
# stands behind the end of a line that is written for the first time: nothing).
_COLOURS = re.compile(rb"\x1b\[[0-9;:]{0,32}m|\x1b\[K")


def _line_ends(data: bytes) -> npt.NDArray[np.int64]:
    return np.flatnonzero(np.frombuffer(data, np.uint8) == 10)
