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
    ending,
    free_at,
    holding,
    newly_reached,
    passing,
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


# --- what ends a session, and when something comes back -------------------------------------------


def test_buckets_that_were_kept_count_as_if_they_had_been_counted_here() -> None:
    spent, buckets = Spent(), dict[int, Amount]()
    for minute in (0, 3, 7, 40, 59, 61):
        at = START + minute * 60 * SECOND
        spent = spent.add(at, Amount(rows=minute + 1))
        bucket = at // BUCKET
        buckets[bucket] = buckets.get(bucket, NONE).plus(Amount(rows=minute + 1))
    end = START + 61 * 60 * SECOND
    for later in range(0, 2 * HOUR, BUCKET // 2):
        assert Spent.of(buckets).total(end + later) == spent.total(end + later)
    assert Spent.of({}) == Spent()


def test_only_a_budget_that_ends_does_and_only_when_it_is_used_up() -> None:
    budgets = (
        budget("warn", "warn", rows=1),
        budget("hold", "hold", rows=1),
        budget("end", "end", rows=10, bytes=99),
    )
    assert ending(budgets, Amount(rows=9)) is None
    over = ending(budgets, Amount(rows=10))
    assert over is not None
    assert (over.budget.action, over.measure, over.noun) == ("end", "rows", "rows")
    assert ending((), Amount(rows=1)) is None


def test_what_is_just_used_up_passes_and_no_more() -> None:
    budgets = (budget("warn", "warn", rows=1), budget("end", "end", rows=10, bytes=99, sensitive=3))
    assert passing(budgets, Amount(rows=10, bytes=99, sensitive=3)) is None
    over = passing(budgets, Amount(rows=10, bytes=99, sensitive=4))
    assert over is not None
    assert (over.measure, over.limit, over.noun) == ("sensitive", 3, "sensitive values")
    assert passing(budgets, Amount(rows=10)) is None


def test_when_something_comes_back_a_session_may_open_and_not_before() -> None:
    limit = budget("end", "end", rows=10)
    spent = Spent().add(START, Amount(rows=6)).add(START + HOUR // 2, Amount(rows=4))
    now = START + HOUR // 2 + SECOND
    over = ending((limit,), spent.total(now))
    assert over is not None
    free = free_at(over, spent, now)
    assert START + HOUR <= free <= START + HOUR + BUCKET
    assert ending((limit,), spent.total(free)) is None
    assert ending((limit,), spent.total(free - 1)) is not None
    assert free_at(over, Spent(now // BUCKET + 100, Amount(rows=50)), now) == now + HOUR + BUCKET
