"""Budgets: no hour sees more than its budget, and what is used up is told once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopcore.model import EVERYTHING, SECOND, Kind, Principal, Target
from hoopcore.policy import (
    Amount,
    Budget,
    Facts,
    Policy,
    Spent,
    holding,
    left,
    newly_reached,
    reached,
)
from hoopcore.policy.budgets import BUCKET, HOUR, NONE
from hoopcore.policy.entries import RuleError

START = 1_780_000_000 * SECOND
amounts = st.builds(Amount, *(st.integers(0, 50) for _ in range(4)))
steps = st.lists(st.tuples(st.integers(0, 30 * 60), amounts), max_size=40)
ANA = Principal("u-1", Kind.HUMAN, "issuer", "ana", groups=frozenset({"dev"}))
FACTS = Facts(ANA, Target("prod-db", "postgres", ("app",)), EVERYTHING, "s-1")


def summed(amounts: list[Amount]) -> Amount:
    total = NONE
    for amount in amounts:
        total = total.plus(amount)
    return total


@settings(max_examples=150, deadline=None)
@given(steps)
def test_an_hour_is_never_counted_short_nor_more_than_five_minutes_long(
    steps: list[tuple[int, Amount]],
) -> None:
    spent, at, past = Spent(), START, list[tuple[int, Amount]]()
    for seconds, amount in steps:
        at += seconds * SECOND
        spent = spent.add(at, amount)
        past.append((at, amount))
        least = summed([one for when, one in past if when > at - HOUR])
        most = summed([one for when, one in past if when > at - HOUR - BUCKET])
        counted = spent.total(at)
        assert all(a <= b <= c for a, b, c in zip(least, counted, most, strict=True))
    assert spent.total(at + HOUR + BUCKET) == NONE


def test_a_clock_that_turns_back_forgets_nothing() -> None:
    spent = Spent().add(START, Amount(rows=5)).add(START - 2 * HOUR, Amount(rows=7))
    assert spent.total(START).rows == 12
    assert spent.total(START - HOUR).rows == 12


def test_what_is_kept_of_the_past_is_bounded() -> None:
    spent = Spent()
    for i in range(200):
        spent = spent.add(START + i * BUCKET, Amount(rows=1))
    assert len(spent.older) == 12
    assert spent.total(START + 199 * BUCKET).rows == 13


def budget(name: str, action: str, **limits: int) -> Budget:
    return Budget(name, "r", action, **limits)  # type: ignore[arg-type] # limits are numbers


def test_the_strongest_of_what_is_used_up_comes_first() -> None:
    budgets = [
        budget("b", "warn", rows=10),
        budget("a", "hold", rows=10),
        budget("z", "end", statements=3),
        budget("never", "end", bytes=1000),
    ]
    found = reached(budgets, Amount(rows=10, statements=3))
    assert [(one.budget.name, one.measure) for one in found] == [
        ("z", "statements"),
        ("a", "rows"),
        ("b", "rows"),
    ]
    assert found == reached(budgets[::-1], Amount(rows=10, statements=3))
    assert found[0].words == "3 statements in an hour are used up"


def test_what_is_used_up_is_told_in_the_step_that_used_it_up() -> None:
    budgets = [budget("b", "warn", rows=10)]
    assert not newly_reached(budgets, Amount(rows=3), Amount(rows=9))
    assert newly_reached(budgets, Amount(rows=9), Amount(rows=15))
    assert not newly_reached(budgets, Amount(rows=15), Amount(rows=20))


def test_a_budget_that_holds_and_is_used_up_holds_what_comes_next() -> None:
    budgets = [
        budget("z", "end", rows=9),
        budget("b", "hold", rows=10),
        budget("a", "warn", rows=1),
    ]
    assert holding(budgets, Amount(rows=9)) is None
    verdict = holding(budgets, Amount(rows=10))
    assert verdict is not None
    assert (verdict.word, verdict.rule) == ("hold", "b")
    assert verdict.reason == "10 rows in an hour are used up: r"


def test_what_is_left_is_the_least_of_all_budgets() -> None:
    budgets = [budget("a", "warn", rows=10), budget("b", "end", rows=100, bytes=50)]
    found = left(budgets, Amount(rows=4))
    assert found is not None
    assert (found.rows, found.bytes) == (6, 50)
    assert found.statements > 1 << 60
    beyond = left(budgets, Amount(rows=12))
    assert beyond is not None
    assert beyond.rows == 88
    assert left([], Amount()) is None


RULES = """
[[budget]]
name = "rows-an-hour"
reason = "exports go another way"
groups = ["dev"]
rows = 1000
bytes = "2 MiB"
on_reaching = "hold"

[budget.unless]
priorities = ["incident"]
"""


def test_budgets_are_read_and_are_about_somebody() -> None:
    (one,) = Policy.load(RULES).budgets
    assert (one.action, one.rows, one.bytes, one.statements) == ("hold", 1000, 2 << 20, None)
    assert Policy.load(RULES).bind(FACTS).budgets == (one,)
    assert Policy.load(RULES.replace('"dev"', '"dba"')).bind(FACTS).budgets == ()


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "message"),
    [
        ('"hold"', '"stop"', 8, "on_reaching", "unknown action"),
        ("rows = 1000", "rows = 0", 6, "rows", "from 1 on"),
        ("rows = 1000", "rows = true", 6, "rows", "from 1 on"),
        ('"2 MiB"', '"2 MB"', 7, "bytes", "64 MiB"),
        ('"2 MiB"', "0", 7, "bytes", "from 1 on"),
        ('rows = 1000\nbytes = "2 MiB"\n', "", 2, "", "limits something"),
        ("rows = 1000", "row = 1000", 6, "row", 'did you mean "rows"'),
        ('["incident"]', '["panic"]', 11, "priorities", "unknown priority"),
        ('priorities = ["incident"]', "", 10, "unless", "names somebody"),
        ('on_reaching = "hold"\n', "", 2, "", 'a budget needs "on_reaching"'),
    ],
)
def test_what_is_wrong_with_a_budget_is_said(
    old: str, new: str, line: int, key: str, message: str
) -> None:
    assert old in RULES
    with pytest.raises(RuleError) as caught:
        Policy.load(RULES.replace(old, new, 1))
    assert (caught.value.line, caught.value.key) == (line, key)
    assert message in caught.value.message
