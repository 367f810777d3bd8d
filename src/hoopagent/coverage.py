"""Notes that the gate is up, and the only way to a target, as long as its configuration says so.

Reviews call a grant unused only where these notes have no hole (``hoopcore.usage.coverage``).
"""

from __future__ import annotations

from dataclasses import dataclass

from hoopagent.means import Means
from hoopcore.model import Time
from hoopcore.usage.coverage import BEAT


@dataclass(slots=True)
class Beat:
    """Asked every second; a note is made every minute."""

    last: Time | None = None

    async def note(self, means: Means, now: Time) -> None:
        """StoreAway: the next second tries again."""
        if self.last is not None and self.last <= now < self.last + BEAT:
            return
        targets = [name for name, one in means.config_now().targets.items() if one.only_way]
        if targets:
            await means.store.beat(targets, now)
        self.last = now
