"""Finding rows: the next that is refused, held, masked or failed, and the next that has a word.

Both look at frames as a whole first, and decode only those that may have one.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable

from hoopcli.player.reel import Reel, Row
from hoopcli.player.rows import kinds
from hoopcore.recording import End, Fatal, Notice, Policy, Said

Go = Callable[[], bool]
"""Whether to go on looking."""


def _always() -> bool:
    return True


def following(
    reel: Reel, place: int, wanted: frozenset[str], step: int, go: Go = _always
) -> int | None:
    """The nearest row of one of these kinds behind the place (``step`` 1) or before it (-1).

    A result that stands in a later frame than its statement is found at its statement.
    """
    at = reel.frame_of(place)
    while 0 <= at < len(reel) and go():
        # A statement's result may stand in the next frame.
        near = reel.hints(at) | (reel.hints(at + 1) if at + 1 < len(reel) else frozenset())
        if near & wanted:
            first, _, rows = reel.frame(at)
            order = range(len(rows)) if step > 0 else reversed(range(len(rows)))
            for i in order:
                if (first + i - place) * step > 0 and kinds(reel[first + i]) & wanted:
                    return first + i
        at += step
    return None


class Search:
    """The rows that have a word, found as far as they were asked for, from the beginning on."""

    def __init__(self, reel: Reel, word: str) -> None:
        self._reel = reel
        self.word = word
        # As it stands in the file: JSON escapes quotes, backslashes and controls, and nothing else.
        # Of letters that are not ASCII the bytes do not tell which are the same.
        inside = json.dumps(word)[1:-1].encode()
        self._raw = re.compile(re.escape(inside), re.IGNORECASE) if word.isascii() else None
        self._plain = re.compile(re.escape(word), re.IGNORECASE)
        self._upto = 0  # the first row that is not looked at
        self._hits: list[int] = []
        self._origins: set[int] = set()  # prepared statements that have it: their runs do too

    @property
    def hits(self) -> int:
        return len(self._hits)

    @property
    def complete(self) -> bool:
        """Whether every row there is was looked at."""
        return self._upto >= self._reel.rows

    def next(self, place: int, go: Go = _always) -> int | None:
        while True:
            i = bisect_right(self._hits, place)
            if i < len(self._hits):
                return self._hits[i]
            if not go() or not self._scan():
                return None

    def previous(self, place: int, go: Go = _always) -> int | None:
        while self._upto < place and go() and self._scan():
            pass
        i = bisect_left(self._hits, place)
        return self._hits[i - 1] if i else None

    def _scan(self) -> bool:
        """Looks at the rows of one frame more; False where there are none (yet)."""
        if self._upto >= self._reel.rows:
            return False
        at = self._reel.frame_of(self._upto)
        stop = self._reel.stop(at)
        if self._origins or self._raw is None or self._raw.search(self._reel.lines(at)):
            first, _, rows = self._reel.frame(at)
            fresh = range(self._upto - first, stop - first)
            self._hits += [first + i for i in fresh if i < len(rows) and self._has(rows[i])]
        self._upto = stop
        return True

    def _has(self, row: Row) -> bool:
        event = row.event
        if isinstance(event, Said) and event.kind == "run" and event.origin in self._origins:
            return True
        found = any(self._plain.search(text) for text in words(row))
        if found and isinstance(event, Said) and event.prepared:
            self._origins.add(event.seq)
        return found


def words(row: Row) -> list[str]:
    """All text of a row that a person may look for."""
    found: list[str] = []
    match row.event:
        case Said() as said:
            found += [said.text, said.rule, said.reason, said.tag, said.unread, said.hold]
            found += [*said.touches, *said.effects, *(one for one in said.parameters if one)]
        case Notice() as notice:
            found += [notice.text, notice.code]
        case Policy() as policy:
            found.append(policy.version)
        case Fatal() as fatal:
            found.append(fatal.code)
        case End() as end:
            found += [end.cause, end.why, end.by]
        case _:
            pass
    if row.finished is not None:
        found += [row.finished.error, row.finished.tag, *row.finished.columns]
        found += [*row.finished.masked, *row.finished.by_column]
    return found
