"""When: what people write for a time of day, and what the agent is told."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_DAY = re.compile(r"(\d{4}-\d{2}-\d{2})[ T]([01]?\d|2[0-3]):([0-5]\d)")


def parse(text: str, now: datetime) -> datetime:
    """The next ``22:00`` by the clock on the wall here, or ``2026-11-24 22:00``.

    ``now`` is in the zone that counts.  ValueError, for the person who typed it, for anything else
    and for what is over.
    """
    words = text.strip()
    clock, day = _CLOCK.fullmatch(words), _DAY.fullmatch(words)
    if clock is not None:
        found = _at(now, int(clock[1]), int(clock[2]))
        # By the date and not by 24 hours: the clocks may be changed tonight.
        return found if found > now else _at(now + timedelta(days=1), int(clock[1]), int(clock[2]))
    if day is None:
        raise ValueError(f"{text!r} is not a time; write it like 22:00 or 2026-11-24 22:00")
    try:
        date = datetime.fromisoformat(day[1])
    except ValueError:
        raise ValueError(f"there is no day {day[1]}") from None
    found = _at(now.replace(year=date.year, month=1, day=1), int(day[2]), int(day[3]))
    found = _wall(found.replace(month=date.month, day=date.day))
    if found <= now:
        raise ValueError(f"{text!r} is over")
    return found


def _at(day: datetime, hour: int, minute: int) -> datetime:
    return _wall(day.replace(hour=hour, minute=minute, second=0, microsecond=0))


def _wall(moment: datetime) -> datetime:
    """That time by the wall clock of here, with the offset that holds then."""
    return moment.replace(tzinfo=None).astimezone()
