"""Frames and fields: what fits is read, and what does not is a ProtocolError."""

from __future__ import annotations

import pytest

from hoopcore.protocols.postgres import wire
from hoopcore.protocols.postgres.incoming import Incoming
from hoopcore.stream import ProtocolError


def frames_of(pieces: list[bytes]) -> list[bytes]:
    incoming = Incoming()
    found = []
    for piece in pieces:
        incoming.feed(piece)
        while (header := incoming.header()) is not None and incoming.has(header[1]):
            found.append(bytes(incoming.piece(header[1])))
    assert len(incoming) == sum(map(len, pieces)) - sum(map(len, found))
    return found


def test_frames_are_the_same_however_they_are_cut() -> None:
    frames = [
        wire.query(b"select 1"),
        wire.frame(wire.SYNC),
        wire.query(b""),
        wire.frame(100, b"x" * 99),
    ]
    whole = b"".join(frames)
    for size in range(1, len(whole)):
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
        assert frames_of(pieces) == frames


def test_incoming_takes_every_kind_of_buffer() -> None:
    frame = wire.query(b"select 1")
    half = len(frame) // 2
    assert frames_of([bytearray(frame[:half]), memoryview(frame)[half:], b""]) == [frame]  # type: ignore[list-item]


@pytest.mark.parametrize("length", [0, 1, 3])
def test_length_that_does_not_count_itself_is_a_protocol_error(length: int) -> None:
    incoming = Incoming()
    incoming.feed(b"Q" + wire.INT32.pack(length))
    with pytest.raises(ProtocolError):
        incoming.header()


@pytest.mark.parametrize(
    "read",
    [
        lambda body: body.byte(),
        lambda body: body.int16(),
        lambda body: body.uint32(),
        lambda body: body.cstring(),
        lambda body: body.take(1),
        lambda body: body.take(-1),
        lambda body: body.value(),
    ],
)
def test_body_that_ends_too_early_is_a_protocol_error(read: object) -> None:
    assert callable(read)
    with pytest.raises(ProtocolError):
        read(wire.Body(b""))


def test_length_of_a_value_is_checked() -> None:
    assert wire.Body(wire.INT32.pack(-1)).value() is None
    for length in (-2, 2, 2**31 - 1):
        with pytest.raises(ProtocolError):
            wire.Body(wire.INT32.pack(length) + b"x").value()


def test_row_description_reads_every_column() -> None:
    numbers = wire.UINT32.pack(4711) + wire.INT16.pack(2) + wire.UINT32.pack(25)
    numbers += wire.INT16.pack(-1) + wire.INT32.pack(-1) + wire.INT16.pack(1)
    body = wire.UINT16.pack(1) + b"n\xffme\0" + numbers
    assert wire.row_description(body) == (wire.Field("n\\xffme", 4711, 2, 25, -1, -1, 1),)
    for wrong in (body[:-1], body + b"\0", wire.UINT16.pack(2) + body[2:]):
        with pytest.raises(ProtocolError):
            wire.row_description(wrong)


def test_error_response_reads_back() -> None:
    frame = wire.error_response("ERROR", "42501", 'refused by rule "x": ü', "ask \0 for it")
    assert wire.error_fields(frame[5:]) == {
        "S": b"ERROR",
        "V": b"ERROR",
        "C": b"42501",
        "M": 'refused by rule "x": ü'.encode(),
        "H": b"ask   for it",
    }


def test_error_response_for_another_encoding_is_ascii() -> None:
    frame = wire.error_response("FATAL", "57P01", "zu spät", encoding="LATIN1")
    fields = wire.error_fields(frame[5:])
    assert fields["M"] == b"zu sp?t"
    assert wire.is_fatal(fields)


def test_sqlstate_that_is_none_is_an_internal_error() -> None:
    assert wire.sqlstate({"C": b"42601"}) == "42601"
    assert wire.sqlstate({"C": b"\xff\xff\xff\xff\xff"}) == "XX000"
    assert wire.sqlstate({}) == "XX000"


def test_startup_parameter_given_twice_is_refused() -> None:
    assert wire.startup_parameters(b"user\0a\0database\0b\0\0") == {
        b"user": b"a",
        b"database": b"b",
    }
    with pytest.raises(ProtocolError):
        wire.startup_parameters(b"user\0a\0user\0b\0\0")


def test_text_with_a_nul_cannot_be_put_on_the_wire() -> None:
    with pytest.raises(ValueError, match="NUL"):
        wire.query(b"select 1\0; delete from t")
