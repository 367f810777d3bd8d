"""rules.toml: what is wrong with it, where, and what to write instead."""

from __future__ import annotations

import pytest

from hoopcore.places import ConfigError
from hoopcore.policy import Policy

GOOD = """
# two rules
[[rule]]
name = "no-ddl"
reason = "not here"
verdict = "refuse"
targets = ["prod-*"]
groups = ["dev"]
effects = ["ddl", "select"]
relations = ["public.*", "orders"]
example = "drop table public.x"
counter_example = "drop table app.x"

[[rule]]
name = "files"
reason = "loads"
verdict = "allow"
effects = ["server_file"]
"""


def problem(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        Policy.load(text)
    return caught.value


def test_rules_are_read() -> None:
    first, second = Policy.load(GOOD).rules
    assert (first.name, first.verdict, set(first.about.groups)) == ("no-ddl", "refuse", {"dev"})
    assert first.effects == {"ddl", "read"}
    assert [p.text for p in first.relations] == ["public.*", "orders"]
    assert second.verdict == "allow"
    assert Policy.load("").rules == ()


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "message"),
    [
        ("targets =", "tragets =", 7, "tragets", 'did you mean "targets"'),
        ('"ddl", "select"', '"dll"', 9, "effects", 'unknown effect "dll"; did you mean "ddl"'),
        ('"refuse"', '"refus"', 6, "verdict", 'did you mean "refuse"'),
        ('name = "no-ddl"\n', "", 3, "", 'a rule needs "name"'),
        ('reason = "not here"\n', "", 3, "", 'a rule needs "reason"'),
        ('verdict = "refuse"\n', "", 3, "", 'a rule needs "verdict"'),
        ('"no-ddl"', '"No DDL"', 4, "name", "cannot name a rule"),
        ('"no-ddl"', '"scope"', 4, "name", "cannot name a rule"),
        ('"no-ddl"', '"files"', 15, "name", 'two rules named "files"'),
        ('"not here"', '" "', 5, "reason", "not empty"),
        ('["dev"]', '"dev"', 8, "groups", "a list of texts"),
        ('["dev"]', "[]", 8, "groups", "not empty"),
        ('["dev"]', "[1]", 8, "groups", "a list of texts"),
        ('"public.*", "orders"', '"a.b.c"', 10, "relations", "schema.table"),
        ('"public.*", "orders"', '"public."', 10, "relations", "schema.table"),
        ('groups = ["dev"]', 'missing_where = "yes"', 8, "missing_where", "true or false"),
        ("drop table public.x", "drop table app.x", 11, "example", "does not match"),
        ("drop table app.x", "drop table x", 12, "counter_example", "matches the rule"),
        ("drop table public.x", "drop tabel x", 11, "example", "does not match"),
        ("drop table public.x", ";", 11, "example", "is a statement"),
        ("drop table public.x", "x" * 3000, 11, "example", "at most"),
        ('effects = ["server_file"]', "", 14, "", "an allowance names"),
        ('[[rule]]\nname = "no', '[[rules]]\nname = "no', 3, "rules", 'did you mean "rule"'),
        ("# two rules", "x = ", 2, "", ""),
        ("# two rules", "version = 1", 2, "version", "unknown key"),
    ],
)
def test_what_is_wrong_is_said_with_line_and_key(
    old: str, new: str, line: int, key: str, message: str
) -> None:
    assert old in GOOD
    found = problem(GOOD.replace(old, new, 1))
    assert (found.line, found.key) == (line, key)
    assert message in found.message


def test_rule_that_is_no_table_is_refused() -> None:
    assert "[[rule]]" in problem("rule = 1").message
    assert "[[rule]]" in problem("rule = [1]").message


def test_example_of_an_allowance_must_be_allowed_by_it() -> None:
    allowed = GOOD + 'example = "copy t from \'/x\'"\ncounter_example = "copy t from stdin"\n'
    assert len(Policy.load(allowed).rules) == 2
    assert "does not match" in problem(GOOD + 'example = "copy t from stdin"\n').message


def test_hold_is_understood() -> None:
    assert Policy.load(GOOD.replace('"refuse"', '"hold"')).rules[0].verdict == "hold"
