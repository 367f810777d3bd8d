"""What a recording says can be checked by anybody, and nothing can be changed without a trace."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from hoopcore.recording import (
    Chain,
    End,
    EndCause,
    Event,
    Finished,
    Head,
    Header,
    Notice,
    Other,
    Said,
    State,
    Totals,
    Verifier,
    event_of_line,
    events,
    key_id,
    touches_of,
    verify,
)
from hoopcore.recording.chain import hash_of, open_line
from hoopcore.statement import Effect, Reading, Relation, Statement, Touch

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
SESSION = "s-0123456789"


def header(session: str = SESSION) -> Header:
    return Header(session=session, principal="p-1111111111", target="db", key=key_id(PUBLIC))


def sealed(
    *middle: Event, session: str = SESSION, closed: bool = True, key: Ed25519PrivateKey = KEY
) -> list[bytes]:
    """The lines of a recording with these events in it; ``Head`` marks where it is signed."""
    chain = Chain()
    lines = []
    ending: list[Event] = [End(cause=EndCause.CLIENT_LEFT), Head(key=key_id(PUBLIC))]
    for event in [header(session), Head(key=key_id(PUBLIC)), *middle, *(ending if closed else [])]:
        if isinstance(event, Head):
            lines.append(chain.head(event, session, key.sign))
        else:
            lines.append(chain.seal(event))
    return lines


def some() -> list[bytes]:
    return sealed(
        Said(seq=1, text="select 1", effects=("read",)),
        Finished(seq=1, tag="SELECT 1", rows=1),
        Head(key=key_id(PUBLIC)),
        Said(seq=2, text="delete from t", verdict="refuse", rule="no"),
        Notice(text='a "quote", a \\ and ,"hash":"'),
    )


def resealed(lines: list[bytes], at: int, change: Callable[[bytes], bytes]) -> list[bytes]:
    """What somebody without the key makes of it: one line changed, all hashes behind it anew."""
    before = lines[at - 1][-67:-3] if at else b"0" * 64
    result = lines[:at]
    for i, line in enumerate(lines[at:]):
        opened = open_line(line)
        assert opened is not None
        body = change(opened.body) if i == 0 else opened.body
        before = hash_of(before, body)
        result.append(body + b',"hash":"' + before + b'"}\n')
    return result


def test_what_was_written_is_complete_and_signed_to_its_end() -> None:
    report = verify(some(), PUBLIC, session=SESSION)
    assert report.ok
    assert (report.lines, report.signed, report.bad, report.why) == (9, 9, 0, "")
    assert report.header is not None
    assert report.end is not None
    assert report.end.cause == "client left"


def test_the_head_that_the_store_keeps_must_agree() -> None:
    lines = some()
    assert verify(lines, PUBLIC, head=verify(lines, PUBLIC).head).ok
    assert verify(lines, PUBLIC, head="0" * 64).state is State.BROKEN


def test_a_recording_of_another_session_is_not_this_one() -> None:
    assert "session s-0123456789" in verify(some(), PUBLIC, session="s-zzzzzzzzzz").why


def test_another_agents_key_is_told() -> None:
    assert "names the signing key" in verify(some(), OTHER.public_key().public_bytes_raw()).why
    forged = sealed(Said(seq=1, text="x"), key=OTHER)
    assert verify(forged, PUBLIC).bad == 2


def test_without_a_key_only_the_chain_is_verified() -> None:
    report = verify(some(), None)
    assert report.ok
    assert report.signed == 0


def test_every_flipped_bit_is_found() -> None:
    lines = some()
    for at, line in enumerate(lines):
        for place in range(len(line)):
            for bit in (0x01, 0x20):
                changed = line[:place] + bytes([line[place] ^ bit]) + line[place + 1 :]
                report = verify([*lines[:at], changed, *lines[at + 1 :]], PUBLIC)
                assert report.state is State.BROKEN, (at, place, bit)
                assert report.bad == at + 1


def test_every_line_left_out_doubled_or_swapped_is_found() -> None:
    lines = some()
    for at in range(len(lines)):
        without = verify([*lines[:at], *lines[at + 1 :]], PUBLIC)
        # Without its last line, a recording is one whose end has not come.
        last = at == len(lines) - 1
        assert without.state is (State.UNFINISHED if last else State.BROKEN)
        assert not verify([*lines[:at], lines[at], *lines[at:]], PUBLIC).ok
        for other in range(at + 1, len(lines)):
            swapped = list(lines)
            swapped[at], swapped[other] = swapped[other], swapped[at]
            assert verify(swapped, PUBLIC).state is State.BROKEN


def test_a_cut_tail_is_told_apart_from_tampering() -> None:
    lines = some()
    for upto in range(2, len(lines)):
        report = verify(lines[:upto], PUBLIC)
        assert report.state is State.UNFINISHED
        assert report.lines == upto
        assert report.signed == (5 if upto >= 5 else 2)


def test_a_chain_computed_anew_without_the_key_is_found_at_the_next_head() -> None:
    lines = some()
    for at in range(len(lines)):
        forged = resealed(lines, at, lambda body: body.replace(b'"n":', b'"n" :'))
        report = verify(forged, PUBLIC)
        assert report.state is State.BROKEN, at
        assert "signature" in report.why


def test_a_forged_line_behind_the_last_head_is_told_as_unsigned() -> None:
    lines = sealed(Said(seq=1, text="delete from t"), closed=False)
    forged = resealed(lines, 2, lambda body: body.replace(b"delete", b"select"))
    report = verify(forged, PUBLIC)
    assert report.state is State.UNFINISHED
    assert (report.lines, report.signed) == (3, 2)


def test_a_recording_without_heads_is_broken() -> None:
    chain = Chain()
    lines = [chain.seal(header()), chain.seal(Said(seq=1)), chain.seal(End(cause="killed"))]
    assert verify(lines, PUBLIC).bad == 2


def test_a_head_without_a_signature_in_hex_is_none() -> None:
    for tail in (b"", b',"signature":"' + b"Z" * 128 + b'"', b',"signature":"ff"'):
        first = Chain().seal(header())
        body = b'{"type":"head","key":"k","n":2' + tail
        line = body + b',"hash":"' + hash_of(first[-67:-3], body) + b'"}\n'
        assert verify([first, line], PUBLIC).why == "it has no signature"


def test_a_verifier_takes_nothing_behind_a_misfit() -> None:
    lines = some()
    verifier = Verifier(PUBLIC)
    assert [verifier.line(line) for line in (lines[0], lines[2], lines[1])] == [True, False, False]
    assert verifier.report().bad == 2


def test_two_recordings_cannot_be_spliced() -> None:
    ours, theirs = some(), sealed(*[Said(seq=i) for i in range(7)], session="s-9999999999")
    for at in range(1, len(ours)):
        assert verify([*ours[:at], *theirs[at:]], PUBLIC).state is State.BROKEN


def test_nothing_may_stand_behind_the_end() -> None:
    chain = Chain()
    events_: list[Event] = [header(), Head(key=""), End(cause="killed"), Head(key=""), Said(seq=9)]
    lines = [
        chain.head(e, SESSION, KEY.sign) if isinstance(e, Head) else chain.seal(e) for e in events_
    ]
    assert "behind the end" in verify(lines, PUBLIC).why


def test_a_header_stands_in_line_one_only() -> None:
    assert "line 1" in verify(sealed(header()), PUBLIC).why
    chain = Chain()
    assert "line 1" in verify([chain.seal(Said(seq=1))], PUBLIC).why


def test_a_newer_format_is_not_guessed_at() -> None:
    newer = header()
    newer.format = 2
    assert "format is 2" in verify([Chain().seal(newer)], PUBLIC).why


def test_events_of_a_newer_agent_are_passed_over_but_still_chained() -> None:
    class Terminal(Event, tag="terminal"):
        text: str = ""

    lines = sealed(Terminal(text="ls"))
    assert verify(lines, PUBLIC).ok
    assert [e.unknown for e in events(lines) if isinstance(e, Other)] == ["terminal"]


def test_no_line_is_an_event_that_is_none() -> None:
    for line in (b"", b"{}\n", b"[1]\n", b'{"type":"statement"\n', b"\xff\n"):
        with pytest.raises(ValueError, match="not an event"):
            event_of_line(line)
    assert list(events([*some()[:1], b"broken", *some()[1:]]))[1:] == []


@given(st.binary(max_size=300))
def test_any_bytes_are_a_report(data: bytes) -> None:
    report = verify(data.splitlines(keepends=True), PUBLIC)
    assert report.state is (State.BROKEN if data else State.UNFINISHED)


def test_totals_count_a_prepared_statement_when_it_runs() -> None:
    totals = Totals()
    for event in (
        Said(seq=1, prepared=True),
        Said(seq=2, kind="run", origin=1),
        Said(seq=3, verdict="refuse", prepared=True),
        Finished(seq=2, rows=3, bytes=40, masked={"email": 2, "card": 1}),
        Finished(seq=4),
        Notice(text="counts nothing"),
    ):
        totals.count(event)
    assert totals == Totals(statements=2, refused=1, rows=3, bytes=40, masked=3)


def test_touches_are_told_as_scopes_write_them() -> None:
    touch = Touch(Relation("", "orders"), Effect.DELETE)
    other = Touch(Relation("public", "customers"), Effect.READ)
    reading = Reading((Statement(frozenset(), frozenset({touch, other})),))
    assert touches_of(reading) == ("*.orders:delete", "public.customers:read")
