"""How fast a recording is played: real time, times a speed, with long pauses shortened.  Pure."""

from __future__ import annotations

from collections.abc import Callable

# Rows passed in one tick: the screen shows no more, and a key is never waited for.
_MOST = 500


class Pace:
    """Moves a place along the rows.  Times are microseconds of the recording."""

    def __init__(self, speed: float = 1.0, max_idle: float = 2.0) -> None:
        self.speed = speed
        self.max_idle = max_idle  # seconds, before they are divided by the speed
        self.skipped = 0.0  # seconds that are left out of the pause under way; 0 where none are
        self._waited = 0.0

    def restart(self) -> None:
        """The place was moved by hand."""
        self._waited = 0.0
        self.skipped = 0.0

    def faster(self, by: float) -> None:
        self.speed = min(max(self.speed * by, 1 / 64), 4096.0)

    def tick(self, seconds: float, place: int, rows: int, at: Callable[[int], int]) -> int:
        """The place after so many seconds; ``at`` says when a row was true."""
        left = seconds * self.speed
        idle = self.max_idle
        self.skipped = 0.0
        for _ in range(_MOST):
            if place + 1 >= rows:
                self._waited = 0.0
                return place
            gap = max(at(place + 1) - at(place), 0) / 1e6
            short = min(gap, idle)
            if self._waited + left < short:
                self._waited += left
                self.skipped = gap - short
                return place
            left -= short - self._waited
            self._waited = 0.0
            place += 1
        return place

    @property
    def waited(self) -> float:
        """Seconds of the recording since the row of the place."""
        return self._waited
