"""How many sessions there may be at once: of one principal, on one target, and in all.

A place is taken when a client is admitted and given back when its session, or what should have
become one, is over.  In all there are as many as the process may have files for.
"""

from __future__ import annotations

import contextlib
import resource
from collections import Counter
from collections.abc import Callable

from hoopagent.config import Config
from hoopcore.stream import LoginRefused

# Of a session: the client, the target, the recording, and one in reserve for its next piece.
FILES_OF_A_SESSION = 4

# What the agent itself holds: store, reader, sockets, logs, the control API's connections.
FILES_OF_OURS = 256

_DOORS = 2

# More than these are not asked for: some systems say a thousand million, or that there is no limit.
MOST_FILES = 1 << 20


def raise_files_limit() -> None:
    """Takes all the files that the system allows this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def files() -> int:
    """How many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_FILES if soft == resource.RLIM_INFINITY else soft


def strangers_within(files: int, wished: int) -> int:
    """How many strangers there may be at one door: as many as are wished, or an eighth of few."""
    return min(wished, max(1, files // 8))


def sessions_within(files: int, strangers: int = 0) -> int:
    """How many sessions so many files are enough for, beside ``strangers`` at both doors.

    Half of few files are not for sessions.
    """
    others = FILES_OF_OURS + _DOORS * strangers_within(files, strangers)
    return max(1, (files - min(others, files // 2)) // FILES_OF_A_SESSION)


class Room:
    """``take`` and ``give_back``, both of them at once: nothing waits in between."""

    def __init__(self, config_now: Callable[[], Config], most: int | None = None) -> None:
        self._config_now = config_now
        strangers = config_now().agent.handshakes
        self._most = sessions_within(files(), strangers) if most is None else most
        self._of: Counter[str] = Counter()
        self._on: Counter[str] = Counter()

    def take(self, principal: str, target: str) -> None:
        """One more session; LoginRefused (53300) says whose limit is reached."""
        config = self._config_now()
        each = config.agent.sessions_per_principal
        if self._of[principal] >= each:
            words = f"you have {each} sessions open, and more are not allowed at once"
            raise LoginRefused("53300", words, "End some: hoop sessions --mine")
        section = config.targets.get(target)
        if section is not None and self._on[target] >= section.max_sessions:
            words = f'target "{target}" has {section.max_sessions} sessions open, all it may have'
            raise LoginRefused("53300", words, "Try again when one has ended.")
        if self._of.total() >= self._most:
            words = f"the agent has {self._most} sessions open, all it has files for"
            raise LoginRefused("53300", words, "Try again when one has ended.")
        self._of[principal] += 1
        self._on[target] += 1

    def give_back(self, principal: str, target: str) -> None:
        """A session that had a place is over."""
        for counts, name in ((self._of, principal), (self._on, target)):
            counts[name] -= 1
            if counts[name] <= 0:
                del counts[name]
