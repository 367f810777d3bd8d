"""Any TOML at all is rules, or a list of what is wrong; and any text is TOML or is not."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import tomlkit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hoopcore.policy import BUDGET_KEYS, IMPOSE_KEYS, RULE_KEYS, Policy, doubts, load
from hoopcore.policy.examples import KEYS
from hoopcore.policy.surroundings import Surroundings, surroundings

EXAMPLES = 5000 if os.environ.get("HOOP_LONG") else 200

words = st.sampled_from(
    [
        *("a", "", "*", "public.orders", "a.b.c", "a.b.c.d", "refuse", "allow", "hold", "ddl"),
        *("unknown", "human", "incident", "10.0.0.0/8", "local", "::/129", "mon UTC", "x" * 3000),
        *("22:00-06:00 Europe/Berlin", "sat-sun 25:00-26:00 x", "select 1", "delete from t;;"),
        *("30s", "0s", "99999999999d", "64 MiB", "end", "warn", "2026-01-01", "\ud7ff\x00", "é"),
    ]
)
zones = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
moments = st.datetimes(timezones=st.none() | zones) | st.sampled_from(
    [
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))),
    ]
)
scalars = words | st.booleans() | st.integers(-(1 << 62), 1 << 62) | st.floats() | moments
names = st.sampled_from([*KEYS, *RULE_KEYS, "env", "x"])
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


def entries(keys: tuple[str, ...], given: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Entries that are mostly right, but for what takes a key's place."""
    odd = st.dictionaries(st.sampled_from(keys), values, max_size=3)
    return st.lists(odd.map(lambda found: given | found) | values, max_size=3)


right = {"name": "a", "reason": "r"}
files = st.fixed_dictionaries(
    {},
    optional={
        "rule": entries(RULE_KEYS, right | {"verdict": "refuse", "effects": ["ddl"]}),
        "budget": entries(BUDGET_KEYS, right | {"name": "b", "rows": 1, "on_reaching": "end"}),
        "impose": entries(IMPOSE_KEYS, right | {"name": "c", "read_only": True}),
        "other": values,
    },
)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(files)
def test_any_toml_is_rules_or_problems_with_a_line(data: dict[str, Any]) -> None:
    try:
        text = tomlkit.dumps(data)
    except (ValueError, TypeError):
        return  # nothing that TOML can say
    found, problems = load(text)
    for one in problems:
        assert one.message
        assert 0 <= one.line <= len(text.splitlines()) + 1
    if not problems:
        policy = Policy.load(text)
        assert policy == Policy(found.rules, found.budgets, found.impositions)
        doubts(policy, Surroundings({}, {}, frozenset()))


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_read_or_not(text: str) -> None:
    load(text)
    surroundings(text, text)


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_no_clock_shows_is_no_example(at: str) -> None:
    text = '[[rule]]\nname = "a"\nreason = "r"\nverdict = "refuse"\n'
    text += f'times = ["mon UTC", "tue Asia/Tokyo"]\nexample = {{ sql = "select 1", at = {at} }}\n'
    _, problems = load(text)
    assert [(one.line, one.key) for one in problems] == [(6, "example")]
