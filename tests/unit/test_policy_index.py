"""The bound policy decides as the plain definition does, whatever the rules and their order.

The plain definition stands here: every rule, one after the other, no index and no cache.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopcore.model import EVERYTHING, Kind, Principal, Priority, Scope, Target
from hoopcore.policy import ALLOWED, NEEDS_ALLOWANCE, Facts, Policy, Rule, Verdict, decide, outside
from hoopcore.policy.about import About
from hoopcore.policy.patterns import ColumnPattern, DdlPattern, RelationPattern, pattern
from hoopcore.policy.windows import Window
from hoopcore.sql.postgres import read
from hoopcore.statement import Effect, Reading, Relation, Statement, Touch

TIMES = 20 if os.environ.get("HOOP_LONG") else 1
ANA = Principal("u-1", Kind.HUMAN, "issuer", "ana", groups=frozenset({"dev", "oncall"}))
PROD = Target("prod-db", "postgres", ("app",), labels=(("env", "prod"),))
FACTS = Facts(ANA, PROD, EVERYTHING, "s-1")
NOON = 1_780_000_000_000_000  # a Thursday of 2026


def plain(policy: Policy, facts: Facts, reading: Reading, now: int | None) -> str:
    """Verdict and rule, as the documents define them."""
    known = facts.known(now)
    rules = sorted(policy.rules, key=lambda rule: rule.name)
    mine = [rule for rule in rules if rule.applies(known)]
    count = len(reading.statements)
    sure = [rule for rule in mine if rule.surely_applies(known)]
    found = [_plain_statement(mine, sure, facts, one, count) for one in reading.statements]
    for word in ("refuse", "hold"):
        for one in found:
            if one.startswith(word):
                return one
    return next((one for one in found if one != "allow "), "allow ")


def _plain_statement(
    rules: list[Rule], sure: list[Rule], facts: Facts, statement: Statement, count: int
) -> str:
    for rule in rules:
        if rule.verdict == "refuse" and rule.may_match(statement, count):
            return f"refuse {rule.name}"
    allowing = ""
    for effect, (name, _) in NEEDS_ALLOWANCE.items():
        if effect in statement.effects:
            naming = [
                rule.name
                for word in ("allow", "hold")
                for rule in sure
                if rule.verdict == word and rule.surely_allows(statement, effect, count)
            ]
            if not naming:
                return f"refuse {name}"
            allowing = naming[0]
    if outside(facts.scope, statement) is not None:
        return "refuse scope"
    for rule in rules:
        if rule.verdict == "hold" and rule.may_match(statement, count):
            return f"hold {rule.name}"
    return f"allow {allowing}"


def told(verdict: Verdict) -> str:
    return f"{verdict.word} {verdict.rule}"


# --- what comes -----------------------------------------------------------------------------------

NAMES = ("orders", "notes", "café", "CAFÉ")
SCHEMAS = ("", "public", "app")


T = TypeVar("T")


def some(values: Sequence[T]) -> st.SearchStrategy[frozenset[T]]:
    return st.frozensets(st.sampled_from(values), max_size=3)


relations = st.builds(Relation, st.sampled_from(SCHEMAS), st.sampled_from(NAMES))
touches = st.builds(Touch, relations, st.sampled_from(list(Effect)))


@st.composite
def statements(draw: st.DrawFn) -> Statement:
    touched = draw(st.frozensets(touches, max_size=3))
    effects = draw(some(list(Effect))) | {touch.effect for touch in touched}
    return Statement(
        effects=effects,
        touches=touched,
        functions=draw(some(("f", "public.f", "public.g", "pg_sleep"))),
        columns=draw(some(("id", "ssn", "*", "total"))),
        unbounded=effects & draw(some([Effect.UPDATE, Effect.DELETE])),
        opaque=draw(st.booleans()) or Effect.UNKNOWN in effects,
        unlimited=draw(st.booleans()),
        guises=draw(st.booleans()),
    )


readings = st.lists(statements(), max_size=3).map(lambda found: Reading(tuple(found)))
abouts = st.builds(
    About,
    targets=st.sampled_from([(), (pattern("prod-*"),), (pattern("stage-*"),)]),
    labels=st.sampled_from([(), (("env", (pattern("prod"),)),), (("tier", (pattern("*"),)),)]),
    groups=some(("dev", "dba")),
    kinds=some(list(Kind)),
    roles=some(("engineer",)),
    priorities=some(list(Priority)),
    times=st.sampled_from(
        [(), (Window.parse("22:00-06:00 UTC"),), (Window.parse("mon-thu Asia/Kolkata"),)]
    ),
)
words = ("orders", "public.orders", "app.*", "*.notes", "ord*", "café", "*")
rules_without_names = st.builds(
    Rule,
    name=st.just(""),
    reason=st.just("because"),
    verdict=st.sampled_from(("refuse", "refuse", "hold", "allow")),
    about=abouts,
    unless=st.none() | abouts.filter(lambda about: bool(about.names)),
    effects=some(list(Effect)),
    relations=st.lists(st.sampled_from(words), max_size=2).map(
        lambda found: tuple(map(RelationPattern.parse, found))
    ),
    columns=st.sampled_from([(), (ColumnPattern.parse("ssn"),), (ColumnPattern.parse("notes.*"),)]),
    functions=st.sampled_from([(), (RelationPattern.parse("public.f"),)]),
    missing_where=st.sampled_from([False, False, True]),
    missing_limit=st.sampled_from([False, False, True]),
    filters_masked=st.sampled_from([False, False, True]),
    ddl=st.sampled_from([(), (), (DdlPattern.parse("drop *"),)]),
    statements_above=st.sampled_from([0, 0, 1]),
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    found = draw(st.lists(rules_without_names, max_size=12))
    order = draw(st.permutations(range(len(found))))
    return Policy(
        tuple(replace(rule, name=f"r{i:02}") for rule, i in zip(found, order, strict=True))
    )


facts_of = st.builds(
    lambda roles, priorities, scope: replace(
        FACTS, roles=roles, priorities=priorities, scope=Scope.parse(scope)
    ),
    st.none() | some(("engineer", "dba")),
    st.none() | some(list(Priority)),
    st.sampled_from(("*.*:*", "orders:read+update", "public.*:*")),
)
times = st.none() | st.integers(NOON, NOON + 7 * 86_400_000_000)


# --- claims ---------------------------------------------------------------------------------------


@settings(max_examples=120 * TIMES, deadline=None)
@given(policies(), facts_of, readings, times)
def test_the_index_decides_as_the_plain_definition_does(
    policy: Policy, facts: Facts, reading: Reading, now: int | None
) -> None:
    bound = policy.bind(facts, now)
    wanted = plain(policy, facts, reading, now)
    assert told(bound.decide(reading)) == wanted
    assert told(bound.decide(reading)) == wanted  # from its memory


@settings(max_examples=50 * TIMES, deadline=None)
@given(policies(), facts_of, readings, times, st.randoms())
def test_the_order_of_rules_in_the_file_never_matters(
    policy: Policy,
    facts: Facts,
    reading: Reading,
    now: int | None,
    dice: object,
) -> None:
    shuffled = list(policy.rules)
    dice.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis gives a Random
    assert decide(Policy(tuple(shuffled)), facts, reading, now) == decide(
        policy, facts, reading, now
    )


STRENGTH = {"allow": 0, "hold": 1, "refuse": 2}


@settings(max_examples=50 * TIMES, deadline=None)
@given(policies(), rules_without_names, facts_of, readings, times)
def test_one_more_allowance_never_refuses_and_one_more_refusal_never_allows_more(
    policy: Policy, one: Rule, facts: Facts, reading: Reading, now: int | None
) -> None:
    before = STRENGTH[decide(policy, facts, reading, now).word]
    more = Policy((*policy.rules, replace(one, name="new", verdict="allow")))
    assert STRENGTH[decide(more, facts, reading, now).word] <= before
    more = Policy((*policy.rules, replace(one, name="new", verdict="refuse")))
    assert STRENGTH[decide(more, facts, reading, now).word] >= before


@settings(max_examples=50 * TIMES, deadline=None)
@given(policies(), facts_of, readings, times)
def test_what_is_not_known_never_lets_more_pass(
    policy: Policy, facts: Facts, reading: Reading, now: int | None
) -> None:
    known = decide(policy, facts, reading, now)
    less = decide(policy, replace(facts, roles=None, priorities=None), reading, None)
    assert STRENGTH[less.word] >= STRENGTH[known.word]


@settings(max_examples=50 * TIMES, deadline=None)
@given(policies(), readings)
def test_a_message_is_no_better_than_its_worst_statement(policy: Policy, reading: Reading) -> None:
    bound = policy.bind(FACTS)
    whole = STRENGTH[bound.decide(reading).word]
    assert whole == max((STRENGTH[one.word] for one in bound.each(reading)), default=0)


def test_a_bound_policy_holds_until_a_window_opens_or_closes() -> None:
    night = Policy.load(
        '[[rule]]\nname = "night"\nreason = "r"\nverdict = "refuse"\neffects = ["delete"]\n'
        'times = ["22:00-06:00 UTC"]\n'
    )
    hour = 3_600_000_000
    midnight = NOON // (24 * hour) * 24 * hour
    bound = night.bind(FACTS, midnight + 21 * hour)
    delete = read(b"delete from t")
    assert bound.decide(delete) == ALLOWED
    assert bound.holds(midnight + 22 * hour - 1)
    assert not bound.holds(midnight + 22 * hour)
    assert not bound.holds(midnight)
    assert night.bind(FACTS, midnight + 22 * hour).decide(delete).rule == "night"
    assert night.bind(FACTS).decide(delete).rule == "night"  # what time it is, nobody knows
    assert Policy.load("").bind(FACTS, midnight).holds(midnight * 2)


def test_a_verdict_in_words_of_one_text_is_not_given_to_another() -> None:
    bound = Policy.load("").bind(FACTS)
    first = read(b"selec 1")
    second = Reading(first.statements, (), "it is something else")
    assert bound.decide(first).reason != bound.decide(second).reason


@pytest.mark.parametrize("count", [1, 3000])
def test_memory_of_verdicts_is_bounded(count: int) -> None:
    bound = Policy.load("").bind(FACTS)
    for _ in range(count):
        bound.decide(Reading((Statement(frozenset({Effect.READ})),)))
    assert len(bound._kept) <= 1024
