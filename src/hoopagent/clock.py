"""Two times: when it is, and the latest that it could be.

``wall`` is for records.  ``late`` is for deadlines: timers and CLOCK_MONOTONIC stand still while a
laptop sleeps, and a wall clock can be turned back, so a deadline holds as soon as either the wall
or the time since boot says so, and never below the highest time the store has seen.
"""

from __future__ import annotations

import sys
import time

from hoopcore.model import Time


def _wall() -> Time:
    return time.time_ns() // 1000


def _since_boot() -> Time:
    """Microseconds since boot, sleep included (Linux); macOS's monotonic clock counts sleep too."""
    clock = time.CLOCK_MONOTONIC if sys.platform == "darwin" else time.CLOCK_BOOTTIME
    return time.clock_gettime_ns(clock) // 1000


class Clock:
    """One for the whole agent."""

    def __init__(self) -> None:
        # In this order: what passes between the two readings makes it later, never earlier.
        booted = _since_boot()
        self._anchor = _wall() - booted
        self._floor: Time = 0

    def wall(self) -> Time:
        return _wall()

    def boot(self) -> int:
        """Microseconds since boot: nobody can set it, and it goes on while the machine sleeps."""
        return _since_boot()

    def late(self) -> Time:
        return max(_wall(), self._anchor + _since_boot(), self._floor)

    def at_least(self, seen: Time) -> None:
        """The store has seen this time: it is not earlier now."""
        self._floor = max(self._floor, seen)
