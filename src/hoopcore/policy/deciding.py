"""The verdict on one message.

Rules are ordered by strength, not by place.  For each statement: a rule that refuses; what hoop
refuses by itself (what needs an allowance, the scope, the way out of an imposed role or setting);
what the grants covered before they were narrowed, which is held; a rule that holds; else it is
allowed.  Among rules of one strength the first by name is told.  One
refused statement refuses its message, one held statement holds it.

``Policy.bind`` sorts the rules for one session, once: those that are about somebody else, or about
another hour of the day, are left out, and the rest are found by effect and by relation.  So a
statement costs what the few rules cost that could match it, and one that was judged before costs a
look into a table.

Order: the policy, the index, the bound policy, words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from hoopcore.model import Atom, Scope, Time
from hoopcore.policy.budgets import Budget, approved_rows
from hoopcore.policy.facts import ALLOWED, Facts, Verdict
from hoopcore.policy.impositions import Imposition
from hoopcore.policy.loading import load
from hoopcore.policy.rules import NEEDS_ALLOWANCE, Rule
from hoopcore.policy.scope import NARROWED, SCOPE, beyond, how_to_ask, learnable, outside
from hoopcore.sql.imposed import NOTHING_IMPOSED, Imposed, undoing
from hoopcore.sql.session import Objection, left_behind, way_out
from hoopcore.statement import Effect, Reading, Statement

Filtering: TypeAlias = Callable[[Statement], bool]
"""Whether which rows a statement gives may hang on a masked column."""

# Verdicts that a bound policy keeps; a session has about as many statements of its own.
_MOST_KEPT = 1024
# What a view, a rule of the database or a default can do to who only names it.
_BEHIND = frozenset({Effect.READ, Effect.INSERT, Effect.UPDATE, Effect.DELETE, Effect.CALL})


@dataclass(frozen=True, slots=True)
class Policy:
    """All rules.  ``Policy.load("")`` has none, and still refuses what needs an allowance."""

    rules: tuple[Rule, ...] = ()
    budgets: tuple[Budget, ...] = ()
    impositions: tuple[Imposition, ...] = ()

    @classmethod
    def load(cls, text: str) -> Policy:
        """From the text of rules.toml; ConfigError says the first thing wrong, and its line."""
        found, problems = load(text)
        if problems:
            raise problems[0]
        return cls(found.rules, found.budgets, found.impositions)

    def speaks_of_schemas(self, scope: Scope) -> bool:
        """Whether a verdict may hang on the schema that a name without one stands for."""
        patterns = [pattern for rule in self.rules for pattern in rule.relations]
        columns = [pattern.relation for rule in self.rules for pattern in rule.columns]
        patterns += [relation for relation in columns if relation is not None]
        return any(atom.schema != "*" for atom in scope.with_masks.atoms) or any(
            not pattern.every_schema for pattern in patterns
        )

    @property
    def looks_behind(self) -> bool:
        """Whether a verdict may hang on what stands behind a name: views, rules, defaults."""
        return any(
            rule.verdict != "allow" and (not rule.effects or rule.effects & _BEHIND)
            for rule in self.rules
        )

    def bind(
        self, facts: Facts, now: Time | None = None, masks: Filtering | None = None
    ) -> BoundPolicy:
        """The same for one session, while ``holds`` says so.

        ``masks`` tells whether a statement asks masked columns which rows to give.  Without it any
        condition or sort may do that.
        """
        return BoundPolicy(self, facts, now, masks)

    def budgets_for(self, facts: Facts, now: Time | None = None) -> tuple[Budget, ...]:
        """The budgets that are about such a session now."""
        known = facts.known(now)
        found = tuple(budget for budget in self.budgets if budget.applies(known))
        return found if facts.rows is None else (*found, approved_rows(facts.rows))

    def imposed(self, facts: Facts, now: Time | None = None) -> Imposed:
        """The settings that a session of these facts begins with: of all that apply the strictest.

        They go into the startup packet, and from there into ``Facts.imposed``.
        """
        known = facts.known(now)
        found = NOTHING_IMPOSED
        for one in self.impositions:
            if one.applies(known):
                found = found.join(one.settings)
        return found


def decide(policy: Policy, facts: Facts, reading: Reading, now: Time | None = None) -> Verdict:
    """The verdict on one message.  Who asks again and again binds the policy and keeps it."""
    return policy.bind(facts, now).decide(reading)


# --- the index ------------------------------------------------------------------------------------


class _Index:
    """Rules of one strength, by what a statement must do for them to match at all."""

    __slots__ = ("_anywhere", "_every", "_named")

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._every: dict[Effect, list[tuple[int, Rule]]] = {}
        self._anywhere: dict[Effect, list[tuple[int, Rule]]] = {}
        self._named: dict[Effect, dict[str, list[tuple[int, Rule]]]] = {}
        for rank, rule in enumerate(sorted(rules, key=lambda rule: rule.name)):
            for effect in rule.effects or Effect:
                self._add(effect, (rank, rule))

    def _add(self, effect: Effect, entry: tuple[int, Rule]) -> None:
        self._every.setdefault(effect, []).append(entry)
        relations = entry[1].relations
        if not relations or not all(pattern.plain for pattern in relations):
            self._anywhere.setdefault(effect, []).append(entry)
            return
        named = self._named.setdefault(effect, {})
        for name in {pattern.plain for pattern in relations}:
            named.setdefault(name, []).append(entry)

    def find(self, statement: Statement, statements: int) -> Rule | None:
        """Of the rules that may match, the first by name."""
        if not self._every:
            return None
        best, found = 1 << 30, None
        for candidates in self._candidates(statement):
            for rank, rule in candidates:
                if rank >= best:
                    break  # lists are in order
                if rule.may_match(statement, statements):
                    best, found = rank, rule
                    break
        return found

    def find_all(self, statement: Statement, statements: int) -> list[Rule]:
        """The rules that may match, by name."""
        found = {
            rank: rule
            for candidates in (self._candidates(statement) if self._every else ())
            for rank, rule in candidates
            if rule.may_match(statement, statements)
        }
        return [found[rank] for rank in sorted(found)]

    def __bool__(self) -> bool:
        return bool(self._every)

    def _candidates(self, statement: Statement) -> list[list[tuple[int, Rule]]]:
        if statement.opaque:  # it may reach relations that it does not name
            return [self._every[e] for e in statement.effects if e in self._every]
        found = [self._anywhere[e] for e in statement.effects if e in self._anywhere]
        for effect in statement.effects:
            named = self._named.get(effect)
            if named:
                found += [named[name] for name in _names(statement) if name in named]
        return found


def _names(statement: Statement) -> set[str]:
    """The names its relations go by, folded too where a server may fold them."""
    names = {touch.relation.name for touch in statement.touches}
    odd = [name for name in names if not name.isascii()]
    return names.union(map(str.lower, odd)) if odd else names


# --- the bound policy -----------------------------------------------------------------------------


class BoundPolicy:
    """A policy for one session: ``decide`` is what is called for each message."""

    __slots__ = ("_allowing", "_holding", "_kept", "_masks", "_of_shells", "_refusing", "budgets",
                 "facts", "of_hosts", "policy", "since", "until")  # fmt: skip

    def __init__(
        self, policy: Policy, facts: Facts, now: Time | None, masks: Filtering | None = None
    ) -> None:
        self.policy = policy
        self.facts = facts
        self.since = now
        self.until = None if now is None else _steady_until(policy, now)
        known = facts.known(now)
        applying = [rule for rule in policy.rules if rule.applies(known)]
        self._of_shells = any(rule.is_of_shells for rule in applying)
        self.of_hosts = tuple(
            rule
            for rule in applying
            if rule.verdict != "allow" and (rule.is_of_shells or rule.is_of_files)
        )
        self._masks = masks if any(rule.filters_masked for rule in applying) else None
        self._refusing = _Index(rule for rule in applying if rule.verdict == "refuse")
        self._holding = _Index(rule for rule in applying if rule.verdict == "hold")
        # A hold that names an effect lets a person decide what is refused without any rule.
        self._allowing = sorted(
            (r for r in applying if r.verdict != "refuse" and r.surely_applies(known)),
            key=lambda rule: (rule.verdict, rule.name),
        )
        self.budgets = policy.budgets_for(facts, now)
        # By identity, which is quick; the statements are kept with it so that it stays theirs.
        self._kept: dict[int, tuple[tuple[Statement, ...], Verdict]] = {}

    def holds(self, now: Time | None) -> bool:
        """Whether it still says at this time what the policy says."""
        if self.until is None or self.since is None:
            return True
        return now is not None and self.since <= now < self.until

    def decide(self, reading: Reading) -> Verdict:
        """The verdict on one message, within the time that ``holds`` tells."""
        statements = reading.statements
        kept = self._kept.get(id(statements))
        if kept is not None and kept[0] is statements:
            return kept[1]
        verdict = self._message(reading)
        if not reading.why:  # which is in the verdict's words
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[id(statements)] = (statements, verdict)
        return verdict

    @property
    def may_hold(self) -> bool:
        """Whether a statement may be held at all."""
        by_budget = any(budget.action == "hold" for budget in self.budgets)
        return bool(self._holding) or bool(self.facts.soft.atoms) or by_budget

    def holding(self, reading: Reading) -> tuple[Rule, ...]:
        """All rules that hold some statement of this message: each wants its own approval."""
        if self.facts.names is not None:
            reading = self.facts.names.meant(reading)
        count = len(reading.statements)
        found: dict[str, Rule] = {}
        for statement in map(self._marked, reading.statements):
            full = statement.in_full
            found |= {rule.name: rule for rule in self._holding.find_all(full, count)}
        return tuple(found[name] for name in sorted(found))

    def stepping(self, reading: Reading) -> frozenset[Atom]:
        """The atoms that this message wants back of what was narrowed; none where it wants none."""
        if not self.facts.soft.atoms:
            return frozenset()
        if self.facts.names is not None:
            reading = self.facts.names.meant(reading)
        each = map(self._learnable, reading.statements)
        return frozenset().union(*(found for found in each if found is not None))

    def each(self, reading: Reading) -> tuple[Verdict, ...]:
        """The verdict on each statement of a message, as if the others were allowed."""
        if self.facts.names is not None:
            reading = self.facts.names.meant(reading)
        count = len(reading.statements)
        return tuple(
            self._verdict(statement, place, count, reading.why)
            for place, statement in enumerate(map(self._marked, reading.statements))
        )

    def _marked(self, statement: Statement) -> Statement:
        """With what the masks say of it, where a rule asks for that."""
        if self._masks is None or not statement.filters:
            return statement
        return replace(statement, filters_masked=self._masks(statement))

    def _message(self, reading: Reading) -> Verdict:
        held = allowed = None
        for verdict in self.each(reading):
            if not verdict.allowed and not verdict.held:
                return verdict
            if verdict.held:
                held = held or verdict
            elif verdict.rule:
                allowed = allowed or verdict
        return held or allowed or ALLOWED

    def _verdict(self, statement: Statement, place: int, count: int, why: str) -> Verdict:
        full = statement.in_full
        refusing = self._refusing.find(full, count)
        if refusing is not None:
            return _refused_by(refusing, self.facts, place, why)
        allowing = ""
        for effect, (name, reason) in NEEDS_ALLOWANCE.items():
            if effect in statement.effects and (statement.shell is None or self._of_shells):
                allowing = self._allowance(statement, effect, count)
                if not allowing:
                    words = f"{reason}: {why}" if why and effect is Effect.UNKNOWN else reason
                    return Verdict(False, name, words, _KEEPERS, statement=place)
        missing = outside(self.facts.scope, statement)
        if missing is not None and self._learnable(statement) is None:
            return _outside(missing, self.facts, place)
        objection = self._objection(statement, last=place == count - 1)
        if objection is not None:
            return Verdict(False, *objection, statement=place)
        if missing is not None:
            return _narrowed(missing, self.facts, place)
        holding = self._holding.find(full, count)
        if holding is not None:
            return _held_by(holding, self.facts, place)
        return Verdict(True, allowing, statement=place) if allowing else ALLOWED

    def _learnable(self, statement: Statement) -> frozenset[Atom] | None:
        """What a step-up would teach for this statement; None: none is to be had."""
        scope, soft = self.facts.scope, self.facts.soft
        if not soft.atoms:
            return None
        return learnable(scope, soft, statement.touches, beyond(statement))

    def _allowance(self, statement: Statement, effect: Effect, count: int) -> str:
        for rule in self._allowing:
            if rule.surely_allows(statement, effect, count):
                return rule.name
        return ""

    def _objection(self, statement: Statement, *, last: bool) -> Objection | None:
        facts = self.facts
        if not (facts.pooled or facts.role or facts.imposed):
            return None
        alone = Reading((statement,))
        return (
            (left_behind(alone) if facts.pooled else None)
            or (way_out(alone, discards=facts.discards) if facts.role else None)
            or undoing(statement, facts.imposed, pooled=facts.pooled, last=last)
        )


def _steady_until(policy: Policy, now: Time) -> Time | None:
    """Until when no window of any rule opens or closes; None: none ever does."""
    entries: tuple[Rule | Budget, ...] = (*policy.rules, *policy.budgets)
    abouts = [about for one in entries for about in (one.about, one.unless) if about is not None]
    ends = [window.steady_until(now) for about in abouts for window in about.times]
    return min(ends, default=None)


# --- words ----------------------------------------------------------------------------------------

_KEEPERS: Final = "Whoever keeps the agent's rules.toml can allow it."


def _refused_by(rule: Rule, facts: Facts, place: int, why: str) -> Verdict:
    hint = f"The rule holds whatever your grant on {facts.target.name} says.  {_KEEPERS}"
    if why and rule.is_of_shells:
        words = f"the command cannot be read ({why}), so it may be what this rule refuses"
        return Verdict(False, rule.name, words, hint, statement=place)
    return Verdict(False, rule.name, rule.reason, hint, statement=place)


def _held_by(rule: Rule, facts: Facts, place: int) -> Verdict:
    hint = (
        "It runs once somebody has approved it.  The rule holds whatever your grant on"
        f" {facts.target.name} says.  {_KEEPERS}"
    )
    return Verdict(False, rule.name, rule.reason, hint, held=True, statement=place)


def _outside(missing: Atom, facts: Facts, place: int) -> Verdict:
    ask = how_to_ask(missing, facts.target.name)
    reason = f"your grant does not cover {missing}"
    return Verdict(False, SCOPE, reason, f"Ask for it: {ask}", statement=place)


def _narrowed(missing: Atom, facts: Facts, place: int) -> Verdict:
    ask = how_to_ask(missing, facts.target.name)
    reason = f"your grant was narrowed and does not cover {missing} any more"
    hint = f"It runs once that is approved, and then you have it again.  Or ask for it: {ask}"
    return Verdict(False, NARROWED, reason, hint, held=True, statement=place)
