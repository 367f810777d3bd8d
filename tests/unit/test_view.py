"""hoopcli.view and hoopcli.durations: whatever the values hold, what comes out is readable."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopcli import durations, view
from hoopcli.view import Output

NOW = datetime(2026, 11, 22, 14, 5, tzinfo=UTC)

# Texts as other people write them, with more than their share of what a terminal obeys.
NASTY = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("\x00\x07\x08\x1b\r\n\t\x7f\x9b\u202e\u2066\u200b\ufeff 漢é"),
    ),
    max_size=60,
)


@given(NASTY)
def test_no_value_brings_a_control_character_or_an_escape_to_the_terminal(text: str) -> None:
    assert not [c for c in view.clean(text) if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
    assert not set(view.clean(text)) & set("\u202e\u2066\u200b\ufeff")


def test_an_escape_sequence_is_shown_and_not_obeyed() -> None:
    assert view.clean("\x1b[31mred\x1b[0m\u202e") == r"\x1b[31mred\x1b[0m\u202e"


@given(st.recursive(NASTY | st.integers() | st.none(), lambda v: st.lists(v, max_size=3)))
def test_json_is_the_value_and_holds_nothing_a_terminal_obeys(value: object) -> None:
    text = view.as_json(value)
    assert json.loads(text) == value
    assert view.clean(text.replace("\n", "")) == text.replace("\n", "")


@given(st.lists(st.tuples(NASTY, NASTY, NASTY), max_size=5), st.integers(40, 120))
def test_no_line_of_a_table_is_wider_than_the_terminal(
    rows: list[tuple[str, str, str]], width: int
) -> None:
    text = view.table(rows, ("ONE", "TWO", "THREE"), width)
    assert all(view.cells(line) <= width for line in text.splitlines())


@given(st.lists(st.tuples(NASTY, NASTY), min_size=1, max_size=4), st.integers(30, 100))
def test_a_narrow_table_wraps_and_leaves_nothing_out(
    rows: list[tuple[str, str]], width: int
) -> None:
    shown = sorted(view.table(rows, ("A", "B"), width).replace(" ", "").replace("\n", ""))
    heads = "".join(
        h for h, used in zip("AB", map(any, zip(*rows, strict=True)), strict=True) if used
    )
    whole = heads + "".join(view.clean(cell) for row in rows for cell in row)
    assert shown == sorted(whole.replace(" ", ""))


def test_an_id_stays_in_one_piece_while_a_reason_beside_it_is_wrapped() -> None:
    rows = [("req-4k7mq2zt9x", "a very long reason that nobody could ever read on one line")]
    lines = view.table(rows, ("REQUEST", "REASON"), 40).splitlines()
    assert lines[1].startswith("req-4k7mq2zt9x  a very")
    assert len(lines) > 2


def test_a_column_that_is_empty_everywhere_is_not_shown() -> None:
    assert view.table([("a", "", "c")], ("ONE", "TWO", "THREE")) == "ONE  THREE\na    c"


def test_columns_line_up_behind_wide_characters() -> None:
    lines = view.table([("漢字", "x"), ("ab", "y")], ("NAME", "V")).splitlines()
    assert lines[1:] == ["漢字  x", "ab    y"]


@pytest.mark.parametrize(
    ("away", "said"),
    [
        (timedelta(minutes=42), "in 42 min"),
        (timedelta(seconds=-185), "3 min ago"),
        (timedelta(seconds=30), "in 30 s"),
        (timedelta(0), "now"),
        (timedelta(hours=1, minutes=59, seconds=59), "in 1 h 59 min"),
        (timedelta(hours=12, minutes=20), "in 12 h"),
        (timedelta(days=-3, hours=-5), "3 days ago"),
    ],
)
def test_a_time_is_told_from_now(away: timedelta, said: str) -> None:
    text = (NOW + away).isoformat().replace("+00:00", "Z")
    assert view.when(text, NOW) == said


def test_no_time_is_nothing_and_what_is_no_time_is_shown_as_it_is() -> None:
    assert view.when(None, NOW) == view.when("", NOW) == ""
    assert view.when("soon\x07", NOW) == r"soon\x07"


def test_a_time_left_is_never_rounded_up() -> None:
    assert view.span(59 * 60 + 59) == "59 min"


def test_a_card_leaves_out_what_is_not_known_and_wraps_under_the_value() -> None:
    text = view.card([("id", "x"), ("ticket", ""), ("reason", "long " * 10)], 30)
    assert text.splitlines() == [
        "id      x",
        "reason  long long long long",
        "        long long long long",
        "        long long",
    ]


def test_names_are_one_a_line_even_when_a_name_holds_a_line_end() -> None:
    assert view.names(["a", "b\nc"]) == "a\nb\\nc"


@pytest.mark.parametrize("output", list(Output))
def test_a_list_of_nothing_is_an_empty_json_list_or_no_text(output: Output) -> None:
    text = view.listed(output, [], heads=("A",), row=lambda v: v, name=str)
    assert text == ("[]" if output is Output.JSON else "")


# --- durations ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("45m", 2700), ("1h30m", 5400), ("1h 30m", 5400), ("2D", 172800), ("1w", 604800)],
)
def test_a_duration_is_read_as_people_write_it(text: str, seconds: int) -> None:
    assert durations.parse(text) == seconds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("90", "has no unit; do you mean 90s, 90m or 90h?"),
        ("", "is not a duration"),
        ("an hour", "is not a duration"),
        ("-1h", "is not a duration"),
        ("1.5h", "is not a duration"),
        ("30m1h", "is not a duration"),
        ("٣m", "is not a duration"),
        ("0m", "is no time at all"),
        ("9" * 5000, "is not a duration"),
    ],
)
def test_what_is_no_duration_is_refused_with_what_to_write(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("?", r"\?")):
        durations.parse(text)


@given(st.integers(1, 10**9))
def test_a_duration_survives_being_shown(seconds: int) -> None:
    assert durations.parse(durations.show(seconds)) == seconds
