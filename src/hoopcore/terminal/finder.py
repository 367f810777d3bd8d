"""What is looked for in what a terminal shows: the spans of a line, and what has to wait."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import Final

from hoopcore.detectors import Kind, Span, Sweep
from hoopcore.terminal.opening import PEM, Opening
from hoopcore.terminal.sequences import INVISIBLE_BYTES

REACH: Final = 1100
"""How far before what is new a value may begin that ends in it, or what tells it may stand."""

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
        self._sweep = Sweep.of(kinds)
        self._opening = Opening(sweep.each)
        # For many lines at once.
        self.quick = Sweep((*sweep.each, _CONTROLS))

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
