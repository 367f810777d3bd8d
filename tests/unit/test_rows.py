"""Rows under a plan: both ways of masking give what masking cell by cell would give."""

from __future__ import annotations

import contextlib
import json
import struct
from collections import Counter
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopcore.detectors import KINDS, Sweep, find
from hoopcore.forms import forms_of
from hoopcore.masking import Plan
from hoopcore.protocols.postgres import row_arrays
from hoopcore.protocols.postgres.binaries import hard_hits
from hoopcore.protocols.postgres.rows import FEW, mask_rows
from hoopcore.stream import ProtocolError
from hoopcore.styles import FORMED, Style, hidden
from hoopcore.watches import HARD, Watch

Cells = list[bytes | None]
SWEEP = Sweep(KINDS)
CARD = b"4111111111111111"


def frame(cells: Cells) -> bytes:
    """One DataRow."""
    body = b"".join(
        struct.pack("!i", -1) if cell is None else struct.pack("!i", len(cell)) + cell
        for cell in cells
    )
    return b"D" + struct.pack("!IH", len(body) + 6, len(cells)) + body


def unframe(data: bytes) -> list[Cells]:
    """The rows of these frames, read by nothing that the product reads with."""
    found, place = [], 0
    while place < len(data):
        assert data[place : place + 1] == b"D"
        size, width = struct.unpack_from("!IH", data, place + 1)
        end, at, cells = place + 1 + size, place + 7, []
        for _ in range(width):
            (length,) = struct.unpack_from("!i", data, at)
            cells.append(None if length == -1 else data[at + 4 : at + 4 + length])
            at += 4 + max(length, 0)
        assert at == end
        found.append(cells)
        place = end
    return found


def wanted(plan: Plan, rows_: list[Cells]) -> tuple[list[Cells], Counter[str]]:
    """What masking cell by cell gives; JSON is left to tests of its own."""
    counts: Counter[str] = Counter()
    result: list[Cells] = []
    for cells in rows_:
        masked: Cells = []
        treatments = plan.cells if plan.cells is not None else (Style.NULL,) * len(cells)
        for column, (cell, treatment) in enumerate(zip(cells, treatments, strict=True)):
            if cell is None or treatment is None:
                masked.append(cell)
            elif isinstance(treatment, Watch) and treatment in HARD:
                found = hard_hits(SWEEP, treatment, bytearray(cell), [0], [len(cell)])
                counts.update(kind for _, kind in found)
                masked.append(None if found else cell)
            elif isinstance(treatment, Watch):
                spans = find(cell)
                counts.update(span.kind for span in spans)
                value = bytearray(cell)
                for span in spans:
                    value[span.start : span.stop - span.keep] = b"*" * (
                        span.stop - span.keep - span.start
                    )
                masked.append(None if spans and treatment is not Watch.TEXT else bytes(value))
            elif treatment in FORMED or column in plan.forms:
                counts[treatment] += 1
                masked.append(plan.forms[column].one(cell) if column in plan.forms else None)
            else:
                counts[treatment] += 1
                stop = hidden(treatment, cell, utf8=plan.utf8)
                null = treatment is Style.NULL
                masked.append(None if null else b"*" * stop + cell[stop:])
        result.append(masked)
    return result, counts


def masked(plan: Plan, rows_: list[Cells]) -> tuple[list[Cells], dict[str, int]]:
    chunk, counts = mask_rows(plan, bytearray(b"".join(map(frame, rows_))))
    by_kind: Counter[str] = Counter()
    for (_, kind), count in counts.items():
        by_kind[kind] += count
    return unframe(bytes(chunk)), dict(by_kind)


