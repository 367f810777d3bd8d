"""What each style hides of one value, and that a column at once hides the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopcore.styles import FORMED, Style, hidden, hidden_at_once, star_at_once

STARS = [style for style in Style if style not in FORMED]


def shown(style: Style, text: str, *, utf8: bool = True, encoding: str = "utf-8") -> str:
    value = text.encode(encoding)
    stop = hidden(style, value, utf8=utf8)
    return (b"*" * stop + value[stop:]).decode(encoding)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        *(("4111111111111111", "************1111"), ("12345", "*2345"), ("1234", "****")),
        *(("", ""), ("a", "*"), ("Zażółć", "**żółć"), ("żółć", "********")),
        *(("日本語テキスト", "*" * 9 + "テキスト"), ("aaaa日", "*aaa日")),
    ],
)
def test_keep_last_4_keeps_four_characters(text: str, left: str) -> None:
    assert shown(Style.KEEP_LAST_4, text) == left


def test_outside_utf8_at_most_four_bytes_stay() -> None:
    assert shown(Style.KEEP_LAST_4, "Привет", utf8=False) == "*" * 8 + "ет"
    assert len(shown(Style.KEEP_LAST_4, "Grüße", utf8=False, encoding="latin-1").strip("*")) <= 4
    assert hidden(Style.KEEP_LAST_4, b"\x80" * 20, utf8=False) == 20


@pytest.mark.parametrize(
    ("text", "left"),
    [
        *(("ada@example.com", "***@example.com"), ("no sign", "*******"), ("", "")),
        *(("a@b@example.com", "***@example.com"), ("ada@", "****"), ("@x.com", "@x.com")),
        *(("ada@x.com, and 4111", "*" * 19), ("ada@x.com   ", "***@x.com   ")),
        *(("a@" + "b" * 254, "*" * 256), ("ada@przykład.pl", "***@przykład.pl")),
    ],
)
def test_keep_domain_keeps_a_domain_and_nothing_else(text: str, left: str) -> None:
    assert shown(Style.KEEP_DOMAIN, text) == left


def test_full_keeps_nothing() -> None:
    assert shown(Style.FULL, "secret") == "******"


@given(st.sampled_from(STARS), st.text(max_size=30), st.booleans())
def test_what_stays_is_whole_characters(style: Style, text: str, utf8: bool) -> None:
    left = shown(style, text, utf8=utf8)
    kept = left.lstrip("*")
    assert text.endswith(kept)
    if style is Style.KEEP_LAST_4:
        assert len(kept) <= 4


values = st.lists(
    st.one_of(
        st.binary(max_size=24),
        st.text("a@.é日 -", max_size=24).map(str.encode),
        st.sampled_from(
            [b"a@" + b"b" * 253, b"a@" + b"b" * 254, b"x" * 300, b"a@b.c" + b" " * 300]
        ),
    ),
    max_size=12,
)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(STARS), values, st.booleans(), st.binary(max_size=6))
def test_a_column_at_once_hides_what_its_values_would(
    style: Style, column: list[bytes], utf8: bool, between: bytes
) -> None:
    data, starts, stops = b"pre@fix" + between, [], []
    for value in column:
        starts.append(len(data))
        data += value
        stops.append(len(data))
        data += between
    found = hidden_at_once(
        style,
        np.frombuffer(data, np.uint8),
        np.array(starts, np.int64),
        np.array(stops, np.int64),
        utf8=utf8,
    )
    wanted = [
        start + hidden(style, value, utf8=utf8) for start, value in zip(starts, column, strict=True)
    ]
    assert found.tolist() == wanted


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)), max_size=30))
def test_stars_stand_where_they_are_to_and_nowhere_else(ranges: list[tuple[int, int]]) -> None:
    starts, sizes, wanted = [], [], bytearray()
    for size, gap in ranges:
        wanted += b"x" * gap
        starts.append(len(wanted))
        sizes.append(size)
        wanted += b"*" * size
    octets = np.frombuffer(bytearray(b"x" * len(wanted)), np.uint8)
    star_at_once(octets, np.array(starts, np.int64), np.array(sizes, np.int64))
    assert octets.tobytes() == bytes(wanted)
