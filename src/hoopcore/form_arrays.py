"""Arrays of text under a style: each element as if it stood alone; the array stays an array.

Elements are written over in place.  One that is written with a backslash is hidden whole, since
what is kept could be half of it.  NULL stays NULL.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from hoopcore.styles import Style, hidden

# name[], char(n)[], varchar[], text[], cstring[] and "char"[].
TEXT_ARRAYS = frozenset({1002, 1003, 1009, 1014, 1015, 1263})

_BOUNDS = re.compile(rb"(?:\[-?[0-9]+:-?[0-9]+\])+=")
_TOKEN = re.compile(rb'[{},]|"((?:[^"\\]|\\.)*)"|([^{},"\\]+)', re.DOTALL)


def elements(value: bytes) -> list[tuple[int, int]] | None:
    """Where the elements of an array stand in its text, but for NULL; None where it is none."""
    bounds = _BOUNDS.match(value)
    place = bounds.end() if bounds else 0
    depth = 0
    found: list[tuple[int, int]] = []
    while place < len(value):
        token = _TOKEN.match(value, place)
        if token is None or (depth == 0 and token[0] != b"{") or (depth == 0 and found):
            return None
        if token[0] in (b"{", b"}"):
            depth += 1 if token[0] == b"{" else -1
        elif token.lastindex is not None and (token[2] is None or token[2].upper() != b"NULL"):
            found.append(token.span(token.lastindex))
        place = token.end()
    return found if depth == 0 and place else None


def text(value: bytes, *, style: Style, utf8: bool) -> bytes | None:
    """The array in its text format."""
    places = elements(value)
    if places is None:
        return None
    left = bytearray(value)
    for start, stop in places:
        element = value[start:stop]
        size = len(element) if b"\\" in element else hidden(style, element, utf8=utf8)
        left[start : start + size] = b"*" * size
    return bytes(left)


_HEAD = struct.Struct("!iiI")
_LENGTH = struct.Struct("!i")


def parts(value: bytes) -> Iterator[tuple[int, int]]:
    """Where the elements stand in the binary format, but for NULL; ValueError where it is none."""
    if len(value) < _HEAD.size:
        raise ValueError("no array")
    dimensions, flags, _ = _HEAD.unpack_from(value)
    if not 0 <= dimensions <= 6 or flags not in (0, 1):
        raise ValueError("no array")
    place = _HEAD.size + 8 * dimensions
    while place < len(value):
        if place + 4 > len(value):
            raise ValueError("cut short")
        (length,) = _LENGTH.unpack_from(value, place)
        place += 4
        if length < -1 or place + max(0, length) > len(value):
            raise ValueError("a wrong length")
        if length >= 0:
            yield place, place + length
            place += length
    if place != len(value):
        raise ValueError("cut short")


def binary(value: bytes, *, style: Style, utf8: bool) -> bytes | None:
    """The array in its binary format."""
    left = bytearray(value)
    try:
        for start, stop in parts(value):
            size = hidden(style, value[start:stop], utf8=utf8)
            left[start : start + size] = b"*" * size
    except ValueError:
        return None
    return bytes(left)
