"""The catalogs of the targets' databases, kept while sessions use them.

A catalog is what lets a mask know one table from another.  It is read by the agent on its own
connection when a session opens, and again behind DDL; without one, everything counts as covered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from hoopagent.catalog import read_catalog
from hoopagent.config import Config
from hoopagent.connect import place_of
from hoopagent.logs import places
from hoopagent.own import credential_of
from hoopagent.secrets import Secrets
from hoopcore.model import SECOND, Time
from hoopcore.sql.catalog import Catalog

log = structlog.get_logger()

# DDL that goes past the agent is seen this much later by new sessions.
_FRESH = 5 * SECOND


class Catalogs:
    """``get`` answers from memory while that is fresh; ``renew`` always asks the target."""

    def __init__(
        self, config_now: Callable[[], Config], clock: Callable[[], Time], secrets: Secrets
    ) -> None:
        self._config_now = config_now
        self._secrets = secrets
        self._clock = clock
        self._kept: dict[tuple[str, str], tuple[Time, Catalog]] = {}
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}

    async def get(self, target: str, database: str) -> Catalog | None:
        kept = self._kept.get((target, database))
        if kept is not None and self._clock() - kept[0] < _FRESH:
            return kept[1]
        return await self.renew(target, database)

    def known(self, target: str, database: str) -> Catalog | None:
        """The one that was read last, however long ago; None where none is kept."""
        kept = self._kept.get((target, database))
        return None if kept is None else kept[1]

    async def renew(self, target: str, database: str) -> Catalog | None:
        """As it is now; None where it cannot be read, and then nothing is kept."""
        key = (target, database)
        asked = self._clock()
        async with self._locks.setdefault(key, asyncio.Lock()):
            kept = self._kept.get(key)
            if kept is not None and kept[0] > asked:
                return kept[1]  # somebody began to read it after we had asked
            began = self._clock()
            try:
                catalog = await self._read(target, database)
            except Exception as problem:  # noqa: BLE001 - the border: a target may answer anything
                kind, where = type(problem).__name__, places(problem)
                log.warning("catalog.unread", target=target, problem=kind, where=where)
                self._kept.pop(key, None)
                return None
            self._kept[key] = (began, catalog)
            return catalog

    async def _read(self, target: str, database: str) -> Catalog:
        section = self._config_now().targets[target]
        place = place_of(target, section)
        password = await self._secrets.password(target, section.credential)
        return await read_catalog(place, credential_of(place, section, password), database)
