"""One recording → what its statements came to: how often, on what, how many rows.

Statements that want the same of a scope and name the same columns are one *shape*; a session has
few of them, however many statements it has.  A shape keeps exactly what the gate asks a scope for,
so that a narrower scope can be run over shapes instead of statements (``lattice.replay``).

A statement that could not be read may have used anything: its shape says so (``unread``), and so
does the one that stands for all shapes a session has beyond the first ``MOST``.

Order of the file: the values, counting, how they are kept.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from hoopcore.model import SECOND, Time
from hoopcore.recording.events import Finished, Header, Known, Said
from hoopcore.statement import Effect

VERSION = 1
"""Raised when a recording comes to another use: what was counted before is counted anew."""

DAY: Time = 86_400 * SECOND
MOST = 2_000
# Statements whose results are waited for; one that never finished gives no rows.
_MOST_OPEN = 10_000

# --- the values ---------------------------------------------------------------------------------


class Shape(msgspec.Struct, frozen=True, array_like=True):
    """What statements want of a scope, as ``hoopcore.policy.scope.wants`` takes it."""

    touches: tuple[str, ...] = ()  # schema.table:verb, ``*`` where the schema is any
    beyond: tuple[str, ...] = ()  # effects that a scope must allow everywhere
    columns: tuple[str, ...] = ()
    unread: bool = False  # it may have used anything


UNREAD = Shape(beyond=("call", "unknown"), unread=True)


class Tally(msgspec.Struct, array_like=True):
    """Statements of one shape on one day (UTC, counted from 1970)."""

    shape: int  # its place in Use.shapes
    day: int
    done: int = 0  # went through
    refused: int = 0
    held: int = 0
    rows: int = 0
    masked: int = 0
    last: Time = 0
    seq: int = 0  # of the last


class Use(msgspec.Struct, array_like=True):
    """What one session did."""

    shapes: list[Shape] = []
    tallies: list[Tally] = []
    masked: dict[str, int] = {}  # kind → values
    hours: int = 0  # a bit for each hour of the day (UTC) in which something went through
    exact: bool = True  # whether the recording says all that a scope is asked for

    @property
    def statements(self) -> int:
        """Refused ones included, as totals of a recording have it."""
        return sum(tally.done + tally.refused for tally in self.tallies)


_EFFECTS = frozenset(Effect)


# --- counting -----------------------------------------------------------------------------------


class Counting:
    """Takes events in order; ``found`` is what they came to so far."""

    def __init__(self) -> None:
        self.found = Use(exact=False)
        self.began = False  # whether there was a recording at all
        self._places: dict[tuple[object, ...], int] = {}
        self._tallies: dict[tuple[int, int], Tally] = {}
        self._columns: dict[int, tuple[str, ...]] = {}  # of prepared statements
        self._open: dict[int, Tally] = {}

    def take(self, event: Known) -> None:
        self.began = True
        if isinstance(event, Said):
            self._said(event)
        elif isinstance(event, Finished):
            self._finished(event)
        elif isinstance(event, Header):
            self.found.exact = event.scopes

    def _said(self, said: Said) -> None:
        if said.prepared:
            if len(self._columns) < MOST:
                self._columns[said.seq] = said.columns
            if said.verdict == "allow":
                return
        at = said.at
        tally = self._tally(said, at // DAY)
        if said.verdict == "allow":
            tally.done += 1
            self.found.hours |= 1 << at // (3600 * SECOND) % 24
            if len(self._open) >= _MOST_OPEN:
                self._open.clear()
            self._open[said.seq] = tally
        elif said.verdict == "refuse":
            tally.refused += 1
        else:
            tally.held += 1
        if at >= tally.last:
            tally.last, tally.seq = at, said.seq

    def _finished(self, finished: Finished) -> None:
        masked = sum(finished.masked.values()) if finished.masked else 0
        tally = self._open.pop(finished.seq, None)
        if tally is not None:
            tally.rows += finished.rows
            tally.masked += masked
        if masked:
            kinds = self.found.masked
            for kind, values in finished.masked.items():
                kinds[kind] = kinds.get(kind, 0) + values

    def _tally(self, said: Said, day: int) -> Tally:
        columns = said.columns or self._columns.get(said.origin, ())
        key = (said.meant or said.touches, said.beyond, columns, said.unread != "")
        place = self._places.get(key)
        if place is None:
            place = self._place(key, _shape(said, columns))
        tally = self._tallies.get((place, day))
        if tally is None:
            tally = self._tallies[place, day] = Tally(place, day)
            self.found.tallies.append(tally)
        return tally

    def _place(self, key: tuple[object, ...], shape: Shape) -> int:
        shapes = self.found.shapes
        if len(shapes) >= MOST:
            if len(shapes) == MOST:
                shapes.append(UNREAD)
            return MOST
        self._places[key] = len(shapes)
        shapes.append(shape)
        return len(shapes) - 1


def _shape(said: Said, columns: tuple[str, ...]) -> Shape:
    touches = said.meant or said.touches
    if not said.unread and all(map(_is_plain, touches)):
        return Shape(touches, said.beyond, columns)
    # With a dot within a name nobody can say any more which part of it is the schema.
    return Shape(touches, tuple(sorted({*said.beyond, *UNREAD.beyond})), columns, unread=True)


def _is_plain(touch: str) -> bool:
    full, _, effect = touch.rpartition(":")
    return full.count(".") == 1 and effect in _EFFECTS


def use_of(events: Iterable[Known]) -> Use:
    counting = Counting()
    for event in events:
        counting.take(event)
    return counting.found


# --- how they are kept --------------------------------------------------------------------------

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Use)


def encoded(use: Use) -> str:
    return _encoder.encode(use).decode()


def decoded(text: str) -> Use:
    """ValueError where it is none."""
    try:
        return _decoder.decode(text)
    except msgspec.MsgspecError as problem:
        raise ValueError("this is no use of a session") from problem
