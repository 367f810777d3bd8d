"""Whether a statement is within the scope of the grants that carry its session."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from hoopcore.model import Atom, Scope
from hoopcore.sql.system import describes_schema
from hoopcore.statement import Effect, Relation, Statement, Touch

SCOPE = "scope"
"""The rule that a refusal is told under."""

NARROWED = "narrowed"
"""The rule that a statement is held under which the grant covered before it was narrowed."""

# What lets a touch pass beside its own name: who may read a table may also copy it out, and who may
# change rows may lock them; who may run sftp may do with it what it can.
_ALSO = {
    Effect.COPY_OUT: (Effect.READ,),
    Effect.COPY_IN: (Effect.INSERT,),
    Effect.LOCK: (Effect.UPDATE, Effect.DELETE),
    Effect.DOWNLOAD: (Effect.RUN,),
    Effect.UPLOAD: (Effect.RUN,),
    Effect.LIST: (Effect.RUN, Effect.DOWNLOAD, Effect.UPLOAD),
}
# Effects on no relation that nothing is needed for: they stay within the session.
_FREE = frozenset(
    {
        *(Effect.READ, Effect.INSERT, Effect.SET, Effect.TRANSACTION, Effect.LISTEN),
        *(Effect.PREPARE, Effect.COPY_OUT, Effect.COPY_IN, Effect.LOCK, Effect.RUN),
    }
)


Want: TypeAlias = tuple[Atom, ...]
"""Atoms of which a scope must cover one."""


def outside(scope: Scope, statement: Statement) -> Atom | None:
    """What the scope would have to cover and does not; None where the statement is within it.

    A relation without a schema is covered only by an atom for every schema, since search_path
    decides.  What may reach relations that the text does not name needs ``*.*:call``.  Reading
    the description of the schema, named with ``pg_catalog`` or ``information_schema``, is free.
    """
    return missing(scope, wants(statement.touches, beyond(statement)))


def missing(scope: Scope, wanted: Iterable[Want]) -> Atom | None:
    """The first want, by its first atom, of which the scope covers none; None: there is none."""
    if any(atom.schema == atom.table == atom.verb == "*" for atom in scope.atoms):
        return None
    for want in wanted:
        if not any(atom.covers(one) for one in want for atom in scope.atoms):
            return want[0]
    return None


def wants(touches: Iterable[Touch], beyond: Iterable[Effect]) -> Iterator[Want]:
    """What statements that touch this, and do that beside it, want of a scope: each of these.

    What several statements of a message want is what each of them wants.
    """
    for touch in sorted(touches, key=lambda t: (t.relation, t.effect)):
        relation = touch.relation
        if touch.effect is Effect.READ and describes_schema(relation):
            continue  # what psql's \d and every driver ask: no grant gives or takes it
        verbs = (touch.effect, *_ALSO.get(touch.effect, ()))
        yield tuple(Atom(relation.schema or "*", relation.name, verb) for verb in verbs)
    for effect in sorted(beyond):
        yield (Atom("*", "*", effect),)


def beyond(statement: Statement) -> frozenset[Effect]:
    """The effects that a scope must allow everywhere: on no relation that the text names."""
    needed = statement.effects - {touch.effect for touch in statement.touches} - _FREE
    return needed | {Effect.CALL} if statement.opaque else needed


def learnable(
    scope: Scope, soft: Scope, touches: Iterable[Touch], beyond: Iterable[Effect]
) -> frozenset[Atom] | None:
    """What the scope lacks for this, where all of that is within ``soft``; None where it is not.

    Each is the very atom that is wanted, a table's and never its schema's, so that nothing comes
    along that nobody asked for; where one of several would do, the first that the others have not
    brought.  What could not be read might be anything: it is within nothing.
    Nor is a name that would read as something else in the text of a scope.
    """
    asked: list[tuple[Want, Relation | None]]
    asked = [(want, touch.relation) for touch in touches for want in wants((touch,), ())]
    asked += [(want, None) for want in wants((), beyond)]
    found = set[Atom]()
    for want, named in sorted(asked, key=lambda one: len(one[0])):  # what has no choice first
        if missing(scope, (want,)) is None or not found.isdisjoint(want):
            continue
        one = next((atom for atom in want if any(s.covers(atom) for s in soft.atoms)), None)
        if one is None or one.verb == Effect.UNKNOWN:
            return None
        if named is not None and not _reads_back(named):
            return None
        found.add(one)
    return frozenset(found)


def _reads_back(relation: Relation) -> bool:
    names = (relation.name, *([relation.schema] if relation.schema else []))
    return all(re.fullmatch(r"[\w$-]+", name) for name in names)


def how_to_ask(missing: Atom, target: str) -> str:
    """The command that asks for it."""
    return f'hoop request {target} --scope "{_shell_safe(missing)}" --reason "…"'


def _shell_safe(atom: Atom) -> str:
    """An atom to paste.  A name that is not plain could be anything, so it is left to the asker."""
    return str(atom) if re.fullmatch(r"[\w$.*:]+", str(atom)) else "SCHEMA.TABLE:VERB"
