"""What the detectors find, what they leave, and that the quick look never misses what they find."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopcore.detectors import KINDS, Own, Span, Sweep, find, is_card

PEOPLE = ("card", "ssn", "email")
JWT = b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
GITHUB = b"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"
PEM = b"-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----"
STAFF = Own("staff", r"\bEMP-[0-9]{6}\b", "luhn", match=["EMP-123455"]).kind()


def shown(text: str, kinds: Iterable[str] = PEOPLE) -> str:
    """The text as it is shown: what is found is hidden but for what its kind keeps."""
    data = bytearray(text.encode())
    for span in find(bytes(data), kinds):
        data[span.start : span.stop - span.keep] = b"*" * (span.stop - span.keep - span.start)
    return data.decode()


@pytest.mark.parametrize(
    "number",
    [
        *("4111111111111111", "4012888888881881", "4222222222222", "5555555555554444"),
        *("5105105105105100", "2223003122003222", "2720990000000007", "378282246310005"),
        *("371449635398431", "6011111111111117", "6011000990139424", "30569309025904"),
        *("38520000023237", "36227206271667", "3530111333300000", "3566002020360505"),
        *("6200000000000005", "6759649826438453", "2200000000000004"),
    ],
)
def test_a_card_of_any_issuer_is_found(number: str) -> None:
    assert shown(f"paid with {number}, thanks") == (
        f"paid with {'*' * (len(number) - 4)}{number[-4:]}, thanks"
    )


@pytest.mark.parametrize(
    "number",
    [
        *("4111 1111 1111 1111", "4111-1111-1111-1111", "3782 822463 10005", "3056 930902 5904"),
        *("6759 6498 2643 8453", "4111 1111-1111 1111"),
    ],
)
def test_a_card_in_groups_is_found(number: str) -> None:
    assert shown(f"x {number} y") == f"x {'*' * (len(number) - 4)}{number[-4:]} y"


@pytest.mark.parametrize(
    "text",
    [
        *("4111111111111112", "4111 1111 1111 1112", "41111111111111111", "1234567812345670"),
        *("2024-01-02 03:04:05.123456", "+1 212 555 0100", "978-3-16-148410-0"),
        *("550e8400-e29b-41d4-a716-446655440000", "192.168.100.200", "0000000000000000"),
        *("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "4111  1111  1111  1111", "order 20241122103355"),
        *("000-12-3456", "666-12-3456", "900-12-3456", "123-00-4567", "123-45-0000"),
        *("123-45 6789", "1123-45-6789", "123-45-67890", "9-123-45-6789", "123-45-6789-1"),
        *("123456789", "a@b", "@example.com", "ada@", "ada@localhost", "1.2.3@10.0.0.1"),
        *("user@-example.com", "ada@example..com", "ada@.com", "see @ada", "x@1.2"),
    ],
)
def test_what_only_looks_like_it_is_left(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("123-45-6789", "*******6789"),
        ("ssn:123 45 6789.", "ssn:*******6789."),
        ("SSN123-45-6789", "SSN*******6789"),
        ("ada@example.com", "***@example.com"),
        ("<ada.l+spam@mail.example.co.uk>", "<**********@mail.example.co.uk>"),
        ("to ada@example.com.", "to ***@example.com."),
        ("a@b.co,c@d.org", "*@b.co,*@d.org"),
        ("żaneta@przykład.pl", "*******@przykład.pl"),
    ],
)
def test_numbers_and_addresses_keep_their_ends(text: str, left: str) -> None:
    assert shown(text) == left


def test_one_kind_never_hides_another() -> None:
    rejected = "4111 1111 1111 1112 123-45-6789"
    assert [span.kind for span in find(rejected.encode())] == ["ssn"]
    both = find(b"4111111111111111@example.com")
    assert [span.kind for span in both] == ["card", "email"]
    assert find(b"x@4111111111111111") == [Span(2, 18, "card", 4)]


def test_a_number_beside_a_card_does_not_hide_it() -> None:
    assert shown("order 1234 4111 1111 1111 1111 x") == "order 1234 ***************1111 x"
    assert shown("77 4111111111111111 88") == "77 ************1111 88"
    assert shown("4111111111111111 5555555555554444") == "************1111 ************4444"


@given(st.integers(0, 10**15 - 1))
def test_one_wrong_digit_is_no_card(number: int) -> None:
    good = [d for d in range(10) if is_card(b"4%014d%d" % (number % 10**14, d))]
    assert len(good) == 1


@pytest.mark.parametrize("piece", [b"4", b"4 ", b"a@", b"123-45-", b"1-", b"a.", b"@", b"a@b.co,"])
def test_no_byte_of_a_long_text_is_looked_at_many_times(piece: bytes) -> None:
    # Quadratic work on these would take hours.
    text = piece * ((1 << 19) // len(piece)) + b". 4111111111111111"
    assert find(text, ["card"]) == [Span(len(text) - 16, len(text), "card", 4)]
    sweep = Sweep(KINDS)
    places = sweep.suspects(text, 0, len(text))
    assert sweep.confirm(text, (0, len(text)), places) == find(text)


pieces = st.sampled_from(
    [
        *(b"4111111111111111", b"4111 1111 1111 1111", b"4111111111111112", b"378282246310005"),
        *(b"123-45-6789", b"000-12-3456", b"ada@example.com", b"x@", b"@", b" ", b"-", b"."),
        *(b"7", b"77", b"a", b"/", b"\xc5\xbc", b"\xff", b"\x00\x00\x00\x31", b"long words " * 50),
        *(b"DE89 3704 0044 0532 0130 00", b"GB82WEST12345698765432", b"+44 7911 123456", b"+1 "),
        *(b"(212) 555-0142", b"0171 1234567", b"192.168.0.12", b"2001:db8::1", b"::", b"eyJ"),
        *(JWT, b"AKIAIOSFODNN7EXAMPLE", b"AIzaSyD" + b"x" * 32, GITHUB, b"xoxb-1234567890-abc"),
        *(PEM, b"-----BEGIN PRIVATE KEY-----", b"\n", b"EMP-123455", b"EMP-1"),
    ]
)


SWEEPS = [
    Sweep([*KINDS, STAFF]),
    *(Sweep(kinds) for kinds in (KINDS, ("ssn", "email"), ("phone",))),
    Sweep([STAFF]),
]


@settings(max_examples=500, deadline=None)
@given(st.lists(pieces, max_size=8), st.sampled_from([b"", b"\0\0\x31\x31", b"\0\0\0\x40", b"D\0"]))
def test_the_quick_look_over_many_cells_misses_nothing(parts: list[bytes], before: bytes) -> None:
    cell = b"".join(parts)
    for sweep in SWEEPS:
        data = before + cell + b"\0\0\0\x31text"
        span = (len(before), len(before) + len(cell))
        places = [p for p in sweep.suspects(data, 0, len(data)) if span[0] < p[1] <= span[1]]
        found = sweep.confirm(data, span, places)
        shifted = [(s.start - span[0], s.stop - span[0], s.kind, s.keep) for s in found]
        assert shifted == sweep.find(cell)
