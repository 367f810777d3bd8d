"""What a person at a terminal is offered and told before a request is sent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopagent.ending_soon import MARKS, Seen, mark_passed, words
from hoopcli import moments
from hoopcli.wishing import fuzzy, told
from hoopcore.model import SECOND

NAMES = ["prod-db", "prod-vault", "stage-db", "audit"]


@pytest.mark.parametrize(
    ("typed", "first"), [("pdb", "prod-db"), ("vault", "prod-vault"), ("AUDIT", "audit")]
)
def test_letters_in_their_order_find_a_target(typed: str, first: str) -> None:
    assert fuzzy(typed, NAMES)[0] == first


@given(st.text(max_size=5))
def test_what_is_offered_has_the_letters(typed: str) -> None:
    offered = fuzzy(typed, NAMES)
    assert set(offered) <= set(NAMES)
    assert len(offered) == len(set(offered))
    assert "zzz" not in offered


def outlook(**changed: object) -> dict[str, object]:
    return {
        "cut_by": "",
        "duration": 3600,
        "at_once": False,
        "limits": "",
        "approvers": ["dba"],
        "people": [],
        "votes_needed": 1,
        "usual_wait": None,
        "starts_at_connect": False,
        "smaller": None,
        **changed,
    }


def test_who_decides_and_how_long_it_usually_takes_is_told() -> None:
    assert told(outlook()) == ["1 vote from dba will decide."]
    lines = told(outlook(usual_wait=240, cut_by='role "engineer"'))
    assert lines == [
        'It will be for 1h: role "engineer" allows no more.',
        "1 vote from dba will decide; it usually takes 4m.",
    ]


def test_a_smaller_wish_is_told_as_what_to_type() -> None:
    less = {"scope": "*.*:read", "duration": 1800, "limits": "read-only", "auto": "reads"}
    assert told(outlook(smaller=less))[-1] == (
        'Granted at once:  --scope "*.*:read" --for 30m  (read-only)'
    )


# --- times of day -----------------------------------------------------------------------------


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def meant(text: str, now: str) -> str:
    return moments.parse(text, datetime.fromisoformat(now)).astimezone(UTC).isoformat()


def test_a_time_of_day_is_the_next_one_by_the_clock_of_here(berlin: None) -> None:
    assert meant("22:00", "2027-03-01T21:00:00+01:00") == "2027-03-01T21:00:00+00:00"
    assert meant("22:00", "2027-03-01T22:00:00+01:00") == "2027-03-02T21:00:00+00:00"
    # The night in which the clocks are changed has 23 hours.
    assert meant("12:00", "2027-03-27T13:00:00+01:00") == "2027-03-28T10:00:00+00:00"
    assert meant("2028-02-29 22:00", "2028-02-01T00:00:00+01:00") == "2028-02-29T21:00:00+00:00"


@pytest.mark.parametrize("text", ["", "25:00", "noon", "2027-02-30 10:00", "2020-01-01 10:00"])
def test_what_is_no_time_or_over_is_said(berlin: None, text: str) -> None:
    with pytest.raises(ValueError, match=r"time|day|over"):
        moments.parse(text, datetime.fromisoformat("2027-03-01T21:00:00+01:00"))


# --- the end comes near -----------------------------------------------------------------------


def test_each_mark_is_passed_once_and_again_for_another_end() -> None:
    end, passed = 1_000 * SECOND, []
    before = None
    for second in range(1_000):
        seen = Seen(end, end - second * SECOND)
        passed += [mark for mark in [mark_passed(before, seen)] if mark]
        before = seen
    assert passed == list(MARKS)
    longer = Seen(end * 2, end * 2 - 999 * SECOND)
    assert mark_passed(before, longer) is None


def test_who_connects_near_the_end_is_warned_of_what_is_still_to_come() -> None:
    first = Seen(500 * SECOND, 500 * SECOND)
    assert mark_passed(None, first) is None
    assert mark_passed(first, Seen(500 * SECOND, 119 * SECOND)) == MARKS[1]


def test_a_sleep_past_both_marks_warns_once_of_the_nearer() -> None:
    first = Seen(1_000 * SECOND, 1_000 * SECOND)
    assert mark_passed(first, Seen(1_000 * SECOND, 60 * SECOND)) == MARKS[1]


def test_the_warning_says_what_to_type() -> None:
    said, hint = words("prod-db", 1_800_000_000 * SECOND, 119 * SECOND, None)
    assert said.startswith('your access to "prod-db" ends in 2 minutes, at 2027-01-15T08:00:00Z')
    assert hint == "Renew it:  hoop login"
