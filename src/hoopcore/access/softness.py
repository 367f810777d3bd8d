"""What a narrowed grant may have again: softly narrowed, hard only after a quiet period.

A grant that was narrowed keeps beside its scope the one it was narrowed from, and until when that
counts.  A statement outside the scope and within that one is held (``policy.scope.learnable``).
Approved it runs, and the grant is superseded by one whose scope has what it wanted; the period
begins anew.  No end of a grant moves, and nothing is had that was not had before.

Order of the file: being narrowed, in force, being taught.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hoopcore.model import NOTHING, SECOND, Atom, Grant, Kind, Scope, Soft, Target, Tier, Time


def softened(less: Grant, grant: Grant, period: int, now: Time) -> Soft | None:
    """What is soft of a grant that was narrowed to ``less``; ``period`` in seconds, 0 for nothing.

    That is what the grant held, and not what was soft of it in turn: whoever narrows again and
    again gets no time added to what they have not had for long.
    """
    before = grant.scope.with_masks
    if not period:
        return None
    if less.scope.with_masks.covers(before):  # only its end came nearer, or a mask back
        return None if grant.soft is None else _until(grant.soft.scope, grant.soft.until, less)
    return _until(before, now + period * SECOND, less)


def _until(scope: Scope, until: Time, grant: Grant) -> Soft:
    return Soft(scope, min(until, grant.not_after))


def soft_scope(grant: Grant, now: Time) -> Scope:
    """What a step-up may be asked for now on this grant, if it holds."""
    return NOTHING if grant.soft is None or now >= grant.soft.until else grant.soft.scope


def learner(grants: Iterable[Grant], atoms: frozenset[Atom], now: Time) -> Grant | None:
    """Of grants that hold now, the one that may have all of these again; the one that ends last.

    None where none may.  Atoms that one of the grants has count for nothing.
    """
    grants = list(grants)
    lacking = _lacking(grants, atoms)
    able = [one for one in grants if soft_scope(one, now).covers(lacking)]
    return max(able, key=lambda one: (one.ends, one.id), default=None) if lacking.atoms else None


def has_all(grants: Iterable[Grant], atoms: frozenset[Atom]) -> bool:
    """Whether nothing of it is to be learned any more."""
    return not _lacking(list(grants), atoms).atoms


def _lacking(grants: list[Grant], atoms: frozenset[Atom]) -> Scope:
    return Scope(
        frozenset(
            atom
            for atom in atoms
            if not any(one.covers(atom) for g in grants for one in g.scope.atoms)
        )
    )


def taught(grant: Grant, atoms: frozenset[Atom], period: int, now: Time, id: str) -> Grant:
    """The grant in its place that has these too: it ends no later, and is soft for a period anew.

    ``atoms`` are within what is soft of it.
    """
    assert grant.soft is not None, "the caller has looked"
    scope = grant.scope.join(Scope(atoms))
    soft = None
    if not scope.covers(grant.soft.scope):
        soft = _until(grant.soft.scope, max(grant.soft.until, now + period * SECOND), grant)
    return replace(grant, id=id, scope=scope, soft=soft, supersedes=grant.id)


def answers_oneself(kind: Kind, target: Target, *, held_too: bool) -> bool:
    """Whether who has said a statement may step up by themselves, with a reason.

    Only a person may, and only on a low tier, and never where a rule or a budget holds it too.
    """
    return kind is Kind.HUMAN and target.tier is Tier.LOW and not held_too
