"""Detectors of an organisation's own: an RE2 pattern, a checksum perhaps, and examples.

The quick look over many rows takes the same pattern without its borders of words and lines, which
mean nothing between two cells.  A pattern may match over the end of a cell there, so what it finds
is cut at bytes 0 and 255 (``splits``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import re2

from hoopcore.detectors.checksums import fits
from hoopcore.detectors.spans import LATIN1, Kind, Span

# How far around a loose match the exact one is looked for.
_REACH = 1024


@dataclass(frozen=True, slots=True)
class Own:
    """``[[detector]]`` of masks.toml.  The examples hold, or ``kind`` raises ValueError."""

    name: str
    pattern: str
    checksum: str = ""
    keep: int = 0
    match: Sequence[str] = ()
    no_match: Sequence[str] = ()

    def kind(self) -> Kind:
        """Compiled and tried on its examples; ValueError says what is wrong."""
        if not self.pattern.isascii():
            raise ValueError("a pattern is ASCII; write other bytes as \\xNN")
        exact = _compiled(self.pattern)
        loose = without_borders(self.pattern)
        if _compiled(loose).search(b"") is not None:
            raise ValueError("a pattern that matches the empty text is found everywhere")
        checked = partial(fits, self.checksum) if self.checksum else None
        find = partial(_found, exact=exact, fits=checked, name=self.name, keep=self.keep)
        for said in self.match:
            if next(find(said.encode()), None) is None:
                near = exact.search(said.encode()) is not None
                why = f": its digits do not fit {self.checksum}" if near else ""
                raise ValueError(f"{said!r} is to be found, and is not{why}")
        for said in self.no_match:
            if next(find(said.encode()), None) is not None:
                raise ValueError(f"{said!r} is not to be found, and is")
        return Kind(self.name, f"(?:{loose})".encode(), find, reach=_REACH, splits=True)


def _compiled(pattern: str) -> Any:
    try:
        return re2.compile(pattern.encode(), LATIN1)
    except re2.error as problem:
        said = problem.args[0] if problem.args else "not understood"
        words = said.decode() if isinstance(said, bytes) else str(said)
        raise ValueError(f"the pattern is no RE2: {words}") from None


def _found(
    data: bytes, exact: Any, fits: Callable[[bytes], bool] | None, name: str, keep: int
) -> Iterator[Span]:
    place = 0
    while place < len(data) and (match := exact.search(data, place)) is not None:
        start, stop = match.span()
        if start == stop:
            place = stop + 1
        elif fits is None or fits(data[start:stop]):
            yield Span(start, stop, name, min(keep, stop - start - 1))
            place = stop
        else:
            place = start + 1  # what a checksum rejects hides nothing that begins inside it


def without_borders(pattern: str) -> str:
    r"""The pattern without ``^ $ \b \B \A \z``, which stand for no byte; ValueError for \Q."""
    kept: list[str] = []
    place, inside = 0, False
    while place < len(pattern):
        char = pattern[place]
        pair = pattern[place : place + 2]
        if char == "\\":
            if pair == "\\Q":
                raise ValueError("\\Q is not taken here: write a backslash before each character")
            if inside or pair[1:] not in ("b", "B", "A", "z"):
                kept.append(pair)
            place += 2
            continue
        if inside and pattern.startswith("[:", place):
            end = pattern.find(":]", place)
            stop = end + 2 if end > 0 else place + 2
            kept.append(pattern[place:stop])
            place = stop
            continue
        if not inside and char == "[":
            inside = True
            # A ] that comes first is one of the characters.
            size = 3 if pattern.startswith("[^]", place) else 2 if pair == "[]" else 1
            kept.append(pattern[place : place + size])
            place += size
            continue
        inside = inside and char != "]"
        if inside or char not in "^$":
            kept.append(char)
        place += 1
    return "".join(kept)
