"""Signing in with stock ssh and nothing of hoop's: a proved key, a page, a code."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pexpect
import pytest

from hoopagent.doors.by_key import FLOWS_EACH
from hoopcli.demo.provider import approve
from tests.e2e.ssh_world import SshWorld, stock, told
from tests.e2e.test_ssh_targets import PATIENCE
from tests.e2e.world import Person
from tests.worlds import signed_in, started


@pytest.fixture(scope="module")
def world() -> Iterator[SshWorld]:
    with started(SshWorld) as world:
        yield world


@pytest.fixture(scope="module")
def ben(world: SshWorld) -> Person:
    """Who looks after targets, and signs in with hoop."""
    return signed_in(world, "ben")


@pytest.fixture(scope="module")
def ana(world: SshWorld, ben: Person) -> Person:
    """ana has a grant; with ssh she is another machine, which knows nothing of hoop."""
    person = signed_in(world, "ana")
    person.hoop("request", "web-ca", "--reason", "a test of signing in", "--for", "1h")
    return person


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A key of hers that the agent has never seen."""
    path = tmp_path / "id_ed25519"
    path.touch(mode=0o600)
    path.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    return path


def bare(person: Person, key: Path, user: str, *more: str) -> list[str]:
    """ssh as it comes, but for where it keeps host keys."""
    host, _, port = told(person)["ssh"].partition(":")
    known = key.with_name("known_hosts")
    options = ["-F", "none", "-o", "StrictHostKeyChecking=accept-new", "-p", port]
    options += ["-o", f"UserKnownHostsFile={known}", "-o", "IdentityAgent=none"]
    return [stock("ssh"), *options, "-i", str(key), *more, "-l", user, host]


def asked(words: list[str]) -> tuple[subprocess.Popen[str], str, str]:
    """ssh that waits for somebody to sign in; what it said, and the code."""
    process = subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # no terminal to ask at
    )
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if "Waiting until" in line:
            break
    found = re.search(r"the code {2}(\S+)", said)
    assert found, said
    return process, said, found[1]


def in_by(person: Person, key: Path, user: str) -> None:
    """The key is a sign-in of this person's from here on."""
    process, _, code = asked([*bare(person, key, user), "true"])
    approve(person.world.provider["issuer"], code, person.name)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


def refused(words: list[str]) -> str:
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 255
    return done.stderr


def test_who_has_only_ssh_signs_in_once_and_the_key_is_theirs_then(
    ana: Person, ben: Person, world: SshWorld, key: Path
) -> None:
    words = [*bare(ana, key, "ana+web-ca"), "echo in; exit 4"]
    process, said, code = asked(words)
    assert world.provider["issuer"] in said
    assert "sign in as ana, to reach web-ca" in said
    approve(world.provider["issuer"], code, "ana")
    out, _ = process.communicate(timeout=PATIENCE)
    assert (out, process.returncode) == ("in\n", 4)
    again = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (again.stdout, again.stderr, again.returncode) == ("in\n", "", 4)


def test_it_is_on_the_audit_trail_with_the_key(ana: Person, world: SshWorld, key: Path) -> None:
    in_by(ana, key, "ana@shop.example+web-ca")
    mark = asyncssh.read_private_key(key).get_fingerprint()
    rows = ana.json("audit")
    (row,) = [r for r in rows if r["action"] == "sign-in.done" and r["detail"].get("key") == mark]
    assert row["detail"]["by"] == "ssh"
    assert row["detail"]["from"] == "127.0.0.1"


def test_somebody_elses_name_is_not_theirs(ana: Person, world: SshWorld, key: Path) -> None:
    """ben signs in where ana's name was typed: neither is let in, and the key stays nobody's."""
    process, _, code = asked([*bare(ana, key, "ana+web-ca"), "echo in"])
    approve(world.provider["issuer"], code, "ben")
    out, err = process.communicate(timeout=PATIENCE)
    assert (out, process.returncode) == ("", 255)
    assert "you signed in as ben@shop.example" in err
    process, _, _ = asked([*bare(ana, key, "ana+web-ca"), "echo in"])
    process.terminate()
    process.communicate(timeout=PATIENCE)


def test_a_key_that_is_anas_opens_nothing_of_bens(ana: Person, world: SshWorld, key: Path) -> None:
    in_by(ana, key, "ana+web-ca")
    assert 'you are not "ben" here' in refused([*bare(ana, key, "ben+web-ca"), "echo in"])


def test_who_says_no_is_not_let_in(ana: Person, world: SshWorld, key: Path) -> None:
    process, _, code = asked([*bare(ana, key, "ana+web-ca"), "echo in"])
    approve(world.provider["issuer"], code, "ana", answer="deny")
    out, err = process.communicate(timeout=PATIENCE)
    assert (out, process.returncode) == ("", 255)
    assert "your identity provider did not sign you in" in err


