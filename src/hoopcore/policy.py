"""Rules about what a statement does, and the verdict on one message.

Rules are ordered by strength, not by place: a refusal beats a hold beats an allowance.  What no
rule speaks of is allowed within the scope of the grant, but for three effects that are refused
unless an allowance names them: ``unknown``, ``server_file`` and ``program``.

Where the text leaves a doubt, a refusal takes it as met and an allowance as not met: a relation
without a schema matches every schema for the one, and only ``*`` for the other.  A rule about
relations speaks of those the text names; what a function or a view reaches inside is not seen, so
refuse ``call`` where that matters.

Order: rules and how they match, facts and verdicts, the decision, the scope, and loading.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hoopcore.model import Atom, Principal, Scope, Target
from hoopcore.places import ConfigError, Path, did_you_mean, line_of, lines_of
from hoopcore.sql.postgres import IN_PROCESS, read
from hoopcore.sql.system import describes_schema
from hoopcore.statement import Effect, Reading, Relation, Statement

# Refused where nothing names them: they reach what no rule about relations can see.
NEEDS_ALLOWANCE = {
    Effect.UNKNOWN: ("unreadable", "the statement cannot be read"),
    Effect.SERVER_FILE: ("server-file", "files of the server are out of reach"),
    Effect.PROGRAM: ("program", "programs on the server are out of reach"),
}
SCOPE = "scope"
RESERVED = frozenset({SCOPE, *(name for name, _ in NEEDS_ALLOWANCE.values())})


# --- rules and how they match -------------------------------------------------------------------


def _pattern(text: str) -> re.Pattern[str]:
    """``*`` is any run of characters, ``?`` any one; all else is itself."""
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in text)
    return re.compile("".join(parts), re.DOTALL)


@dataclass(frozen=True, slots=True)
class RelationPattern:
    """``schema.table``, or ``table`` in every schema."""

    text: str
    schema: re.Pattern[str]
    name: re.Pattern[str]
    every_schema: bool

    @classmethod
    def parse(cls, text: str) -> RelationPattern:
        schema, dot, name = text.rpartition(".")
        if not name or "." in schema or (dot and not schema):
            raise ValueError(f'"{text}" is not of the form schema.table')
        return cls(text, _pattern(schema or "*"), _pattern(name), schema in ("", "*"))

    def may_match(self, relation: Relation) -> bool:
        """Whether the relation may be one of these.  No schema: any of the search path."""
        return _matches(self.name, relation.name) and (
            not relation.schema or _matches(self.schema, relation.schema)
        )

    def surely_matches(self, relation: Relation) -> bool:
        """Whether the relation is one of these, whatever the search path."""
        if self.name.fullmatch(relation.name) is None:
            return False
        if not relation.schema:
            return self.every_schema
        return self.schema.fullmatch(relation.schema) is not None


def _matches(pattern: re.Pattern[str], name: str) -> bool:
    """A server with a single-byte encoding also folds letters outside ASCII to lower case."""
    return bool(pattern.fullmatch(name)) or (
        not name.isascii() and bool(pattern.fullmatch(name.lower()))
    )


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of rules.toml.  An empty set of words means every one."""

    name: str
    reason: str
    verdict: str  # "refuse", "hold", "allow"
    targets: tuple[re.Pattern[str], ...] = ()
    groups: frozenset[str] = frozenset()
    effects: frozenset[Effect] = frozenset()
    relations: tuple[RelationPattern, ...] = ()
    missing_where: bool = False

    def concerns(self, principal: Principal, target: Target) -> bool:
        """Whether the rule is about this person on this target."""
        here = not self.targets or any(p.fullmatch(target.name) for p in self.targets)
        return here and (not self.groups or not self.groups.isdisjoint(principal.groups))

    def may_match(self, statement: Statement) -> bool:
        """Whether the statement may do what the rule speaks of: how a refusal matches."""
        effects = statement.unbounded if self.missing_where else statement.effects
        if self.effects:
            effects = effects & self.effects
        if not effects:
            return False
        if not self.relations:
            return True
        if statement.opaque and self.effects and not self.missing_where:
            return True  # it does this to relations that the text does not name
        return any(self._may_reach(statement, effect) for effect in effects)

    def _may_reach(self, statement: Statement, effect: Effect) -> bool:
        """An effect that is on no relation of its own is on all of the statement's."""
        own = [touch.relation for touch in statement.touches if touch.effect is effect]
        return any(
            pattern.may_match(relation)
            for relation in own or statement.relations
            for pattern in self.relations
        )

    def surely_allows(self, statement: Statement, effect: Effect) -> bool:
        """Whether an allowance names this effect, and covers all that the statement touches."""
        if effect not in self.effects or (self.missing_where and not statement.unbounded):
            return False
        if not self.relations:
            return True
        return (
            bool(statement.touches)
            and not statement.opaque
            and all(
                any(pattern.surely_matches(relation) for pattern in self.relations)
                for relation in statement.relations
            )
        )


