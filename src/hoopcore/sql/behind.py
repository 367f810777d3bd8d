"""What stands behind the names of a database: views, rules, and code that runs without its name.

A text that reads a view reads what the view reads; one that inserts into a table runs the table's
defaults; one that compares two values may run an operator somebody made.  No text says so, but the
catalog does.  What is found here is for rules: scopes and masks go by the names that are written.

Not looked at: triggers, foreign keys, CHECK constraints of tables, row level security, and casts
that nobody writes (``docs/reference/effects.md`` lists them).

Order: what is behind one relation, the queries, rows → values, and a statement with all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from hoopcore.sql.functions import HARMLESS
from hoopcore.sql.postgres import IN_PROCESS, read
from hoopcore.statement import Beneath, Effect, Relation, Statement, Touch

_WRITES: Final = frozenset({Effect.INSERT, Effect.UPDATE, Effect.DELETE})
_USES: Final = _WRITES | {Effect.READ, Effect.MAINTENANCE}  # REFRESH reads what a view reads
_EVENTS: Final = {
    "1": frozenset({Effect.READ}),
    "2": frozenset({Effect.UPDATE}),
    "3": frozenset({Effect.INSERT}),
    "4": frozenset({Effect.DELETE}),
    "d": frozenset({Effect.INSERT, Effect.UPDATE}),  # defaults, generated columns, domains
}
# A sequence that numbers rows is no code anybody has to know of.
_NUMBERING: Final = frozenset({"nextval"})


@dataclass(slots=True)
class Behind:
    """Of one relation.  ``reads`` are oids of what a view reads, each with the columns of it."""

    reads: dict[int, set[str]] = field(default_factory=dict)
    whole: bool = False  # it reads whole rows of them, so any column
    calls: dict[Effect, set[str]] = field(default_factory=dict)  # code by what makes it run
    rules: dict[Effect, list[Statement]] = field(default_factory=dict)  # what rules do, likewise


@dataclass(frozen=True, slots=True)
class Depths:
    """Of one database.  ``operators`` have a name of PostgreSQL's and code of somebody's."""

    relations: Mapping[int, Behind] = field(default_factory=dict)
    operators: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.relations or self.operators)


NO_DEPTHS: Final = Depths()


# --- the queries ----------------------------------------------------------------------------------

READS_QUERY = """
SELECT r.ev_class::int8, d.refobjid::int8, array_agg(coalesce(a.attname::text, ''))
FROM pg_catalog.pg_rewrite r
JOIN pg_catalog.pg_depend d
  ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
 AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> r.ev_class
JOIN pg_catalog.pg_class c ON c.oid = d.refobjid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE r.ev_class >= 16384 AND r.ev_type = '1' GROUP BY 1, 2
"""
"""View, relation it reads, and columns of that: an empty one where it is named as a whole."""

RULES_QUERY = """
SELECT r.ev_class::int8, r.ev_type::text,
       CASE WHEN r.ev_type = '1' THEN '' ELSE pg_catalog.pg_get_ruledef(r.oid) END,
       r.ev_action::text LIKE '%:varattno 0 %'
FROM pg_catalog.pg_rewrite r WHERE r.ev_class >= 16384
"""
"""Relation, event and definition of each rule, and whether it reads whole rows."""

# The trees of PostgreSQL hold the oid of each function, also of those that no dependency names.
_TREES = """
SELECT r.ev_class AS relation, r.ev_type::text AS event, r.ev_action::text AS tree
FROM pg_catalog.pg_rewrite r WHERE r.ev_class >= 16384
UNION ALL
SELECT f.adrelid, 'd', f.adbin::text FROM pg_catalog.pg_attrdef f WHERE f.adrelid >= 16384
UNION ALL
SELECT a.attrelid, 'd', k.conbin::text FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'f', 'v')
JOIN pg_catalog.pg_constraint k ON k.contypid = a.atttypid AND k.contype = 'c'
WHERE a.attrelid >= 16384 AND a.attnum > 0 AND a.atttypid >= 16384
"""
BEHIND_CODE_QUERY = f"""
SELECT t.relation::int8, t.event, p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace,
       array_agg(DISTINCT p.proname::text)
FROM ({_TREES}) t,
LATERAL pg_catalog.regexp_matches(t.tree, ':(?:func|aggfno|winfno|opfunc)id ([0-9]+)', 'g') m
JOIN pg_catalog.pg_proc p ON p.oid = m[1]::pg_catalog.oid GROUP BY 1, 2, 3
"""  # noqa: S608 - of constants
"""Relation, event, and functions that run then: PostgreSQL's own, or others."""

