"""The audit's chain: what is changed, removed, put in, cut off or written anew is found."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from hoopcore.audit import (
    GENESIS,
    Chain,
    Head,
    Row,
    head_of,
    head_view,
    is_signed,
    line,
    row_of,
    seal,
    sign,
    view,
)
from hoopcore.model import SECOND, AuditEvent

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
START = 1_800_000_000 * SECOND


def chained(count: int, changed: int = 0) -> list[Row]:
    rows, previous = list[Row](), GENESIS
    for seq in range(1, count + 1):
        why = "other" if seq == changed else "because"
        event = AuditEvent(START + seq, "p-ana", "grant.made", f"grt-{seq}", {"reason": why})
        rows.append(seal(seq, event, previous))
        previous = rows[-1].hash
    return rows


def head(row: Row) -> Head:
    return sign(row.seq, row.hash, START, "key", KEY.sign)


def fault(rows: list[Row], heads: list[Head] | None = None, tail: Row | None = None) -> int | None:
    chain = Chain(heads)
    for row in rows:
        chain.take(row)
    found = chain.end(None if tail is None else (tail.seq, tail.hash))
    return None if found is None else found.seq


def test_a_whole_chain_fits_and_says_how_far_it_is_signed() -> None:
    rows = chained(9)
    chain = Chain([head(rows[6])])
    for row in rows:
        chain.take(row)
    assert chain.end((9, rows[-1].hash)) is None
    assert (chain.rows, chain.seq, chain.signed) == (9, 9, 7)
    assert Chain().end((0, GENESIS)) is None


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda r: [*r[:3], r[3]._replace(event=r[4].event), *r[4:]], 4),
        (lambda r: [*r[:3], r[3]._replace(hash="0" * 64), *r[4:]], 4),
        (lambda r: [*r[:3], *r[4:]], 5),
        (lambda r: r[1:], 2),
        (lambda r: [*r[:3], r[4], r[3], *r[5:]], 5),
        (lambda r: [*r[:3], r[2], *r[3:]], 3),
        (lambda r: [*r[:4], seal(5, r[0].event, r[3].hash), *r[5:]], 6),
    ],
)
def test_the_first_row_that_does_not_fit_is_named(
    spoil: Callable[[list[Row]], list[Row]], found: int
) -> None:
    assert fault(spoil(chained(9))) == found


def test_a_tail_that_was_cut_is_found_by_a_head_and_by_where_the_chain_should_end() -> None:
    rows = chained(9)
    assert fault(rows[:6], [head(rows[6])]) == 7
    assert fault(rows[:6], None, rows[8]) == 7
    assert fault([], [head(rows[6])]) == 1
    assert fault(rows[:6], [head(rows[4])]) is None  # nobody has vouched for what is gone


def test_a_chain_that_was_written_anew_is_found_by_a_head() -> None:
    rows, forged = chained(9), chained(9, changed=3)
    assert fault(forged) is None
    assert fault(forged, [head(rows[6])]) == 7
    assert fault(forged, None, rows[8]) == 9


def test_what_is_no_row_at_all_is_the_fault_and_stays_it() -> None:
    chain = Chain()
    chain.broken(1, "no row")
    chain.broken(2, "another")
    for row in chained(2):
        chain.take(row)
    found = chain.end((2, "x"))
    assert found is not None
    assert (found.seq, found.why, chain.rows) == (1, "no row", 2)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(TEXT, TEXT, st.dictionaries(TEXT, TEXT, max_size=3), st.integers(0, 2**52))
def test_a_row_comes_back_from_its_line(
    actor: str, subject: str, detail: dict[str, str], at: int
) -> None:
    row = seal(1, AuditEvent(at, actor, "a.b", subject, detail), GENESIS)
    assert row_of(json.loads(line(view(row)))) == row


@pytest.mark.parametrize(
    "change",
    [
        {"seq": "1"}, {"seq": True}, {"at": "yesterday"}, {"at": "2027-01-15T08:00:00"},
        {"at": "2027-01-15T08:00:00+00:00"}, {"detail": []}, {"detail": {"a": 1}}, {"actor": None},
        {"more": "x"},
    ],
)  # fmt: skip
def test_what_is_not_exactly_a_row_is_none(change: dict[str, object]) -> None:
    whole = view(chained(1)[0])
    assert row_of(whole) == chained(1)[0]
    with pytest.raises(ValueError, match=r"\w"):
        row_of(whole | change)
    with pytest.raises(ValueError, match="no JSON object"):
        row_of("row")


@pytest.mark.parametrize("change", [{"head": "1"}, {"at": 1.5}, {"key": None}, {"more": 1}])
def test_what_is_not_exactly_a_head_is_none(change: dict[str, object]) -> None:
    one = head(chained(1)[0])
    assert head_of(json.loads(line(head_view(one)))) == one
    with pytest.raises(ValueError, match=r"\w"):
        head_of(head_view(one) | change)


def test_a_head_is_signed_by_its_own_key_over_all_it_says() -> None:
    one = head(chained(1)[0])
    assert is_signed(one, PUBLIC)
    for changed in (
        Head(2, one.hash, one.at, one.key, one.signature),
        Head(1, "0" * 64, one.at, one.key, one.signature),
        Head(1, one.hash, one.at + 1, one.key, one.signature),
        Head(1, one.hash, one.at, one.key, "zz"),
    ):
        assert not is_signed(changed, PUBLIC)
    assert not is_signed(one, bytes(32))


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_jq_and_sha256_check_a_row_by_hand() -> None:
    event = AuditEvent(START, "p-é", "a.b", "ü", {"reason": 'say "no"\n\t\0 <&>'})
    row = seal(3, event, "ab" * 32)
    said = subprocess.run(
        ["jq", "-cS", "del(.hash)"],
        input=line(view(row)).encode(),
        capture_output=True,
        check=True,
        timeout=20,
    ).stdout
    assert hashlib.sha256(said.rstrip(b"\n")).hexdigest() == row.hash
