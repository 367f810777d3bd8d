"""A run that would end too much at once stops, and asks.

What counts is what one person has ended by reviews within the last minutes, whatever it came by:
a key, a group, a file of decisions, or a program that asks one by one.
"""

from __future__ import annotations

from hoopcore.model import SECOND, Time

SHARE = 0.5
"""Of the grants somebody had when the run began: so much may be ended without asking."""

LEAST = 3
"""So many may be in any case: of two grants one is a half."""

RUN: Time = 600 * SECOND
"""What lies within this time belongs to one run."""


def most_ended(ended: int, live: int) -> int:
    """How many may be ended in a run: ``ended`` were already, ``live`` are left."""
    return max(LEAST, int(SHARE * (ended + live)))


def trips(ended: int, more: int, live: int) -> bool:
    """Whether to stop before ``more`` are ended."""
    return ended + more > most_ended(ended, live)
