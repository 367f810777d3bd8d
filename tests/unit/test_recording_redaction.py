"""What masks keep out of rows, recordings keep out of statements."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopcore.recording.redaction import (
    LARGEST_PARAMETER,
    LARGEST_TEXT,
    redact,
    redact_parameters,
)
from hoopcore.sql.postgres import read
from hoopcore.statement import unreadable

KEY = b"k" * 32
EMAIL = frozenset({"email"})
ANY = frozenset({"*"})
CARD = "4111 1111 1111 1111"


def kept(text: str, masked: frozenset[str] = EMAIL) -> str:
    return redact(text.encode(), read(text.encode()), masked, KEY)


def codes(text: str) -> list[str]:
    return re.findall(r"⟦[^:⟧]*:([0-9a-f]{12})⟧", text)


def test_a_literal_beside_a_masked_column_is_replaced_and_the_others_stay() -> None:
    shown = kept("select id from customers where email = 'ada@shop' and city = 'Kiel' limit 7")
    assert re.fullmatch(
        r"select id from customers where email = ⟦email:[0-9a-f]{12}⟧ and city = 'Kiel' limit 7",
        shown,
    )


@pytest.mark.parametrize(
    "text",
    [
        "select 1 from c where lower(email) = lower('SECRET')",
        "select 1 from c where email like 'SECRET%'",
        "select 1 from c where email in ('x', 'SECRET')",
        "select 1 from c where email between 'A' and 'SECRET'",
        "select 1 from c where 'SECRET' = c.email",
        "select 1 from c where c.email = E'SECRET'",
        "select 1 from c where email = $$SECRET$$",
        "select 1 from c where email = $q$SECRET$q$",
        "select 1 from c where email = U&'SECRET'",
        "select 1 from c where (email, id) = ('SECRET', 3)",
        "select 1 from c where email = any (array['SECRET'])",
        "select 1 from c where email ~ 'SECRET'",
        "insert into c (id, email) values (1, 'SECRET'), (2, 'SECRET')",
        "insert into c values (1, 'SECRET')",
        "update c set email = 'SECRET' where id = 3",
        "update c set (id, email) = (3, 'SECRET')",
        "select case when email = 'SECRET' then 1 end from c",
        "merge into c using d on c.id = d.id when matched then update set email = 'SECRET'",
        "with x as (select 'SECRET' as e) select 1 from c, x where c.email = x.e",
        "select 1 from c join (values ('SECRET')) v(e) on c.email = v.e",
        "execute p('SECRET')",
        "comment on column c.email is 'SECRET'",
        "alter table c alter column email set default 'SECRET'",
        "set app.who = 'SECRET'",
        "do $$ begin update c set email = 'SECRET'; end $$",
    ],
)
def test_no_way_of_writing_a_value_gets_it_past(text: str) -> None:
    reading = read(text.encode())
    masked = ANY if any(one.opaque for one in reading.statements) or reading.why else EMAIL
    assert "SECRET" not in redact(text.encode(), reading, masked, KEY)


def test_equal_values_have_equal_codes_as_literal_and_as_parameter() -> None:
    as_text = kept("select 1 from c where email = 'o''neil@shop'")
    as_dollars = kept("select 1 from c where email = $$o'neil@shop$$")
    (as_parameter,) = redact_parameters([b"o'neil@shop"], [0], EMAIL, KEY)
    assert codes(as_text) == codes(as_dollars) == codes(as_parameter or "")
    assert codes(as_text) != codes(kept("select 1 from c where email = 'other@shop'"))
    again = redact(b"select 1 from c where email = 'o''neil@shop'", unreadable("x"), ANY, b"y")
    assert codes(again)[-1] != codes(as_text)[0]


def test_detectors_look_at_every_text_comments_included() -> None:
    for text in (f"select '{CARD}'", f"select 1 -- {CARD}", f"/* {CARD} */ select 1"):
        shown = kept(text, frozenset())
        assert "1111" not in shown
        assert "⟦card:" in shown


def test_a_text_that_cannot_be_read_loses_every_constant() -> None:
    text = b"selekt email from c where email = 'SECRET' and n = 4711 and s = E'SEC' -- SECRET"
    shown = redact(text, unreadable("grammar"), ANY, KEY)
    assert shown.startswith("selekt email from c where email = ⟦value:")
    assert "SEC" not in shown
    assert "4711" not in shown


@pytest.mark.parametrize(
    "text",
    [
        rb"select 'a\' , 'SECRET'",  # where the first string ends hangs on a setting
        b"select 'SECRET",
        b'select "SECRET',
        b"select $q$ SECRET",
        b"select /* /* */ SECRET",
    ],
)
def test_a_text_whose_quotes_cannot_be_told_is_one_code(text: bytes) -> None:
    assert re.fullmatch(r"⟦text:[0-9a-f]{12}⟧", redact(text, unreadable("?"), ANY, KEY))


def test_unread_text_is_kept_where_there_is_nothing_to_hide() -> None:
    assert redact(b"selekt 'x'", unreadable("?"), frozenset(), KEY) == "selekt 'x'"


def test_comments_of_a_read_text_stay_and_of_an_unread_one_go() -> None:
    text = b"/* app=shop /* nested */ */ select 1 -- end"
    assert redact(text, read(text), ANY, KEY).startswith("/* app=shop /* nested */ */ select ")
    shown = redact(text, unreadable("?"), ANY, KEY)
    assert re.fullmatch(r"⟦comment:\w+⟧ select ⟦value:\w+⟧ ⟦comment:\w+⟧", shown)


def test_exact_text_that_is_too_long_is_cut_too() -> None:
    shown = redact(b"x" * (LARGEST_TEXT + 9), unreadable("?"))
    assert re.fullmatch(r"x+…⟦cut:9 bytes:[0-9a-f]{12}⟧", shown)


def test_exact_text_is_exact() -> None:
    text = f"select '{CARD}' from c where email = 'x'"
    assert redact(text.encode(), read(text.encode()), EMAIL, None) == text


def test_text_is_told_in_utf8_whatever_the_client_speaks() -> None:
    text = "select 'é' from c where email = 'ü'"
    utf8 = read(text.encode())
    shown = redact(text.encode("latin-1"), utf8, EMAIL, KEY, "LATIN1")
    assert shown == redact(text.encode(), utf8, EMAIL, KEY, "UTF8")
    assert shown.startswith("select 'é' from c where email = ⟦email:")
    assert redact(b"\x80 'x'", unreadable("?"), frozenset(), KEY, "WIN1252") == "€ 'x'"
    assert redact(b"\xff", unreadable("?"), frozenset(), KEY) == r"\xff"


def test_parameters_of_a_covered_statement_are_all_replaced() -> None:
    shown = redact_parameters([b"ada", None, b"\x00\x00\x00\x07"], [0, 0, 1], EMAIL, KEY)
    assert shown[1] is None
    assert all(re.fullmatch(r"⟦value:[0-9a-f]{12}⟧", one) for one in (shown[0], shown[2]) if one)


def test_parameters_of_others_are_kept_but_for_what_detectors_find() -> None:
    shown = redact_parameters(
        [b"ada", CARD.encode(), b"\x00\x00\x00\x07", b"ada"], [0, 0, 1, 1], frozenset(), KEY
    )
    assert shown[0] == shown[3] == "ada"
    assert (shown[1] or "").startswith("⟦card:")
    assert shown[2] == "\\x00000007"
    (binary,) = redact_parameters([b"\0" + CARD.encode() + b"\xff"], [1], frozenset(), KEY)
    assert (binary or "").startswith("⟦card:")
    (exact,) = redact_parameters([CARD.encode()], [], EMAIL, None)
    assert exact == CARD
    (long,) = redact_parameters([b"\xff" * 5000], [1], frozenset(), KEY)
    assert (long or "").endswith("…⟦cut:5000 bytes⟧")
    assert redact_parameters([b"\0"], [1], frozenset(), None) == ("\\x00",)


def test_what_is_too_long_is_cut_with_a_mark_never_inside_a_value() -> None:
    padding = "x" * (LARGEST_TEXT - 24)
    text = f"select 1 -- {padding} {CARD} tail"
    shown = kept(text, frozenset())
    assert "4111" not in shown
    assert re.search(r"…⟦cut:\d+ bytes:[0-9a-f]{12}⟧$", shown)
    (parameter,) = redact_parameters([b"y" * 10_000], [0], frozenset(), KEY)
    assert (parameter or "").startswith("y" * LARGEST_PARAMETER + "…⟦cut:5904 bytes:")
    many = redact_parameters([b"y" * 4000] * 1000, [], frozenset(), KEY)
    assert many[-1] == f"⟦cut:{1000 - len(many) + 1} parameters⟧"


def test_a_covered_text_that_is_too_long_gives_no_value_away_at_the_cut() -> None:
    # The reader process reads such texts; here the reading is given.
    rows = ",".join(f"('SECRET{i}')" for i in range(LARGEST_TEXT // 10))
    text = f"insert into c (email) values {rows}".encode()
    short = read(b"insert into c (email) values ('x')")
    shown = redact(text, short, EMAIL, KEY)
    assert "SECRET" not in shown
    assert len(shown) < 3 * LARGEST_TEXT
    assert "⟦cut:" in shown


@pytest.mark.parametrize(
    "text",
    [
        b"'" * 200_001,
        b"$" * 200_000,
        b"/*" * 100_000,
        b"a'" * 100_000,
        b"1e" * 100_000,
        b"$a" * 9999,
    ],
)
def test_no_text_makes_redaction_slow(text: bytes) -> None:
    began = time.process_time()
    redact(text, unreadable("?"), ANY, KEY)
    assert time.process_time() - began < 5  # quadratic would be minutes


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=80), st.sampled_from(["UTF8", "LATIN1", "SQL_ASCII", "no such", "WIN1250"])
)
def test_any_bytes_have_a_text_that_can_be_kept(text: bytes, encoding: str) -> None:
    for masked in (frozenset[str](), EMAIL, ANY):
        for reading in (unreadable("?"), read(text)):
            redact(text, reading, masked, KEY, encoding).encode()
        redact_parameters([text], [0], masked, KEY, encoding)
