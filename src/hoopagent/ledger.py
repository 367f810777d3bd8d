"""What has gone through each grant in the last hour, as far as budgets ask for it.

Counting is arithmetic in memory (``hoopcore.policy.budgets``).  Once a second what this agent has
counted is added to the store and what all agents on it have counted is read back: so a budget
outlives a restart, and agents that share a store share it, a second late.  An agent that is killed
loses the count of its last second.  While the store is away it counts on in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog

from hoopagent.logs import places
from hoopagent.store import Store, StoreAway
from hoopcore.model import Time
from hoopcore.policy.budgets import BUCKET, HOUR, NONE, Amount, Spent

log = structlog.get_logger()

_EVERY = 1.0
_NOTHING = Spent()


def oldest(now: Time) -> int:
    """The first bucket that may still count."""
    return (now - HOUR) // BUCKET - 1


class Ledger:
    """Of this agent's sessions.  ``in_use`` says on which grants they rest."""

    def __init__(
        self, store: Store, clock: Callable[[], Time], in_use: Callable[[], set[str]]
    ) -> None:
        self._store = store
        self._clock = clock
        self._in_use = in_use
        self._spent: dict[str, Spent] = {}
        self._unsaved: dict[tuple[str, int], Amount] = {}
        self._syncing = asyncio.Lock()

    def of(self, grant: str) -> Spent:
        """What went through this grant; of one that nobody has opened, nothing is known."""
        return self._spent.get(grant, _NOTHING)

    def total(self, grant: str) -> Amount:
        """What counts against the hour that ends now."""
        return self.of(grant).total(self._clock())

    def add(self, grant: str, amount: Amount) -> tuple[Amount, Amount]:
        """Charges a grant: what counted before, and what counts now."""
        now = self._clock()
        spent = self._spent.get(grant, _NOTHING)
        before = spent.total(now)
        spent = self._spent[grant] = spent.add(now, amount)
        key = (grant, spent.bucket)
        unsaved = self._unsaved.get(key)
        self._unsaved[key] = amount if unsaved is None else unsaved.plus(amount)
        return before, before.plus(amount)

    async def open(self, grants: Iterable[str]) -> None:
        """Reads what the store knows of them; StoreAway."""
        await self._sync({*grants})

    async def save(self) -> None:
        """Brings to the store what it does not have yet; where it is away, a later second will."""
        if self._unsaved:
            try:
                await self._sync(set())
            except StoreAway:
                log.warning("ledger.not_saved")

    async def run(self) -> None:
        """Once a second, until it is cancelled."""
        while True:
            await asyncio.sleep(_EVERY)
            try:
                if self._spent:
                    await self._sync(set())
            except StoreAway:
                log.warning("ledger.not_saved")
            except Exception as problem:  # noqa: BLE001 - the border: what is in memory still counts
                log.error("ledger.failed", problem=type(problem).__name__, where=places(problem))

    async def _sync(self, opening: set[str]) -> None:
        async with self._syncing:
            first = oldest(self._clock())
            saving, self._unsaved = self._unsaved, {}
            try:
                if saving:
                    await self._store.spend(saving, first)
                wanted = opening | self._worth_knowing()
                known = await self._store.spent(sorted(wanted), first) if wanted else {}
            except BaseException:
                # Whether it was saved, nobody knows: counted twice is better than not at all.
                for key, amount in saving.items():
                    self._unsaved[key] = self._unsaved.get(key, NONE).plus(amount)
                raise
            self._renew(wanted, known)

    def _worth_knowing(self) -> set[str]:
        used = self._in_use()
        return {grant for grant in self._spent if grant in used or any(self.total(grant))}

    def _renew(self, wanted: set[str], known: dict[str, dict[int, Amount]]) -> None:
        """What the store knows, and what was counted since it was asked."""
        wanted = wanted | {grant for grant, _ in self._unsaved}
        self._spent = {grant: self._spent[grant] for grant in self._spent if grant in wanted}
        for grant in wanted:
            buckets = dict(known.get(grant, {}))
            for (charged, bucket), amount in self._unsaved.items():
                if charged == grant:
                    buckets[bucket] = buckets.get(bucket, NONE).plus(amount)
            self._spent[grant] = Spent.of(buckets)
