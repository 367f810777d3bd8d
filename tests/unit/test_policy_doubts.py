"""What is doubtful is so: a rule that is said to be hidden could go, and nothing would change."""

from __future__ import annotations

from dataclasses import fields, replace

from hypothesis import event, given, settings
from hypothesis import strategies as st

from hoopcore.policy import Facts, Policy, Rule, decide, doubts
from hoopcore.policy.surroundings import Surroundings, surroundings
from hoopcore.statement import Reading
from tests.unit.test_policy_index import (
    TIMES,
    facts_of,
    policies,
    readings,
    rules_without_names,
    times,
)


@st.composite
def nested(draw: st.DrawFn) -> Policy:
    """A rule, and some that differ from it in a condition or two."""
    first = draw(rules_without_names)
    found = [first]
    for _ in range(draw(st.integers(1, 3))):
        other = draw(rules_without_names)
        names = draw(
            st.frozensets(
                st.sampled_from([field.name for field in fields(Rule) if field.name != "reason"]),
                max_size=2,
            )
        )
        found.append(replace(first, **{name: getattr(other, name) for name in names}))
    order = draw(st.permutations(range(len(found))))
    return Policy(tuple(replace(r, name=f"r{i}") for r, i in zip(found, order, strict=True)))


@settings(max_examples=150 * TIMES, deadline=None)
@given(nested() | policies(), facts_of, readings, times)
def test_a_hidden_rule_decides_nothing(
    policy: Policy, facts: Facts, reading: Reading, now: int | None
) -> None:
    hidden = {one.rule for one in doubts(policy, Surroundings()) if "already speaks" in one.message}
    event(f"hidden: {bool(hidden)}")
    for name in hidden:
        without = Policy(tuple(rule for rule in policy.rules if rule.name != name))
        assert decide(without, facts, reading, now).word == decide(policy, facts, reading, now).word


RULE = """
[[rule]]
name = "{name}"
reason = "r"
verdict = "{verdict}"
effects = ["{effect}"]
"""


def hidden(*rules: str) -> list[str]:
    policy = Policy.load("".join(rules))
    return [one.rule for one in doubts(policy, Surroundings()) if "already" in one.message]


def test_what_hides_a_rule_is_as_wide_and_at_least_as_strong() -> None:
    wide = RULE.format(name="wide", verdict="refuse", effect="server_file")
    allow = RULE.format(name="narrow", verdict="allow", effect="server_file")
    assert hidden(wide, allow) == hidden(allow, wide) == ["narrow"]
    assert hidden(wide, allow.replace("server_file", "program")) == []
    assert hidden(wide + 'groups = ["dev"]\n', allow) == []
    assert hidden(wide + 'groups = ["dev"]\n', allow + 'groups = ["dev"]\n') == ["narrow"]
    assert hidden(wide + 'relations = ["t"]\n', allow) == []
    assert hidden(wide + 'targets = ["prod-*"]\n', allow + 'targets = ["prod-*"]\n') == ["narrow"]
    assert hidden(wide + "missing_limit = true\n", allow) == []
    assert hidden(wide + 'unless = { groups = ["dev"] }\n', allow) == []
    # Without the allowance it would be refused before it could be held.
    held = wide.replace('"refuse"', '"hold"').replace('effects = ["server_file"]\n', "")
    assert hidden(held, allow) == []


def test_of_two_alike_the_later_one_is_hidden() -> None:
    first, second = (RULE.format(name=n, verdict="refuse", effect="ddl") for n in ("b", "a"))
    assert hidden(first, second) == ["a"]


def test_names_are_read_of_files_that_are_right_and_of_no_others() -> None:
    targets = """
[targets.prod-db]
labels = { env = "prod", n = 1 }
owners = ["dba"]
functions = ["shop.price"]
pooler = "transaction"
[targets]
stage-db = 1
"""
    roles = """
[roles.engineer]
groups = ["eng"]
may_request = [{ approvers = ["lead"] }, 1]
[roles.odd]
groups = "eng"
"""
    found = surroundings(targets, roles)
    assert found.places is not None
    assert set(found.places) == {"prod-db"}
    place = found.places["prod-db"]
    assert (place.pooled, place.functions) == (True, frozenset({"shop.price"}))
    assert place.target.labels == (("env", "prod"), ("n", "1"))
    assert found.groups == frozenset({"eng", "lead", "dba"})
    assert found.roles_of(frozenset({"eng"})) == frozenset({"engineer"})
    assert surroundings(None, None) == Surroundings()
    assert surroundings(None, None).roles_of(frozenset()) is None
    broken = surroundings("x = ", "roles = 1")
    assert (broken.places, broken.roles, broken.groups) == ({}, {}, frozenset())
