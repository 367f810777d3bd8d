"""What a target makes of uploaded files: rsync tells of those that went wrong, and of no others.

So a file that went through whole waits here until the target's end of its round, which comes when
all that went wrong in it has been told.  Of ``MOST`` at once the first is taken for arrived.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Final

from hoopcore.recording import File

MOST: Final = 1 << 14

_QUOTED: Final = re.compile(r'"([^"]{1,4096})"')
_TEMPORARY: Final = re.compile(r"\.(.+)\.[A-Za-z0-9]{6}")


class Arriving:
    """Uploads whose end at the target is not known yet."""

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[int, str, File]] = {}  # by index: round, name
        self._named: defaultdict[str, set[int]] = defaultdict(set)  # by the last part of the name

    def add(self, index: int, phase: int, name: str, event: File) -> list[File]:
        """It has gone; those that nobody waits for any more come back."""
        found = self.damaged(index)
        self._waiting[index] = phase, name, event
        self._named[name.rpartition("/")[2]].add(index)
        if len(self._waiting) > MOST:
            found.append(self._take(next(iter(self._waiting))))
        return found

    def _take(self, index: int) -> File:
        _, name, event = self._waiting.pop(index)
        last = name.rpartition("/")[2]
        self._named[last].discard(index)
        if not self._named[last]:
            del self._named[last]
        return event

    def damaged(self, index: int) -> list[File]:
        """It is asked for once more."""
        if index not in self._waiting:
            return []
        return [_but(self._take(index), "failed: it arrived damaged")]

    def said(self, words: str) -> list[File]:
        """An error of the target's: of the files that it names."""
        found = []
        for path in _QUOTED.findall(words):
            folder, slash, last = path.rpartition("/")
            temporary = _TEMPORARY.fullmatch(last)
            for one in (last, temporary[1] if temporary else last):
                for index in list(self._named.get(one, ())):
                    if f"/{folder}{slash}{one}".endswith(f"/{self._waiting[index][1]}"):
                        why = " ".join(words.split())[:200]
                        found.append(_but(self._take(index), f"failed: {why}"))
        return found

    def round_over(self, phase: int) -> list[File]:
        """All of this round and before have arrived."""
        over = [index for index, (of, _, _) in self._waiting.items() if of <= phase]
        return [self._take(index) for index in over]

    def close(self) -> list[File]:
        """Nothing more is heard of the target."""
        words = "failed: the target ended before it was known to be there"
        return [_but(self._take(index), words) for index in list(self._waiting)]


def _but(event: File, outcome: str) -> File:
    event.outcome = outcome
    return event
