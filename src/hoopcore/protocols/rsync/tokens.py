"""What is in a file, as rsync's sender tells it: pieces as they are, or deflated.

Pieces that the other end already has may not come: nobody asked for less than the whole file.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final

from hoopcore.protocols.rsync.pulling import Flow, Garbled, Piece, Script, byte, number

LARGEST: Final = 64 << 20
"""Bytes of one piece; rsync's own have 32 KiB."""

_INFLATED: Final = 256 << 10  # so much is inflated at once
_SLACK: Final = 64 << 20
_FLUSHED: Final = b"\0\0\xff\xff"  # ends what was deflated, and is not sent


def plain(look: Callable[[Piece], None]) -> Script:
    """The pieces up to the end of the file."""
    while length := (yield from number()):
        if not 0 < length <= LARGEST:
            raise Garbled("part of a file is to be copied from another one, which was not asked")
        yield Flow(length, look)


def deflated(look: Callable[[Piece], None], size: int) -> Script:
    """The same with ``-z``; ``size`` is how long the file was when it was listed."""
    inflating = Inflating(look, 2 * size + _SLACK)
    while bits := (yield from byte()):
        if bits & 0xC0 != 0x40:
            raise Garbled("part of a file is to be copied from another one, which was not asked")
        length = (bits & 0x3F) << 8 | (yield from byte())
        if length:
            yield Flow(length, inflating.feed)
    inflating.feed(_FLUSHED)


class Inflating:
    """Inflates what goes by, and lets it be looked at: no more than so many bytes."""

    def __init__(self, look: Callable[[Piece], None], most: int) -> None:
        self._look = look
        self._left = most
        self._stream = zlib.decompressobj(-15)

    def feed(self, data: Piece) -> None:
        rest: Piece = data
        try:
            while True:
                found = self._stream.decompress(rest, _INFLATED)
                rest = self._stream.unconsumed_tail
                self._left -= len(found)
                if self._left < 0:
                    raise Garbled("a file inflates to far more than it was listed with")
                self._look(found)
                if not rest and len(found) < _INFLATED:
                    break
        except zlib.error:
            raise Garbled("a file cannot be inflated") from None
        if self._stream.eof or self._stream.unused_data:
            raise Garbled("a deflated file ends before its end")
