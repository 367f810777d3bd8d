"""Each kind of detector by itself: what it finds, what it leaves; and detectors of one's own."""

from __future__ import annotations

import numpy as np
import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopcore.detectors import CHECKSUMS, KINDS, Own, Sweep, find, phone
from hoopcore.detectors.checksums import fits
from hoopcore.detectors.many import addresses
from hoopcore.detectors.own import without_borders
from hoopcore.detectors.phones import is_international
from tests.conformance import detection

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
GITHUB = "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"  # GitHub's own example of its checksum
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # of AWS's documentation


def found(kind: str, text: str) -> list[str]:
    return [text.encode()[s.start : s.stop].decode() for s in find(text.encode(), [kind])]


@pytest.mark.parametrize(
    ("kind", "text", "hits"),
    [
        ("iban", "to DE89370400440532013000.", ["DE89370400440532013000"]),
        ("iban", "GB82 WEST 1234 5698 7654 32 BIC", ["GB82 WEST 1234 5698 7654 32"]),
        ("iban", "IBAN NO93 8601 1117 947", ["NO93 8601 1117 947"]),
        ("iban", "MT84MALT011000012345MTLCAST001S", ["MT84MALT011000012345MTLCAST001S"]),
        ("iban", "DE89370400440532013001", []),
        ("iban", "XDE89370400440532013000", []),
        ("iban", "DE8937040044053201300", []),
        ("phone", "call +44 20 7946 0958 now", ["+44 20 7946 0958"]),
        ("phone", "+49 (0)30 901820", ["+49 (0)30 901820"]),
        ("phone", "+12125550142", ["+12125550142"]),
        ("phone", "0033 1 42 68 53 00", ["0033 1 42 68 53 00"]),
        ("phone", "(212) 555-0142 or 212.555.0143", ["(212) 555-0142", "212.555.0143"]),
        ("phone", "tel 2125550142", ["2125550142"]),
        ("phone", "06 12 34 56 78; 0612345678", ["06 12 34 56 78", "0612345678"]),
        ("phone", "07911 123456", ["07911 123456"]),
        ("phone", "0171/1234567", ["0171/1234567"]),
        ("phone", "2125550142", []),
        ("phone", "+999 12345678", []),
        ("phone", "2026-01-02 03:04:05", []),
        ("phone", "123-45-6789 and 0123-45-6789", []),
        ("phone", "550e8400-e29b-41d4-a716-446655440000", []),
        ("ip", "from 192.168.0.12:8080 and 10.0.0.0/8", ["192.168.0.12", "10.0.0.0"]),
        ("ip", "[2001:db8::8a2e:370:7334], ::1 and fe80::1%eth0", None),
        ("ip", "::ffff:192.0.2.128", ["::ffff:192.0.2.128"]),
        ("ip", "8.8.8.8 1.1.1.1", ["8.8.8.8", "1.1.1.1"]),
        ("ip", "v1.22.3.4 version 10.20.30.40 Safari/604.1.38.12 1.2.3.4 1.2.3.4.5", []),
        ("ip", "256.1.1.1 01.2.3.4 12.34.56 lib-10.20.30.40", []),
        ("ip", "03:04:05 aa:bb:cc:dd:ee:ff a::b std::ada 00:11:22:33:44:55:66:77", []),
        ("jwt", f"Bearer {JWT}", [JWT]),
        ("jwt", "eyJhbGciOiJub25lIn0.eyJhIjoxfQ.", ["eyJhbGciOiJub25lIn0.eyJhIjoxfQ."]),
        ("jwt", "eyJzdWIiOiIxIn0.eyJzdWIiOiIxIn0.c2ln", []),
        ("jwt", "eyJub3QganNvbiBhdCBhbGw.abc.def", []),
        ("aws-key", "AKIAIOSFODNN7EXAMPLE", ["AKIAIOSFODNN7EXAMPLE"]),
        ("aws-key", "AKIAIOSFODNN7EXAMPLEX XAKIAIOSFODNN7EXAMPLE", []),
        ("aws-key", f'aws_secret_access_key = "{AWS_SECRET}"', [AWS_SECRET]),
        ("aws-key", f"SecretAccessKey: {AWS_SECRET}", [AWS_SECRET]),
        ("aws-key", AWS_SECRET, []),
        ("aws-key", "secret " + "0123456789abcdef" * 2 + "01234567", []),
        ("gcp-key", "key=AIzaSyA" + "b" * 32, ["AIzaSyA" + "b" * 32]),
        ("gcp-key", "AIzaSyA" + "b" * 33, []),
        ("github-key", f"token {GITHUB}", [GITHUB]),
        ("github-key", GITHUB[:-1] + "8", []),
        ("github-key", "github_pat_" + "a" * 22 + "_" + "b" * 59, None),
        ("slack-key", "xoxb-123456789012-abcDEF", ["xoxb-123456789012-abcDEF"]),
        (
            "slack-key",
            "https://hooks.slack.com/services/T0/B0/x1",
            ["hooks.slack.com/services/T0/B0/x1"],
        ),
        ("slack-key", "xoxb-short", []),
        ("private-key", "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----", []),
    ],
)
def test_a_kind_finds_its_own_and_leaves_the_rest(
    kind: str, text: str, hits: list[str] | None
) -> None:
    assert (found(kind, text) == hits) if hits is not None else found(kind, text)


