"""What a power cut can take of a recording, on a file system whose disk is a file.

Recordings are written on an ext4 that is mounted from an image.  At a random moment the writer is
stopped and the image copied as it is, without what only the page cache above it holds: that is what
a disk has when the power goes.  The copy is mounted, and the recording in it looked at.

30 cuts in CI; ``HOOP_LONG=1`` makes 300 and prints what was lost.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hoopagent.recorder import FAR_BEHIND
from hoopagent.recording_keys import RecordingKeys
from hoopagent.recordings import find, pieces, read
from hoopagent.recovery import recover
from hoopcore.recording import Said, State, verify_file

CUTS = 300 if os.environ.get("HOOP_LONG") else 30
SESSION = "s-0123456789"
SIZE = 160 << 20  # most of it is never written: the file is sparse


def _run(*command: str | Path) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True)


@contextmanager
def mounted(image: Path, place: Path) -> Iterator[Path]:
    place.mkdir(exist_ok=True)
    _run("mount", "-o", "loop", image, place)
    try:
        yield place
    finally:
        _run("umount", "-l", place)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """An image with a file system, and on it the agent's keys, which are older than any session."""
    image = tmp_path / "disk.img"
    try:
        with image.open("wb") as file:
            file.truncate(SIZE)
        _run("mkfs.ext4", "-q", "-F", image)
        with mounted(image, tmp_path / "first") as place:
            RecordingKeys.open(place / "keys")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a file system in a file wants root, loop devices and mkfs.ext4")
    return image


class Writer:
    """A process that records, and tells each statement once it may be forwarded."""

    def __init__(self, folder: Path, durability: str) -> None:
        words = [
            sys.executable,
            "-m",
            "tests.wire.recorder_child",
            str(folder),
            SESSION,
            durability,
        ]
        self.process = subprocess.Popen(
            [*words, "1000000"], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        assert self.process.stdout is not None
        self._fd = self.process.stdout.fileno()
        os.set_blocking(self._fd, False)
        self._heard = b""

    @property
    def told(self) -> int:
        """The last statement that it has told so far."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._fd, 1 << 16):
                self._heard = (self._heard + data)[-100:]
        whole = self._heard.rpartition(b"\n")[0].rpartition(b"\n")[2]
        return int(whole or 0)

    def stop(self) -> None:
        """It goes no further, and the kernel has nothing of its in hand."""
        self.process.send_signal(signal.SIGSTOP)
        end = time.monotonic() + 30
        tasks = Path(f"/proc/{self.process.pid}/task")
        while any(_state(task) != "T" for task in tasks.iterdir()):
            assert time.monotonic() < end, "a thread does not stop"
            time.sleep(0.001)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def _state(task: Path) -> str:
    return (task / "stat").read_text().rpartition(")")[2].split()[0]


def cut(disk: Path, folder: Path, durability: str, dice: random.Random) -> tuple[int, int]:
    """One power cut: statements that were told, and the image is left as ``folder/cut.img``."""
    with mounted(disk, folder / "live") as live:
        writer = Writer(live, durability)
        try:
            wanted = dice.choice([1, 3, 20, 100, 400])
            end = time.monotonic() + 60
            while writer.told < wanted:
                assert writer.process.poll() is None
                assert time.monotonic() < end
                time.sleep(dice.random() * 0.01)
            time.sleep(dice.random() * 0.1)
            writer.stop()
            told = writer.told
            _run("cp", "--sparse=always", disk, folder / "cut.img")
            path = find(live / "recordings", SESSION)
            assert path is not None
            size = path.stat().st_size
        finally:
            writer.end()
        _run("rm", "-r", live / "recordings")
    return told, size


@pytest.mark.timeout(300 if CUTS < 100 else 3600)
@pytest.mark.parametrize("durability", ["kernel", "disk"])
def test_a_power_cut_takes_no_more_than_was_said(
    disk: Path, tmp_path: Path, durability: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lost_statements, lost_bytes = [], []
    for number in range(CUTS // 2):
        told, size = cut(disk, tmp_path, durability, random.Random(number))
        with mounted(tmp_path / "cut.img", tmp_path / "after") as after:
            keys = RecordingKeys.open(after / "keys")
            path = find(after / "recordings", SESSION)
            assert path is not None, "a session's recording is on the disk before it begins"
            found = verify_file(pieces(path), keys.public)
            assert found.state is State.UNFINISHED, found.why
            lost_bytes.append(size - path.stat().st_size)
            (closed,) = recover(after / "recordings", keys)
            assert closed.closed
            whole = verify_file(pieces(path), keys.public, head=closed.head)
            assert whole.ok, whole.why
            kept = [event.seq for event in read(path) if isinstance(event, Said)]
        assert kept == list(range(1, len(kept) + 1))
        lost_statements.append(told - len(kept))
        (tmp_path / "cut.img").unlink()
    if durability == "disk":
        assert max(lost_statements) <= 0, lost_statements
    assert max(lost_bytes) <= FAR_BEHIND + (1 << 20)
    with capsys.disabled():
        if CUTS > 100:
            middle = sorted(lost_bytes)[len(lost_bytes) // 2]
            sys.stdout.write(
                f"\n{durability}: {len(lost_bytes)} cuts, at most {max(lost_statements)} statements"
                f" and {max(lost_bytes)} bytes lost, in the middle {middle} bytes\n"
            )
