"""Uses of many sessions → what one principal did on one target, as far as a scope allowed it.

A statement is a use of a grant where its session rested on the grant and the grant's scope covers
it; so of two grants that carry one session each is told what it was good for.

Order of the file: folded for a review, by day and atom, folding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from hoopcore.model import EVERYTHING, Atom, Scope, Time
from hoopcore.policy.scope import missing
from hoopcore.usage.counting import Shape, Tally, Use
from hoopcore.usage.lattice import used_atoms, wanted_by

# --- folded for a review ------------------------------------------------------------------------


class Telling(NamedTuple):
    """The statement to look at first."""

    session: str
    seq: int


@dataclass(slots=True)
class Folded:
    """What came to pass under one scope.  ``statements`` counts refused ones too."""

    sessions: int = 0
    statements: int = 0
    refused: int = 0
    held: int = 0
    rows: int = 0
    unread: int = 0  # went through unread: each may have used anything
    masked: dict[str, int] = field(default_factory=dict)  # kind → values
    days: dict[int, int] = field(default_factory=dict)  # day → statements that went through
    hours: int = 0
    last: Time | None = None  # of what went through
    atoms: dict[Atom, int] = field(default_factory=dict)  # → statements
    columns: set[str] = field(default_factory=set)
    done: dict[Shape, int] = field(default_factory=dict)
    inexact: int = 0  # sessions whose recordings do not say all that a scope is asked for
    telling: Telling | None = None
    _worst: tuple[bool, int, Time] = (False, -1, 0)


def fold(uses: Iterable[tuple[str, Use]], granted: Scope = EVERYTHING, since: int = 0) -> Folded:
    """Of sessions by their ids, from a day on (counted from 1970), what the scope covers of them.

    What was refused or held is counted whatever it was, since it was a try under this grant too.
    """
    found = Folded()
    covered: dict[Shape, frozenset[Atom] | None] = {}
    for session, use in uses:
        tallies = [tally for tally in use.tallies if tally.day >= since]
        if use.tallies and not tallies:
            continue
        found.sessions += 1
        found.inexact += not use.exact and bool(tallies)
        found.hours |= use.hours
        for kind, values in use.masked.items():
            found.masked[kind] = found.masked.get(kind, 0) + values
        for tally in tallies:
            shape = use.shapes[tally.shape]
            if shape not in covered:
                covered[shape] = _covered(shape, granted)
            _count(found, session, tally, shape, covered[shape])
    return found


def _covered(shape: Shape, granted: Scope) -> frozenset[Atom] | None:
    """The atoms it is a use of; None: another grant's scope let it through."""
    if not shape.unread and missing(granted, wanted_by(shape)) is not None:
        return None
    return used_atoms(shape, granted)


def _count(
    found: Folded, session: str, tally: Tally, shape: Shape, atoms: frozenset[Atom] | None
) -> None:
    found.refused += tally.refused
    found.held += tally.held
    found.statements += tally.refused
    if tally.done and atoms is not None:
        found.statements += tally.done
        found.rows += tally.rows
        found.unread += tally.done if shape.unread else 0
        found.days[tally.day] = found.days.get(tally.day, 0) + tally.done
        found.last = tally.last if found.last is None else max(found.last, tally.last)
        found.done[shape] = found.done.get(shape, 0) + tally.done
        found.columns.update(shape.columns)
        for atom in atoms:
            found.atoms[atom] = found.atoms.get(atom, 0) + tally.done
    weight = (tally.refused > 0, len(shape.touches) + 2 * len(shape.beyond), tally.last)
    if weight > found._worst:
        found._worst, found.telling = weight, Telling(session, tally.seq)


# --- by day and atom ----------------------------------------------------------------------------


class UsageRollup(NamedTuple):
    """What one principal used of one target on one day, by atom."""

    principal: str
    target: str
    atom: Atom
    day: int
    statements: int
    rows: int
    masked: int
    last: Time


def rollups(principal: str, target: str, uses: Iterable[Use]) -> Iterator[UsageRollup]:
    """By day and atom.  A statement of several atoms is a use of each of them."""
    found: dict[tuple[int, Atom], list[int]] = {}
    for use in uses:
        for tally in use.tallies:
            if not tally.done:
                continue
            for atom in used_atoms(use.shapes[tally.shape], EVERYTHING):
                sums = found.setdefault((tally.day, atom), [0, 0, 0, 0])
                sums[0] += tally.done
                sums[1] += tally.rows
                sums[2] += tally.masked
                sums[3] = max(sums[3], tally.last)
    for (day, atom), (count, rows, masked, last) in sorted(found.items()):
        yield UsageRollup(principal, target, atom, day, count, rows, masked, last)
