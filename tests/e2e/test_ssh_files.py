"""Files through SFTP targets: stock clients, the rules on files, and what is recorded of each."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.ssh_world import SshWorld, options, stock
from tests.e2e.test_ssh_targets import recorded, until
from tests.e2e.world import Person
from tests.worlds import signed_in, started

CARD = b"card 4111 1111 1111 1111 of ana\n"
RULES = """
[[rule]]
name = "no-secret-files"
verdict = "refuse"
reason = "secrets stay where they are"
targets = ["web-ca"]
paths = ["*/secrets/*"]

[[rule]]
name = "small-only"
verdict = "refuse"
reason = "large files want a ticket"
targets = ["web-ca"]
transfers = ["download", "upload"]
larger_than = "1 MiB"

[[rule]]
name = "no-cards"
verdict = "refuse"
reason = "cards stay where they are"
targets = ["web-ca"]
containing = ["card"]

[[rule]]
name = "nothing-removed"
verdict = "refuse"
reason = "nothing is removed here"
targets = ["web-ca"]
transfers = ["remove"]
"""


class FilesWorld(SshWorld):
    def _start_sshd(self) -> None:
        super()._start_sshd()
        with (self.folder / "agent" / "rules.toml").open("a") as rules:
            rules.write(RULES)


@pytest.fixture(scope="module")
def world() -> Iterator[FilesWorld]:
    with started(FilesWorld) as world:
        yield world


@pytest.fixture(scope="module")
def ana(world: FilesWorld) -> Person:
    person = signed_in(world, "ana")
    for name in ("web-ca", "bash-1"):
        person.hoop("request", name, "--reason", "a test of files", "--for", "1h")
    return person


@pytest.fixture(name="there")
def _there(world: FilesWorld, request: pytest.FixtureRequest) -> Path:
    """A folder on the host."""
    folder = world.folder / f"there-{request.node.name[:40].replace('[', '-').rstrip(']')}"
    folder.mkdir()
    return folder


def sftp(
    person: Person, target: str, *lines: str, more: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[bytes]:
    user = f"User={person.name}+{target}"
    return subprocess.run(
        [stock("sftp"), *options(person), "-o", user, *more, "-b", "-", "127.0.0.1"],
        input="".join(f"{line}\n" for line in lines).encode(),
        capture_output=True,
        timeout=60,
        check=False,
    )


def files(person: Person, target: str) -> list[dict[str, Any]]:
    return [event for event in recorded(person, target) if event["type"] == "file"]


def entry(event: dict[str, Any]) -> tuple[Any, ...]:
    return event["direction"], event["path"], event.get("size", 0), event.get("sha256", "")


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_sftp_gets_and_puts_and_each_file_is_accounted_for(ana: Person, there: Path) -> None:
    big, small = os.urandom(3_000_000), b"x" * 10
    (there / "big").write_bytes(big)
    (there / "mine").write_bytes(small)
    (there / "empty").write_bytes(b"")
    done = sftp(
        ana,
        "bash-1",
        f"get {there}/big {there}/got",
        f"put {there}/mine {there}/put",
        f"get {there}/empty {there}/got-empty",
        f"ls {there}",
    )
    assert done.returncode == 0, done.stderr
    assert (there / "got").read_bytes() == big
    assert (there / "put").read_bytes() == small
    found = files(ana, "bash-1")
    assert [entry(one) for one in found] == [
        ("download", f"{there}/big", len(big), digest(big)),
        ("upload", f"{there}/put", len(small), digest(small)),
        ("download", f"{there}/empty", 0, digest(b"")),
    ]
    assert [one.get("outcome", "whole") for one in found] == ["whole"] * 3
