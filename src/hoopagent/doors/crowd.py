"""Who stands at a door without having shown who they are, and how many of them there may be.

One idea: when there is no room, the oldest one of whoever has most places goes.  So a flood pushes
out its own, a silent connection keeps nobody out, and an address alone never fills the room.

``whose`` is an address or a uid (``peers.py``); ``drop`` ends a connection, and may say so first.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

One = TypeVar("One", bound=Hashable)

# In all, and of one address or uid, where nothing else is said.
MOST = 512
EACH = 128


class Crowd(Generic[One]):
    """``enter`` and ``leave``; never more than ``most``, and of one ``whose`` never more than
    ``each``."""

    def __init__(self, most: int, each: int, drop: Callable[[One], None]) -> None:
        self._most = most
        self._each = each
        self._drop = drop
        self._dropped = 0
        self._of: dict[str, dict[One, None]] = {}  # each in the order of their coming
        self._whose: dict[One, str] = {}

    def __len__(self) -> int:
        return len(self._whose)

    def enter(self, one: One, whose: str) -> None:
        """One more; somebody may be dropped for it, never this one."""
        if len(self._of.get(whose, ())) >= self._each:
            self._drop_oldest(whose)
        elif len(self._whose) >= self._most:
            self._drop_oldest(max(self._of, key=lambda name: len(self._of[name])))
        self._of.setdefault(whose, {})[one] = None
        self._whose[one] = whose

    def leave(self, one: One) -> None:
        """It has shown who it is, or is gone; twice is once."""
        whose = self._whose.pop(one, None)
        if whose is None:
            return
        theirs = self._of[whose]
        del theirs[one]
        if not theirs:
            del self._of[whose]

    def all(self) -> list[One]:
        """Oldest first."""
        return list(self._whose)

    def dropped(self) -> int:
        """How many were dropped since this was asked last: for a log that a flood cannot fill."""
        dropped, self._dropped = self._dropped, 0
        return dropped

    def _drop_oldest(self, whose: str) -> None:
        oldest = next(iter(self._of[whose]))
        self.leave(oldest)
        self._dropped += 1
        self._drop(oldest)
