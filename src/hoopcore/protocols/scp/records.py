"""What scp's two ends say, in pieces of any size: lines, answers, and what is in a file.

There is no published description; this is what OpenSSH's scp does.  The source tells of a file in
a line (``C0644 size name``), of times before it (``T…``), of a folder and its end (``D…``, ``E``),
and of what went wrong in a line behind a byte 1, or 2 where it ends there.  To each of the first
four the sink answers with a byte 0, or with such words.

Memory: a line of ``LONGEST_LINE``, and ``MOST_AHEAD`` of what comes before its turn.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

LONGEST_LINE: Final = 8192
MOST_AHEAD: Final = 4 << 20

_FILE = re.compile(rb"([CD])([0-7]{4}) ([0-9]{1,18}) ([^/\0]{1,4096})\n")
_TIMES = re.compile(rb"T[0-9]{1,20} [0-9]{1,20} [0-9]{1,20} [0-9]{1,20}\n")


class Garbled(Exception):
    """What came is not what scp has there; why, without what came."""


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the source: of kind C, D, E or T, or words (1, 2)."""

    kind: str
    line: bytes
    mode: str = ""
    size: int = 0
    name: bytes = b""


def record(line: bytes) -> Record:
    """A whole line of the source."""
    kind = line[:1]
    if kind in (b"\x01", b"\x02"):
        return Record("!" if kind == b"\x01" else "!!", line)
    if line == b"E\n":
        return Record("E", line)
    if kind == b"T" and _TIMES.fullmatch(line):
        return Record("T", line)
    found = _FILE.fullmatch(line)
    if found is None:
        raise Garbled("a line of it is none that scp knows")
    if found[4] in (b".", b".."):
        raise Garbled("a name in it is no name of a file")
    return Record(found[1].decode(), line, found[2].decode(), int(found[3]), found[4])


class Held:
    """Bytes of one end that wait for their turn."""

    def __init__(self) -> None:
        self._data = b""
        self._at = 0

    def add(self, data: bytes) -> None:
        if len(self) + len(data) > MOST_AHEAD:
            raise Garbled("more comes than was answered to")
        self._data = self._data[self._at :] + data if self._at < len(self._data) else data
        self._at = 0

    def __len__(self) -> int:
        return len(self._data) - self._at

    def some(self, most: int) -> bytes:
        """What is there, up to so many bytes."""
        if self._at == 0 and len(self._data) <= most:
            found, self._data = self._data, b""
            return found
        found = self._data[self._at : self._at + most]
        self._at += len(found)
        return found

    def line(self) -> bytes | None:
        """One line with its end; None while it is not whole."""
        end = self._data.find(b"\n", self._at, self._at + LONGEST_LINE)
        if end < 0:
            if len(self) >= LONGEST_LINE:
                raise Garbled("a line of it is too long")
            return None
        found = self._data[self._at : end + 1]
        self._at = end + 1
        return found

    def answer(self) -> bytes | None:
        """A byte 0, or a line behind a byte 1 or 2; None while it is not whole."""
        first = self._data[self._at : self._at + 1]
        if first == b"\0":
            self._at += 1
            return first
        if first in (b"\x01", b"\x02"):
            return self.line()
        if first:
            raise Garbled("an answer is none that scp knows")
        return None