words = st.sampled_from(
    [
        *(
            b"",
            b"x",
            b"abcd",
            b"abcde",
            b"ada@example.com",
            b"@",
            b"a@b@c.org",
            b"ada@example.com  ",
        ),
        *(CARD, b"4111 1111 1111 1111", b"378282246310005", b"123-45-6789", b"000-12-3456"),
        *(
            "żółć".encode(),
            "日本語テキスト".encode(),
            "naïve@exämple.de".encode(),
            b"\xff\xfe\x80\x80\x80",
        ),
        *(
            b"4111111111111112 123-45-6789",
            b"x@" + CARD,
            CARD + b"@example.com",
            b"no one",
            b"@@@@",
        ),
        *(b"x" * 48, b"7" * 49, b"a@" + b"b" * 300, b"long " * 40 + CARD + b" tail" * 40),
    ]
)
typed = st.sampled_from(
    [
        *(b"2024-05-17", b"2024-05-17 12:34:56.789", b"2024-05-17 12:34:56+02", b"0044-03-15 BC"),
        *(b"infinity", b"17.05.2024", b"84312.55", b"-842", b"42", b"7", b"0.0347", b"1.5e+20"),
        *(b"NaN", b"-", b".5", b'{a,"b c",NULL}', b"{ada@example.com,4111111111111111}"),
        *(struct.pack("!q", int(CARD)), struct.pack("!i", 8902), struct.pack("!q", -(2**63))),
        *(
            struct.pack("!d", 84312.55),
            struct.pack("!f", float("nan")),
            b"\\x" + CARD.hex().encode(),
        ),
        struct.pack("!hhHh4H", 4, 3, 0, 0, 4111, 1111, 1111, 1111),
        struct.pack("!iiIii", 1, 0, 25, 2, 1) + struct.pack("!i", 16) + CARD + b"\xff" * 4,
        struct.pack("!iIiq", 1, 20, 8, int(CARD)),
    ]
)
cells = st.one_of(
    st.none(), words, typed, st.binary(max_size=40), st.builds(bytes.__add__, words, words)
)
treatments = st.sampled_from([None, None, *Style, Watch.TEXT, Watch.NULL, *sorted(HARD, key=str)])


class Typed(NamedTuple):
    type: int
    format: int


FORMS = [
    (style, Typed(kind, format_))
    for style, kinds in (
        (Style.YEAR_ONLY, (1082, 1114, 1184)),
        (Style.ROUND, (20, 21, 23, 700, 701, 1700)),
        (Style.HASH, (25, 1042)),
        (Style.KEEP_LAST_4, (1009,)),
        (Style.FULL, (1009,)),
    )
    for kind in kinds
    for format_ in (0, 1)
]


@st.composite
def results(draw: st.DrawFn, rows_: st.SearchStrategy[int]) -> tuple[Plan, list[Cells]]:
    width = draw(st.integers(0, 6))
    utf8 = draw(st.booleans())
    chosen = [
        draw(st.one_of(st.tuples(treatments, st.none()), st.sampled_from(FORMS)))
        for _ in range(width)
    ]
    parts = [
        forms_of([cell], [column or Typed(0, 0)], utf8=utf8, key=b"key") if column else {}
        for cell, column in chosen
    ]
    forms = {place: part[0] for place, part in enumerate(parts) if part}
    plan = Plan(tuple(cell for cell, _ in chosen), SWEEP, utf8, forms=forms)
    distinct = draw(
        st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=8)
    )
    return plan, [distinct[index % len(distinct)] for index in range(draw(rows_))]


@settings(max_examples=400, deadline=None)
@given(results(st.integers(1, FEW - 1)))
def test_few_rows_are_masked_as_their_cells_would_be(given_: tuple[Plan, list[Cells]]) -> None:
    plan, rows_ = given_
    assert masked(plan, rows_) == wanted(plan, rows_)


@settings(max_examples=400, deadline=None)
@given(results(st.integers(FEW, 2 * FEW)))
def test_many_rows_are_masked_as_their_cells_would_be(given_: tuple[Plan, list[Cells]]) -> None:
    plan, rows_ = given_
    assert masked(plan, rows_) == wanted(plan, rows_)


@settings(max_examples=60, deadline=None)
@given(results(st.integers(2, 150)), st.data())
def test_where_a_chunk_ends_never_changes_the_rows(
    given_: tuple[Plan, list[Cells]], data: st.DataObject
) -> None:
    plan, rows_ = given_
    cut = data.draw(st.integers(1, len(rows_) - 1))
    whole, counts = masked(plan, rows_)
    first, counts_first = masked(plan, rows_[:cut])
    second, counts_second = masked(plan, rows_[cut:])
    assert first + second == whole
    assert Counter(counts_first) + Counter(counts_second) == Counter(counts)


def test_more_rows_than_are_looked_at_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_arrays, "_AT_ONCE", 50)
    plan = Plan((Style.NULL, Style.KEEP_DOMAIN, Watch.TEXT, Watch.NULL), SWEEP)
    rows_: list[Cells] = [
        [b"%d" % i, b"user%d@example.com" % i, CARD if i % 7 else None, CARD if i % 5 == 0 else b""]
        for i in range(333)
    ]
    assert masked(plan, rows_) == wanted(plan, rows_)


