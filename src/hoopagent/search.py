"""Finding sessions by what they touched: ended ones by the index, those that run by reading.

Who may see what is decided before (``api/sessions.py``); here it comes as pairs to ask for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hoopagent.index import facets_so_far
from hoopagent.store import Store
from hoopcore.model import Session, Time
from hoopcore.recording.facets import Condition, meets

_MOST_LIVE = 1_000


@dataclass(frozen=True, slots=True)
class Wish:
    """What is looked for; None: whatever."""

    mine: bool
    target: str | None
    principal: str | None  # an id or a name
    since: Time | None
    live: bool | None
    limit: int
    until: Time | None = None  # begun before
    wanted: tuple[Condition, ...] = ()  # what they touched


@dataclass(frozen=True, slots=True)
class Search:
    """``found`` asks for each (principal, target) that may be seen; None is anybody, anything."""

    store: Store
    recordings: Path  # folder

    async def found(
        self, pairs: Sequence[tuple[str | None, str | None]], wish: Wish
    ) -> list[Session]:
        """The newest first."""
        meant = await self._meant(wish.principal)
        every: dict[str, Session] = {}
        for principal, target in pairs:
            for one in _both(principal, meant):
                every |= {found.id: found for found in await self._of(one, target, wish)}
        newest = sorted(every.values(), key=lambda session: session.started, reverse=True)
        return newest[: wish.limit]

    async def _meant(self, name: str | None) -> list[str] | None:
        """Ids of those that people call so; None: anybody."""
        if name is None:
            return None
        return [one.id for one in await self.store.principals_named(name)]

    async def _of(self, principal: str | None, target: str | None, wish: Wish) -> list[Session]:
        running = await self.store.sessions(
            principal=principal, target=target, since=wish.since, live=True, limit=_MOST_LIVE
        )
        found = await asyncio.to_thread(self._met, running, wish)
        if wish.live:
            return found
        ids = await self.store.found(
            wish.wanted,
            principal=principal,
            target=target,
            since=wish.since,
            until=wish.until,
            limit=wish.limit,
        )
        ended = [await self.store.session(id) for id in ids]
        return [*found, *(one for one in ended if one is not None)]

    def _met(self, running: Sequence[Session], wish: Wish) -> list[Session]:
        """Those that run, of which what is wanted is recorded already."""
        return [
            one
            for one in running
            if (wish.until is None or one.started < wish.until)
            and meets(facets_so_far(self.recordings, one), wish.wanted)
        ]


def _both(principal: str | None, meant: list[str] | None) -> list[str | None]:
    """Whom to ask for: who may be seen, of those who are meant."""
    if meant is None:
        return [principal]
    if principal is None:
        return list(meant)
    return [principal] if principal in meant else []
