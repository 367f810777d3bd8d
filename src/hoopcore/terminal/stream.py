"""A flow of bytes: whole lines in which nothing can be go past it, many at once."""

from __future__ import annotations

import codecs
from collections import Counter
from typing import Final

import numpy as np

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
        places = [(a, b) for a, b in self._quick.suspects(data, start, end)]
        if self._columns > 0:
            places += self._full_lines(data, start, end)
            places.sort()
        found: list[tuple[int, int]] = []
        for first, last in places:
            if found and last <= found[-1][1]:
                continue
            low = max(data.rfind(b"\n", 0, first + 1) + 1 if data[first] != 10 else first, start)
            low = max(data.rfind(b"\n", start, first) + 1, start)
            high = data.find(b"\n", last - 1) + 1
            if found and low <= found[-1][1]:
                found[-1] = (found[-1][0], max(high, found[-1][1]))
            else:
                found.append((low, high))
        return found

    def _full_lines(self, data: bytes, start: int, end: int) -> list[tuple[int, int]]:
        """Lines that fill the terminal's exactly, so that the next may go on with them.

        A line beyond ASCII may be as wide as it likes, and so is one of them.
        """
        octets = np.frombuffer(data, np.uint8, end - start, start)
        ends = np.flatnonzero(octets == 10)
        begins = np.concatenate(([0], ends[:-1] + 1))
        cr = octets[np.maximum(ends - 1, 0)] == 13
        sizes = ends - begins - cr
        full = (sizes > 0) & (sizes % self._columns == 0)
        beyond = np.flatnonzero(octets >= 128)
        if len(beyond):
            full[np.unique(np.searchsorted(ends, beyond))] = True
        return [
            (int(a) + start, int(b) + start) for a, b in zip(begins[full], ends[full], strict=True)
        ]
