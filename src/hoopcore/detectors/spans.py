"""What a detector gives back, and what all of them share: bytes are bytes, in any encoding.

A kind is one thing that can be found.  Its loose pattern is for the quick look over many rows at
once: it matches inside every hit, and never over a byte 0 or 255.  Its finder is exact, for one
cell.  Between the two stand conditions that cost next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

import re2

Buffer: TypeAlias = bytes | bytearray | memoryview


class Span(NamedTuple):
    """Where something sensitive stands.  The last ``keep`` bytes of it may be shown."""

    start: int
    stop: int
    kind: str
    keep: int = 0


Finder: TypeAlias = Callable[[bytes], Iterator[Span]]


class Kind(NamedTuple):
    """One thing that can be found: ``find`` yields its hits in a text, rising, apart."""

    name: str
    loose: bytes
    find: Finder
    digits: int = 0  # a text with fewer digits has no hit
    needs: tuple[bytes, ...] = ()  # a text with none of these has no hit; empty: not known
    reach: int = 64  # no hit begins further before its loose match, or ends further behind it
    ahead: int = 0  # where it may end much further behind it
    splits: bool = False  # the loose pattern may match over a byte 0 or 255


LATIN1 = re2.Options()
LATIN1.encoding = re2.Options.Encoding.LATIN1
LATIN1.never_capture = True
LATIN1.log_errors = False

DIGITS = frozenset(b"0123456789")
NO_DIGITS = bytes(sorted(set(range(256)) - DIGITS))
WORD = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
_JOINS = frozenset(b"-.")


def stands_alone(data: bytes, start: int, stop: int) -> bool:
    """Whether it is no part of a longer number, such as 001-123-45-6789."""
    before, after = data[max(0, start - 2) : start], data[stop : stop + 2]
    if before and (before[-1] in DIGITS or (before[-1] in _JOINS and before[0] in DIGITS)):
        return False
    return not (after and (after[0] in DIGITS or (after[0] in _JOINS and after[-1] in DIGITS)))


def is_word(data: bytes, start: int, stop: int) -> bool:
    """Whether no letter, digit or underscore touches it."""
    return not (
        (start > 0 and data[start - 1] in WORD) or (stop < len(data) and data[stop] in WORD)
    )