def test_a_private_key_goes_whole_also_in_json_and_cut_short() -> None:
    pem = "-----BEGIN RSA PRIVATE KEY-----\nMIIB\nabcd\n-----END RSA PRIVATE KEY-----"
    assert found("private-key", f"a {pem} b {pem} c") == [pem, pem]
    in_json = pem.replace("\n", "\\n")
    assert found("private-key", f'{{"private_key": "{in_json}\\n"}}') == [in_json]
    cut = pem[:40]
    assert found("private-key", f"x{cut}") == [cut]
    assert found("private-key", f"{cut} {pem}") == [f"{cut} ", pem]
    far = "-----BEGIN PRIVATE KEY-----" + "A" * 40_000
    assert len(found("private-key", far)[0]) > 16_000


def test_regions_say_whose_national_numbers_are_looked_for() -> None:
    spanish, american = "612 34 56 78", "(212) 555-0142"
    assert not Sweep([phone(["DE"])]).find(american.encode())
    assert Sweep([phone(["ES"])]).find(spanish.encode())
    assert not Sweep([phone(["US", "GB", "DE", "FR"])]).find(spanish.encode())
    assert Sweep([phone(["DE"])]).find(b"+34 612 34 56 78")


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["1", "33", "44", "49", "34", "39", "91", "7"]), st.integers(10**6, 10**11))
def test_a_number_is_one_where_phonenumbers_says_so(code: str, number: int) -> None:
    parsed = phonenumbers.PhoneNumber(country_code=int(code), national_number=number)
    valid = phonenumbers.is_valid_number(parsed)
    assert is_international(f"{code}{number}".encode()) == valid


# --- detectors of one's own -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("checksum", "good", "bad"),
    [
        ("luhn", "EMP-123455", "EMP-123456"),
        ("mod97", "529900T8BM49AURSDO55", "529900T8BM49AURSDO56"),
        ("iban", "GB82 WEST 1234 5698 7654 32", "GB82 WEST 1234 5698 7654 33"),
        ("mod11", "0-8044-2957-X", "0-8044-2958-X"),
        ("mod11", "943 476 5919", "943 476 5918"),
        ("mod11-10", "DE 86095742719", "DE 86095742718"),
        ("verhoeff", "2363", "2364"),
    ],
)
def test_a_checksum_fits_what_it_was_made_for(checksum: str, good: str, bad: str) -> None:
    assert fits(checksum, good.encode())
    assert not fits(checksum, bad.encode())


@pytest.mark.parametrize("checksum", CHECKSUMS)
def test_no_checksum_fits_what_has_no_digits(checksum: str) -> None:
    assert not any(fits(checksum, text) for text in (b"", b"-", b"x", b"7"))
    assert not CHECKSUMS[checksum](b"1-2-3")


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        (r"\bEMP-[0-9]{6}\b", r"EMP-[0-9]{6}"),
        (r"^a$|\Ab\z", "a|b"),
        (r"[\b^$]\^\$", r"[\b^$]\^\$"),
        (r"[]^]x[^]$]$", r"[]^]x[^]$]"),
        (r"[[:alpha:]$]$", r"[[:alpha:]$]"),
        (r"a\\b", r"a\\b"),
    ],
)
def test_the_quick_look_takes_a_pattern_without_its_borders(pattern: str, left: str) -> None:
    assert without_borders(pattern) == left