# --- facts and verdicts ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Facts:
    """Who, where, and under which grants' scope."""

    principal: Principal
    target: Target
    scope: Scope
    session: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """``rule`` is empty where no rule had to speak; ``hint`` says what to type next."""

    allowed: bool
    rule: str = ""
    reason: str = ""
    hint: str = ""


ALLOWED = Verdict(True)


@dataclass(frozen=True, slots=True)
class Policy:
    """All rules.  ``Policy.load("")`` has none, and still refuses what needs an allowance."""

    rules: tuple[Rule, ...] = ()

    @classmethod
    def load(cls, text: str) -> Policy:
        """From the text of rules.toml; ConfigError says what is wrong, in which line."""
        return cls(_load(text))


# --- the decision ---------------------------------------------------------------------------------


def decide(policy: Policy, facts: Facts, reading: Reading) -> Verdict:
    """The verdict on one message: one refused statement refuses all of it."""
    rules = [rule for rule in policy.rules if rule.concerns(facts.principal, facts.target)]
    for strength in ("refuse", "hold"):
        for rule in rules:
            if rule.verdict == strength and any(map(rule.may_match, reading.statements)):
                return _refused_by(rule, facts)
    allowing = ""
    for statement in reading.statements:
        for effect, (name, reason) in NEEDS_ALLOWANCE.items():
            if effect not in statement.effects:
                continue
            allowing = _allowance(rules, statement, effect)
            if not allowing:
                why = f"{reason}: {reading.why}" if effect is Effect.UNKNOWN else reason
                return Verdict(False, name, why.removesuffix(": "), _KEEPERS)
    for statement in reading.statements:
        missing = outside(facts.scope, statement)
        if missing is not None:
            return _outside(missing, facts)
    return Verdict(True, allowing) if allowing else ALLOWED


def _allowance(rules: Iterable[Rule], statement: Statement, effect: Effect) -> str:
    for rule in rules:
        if rule.verdict == "allow" and rule.surely_allows(statement, effect):
            return rule.name
    return ""


_KEEPERS = "Whoever keeps the agent's rules.toml can allow it."


def _refused_by(rule: Rule, facts: Facts) -> Verdict:
    hint = f"The rule holds whatever your grant on {facts.target.name} says.  {_KEEPERS}"
    if rule.verdict == "hold":
        hint = f"It would wait for approval, but single statements cannot be approved yet.  {hint}"
    return Verdict(False, rule.name, rule.reason, hint)


def _outside(missing: Atom, facts: Facts) -> Verdict:
    reason = f"your grant does not cover {missing}"
    ask = f'hoop request {facts.target.name} --scope "{_shell_safe(missing)}" --reason "…"'
    return Verdict(False, SCOPE, reason, f"Ask for it: {ask}")


def _shell_safe(atom: Atom) -> str:
    """An atom to paste.  A name that is not plain could be anything, so it is left to the asker."""
    return str(atom) if re.fullmatch(r"[\w$.*:]+", str(atom)) else "SCHEMA.TABLE:VERB"


# --- the scope ------------------------------------------------------------------------------------

# What lets a touch pass beside its own name: who may read a table may also copy it out, and who may
# change rows may lock them.
_ALSO = {
    Effect.COPY_OUT: (Effect.READ,),
    Effect.COPY_IN: (Effect.INSERT,),
    Effect.LOCK: (Effect.UPDATE, Effect.DELETE),
}
# Effects on no relation that nothing is needed for: they stay within the session.
_FREE = frozenset(
    {
        *(Effect.READ, Effect.INSERT, Effect.SET, Effect.TRANSACTION, Effect.LISTEN),
        *(Effect.PREPARE, Effect.COPY_OUT, Effect.COPY_IN, Effect.LOCK),
    }
)


def outside(scope: Scope, statement: Statement) -> Atom | None:
    """What the scope would have to cover and does not; None where the statement is within it.

    A relation without a schema is covered only by an atom for every schema, since search_path
    decides.  What may reach relations that the text does not name needs ``*.*:call``.  Reading
    the description of the schema, named with ``pg_catalog`` or ``information_schema``, is free.
    """
    if any(atom.schema == atom.table == atom.verb == "*" for atom in scope.atoms):
        return None
    for touch in sorted(statement.touches, key=lambda t: (t.relation, t.effect)):
        relation = touch.relation
        if touch.effect is Effect.READ and describes_schema(relation):
            continue  # what psql's \d and every driver ask: no grant gives or takes it
        verbs = (touch.effect, *_ALSO.get(touch.effect, ()))
        wanted = [Atom(relation.schema or "*", relation.name, verb) for verb in verbs]
        if not any(atom.covers(want) for want in wanted for atom in scope.atoms):
            return wanted[0]
    needed = statement.effects - {touch.effect for touch in statement.touches} - _FREE
    for effect in sorted(needed | ({Effect.CALL} if statement.opaque else set())):
        want = Atom("*", "*", effect)
        if not any(atom.covers(want) for atom in scope.atoms):
            return want
    return None


# --- loading --------------------------------------------------------------------------------------

