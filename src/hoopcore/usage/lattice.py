"""Scopes made narrower from use, and what would still pass under them.

Scopes are a lattice: ``covers``, ``meet`` and ``join`` are ``Scope``'s own, and ``generalised``
goes up a level, from tables to their schema, where nothing more sensitive than what was used comes
along with it.

``replay`` runs a scope over shapes with ``policy.scope.missing``, which is what the gate itself
judges with, so its count is what the gate would have let through.

Order of the file: what shapes want, what was used, narrower, the replay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from hoopcore.model import NOTHING, UNMASK, Atom, Scope
from hoopcore.policy.scope import Want, learnable, missing, wants
from hoopcore.statement import Effect, Relation, Touch
from hoopcore.usage.counting import Shape

Reaches: TypeAlias = Callable[[Atom], frozenset[str]]
"""The sensitive things (masked columns) that an atom reaches; of several tables, what they might
hold."""


# --- what shapes want ---------------------------------------------------------------------------


@lru_cache(maxsize=20_000)  # the same shapes come in session after session
def wanted_by(shape: Shape) -> tuple[Want, ...]:
    """What the gate asked the scope for, and would again."""
    return tuple(wants(map(_touch, shape.touches), map(Effect, shape.beyond)))


def _touch(text: str) -> Touch:
    full, _, effect = text.rpartition(":")
    schema, _, name = full.partition(".")
    return Touch(Relation("" if schema == "*" else schema, name), Effect(effect))


# --- what was used ------------------------------------------------------------------------------


def used_atoms(shape: Shape, granted: Scope) -> frozenset[Atom]:
    """The atoms of which the shape is a use, as far as they are granted.

    What could not be read is a use of all that is granted.  A column that is shown in clear is
    used by whatever names it, or ``*``, together with its table.
    """
    if shape.unread:
        return granted.atoms
    found = set()
    for want in wanted_by(shape):
        covered = (atom for atom in want if any(one.covers(atom) for one in granted.atoms))
        one = next(covered, None)
        if one is not None:
            found.add(one)
    return frozenset(found | set(_unmasked(shape, granted)))


def _unmasked(shape: Shape, granted: Scope) -> Iterator[Atom]:
    tables = [touch.relation for touch in map(_touch, shape.touches)]
    for atom in granted.unmasks:
        schema, table, column = atom.column
        named = column == "*" or column in shape.columns or "*" in shape.columns
        if named and any(
            table in ("*", one.name) and schema in ("*", one.schema or schema) for one in tables
        ):
            yield atom


# --- narrower -----------------------------------------------------------------------------------


def generalised(scope: Scope, granted: Scope, reaches: Reaches) -> Scope:
    """A level up: each table becomes its schema, where that is granted and no more sensitive.

    "No more sensitive": the schema reaches nothing that is not reached by the tables that were
    used.  What takes masks off stays as it is.
    """
    raised = set()
    for atom in scope.atoms:
        up = Atom(atom.schema, "*", atom.verb)
        if atom.verb == UNMASK or atom.schema == "*" or not granted.covers(Scope(frozenset({up}))):
            raised.add(atom)
            continue
        alike = [one for one in scope.atoms if (one.schema, one.verb) == (up.schema, up.verb)]
        held = frozenset[str]().union(*(reaches(one) for one in alike))
        raised.add(up if reaches(up) <= held else atom)
    return Scope(frozenset(raised)).canonical()


def narrower(granted: Scope, shapes: Iterable[Shape], reaches: Reaches) -> Scope | None:
    """What is to be proposed in place of the granted scope; None: nothing narrower serves.

    Nothing was used: nothing is proposed either, since that is a question of giving back.
    """
    used = {atom for shape in shapes for atom in used_atoms(shape, granted)}
    if not used:
        return None
    proposed = generalised(Scope(frozenset(used)).canonical(), granted, reaches)
    return None if proposed == NOTHING or proposed.covers(granted) else proposed


# --- the replay ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Replay:
    """How many of the statements that went through would still."""

    passed: int
    of: int
    outside: tuple[str, ...] = ()  # atoms that are missing, the most wanted first
    perhaps: int = 0  # not counted: they name a table without its schema, and it may be in there
    held: int = 0  # of those that would not pass: for a step-up, within what is soft


def replay(scope: Scope, done: Mapping[Shape, int], soft: Scope = NOTHING) -> Replay:
    """The scope over statements: how many of each shape went through.

    ``soft``: what is held where the scope says no.  What is held has not passed.
    """
    passed, perhaps, held, lacking = 0, 0, 0, dict[str, int]()
    anywhere = Scope(frozenset(Atom("*", one.table, one.verb) for one in scope.atoms))
    for shape, count in done.items():
        lacks = missing(scope, wanted_by(shape))
        if lacks is None:
            passed += count
        else:
            lacking[str(lacks)] = lacking.get(str(lacks), 0) + count
            held += count if _is_held(scope, soft, shape) else 0
            if any(touch.startswith("*.") for touch in shape.touches):
                perhaps += count if missing(anywhere, wanted_by(shape)) is None else 0
    told = sorted(lacking, key=lambda atom: (-lacking[atom], atom))
    return Replay(passed, sum(done.values()), tuple(told), perhaps, held)


def _is_held(scope: Scope, soft: Scope, shape: Shape) -> bool:
    if not soft.atoms:
        return False
    touches = map(_touch, shape.touches)
    return learnable(scope, soft, touches, map(Effect, shape.beyond)) is not None