@pytest.mark.parametrize("count", [1, FEW - 1, FEW, 300])
def test_no_byte_of_a_masked_value_stays_beyond_what_the_style_keeps(count: int) -> None:
    canary = b"QzXjVwKpYg#mBn"
    plan = Plan((None, Style.FULL, Style.NULL, Style.KEEP_LAST_4, Style.KEEP_DOMAIN))
    secret = [b"open", canary, canary, canary + b"LAST", canary + b"@kept.example"]
    chunk, _ = mask_rows(plan, bytearray(b"".join(frame(list(secret)) for _ in range(count))))
    left = bytes(chunk)
    assert left.count(b"LAST") == left.count(b"@kept.example") == left.count(b"open") == count
    for size in range(2, len(canary) + 1):
        for start in range(len(canary) - size + 1):
            assert canary[start : start + size] not in left


@pytest.mark.parametrize("count", [3, 100])
def test_rows_without_a_description_are_null_in_every_cell_of_any_width(count: int) -> None:
    for width in (0, 1, 3):
        rows_: list[Cells] = [[b"a", None, b""][:width] for _ in range(count)]
        found, counts = masked(Plan.nulls, rows_)
        assert found == [[None] * width for _ in rows_]
        assert sum(counts.values()) == sum(cell is not None for row in rows_ for cell in row)


@pytest.mark.parametrize("count", [3, 100])
def test_a_row_that_loses_nothing_is_masked_where_it_stands(count: int) -> None:
    chunk = bytearray(b"".join(frame([b"secret", b"open"]) for _ in range(count)))
    result, _ = mask_rows(Plan((Style.FULL, None)), chunk)
    assert result is chunk


@pytest.mark.parametrize("size", [48, 49, 57, 0x3131, 0x4039])
@pytest.mark.parametrize("count", [2, 80])
def test_length_bytes_that_look_like_text_hide_no_hit(size: int, count: int) -> None:
    for hit in (CARD, b"123-45-6789", b"ada@example.com"):
        cell = (hit + b" " * size)[:size] if size >= len(hit) else hit
        found, counts = masked(Plan((None, Watch.TEXT), SWEEP), [[b"7", cell]] * count)
        assert sum(counts.values()) == count
        assert all(row[1] is not None and b"*" in row[1] for row in found)


def test_a_rejected_card_hides_no_other_hit() -> None:
    rows_: list[Cells] = [[b"4111111111111112 123-45-6789"], [b"4111 1111 1111 1112-123-45-6789"]]
    found, counts = masked(Plan((Watch.TEXT,), SWEEP), rows_)
    assert found[0] == [b"4111111111111112 *******6789"]
    assert counts["ssn"] >= 1


@pytest.mark.parametrize("count", [1, 70])
@pytest.mark.parametrize(
    ("text", "left"),
    [
        (b'{"mail": "ada@example.com", "n": 1}', b'{"mail": "***@example.com", "n": 1}'),
        (b'{"note": "\\nada@example.com"}', b'{"note": "\\n***@example.com"}'),
        (b'{"note": "\\\\nada@example.com"}', b'{"note": "\\\\****@example.com"}'),
        (b'{"note": "\\u00e9ada@example.com"}', b'{"note": "\\u00e9***@example.com"}'),
        (b'["4111111111111111", 5]', b'["************1111", 5]'),
        (b'{"card": 4111111111111111}', b'{"card": null            }'),
        (b"[4111111111111111.00,1]", b"[null               ,1]"),
        (b"4111111111111111", b"null            "),
        (b'{"mail": "ada\\u0040example.com"}', None),
        (b'{"hook": "https:\\/\\/hooks.slack.com\\/services\\/T0000\\/B0000\\/abc"}', None),
        (b'{"caf\\u00e9": "a\\u0020b"}', b'{"caf\\u00e9": "a\\u0020b"}'),
        (b'{"say": "\\"4111111111111111\\""}', b'{"say": "\\"************1111\\""}'),
        (b'{"plain": 12}', b'{"plain": 12}'),
        (rb'["\\\\\\\\nada@example.com"]', rb'["\\\\\\\\****@example.com"]'),
        (rb'["\\\\\\\nada@example.com"]', rb'["\\\\\\\n***@example.com"]'),
    ],
)
def test_json_stays_json_or_becomes_null(text: bytes, left: bytes | None, count: int) -> None:
    found, _ = masked(Plan((Watch.JSON,), SWEEP), [[text]] * count)
    assert found == [[left]] * count
    if left is not None:
        json.loads(left)


