"""What a session is found by: what it touched, with which effect, and what was masked in it.  Pure.

A facet is counted over all statements of a session, so an index of sessions is as small as what
they did is alike.  Columns are those that a statement names (``*`` is any): whoever looks for a
column finds every session that may have met it, and some that did not.

Order of the file: a facet, from a recording to its facets, from a question to the facets it wants.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from hoopcore.recording.events import Finished, Known, Said

VERSION = 2
"""Raised when the facets of a recording, or its use (``hoopcore.usage``), become others: what was
indexed before is indexed anew."""

# Of one session; one that has more is found by what came first, and by ANY.
MOST = 5_000
ANY = "*"
"""The name of a table, or a column, that could not be told."""


class Facet(NamedTuple):
    """``kind``: relation, column, masked, verdict, effect; the first two also ``… EFFECT``."""

    kind: str
    name: str  # customers; customers.email; card or email (the column masked); refused; delete
    full: str = ""  # public.customers, or *.customers where the text names no schema


class Count(NamedTuple):
    done: int = 0  # statements that went through, or values masked
    refused: int = 0  # statements that did not


Facets = dict[Facet, Count]


# --- from a recording -----------------------------------------------------------------------------


class Facetting:
    """Takes events in order; ``found`` is what they came to so far."""

    def __init__(self) -> None:
        self.found: Facets = {}
        self._columns: dict[int, tuple[str, ...]] = {}  # of prepared statements

    def take(self, event: Known) -> None:
        if isinstance(event, Said):
            self._said(event)
        elif isinstance(event, Finished) and event.masked:
            for kind, values in event.masked.items():
                self._add(Facet("masked", kind), Count(values))
            for column, told in event.by_column.items():
                name = column.rpartition(".")[2].strip('"')
                self._add(Facet("masked", name, column), Count(sum(told.values())))

    def _said(self, said: Said) -> None:
        if said.prepared and len(self._columns) < MOST:
            self._columns[said.seq] = said.columns
        went = said.verdict == "allow"
        if went and said.prepared:
            return
        one = Count(1, 0) if went else Count(0, 1)
        word = {"allow": "allowed", "refuse": "refused"}.get(said.verdict, "held")
        self._add(Facet("verdict", word), one)
        for effect in said.effects:
            self._add(Facet("effect", effect), one)
        columns = said.columns or self._columns.get(said.origin, ())
        touches = said.touches or ((f"{ANY}.{ANY}:unknown",) if said.unread else ())
        for touch in touches:
            self._touched(touch, columns, one)

    def _touched(self, touch: str, columns: tuple[str, ...], one: Count) -> None:
        full, _, effect = touch.rpartition(":")
        name = full.partition(".")[2]
        for kind in ("relation", f"relation {effect}"):
            self._add(Facet(kind, name, full), one)
        for column in columns:
            for kind in ("column", f"column {effect}"):
                self._add(Facet(kind, f"{name}.{column}", f"{full}.{column}"), one)

    def _add(self, facet: Facet, one: Count) -> None:
        before = self.found.get(facet)
        if before is None and len(self.found) >= MOST:
            facet = Facet("relation", ANY, f"{ANY}.{ANY}")  # what it is cannot be told any more
            before = self.found.get(facet)
        before = before or Count()
        self.found[facet] = Count(before.done + one.done, before.refused + one.refused)


def facets(events: Iterable[Known]) -> Facets:
    taking = Facetting()
    for event in events:
        taking.take(event)
    return taking.found


# --- to a question --------------------------------------------------------------------------------


class Alternative(NamedTuple):
    """Facets of this kind and name, whose full name is one of these (empty: whatever)."""

    kind: str
    name: str
    fulls: tuple[str, ...] = ()


class Condition(NamedTuple):
    """One of these; with ``refused`` of statements that did not go through."""

    any_of: tuple[Alternative, ...]
    refused: bool = False


def conditions(
    *, touching: str = "", effect: str = "", masked: str = "", refused: bool = False
) -> tuple[Condition, ...]:
    """All of which a session must meet.  Effect and refused are those of what is touched, if asked.

    ``touching``: a table, schema.table, table.column or schema.table.column.
    ValueError where it has more parts, or an empty one.
    """
    found = []
    if touching:
        found.append(Condition(_touching(touching, effect), refused))
    elif effect:
        found.append(Condition((Alternative("effect", effect),), refused))
    elif refused:
        found.append(Condition((Alternative("verdict", "refused"),), True))
    if masked:
        found.append(Condition((Alternative("masked", masked),)))
    return tuple(found)


def _touching(text: str, effect: str) -> tuple[Alternative, ...]:
    parts = text.split(".")
    if len(parts) > 3 or not all(parts):
        raise ValueError(f'"{text}" is no table and no column of one')
    tail = f" {effect}" if effect else ""
    anything = Alternative("relation", ANY)  # what could not be read may have done anything
    if len(parts) == 1:
        return (Alternative(f"relation{tail}", text), anything)
    first, second = parts[0], ".".join(parts[1:])
    if len(parts) == 3:
        return (*_columns(parts[1], parts[2], tail, first), anything)
    return (
        Alternative(f"relation{tail}", second, (f"{first}.{second}", f"{ANY}.{second}")),
        *_columns(first, second, tail),
        anything,
    )


def _columns(table: str, column: str, tail: str, schema: str = "") -> tuple[Alternative, ...]:
    """A column, or ``*``, of a table; in a schema, or where the text named none."""
    return tuple(
        Alternative(
            f"column{tail}",
            f"{table}.{one}",
            (f"{schema}.{table}.{one}", f"{ANY}.{table}.{one}") if schema else (),
        )
        for one in (column, ANY)
    )


def meets(found: Mapping[Facet, Count], wanted: Iterable[Condition]) -> bool:
    """Whether facets in hand meet every condition."""
    return all(
        any(
            (not condition.refused or count.refused > 0) and _is(facet, alternative)
            for facet, count in found.items()
            for alternative in condition.any_of
        )
        for condition in wanted
    )


def _is(facet: Facet, wanted: Alternative) -> bool:
    same = (facet.kind, facet.name) == (wanted.kind, wanted.name)
    return same and (not wanted.fulls or facet.full in wanted.fulls)
