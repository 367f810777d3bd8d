"""How often an address or a uid may try to sign in, before it has to wait a minute.

All doors share one count, so that nobody guesses at each in turn.  What counts is a client that
could not show who it is, and each connection of ``hoop-login``, which any key opens.  Who is known
costs nothing: a pool of connections is no guess.  What failed is put on the audit trail elsewhere
(``refusals``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hoopcore.model import SECOND, Time

# Of one address or uid, where nothing else is said.
A_MINUTE = 120

MINUTE = 60 * SECOND

# Addresses that are told apart within a minute.  Behind a flood of more the rest share one count.
MOST = 4096


@dataclass(slots=True)
class Attempts:
    """``failed`` counts; ``too_many`` says who has to wait."""

    clock: Callable[[], Time]
    a_minute: int = A_MINUTE
    _minute: Time = -1  # the one that is counted, since 1970
    _failed: dict[str, int] = field(default_factory=dict)  # whose → how often

    def failed(self, whose: str) -> None:
        """One more."""
        self._turn()
        whose = self._counted_as(whose)
        self._failed[whose] = self._failed.get(whose, 0) + 1

    def too_many(self, whose: str) -> bool:
        """Whether this address or uid has to wait for the next minute."""
        self._turn()
        return self._failed.get(self._counted_as(whose), 0) >= self.a_minute

    def _counted_as(self, whose: str) -> str:
        """An account of this machine is always its own: no flood from outside keeps it waiting."""
        full = len(self._failed) >= MOST and not whose.startswith("uid ")
        return "" if full and whose not in self._failed else whose

    def _turn(self) -> None:
        minute = self.clock() // MINUTE
        if minute != self._minute:
            self._minute = minute
            self._failed.clear()
