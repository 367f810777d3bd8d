"""Where recordings are kept once their sessions have ended: here, in the archive, or no more.

The file on the agent's disk is given up only after the archive was read back, twice: when it was
put there and again just before.  An archive that is away holds nobody up: everything stays here and
is tried again.  What is older than policy keeps is deleted, which is on the audit first; what is
under a legal hold is not.  A file that is needed again comes back to the place it was written at.

Order of the file: the loop, depositing, giving up the local copy, deleting, bringing back.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from hoopagent import recordings
from hoopagent.config import seconds
from hoopagent.config_archive import kept_for
from hoopagent.depot import Depot, DepotAway, DepotStuck
from hoopagent.logs import places
from hoopagent.means import Means
from hoopagent.recorder import RESERVE
from hoopagent.store import Kept, KeptState, StoreAway
from hoopcore.model import SECOND, SYSTEM, Session, Time, rfc3339

log = structlog.get_logger()

EVERY = 2.0
_LONGEST_PAUSE = 300.0
_PAGE = 100
# Between two looks at all sessions, and how far back the others look.
_EVERY_ONE = 600 * SECOND
_BACK = 3600 * SECOND
# Between two looks at files and ages.  So many a look are deleted: a clock that is set years ahead
# by mistake leaves time to see it.
_SWEEP = 60 * SECOND
_DELETED_AT_ONCE = 100
# What was brought back stays so long, since it is read in pieces.
_BROUGHT_STAYS = 3600 * SECOND
# Whoever asks waits so long; a large one is there when they ask again.
_WAIT = 20.0


class Gone(Exception):
    """Its time was up, and it was deleted."""

    def __init__(self, kept: Kept) -> None:
        super().__init__("the recording was deleted when its time was up")
        self.kept = kept


class Coming(Exception):
    """It is on its way from the archive."""


@dataclass(slots=True)
class Trouble:
    """What keeps recordings from the archive; for ``hoop doctor``."""

    why: str = ""
    since: Time = 0
    waiting: int = 0
    stuck: dict[str, str] = field(default_factory=dict)  # session → why it alone is not archived

    def met(self, why: str, now: Time) -> None:
        self.since = self.since if self.why else now
        self.why = why

    def over(self) -> None:
        self.why, self.since, self.waiting = "", 0, 0


@dataclass(slots=True)
class Keeping:
    """The keeping of one agent's recordings.  ``depot`` None: there is no archive."""

    means: Means
    folder: Path
    depot: Depot | None
    trouble: Trouble = field(default_factory=Trouble)
    _absent: set[str] = field(default_factory=set)
    _brought: dict[str, Time] = field(default_factory=dict)
    _coming: dict[str, asyncio.Task[Path | DepotAway]] = field(default_factory=dict)
    _swept: Time = -1
    _looked: Time = -1  # at all of them
    _group: asyncio.TaskGroup | None = None

    # --- the loop ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until it is cancelled."""
        pause = EVERY
        async with asyncio.TaskGroup() as self._group:
            while True:
                await asyncio.sleep(pause)
                pause = EVERY if await self._step() else min(2 * pause, _LONGEST_PAUSE)

    async def _step(self) -> bool:
        try:
            now = await self.means.now()
            return await self.step(now)
        except StoreAway:
            log.warning("keeping.waits")
        except Exception as problem:  # noqa: BLE001 - the border: keeping is not the agent
            log.error("keeping.failed", problem=type(problem).__name__, where=places(problem))
        return False

    async def step(self, now: Time) -> bool:
        """Whatever there is to do now; False where the archive is away."""
        try:
            if self.depot is not None:
                await self._deposit_all(self.depot, now)
            if self._swept < 0 or not 0 <= now - self._swept < self._between():
                await self._outlive(now)
                await self._delete_all(now)
                await self._sweep(now)
                self._swept = now
        except DepotAway as problem:
            if not self.trouble.why:
                log.error("archive.away", why=str(problem))
            self.trouble.met(str(problem), now)
            self._looked = -1  # what was missed meanwhile may be old
            return False
        if self.trouble.why:
            log.info("archive.back")
        self.trouble.over()
        return True

    def _between(self) -> Time:
        """Between two sweeps: less where little stays here, for there is little to look at."""
        if self.depot is None:
            return _SWEEP
        return min(_SWEEP, seconds(self.depot.settings.keep_local) * SECOND)

    # --- depositing -------------------------------------------------------------------------------

    async def _deposit_all(self, depot: Depot, now: Time) -> None:
        whole = self._looked < 0 or now - self._looked >= _EVERY_ONE
        since = None if whole else now - _BACK
        if whole:
            self._absent.clear()
            self.trouble.stuck.clear()
        busy: set[str] = set()
        while True:
            skip = self._absent | set(self.trouble.stuck) | busy
            ids = await self.means.store.unarchived(_PAGE + len(skip), since=since)
            fresh = [id for id in ids if id not in skip]
            self.trouble.waiting = len(fresh)
            if not fresh:
                self._looked = now if whole else self._looked
                return
            for id in fresh:
                if not await self._deposit(depot, id, now):
                    busy.add(id)

    async def _deposit(self, depot: Depot, id: str, now: Time) -> bool:
        """False where it is written to yet, so that it is looked at again soon."""
        session = await self.means.store.session(id)
        path = None if session is None else await self._local(session)
        if session is None or path is None:
            self._absent.add(id)  # another agent has it
            return True
        if await asyncio.to_thread(recordings.is_written, path):
            return False
        name = str(path.relative_to(self.folder))
        try:
            made = await asyncio.to_thread(depot.deposit, path, name)
        except DepotStuck as problem:
            log.error("archive.stuck", session=id, why=str(problem))
            self.trouble.stuck[id] = str(problem)
            return True
        await self.means.store.archived(
            Kept(id, KeptState.ARCHIVED, depot.place, made.parts, made.size, made.sha256, now)
        )
        return True

    async def _local(self, session: Session) -> Path | None:
        return await asyncio.to_thread(recordings.find, self.folder, session.id, session.started)

    def _place(self, session: Session) -> Path:
        """Where it was written."""
        return recordings.day(self.folder, session.started) / f"{session.id}{recordings.SUFFIX}"

    # --- giving up the local copy -----------------------------------------------------------------

    async def _sweep(self, now: Time) -> None:
        """Files that are in the archive for long enough, and those whose deletion was cut short."""
        if self.depot is None and not self._deletes():
            return
        settings = self.depot.settings if self.depot is not None else None
        stays = 0 if settings is None else seconds(settings.keep_local) * SECOND
        paths = await asyncio.to_thread(_older, self.folder, now - stays)
        for i in range(0, len(paths), _PAGE):
            page = {
                path.name.removesuffix(recordings.SUFFIX): path for path in paths[i : i + _PAGE]
            }
            for id, kept in (await self.means.store.kept(list(page))).items():
                await self._give_up(kept, page[id], now)

    async def _give_up(self, kept: Kept, path: Path, now: Time) -> None:
        if kept.state is KeptState.DELETED:
            await asyncio.to_thread(_unlink, path)
            return
        brought = self._brought.get(kept.session)
        if kept.state is not KeptState.ARCHIVED or self.depot is None:
            return
        if kept.place != self.depot.place or (brought and now - brought < _BROUGHT_STAYS):
            return
        if kept.session in self.trouble.stuck:
            return  # it is read again after the next look at all of them
        try:
            await asyncio.to_thread(_same, path, kept)
            await asyncio.to_thread(self.depot.verify, kept.parts)
        except DepotStuck as problem:
            log.error("archive.differs", session=kept.session, why=str(problem))
            self.trouble.stuck[kept.session] = str(problem)
            return
        await asyncio.to_thread(path.unlink, missing_ok=True)
        self._brought.pop(kept.session, None)

    # --- deleting ---------------------------------------------------------------------------------

    def _deletes(self) -> bool:
        """Whether policy lets anything be deleted."""
        config = self.means.config_now()
        keeps = [one.keep_recordings for one in config.targets.values()]
        return any(one not in (None, "for ever") for one in (config.agent.keep_recordings, *keeps))

    async def _outlive(self, now: Time) -> None:
        """Begins the deletion of what is older than policy keeps."""
        if not self._deletes():
            return
        config = self.means.config_now()
        own = {
            name: _before(now, kept_for(config, name))
            for name, section in config.targets.items()
            if section.keep_recordings is not None
        }
        before = _before(now, kept_for(config, ""))
        for id in await self.means.store.outlived(before, own, _DELETED_AT_ONCE):
            session = await self.means.store.session(id)
            if session is not None:
                await self._begin_deletion(session, now)

    async def _begin_deletion(self, session: Session, now: Time) -> None:
        kept = (await self.means.store.kept([session.id])).get(session.id, Kept(session.id))
        config = self.means.config_now()
        section = config.targets.get(session.target)
        policy = (section.keep_recordings if section else None) or config.agent.keep_recordings
        event = self.means.event(
            now,
            SYSTEM,
            "recording.deleted",
            session.id,
            owner=session.principal,
            target=session.target,
            ended=rfc3339(session.ended or 0),
            kept_for=policy,
            head=session.head,
            sha256=kept.sha256,
            archive=kept.place,
        )
        if await self.means.store.begin_deletion(session.id, event):
            log.info("recording.deleted", session=session.id)

    async def _delete_all(self, now: Time) -> None:
        """Objects first, then the row, then the file: the next sweep finds one that was left."""
        ids = await self.means.store.deleting(_DELETED_AT_ONCE)
        for id, kept in (await self.means.store.kept(ids)).items():
            if kept.parts:
                if self.depot is None or self.depot.place != kept.place:
                    self.trouble.stuck[id] = "it is to be deleted from another archive"
                    continue
                await asyncio.to_thread(self.depot.delete, kept.parts)
            await self.means.store.recording_deleted(id, now)
            session = await self.means.store.session(id)
            if session is not None:
                path = await self._local(session) or self._place(session)
                await asyncio.to_thread(_unlink, path)

    # --- bringing back ----------------------------------------------------------------------------

    async def here(self, session: Session) -> Path | None:
        """Its recording on this disk, from the archive where that has it; None: nobody has it.

        Gone where it was deleted, Coming where it takes longer than somebody waits, DepotAway.
        """
        kept = (await self.means.store.kept([session.id])).get(session.id)
        if kept is not None and kept.state in (KeptState.DELETING, KeptState.DELETED):
            raise Gone(kept)
        path = await self._local(session)
        if path is not None or kept is None or kept.state is not KeptState.ARCHIVED:
            return path
        if self._group is None:
            return await asyncio.to_thread(self._bring, session, kept)
        task = self._coming.get(session.id)
        if task is None:
            task = self._group.create_task(self._brought_or_why(session, kept))
            self._coming[session.id] = task
            task.add_done_callback(lambda _: self._coming.pop(session.id, None))
        done, _ = await asyncio.wait([task], timeout=_WAIT)
        if not done:
            raise Coming
        found = task.result()
        if isinstance(found, DepotAway):
            raise found
        return found

    async def _brought_or_why(self, session: Session, kept: Kept) -> Path | DepotAway:
        try:
            path = await asyncio.to_thread(self._bring, session, kept)
        except DepotAway as problem:
            return problem
        self._brought[session.id] = await self.means.now()
        return path

    def _bring(self, session: Session, kept: Kept) -> Path:
        """To the place where it was written; it is there whole or not at all."""
        if self.depot is None or self.depot.place != kept.place:
            raise DepotAway(f"it is in another archive, {kept.place}")
        path = self._place(session)
        place = path.parent
        beside = path.with_name(f".{session.id}.{os.urandom(4).hex()}.coming")
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            space = os.statvfs(place)
            if space.f_bavail * space.f_frsize < kept.size + 2 * RESERVE:
                raise DepotAway("there is no room for it here")
            self.depot.fetch(kept.parts, beside)
            _same(beside, kept)
            beside.replace(path)
        except OSError as problem:
            raise DepotAway(f"it cannot be written here: {problem.strerror}") from problem
        finally:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
        return path


