"""The rows of a COPY TO STDOUT under a plan, against a writer and a reader of our own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopcore.detectors import Sweep
from hoopcore.forms import hashed
from hoopcore.masking import Masking, Plan
from hoopcore.protocols.postgres import copies as copies_module
from hoopcore.protocols.postgres import wire
from hoopcore.protocols.postgres.copies import CopyRows
from hoopcore.sql.postgres import read
from hoopcore.statement import CopyForm, CopyOut
from hoopcore.stream import ProtocolError
from hoopcore.styles import FORMED, Style, hidden
from hoopcore.watches import Watch
from tests.unit.test_postgres_stream import CATALOG, PEOPLE

Value = bytes | None
TEXT = CopyForm()
CSV = CopyForm(csv=True, delimiter=b",", null=b"", quote=b'"', escape=b'"')
FORMS = [
    TEXT,
    CopyForm(delimiter=b"|", null=b""),
    CopyForm(delimiter=b"-", null=b"\\N"),
    CopyForm(delimiter=b"\x01"),
    CSV,
    CopyForm(csv=True, delimiter=b"-", null=b"nil", quote=b"'", escape=b"'"),
    CopyForm(csv=True, delimiter=b"\t", null=b"", quote=b'"', escape=b"\\"),
    CopyForm(csv=True, delimiter=b";", null=b"~", quote=b"*", escape=b"e"),
]
LETTERS = {8: b"b", 12: b"f", 10: b"n", 13: b"r", 9: b"t", 11: b"v"}
CARD = b"4111111111111111"


def escaped(value: bytes, form: CopyForm) -> bytes:
    """As CopyAttributeOutText of PostgreSQL writes it."""
    out = b""
    for byte in value:
        sign = bytes((byte,))
        if byte in LETTERS:
            out += b"\\" + LETTERS[byte]
        elif sign in (b"\\", form.delimiter):
            out += b"\\" + sign
        else:
            out += sign
    return out


def quoted(value: bytes, form: CopyForm, *, force: bool, single: bool) -> bytes:
    """As CopyAttributeOutCSV writes it."""
    special = any(sign in value for sign in (form.delimiter, form.quote, b"\n", b"\r"))
    if not (force or special or value == form.null or (single and value == b"\\.")):
        return value
    out = form.quote
    for byte in value:
        sign = bytes((byte,))
        out += form.escape + sign if sign in (form.quote, form.escape) else sign
    return out + form.quote


def written(values: Sequence[Value], form: CopyForm, *, force: bool = False) -> bytes:
    single = len(values) == 1
    return form.delimiter.join(
        form.null if value is None
        else quoted(value, form, force=force, single=single) if form.csv
        else escaped(value, form)
        for value in values
    ) + b"\n"  # fmt: skip


def readable(text: bytes, form: CopyForm) -> list[list[Value]]:
    """As a client reads it, sign by sign."""
    rows: list[list[Value]] = []
    fields: list[Value] = []
    raw = value = b""
    inside, at = False, 0
    signs = {letter: bytes((byte,)) for byte, letter in LETTERS.items()}
    while at < len(text):
        sign = text[at : at + 1]
        after = text[at + 1 : at + 2]
        if inside and sign == form.escape and after in (form.quote, form.escape):
            raw, value, at = raw + sign + after, value + after, at + 2
        elif form.csv and sign == form.quote:
            inside, raw, at = not inside, raw + sign, at + 1
        elif not inside and sign in (form.delimiter, b"\n"):
            fields.append(None if raw == form.null else value)
            raw = value = b""
            if sign == b"\n":
                rows.append(fields)
                fields = []
            at += 1
        elif not form.csv and sign == b"\\":
            raw, value, at = raw + sign + after, value + signs.get(after, after), at + 2
        else:
            raw, value, at = raw + sign, value + sign, at + 1
    assert not fields
    assert not raw
    return rows


def frames(*payloads: bytes) -> bytearray:
    return bytearray(b"".join(wire.frame(wire.COPY_DATA, payload) for payload in payloads))


def payload(chunks: Sequence[bytes | bytearray | memoryview]) -> bytes:
    """What the frames hold, all together."""
    data, out = b"".join(chunks), b""
    while data:
        kind, length = wire.HEADER.unpack_from(data)
        assert kind == wire.COPY_DATA
        out += data[5 : length + 1]
        data = data[length + 1 :]
    return out


def masked(
    form: CopyForm, plan: Plan, width: int, *payloads: bytes
) -> tuple[bytes, dict[tuple[int, str], int]]:
    rows = CopyRows(form, plan, width)
    out = payload(rows.take(frames(*payloads)))
    rows.end()
    return out, dict(rows.counts)


SIGNS = st.sampled_from([b"a", b"\xc3\xa9", b"\\", b",", b'"', b"\n", b"\t", b"'", b"|", b"-", b"*",
                         b"e", b"N", b"\x01", b"\r", b"x1", b".", b"ni", b"l"])  # fmt: skip
PLAIN_SIGNS = st.sampled_from([b"a", b"\xc3\xa9", b"@", b"*", b"N", b".", b"1", b"\\"])
PLAIN_VALUES = st.one_of(st.none(), st.lists(PLAIN_SIGNS, max_size=20).map(b"".join))
VALUES = st.one_of(st.none(), st.lists(SIGNS, max_size=8).map(b"".join))
CELLS = st.sampled_from([None, *Style, Watch.TEXT])


@st.composite
def copies(draw: st.DrawFn) -> tuple[CopyForm, Plan, list[list[Value]], bool]:
    width = draw(st.integers(1, 4))
    cells = draw(st.lists(CELLS, min_size=width, max_size=width))
    some = draw(st.sampled_from([VALUES, PLAIN_VALUES]))
    row = st.lists(some, min_size=width, max_size=width)
    rows = draw(st.lists(row, min_size=1, max_size=6))
    plan = Plan(tuple(cells), Sweep.of(("card",)), True)
    return draw(st.sampled_from(FORMS)), plan, rows, draw(st.booleans())


def after(plan: Plan, row: Sequence[Value]) -> list[Value]:
    assert plan.cells is not None
    out: list[Value] = []
    for cell, value in zip(plan.cells, row, strict=True):
        if value is None or not isinstance(cell, Style):
            out.append(value)
        elif cell is Style.NULL or cell in FORMED:  # no form is given here
            out.append(None)
        else:
            size = hidden(cell, value, utf8=True)
            out.append(b"*" * size + value[size:])
    return out


@pytest.fixture(params=["row by row", "many rows at once"], autouse=True, scope="module")
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copies_module, "_FEW", 0 if request.param.startswith("many") else 1 << 30)
        yield


@given(copies())
@settings(max_examples=800, deadline=None)
def test_a_client_reads_masked_values_in_whatever_form(
    example: tuple[CopyForm, Plan, list[list[Value]], bool],
) -> None:
    form, plan, rows, force = example
    got, _ = masked(form, plan, len(rows[0]), *(written(row, form, force=force) for row in rows))
    want = [after(plan, row) for row in rows]
    # There NULL and a value of the same signs are one, as long as none of these is escaped.
    if not form.csv and b"\\" not in form.null:
        want = [[None if v == form.null else v for v in row] for row in want]
    assert readable(got, form) == want


@given(copies(), st.data())
@settings(max_examples=200, deadline=None)
def test_any_cut_into_frames_gives_the_same_rows(
    example: tuple[CopyForm, Plan, list[list[Value]], bool], data: st.DataObject
) -> None:
    form, plan, rows, force = example
    width = len(rows[0])
    parts = [written(row, form, force=force) for row in rows]
    whole, counts = masked(form, plan, width, *parts)
    text = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert masked(form, plan, width, *pieces) == (whole, counts)
    machine = CopyRows(form, plan, width)
    assert payload([c for piece in pieces for c in machine.take(frames(piece))]) == whole


@pytest.mark.parametrize("form", FORMS)
def test_a_card_is_found_wherever_a_field_may_hold_it(form: CopyForm) -> None:
    plan = Plan((None, Watch.TEXT, Watch.TEXT), Sweep.of(("card",)), True)
    for around in (b"", b"\\", b'"', b"'", b"\n", b"\t", b"--", b"e "):
        rows: list[list[Value]] = [[b"1", b"a", None], [b"2", around + CARD + around, b"x"]]
        got, counts = masked(form, plan, 3, *(written(row, form) for row in rows))
        assert CARD not in got
        assert readable(got, form)[1][1] == around + b"*" * 12 + b"1111" + around
        assert counts == {(1, "card"): 1}
    dashed = b"4111-1111-1111-1111"
    got, _ = masked(form, plan, 3, written([b"1", dashed, dashed], form))
    assert readable(got, form) == [[b"1", b"*" * 15 + b"1111", b"*" * 15 + b"1111"]]


def test_rows_in_which_nothing_is_seen_leave_as_the_chunk_that_came() -> None:
    plan = Plan((None, Watch.TEXT), Sweep.of(("card", "email")), True)
    chunk = frames(b"1\tabc\n", b"2\t\\N\n", b"3\tover \\n there\n")
    assert CopyRows(TEXT, plan, 2).take(chunk) == [chunk]


def test_a_style_without_stars_is_written_in_a_copy_as_in_a_row() -> None:
    masks = '[[mask]]\ncolumn = "public.people.ssn"\nstyle = "hash"\n'
    bound = Masking.load(masks, b"k" * 32).bind(CATALOG)
    plan = bound.copied(CopyOut(PEOPLE), 2, True, "UTF8")
    assert plan is not None
    got, _ = masked(TEXT, plan, 2, b"1\t123\n", b"2\t\\N\n", b"3\t123\n")
    one, other, same = readable(got, TEXT)
    assert one == [b"1", hashed(b"k" * 32, b"123")]
    assert other == [b"2", None]
    assert same[1] == one[1]


def test_a_header_passes_and_only_the_first_row_is_one() -> None:
    form = CopyForm(header=True)
    got, _ = masked(form, Plan((Style.FULL,)), 1, b"ssn\n", b"ssn\n")
    assert got == b"ssn\n***\n"


def test_no_null_of_the_clients_choice_tells_which_value_it_is() -> None:
    form = CopyForm(null=b"123-45-6789")
    got, _ = masked(form, Plan((Style.FULL,)), 1, b"123-45-6789\n", b"123-45-6788\n")
    assert got == b"123-45-6789\n" * 2
    csv = CopyForm(csv=True, delimiter=b",", null=b"123", quote=b'"', escape=b'"')
    assert masked(csv, Plan((Style.FULL,)), 1, b'"123"\n', b"123\n")[0] == b'"***"\n123\n'


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (TEXT, b"1\t2\t3\n"),
        (TEXT, b"1\n"),
        (CSV, b'1,"2\n'),
        (CSV, b'1,2"3\n'),
        (CSV, b'1,"2"3\n'),
        (CSV, b"1,2,3\n"),
        (TEXT, b"1\t2"),
    ],
)
def test_a_row_that_does_not_fit_ends_the_session(form: CopyForm, text: bytes) -> None:
    with pytest.raises(ProtocolError):
        masked(form, Plan((None, Style.FULL)), 2, text)


def test_a_row_that_is_not_whole_is_held() -> None:
    rows = CopyRows(TEXT, Plan((None, Style.FULL)), 2)
    assert not rows.take(frames(b"1\t12"))
    assert bytes(rows.held) == b"1\t12"
    assert payload(rows.take(frames(b"3\n2\t4"))) == b"1\t***\n"
    assert bytes(rows.held) == b"2\t4"
    with pytest.raises(ProtocolError):
        rows.end()


@pytest.mark.parametrize(
    "text",
    [
        "copy t to stdout (format binary)",
        "copy binary t to stdout",
        "copy t to stdout (format 'CSV')",
        "copy t to stdout (header match)",
        "copy t to stdout (header 2)",
        "copy t to stdout (delimiter ',', delimiter ';')",
        "copy t to stdout (delimiter 'é')",
        "copy t to stdout (null 'é')",
        "copy t to stdout (encoding 'SJIS')",
        "copy t to stdout (on_error ignore)",
        "copy t to stdout (force_null (a))",
        "copy t to stdout (format csv, quote ',')",
        "copy t to stdout (format csv, escape ',')",
        "copy t to stdout (format csv, null 'a\"b')",
        "copy t to stdout (quote 'x')",
        "copy t to stdout (format)",
    ],
)
def test_a_copy_in_a_form_that_is_not_known_has_none(text: str) -> None:
    (statement,) = read(text.encode()).statements
    assert statement.copy_out is not None
    assert statement.copy_out.form is None


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("copy t to stdout", TEXT),
        ("copy t to stdout with csv header", CopyForm(True, b",", b"", b'"', b'"', True)),
        ("copy t to stdout delimiters '|' null as ''", CopyForm(delimiter=b"|", null=b"")),
        ("copy t to stdout (header off, encoding latin1)", CopyForm(encoding="latin1")),
        (
            "copy t to stdout (format csv, force_quote *, escape '\\')",
            CopyForm(True, b",", b"", b'"', b"\\"),
        ),
    ],
)
def test_the_form_of_a_copy_is_read_from_its_options(text: str, form: CopyForm) -> None:
    (statement,) = read(text.encode()).statements
    assert statement.copy_out is not None
    assert statement.copy_out.form == form
