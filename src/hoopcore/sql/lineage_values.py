"""What lineage is made of: base columns, values computed from them, columns, and what was found.

A *base* is one column of one relation of the catalog.  A value that is a base as it stands, under
whatever name, is ``copied`` from it; a value that anything was done to is ``derived``.  The two are
kept apart since a mask may show some characters of the first and nothing of the second.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

Base: TypeAlias = tuple[int, int]
"""Oid of a relation, attnum of a column."""

_NONE: frozenset[Base] = frozenset()
NOWHERE: Final[Base] = (0, 1)
"""Stands for what differs from row to row and is in no relation: a generator's column, VALUES, a
constant of a UNION.  No mask is on it."""

VARIES: Final[Base] = (0, 2)
"""Stands for what differs from group to group, or by a row's place: a count, a rank, a sum."""
PSEUDO: Final = frozenset({NOWHERE, VARIES})
"""What stands for no column."""


class NotKnown(Exception):
    """Lineage of this statement is not known: why, in a few words, never of the text itself."""


class Value(NamedTuple):
    """Where a value comes from.  ``pure``: all of its values are those of one base column."""

    copied: frozenset[Base] = _NONE
    derived: frozenset[Base] = _NONE
    pure: bool = False

    @property
    def sources(self) -> frozenset[Base]:
        """Every base it hangs on."""
        return self.copied | self.derived if self.derived else self.copied

    def with_derived(self, more: frozenset[Base]) -> Value:
        """The same, hanging on these too."""
        return Value(self.copied, self.derived | more, self.pure) if more else self


CLEAN = Value()
"""Computed from no column at all."""
MADE = Value(derived=frozenset({NOWHERE}))
"""A column of no relation."""


def computed(sources: Iterable[Base]) -> Value:
    """Computed from these."""
    return Value(_NONE, frozenset(sources))


def either(one: Value, other: Value) -> Value:
    """A value that is now the one, now the other: of a UNION, of VALUES, of an unsure name."""
    if one is other:
        return one
    return Value(one.copied | other.copied, one.derived | other.derived)


class Column(NamedTuple):
    """A column that can be read by its name.

    ``name`` is empty where PostgreSQL's own name for it is not known here.  ``origins`` are what
    PostgreSQL may tell of it in a description, beside nothing.
    """

    name: str
    value: Value
    origins: frozenset[Base] = _NONE

    def named(self, name: str) -> Column:
        return Column(name, self.value, self.origins)


class Output(NamedTuple):
    """One column of a result: the bases it may be as they stand, and those it is made from."""

    name: str
    itself: frozenset[Base]
    derived: frozenset[Base]
    origins: frozenset[Base]  # what a description may tell of it, beside nothing
    made: bool = False  # whether something that is in no relation is in it, a constant perhaps

    @property
    def sources(self) -> frozenset[Base]:
        """Every base it hangs on."""
        return self.itself | self.derived


class Lineage(NamedTuple):
    """Of one statement.  ``outputs`` None: not known, and ``why`` says so in a few words.

    ``written`` are the bases of all that it writes into relations.  ``decides`` has, for each
    condition on its rows, the bases in it, or in each part of an OR; ``within`` the same of
    conditions within expressions.  ``traced``: whether that is all of them.
    """

    outputs: tuple[Output, ...] | None
    written: frozenset[Base] = _NONE
    why: str = ""
    decides: tuple[tuple[frozenset[Base], ...], ...] = ()
    within: frozenset[tuple[frozenset[Base], ...]] = frozenset()
    traced: bool = False
