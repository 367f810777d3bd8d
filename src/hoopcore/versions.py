"""Which versions of the control API a side speaks, and whether two sides understand each other.

A number, not hoop's version: it changes when a request or an answer changes its meaning, and not
when one gets a new field, since both sides pass over fields they do not know.  Each side speaks its
own number and the one before, so a hoop and an agent that are updated one after the other go on
working; further apart they say who is to be updated.  They tell each other in a header.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hoopcore.spoken import HEADER as HEADER
from hoopcore.spoken import NEWEST as NEWEST
from hoopcore.spoken import OLDEST as OLDEST

_RANGE = re.compile(r"(\d{1,6})\.\.(\d{1,6})")


@dataclass(frozen=True, slots=True)
class Speaks:
    """The versions from ``oldest`` to ``newest``."""

    oldest: int
    newest: int

    def __str__(self) -> str:
        return f"{self.oldest}..{self.newest}"

    @property
    def shown(self) -> str:
        """For people: one number where it is one."""
        return str(self.newest) if self.oldest == self.newest else str(self)

    @classmethod
    def read(cls, text: str | None) -> Speaks:
        """What the other side says it speaks; one that says nothing speaks the first."""
        found = _RANGE.fullmatch(text or "")
        return cls(int(found[1]), int(found[2])) if found else FIRST


FIRST = Speaks(1, 1)


def ours() -> Speaks:
    """What this side speaks."""
    return Speaks(OLDEST, NEWEST)


def apart(hoop: Speaks, agent: Speaks) -> tuple[str, str] | None:
    """Why these two cannot work together, and what to do; None where they can."""
    if hoop.newest >= agent.oldest and agent.newest >= hoop.oldest:
        return None
    words = f"this hoop speaks version {hoop.shown} of the API, the agent {agent.shown}"
    if hoop.newest < agent.oldest:
        return words, "Update hoop:  pip install --upgrade hoopcli"
    return words, "The agent is too old for it: whoever runs it should update it."
