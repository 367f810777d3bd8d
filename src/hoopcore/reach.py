"""Who may reach a table or a column, by which way, and what stands in between: for an auditor.

A *way* is a grant that holds, or an offer (``may_request``) by which somebody may ask for one.  For
each way the plainest statement that reads, inserts, updates or deletes there is held against scope
and rules, and the masks are looked up.

Here a doubt counts the other way round than in the gate: what may hold or refuse only some
statements, or only at some times, does not hide a way, it is told beside it.  What the target's own
roles forbid, and what a view or a function reaches inside, nobody has looked at.

Order of the file: what is asked, the answer, one verb, masks, roles.toml as far as it is needed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from hoopcore.masking import Masking
from hoopcore.model import Kind, Principal, Scope, Target
from hoopcore.policy import NARROWED, Facts, Known, Policy, Rule, learnable, outside
from hoopcore.sql.imposed import IMPOSED
from hoopcore.statement import Effect, Relation, Statement, Touch

VERBS = {
    "read": Effect.READ,
    "insert": Effect.INSERT,
    "update": Effect.UPDATE,
    "delete": Effect.DELETE,
}


@dataclass(frozen=True, slots=True)
class Place:
    """``schema.table`` or ``schema.table.column``, as PostgreSQL folds names."""

    relation: Relation
    column: str = ""

    @classmethod
    def parse(cls, text: str) -> Place:
        """ValueError where it is neither."""
        parts = _parts(text)
        if len(parts) not in (2, 3) or not all(parts):
            raise ValueError(f'"{text}" is not SCHEMA.TABLE or SCHEMA.TABLE.COLUMN')
        return cls(Relation(parts[0], parts[1]), parts[2] if len(parts) == 3 else "")

    def __str__(self) -> str:
        return f"{self.relation}.{self.column}" if self.column else str(self.relation)


def _parts(text: str) -> list[str]:
    """The names between dots; in double quotes they are taken letter by letter."""
    parts, word, quoted = [], "", False
    for place, letter in enumerate(text):
        if letter == '"':
            if quoted and text[place + 1 : place + 2] == '"':
                word += '"'
            quoted = not quoted
        elif letter == "." and not quoted:
            parts.append(word)
            word = ""
        else:
            word += letter if quoted else letter.lower()
    return [*parts, word] if not quoted else []


# --- the answer -----------------------------------------------------------------------------------


def reach(place: Place, facts: Facts, policy: Policy, masking: Masking) -> dict[str, Any] | None:
    """What these facts' principal can do there under these facts' scope; None: nothing at all.

    ``verdict`` of each verb is allow, hold or refuse; a verb outside the scope is left out.
    """
    known = facts.known(None)
    reads_only = any(
        one.settings.read_only and one.surely_applies(known) for one in policy.impositions
    )
    verbs = {}
    for verb, effect in VERBS.items():
        found = _verb(place, effect, facts, policy, known, reads_only=reads_only)
        if found is not None:
            verbs[verb] = found
    if not verbs:
        return None
    return {"verbs": verbs, "masks": masks_on(place, masking, facts.principal.groups)}


def _verb(
    place: Place, effect: Effect, facts: Facts, policy: Policy, known: Known, *, reads_only: bool
) -> dict[str, Any] | None:
    plain = _plainest(place, effect)
    soft = outside(facts.scope, plain) is not None
    if soft and learnable(facts.scope, facts.soft, plain.touches, ()) is None:
        return None
    if reads_only and effect is not Effect.READ:
        return {"verdict": "refuse", "rule": IMPOSED, "sometimes": []}
    widest = replace(
        plain,
        unlimited=effect is Effect.READ,
        unbounded=frozenset({effect}) & {Effect.UPDATE, Effect.DELETE},
        columns=frozenset({"*"}),
        filters=frozenset({"*"}),
        guises=True,
    )
    always, sometimes = [], []
    for rule in policy.rules:
        if rule.verdict == "allow" or not rule.applies(known):
            continue
        if rule.surely_applies(known) and rule.may_match(plain):
            always.append(rule)
        elif rule.may_match(widest, 1 << 20):
            sometimes.append(rule)
    first = _strongest(always)
    verdict = "allow" if first is None else first.verdict
    told = sorted({f"{rule.name} ({rule.verdict})" for rule in sometimes})
    if soft and verdict != "refuse":
        return {"verdict": "hold", "rule": NARROWED, "sometimes": told}
    return {"verdict": verdict, "rule": "" if first is None else first.name, "sometimes": told}


def _plainest(place: Place, effect: Effect) -> Statement:
    """A statement that does this there, with a WHERE and a LIMIT, and nothing else."""
    columns = frozenset({place.column}) if place.column else frozenset[str]()
    return Statement(
        frozenset({effect}), frozenset({Touch(place.relation, effect)}), columns=columns
    )


def _strongest(rules: Iterable[Rule]) -> Rule | None:
    order = {"refuse": 0, "hold": 1}
    return min(rules, key=lambda rule: (order[rule.verdict], rule.name), default=None)


def masks_on(place: Place, masking: Masking, groups: frozenset[str]) -> list[dict[str, Any]]:
    """The masks these groups meet there; of a table without a column, all that name it."""
    return [
        {"column": mask.column, "style": mask.style.value}
        for mask in masking.masks
        if not mask.exempt & groups
        and mask.schema.fullmatch(place.relation.schema)
        and mask.table.fullmatch(place.relation.name)
        and (not place.column or mask.name.fullmatch(place.column))
    ]


# --- roles.toml -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Offer:
    """A ``may_request``, as far as it says who may ask for what."""

    role: str
    groups: frozenset[str]
    targets: tuple[str, ...]
    scope: Scope
    approvers: frozenset[str]
    votes: int
    database_role: str = ""

    def covers(self, target: str) -> bool:
        return any(fnmatchcase(target, pattern) for pattern in self.targets)


def facts_in(target: Target, scope: Scope, who: Principal, roles: frozenset[str]) -> Facts:
    """Of somebody whose groups are all known, and of whom nothing else is."""
    return Facts(who, target, scope, "", roles=roles)


def member_of(group: str) -> Principal:
    """Somebody of whom no more is known than that group."""
    return Principal("", Kind.HUMAN, "", "", groups=frozenset({group}))


def offers_in(roles: str) -> tuple[Offer, ...]:
    """Those of a roles.toml that is right; ValueError where it is no TOML."""
    tables = tomllib.loads(roles).get("roles", {})
    found = []
    for name, role in tables.items():
        for number, one in enumerate(role.get("may_request", ()), 1):
            found.append(_offer(name if number == 1 else f"{name}#{number}", role, one))
    return tuple(found)


def _offer(name: str, role: Mapping[str, Any], one: Mapping[str, Any]) -> Offer:
    return Offer(
        role=name,
        groups=frozenset(role.get("groups", ())),
        targets=tuple(one.get("targets", ())),
        scope=Scope.parse(one.get("scope", "*.*:*")),
        approvers=frozenset(one.get("approvers", ())),
        votes=one.get("votes", 1),
        database_role=one.get("database_role", ""),
    )
