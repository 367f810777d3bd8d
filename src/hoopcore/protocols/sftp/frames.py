"""Bytes of one side, cut where packets end, and what goes on, without copying what is large.

A packet with a file's bytes in it is not put together: its pieces go on as they come.  What goes on
unchanged and stands together in what came, leaves together.
"""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

Span: TypeAlias = tuple[bytes, int, int]
"""Bytes, and from where to where in them."""


class Frames:
    """What has come from one side and was not looked at yet."""

    __slots__ = ("_at", "_chunks", "have")

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._at = 0  # in the first of them
        self.have = 0  # bytes

    def feed(self, data: bytes) -> None:
        if data:
            self._chunks.append(data)
            self.have += len(data)

    def head(self, count: int) -> bytes:
        """So many bytes, or all there are, without taking them."""
        if not self._chunks:
            return b""
        first = self._chunks[0]
        if len(first) - self._at >= count:
            return first[self._at : self._at + count]
        parts, left, at = [], count, self._at
        for chunk in self._chunks:
            parts.append(chunk[at : at + left])
            left -= len(parts[-1])
            at = 0
            if not left:
                break
        return b"".join(parts)

    def take(self, count: int) -> list[Span]:
        """So many bytes, or all there are."""
        found: list[Span] = []
        while count and self._chunks:
            first = self._chunks[0]
            end = min(len(first), self._at + count)
            found.append((first, self._at, end))
            count -= end - self._at
            self.have -= end - self._at
            if end == len(first):
                self._chunks.popleft()
                end = 0
            self._at = end
        return found


class Outlet:
    """What goes on to one side."""

    __slots__ = ("_spans",)

    def __init__(self) -> None:
        self._spans: list[Span] = []

    def add(self, data: bytes) -> None:
        self._spans.append((data, 0, len(data)))

    def pass_on(self, spans: list[Span]) -> None:
        for span in spans:
            if self._spans:
                data, start, end = self._spans[-1]
                if data is span[0] and end == span[1]:
                    self._spans[-1] = (data, start, span[2])
                    continue
            self._spans.append(span)

    def flush(self) -> list[bytes]:
        """In order; small ones are put together."""
        if not self._spans:
            return []
        spans, self._spans = self._spans, []
        found: list[bytes] = []
        small: list[bytes] = []
        for data, start, end in spans:
            piece = data if end - start == len(data) else data[start:end]
            if len(piece) < _SMALL:
                small.append(piece)
                continue
            if small:
                found.append(b"".join(small))
                small = []
            found.append(piece)
        if small:
            found.append(b"".join(small))
        return found


_SMALL = 4096