_WORDS = {"select": Effect.READ} | {effect.value: effect for effect in Effect}
_VERDICTS = ("refuse", "hold", "allow")
_STRINGS = ("name", "reason", "verdict", "example", "counter_example")
_LISTS = ("targets", "groups", "effects", "relations")
_KEYS = (*_STRINGS, *_LISTS, "missing_where")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class _Entry:
    """One ``[[rule]]`` table, with the places of its keys."""

    def __init__(self, table: Any, index: int, places: dict[Path, int]) -> None:
        self.index = index
        self.places = places
        self.table: dict[str, Any] = table if isinstance(table, dict) else {}
        if not isinstance(table, dict):
            raise self.error("", "a rule is a table: [[rule]]")

    def error(self, key: str, message: str) -> ConfigError:
        path = ("rule", self.index, key) if key else ("rule", self.index)
        return ConfigError(message, line=line_of(self.places, path), key=key)

    def check_keys(self) -> None:
        for key, value in self.table.items():
            if key not in _KEYS:
                raise self.error(key, f'unknown key "{key}" in [[rule]]{did_you_mean(key, _KEYS)}')
            if key in _STRINGS and not (isinstance(value, str) and value.strip()):
                raise self.error(key, f'"{key}" is a text that is not empty')
            if key in _LISTS and not (
                isinstance(value, list) and value and all(isinstance(v, str) and v for v in value)
            ):
                raise self.error(key, f'"{key}" is a list of texts that is not empty')
            if key == "missing_where" and not isinstance(value, bool):
                raise self.error(key, '"missing_where" is true or false')

    def required(self, key: str) -> str:
        if key not in self.table:
            raise self.error("", f'a rule needs "{key}"')
        return str(self.table[key])

    def words(self, key: str) -> list[str]:
        return list(self.table.get(key, ()))

    def effects(self) -> frozenset[Effect]:
        for word in self.words("effects"):
            if word not in _WORDS:
                raise self.error("effects", f'unknown effect "{word}"{did_you_mean(word, _WORDS)}')
        return frozenset(_WORDS[word] for word in self.words("effects"))

    def relations(self) -> tuple[RelationPattern, ...]:
        try:
            return tuple(RelationPattern.parse(word) for word in self.words("relations"))
        except ValueError as problem:
            raise self.error("relations", str(problem)) from None

    def verdict(self) -> str:
        verdict = self.required("verdict")
        if verdict not in _VERDICTS:
            message = f'unknown verdict "{verdict}"{did_you_mean(verdict, _VERDICTS)}'
            raise self.error("verdict", message)
        if verdict == "allow" and "effects" not in self.table:
            raise self.error("", 'an allowance names its "effects"')
        return verdict


def _load(text: str) -> tuple[Rule, ...]:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        found = re.search(r"at line (\d+)", str(problem))
        line = int(found[1]) if found else len(text.splitlines())
        raise ConfigError(re.sub(r" \(at .*\)$", "", str(problem)), line=line) from None
    places = lines_of(text)
    for key in data:
        if key != "rule":
            message = f'unknown key "{key}"{did_you_mean(key, ("rule",))}'
            raise ConfigError(message, line=line_of(places, (key, 0)), key=key)
    tables = data.get("rule", [])
    if not isinstance(tables, list):
        raise ConfigError("rules stand under [[rule]]", line=line_of(places, ("rule",)), key="rule")
    rules: dict[str, Rule] = {}
    for index, table in enumerate(tables):
        entry = _Entry(table, index, places)
        rule = _rule(entry)
        if rule.name in rules:
            raise entry.error("name", f'there are two rules named "{rule.name}"')
        rules[rule.name] = rule
    return tuple(rules.values())


def _rule(entry: _Entry) -> Rule:
    entry.check_keys()
    name = entry.required("name")
    if not _NAME.fullmatch(name) or name in RESERVED:
        raise entry.error("name", f'"{name}" cannot name a rule: a-z, 0-9, ".", "_", "-"')
    verdict = entry.verdict()
    rule = Rule(
        name=name,
        reason=entry.required("reason"),
        verdict=verdict,
        targets=tuple(_pattern(word) for word in entry.words("targets")),
        groups=frozenset(entry.words("groups")),
        effects=entry.effects(),
        relations=entry.relations(),
        missing_where=entry.table.get("missing_where", False),
    )
    for key, wanted in (("example", True), ("counter_example", False)):
        if key in entry.table and _matches_example(rule, entry, key) is not wanted:
            said = "does not match the rule" if wanted else "matches the rule"
            raise entry.error(key, f"the {key.replace('_', ' ')} {said}")
    return rule


def _matches_example(rule: Rule, entry: _Entry, key: str) -> bool:
    """Whether the rule speaks of this text, whoever runs it wherever."""
    text = entry.table[key].encode()
    if len(text) > IN_PROCESS:
        raise entry.error(key, f"an example is at most {IN_PROCESS} bytes")
    statements = read(text).statements
    if not statements:
        raise entry.error(key, "an example is a statement")
    if rule.verdict == "allow":
        return any(rule.surely_allows(s, effect) for s in statements for effect in s.effects)
    return any(map(rule.may_match, statements))
