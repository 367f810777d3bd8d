"""Errors, notices, notifications and settings of statements without masked columns: detectors."""

from __future__ import annotations

import pytest

from hoopcore.masking import Masking
from hoopcore.protocols.postgres import wire
from hoopcore.stream import Finished
from tests.unit.test_postgres_stream import CATALOG, MASKS, READY, Script

CARD = b"4111111111111111"
STARS = b"*" * 12 + b"1111"


def looked() -> Script:
    """Only detectors are on."""
    return Script(Masking.load('detectors = ["card", "email"]').bind(None))


def told(kind: int, **fields: bytes) -> bytes:
    named = {"S": b"ERROR", "V": b"ERROR", "C": b"22P02", **fields}
    body = b"".join(letter.encode() + wire.cstring(text) for letter, text in named.items())
    return wire.frame(kind, body + b"\0")


@pytest.mark.parametrize("letter", ["M", "D", "H", "W", "q", "s", "t", "c", "d", "n"])
@pytest.mark.parametrize("kind", [wire.ERROR, wire.NOTICE])
def test_a_hit_in_any_text_of_an_error_or_notice_is_overwritten(kind: int, letter: str) -> None:
    script = looked()
    script.client(wire.query(b"select note::int from orders"))
    fields = {"M": b"no number", "P": b"8"} | {letter: b'the value "' + CARD + b'" of a@b.example'}
    script.target(told(kind, **fields))
    if kind == wire.ERROR:
        script.target(READY)
    hidden = fields | {letter: b'the value "' + STARS + b'" of *@b.example'}
    assert script.to_client.startswith(told(kind, **hidden))


def test_what_was_hidden_in_an_error_is_counted() -> None:
    script = looked()
    script.client(wire.query(b"select note::int from orders"))
    script.target(told(wire.ERROR, M=CARD) + READY)
    (seen,) = script.seen
    assert isinstance(seen, Finished)
    assert seen.masked == {"card": 1}
    assert script.stream.flowed[2] == 1


def test_texts_without_a_hit_pass_as_they_came() -> None:
    script = looked()
    script.client(wire.query(b"select 1/0"))
    error = told(wire.ERROR, M=b"division by zero", X=b"of a kind that is not known") + READY
    out = script.target(error)
    assert b"".join(out.to_client) == error
    assert len(out.to_client) == 1


@pytest.mark.parametrize("kind", [wire.ERROR, wire.NOTICE])
def test_a_text_in_which_a_value_was_cut_short_is_withheld(kind: int) -> None:
    script = looked()
    script.client(wire.query(b"insert into orders values (1)"))
    script.target(told(kind, M=b"no", D=b"Failing row contains (x, 4111 1111 1111...)."))
    assert b"4111" not in script.to_client
    assert b"cut short" in script.to_client
    assert b"22P02" in script.to_client


def test_last_words_of_the_target_are_looked_into() -> None:
    script = looked()
    script.target(told(wire.ERROR, S=b"FATAL", V=b"FATAL", M=b"because of " + CARD))
    assert CARD not in script.to_client
    assert STARS in script.to_client


def test_a_payload_and_a_free_setting_are_looked_into() -> None:
    script = looked()
    notification = wire.frame(wire.NOTIFICATION, b"\0\0\0\1channel\0" + CARD + b"\0")
    script.target(notification + wire.parameter_status("application_name", "of a@b.example"))
    assert script.to_client == notification.replace(CARD, STARS) + wire.parameter_status(
        "application_name", "of *@b.example"
    )


def test_with_masks_they_are_blank_and_covered_errors_withheld_as_before() -> None:
    script = Script(Masking.load('detectors = ["card"]' + MASKS).bind(CATALOG))
    script.target(wire.frame(wire.NOTIFICATION, b"\0\0\0\1channel\0plain\0"))
    script.target(wire.parameter_status("search_path", "plain"))
    assert b"plain" not in script.to_client
