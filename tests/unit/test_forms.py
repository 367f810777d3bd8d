"""Hashes, years, rounded numbers and arrays: what each value becomes, alone and in a column."""

from __future__ import annotations

import datetime
import struct
from decimal import Decimal
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopcore.forms import HASH_SIZE, Form, fitting, forms_of, hashed
from hoopcore.styles import Style

KEY = b"a key of this installation"
DATE, TIMESTAMP, TIMESTAMPTZ, INT8, INT4, INT2 = 1082, 1114, 1184, 20, 23, 21
FLOAT4, FLOAT8, NUMERIC, TEXT, BPCHAR, TEXT_ARRAY, UUID = 700, 701, 1700, 25, 1042, 1009, 2950


class Column(NamedTuple):
    type: int
    format: int = 0


def form(style: Style, type_: int, format_: int = 0, *, utf8: bool = True) -> Form:
    return forms_of([style], [Column(type_, format_)], utf8=utf8, key=KEY)[0]


def one(style: Style, type_: int, text: str) -> str | None:
    made = form(style, type_).one(text.encode())
    return None if made is None else made.decode()


# --- which form -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("style", "type_", "left"),
    [
        *((Style.HASH, TEXT, Style.HASH), (Style.HASH, INT8, Style.NULL)),
        *((Style.YEAR_ONLY, DATE, Style.YEAR_ONLY), (Style.YEAR_ONLY, TEXT, Style.NULL)),
        *((Style.ROUND, NUMERIC, Style.ROUND), (Style.ROUND, TEXT, Style.NULL)),
        *((Style.FULL, TEXT_ARRAY, Style.FULL), (Style.HASH, TEXT_ARRAY, Style.NULL)),
        *((Style.FULL, INT8, Style.NULL), (Style.KEEP_LAST_4, UUID, Style.NULL)),
        *((Style.NULL, TEXT, Style.NULL), (Style.FULL, 99_999, Style.FULL)),
        *((Style.HASH, 99_999, Style.HASH), (Style.YEAR_ONLY, 99_999, Style.NULL)),
    ],
)
def test_a_style_fits_its_types_and_is_null_for_others(
    style: Style, type_: int, left: Style
) -> None:
    for format_ in (0, 1):
        assert fitting(style, Column(type_, format_), frozenset({99_999})) is left


def test_a_hash_without_a_key_has_no_form() -> None:
    assert forms_of([Style.HASH], [Column(TEXT)], utf8=True, key=b"") == {}


# --- hashes ---------------------------------------------------------------------------------------


def test_the_same_value_has_the_same_hash_and_another_key_another() -> None:
    first = form(Style.HASH, TEXT).one(b"ada@example.com")
    assert first == hashed(KEY, b"ada@example.com")
    assert first is not None
    assert len(first) == HASH_SIZE
    assert first != hashed(b"another", b"ada@example.com")
    assert first != form(Style.HASH, TEXT).one(b"Ada@example.com")


def test_a_padded_value_has_the_hash_of_the_value() -> None:
    assert form(Style.HASH, BPCHAR).one(b"ada   ") == form(Style.HASH, TEXT).one(b"ada")
    assert form(Style.HASH, TEXT).one(b"ada   ") != form(Style.HASH, TEXT).one(b"ada")


def test_a_value_whose_encoding_is_not_known_has_no_hash() -> None:
    assert form(Style.HASH, TEXT, utf8=False).one("żółć".encode("iso-8859-2")) is None
    assert form(Style.HASH, TEXT, utf8=False).one(b"ada") == form(Style.HASH, TEXT).one(b"ada")


# --- years ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "left"),
    [
        *(("2024-05-17", "2024-01-01"), ("12024-05-17", "12024-01-01")),
        *(("0044-03-15 BC", "0044-01-01 BC"), ("infinity", None), ("", None), ("2024", None)),
        ("2024-05-17 12:34:56", "2024-01-01 00:00:00"),
        ("2024-05-17 12:34:56.789123", "2024-01-01 00:00:00.000000"),
        ("2024-05-17 12:34:56.7", "2024-01-01 00:00:00.0"),
        ("2024-05-17 12:34:56.789+02", "2024-01-01 00:00:00.000+00"),
        ("2024-05-17 12:34:56-03:30", "2024-01-01 00:00:00+00:00"),
        ("2024-05-17 12:34:56+01 BC", "2024-01-01 00:00:00+00 BC"),
        *(("17.05.2024", None), ("05/17/2024", None), ("Fri May 17 12:34:56 2024", None)),
        *(("2024-05-17x", None), ("2024/05/17", None)),
    ],
)
def test_only_the_year_of_a_date_in_text_stays(text: str, left: str | None) -> None:
    assert one(Style.YEAR_ONLY, TIMESTAMPTZ, text) == left


