"""The index of sessions: what they touched and what was masked in them, taken from recordings.

Nothing is told twice: a session that has ended is read once, behind the scenes, and one that runs
when somebody asks.  The index may be thrown away and made anew (``hoop-agent index --rebuild``).

Order of the file: one recording, all of them, the agent's background, the command.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from hoopagent import recordings
from hoopagent.depot import DepotAway
from hoopagent.keeping import Coming, Gone
from hoopagent.logs import places
from hoopagent.store import Store, StoreAway
from hoopcore.model import SECOND, Session, Time
from hoopcore.recording.facets import Facets, Facetting, facets
from hoopcore.usage import Counting

log = structlog.get_logger()

# Seconds between two looks for sessions that have ended, and how far back these look.
EVERY = 2.0
_BACK = 3600 * SECOND
# Between two looks at all there are: a second's work for a store with a million of them.
_EVERY_ONE = 600 * SECOND
_PAGE = 100
# Events between two pauses, some three milliseconds' work, and how long one is.
_SLICE = 1_000
_PAUSE = 0.005
# A session that runs is looked into as far as this many bytes of its recording.
_LIVE = 4 << 20


def facets_of(
    folder: Path, session: Session, pause: float = 0.0, beside: Counting | None = None
) -> Facets | None:
    """What a recording says; None where it is not here, or cannot be read.

    ``beside`` is shown each event too: what the session came to.

    ``pause``: seconds after every so many events, in which the thread leaves the processor to
    whoever serves people.
    """
    path = recordings.find(folder, session.id, session.started)
    taking = Facetting()
    try:
        if path is None:
            return None
        for count, event in enumerate(recordings.read(path), 1):
            taking.take(event)
            if beside is not None:
                beside.take(event)
            if pause and count % _SLICE == 0:
                time.sleep(pause)
    except OSError:
        return None
    return taking.found


def facets_so_far(folder: Path, session: Session) -> Facets:
    """The same of a session that runs; nothing of one that has recorded too much to look at."""
    path = recordings.find(folder, session.id, session.started)
    try:
        small = path is not None and path.stat().st_size <= _LIVE
        return facets(recordings.read(path)) if small and path is not None else {}
    except OSError:
        return {}


@dataclass(slots=True)
class Indexing:
    """Fills the index, as sessions end."""

    store: Store
    folder: Path
    clock: Callable[[], Time]
    pause: float = _PAUSE
    # Brings a recording here that is in the archive; None where there is none.
    bring: Callable[[Session], Awaitable[Path | None]] | None = None
    _absent: set[str] = field(default_factory=set)  # their recordings are not here

    async def run(self) -> None:
        """Until it is cancelled: all there are, and between two such looks what has just ended.

        All of them are looked for again now and then, since somebody may have forgotten the index.
        """
        every: Time | None = None
        while True:
            try:
                began = self.clock()
                if every is None or began - every >= _EVERY_ONE:
                    await self.fill()
                    every = began
                else:
                    await self.fill(began - _BACK)
            except StoreAway:
                log.warning("index.waits")
            except Exception as problem:  # noqa: BLE001 - the border: an index is not the agent
                log.error("index.failed", problem=type(problem).__name__, where=places(problem))
            await asyncio.sleep(EVERY)

    async def fill(self, since: Time | None = None) -> int:
        """Indexes what is not in the index yet; how many."""
        count = 0
        while True:
            ids = await self.store.unindexed(_PAGE + len(self._absent), since=since)
            fresh = [id for id in ids if id not in self._absent]
            if not fresh:
                return count
            for id in fresh:
                count += await self._take(id)

    @property
    def absent(self) -> int:
        """How many recordings were not here."""
        return len(self._absent)

    async def _take(self, id: str) -> bool:
        session = await self.store.session(id)
        found, use = None, Counting()
        if session is not None:
            found = await asyncio.to_thread(facets_of, self.folder, session, self.pause, use)
        if session is not None and found is None and self.bring is not None:
            use = Counting()
            found = await self._from_archive(session, self.bring, use)
        if session is None or found is None:
            self._absent.add(id)
            return False
        if use.began:
            await self.store.put_use(session, use.found)
        await self.store.put_facets(session, found)
        return True

    async def _from_archive(
        self,
        session: Session,
        bring: Callable[[Session], Awaitable[Path | None]],
        use: Counting,
    ) -> Facets | None:
        """The same of one that is in the archive; it does not stay here for that."""
        try:
            path = await bring(session)
        except Gone:
            return {}
        except (Coming, DepotAway):
            return None
        found = await asyncio.to_thread(facets_of, self.folder, session, self.pause, use)
        if path is not None:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        return found


# --- the command ----------------------------------------------------------------------------------


async def rebuild(
    store: Store,
    folder: Path,
    clock: Callable[[], Time],
    bring: Callable[[Session], Awaitable[Path | None]] | None = None,
) -> tuple[int, int]:
    """Forgets the index and makes it anew: (sessions in it, recordings that are not here)."""
    await store.forget_index()
    indexing = Indexing(store, folder, clock, pause=0.0, bring=bring)
    return await indexing.fill(), indexing.absent
