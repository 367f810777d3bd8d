"""Files on SSH targets: stock ``scp -O`` and rsync through the agent to a real sshd."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.ssh_world import options, ssh, stock
from tests.e2e.test_ssh_files import FilesWorld
from tests.e2e.test_ssh_targets import recorded
from tests.e2e.world import Person
from tests.worlds import signed_in, started


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


@pytest.fixture
def at(tmp_path: Path) -> Path:
    dice = random.Random(7)
    for name, size in (("a", 1), ("none", 0), ("b/z", 5), ("big", 3 << 20), ("b/é x", 70000)):
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dice.randbytes(size))
    (tmp_path / "dst").mkdir()
    return tmp_path


def scp(person: Person, target: str, *words: str) -> subprocess.CompletedProcess[str]:
    more = ["-o", f"User={person.name}+{target}"]
    return _run([stock("scp"), "-O", *options(person), *more, *words])


def rsync(person: Person, target: str, *words: str) -> subprocess.CompletedProcess[str]:
    shell = " ".join([stock("ssh"), *options(person), "-l", f"{person.name}+{target}"])
    return _run([stock("rsync"), "-e", shell, *words])


def _run(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def tree(folder: Path) -> dict[str, tuple[int, str]]:
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            found[str(path.relative_to(folder))] = (len(data), hashlib.sha256(data).hexdigest())
    return found


def manifest(person: Person, target: str, root: Path) -> dict[str, tuple[int, str]]:
    events = [one for one in recorded(person, target) if one["type"] == "file"]
    assert all(one.get("outcome", "whole") == "whole" for one in events), events
    return {
        one["path"].removeprefix(f"{root}/"): (one.get("size", 0), one.get("sha256", ""))
        for one in events
    }


WAYS = {"upload": ("{src}", "127.0.0.1:{dst}"), "download": ("127.0.0.1:{src}", "{dst}")}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["scp -rp", "rsync -a", "rsync -az"])
def test_a_folder_arrives_and_each_file_is_in_the_recording(
    ana: Person, at: Path, way: str, kind: str
) -> None:
    run, flags = (scp if kind.startswith("scp") else rsync), kind.split()[1]
    words = [one.format(src=at / "src", dst=at / "dst") for one in WAYS[way]]
    done = run(ana, "bash-1", flags, *words)
    assert done.returncode == 0, done.stderr
    assert tree(at / "dst" / "src") == tree(at / "src")
    root = at / ("dst/src" if way == "upload" else "src")
    assert manifest(ana, "bash-1", root) == tree(at / "src")


@pytest.mark.parametrize("kind", ["scp -rp", "rsync -a"])
def test_rules_keep_some_files_and_let_the_others_go(ana: Person, at: Path, kind: str) -> None:
    run, flags = (scp if kind.startswith("scp") else rsync), kind.split()[1]
    (at / "src" / "secrets").mkdir()
    (at / "src" / "secrets" / "key").write_text("x")
    done = run(ana, "web-ca", flags, f"{at}/src", f"127.0.0.1:{at}/dst")
    assert done.returncode == (1 if run is scp else 23)
    assert 'refused by rule "no-secret-files": secrets stay where they are' in done.stderr
    assert 'refused by rule "small-only": large files want a ticket' in done.stderr
    assert set(tree(at / "dst" / "src")) == {"a", "none", "b/z", "b/é x"}
    events = recorded(ana, "web-ca")
    outcomes = {
        one["path"].removeprefix(f"{at}/dst/src/"): one.get("outcome", "whole")
        for one in events
        if one["type"] == "file"
    }
    assert outcomes["secrets/key"] == outcomes["big"] == "refused"
    assert outcomes["a"] == outcomes["b/é x"] == "whole"
    judged = [one for one in events if one["type"] == "statement" and one["kind"] == "file"]
    assert {one["seq"] for one in judged} >= {one["seq"] for one in events if one["type"] == "file"}


@pytest.mark.parametrize("kind", ["scp -rp", "rsync -a"])
def test_what_would_have_to_be_looked_at_goes_by_sftp_alone(
    ana: Person, at: Path, kind: str
) -> None:
    run, flags = (scp if kind.startswith("scp") else rsync), kind.split()[1]
    done = run(ana, "web-ca", flags, f"127.0.0.1:{at}/src/b", f"{at}/dst")
    assert done.returncode == (1 if run is scp else 23)
    assert "would have to be looked at first" in done.stderr
    assert not tree(at / "dst")


@pytest.mark.parametrize(
    "text",
    ["scp -t /tmp; true", "cd /tmp && rsync --server --sender -r . x", "scp -f /etc/x | cat"],
)
def test_a_transfer_within_another_text_is_refused(ana: Person, text: str) -> None:
    done = ssh(ana, "bash-1", text)
    assert done.returncode == 126
    assert b"a transfer is a command by itself" in done.stderr


def test_what_rsync_cannot_do_here_is_refused_with_words(ana: Person, at: Path) -> None:
    done = rsync(ana, "bash-1", "-aX", f"{at}/src/", f"127.0.0.1:{at}/dst/")
    assert done.returncode != 0
    assert "does not work with -X (--xattrs)" in done.stderr
    assert not tree(at / "dst")


def test_nothing_of_a_file_is_in_the_recording(ana: Person, world: FilesWorld, at: Path) -> None:
    secret = os.urandom(12).hex()
    (at / "src" / "canary").write_text(secret * 100)
    assert scp(ana, "bash-1", f"127.0.0.1:{at}/src/canary", f"{at}/dst").returncode == 0
    assert rsync(ana, "bash-1", f"{at}/src/canary", f"127.0.0.1:{at}/dst/x").returncode == 0
    events: list[dict[str, Any]] = recorded(ana, "bash-1")
    assert any(one["type"] == "file" for one in events)
    for path in (world.folder / "agent" / "data").rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes()
