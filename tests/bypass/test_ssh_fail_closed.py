"""When an SSH target's session can no longer be recorded, nothing happens that is not on record.

The agent's own limit on the size of files stands for a disk that is full: it is put where the
recording ends, so that the next line of it cannot be written.
"""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest

from tests.e2e.ssh_world import SshWorld, command, options, ssh, stock
from tests.e2e.test_ssh_targets import sessions, shell, until
from tests.e2e.world import Person
from tests.worlds import signed_in, started

TARGET = "web-ca"


@pytest.fixture(scope="module")
def world() -> Iterator[SshWorld]:
    with started(SshWorld) as world:
        yield world


@pytest.fixture(scope="module")
def ana(world: SshWorld) -> Person:
    signed_in(world, "ben")
    person = signed_in(world, "ana")
    person.hoop("request", TARGET, "--reason", "a test of full disks", "--for", "1h")
    return person


def newest(ana: Person) -> Path:
    """The recording of the session that is open now."""

    def look() -> str:
        found = sessions(ana, TARGET)[:1]
        return found[0]["id"] if found and not found[0].get("ended") else ""

    id = until(look, "the session is open")
    (path,) = (ana.world.folder / "agent" / "data" / "recordings").rglob(f"{id}*")
    return Path(path)


@contextmanager
def full(ana: Person, world: SshWorld) -> Iterator[None]:
    """No file of the agent's gets longer than this recording is."""
    agent, size = world.processes[-1].pid, newest(ana).stat().st_size
    before = resource.prlimit(agent, resource.RLIMIT_FSIZE)
    resource.prlimit(agent, resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.prlimit(agent, resource.RLIMIT_FSIZE, before)
        until(lambda: ssh(ana, TARGET, "echo on").stdout == b"on\n", "the agent goes on")


def test_a_shell_shows_nothing_that_is_not_recorded(ana: Person, world: SshWorld) -> None:
    child = shell(ana, TARGET)
    with full(ana, world):
        child.sendline("head -c 300000 /dev/urandom | base64; echo be''hind")
        child.expect(pexpect.EOF)
        shown = child.before.decode() if isinstance(child.before, bytes) else child.before
        assert "can no longer be recorded" in " ".join(shown.split())
        assert "behind" not in shown.replace("be''hind", "")
        child.close()
        assert child.exitstatus == 255


def test_a_command_that_cannot_be_recorded_does_not_run(
    ana: Person, world: SshWorld, tmp_path: Path
) -> None:
    mark, control = tmp_path / "ran", tmp_path / "c"
    shared = ("-o", "ControlMaster=auto", "-o", f"ControlPath={control}")
    first = subprocess.Popen(
        command(ana, TARGET, "echo begun; sleep 60", more=shared),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert first.stdout is not None
    assert first.stdout.readline() == b"begun\n"
    with full(ana, world):
        # Its text is long enough for a line that has no room.
        done = ssh(ana, TARGET, f"touch {mark}; : {'x' * 4000}", more=shared)
        assert done.returncode != 0
        assert not mark.exists()
        _, said = first.communicate(timeout=20)
        assert b"recorded" in said
        assert first.returncode == 255


def test_a_file_that_cannot_be_recorded_is_not_opened(
    ana: Person, world: SshWorld, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    process = subprocess.Popen(
        [stock("sftp"), "-q", *options(ana), "-o", f"User={ana.name}+{TARGET}", "127.0.0.1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"pwd\n")
    process.stdin.flush()
    assert b"emote working directory" in process.stdout.readline() + process.stdout.readline()
    with full(ana, world):
        process.stdin.write(f"put /etc/hostname {there}/{'x' * 200}\n".encode())
        process.stdin.flush()
        said, _ = process.communicate(timeout=20)
        assert process.returncode != 0
        assert b"recorded" in said
        assert [path.name for path in there.iterdir()] == []