def _before(now: Time, kept: int | None) -> Time | None:
    return None if kept is None else now - kept * SECOND


def _older(folder: Path, than: Time) -> Sequence[Path]:
    """Recordings that were last written before then; what never came whole is cleared away."""
    found = []
    for half in folder.glob("[0-9]*/[0-9]*/[0-9]*/.*.coming"):
        with contextlib.suppress(OSError):
            if half.stat().st_mtime_ns // 1000 <= than - _BROUGHT_STAYS:
                half.unlink()
    for path in folder.glob(f"[0-9]*/[0-9]*/[0-9]*/*{recordings.SUFFIX}"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime_ns // 1000 <= than:
                found.append(path)
    return found


def _same(path: Path, kept: Kept) -> None:
    """DepotStuck where the file is not what was put into the archive."""
    digest = hashlib.sha256()
    try:
        for piece in recordings.pieces(path):
            digest.update(piece)
    except OSError as problem:
        raise DepotStuck(f"the recording cannot be read: {problem.strerror}") from problem
    if digest.hexdigest() != kept.sha256:
        raise DepotStuck("the recording here is another one than in the archive")


def _unlink(path: Path) -> None:
    """A recording whose time is up, with what was torn off it."""
    for torn in path.parent.glob(f"{path.name}.torn*"):
        torn.unlink(missing_ok=True)
    path.unlink(missing_ok=True)
