"""A reader that is told in straight lines and fed in pieces of any size.

A *script* is a generator: it yields how many bytes it wants next and is given exactly these, or it
yields a ``Flow`` for bytes that are looked at as they come and not kept.  Numbers are rsync's of
protocol 29: little-endian, of four bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from struct import unpack
from typing import Final, TypeAlias

Piece: TypeAlias = bytes | memoryview

MOST_AT_ONCE: Final = 64 << 10
"""Bytes that a script may want in one piece; so much is kept at most of what has come."""


class Garbled(Exception):
    """What came is not what the protocol has there; why, without what came."""


class Flow:
    """So many bytes go by, in pieces as they come."""

    __slots__ = ("left", "look")

    def __init__(self, left: int, look: Callable[[Piece], None] | None = None) -> None:
        self.left = left
        self.look = look


Script: TypeAlias = Generator[int | Flow, bytes, None]
Lines: TypeAlias = Generator[int | Flow, bytes, int]


class Puller:
    """Runs one script over bytes as they come."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._rest = b""
        self._want: int | Flow | None = None
        self._next(None)

    @property
    def over(self) -> bool:
        """Whether the script has come to its end: no more bytes may come."""
        return self._want is None

    def _next(self, data: bytes | None) -> None:
        try:
            self._want = next(self._script) if data is None else self._script.send(data)
        except StopIteration:
            self._want = None

    def feed(self, data: Piece) -> None:
        """Raises ``Garbled`` where it does not fit."""
        if self._rest:
            data = self._rest + bytes(data)
            self._rest = b""
        view = memoryview(data)
        at, end = 0, len(view)
        while at < end:
            want = self._want
            if want is None:
                raise Garbled("something comes after the end")
            if isinstance(want, Flow):
                piece = view[at : at + want.left]
                at += len(piece)
                want.left -= len(piece)
                if want.look is not None:
                    want.look(piece)
                if want.left:
                    return
                self._next(b"")
            elif end - at >= want:
                self._next(bytes(view[at : at + want]))
                at += want
            else:
                self._rest = bytes(view[at:])
                return


def byte() -> Lines:
    return (yield 1)[0]


def short() -> Lines:
    return int.from_bytes((yield 2), "little")


def number() -> Lines:
    """Signed, of four bytes."""
    data = yield 4
    found: int = unpack("<i", data)[0]
    return found


def long() -> Lines:
    """Four bytes, or -1 and then eight."""
    found = yield from number()
    if found == -1:
        found = unpack("<q", (yield 8))[0]
    return found


def bounded(found: int, most: int, what: str) -> int:
    if not 0 <= found <= most:
        raise Garbled(f"{what} is out of bounds")
    return found


def text(length: int) -> Generator[int | Flow, bytes, bytes]:
    return (yield length) if length else b""
