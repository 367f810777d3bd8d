"""Hours of the week, as a clock on the wall of some place shows them.

``"mon-fri 22:00-06:00 Europe/Berlin"``: on each of the days a window begins, and one that ends
before it begins ends on the next day.  An hour that a change of the clocks leaves out is in no
window; one that comes twice is in it twice.

The zone's own data comes with the machine, or the package tzdata (``zoneinfo``), and is read when
rules are loaded; from then on everything here is arithmetic on a time that is given (decision
0018).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

from hoopcore.model import SECOND, Time
from hoopcore.places import did_you_mean

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FORM = '"mon-fri 22:00-06:00 Europe/Berlin"'

_DAY = 24 * 60
_CLOCK = re.compile(r"([01]\d|2[0-4]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Window:
    """Minutes of the day as the wall shows them; ``stop`` at or before ``start``: the next day."""

    text: str
    days: frozenset[int]  # on which it begins; Monday is 0
    start: int
    stop: int
    zone: tzinfo

    @classmethod
    def parse(cls, text: str) -> Window:
        """ValueError says what is wrong with it."""
        words = text.split()
        days, hours = "mon-sun", "00:00-24:00"
        if len(words) == 3:
            days, hours = words[0], words[1]
        elif len(words) == 2 and words[0][:1].isdigit():
            hours = words[0]
        elif len(words) == 2:
            days = words[0]
        else:
            raise ValueError(f'"{text}" is not of the form {FORM}; the time zone is never left out')
        start, stop = _hours(text, hours)
        return cls(text, _days(text, days), start, stop, zone(words[-1]))

    def holds(self, at: Time) -> bool:
        """Whether the window is open at that time."""
        local = datetime.fromtimestamp(at // SECOND, self.zone)
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.start < self.stop:
            return day in self.days and self.start <= minute < self.stop
        return (minute >= self.start and day in self.days) or (
            minute < self.stop and (day - 1) % 7 in self.days
        )

    def steady_until(self, at: Time) -> Time:
        """A time after ``at``, before which ``holds`` gives what it gives at ``at``.

        It is the next moment at which a wall clock may open or close the window, or a minute where
        the clocks are changed before that.
        """
        local = datetime.fromtimestamp(at // SECOND, self.zone)
        minute = local.hour * 60 + local.minute
        base = at // SECOND - local.second
        ahead = min(edge for edge in (self.start, self.stop, _DAY) if edge > minute) - minute
        later = datetime.fromtimestamp(base + ahead * 60, self.zone)
        if later.utcoffset() != local.utcoffset():
            ahead = 1
        return (base + ahead * 60) * SECOND


def zone(name: str) -> tzinfo:
    """The time zone of that IANA name; ValueError where there is none here."""
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # no such name, or none that could be one
        raise ValueError(f'there is no time zone "{name}"{_zone_meant(name)}') from None


def _zone_meant(name: str) -> str:
    near = did_you_mean(name, ("UTC", "Europe/Berlin", "Europe/London", "America/New_York"))
    return near or "; IANA names look like Europe/Berlin, and tzdata has them"


def _hours(text: str, hours: str) -> tuple[int, int]:
    begins, dash, ends = hours.partition("-")
    first, last = _CLOCK.fullmatch(begins), _CLOCK.fullmatch(ends)
    if not dash or first is None or last is None:
        raise ValueError(f'"{hours}" in "{text}" is not HH:MM-HH:MM')
    start, stop = (int(found[1]) * 60 + int(found[2]) for found in (first, last))
    if start >= _DAY or stop > _DAY:
        raise ValueError(f'"{hours}" in "{text}" goes beyond 24:00')
    if start == stop:
        raise ValueError(f'"{hours}" in "{text}" is no time at all; the whole day is 00:00-24:00')
    return start, stop


def _days(text: str, days: str) -> frozenset[int]:
    found: set[int] = set()
    for part in days.lower().split(","):
        first, dash, last = part.partition("-")
        for word in (first, last) if dash else (first,):
            if word not in DAYS:
                raise ValueError(f'"{word}" in "{text}" is no day{did_you_mean(word, DAYS)}')
        start = DAYS.index(first)
        length = (DAYS.index(last) - start) % 7 if dash else 0
        found.update((start + i) % 7 for i in range(length + 1))
    return frozenset(found)