def test_a_key_alone_is_asked_nothing_and_opens_nothing(ana: Person, key: Path) -> None:
    """In batch mode, and where keyboard-interactive is off, there is nobody to ask."""
    said = refused([*bare(ana, key, "ana+web-ca", "-o", "BatchMode=yes"), "echo in"])
    assert "Permission denied" in said
    first = ("-o", "PreferredAuthentications=keyboard-interactive")
    assert "the code" not in refused([*bare(ana, key, "ana+web-ca", *first), "echo in"])


def test_a_certificate_behind_another_key_needs_no_page(ana: Person, key: Path) -> None:
    from tests.e2e.ssh_world import options

    mine = options(ana)
    own = mine[mine.index("-i") + 1]
    done = subprocess.run(
        [*bare(ana, key, "ana+web-ca", "-i", own), "echo in"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("in\n", 0)


def with_dbclient(key: Path) -> list[str]:
    own = f"{key}.dropbear"
    subprocess.run(
        [stock("dropbearconvert"), "openssh", "dropbear", str(key), own],
        check=True,
        capture_output=True,
    )
    return [stock("dbclient"), "-y", "-y", "-i", own, "-p"]


def with_plink(key: Path) -> list[str]:
    own = f"{key}.ppk"
    subprocess.run([stock("puttygen"), str(key), "-o", own], check=True, capture_output=True)
    return [stock("plink"), "-ssh", "-i", own, "-P"]


@pytest.mark.parametrize("client", [with_dbclient, with_plink])
def test_clients_of_other_makes_show_the_page_too(
    ana: Person, world: SshWorld, key: Path, client: Callable[[Path], list[str]]
) -> None:
    host, _, port = told(ana)["ssh"].partition(":")
    program, *words = [*client(key), port, "-l", "ana+web-ca", host, "echo in; exit 3"]
    child = pexpect.spawn(
        program,
        words,
        env=world.environment("ana") | {"HOME": str(key.parent), "TERM": "xterm"},
        dimensions=(30, 100),
        timeout=PATIENCE,
        encoding="utf-8",
    )
    while step := child.expect([pexpect.EOF, r"the code  (\S+)\r", r"\(y/n, ", "Press Return"]):
        if step == 1:
            assert child.match is not None
            approve(world.provider["issuer"], child.match[1], "ana")
        else:
            child.sendline("y" if step == 2 else "")
    assert "\nin" in (child.before or "")
    assert child.wait() == 3


async def test_a_key_that_is_only_shown_opens_nothing(ana: Person, key: Path) -> None:
    """Whoever knows ana's public key, which is no secret, and signs with another one."""
    in_by(ana, key, "ana+web-ca")
    public = asyncssh.read_private_key(key).public_data
    host, _, port = told(ana)["ssh"].partition(":")
    forged = asyncssh.load_keypairs([asyncssh.generate_private_key("ssh-ed25519")])[0]
    forged.public_data = public
    with pytest.raises(asyncssh.PermissionDenied):
        async with asyncssh.connect(
            host, int(port), username="ana+web-ca", client_keys=[forged], known_hosts=None,
            config=None, agent_path=None,
        ):  # fmt: skip
            pass


class Answering(asyncssh.SSHClient):
    """Answers whatever it is asked over keyboard-interactive."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.asked = asyncio.Event()

    def kbdint_auth_requested(self) -> str:
        return ""

    def kbdint_challenge_received(self, *asked: Any) -> list[str]:
        self.said.append(asked[1])
        self.asked.set()
        return ["yes" for _ in asked[3]]


async def test_flows_of_one_address_are_bounded(ana: Person) -> None:
    """And each ends with its connection."""
    host, _, port = told(ana)["ssh"].partition(":")
    clients = [Answering() for _ in range(FLOWS_EACH + 1)]

    async def sign_in(client: Answering) -> None:
        with contextlib.suppress(asyncssh.Error):
            await asyncssh.connect(
                host, int(port), username="ana+web-ca", client_factory=lambda: client,
                client_keys=[asyncssh.generate_private_key("ssh-ed25519")], known_hosts=None,
                config=None, agent_path=None,
            )  # fmt: skip

    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        tasks = [group.create_task(sign_in(client)) for client in clients]
        for client in clients:
            await client.asked.wait()
        for task in tasks:
            task.cancel()
    full = sorted("too many people" in client.said[0] for client in clients)
    assert full == [False] * FLOWS_EACH + [True]
    late = None
    while late is None or "too many" in late.said[0]:
        late = Answering()
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            task = group.create_task(sign_in(late))
            await late.asked.wait()
            task.cancel()


def test_signing_out_everywhere_ends_the_sign_in_of_a_key(
    ana: Person, world: SshWorld, key: Path
) -> None:
    """The last test: ana's sign-in with hoop ends too."""
    in_by(ana, key, "ana+web-ca")
    with subprocess.Popen(
        [*bare(ana, key, "ana+web-ca"), "echo in; cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as open_now:
        assert open_now.stdout is not None
        assert open_now.stdout.readline() == "in\n"
        ana.hoop("logout", "--everywhere")
        assert open_now.wait(PATIENCE) == 255
    process, _, _ = asked([*bare(ana, key, "ana+web-ca"), "true"])
    process.terminate()
    process.communicate(timeout=PATIENCE)