@pytest.mark.parametrize("count", [1, 70])
@pytest.mark.parametrize(
    ("watch", "text", "left"),
    [
        (Watch.ARRAY, b"{ada@example.com,x}", b"{***@example.com,x}"),
        (Watch.ARRAY, b'{"4111 1111 1111 1111",NULL}', b'{"***************1111",NULL}'),
        (Watch.XML, b"<a>ada@example.com</a>", b"<a>***@example.com</a>"),
        (Watch.XML, b'<a href="x">4111111111111111</a>', b'<a href="x">************1111</a>'),
        (Watch.XML, b"<a>x=ada@example.com</a>", None),
    ],
)
def test_what_is_left_is_a_value_of_its_type(
    watch: Watch, text: bytes, left: bytes | None, count: int
) -> None:
    assert masked(Plan((watch,), SWEEP), [[text]] * count)[0] == [[left]] * count


def binary_array(oid: int, *elements: bytes | None) -> bytes:
    """One dimension, as array_send writes it."""
    body = b"".join(
        struct.pack("!i", -1) if one is None else struct.pack("!i", len(one)) + one
        for one in elements
    )
    return struct.pack("!iiIii", 1, int(None in elements), oid, len(elements), 1) + body


def binary_row(*fields: tuple[int, bytes]) -> bytes:
    """A composite, as record_send writes it."""
    body = b"".join(struct.pack("!Ii", oid, len(value)) + value for oid, value in fields)
    return struct.pack("!i", len(fields)) + body


INT8 = struct.pack("!q", int(CARD))
NUMERIC = struct.pack("!hhHh4H", 4, 3, 0, 0, 4111, 1111, 1111, 1111)
HIDDEN = b"************1111"


@pytest.mark.parametrize("count", [1, 70])
@pytest.mark.parametrize(
    ("watch", "value", "left"),
    [
        (Watch.INT8, INT8, None),
        (Watch.INT8, struct.pack("!q", int(CARD) + 1), struct.pack("!q", int(CARD) + 1)),
        (Watch.NUMERIC, NUMERIC, None),
        (Watch.NUMERIC, struct.pack("!hhHh", 0, 0, 0, 0), struct.pack("!hhHh", 0, 0, 0, 0)),
        (Watch.BYTEA, b"mail ada@example.com", None),
        (Watch.BYTEA, b"\\x" + b"mail ada@example.com".hex().encode(), None),
        (Watch.BYTEA, b"\x00\x01ada@example.com", b"\x00\x01ada@example.com"),
        (Watch.INET, b"\x02\x20\x00\x04\x0a\x00\x00\x01", None),
        (Watch.JSON, b'\x01{"card": 4111111111111111}', b'\x01{"card": null            }'),
        (Watch.MEMBERS, binary_array(25, CARD, None, b"x"), binary_array(25, HIDDEN, None, b"x")),
        # A length of 49 is "1", which stands before the card in the row's bytes.
        (
            Watch.MEMBERS,
            binary_array(25, CARD + b" " * 33),
            binary_array(25, HIDDEN + b" " * 33),
        ),
        (Watch.PARTS, binary_array(20, INT8), None),
        (Watch.PARTS, binary_array(17, b"ada@example.com"), None),
        (Watch.PARTS, binary_row((23, b"\0\0\0\7"), (25, CARD)), None),
        (Watch.PARTS, binary_row((23, b"\0\0\0\7"), (20, INT8)), None),
        (Watch.PARTS, binary_row((2249, binary_row((1700, NUMERIC))), (25, b"x")), None),
        (
            Watch.PARTS,
            binary_row((25, b"plain"), (20, b"\0" * 8)),
            binary_row((25, b"plain"), (20, b"\0" * 8)),
        ),
        (Watch.PARTS, struct.pack("!ii1si16s", 1, 1, b"k", 16, CARD), None),  # hstore
        (Watch.PARTS, b"an enum", b"an enum"),
    ],
)
def test_what_no_text_shows_is_found_in_binary(
    watch: Watch, value: bytes, left: bytes | None, count: int
) -> None:
    assert masked(Plan((watch,), SWEEP), [[value]] * count)[0] == [[left]] * count


def test_kinds_that_are_off_are_not_looked_for_in_binary() -> None:
    for watch, value in ((Watch.INT8, INT8), (Watch.NUMERIC, NUMERIC), (Watch.INET, b"\x02" * 8)):
        assert masked(Plan((watch,), Sweep(["email"])), [[value]]) == ([[value]], {})


json_text = st.text(st.sampled_from('ada@exmpl.co4111 -"\\\n\té/uU05'), max_size=30)


