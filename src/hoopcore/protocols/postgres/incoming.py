"""Cutting the bytes of one side into frames.

A frame is a type byte, a length that counts itself, and a body.  Most frames lie whole in what was
read at once, so nothing is copied until one is spread over two pieces.
"""

from __future__ import annotations

from collections import deque

from hoopcore.protocols.postgres.wire import HEADER
from hoopcore.stream import ProtocolError


class Incoming:
    """Bytes of one side as they came, and where the unread ones begin.

    Nothing is copied until a frame is spread over two pieces.  Pieces that were fed belong to
    this object: whoever fed them must not write into them again.
    """

    __slots__ = ("_more", "_waiting", "at", "stop", "view")

    def __init__(self) -> None:
        self.view = memoryview(b"")  # the piece being read
        self.at = 0  # what is before it has been read
        self.stop = 0  # the end of the piece
        self._more: deque[memoryview] = deque()
        self._waiting = 0

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Takes these bytes behind those it has."""
        piece = memoryview(data)
        if not piece:
            return
        if self.at == self.stop and not self._waiting:
            self.view, self.at, self.stop = piece, 0, len(piece)
        else:
            self._more.append(piece)
            self._waiting += len(piece)

    def __len__(self) -> int:
        """How many unread bytes there are."""
        return self.stop - self.at + self._waiting

    def has(self, size: int) -> bool:
        """Whether ``size`` bytes are there; if so they lie in one piece at ``view[at:]``."""
        have = self.stop - self.at
        if have >= size:
            return True
        if have + self._waiting < size:
            return False
        pieces = [self.view[self.at : self.stop]] if have else []
        while have < size:
            piece = self._more.popleft()
            self._waiting -= len(piece)
            have += len(piece)
            pieces.append(piece)
        self.view = pieces[0] if len(pieces) == 1 else memoryview(b"".join(pieces))
        self.at, self.stop = 0, have
        return True

    def header(self) -> tuple[int, int] | None:
        """The kind of the next frame and its whole size in bytes, or None while it is not here."""
        if not self.has(5):
            return None
        kind, length = HEADER.unpack_from(self.view, self.at)
        if length < 4:
            raise ProtocolError("a message is shorter than its own length field")
        return kind, length + 1

    def ends_whole(self) -> bool:
        """Whether what is unread is whole frames, or nothing."""
        self.has(len(self))
        at = self.at
        while self.stop - at >= 5:
            at += HEADER.unpack_from(self.view, at)[1] + 1
        return at == self.stop

    def piece(self, size: int) -> memoryview:
        """Up to ``size`` of the unread bytes, without waiting or copying; they count as read."""
        self.has(1)
        view = self.view[self.at : min(self.at + size, self.stop)]
        self.at += len(view)
        return view
