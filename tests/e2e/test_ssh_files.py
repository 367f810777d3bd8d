"""Files through SFTP targets: stock clients, the rules on files, and what is recorded of each."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paramiko
import pytest

from tests.e2e.ssh_world import SshWorld, options, stock, told
from tests.e2e.test_ssh_lane import kept
from tests.e2e.test_ssh_targets import connected, recorded, until
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
name = "ask-for-it"
verdict = "hold"
reason = "somebody looks at it"
targets = ["web-ca"]
transfers = ["download"]
paths = ["*/asked/*"]
approvers = ["dba"]

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


def test_a_path_is_refused_by_whatever_name(ana: Person, there: Path) -> None:
    (there / "secrets").mkdir()
    (there / "secrets" / "key").write_bytes(b"the key")
    done = sftp(
        ana,
        "web-ca",
        f"-get {there}/secrets/key {there}/got1",
        f"-symlink {there}/secrets {there}/zz",
        f"-get {there}/zz/key {there}/got6",
        f"-ln {there}/secrets/key {there}/hard",
        f"-rename {there}/secrets {there}/open",
        f"cd {there}",
        f"-get ./x/..//secrets/key {there}/got4",
        f"-put {there}/plain secrets/new",
        f"-get {there}/innocent {there}/got5",
    )
    assert not list(there.glob("got*"))
    assert sorted(path.name for path in there.iterdir()) == ["secrets", "zz"]
    assert b'refused by rule "no-secret-files": secrets stay where they are' in done.stderr

    (there / "link").symlink_to("secrets")  # somebody else has put it there
    (there / "innocent").symlink_to("link/key")
    done = sftp(
        ana,
        "web-ca",
        f"-get {there}/link/key {there}/got2",
        f"-get {there}/innocent {there}/got3",
        f"-ls {there}/link",
        f"-rm {there}/secrets/key",
    )
    assert not list(there.glob("got*"))
    assert (there / "secrets" / "key").exists()
    said = [event for event in recorded(ana, "web-ca") if event["type"] == "statement"]
    refused = [event["text"] for event in said if event.get("verdict") == "refuse"]
    assert any(f"innocent (really {there}/secrets/key)" in text for text in refused), refused

    # to look is not recorded one by one, but to look where one may not is
    assert f"look {there}/secrets/key" in refused


def test_large_files_are_refused_before_and_on_their_way(ana: Person, there: Path) -> None:
    (there / "large").write_bytes(b"x" * 2_000_000)
    (there / "fits").write_bytes(b"y" * (1 << 20))
    done = sftp(
        ana,
        "web-ca",
        f"-get {there}/large {there}/got",
        f"-put {there}/large {there}/put",
        f"-get {there}/fits {there}/got-fits",
        f"-put {there}/fits {there}/put-fits",
    )
    assert b"large files want a ticket" in done.stderr
    assert not (there / "got").exists() or (there / "got").read_bytes() == b""
    assert (there / "put").stat().st_size <= 1 << 20
    assert (there / "got-fits").read_bytes() == (there / "put-fits").read_bytes()
    outcomes = {
        one["path"].rpartition("/")[2]: one.get("outcome", "whole") for one in files(ana, "web-ca")
    }
    assert outcomes == {"large": "refused", "put": "refused", "fits": "whole", "put-fits": "whole"}


def test_a_file_with_cards_in_it_does_not_leave(ana: Person, there: Path) -> None:
    rows = b"nothing to see\n" * 20_000
    (there / "first").write_bytes(CARD + rows)
    (there / "later").write_bytes(rows[:150_000] + CARD * 800 + rows[:150_000])
    (there / "clean").write_bytes(rows)
    done = sftp(
        ana,
        "web-ca",
        f"-get {there}/first {there}/got-first",
        f"-get {there}/later {there}/got-later",
        f"get {there}/clean {there}/got-clean",
    )
    assert b"cards stay where they are" in done.stderr
    for name in ("got-first", "got-later"):
        assert not (there / name).exists() or not (there / name).read_bytes()
    assert (there / "got-clean").read_bytes() == rows
    refused = [one["path"] for one in files(ana, "web-ca") if one.get("outcome") == "refused"]
    assert refused == [f"{there}/first", f"{there}/later"]


def test_what_no_recording_holds_is_not_in_names_of_files_either(ana: Person, there: Path) -> None:
    (there / "4111111111111111").write_bytes(b"a")
    sftp(ana, "bash-1", f"get {there}/4111111111111111 {there}/got")
    assert (there / "got").exists()
    (found,) = files(ana, "bash-1")
    assert "⟦card:" in found["path"]
    assert "4111111111111111" not in json.dumps(recorded(ana, "bash-1"))


def test_what_is_refused_is_not_the_end(ana: Person, there: Path) -> None:
    (there / "a").write_bytes(b"a")
    done = sftp(ana, "web-ca", f"-rm {there}/a", f"get {there}/a {there}/b", f"mkdir {there}/d")
    assert done.returncode == 0
    assert (there / "a").exists()
    assert (there / "b").read_bytes() == b"a"
    assert (there / "d").is_dir()
    events = recorded(ana, "web-ca")
    (made,) = [e["seq"] for e in events if e.get("text", "").startswith("make ")]
    assert [e["tag"] for e in events if e["type"] == "finished" and e["seq"] == made] == ["done"]


def test_scp_in_its_new_mode_copies_folders(ana: Person, there: Path) -> None:
    tree = {"one": os.urandom(70_000), "sub/two": b"2", "sub/three": b""}
    for name, data in tree.items():
        path = there / "from" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for source, goal in ((f"{there}/from", f"{there}/up"), (f"{there}/up", f"{there}/down")):
        host = f"{ana.name}+bash-1@127.0.0.1:"
        up = goal.endswith("up")
        names = (source, host + goal) if up else (host + source, goal)
        subprocess.run(
            [stock("scp"), "-s", "-r", "-p", "-q", *options(ana), *names], timeout=60, check=True
        )
        found = {one["path"]: one for one in files(ana, "bash-1")}
        for name, data in tree.items():
            assert (Path(goal) / name).read_bytes() == data
            told = found[f"{goal if up else source}/{name}"]
            assert (told.get("sha256"), told.get("size", 0)) == (digest(data), len(data))
            assert told["direction"] == ("upload" if up else "download")


def test_a_resumed_transfer_is_a_part(ana: Person, there: Path) -> None:
    data = os.urandom(400_000)
    (there / "whole").write_bytes(data)
    (there / "half").write_bytes(data[:100_000])
    sftp(ana, "bash-1", f"reget {there}/whole {there}/half")
    assert (there / "half").read_bytes() == data
    (found,) = files(ana, "bash-1")
    assert (found["size"], found["outcome"]) == (300_000, "part")
    assert not found["sha256"]


def test_a_transfer_that_is_cut_is_a_part(ana: Person, there: Path) -> None:
    (there / "big").write_bytes(os.urandom(3_000_000))
    user = f"User={ana.name}+bash-1"
    process = subprocess.Popen(
        [stock("sftp"), *options(ana), "-l", "4000", "-o", user, "-b", "-", "127.0.0.1"],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    process.stdin.write(f"get {there}/big {there}/got\n".encode())
    process.stdin.close()
    until(lambda: (there / "got").exists() and (there / "got").stat().st_size, "it has begun")
    process.kill()
    process.wait(10)
    (found,) = files(ana, "bash-1")
    assert found["outcome"] == "part"
    assert not found["sha256"]


@contextmanager
def paramiko_client(person: Person, target: str) -> Iterator[paramiko.SFTPClient]:
    mine = kept(person)
    key = paramiko.Ed25519Key.from_private_key(io.StringIO(mine.key))
    key.load_certificate(mine.certificate)
    host, _, port = told(person)["ssh"].partition(":")
    with contextlib.closing(paramiko.Transport((host, int(port)))) as transport:
        transport.connect(username=f"{person.name}+{target}", pkey=key)
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
        yield client


def test_paramiko_asks_for_all_of_a_file_at_once(ana: Person, there: Path) -> None:
    data = os.urandom(5_000_000)
    with paramiko_client(ana, "bash-1") as client:
        client.putfo(io.BytesIO(data), f"{there}/a")
        got = io.BytesIO()
        client.getfo(f"{there}/a", got)
        client.rename(f"{there}/a", f"{there}/b")
        client.posix_rename(f"{there}/b", f"{there}/c")
        client.chmod(f"{there}/c", 0o600)
        assert client.stat(f"{there}/c").st_size == len(data)
        assert client.listdir(str(there)) == ["c"]
        with client.open(f"{there}/c", "r") as file:
            file.seek(1000)
            assert file.read(10) == data[1000:1010]
        with pytest.raises(OSError, match="o such file"):
            client.open(f"{there}/nothing")
        client.remove(f"{there}/c")
    assert got.getvalue() == data
    found = files(ana, "bash-1")
    whole = ("whole", len(data), digest(data))
    assert [(one["outcome"], one["size"], one["sha256"]) for one in found] == [
        whole,
        whole,
        ("part", 10, ""),
        ("failed: no such file", 0, ""),
    ]


def test_paramiko_hears_the_words_of_a_refusal(ana: Person, there: Path) -> None:
    (there / "a").write_bytes(b"a")
    with paramiko_client(ana, "web-ca") as client, pytest.raises(PermissionError) as refused:
        client.remove(f"{there}/a")
    assert 'hoop: refused by rule "nothing-removed": nothing is removed here' in str(refused.value)


async def test_asyncssh_carries_many_files_at_once(ana: Person, there: Path) -> None:
    tree = {f"file{number}": os.urandom(number * 40_000) for number in range(12)}
    (there / "from").mkdir()
    for name, data in tree.items():
        (there / "from" / name).write_bytes(data)
    for target in ("bash-1", "web-ca"):
        async with connected(ana, target) as connection, connection.start_sftp_client() as client:
            await client.put(f"{there}/from", f"{there}/up-{target}", recurse=True)
            names = [f"{there}/up-{target}/{name}" for name in tree]
            (there / f"down-{target}").mkdir()
            await asyncio.gather(*(client.get(n, f"{there}/down-{target}/") for n in names))
            await client.copy(names[3], f"{there}/copy-{target}")
            # It asks the version of who it speaks to which of the names comes first.
            await client.symlink("file4", f"{there}/link-{target}")
        found = files(ana, target)
        for name, data in tree.items():
            assert (there / f"down-{target}" / name).read_bytes() == data
            both = [one for one in found if one["path"] == f"{there}/up-{target}/{name}"]
            assert {(one["direction"], one["sha256"]) for one in both} >= {
                ("upload", digest(data)),
                ("download", digest(data)),
            }
        assert (there / f"copy-{target}").read_bytes() == tree["file3"]
        assert (there / f"link-{target}").readlink() == Path("file4")


def test_a_download_waits_for_an_approval(ana: Person, there: Path, world: FilesWorld) -> None:
    ben = signed_in(world, "ben")
    (there / "asked").mkdir()
    (there / "asked" / "a").write_bytes(b"worth asking")
    process = subprocess.Popen(
        [stock("sftp"), *options(ana), "-o", f"User={ana.name}+web-ca", "-b", "-", "127.0.0.1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(f"ls {there}/asked\nget {there}/asked/a {there}/got\n".encode())
    process.stdin.close()
    said = process.stderr.readline().decode()
    found = re.search(r"hold-\w+", said)
    assert found, said
    (shown,) = [one for one in ben.json("requests", "--to-decide") if one["id"] == found[0]]
    assert f"download {there}/asked/a" in json.dumps(shown)
    assert not (there / "got").exists() or not (there / "got").read_bytes()
    ben.hoop("approve", found[0], "--reason", "a test")
    assert process.wait(60) == 0
    process.stderr.close()
    assert (there / "got").read_bytes() == b"worth asking"
    (one,) = files(ana, "web-ca")
    assert one["sha256"] == digest(b"worth asking")
