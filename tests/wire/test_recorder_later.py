"""What became of a statement rides with the next write, and is never left behind."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from hoopagent.recorder import Recorder, RecorderFailed
from hoopagent.recordings import read
from hoopcore.recording import EndCause, Finished, Said
from tests.wire.test_recorder import folder, keys, recorder, report, until

__all__ = ["folder", "keys", "recorder"]  # fixtures


def names(path: Path) -> list[str]:
    return [type(event).__name__ for event in read(path)]


async def test_a_result_is_written_with_the_next_statement_and_stands_before_it(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.append(Said(seq=1))
    before = recorder.path.stat().st_size
    recorder.append_later(Finished(seq=1, rows=3))
    assert recorder.path.stat().st_size == before
    assert recorder.totals.rows == 3
    writes: list[bytes] = []
    write = os.write

    def counted(fd: int, data: bytes) -> int:
        writes.append(data)
        return write(fd, data)

    monkeypatch.setattr(os, "write", counted)
    recorder.append(Said(seq=2))
    assert len(writes) == 1
    assert names(recorder.path) == ["Header", "Head", "Said", "Finished", "Said"]


async def test_without_another_statement_a_result_is_written_by_itself(recorder: Recorder) -> None:
    recorder.append(Said(seq=1))
    recorder.append_later(Finished(seq=1))
    await until(lambda: names(recorder.path)[:4] == ["Header", "Head", "Said", "Finished"])


async def test_a_result_is_on_record_before_the_end(recorder: Recorder, keys: object) -> None:
    recorder.append(Said(seq=1))
    recorder.append_later(Finished(seq=1, rows=1))
    assert await recorder.close(EndCause.CLIENT_LEFT)
    found = names(recorder.path)
    assert found.index("Finished") < found.index("End")
    assert report(recorder.path, keys, recorder.head).ok  # type: ignore[arg-type]  # a fixture


async def test_a_disk_that_is_busy_holds_up_no_result(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the disk is waited for: the kernel has the line all the same."""
    recorder.append(Said(seq=1))
    recorder._disk.busy = True
    recorder.append_later(Finished(seq=1))
    await until(lambda: "Finished" in names(recorder.path))
    recorder._disk.busy = False


async def test_a_statement_behind_an_idle_moment_does_not_wait_for_the_next_head(
    recorder: Recorder,
) -> None:
    """The timer of a head that is due in a second is no reason to leave the disk behind."""
    recorder.append(Said(seq=1))
    await until(
        lambda: recorder._timer is not None and not recorder._soon and not recorder._disk.busy
    )
    recorder.append(Said(seq=2))
    assert recorder._soon


async def test_a_result_that_cannot_be_written_fails_the_recording(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[RecorderFailed] = []
    recorder._failed = told.append
    recorder.append(Said(seq=1))

    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    recorder.append_later(Finished(seq=1))
    await until(lambda: told)
    monkeypatch.undo()
    with pytest.raises(RecorderFailed):
        recorder.append_later(Finished(seq=1))
    await asyncio.sleep(0)
