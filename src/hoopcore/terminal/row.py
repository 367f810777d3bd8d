"""One line of a screen: what stands on it, where the cursor is, and what of it still waits.

A line is as long as the terminal goes on writing it: what it breaks at its margin is one line
here.  Cells are characters; one that takes two columns is one cell.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from hoopcore.terminal.pems import Pem

LONGEST: Final = 24 << 10
"""Characters of a line that are known; of a longer one the last of them."""

MOST_HELD: Final = 2048
"""Characters that wait, at most: the longest value that is not below has 511."""

LONGEST_TOKEN: Final = 20 << 10
"""The same of a token of JSON, which may have 18,600."""

_FURTHEST: Final = 4096  # columns that a cursor goes beyond what is written


@dataclass(slots=True, eq=False)
class Row:
    text: str = ""
    at: int = 0  # where the cursor stands
    held: int = 0  # from here to the cursor it waits; the cursor's place where nothing does
    anchor: int = 0  # what may be a value that is not over yet begins here, if it has been shown
    opened: int = -1  # what may still become a value began here, when it was looked at last
    changed: bool = False  # since it was looked at
    joints: list[int] = field(default_factory=list)  # where two lines of the screen may be one
    stars: list[tuple[int, int]] = field(default_factory=list)  # what is hidden of it
    pem: Pem = field(default_factory=Pem)  # a private key that it begins within

    def write(self, text: str) -> None:
        if self.at == len(self.text):
            self.text += text
        else:
            self.text = self.text[: self.at] + text + self.text[self.at + len(text) :]
            self.anchor = min(self.anchor, self.at)
            self._cleared(self.at, self.at + len(text))
        self.at += len(text)
        self.changed = True

    def go(self, place: int) -> None:
        """The cursor stands on this cell."""
        self.at = max(0, min(place, len(self.text) + _FURTHEST))
        if self.at > len(self.text):
            self.text += " " * (self.at - len(self.text))
        self.anchor = min(self.anchor, self.at)

    def edit(self, letter: str, count: int, place: int = 0) -> None:
        """Cells go or come: erase (K, X), delete (P), insert (@).  ``place``: the column's."""
        text, at = self.text, self.at
        count = min(count, _FURTHEST)
        if letter == "P":
            self.text = text[:at] + text[at + count :]
        elif letter == "@":
            self.text = text[:at] + " " * count + text[at:]
        elif letter == "X":
            self.text = text[:at] + " " * min(count, len(text) - at) + text[at + count :]
        elif place == 0:
            self.text = text[:at]
        elif place == 1:
            self.text = " " * min(at + 1, len(text)) + text[at + 1 :]
        else:
            self.text = " " * at
        self._cleared(0 if place else at, len(text) + count)
        self.anchor = min(self.anchor, at)
        self.changed = True

    def _cleared(self, start: int, stop: int) -> None:
        """Nothing is hidden there any more."""
        kept = []
        for a, b in self.stars:
            kept += [(a, min(b, start)), (max(a, stop), b)]
        self.stars = [(a, b) for a, b in kept if a < b]

    @property
    def waits_too_long(self) -> bool:
        size = self.at - self.held
        if size <= MOST_HELD:
            return False
        return size > LONGEST_TOKEN or not self.text.startswith("eyJ", self.held)

    def starts_at(self, columns: int) -> int:
        """The cell of the first column of the screen's line that the cursor is on."""
        if columns < 1 or self.at == 0:
            return 0
        # Behind the last column it is still on that line, unless it has been on the next one.
        start = (self.at - (self.at == len(self.text))) // columns * columns
        joints = [joint for joint in self.joints if joint < self.at]
        return max(start, joints[-1]) if joints else start

    def at_margin(self, columns: int) -> bool:
        """Whether the cursor stands behind the last column of a line that it has filled."""
        return columns > 0 and 0 < self.at == len(self.text) and self.at % columns == 0

    def forget(self, count: int) -> None:
        """The first characters go; what tells of a place tells the same one."""
        self.text = self.text[count:]
        self.at = max(0, self.at - count)
        self.held = max(0, self.held - count)
        self.anchor = max(0, self.anchor - count)
        self.opened = -1
        self.joints = [joint - count for joint in self.joints if joint > count]
        self.stars = [(max(0, a - count), b - count) for a, b in self.stars if b > count]
