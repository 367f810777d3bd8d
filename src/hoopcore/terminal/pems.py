"""Private keys in PEM, which go over many lines: what is hidden of each line, as it comes.

From the first line of a key on everything is hidden, at once, until its last line has come, 16 KiB
have, or what comes no longer looks like a key: two lines, one after the other, without a longer
piece of base64 (somebody has printed the first half of a key, or left the pager).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

LONGEST: Final = 16 << 10
_STRANGE: Final = 2

_BEGINS = re.compile(r"-----BEGIN [A-Z0-9 ]{0,24}PRIVATE KEY(?: BLOCK)?-----")
_ENDS = re.compile(r"-----END [A-Z0-9 ]{0,24}PRIVATE KEY(?: BLOCK)?-----")
_LIKE_A_KEY = re.compile(r"[0-9A-Za-z+/]{16}|^\s*$|^[^:]{0,40}\b[A-Z][A-Za-z-]{2,20}: ")


@dataclass(slots=True)
class Pem:
    """Where a key stands that is under way: ``left`` characters may come; 0: there is none."""

    left: int = 0
    strange: int = 0  # lines

    def copy(self) -> Pem:
        return Pem(self.left, self.strange)

    def line_ends(self, line: str) -> None:
        """A line is over, of which ``hidden`` has told before."""
        if not self.left:
            return
        self.strange = 0 if _LIKE_A_KEY.search(line) else self.strange + 1
        if self.strange >= _STRANGE:
            self.left = self.strange = 0


class Hidden(NamedTuple):
    start: int
    stop: int
    begins: bool  # it is the beginning of a key, and not the rest of one


def hidden(text: str, pem: Pem) -> list[Hidden]:
    """What is hidden of a line, or of a piece of one; ``pem`` is what comes behind it, then."""
    if not pem.left and "-----BEGIN " not in text:
        return []
    found: list[Hidden] = []
    place = 0
    begun = own = False  # own: its first line stands at this place
    while True:
        if not pem.left:
            begins = _BEGINS.search(text, place)
            if begins is None:
                return found
            place, begun, own = begins.start(), True, True
            pem.left, pem.strange = LONGEST, 0
        limit = min(len(text), place + pem.left)
        again = _BEGINS.search(text, place + own, limit)
        ends = _ENDS.search(text, place, again.start() if again else limit)
        if ends is not None:
            found.append(Hidden(place, ends.end(), begun))
            place = ends.end()
            pem.left = 0
        elif again is not None:
            found.append(Hidden(place, again.start(), begun))
            place, own = again.start(), True
            pem.left = LONGEST
            begun = False
            continue
        else:
            found.append(Hidden(place, limit, begun))
            pem.left -= limit - place
            place = limit
            if pem.left or place == len(text):
                return found
        begun = own = False
