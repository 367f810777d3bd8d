"""A private mirror: what somebody's last thirty days with each target came to.

It is for nobody but them, and nothing of it is kept.  It tells of what was refused, of statements
that gave many rows, and of what a narrower scope, or a masked view, would have served.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from hoopagent.means import Means, View, time_or_none
from hoopagent.usage import Uses, reaches, uses_of
from hoopcore.model import NOTHING, Principal, Scope, Session, Time, rfc3339
from hoopcore.usage import DAY, Folded, Shape, Use, fold, narrower, replay

DAYS = 30
MANY = 1_000
"""Rows of one statement, on the average of those alike, from which on it is a wide scan."""
_TOP = 5


async def mirror(
    means: Means, read: Callable[[Session], Use], who: Principal, now: Time
) -> list[View]:
    """By target, the one with the most statements first."""
    first = now // DAY - (DAYS - 1)
    found = []
    for target, uses in (await uses_of(means.store, read, who.id, first * DAY)).items():
        scope = NOTHING
        for grant in await means.store.grants(principal=who.id, target=target, live_at=now):
            scope = scope.join(grant.scope)
        folded = fold(uses.pairs, since=first)
        covered = fold(uses.pairs, scope, first)
        less, done = None, covered.done
        if scope.atoms and not uses.unseen:
            less = narrower(scope, done, reaches(means.config_now().masks))
        soft = scope.with_masks if means.soft_for(target) else NOTHING
        passing = None if less is None else replay(less, done, soft)
        found.append(
            {
                "target": target,
                "since": rfc3339(first * DAY),
                "sessions": folded.sessions,
                "unseen": uses.unseen,
                "statements": folded.statements,
                "refused": folded.refused,
                "held": folded.held,
                "rows": folded.rows,
                "masked": dict(sorted(folded.masked.items())),
                "last_use": time_or_none(folded.last),
                "refused_most": _refused(uses, first),
                "wide_scans": _wide(uses, first),
                "in_clear": _in_clear(scope, covered),
                "narrower": None
                if less is None or passing is None
                else {
                    "scope": str(less),
                    "passed": passing.passed,
                    "held": passing.held,
                    "of": passing.of,
                    "exact": not (folded.inexact or passing.perhaps),
                },
            }
        )
    return sorted(found, key=lambda one: (-one["statements"], one["target"]))


def _refused(uses: Uses, first: int) -> list[View]:
    counted: Counter[Shape] = Counter()
    for _, use in uses.pairs:
        for tally in use.tallies:
            if tally.refused and tally.day >= first:
                counted[use.shapes[tally.shape]] += tally.refused
    return [{"what": _told(shape), "times": times} for shape, times in counted.most_common(_TOP)]


def _wide(uses: Uses, first: int) -> list[View]:
    done: Counter[Shape] = Counter()
    rows: Counter[Shape] = Counter()
    for _, use in uses.pairs:
        for tally in use.tallies:
            if tally.day >= first:
                done[use.shapes[tally.shape]] += tally.done
                rows[use.shapes[tally.shape]] += tally.rows
    wide = [shape for shape, many in rows.most_common() if many >= MANY * max(done[shape], 1)]
    return [
        {"what": _told(shape), "times": done[shape], "rows": rows[shape]} for shape in wide[:_TOP]
    ]


def _in_clear(scope: Scope, covered: Folded) -> list[View]:
    """Columns that grants of now show without their mask, and how many statements had use for it.

    The others were served as well by what is masked.
    """
    return [
        {
            "column": ".".join(atom.column),
            "named": covered.atoms.get(atom, 0),
            "of": covered.statements,
        }
        for atom in sorted(scope.unmasks, key=str)
    ]


def _told(shape: Shape) -> str:
    """What a statement wanted, without its text."""
    if shape.unread:
        return "what could not be read"
    return ", ".join(shape.touches) or ", ".join(shape.beyond) or "nothing of a table"
