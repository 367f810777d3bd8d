"""The masks of the open sessions, on the catalog of now.

A session's masks are declared for columns by name; which columns those are only the catalog of its
database can tell.  So it is read again behind DDL, and every few seconds for what is changed past
the agent, and every session there gets the masks of what is true now.  One that cannot ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from hoopagent.background import Background
from hoopagent.catalogs import Catalogs
from hoopagent.config import Config
from hoopagent.live import FAILED, Live, Prepared
from hoopagent.logs import places
from hoopcore.access import Access
from hoopcore.masking import Bound, Masking
from hoopcore.policy import Policy
from hoopcore.recording import EndCause
from hoopcore.sql.catalog import Catalog
from hoopcore.stream import Finished, Seen

log = structlog.get_logger()

# Seconds until DDL that goes past the agent is seen by sessions that are open.
_CATALOG_AGE = 10


def bind(masking: Masking, catalog: Catalog | None, prepared: Prepared, access: Access) -> Bound:
    """The masks for who was admitted, as their grants allow now."""
    return masking.bind(
        catalog,
        () if access.masked else prepared.principal.groups,
        pooled=prepared.pooled,
        unmasks=access.scope.unmasks,
    )


def _nobody(_: Live) -> None:
    """Nobody is told."""


class Bounds:
    """The rules and masks in force, and for each open session the masks on its own catalog."""

    def __init__(
        self,
        config_now: Callable[[], Config],
        catalogs: Catalogs,
        open_sessions: dict[str, Live],
        background: Background,
        key: bytes = b"",  # of the mask style hash
    ) -> None:
        self.catalogs = catalogs
        self._config_now = config_now
        self._open = open_sessions
        self._background = background
        self.key = key
        self._policy: tuple[str, Policy, Masking] | None = None
        # Of what a session's grants show in clear.
        self.tell: Callable[[Live], None] = _nobody

    def rules(self) -> tuple[Policy, Masking]:
        """The policy and the masks of the configuration in force."""
        config = self._config_now()
        if self._policy is None or self._policy[0] != config.version:
            self._policy = (
                config.version,
                Policy.load(config.rules),
                Masking.load(config.masks, self.key),
            )
        return self._policy[1], self._policy[2]

    def keep(self, version: str, policy: Policy, masking: Masking) -> None:
        """These are the rules and masks of that version of the configuration."""
        self._policy = (version, policy, masking)

    async def bound(self, prepared: Prepared, database: str) -> Bound:
        """The masks for this principal there; without a catalog everything counts as covered."""
        policy, masking = self.rules()
        catalog = None
        if masking.declared or prepared.named or policy.looks_behind:
            catalog = await self.catalogs.get(prepared.target.name, database)
        bound = bind(masking, catalog, prepared, prepared.access)
        if catalog is not None and bound.unmatched:
            # Somebody believes that these are masked.
            log.warning("mask.unmatched", target=prepared.target.name, columns=bound.unmatched)
        return bound

    def behind(self, live: Live, seen: Seen) -> asyncio.Future[None] | None:
        """Behind DDL the catalog is read again before the next statement is judged."""
        if not isinstance(seen, Finished) or seen.seq not in live.changing:
            return None
        live.changing.discard(seen.seq)
        wanted = live.judge.bound.active or live.naming or self.rules()[0].looks_behind
        if seen.error or not wanted:
            return None
        return self._background.apart(self.renew(*live.place))

    async def renew(self, target: str, database: str) -> None:
        """Reads the catalog again, for every session there; those that cannot have it end."""
        try:
            await self._rebind(target, database)
        except Exception as problem:  # noqa: BLE001 - the border: masks of an old catalog may leak
            log.error("catalog.failed", problem=type(problem).__name__, where=places(problem))
            for live in list(self._open.values()):
                if live.place == (target, database):
                    live.end("XX000", FAILED, EndCause.INTERNAL_ERROR)

    async def _rebind(self, target: str, database: str) -> None:
        """The masks of every session there on the catalog of now; without one, all is covered."""
        policy, masking = self.rules()
        there = [live for live in self._open.values() if live.place == (target, database)]
        named = any(live.naming for live in there)
        if not (masking.declared or named or policy.looks_behind):
            return
        # What a session has not committed, this reading does not see.
        settled = {
            live.record.id: live.naming.unsettled
            for live in there
            if live.naming is not None and live.stream.settled
        }
        catalog = await self.catalogs.renew(target, database)
        for live in self._open.values():
            if live.place == (target, database):
                if live.naming is not None:
                    live.naming.renewed(catalog, settled.get(live.record.id))
                bound = bind(masking, catalog, live.prepared, live.access)
                live.judge.bound = bound
                live.stream.rebind(bound)
                self.tell(live)

    def again(self, live: Live) -> None:
        """The masks of a session whose grants show something else in clear than before.

        Rows on their way were promised by a grant that has ended, so the session ends with it.
        """
        bound = bind(self.rules()[1], live.judge.bound.catalog, live.prepared, live.access)
        if live.stream.in_flight and not set(live.judge.bound.shown) <= set(bound.shown):
            words = "the grant that showed masked columns in clear has ended"
            live.end("57P01", words, EndCause.GRANT_ENDED, why=words)
            return
        live.judge.bound = bound
        live.stream.rebind(bound, afresh=True)
        self.tell(live)

    async def watch(self) -> None:
        """Sees, within seconds, what a migration past the agent has made of live tables."""
        looking: dict[tuple[str, str], asyncio.Task[None] | None] = {}
        while True:
            await asyncio.sleep(_CATALOG_AGE)
            looking = {place: task for place, task in looking.items() if task and not task.done()}
            for place in {live.place for live in self._open.values()} - looking.keys():
                # Side by side: a target that does not answer holds up no other one's masks.
                looking[place] = self._background.apart(self.renew(*place))
