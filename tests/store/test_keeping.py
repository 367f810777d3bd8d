"""Keeping recordings, on both stores: archived, given up here, brought back, held, deleted."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hoopagent.depot import DepotAway
from hoopagent.index import Indexing, rebuild
from hoopagent.keeping import Gone, Keeping
from hoopagent.recordings import SUFFIX, day, find
from hoopagent.store import AuditQuery, Kept, KeptState
from hoopcore.model import SECOND, AuditEvent, Session
from hoopcore.recording import Said
from hoopcore.recording.facets import conditions
from tests.cli.recorded import file_of
from tests.depots import folder_depot
from tests.store.world import DAY, World


@dataclass
class Shelf:
    """Recordings of ended sessions, and who keeps them."""

    world: World
    folder: Path
    keeping: Keeping

    async def session(self, number: int, target: str = "prod-db", **changes: object) -> Session:
        """One that ended now, with its recording."""
        now = self.world.time
        made = Session(
            f"s-{number:010}", self.world.ana.id, target, "shop", "local", "psql", (),
            now - SECOND, ended=now, end_cause="client left", head="h" * 64,
        )  # fmt: skip
        made = replace(made, **changes)  # type: ignore[arg-type] # fields by name
        await self.world.store.add_session(made)
        place = day(self.folder, made.started)
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"{made.id}{SUFFIX}"
        path.write_bytes(file_of([Said(seq=1, touches=(f"public.t{number}:read",))]))
        os.utime(path, (now / SECOND, now / SECOND))
        return made

    def here(self, session: Session) -> Path | None:
        return find(self.folder, session.id, session.started)

    async def state(self, session: Session) -> KeptState:
        kept = await self.world.store.kept([session.id])
        return kept[session.id].state if session.id in kept else KeptState.AGENT

    async def step(self, days: float = 0) -> bool:
        self.world.wait(days * DAY)
        return await self.keeping.step(await self.keeping.means.now())

    async def deletions(self) -> list[str]:
        rows = await self.world.store.audit_rows(AuditQuery(action="recording.deleted"))
        return [row.event.subject for row in rows]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.fixture
def shelf(world: World, tmp_path: Path, archive: Path) -> Shelf:
    folder = tmp_path / "recordings"
    folder.mkdir()
    return Shelf(world, folder, Keeping(world.means, folder, folder_depot(archive)))


def keeps(world: World, target: str, text: str) -> None:
    section = world.config.targets[target].model_copy(update={"keep_recordings": text})
    world.set_target(target, section)


async def test_a_recording_is_given_up_here_when_the_archive_has_it(shelf: Shelf) -> None:
    session = await shelf.session(1)
    path = shelf.here(session)
    assert path is not None
    whole = path.read_bytes()
    assert await shelf.step()
    assert await shelf.state(session) is KeptState.ARCHIVED
    assert shelf.here(session) is not None  # for seven days yet
    assert await shelf.step(days=8)
    assert shelf.here(session) is None
    back = await shelf.keeping.here(session)
    assert back is not None
    assert back.read_bytes() == whole


@pytest.mark.parametrize("harm", ["changed", "lost", "changed here"])
async def test_nothing_is_given_up_that_the_archive_would_not_give_back(
    shelf: Shelf, archive: Path, harm: str
) -> None:
    session, other = await shelf.session(1), await shelf.session(2)
    await shelf.step()
    local = shelf.here(session)
    object = next(archive.glob(f"**/{session.id}*"))
    assert local is not None
    if harm == "lost":
        object.unlink()
    else:
        (object if harm == "changed" else local).write_bytes(b"somebody was here")
        os.utime(local, (shelf.world.time / SECOND, shelf.world.time / SECOND))
    assert await shelf.step(days=8)
    assert shelf.here(session) is not None
    assert list(shelf.keeping.trouble.stuck) == [session.id]
    assert shelf.here(other) is None  # one does not hold up the others


async def test_an_archive_that_is_away_costs_nothing_but_room(shelf: Shelf, archive: Path) -> None:
    aside = archive.with_name("aside")
    session = await shelf.session(1)
    archive.rename(aside)
    assert not await shelf.step()
    assert not await shelf.step(days=9)
    assert shelf.here(session) is not None
    assert "folder is not there" in shelf.keeping.trouble.why
    aside.rename(archive)
    assert await shelf.step()
    assert not shelf.keeping.trouble.why
    assert await shelf.state(session) is KeptState.ARCHIVED
    await shelf.step(days=8)
    archive.rename(aside)
    with pytest.raises(DepotAway):
        await shelf.keeping.here(session)
    assert shelf.here(session) is None
    assert not list(shelf.folder.glob("**/.*"))


async def test_an_attempt_that_died_is_finished_by_the_next(shelf: Shelf) -> None:
    session = await shelf.session(1)
    path, depot = shelf.here(session), shelf.keeping.depot
    assert path is not None
    assert depot is not None
    depot.deposit(path, str(path.relative_to(shelf.folder)))  # and then somebody killed the agent
    await shelf.step()
    assert await shelf.state(session) is KeptState.ARCHIVED


async def test_what_runs_is_not_archived(shelf: Shelf) -> None:
    running = await shelf.session(1, ended=None, end_cause="")
    await shelf.step(days=30)
    assert await shelf.state(running) is KeptState.AGENT
    assert shelf.here(running) is not None


async def test_what_is_written_to_yet_is_archived_when_that_is_over(shelf: Shelf) -> None:
    session = await shelf.session(1)
    path = shelf.here(session)
    assert path is not None
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        await shelf.step()
        assert await shelf.state(session) is KeptState.AGENT
    await shelf.step()
    assert await shelf.state(session) is KeptState.ARCHIVED


@pytest.mark.parametrize("archived", [True, False])
async def test_a_recording_is_deleted_when_its_time_is_up(
    shelf: Shelf, archive: Path, archived: bool
) -> None:
    if not archived:
        shelf.keeping.depot = None
    keeps(shelf.world, "prod-db", "30d")
    session, other = await shelf.session(1), await shelf.session(2, "dev-db")
    torn = shelf.here(session)
    assert torn is not None
    torn.with_name(f"{torn.name}.torn").write_bytes(b"a tail")
    await shelf.step(days=29)
    assert await shelf.deletions() == []
    await shelf.step(days=2)
    assert await shelf.deletions() == [session.id]
    assert await shelf.state(session) is KeptState.DELETED
    assert not list(shelf.folder.glob(f"**/{session.id}*"))
    assert not list(archive.glob(f"**/{session.id}*"))
    assert await shelf.keeping.here(other) is not None
    with pytest.raises(Gone):
        await shelf.keeping.here(session)
    await shelf.step(days=1)
    assert await shelf.deletions() == [session.id]


async def test_nothing_is_deleted_unless_policy_says_so(shelf: Shelf) -> None:
    session = await shelf.session(1)
    await shelf.step(days=10_000)
    assert await shelf.keeping.here(session) is not None
    assert await shelf.deletions() == []


async def test_a_target_may_keep_its_recordings_for_ever(shelf: Shelf) -> None:
    agent = shelf.world.config.agent.model_copy(update={"keep_recordings": "1d"})
    shelf.world.config = shelf.world.config.model_copy(update={"agent": agent})
    keeps(shelf.world, "prod-db", "for ever")
    session, other = await shelf.session(1), await shelf.session(2, "dev-db")
    unknown = await shelf.session(3, "a target of old")
    await shelf.step()
    await shelf.step(days=2)
    assert set(await shelf.deletions()) == {other.id, unknown.id}
    assert await shelf.state(session) is KeptState.ARCHIVED


async def test_what_is_held_outlives_its_time_until_it_is_released(shelf: Shelf) -> None:
    keeps(shelf.world, "prod-db", "30d")
    session, store, by = await shelf.session(1), shelf.world.store, shelf.world.ada.id

    def event(action: str) -> AuditEvent:
        return AuditEvent(shelf.world.time, by, action, session.id)

    held = event("recording.held")
    assert await store.hold_recording(session.id, by, "case 7", shelf.world.time, held)
    assert not await store.hold_recording(session.id, by, "case 8", shelf.world.time, held)
    await shelf.step(days=100)
    assert await shelf.deletions() == []
    kept = (await store.kept([session.id]))[session.id]
    assert (kept.held_why, kept.held_by, kept.state) == ("case 7", by, KeptState.ARCHIVED)
    assert await store.release_recording(session.id, event("recording.released"))
    assert not await store.release_recording(session.id, event("recording.released"))
    await shelf.step(days=1)
    assert await shelf.deletions() == [session.id]
    assert not await store.hold_recording(session.id, by, "late", shelf.world.time, held)


async def test_of_a_hold_and_a_deletion_at_once_one_wins(shelf: Shelf) -> None:
    store, by = shelf.world.store, shelf.world.ada.id
    for number in range(8):
        session = await shelf.session(number)
        event = AuditEvent(shelf.world.time, by, "recording.either", session.id)
        won = await asyncio.gather(
            store.begin_deletion(session.id, event),
            store.hold_recording(session.id, by, "case 7", shelf.world.time, event),
        )
        assert sorted(won) == [False, True]


async def test_a_deletion_that_was_cut_short_is_finished(shelf: Shelf, archive: Path) -> None:
    session = await shelf.session(1)
    await shelf.step()
    event = AuditEvent(shelf.world.time, "system", "recording.deleted", session.id)
    assert await shelf.world.store.begin_deletion(session.id, event)
    assert list(archive.glob(f"**/{session.id}*"))
    again = Keeping(shelf.world.means, shelf.folder, shelf.keeping.depot)
    await again.step(shelf.world.time)
    assert await shelf.state(session) is KeptState.DELETED
    assert not list(archive.glob(f"**/{session.id}*"))
    assert shelf.here(session) is None


async def test_a_file_left_by_another_agent_of_a_deleted_recording_goes_too(shelf: Shelf) -> None:
    session = await shelf.session(1)
    local = shelf.here(session)
    assert local is not None
    await shelf.step()
    aside = local.with_name("aside")
    shutil.copy2(local, aside)
    event = AuditEvent(shelf.world.time, "system", "recording.deleted", session.id)
    await shelf.world.store.begin_deletion(session.id, event)
    await shelf.step(days=1)
    aside.rename(local)
    await shelf.step(days=9)
    assert shelf.here(session) is None


async def test_the_index_is_made_anew_from_the_archive_too(shelf: Shelf) -> None:
    session, store = await shelf.session(7), shelf.world.store
    await shelf.step()
    await shelf.step(days=8)
    assert shelf.here(session) is None
    clock = lambda: shelf.world.time  # noqa: E731 - a clock is a callable
    assert await rebuild(store, shelf.folder, clock, shelf.keeping.here) == (1, 0)
    assert await store.found(conditions(touching="t7")) == [session.id]
    assert shelf.here(session) is None  # the disk is not filled by it
    keeps(shelf.world, "prod-db", "10d")
    await shelf.step(days=30)
    assert await store.found(conditions(touching="t7")) == []
    assert await rebuild(store, shelf.folder, clock, shelf.keeping.here) == (1, 0)


async def test_an_agent_whose_archive_is_another_one_says_so(shelf: Shelf, tmp_path: Path) -> None:
    session = await shelf.session(1)
    await shelf.step()
    await shelf.step(days=8)
    moved = Keeping(shelf.world.means, shelf.folder, folder_depot(tmp_path / "another"))
    with pytest.raises(DepotAway, match="another archive"):
        await moved.here(session)


async def test_many_who_ask_for_one_recording_bring_it_once(shelf: Shelf) -> None:
    session = await shelf.session(1)
    await shelf.step()
    await shelf.step(days=8)
    async with asyncio.TaskGroup() as group:
        shelf.keeping._group = group
        found = await asyncio.gather(*(shelf.keeping.here(session) for _ in range(10)))
    assert len(set(found)) == 1
    await shelf.step()
    assert shelf.here(session) is not None  # it stays for those who read it in pieces


async def test_a_session_that_is_not_there_is_not_kept(shelf: Shelf) -> None:
    kept = Kept("s-0000000009", KeptState.ARCHIVED)
    with pytest.raises(ValueError, match="not in the store"):
        await shelf.world.store.archived(kept)


async def test_indexing_brings_what_was_given_up_before_it_came_round(shelf: Shelf) -> None:
    session = await shelf.session(7)
    await shelf.step()
    await shelf.step(days=8)
    indexing = Indexing(
        shelf.world.store, shelf.folder, lambda: shelf.world.time, bring=shelf.keeping.here
    )
    assert await indexing.fill() == 1
    assert await shelf.world.store.found(conditions(touching="t7")) == [session.id]
