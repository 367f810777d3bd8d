"""A recording is with the kernel before the statement goes on, or the session ends."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from hoopagent import recorder as recorder_module
from hoopagent import recording_disk
from hoopagent.clock import Clock
from hoopagent.key_files import KeyUnsafe
from hoopagent.recorder import Recorder, RecorderFailed
from hoopagent.recording_keys import RecordingKeys
from hoopagent.recordings import find, pieces, read, usage
from hoopagent.recovery import recover
from hoopcore.recording import (
    EndCause,
    Finished,
    Head,
    Header,
    Notice,
    Report,
    Said,
    State,
    verify_file,
)
from hoopcore.recording.frames import Unpacker

SESSION = "s-0123456789"


@pytest.fixture
def keys(tmp_path: Path) -> RecordingKeys:
    return RecordingKeys.open(tmp_path / "keys")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


def header(session: str = SESSION, durability: str = "kernel") -> Header:
    return Header(session=session, principal="p-0123456789", target="db", durability=durability)


@pytest.fixture
async def recorder(folder: Path, keys: RecordingKeys) -> AsyncIterator[Recorder]:
    recorder = await Recorder.create(folder, header(), keys)
    yield recorder
    recorder.close(EndCause.AGENT_STOPPED)


def report(path: Path, keys: RecordingKeys, head: str = "") -> Report:
    return verify_file(pieces(path), keys.public, head=head)


async def until(holds: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.01)


# --- what is written ----------------------------------------------------------------------------


async def test_what_was_appended_can_be_read_before_anything_else_happens(
    recorder: Recorder,
) -> None:
    assert recorder.append(Said(seq=1, text="select 1"), Notice(text="hello")) is None
    seen = list(read(recorder.path))
    assert [type(event).__name__ for event in seen] == ["Header", "Head", "Said", "Notice"]
    assert [event.n for event in seen] == [1, 2, 3, 4]


async def test_a_closed_recording_is_complete(recorder: Recorder, keys: RecordingKeys) -> None:
    recorder.append(Said(seq=1, text="select 1"))
    recorder.append(Finished(seq=1, rows=2, masked={"email": 2}))
    recorder.append(Said(seq=2, verdict="refuse"))
    assert await recorder.close(EndCause.GRANT_ENDED, by="p-9999999999", why="over")
    found = report(recorder.path, keys, recorder.head)
    assert found.ok
    assert found.signed == found.lines == recorder.lines
    assert found.end is not None
    assert (found.end.cause, found.end.by, found.end.why) == ("grant ended", "p-9999999999", "over")
    totals = found.end.totals
    assert (totals.statements, totals.refused, totals.rows, totals.masked) == (2, 1, 2, 2)


async def test_files_and_folders_are_ours_alone(recorder: Recorder, folder: Path) -> None:
    assert stat.S_IMODE(recorder.path.stat().st_mode) == 0o600
    place = recorder.path.parent
    while place != folder.parent:
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        place = place.parent
    assert recorder.path == find(folder, SESSION) == find(folder, SESSION, Clock().wall())


async def test_a_statements_duration_is_told_by_a_clock_nobody_can_set(recorder: Recorder) -> None:
    recorder.append(Said(seq=1))
    await asyncio.sleep(0)
    recorder.append(Finished(seq=1), Finished(seq=77))
    said, first, unknown = list(read(recorder.path))[2:]
    assert isinstance(first, Finished)
    assert isinstance(unknown, Finished)
    assert first.took == first.t - said.t
    assert unknown.took == 0


async def test_a_second_close_changes_nothing_and_nothing_follows_it(recorder: Recorder) -> None:
    await recorder.close(EndCause.KILLED)
    content = recorder.path.read_bytes()
    await recorder.close(EndCause.CLIENT_LEFT)
    with pytest.raises(RecorderFailed, match="closed"):
        recorder.append(Said(seq=1))
    assert recorder.path.read_bytes() == content


async def test_a_recording_of_that_id_is_never_written_over(
    recorder: Recorder, folder: Path, keys: RecordingKeys
) -> None:
    content = recorder.path.read_bytes()
    with pytest.raises(RecorderFailed, match="File exists"):
        await Recorder.create(folder, header(), keys)
    assert recorder.path.read_bytes() == content


@pytest.mark.parametrize("name", ["../../../evil", "s-../../x", "", "s-0123456789/x", "S-0123"])
async def test_an_id_that_is_none_never_becomes_a_path(
    name: str, folder: Path, keys: RecordingKeys
) -> None:
    with pytest.raises(RecorderFailed, match="no session's id"):
        await Recorder.create(folder, header(name), keys)
    assert find(folder, name) is None


async def test_a_link_is_not_followed(folder: Path, keys: RecordingKeys, tmp_path: Path) -> None:
    first = await Recorder.create(folder, header(), keys)
    await first.close(EndCause.CLIENT_LEFT)
    first.path.rename(tmp_path / "elsewhere")
    first.path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RecorderFailed):
        await Recorder.create(folder, header(), keys)
    assert find(folder, SESSION) is None


async def test_an_idle_session_is_signed_to_its_last_line(
    recorder: Recorder, keys: RecordingKeys
) -> None:
    recorder.append(Said(seq=1))
    await until(lambda: isinstance(list(read(recorder.path))[-1], Head))
    found = report(recorder.path, keys)
    assert found.state is State.UNFINISHED
    assert found.signed == found.lines == 4


async def test_a_large_recording_has_frames_that_decode_alone(
    recorder: Recorder, keys: RecordingKeys
) -> None:
    for seq in range(100):
        recorder.append(Said(seq=seq, text=os.urandom(20_000).hex()))
    await recorder.close(EndCause.CLIENT_LEFT)
    assert report(recorder.path, keys).ok
    unpacker = Unpacker()
    unpacker.feed(recorder.path.read_bytes())
    assert len(unpacker.frames) > 3


async def test_usage_tells_what_went_through(recorder: Recorder) -> None:
    recorder.append(Said(seq=1, prepared=True, touches=("public.b:read",)))
    recorder.append(Said(seq=2, kind="run", origin=1, touches=("public.a:read",)))
    recorder.append(Finished(seq=2, rows=5, masked={"card": 1}))
    recorder.append(Said(seq=3, verdict="refuse", touches=("public.c:delete",)))
    recorder.append(Said(seq=4, unread="too deep"))
    used = usage(recorder.path)
    assert used.touched == {"public.a:read"}
    assert (used.statements, used.refused, used.rows, used.masked) == (3, 1, 5, 1)
    assert used.unread == 1
    assert used.last == list(read(recorder.path))[-1].at


# --- durability ---------------------------------------------------------------------------------


async def test_disk_durability_waits_for_the_disk_before_a_statement_only(
    folder: Path, keys: RecordingKeys
) -> None:
    recorder = await Recorder.create(folder, header(durability="disk"), keys)
    waits = [recorder.append(Said(seq=seq)) for seq in range(20)]
    assert recorder.append(Finished(seq=1)) is None
    assert all(future is not None and not future.done() for future in waits)
    await asyncio.gather(*[future for future in waits if future is not None])
    await recorder.close(EndCause.CLIENT_LEFT)
    assert report(recorder.path, keys).ok


async def test_closing_while_the_disk_is_at_work_ends_every_wait(
    folder: Path, keys: RecordingKeys
) -> None:
    recorder = await Recorder.create(folder, header(durability="disk"), keys)
    waits = [recorder.append(Said(seq=seq)) for seq in range(3)]
    await recorder.close(EndCause.KILLED)
    assert all(future is not None and future.done() for future in waits)
    assert report(recorder.path, keys).ok


class SlowDisk:
    """A disk that syncs when it is let."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gate = threading.Event()
        self._sync = recording_disk._sync
        monkeypatch.setattr(recording_disk, "_sync", self.sync)

    def sync(self, fd: int) -> None:
        assert self.gate.wait(20)
        self._sync(fd)


