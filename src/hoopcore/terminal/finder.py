"""What is looked for in what a terminal shows: the spans of a line, and what has to wait."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import Final

from hoopcore.detectors import KINDS, Kind, Span, Sweep
from hoopcore.terminal.opening import PEM, Opening
from hoopcore.terminal.sequences import INVISIBLE_BYTES

# How far before a value that which tells it may stand: a word before a secret key; anything, where
# a pattern of somebody's own asks for it.
_NEAR: Final = 80
_FAR: Final = 1100

# What makes a line more than its text: a CR that is not at the end of its line, too.
_CONTROLS = Kind(
    "",
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r[^\n]|" + INVISIBLE_BYTES,
    lambda data: iter(()),
)


class Finder:
    """Some kinds, looked for in lines as they come."""

    def __init__(self, sweep: Sweep) -> None:
        self.pem = PEM in sweep.kinds
        kinds = [kind for kind in sweep.each if kind.name != PEM]
        self.reach = _NEAR if all(kind.name in KINDS for kind in kinds) else _FAR
        self._sweep = Sweep.of(kinds)
        self._opening = Opening(sweep.each)
        # For many lines at once, which are no cells with lengths between them.
        self.quick = Sweep(kind._replace(splits=False) for kind in (*sweep.each, _CONTROLS))
        self.sweep = sweep

    def find(self, text: str) -> list[Span]:
        """What is found in this text but private keys, by characters, by start."""
        if self._sweep is None:
            return []
        data = encoded(text)
        if not self._sweep.may_hold(data):
            return []
        spans = self._sweep.find(data)
        if not spans or len(data) == len(text):
            return spans
        ends = list(accumulate(len(encoded(char)) for char in text))
        return [
            span._replace(
                start=bisect_right(ends, span.start),
                stop=bisect_right(ends, span.stop - 1) + 1,
                keep=len(data[span.stop - span.keep : span.stop].decode("utf-8", "replace")),
            )
            for span in spans
        ]

    def opening(self, text: str) -> int:
        """From which character on this text has to wait for what comes."""
        data = encoded(text)
        place = self._opening.place(data)
        if place == len(data):
            return len(text)
        if len(data) == len(text):
            return place
        return max(0, len(text) - len(data[place:].decode("utf-8", "surrogateescape")))


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
