"""A disk that fails at any of its calls: what was forwarded is on record, or the session ends.

A short session is recorded once, and every call that reaches its files is counted.  Then it is
recorded again for each of them, and that one fails: once, or for good from there on.
"""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hoopagent import recorder as recorder_module
from hoopagent.recorder import Recorder, RecorderFailed
from hoopagent.recording_keys import RecordingKeys
from hoopagent.recordings import find, pieces, read
from hoopagent.recovery import recover
from hoopcore.recording import EndCause, Finished, Header, Said, State, verify_file

SESSION = "s-0123456789"
CALLS = ("open", "write", "fdatasync", "fsync", "ftruncate", "mkdir")
FAULTS = (errno.ENOSPC, errno.EIO, errno.EROFS, "short", "slow")
NAMES = ("ENOSPC", "EIO", "EROFS", "short", "slow")


class Disk:
    """Counts the calls for files below a folder, and spoils some."""

    def __init__(self, folder: Path, fault: object = None, first: int = 0, *, lasts: bool = False):
        self.folder, self.fault, self.first, self.lasts = str(folder), fault, first, lasts
        self.count = 0
        self.spoilt: list[str] = []

    def meets(self, name: str, subject: Any) -> bool:
        """Whether this call is to be spoilt."""
        where = os.readlink(f"/proc/self/fd/{subject}") if isinstance(subject, int) else subject
        if not str(where).startswith(self.folder):
            return False
        self.count += 1
        if (
            not self.fault
            or self.count < self.first
            or (self.count > self.first and not self.lasts)
        ):
            return False
        self.spoilt.append(name)
        return True


def spoiled(disk: Disk, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def call(subject: Any, *rest: Any, **more: Any) -> Any:
        if not disk.meets(name, subject):
            return real(subject, *rest, **more)
        if isinstance(disk.fault, int):
            raise OSError(disk.fault, os.strerror(disk.fault))
        if disk.fault == "short" and name == "write" and len(rest[0]) > 1:
            return real(subject, bytes(rest[0])[: len(rest[0]) // 2])
        if disk.fault == "slow":
            time.sleep(0.003)  # longer than a commit waits
        return real(subject, *rest, **more)

    return call


@contextmanager
def failing(disk: Disk) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder_module, "COMMIT_AFTER", 0.002)
        for name in CALLS:
            patch.setattr(os, name, spoiled(disk, name, getattr(os, name)))
        yield


async def session(folder: Path, keys: RecordingKeys, durability: str) -> tuple[list[int], bool]:
    """The statements that may be forwarded, and whether the session was ended by its recording."""
    told: list[RecorderFailed] = []
    header = Header(session=SESSION, principal="p-0123456789", target="t", durability=durability)
    forwarded: list[int] = []
    try:
        recorder = await Recorder.create(folder, header, keys, failed=told.append, reserve=0)
    except RecorderFailed:
        return [], True
    try:
        for seq in range(1, 9):
            durable = recorder.append(Said(seq=seq, text=f"select {seq} /* {'x' * 40000} */"))
            if durable is not None:
                await durable
            if told:
                break
            forwarded.append(seq)
            recorder.append_later(Finished(seq=seq, rows=1))
            if seq % 3 == 0:
                await asyncio.sleep(0.005)  # a timed commit comes in between
    except RecorderFailed as problem:
        told.append(problem)
    whole = await recorder.close(EndCause.RECORDING_FAILED if told else EndCause.CLIENT_LEFT)
    return forwarded, bool(told) or not whole


def calls(tmp_path: Path, durability: str) -> int:
    """How many calls a session without any fault makes."""
    keys = RecordingKeys.open(tmp_path / "keys")
    disk = Disk(tmp_path / "healthy")
    with failing(disk):
        forwarded, ended = asyncio.run(session(tmp_path / "healthy", keys, durability))
    assert (forwarded, ended) == (list(range(1, 9)), False)
    return disk.count


@pytest.fixture
def folder_in_memory(tmp_path: Path) -> Iterator[Path]:
    """A folder whose real calls cost nothing: the faults are ours."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


@pytest.mark.parametrize("durability", ["kernel", "disk"])
@pytest.mark.parametrize("lasts", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("fault", FAULTS, ids=NAMES)
def test_whichever_call_fails_nothing_is_forwarded_that_is_not_on_record(
    folder_in_memory: Path, fault: int | str, lasts: bool, durability: str
) -> None:
    tmp_path = folder_in_memory
    keys = RecordingKeys.open(tmp_path / "keys")
    met = set()
    for first in range(1, calls(tmp_path, durability) + 1):
        folder = tmp_path / f"r{first}"
        disk = Disk(folder, fault, first, lasts=lasts)
        with failing(disk):
            forwarded, ended = asyncio.run(session(folder, keys, durability))
        met.update(disk.spoilt)
        path = find(folder, SESSION)
        if path is None:
            assert not forwarded
            continue
        found = verify_file(pieces(path), keys.public)
        assert found.state is not State.BROKEN, (first, found.why)
        kept = [event.seq for event in read(path) if isinstance(event, Said)]
        assert kept[: len(forwarded)] == forwarded, first
        if isinstance(fault, str):
            assert not ended, (first, disk.spoilt)
            assert found.ok
        if disk.spoilt and found.state is State.UNFINISHED:
            assert ended, (first, disk.spoilt)
            recover(folder, keys)
            assert verify_file(pieces(path), keys.public).ok, first
    assert {"write", "fdatasync"} <= met