@pytest.mark.parametrize("pattern", [r"\Qa\E", "(", "a*", "é", r"(?<=a)b", "^"])
def test_a_pattern_that_cannot_be_looked_for_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        Own("x", pattern, match=["a"]).kind()


@pytest.mark.parametrize("pattern", ["ab+", "[^x]b[^x]", "(?s).b.", r"a\x00b", r"\ba.*b\b"])
@pytest.mark.parametrize("between", [b"\0\0\0\5", b"\0\0\1\x31", b"\xff\xff\xff\xff", b"\0\0ab"])
def test_a_pattern_that_runs_over_the_end_of_a_cell_hides_no_hit(
    pattern: str, between: bytes
) -> None:
    kind = Own("own", pattern, match=["a\0b" if "x00" in pattern else "ab abbc"]).kind()
    sweep = Sweep([kind])
    cells = [b"ab abb", b"a\0b", b"abc ab", b"", b"x ab x"]
    data, spans = b"", []
    for cell in cells:
        data += between
        spans.append((len(data), len(data) + len(cell)))
        data += cell
    places = sweep.suspects(data, 0, len(data))
    for (start, stop), cell in zip(spans, cells, strict=True):
        near = [place for place in places if start < place[1] <= stop]
        hits = {
            (hit.start - start, hit.stop - start)
            for hit in sweep.confirm(data, (start, stop), near)
        }
        if pattern != r"a\x00b":  # a byte 0 is in no text of PostgreSQL's
            assert hits == {(hit.start, hit.stop) for hit in sweep.find(cell)}


# --- many at once ---------------------------------------------------------------------------------

parts = st.sampled_from(
    [
        b"ada",
        b"@",
        b".",
        b"-",
        b"example.com",
        b"x",
        b"'",
        b" ",
        b"co",
        b"1",
        b"\xc5\xbc",
        b"e" * 50,
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.lists(parts, max_size=9).map(b"".join), min_size=1, max_size=9))
def test_plain_addresses_at_once_are_those_of_the_exact_look(cells: list[bytes]) -> None:
    chosen = [cell for cell in cells if cell.count(b"@") == 1]
    if not chosen:
        return
    data = b"a@b.cd\0\0\0x" + b"\0\0\0a".join(chosen)
    lows, place = [], 10
    for cell in chosen:
        lows.append(place)
        place += len(cell) + 4
    highs = [low + len(cell) for low, cell in zip(lows, chosen, strict=True)]
    ats = [low + cell.index(b"@") for low, cell in zip(lows, chosen, strict=True)]
    octets = np.frombuffer(bytearray(data), np.uint8)
    told = addresses(octets, *(np.array(one, np.int64) for one in (ats, lows, highs)))
    for number, (cell, low) in enumerate(zip(chosen, lows, strict=True)):
        hits = find(cell, ["email"])
        if told.certain[number]:
            assert bool(told.hits[number]) == bool(hits)
        if told.hits[number]:
            assert told.starts[number] - low == hits[0].start
            assert ats[number] - low == hits[0].stop - hits[0].keep


# --- quality --------------------------------------------------------------------------------------

# Of a small corpus; docs/reference/detectors.md has the figures of the large one.
FLOORS = {"phone": (0.93, 0.97), "ip": (0.90, 1.0), "card": (0.98, 0.99)}


def test_no_kind_finds_less_or_more_than_it_did() -> None:
    counts, _ = detection.ours(detection.corpus(3000))
    for kind in KINDS:
        precision, recall = FLOORS.get(kind, (0.995, 0.995))
        count = counts[kind]
        assert count.found + count.missed > 100
        assert count.precision >= precision, (kind, count.examples)
        assert count.recall >= recall, (kind, count.examples)