OPERATORS_QUERY = """
SELECT o.oprname::text FROM pg_catalog.pg_operator o
WHERE o.oid >= 16384 AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d
    WHERE d.classid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND d.objid = o.oid
      AND d.deptype = 'e')
UNION
SELECT '::' || t.typname FROM pg_catalog.pg_cast c
JOIN pg_catalog.pg_type t ON t.oid = c.casttarget
WHERE c.oid >= 16384 AND c.castfunc >= 16384 AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d
    WHERE d.classid = 'pg_catalog.pg_cast'::pg_catalog.regclass AND d.objid = c.oid
      AND d.deptype = 'e')
"""
"""Operators that somebody made, and types that somebody's casts lead to, as ``::type``."""


# --- rows → values --------------------------------------------------------------------------------


def depths_of(
    reads: Iterable[Sequence[Any]],
    rules: Iterable[Sequence[Any]],
    code: Iterable[Sequence[Any]],
    operators: Iterable[Sequence[Any]],
) -> Depths:
    """From the rows of the four queries."""
    found: dict[int, Behind] = {}
    for view, relation, columns in reads:
        found.setdefault(view, Behind()).reads[relation] = set(columns) - {""}
    for relation, event, definition, whole in rules:
        behind = found.setdefault(relation, Behind())
        behind.whole = behind.whole or bool(whole)
        if event != "1":
            _add_rule(behind, _EVENTS.get(event, frozenset()), definition)
    for relation, event, own, names in code:
        harmless = (HARMLESS | _NUMBERING if event == "d" else HARMLESS) if own else frozenset()
        if unknown := set(names) - harmless:
            for effect in _EVENTS.get(event, frozenset()):
                found.setdefault(relation, Behind()).calls.setdefault(effect, set()).update(unknown)
    return Depths(found, frozenset(row[0] for row in operators))


def _add_rule(behind: Behind, events: frozenset[Effect], definition: str) -> None:
    """What a rule does, by its own text.  One that is too long for this process may do anything."""
    text = definition.encode()
    reading = read(text) if len(text) <= IN_PROCESS else None
    for event in events:
        if reading is None or Effect.UNKNOWN in reading.effects:
            behind.calls.setdefault(event, set()).add("a rule")
            continue
        behind.rules.setdefault(event, []).extend(reading.statements)
        for statement in reading.statements:
            if Effect.CALL in statement.effects:
                behind.calls.setdefault(event, set()).update(statement.functions)


# --- a statement with all of it -------------------------------------------------------------------


class _Tables(Protocol):
    """What is asked of a catalog."""

    def relation(self, oid: int) -> Relation | None: ...

    def oids(self, relation: Relation) -> Iterable[int]: ...


class Deep:
    """Collects what is behind one statement."""

    def __init__(self, tables: _Tables, depths: Depths, harmless: frozenset[str]) -> None:
        self._tables = tables
        self._depths = depths
        self._harmless = {name.rpartition(".")[2] for name in harmless}
        self._touches: set[Touch] = set()
        self._columns: set[str] = set()
        self._code: set[str] = set()
        self._unbounded: set[Effect] = set()

    def of(self, statement: Statement) -> Beneath | None:
        """What is behind it; None where nothing is."""
        for touch in statement.touches:
            for oid in self._tables.oids(touch.relation):
                self._enter(oid, touch.effect)
        code = self._code | (self._depths.operators & statement.operators)
        code -= self._harmless
        effects = {touch.effect for touch in self._touches} | ({Effect.CALL} if code else set())
        if not effects:
            return None
        return Beneath(
            frozenset(effects),
            frozenset(self._touches),
            frozenset(self._columns),
            frozenset(self._unbounded),
        )

    def _enter(self, oid: int, effect: Effect) -> None:
        behind = self._depths.relations.get(oid)
        if behind is None:
            return
        self._code |= behind.calls.get(effect, set())
        if effect in _USES and behind.reads:
            self._code |= behind.calls.get(Effect.READ, set())
            self._enter_view(behind, effect)
        for done in behind.rules.get(effect, ()):
            self._columns |= done.columns
            self._unbounded |= done.unbounded
            for touch in done.touches:
                if touch.effect is not Effect.DDL:  # that is the rule's own making
                    self._add(touch)

    def _enter_view(self, behind: Behind, effect: Effect) -> None:
        for relation, columns in behind.reads.items():
            name = self._tables.relation(relation)
            if name is None:
                continue
            self._columns |= columns
            if behind.whole:
                self._columns.add("*")
            self._add(Touch(name, Effect.READ))
            if effect in _WRITES:  # a view that is simple enough passes them on
                self._add(Touch(name, effect))

    def _add(self, touch: Touch) -> None:
        if touch in self._touches:
            return
        self._touches.add(touch)
        for oid in self._tables.oids(touch.relation):
            self._enter(oid, touch.effect)
