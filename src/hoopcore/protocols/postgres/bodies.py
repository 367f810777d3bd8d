"""The bodies of the client's extended messages, read as a whole: they come with every statement.

What does not fit is a ``ProtocolError``.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError
from typing import NamedTuple

from hoopcore.protocols.postgres import wire
from hoopcore.stream import ProtocolError

OF_STATEMENT, OF_PORTAL = b"SP"
"""What a Describe or a Close is about."""


class Bind(NamedTuple):
    """A portal of a prepared statement with parameters."""

    portal: bytes
    statement: bytes
    formats: tuple[int, ...]  # as sent: none, one for all, or one each
    values: tuple[bytes | None, ...]


def bind(body: bytes) -> Bind:
    """The body of a Bind."""
    stop = body.find(b"\0")
    second = body.find(b"\0", stop + 1)
    if stop < 0 or second < 0:
        raise ProtocolError("a text in a message has no end")
    at, size = second + 1, len(body)
    uint16, int32 = wire.UINT16.unpack_from, wire.INT32.unpack_from
    values: list[bytes | None] = []
    try:
        (count,) = uint16(body, at)
        formats = Struct(f">{count}H").unpack_from(body, at + 2) if count else ()
        at += 2 + 2 * count
        (count,) = uint16(body, at)
        at += 2
        for _ in range(count):
            (length,) = int32(body, at)
            at += 4
            if length == -1:
                values.append(None)
                continue
            if not 0 <= length <= size - at:
                raise ProtocolError("a message is shorter than a length in it says")
            values.append(body[at : at + length])
            at += length
        (count,) = uint16(body, at)
    except StructError:
        raise ProtocolError("a message ends inside a number") from None
    if at + 2 + 2 * count != size:
        raise ProtocolError("a Bind has not as many formats of results as it says")
    return Bind(body[:stop], body[stop + 1 : second], formats, tuple(values))


def execute(body: bytes) -> bytes:
    """The portal that an Execute runs."""
    stop = body.find(b"\0")
    if stop < 0 or len(body) != stop + 5:
        raise ProtocolError("an Execute is not a name and a number")
    return body[:stop]


def about(body: bytes) -> tuple[int, bytes]:
    """What a Describe or Close is about: the letter ``S`` or ``P``, and the name."""
    if body.find(b"\0", 1) != len(body) - 1 or body[:1] not in (b"S", b"P"):
        raise ProtocolError("a message is about neither a statement nor a portal")
    return body[0], body[1:-1]
