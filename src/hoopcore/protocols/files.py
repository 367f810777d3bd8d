"""The account of one file on its way: how many bytes went through, and their hash.

What SFTP, scp and rsync have in common.  The bytes are hashed as they come and kept nowhere, but
for what comes ahead of its turn: at most ``AHEAD`` of it waits for what is before it.

``sha256`` is of the whole file or it is empty.  A file that went through in pieces that do not make
a whole (a resumed transfer, parts read twice or left out) is "part".
"""

from __future__ import annotations

import hashlib
from typing import Final

from hoopcore.recording import File
from hoopcore.transfers import doing

__all__ = ["AHEAD", "LONGEST_PATH", "PIECES", "Account", "doing"]

AHEAD: Final = 2 << 20
"""Bytes that may wait for those before them."""

PIECES: Final = 256
"""Pieces that may wait: a client with more on the way at once has no hash."""

LONGEST_PATH: Final = 4096
"""Characters of a path that are recorded, as Linux has them."""


class Account:
    """One file, from when it was let until it is through, or is not."""

    __slots__ = (
        *("direction", "path", "seq", "mode", "size", "through"),
        *("_hash", "_next", "_ahead", "_waiting", "_torn"),
    )

    def __init__(
        self, direction: str, path: str, seq: int, *, mode: str = "", size: int | None = None
    ) -> None:
        """``size`` is how long the file is, where that is known: less than that is a part."""
        self.direction = direction
        self.path = path
        self.seq = seq
        self.mode = mode
        self.size = size
        self.through = 0  # bytes so far
        self._hash = hashlib.sha256()
        self._next = 0  # where the hash has come to
        self._ahead: dict[int, bytes] = {}
        self._waiting = 0  # bytes of these
        self._torn = False  # there will be no hash any more

    def add(self, data: bytes | bytearray | memoryview, at: int | None = None) -> None:
        """The next bytes, or those from an offset on."""
        count = len(data)
        self.through += count
        if self._torn or not count:
            return
        if at is None or at == self._next:
            self._hash.update(data)
            self._next += count
            if self._ahead:
                self._catch_up()
            return
        full = self._waiting + count > AHEAD or len(self._ahead) >= PIECES
        if at < self._next or at in self._ahead or full:
            self._tear()
            return
        self._ahead[at] = bytes(data)
        self._waiting += count

    def _catch_up(self) -> None:
        while (data := self._ahead.pop(self._next, None)) is not None:
            self._hash.update(data)
            self._next += len(data)
            self._waiting -= len(data)
        if any(at < self._next for at in self._ahead):
            self._tear()

    def _tear(self) -> None:
        self._torn = True
        self._ahead.clear()
        self._waiting = 0

    @property
    def in_order(self) -> bool:
        """Whether what has come is one piece, from the beginning of the file on."""
        return not self._torn and not self._ahead

    def end(self, outcome: str = "whole") -> File:
        """What became of it.  "whole" is "part" where the bytes do not make the whole file."""
        if outcome == "whole" and not (
            self.in_order and (self.size is None or self.through >= self.size)
        ):
            outcome = "part"
        return File(
            seq=self.seq,
            direction=self.direction,
            path=self.path[:LONGEST_PATH],
            size=self.through,
            sha256=self._hash.hexdigest() if outcome == "whole" else "",
            mode=self.mode,
            outcome=outcome,
        )