@settings(max_examples=300, deadline=None)
@given(st.recursive(json_text | st.integers() | st.just(int(CARD)), st.lists, max_leaves=8))
def test_what_is_left_of_any_json_still_is_json(value: object) -> None:
    for ascii_only in (True, False):
        text = json.dumps([value, "x\n" + CARD.decode()], ensure_ascii=ascii_only).encode()
        [[left]], _ = masked(Plan((Watch.JSON,), SWEEP), [[text]])
        if left is not None:
            json.loads(left)
            assert CARD not in left


broken = {
    "cut short": lambda row: row[:-1],
    "shorter than a row can be": lambda row: b"D" + struct.pack("!I", 5) + row[5:],
    "a length of zero": lambda row: b"D" + bytes(4) + row[5:],
    "another kind of frame": lambda row: b"C" + row[1:],
    "one column more": lambda row: row[:5] + struct.pack("!H", 3) + row[7:],
    "one column less": lambda row: row[:5] + struct.pack("!H", 1) + row[7:],
    "a field over the end": lambda row: row[:7] + struct.pack("!i", 10_000) + row[11:],
    "a field into the next row": lambda row: row[:7] + struct.pack("!i", 7) + row[11:],
    "a negative length": lambda row: row[:7] + struct.pack("!i", -2) + row[11:],
    "the largest length": lambda row: row[:7] + struct.pack("!i", 2**31 - 1) + row[11:],
    "a frame that is nearly endless": lambda row: b"D" + b"\xff" * 4 + row[5:],
    "only a head": lambda row: row[:5],
}


@pytest.mark.parametrize("how", broken)
@pytest.mark.parametrize("before", [0, 100])
def test_a_frame_that_does_not_fit_is_a_protocol_error(how: str, before: int) -> None:
    good = frame([b"ab", b"cd"])
    for after in (0, 100):
        chunk = good * before + broken[how](good) + good * after
        for plan in (Plan((None, Style.FULL)), Plan((Style.NULL, Style.NULL)), Plan.nulls):
            with pytest.raises(ProtocolError):
                mask_rows(plan, bytearray(chunk))


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 90), st.data())
def test_any_bytes_are_rows_or_a_protocol_error(before: int, data: st.DataObject) -> None:
    chunk = bytearray(frame([b"ab", None]) * before + frame([b"4111111111111111", b"a@b.co"]))
    for _ in range(data.draw(st.integers(0, 3))):
        chunk[data.draw(st.integers(0, len(chunk) - 1))] = data.draw(st.integers(0, 255))
    plan = Plan(tuple(data.draw(treatments) for _ in range(2)), SWEEP)
    with contextlib.suppress(ProtocolError):
        mask_rows(plan, chunk)


def test_no_rows_are_no_rows() -> None:
    assert mask_rows(Plan.nulls, bytearray()) == (bytearray(), {})


def test_a_column_that_is_null_in_every_row_stays_so() -> None:
    found, counts = masked(Plan((Style.FULL, Watch.TEXT), SWEEP), [[None, None]] * 100)
    assert (found, counts) == ([[None, None]] * 100, {})
    hits: list[Cells] = [[CARD, None] for _ in range(100)]
    assert masked(Plan((Watch.TEXT, Watch.TEXT), SWEEP), hits)[1] == {"card": 100}


def test_a_cell_of_many_megabytes_is_masked_beside_small_rows() -> None:
    big = b"x" * (8 << 20) + b" 4111111111111111 ada@example.com"
    small: list[Cells] = [[b"a@b.co", None] for _ in range(70)]
    rows_: list[Cells] = [*small, [big, big], *small]
    for first in (Style.FULL, Style.KEEP_DOMAIN, Style.KEEP_LAST_4, Style.NULL, Watch.TEXT):
        found, _ = masked(Plan((first, Watch.TEXT), SWEEP), rows_)
        assert found[0][0] != b"a@b.co"
        assert found[70][1] == b"x" * (8 << 20) + b" ************1111 ***@example.com"


@pytest.mark.parametrize("count", [3, FEW + 10])
def test_masked_values_are_counted_by_column_and_kind(count: int) -> None:
    plan = Plan((Style.FULL, None, Style.FULL, Watch.TEXT), SWEEP)
    cells: Cells = [b"a", b"b", None, b"ada@example.com and bo@example.com"]
    plain: Cells = [b"a", b"b", b"c", b"nothing"]
    rows_ = [cells, *[plain] * (count - 1)]
    _, counts = mask_rows(plan, bytearray(b"".join(map(frame, rows_))))
    assert counts == {(0, "full"): count, (2, "full"): count - 1, (3, "email"): 2}