async def test_a_session_far_ahead_of_its_disk_waits_for_it(
    folder: Path, keys: RecordingKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = await Recorder.create(folder, header(), keys)
    disk = SlowDisk(monkeypatch)
    waits = None
    appended = 0
    while waits is None:
        waits = recorder.append(Said(seq=appended, text=os.urandom(50_000).hex()))
        appended += 1
        assert appended < 200
    assert recorder.path.stat().st_size > recorder_module.FAR_BEHIND
    disk.gate.set()
    await waits
    assert recorder.append(Said(seq=0)) is None
    assert await recorder.close(EndCause.CLIENT_LEFT)
    assert report(recorder.path, keys).ok


async def test_a_disk_that_does_not_answer_ends_the_session(
    folder: Path, keys: RecordingKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[RecorderFailed] = []
    recorder = await Recorder.create(folder, header(durability="disk"), keys, failed=told.append)
    disk = SlowDisk(monkeypatch)
    monkeypatch.setattr(recording_disk, "DISK_SILENT", 0.05)
    waits = recorder.append(Said(seq=1))
    assert waits is not None
    with pytest.raises(RecorderFailed, match="not answered"):
        await waits
    assert len(told) == 1
    disk.gate.set()
    assert not await recorder.close(EndCause.RECORDING_FAILED)


def child(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.wire.recorder_child", str(folder), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize("durability", ["kernel", "disk"])
@pytest.mark.parametrize("kill_after", [1, 17, 60, 200])
def test_killing_the_agent_loses_no_statement(
    durability: str, kill_after: int, tmp_path: Path
) -> None:
    process = child(tmp_path, SESSION, durability, "100000")
    assert process.stdout is not None
    told = 0
    dice = random.Random(kill_after)
    with process:
        for line in process.stdout:
            told = int(line)
            if told >= kill_after and dice.random() < 0.2:
                process.send_signal(signal.SIGKILL)
                break
        # What it still told before it died was recorded too.
        rest = process.stdout.read().splitlines(keepends=True)
        told = max([told, *[int(line) for line in rest if line.endswith(b"\n")]])
    keys = RecordingKeys.open(tmp_path / "keys")
    path = find(tmp_path / "recordings", SESSION)
    assert path is not None
    before = [event.seq for event in read(path) if isinstance(event, Said)]
    assert before[:told] == list(range(1, told + 1))
    assert report(path, keys).state is State.UNFINISHED

    (found,) = recover(tmp_path / "recordings", keys)
    assert found.closed
    after = report(path, keys, found.head)
    assert after.ok
    assert after.end is not None
    assert after.end.cause == "recovered"
    assert after.end.totals.statements == found.totals.statements == len(before)
    assert [event.seq for event in read(path) if isinstance(event, Said)] == before
    assert recover(tmp_path / "recordings", keys) == ()


# --- disks that fail ------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small file system wants root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(recorder: Recorder) -> tuple[int, RecorderFailed]:
    for seq in range(1, 10_000):
        try:
            recorder.append(Said(seq=seq, text=os.urandom(2000).hex()))
        except RecorderFailed as problem:
            return seq - 1, problem
    raise AssertionError("the disk is not small")


async def test_a_full_disk_fails_the_append_and_every_one_after_it(
    small_disk: Path, keys: RecordingKeys
) -> None:
    recorder = await Recorder.create(small_disk / "recordings", header(), keys, reserve=0)
    appended, problem = fill(recorder)
    assert "No space left" in str(problem)
    with pytest.raises(RecorderFailed):
        recorder.append(Said(seq=1))
    assert not await recorder.close(EndCause.RECORDING_FAILED)
    seqs = [event.seq for event in read(recorder.path) if isinstance(event, Said)]
    assert seqs == list(range(1, appended + 1))
    # While the disk is full it stays as it is; when there is room again, it is closed.
    assert [one.closed for one in recover(small_disk / "recordings", keys)] in ([False], [True])
    subprocess.run(["mount", "-o", "remount,size=2m", str(small_disk)], check=True)
    recover(small_disk / "recordings", keys)
    assert report(recorder.path, keys).ok


async def test_new_sessions_are_refused_while_space_is_below_the_reserve(
    small_disk: Path, keys: RecordingKeys
) -> None:
    with pytest.raises(RecorderFailed, match="the reserve for open sessions"):
        await Recorder.create(small_disk / "recordings", header(), keys)
    assert find(small_disk / "recordings", SESSION) is None


async def test_nothing_is_left_where_no_header_could_be_written(
    small_disk: Path, keys: RecordingKeys
) -> None:
    (small_disk / "recordings").mkdir()
    with pytest.raises(OSError, match="No space"):
        (small_disk / "full").write_bytes(bytes(2 << 20))
    with pytest.raises(RecorderFailed, match="No space left"):
        await Recorder.create(small_disk / "recordings", header(), keys, reserve=0)
    assert find(small_disk / "recordings", SESSION) is None


async def test_a_disk_that_became_read_only_takes_no_session(
    small_disk: Path, keys: RecordingKeys
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(RecorderFailed, match="Read-only"):
        await Recorder.create(small_disk / "recordings", header(), keys, reserve=0)


async def test_a_failing_sync_behind_an_append_is_told(folder: Path, keys: RecordingKeys) -> None:
    told: list[RecorderFailed] = []
    recorder = await Recorder.create(folder, header(), keys, failed=told.append)
    # A pipe takes what is written to it, and cannot be synced.
    reading, writing = os.pipe()
    os.dup2(writing, recorder._fd)
    assert recorder.append(Said(seq=1)) is None
    await until(lambda: told)
    with pytest.raises(RecorderFailed):
        recorder.append(Said(seq=2))
    assert not await recorder.close(EndCause.RECORDING_FAILED)
    os.close(reading)
    os.close(writing)


async def test_a_failing_sync_fails_who_waits_for_it(folder: Path, keys: RecordingKeys) -> None:
    recorder = await Recorder.create(folder, header(durability="disk"), keys)
    reading, writing = os.pipe()
    os.dup2(writing, recorder._fd)
    waits = recorder.append(Said(seq=1))
    assert waits is not None
    with pytest.raises(RecorderFailed):
        await waits
    recorder.close(EndCause.RECORDING_FAILED)
    os.close(reading)
    os.close(writing)


async def test_a_removed_recording_ends_its_session(folder: Path, keys: RecordingKeys) -> None:
    told: list[RecorderFailed] = []
    recorder = await Recorder.create(folder, header(), keys, failed=told.append)
    recorder.path.unlink()
    recorder.append(Said(seq=1))
    await until(lambda: told)
    assert "removed" in str(told[0])
    recorder.close(EndCause.RECORDING_FAILED)


def test_a_write_that_is_cut_short_leaves_whole_lines_only(tmp_path: Path) -> None:
    with child(tmp_path, SESSION, "kernel", "100000", "50000") as process:
        out = process.communicate()[0].splitlines()
    assert b"File too large" in out[-1]
    path = find(tmp_path / "recordings", SESSION)
    assert path is not None
    assert path.stat().st_size <= 50_000
    unpacker = Unpacker()
    unpacker.feed(path.read_bytes())
    unpacker.finish()
    assert unpacker.trouble == ""
    told = [int(line) for line in out[:-1]]
    assert [event.seq for event in read(path) if isinstance(event, Said)] == told


async def test_a_forked_child_may_not_write(recorder: Recorder) -> None:
    size = recorder.path.stat().st_size
    child_pid = os.fork()
    if child_pid == 0:
        try:
            recorder.append(Said(seq=1))
        except RecorderFailed:
            os._exit(7)
        os._exit(0)
    _, status = os.waitpid(child_pid, 0)  # noqa: ASYNC222 - it has nothing to do but to exit
    assert os.waitstatus_to_exitcode(status) == 7
    assert recorder.path.stat().st_size == size
    recorder.append(Said(seq=1))


# --- after a death --------------------------------------------------------------------------------


async def abandoned(folder: Path, keys: RecordingKeys, session: str, statements: int) -> Path:
    """A recording whose agent died: written, never closed, its lock gone."""
    recorder = await Recorder.create(folder, header(session), keys)
    for seq in range(1, statements + 1):
        recorder.append(Said(seq=seq, text=os.urandom(200 * seq).hex()))
    content = recorder.path.read_bytes()
    await recorder.close(EndCause.CLIENT_LEFT)
    recorder.path.write_bytes(content)
    return recorder.path


async def test_a_tail_torn_anywhere_is_cut_and_kept_beside(
    folder: Path, keys: RecordingKeys
) -> None:
    path = await abandoned(folder, keys, SESSION, 4)
    content = path.read_bytes()
    first = Unpacker()
    first.feed(content[:-1])
    for cut in range(first.good - 20, len(content)):
        path.write_bytes(content[:cut])
        lines = len(list(read(path)))
        (found,) = recover(folder, keys)
        assert found.closed
        after = report(path, keys)
        assert after.ok, cut
        assert after.lines == lines + 2
        assert after.end is not None
        assert after.end.torn == found.torn
        beside = path.with_name(path.name + ".torn")
        if found.torn:
            assert beside.read_bytes() == content[cut - found.torn : cut]
            beside.unlink()


async def test_whole_lines_of_a_torn_append_are_kept(folder: Path, keys: RecordingKeys) -> None:
    recorder = await Recorder.create(folder, header(), keys)
    before = recorder.path.stat().st_size
    recorder.append(*[Said(seq=seq, text=os.urandom(30_000).hex()) for seq in range(6)])
    content = recorder.path.read_bytes()
    await recorder.close(EndCause.CLIENT_LEFT)
    for cut in range(before + 1, len(content), 997):
        recorder.path.write_bytes(content[:cut])
        lines = len(list(read(recorder.path)))
        recover(folder, keys)
        assert report(recorder.path, keys).ok
        assert len(list(read(recorder.path))) == lines + 2
        recorder.path.with_name(recorder.path.name + ".torn").unlink(missing_ok=True)


async def test_one_damaged_recording_hides_no_other(folder: Path, keys: RecordingKeys) -> None:
    paths = [await abandoned(folder, keys, f"s-000000000{i}", 5) for i in range(5)]
    tampered = bytearray(paths[1].read_bytes())
    tampered[100] ^= 1
    paths[1].write_bytes(tampered)
    paths[2].write_bytes(b"")
    paths[3].write_bytes(paths[0].read_bytes())
    found = {one.session: one for one in recover(folder, keys)}
    assert [found[f"s-000000000{i}"].closed for i in range(5)] == [True, False, False, False, True]
    assert "no header" in found["s-0000000002"].why
    assert "session s-0000000000" in found["s-0000000003"].why
    assert paths[1].read_bytes() == bytes(tampered)


async def test_a_recording_that_is_being_written_is_left_alone(
    recorder: Recorder, folder: Path, keys: RecordingKeys
) -> None:
    assert recover(folder, keys) == ()
    recorder.append(Said(seq=1))
    await recorder.close(EndCause.CLIENT_LEFT)
    assert report(recorder.path, keys).ok
    assert recover(folder, keys) == ()


async def test_a_seal_that_is_missing_or_torn_is_made_anew(
    folder: Path, keys: RecordingKeys
) -> None:
    recorder = await Recorder.create(folder, header(), keys)
    recorder.append(Said(seq=1))
    await recorder.close(EndCause.CLIENT_LEFT)
    content = recorder.path.read_bytes()
    unpacker = Unpacker()
    unpacker.feed(content)
    assert unpacker.seal is not None
    for cut in (len(unpacker.seal), 5, 1):
        recorder.path.write_bytes(content[:-cut])
        (found,) = recover(folder, keys)
        assert found.closed
        after = report(recorder.path, keys, recorder.head)
        assert after.ok
        assert after.end is not None
        assert after.end.cause == "client left"


def test_keys_are_made_once_and_stay_private(tmp_path: Path) -> None:
    keys = RecordingKeys.open(tmp_path / "k")
    assert RecordingKeys.open(tmp_path / "k").public == keys.public
    assert keys.redaction.hex() not in repr(keys)
    for path in (tmp_path / "k").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (tmp_path / "k" / "redaction.key").chmod(0o644)
    with pytest.raises(KeyUnsafe, match="chmod 600"):
        RecordingKeys.open(tmp_path / "k")
