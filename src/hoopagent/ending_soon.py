"""Tells whoever is at a client that the access ends soon, and what to type to have it go on.

Each mark is passed once for each end: an access that is made longer is warned of again.  Who
connects when a mark is passed already hears nothing of it, since they were told the end then.
"""

from __future__ import annotations

from typing import NamedTuple

from hoopcore.access import Access, end_of
from hoopcore.model import SECOND, Grant, Target, Time, rfc3339

MARKS = (600 * SECOND, 120 * SECOND)
"""How long before the end somebody is told, the longest first."""


class Seen(NamedTuple):
    """What was known of a session's end when it was last looked at."""

    until: Time
    left: Time  # until that end


def mark_passed(before: Seen | None, now: Seen) -> Time | None:
    """The mark that was passed between two looks; None: none was, or the end is another one."""
    if before is None or before.until != now.until:
        return None
    return next((mark for mark in reversed(MARKS) if now.left <= mark < before.left), None)


def last_of(grants: list[Grant], access: Access, target: Target) -> Grant | None:
    """The grant with which the access ends; None where it ends with the sign-in."""
    return next((one for one in grants if end_of(one, target) == access.until), None)


def words(target: str, until: Time, left: Time, last: Grant | None) -> tuple[str, str]:
    """What is said, and the hint: the command that helps."""
    minutes = max(-(-left // (60 * SECOND)), 1)
    span = "1 minute" if minutes == 1 else f"{minutes} minutes"
    said = f'your access to "{target}" ends in {span}, at {rfc3339(until // SECOND * SECOND)}'
    if last is None:
        return f"{said}: your sign-in runs out", "Renew it:  hoop login"
    return said, f'Extend it:  hoop extend {last.id} --for 1h --reason "..."'