EPOCH = datetime.datetime(2000, 1, 1)  # noqa: DTZ001 - as a timestamp without a zone


@given(st.datetimes())
def test_only_the_year_of_a_date_in_binary_stays(moment: datetime.datetime) -> None:
    first = moment.replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
    days = struct.pack("!i", (moment - EPOCH).days)
    assert form(Style.YEAR_ONLY, DATE, 1).one(days) == struct.pack("!i", (first - EPOCH).days)
    micro = datetime.timedelta(microseconds=1)
    made = form(Style.YEAR_ONLY, TIMESTAMP, 1).one(struct.pack("!q", (moment - EPOCH) // micro))
    assert made == struct.pack("!q", (first - EPOCH) // micro)


@pytest.mark.parametrize("value", [2**31 - 1, -(2**31)])
def test_an_infinite_date_is_null(value: int) -> None:
    assert form(Style.YEAR_ONLY, DATE, 1).one(struct.pack("!i", value)) is None
    assert form(Style.YEAR_ONLY, DATE, 1).one(b"abc") is None


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "left"),
    [
        *(("84312.55", "84000.00"), ("84312", "84000"), ("-84312", "-84000"), ("842", "800")),
        *(("842.55", "800.00"), ("42", "40"), ("42.00", "40.00"), ("7", "0"), ("7.5", "0.0")),
        *(("0", "0"), ("0.00", "0.00"), ("0.0347", "0.0300"), ("-0.05", "-0.00")),
        *(("0.123456", "0.120000"), ("1.2345e+20", "1.2000e+20"), ("1e+20", "0e+20")),
        *(("1.25e-05", "1.00e-05"), ("NaN", None), ("Infinity", None), ("", None), ("-", None)),
        *(("1,000", None), ("1.2.3", None), ("12.", None)),
    ],
)
def test_at_most_half_of_the_digits_of_a_number_stay(text: str, left: str | None) -> None:
    assert one(Style.ROUND, NUMERIC, text) == left


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_number_in_binary_is_rounded_as_in_text(number: int) -> None:
    left = int(one(Style.ROUND, INT8, str(number)) or "")
    assert form(Style.ROUND, INT8, 1).one(struct.pack("!q", number)) == struct.pack("!q", left)
    small = number % 2**31
    left = int(one(Style.ROUND, INT8, str(small)) or "")
    assert form(Style.ROUND, INT4, 1).one(struct.pack("!i", small)) == struct.pack("!i", left)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_in_binary_is_rounded_as_in_text(number: float) -> None:
    left = one(Style.ROUND, FLOAT8, repr(number))
    assert left is not None
    made = form(Style.ROUND, FLOAT8, 1).one(struct.pack("!d", number))
    assert made == struct.pack("!d", float(left))
    assert form(Style.ROUND, FLOAT4, 1).one(struct.pack("!f", float("inf"))) is None


def numeric(value: Decimal) -> bytes:
    """As numeric_send writes it."""
    sign, _, exponent = value.as_tuple()
    scale = max(0, -int(exponent))
    whole, _, fraction = f"{abs(value):f}".partition(".")
    whole = whole.zfill(-(-len(whole) // 4) * 4)
    fraction = fraction.ljust(-(-len(fraction) // 4) * 4, "0")
    groups = [int((whole + fraction)[i : i + 4]) for i in range(0, len(whole + fraction), 4)]
    weight = len(whole) // 4 - 1
    while groups and groups[0] == 0:
        groups, weight = groups[1:], weight - 1
    while groups and groups[-1] == 0:
        groups = groups[:-1]
    head = struct.pack("!hhHh", len(groups), weight if groups else 0, 0x4000 * sign, scale)
    return head + struct.pack(f"!{len(groups)}H", *groups)


def decimal(data: bytes) -> Decimal:
    count, weight, sign, _ = struct.unpack_from("!hhHh", data)
    groups = struct.unpack_from(f"!{count}H", data, 8)
    total = sum(Decimal(group).scaleb(4 * (weight - place)) for place, group in enumerate(groups))
    return -Decimal(total) if sign else Decimal(total)


@given(st.decimals(-(10**15), 10**15, allow_nan=False, places=6))
def test_a_numeric_in_binary_is_rounded_as_in_text(number: Decimal) -> None:
    made = form(Style.ROUND, NUMERIC, 1).one(numeric(number))
    assert made is not None
    assert decimal(made) == Decimal(one(Style.ROUND, NUMERIC, f"{number:f}") or "")


def test_a_numeric_that_is_no_number_is_null() -> None:
    for data in (
        b"",
        b"\0" * 7,
        struct.pack("!hhHh", 0, 0, 0xC000, 0),
        struct.pack("!hhHh", 9, 0, 0, 0),
    ):
        assert form(Style.ROUND, NUMERIC, 1).one(data) is None


# --- arrays ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "left"),
    [
        *(("{}", "{}"), ("{abcdef,NULL}", "{**cdef,NULL}"), ('{"NULL",x}', '{"****",*}')),
        *(('{"a b,c{d"}', '{"***,c{d"}'), ('{"a\\"b\\\\cdefgh"}', '{"************"}')),
        *(("[0:1]={ab,cdefgh}", "[0:1]={**,**efgh}"), ("{{abcde},{b}}", "{{*bcde},{*}}")),
        *(
            ("plain", None),
            ("", None),
            ("{a", None),
            ("{a}}", None),
            ('{"a}', None),
            ("{a}b", None),
        ),
    ],
)
def test_each_element_of_an_array_is_masked_by_itself(text: str, left: str | None) -> None:
    assert one(Style.KEEP_LAST_4, TEXT_ARRAY, text) == left


def test_each_element_of_an_array_in_binary_is_masked_by_itself() -> None:
    head = struct.pack("!iiIii", 1, 1, 25, 2, 1)
    array = head + struct.pack("!i6si", 6, b"abcdef", -1)
    masked = head + struct.pack("!i6si", 6, b"**cdef", -1)
    assert form(Style.KEEP_LAST_4, TEXT_ARRAY, 1).one(array) == masked
    for broken in (array[:-1], array + b"x", b"", struct.pack("!iiI", 99, 0, 25)):
        assert form(Style.FULL, TEXT_ARRAY, 1).one(broken) is None


# --- a column at once -----------------------------------------------------------------------------

values = st.one_of(
    st.dates().map(str),
    st.datetimes().map(str),
    st.datetimes().map(lambda moment: f"{moment}+02"),
    st.integers(-(10**19), 10**19).map(str),
    st.decimals(-(10**9), 10**9, allow_nan=False, places=2).map(str),
    st.floats().map(repr),
    st.sampled_from(["", "-", ".", "-.5", "00", "1..2", "infinity", "2024-05-17 BC", "x" * 50]),
    st.text("0123456789-.: +e", max_size=26),
).map(str.encode)
ALL = [
    (style, type_, format_)
    for style, types in ((Style.YEAR_ONLY, (DATE, TIMESTAMP)), (Style.ROUND, (INT8, INT4, INT2)))
    for type_ in types
    for format_ in (0, 1)
]


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(ALL), st.lists(st.one_of(values, st.binary(max_size=9)), max_size=12))
def test_a_column_at_once_becomes_what_its_values_would(
    which: tuple[Style, int, int], column: list[bytes]
) -> None:
    chosen = form(*which)
    assert chosen.at_once is not None
    data = bytearray(b"head" + b"----".join(column) + b"tail")
    starts, place = [], 4
    for value in column:
        starts.append(place)
        place += len(value) + 4
    stops = [start + len(value) for start, value in zip(starts, column, strict=True)]
    octets = np.frombuffer(data, np.uint8)
    nulls = chosen.at_once(octets, np.array(starts, np.int64), np.array(stops, np.int64)).tolist()
    alone = [chosen.one(value) for value in column]
    assert nulls == [place for place, value in enumerate(alone) if value is None]
    for start, stop, left in zip(starts, stops, alone, strict=True):
        if left is not None:
            assert bytes(data[start:stop]) == left
            data[start:stop] = b"\1" * (stop - start)
    assert data.startswith(b"head")
    assert data.endswith(b"tail")
