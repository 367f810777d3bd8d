"""Proof of removal: after something was taken away, the gate is asked for it, and says no.

The probe asks what a door asks: which grants hold there now (``access.holds``, on the rows as the
store has them), and whether their scope covers a statement (``policy.scope.missing``).  Where
another grant of the same person still lets it pass, the proof says which.

Order of the file: the probe, what is tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hoopagent.means import Means, View
from hoopcore.access import holds, soft_scope
from hoopcore.model import NOTHING, UNMASK, Atom, Grant, Scope, Target, Time, rfc3339
from hoopcore.policy.scope import Want, missing
from hoopcore.review import Item
from hoopcore.statement import Effect
from hoopcore.usage import Shape, wanted_by

# Stands for any schema, table or column in what is tried.
_ANY = "hoop_probe"
_MOST = 20


async def probe(means: Means, item: Item, now: Time, tried: Iterable[Shape] = ()) -> View:
    """What the gate says now about what this item has taken away.

    ``refused``: whether it says no.  ``tried``: shapes of recorded statements that are outside now.
    """
    store = means.store
    old = await store.grant(item.grant)
    new = await store.grant(item.after) if item.after else None
    target = means.target(item.target)
    standing = await store.standing(item.subject, item.target, now)
    live = [one for one in standing.grants if target is not None and holds(one, target, now)]
    gone = old is not None and not _carries(old, target, now)
    before = Scope.parse(item.scope) if item.scope else Scope(frozenset())
    after = new.scope if new is not None else Scope(frozenset())
    soft = NOTHING if new is None else soft_scope(new, now)
    checks = [
        {"wanted": str(want[0]), "missing": str(lacking), "held": soft.covers(_just(lacking))}
        for want in _wanted(before, after, tried)
        if (lacking := _lacking(after, want)) is not None
    ]
    ends = new is None or old is None or new.ends <= old.ends
    shorter = new is not None and before == after and ends
    others = [one for one in live if one.id not in (item.grant, item.after)]
    return {
        "at": rfc3339(now),
        "refused": gone and ends and (new is None or bool(checks) or shorter),
        "said": f'"{item.grant}" opens nothing on "{item.target}" any more' if gone else "",
        "checks": checks[:_MOST],
        # Until then the gate holds what it would refuse: it lets nothing of it pass by itself.
        "soft_until": rfc3339(new.soft.until) if soft.atoms and new and new.soft else None,
        "also": [one.id for one in others if _lets(one, before, after)],
    }


def _carries(grant: Grant, target: Target | None, now: Time) -> bool:
    return target is not None and holds(grant, target, now)


def _just(atom: Atom) -> Scope:
    return Scope(frozenset({atom}))


def _lets(other: Grant, before: Scope, after: Scope) -> bool:
    """Whether another grant of theirs still lets some of it pass."""
    return any(_lacking(other.scope, want) is None for want in _wanted(before, after, ()))


# --- what is tried --------------------------------------------------------------------------------


def _wanted(before: Scope, after: Scope, tried: Iterable[Shape]) -> Iterator[Want]:
    """What was granted before and is not any more: recorded statements first, then an example."""
    for shape in tried:
        for want in wanted_by(shape):
            if _lacking(before, want) is None:
                yield want
    for atom in sorted(before.atoms):
        if not any(one.covers(atom) for one in after.atoms):
            yield from ((one,) for one in _examples(atom))


def _lacking(scope: Scope, want: Want) -> Atom | None:
    if want[0].verb == UNMASK:  # it is asked of a scope by masks, not by statements
        return None if any(atom.covers(want[0]) for atom in scope.atoms) else want[0]
    return missing(scope, [want])


def _examples(atom: Atom) -> Iterator[Atom]:
    """The atom with names in place of its stars: of each verb that it allows."""
    if atom.verb == UNMASK:
        schema, table, column = (_ANY if part == "*" else part for part in atom.column)
        yield Atom(f"{schema}.{table}", column, UNMASK)
        return
    schema, table = (_ANY if part == "*" else part for part in (atom.schema, atom.table))
    for verb in Effect if atom.verb == "*" else (atom.verb,):
        yield Atom(schema, table, str(verb))
