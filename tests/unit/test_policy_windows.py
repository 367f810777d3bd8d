"""Hours of the week, against the plain definition: which windows does this minute of a wall see?"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hoopcore.policy import Policy, RuleError
from hoopcore.policy.windows import DAYS, Window

ZONES = (
    *("UTC", "Europe/Berlin", "Europe/London", "America/New_York", "Asia/Kolkata"),
    *("Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu", "America/St_Johns"),
    *("Pacific/Apia", "Pacific/Kiritimati", "Asia/Tehran"),
)
MINUTE = 60_000_000
EXAMPLES = 3000 if os.environ.get("HOOP_LONG") else 150


def micros(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


def plain(days: frozenset[int], start: int, stop: int, zone: str, at: int) -> bool:
    """Whether the wall clock of ``at`` is in a window that began on one of these days."""
    wall = datetime.fromtimestamp(at // 1_000_000, ZoneInfo(zone)).replace(tzinfo=None)
    for back in (0, 1):
        day = wall.date() - timedelta(days=back)
        if day.weekday() not in days:
            continue
        midnight = datetime.combine(day, datetime.min.time())
        length = (stop - start) if stop > start else stop + 1440 - start
        begins = midnight + timedelta(minutes=start)
        if begins <= wall < begins + timedelta(minutes=length):
            return True
    return False


def clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def window(days: frozenset[int], start: int, stop: int, zone: str) -> Window:
    words = ",".join(DAYS[day] for day in sorted(days))
    return Window.parse(f"{words} {clock(start)}-{clock(stop)} {zone}")


hours = st.tuples(st.integers(0, 1439), st.integers(1, 1440)).filter(lambda h: h[0] != h[1])
moments = st.datetimes(datetime(2000, 1, 1), datetime(2037, 12, 31)).map(  # noqa: DTZ001 - UTC comes next
    lambda moment: micros(moment.replace(tzinfo=UTC))
)
# Where clocks were changed: Berlin in spring and autumn, Lord Howe's half hour, a day Apia skipped.
CHANGES = [
    datetime(2026, 3, 29, 1, tzinfo=UTC),
    datetime(2026, 10, 25, 1, tzinfo=UTC),
    datetime(2026, 4, 4, 15, tzinfo=UTC),
    datetime(2011, 12, 30, 10, tzinfo=UTC),
]
near_changes = st.builds(
    lambda change, minutes: micros(change) + minutes * MINUTE,
    st.sampled_from(CHANGES),
    st.integers(-2000, 2000),
)
days = st.frozensets(st.integers(0, 6), min_size=1)


@settings(max_examples=EXAMPLES, deadline=None)
@given(days, hours, st.sampled_from(ZONES), moments | near_changes)
@example(frozenset({4}), (1320, 360), "Europe/Berlin", micros(datetime(2026, 3, 28, 4, tzinfo=UTC)))
def test_a_window_is_what_a_clock_on_the_wall_says_days_of_change_included(
    days: frozenset[int], hours: tuple[int, int], zone: str, at: int
) -> None:
    assert window(days, *hours, zone).holds(at) is plain(days, *hours, zone, at)


@settings(max_examples=EXAMPLES // 5, deadline=None)
@given(days, hours, st.sampled_from(ZONES), moments | near_changes)
@example(frozenset({6}), (150, 100), "Europe/Berlin", micros(datetime(2026, 3, 29, tzinfo=UTC)))
def test_nothing_opens_or_closes_before_it_is_said_to(
    days: frozenset[int], hours: tuple[int, int], zone: str, at: int
) -> None:
    one = window(days, *hours, zone)
    until = one.steady_until(at)
    assert at < until <= at + 1440 * MINUTE
    now = one.holds(at)
    for moment in range(at, until, MINUTE):
        assert one.holds(moment) is now
    assert one.holds(until - 1) is now


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (
            "mon-fri 22:00-06:00 Europe/Berlin",
            "2026-11-28T05:59:59+01:00",
            "2026-11-28T06:00+01:00",
        ),
        ("mon-fri 22:00-06:00 Europe/Berlin", "2026-11-23T22:00+01:00", "2026-11-23T05:00+01:00"),
        ("fri-mon UTC", "2026-11-23T12:00+00:00", "2026-11-24T12:00+00:00"),
        ("08:00-24:00 UTC", "2026-11-23T23:59:59+00:00", "2026-11-23T00:00+00:00"),
        (
            "sat,sun 00:00-24:00 America/New_York",
            "2026-11-23T04:59+00:00",
            "2026-11-23T05:00+00:00",
        ),
        ("02:15-02:45 Europe/Berlin", "2026-03-28T02:30+01:00", "2026-03-29T01:30+00:00"),
        ("02:15-02:45 Europe/Berlin", "2026-10-25T02:30+01:00", "2026-10-25T01:50+00:00"),
        ("02:15-02:45 Europe/Berlin", "2026-10-25T02:30+02:00", "2026-10-25T03:30+01:00"),
    ],
)
def test_windows_as_people_write_them(text: str, inside: str, outside: str) -> None:
    one = Window.parse(text)
    assert one.holds(micros(datetime.fromisoformat(inside)))
    assert not one.holds(micros(datetime.fromisoformat(outside)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("22:00-06:00", "time zone is never left out"),
        ("mon-fri 22:00-06:00 Europe/Berlni", 'no time zone "Europe/Berlni"; did you mean'),
        ("mon-fri 22:00-06:00 ../etc", "no time zone"),
        ("mon-fry 22:00-06:00 UTC", 'is no day; did you mean "fri"'),
        ("22:00-25:00 UTC", "not HH:MM-HH:MM"),
        ("22:00-24:30 UTC", "beyond 24:00"),
        ("24:00-06:00 UTC", "beyond 24:00"),
        ("9-17 UTC", "not HH:MM-HH:MM"),
        ("22:00 UTC", "not HH:MM-HH:MM"),
        ("08:00-08:00 UTC", "no time at all"),
        ("", "of the form"),
    ],
)
def test_what_is_wrong_with_a_window_is_said(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        Window.parse(text)
    rules = f'[[rule]]\nname="r"\nreason="r"\nverdict="refuse"\ntimes = ["{text or " "}"]\n'
    with pytest.raises(RuleError) as caught:
        Policy.load(rules)
    assert (caught.value.line, caught.value.key, caught.value.rule) == (5, "times", "r")


def test_a_machine_without_zones_of_its_own_knows_them_all_the_same() -> None:
    ask = "from hoopcore.policy.windows import zone; print(zone('Europe/Berlin').key)"
    done = subprocess.run(
        [sys.executable, "-c", ask],
        env={"PYTHONTZPATH": "", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "Europe/Berlin\n"
