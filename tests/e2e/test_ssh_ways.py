"""Ways in to SSH targets: ``hoop connect``, and the stock clients after ``hoop config ssh``."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import asyncssh
import pexpect
import pytest

from tests.e2e.remote import Machine
from tests.e2e.ssh_world import SshWorld, stock, told
from tests.e2e.test_ssh_targets import connected, recorded, sessions, until
from tests.e2e.world import Person
from tests.worlds import signed_in, started

GRANTED = ("web-1", "web-ca", "web-fwd", "bash-1", "scoped-1")


@pytest.fixture(scope="module")
def world() -> Iterator[SshWorld]:
    with started(SshWorld) as world:
        yield world


@pytest.fixture(scope="module")
def ben(world: SshWorld) -> Person:
    return signed_in(world, "ben")


@pytest.fixture(scope="module")
def ana(world: SshWorld, ben: Person) -> Iterator[Person]:
    person = signed_in(world, "ana")
    for name in GRANTED:
        person.hoop("request", name, "--reason", "a test of ways", "--for", "1h")
    yield person
    person.hoop("tunnels", "stop", "--all")


# --- hoop connect ---------------------------------------------------------------------------------


def test_each_word_of_a_command_arrives_as_it_was_typed(ana: Person) -> None:
    words = ["it's", "a  b", "$HOME", "*", "x\ny", "", "--"]
    done = ana.hoop("connect", "bash-1", "--", "printf", "[%s]", *words)
    assert done.stdout == "".join(f"[{word}]" for word in words)


def test_the_exit_status_and_stdin_of_a_command_are_hoops(ana: Person) -> None:
    done = ana.hoop("connect", "web-ca", "--", "sh", "-c", "cat; exit 7", status=7, stdin="in\n")
    assert (done.stdout, done.stderr) == ("in\n", "")


def test_connect_is_a_shell_at_a_terminal(ana: Person) -> None:
    child = pexpect.spawn(
        sys.executable,
        ["-m", "hoopcli", "connect", "web-ca"],
        env=ana.world.environment("ana") | {"TERM": "xterm"},
        dimensions=(30, 100),
        timeout=30,
        encoding="utf-8",
    )
    child.sendline("stty size; exit 3")
    child.expect("30 100")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 3
    assert next(e for e in recorded(ana, "web-ca") if e["type"] == "statement")["kind"] == "shell"


def test_a_command_may_have_a_terminal(ana: Person) -> None:
    child = pexpect.spawn(
        sys.executable,
        ["-m", "hoopcli", "connect", "-t", "web-ca", "--", "tty"],
        env=ana.world.environment("ana") | {"TERM": "xterm"},
        timeout=30,
        encoding="utf-8",
    )
    child.expect("/dev/pts/")
    child.expect(pexpect.EOF)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("web-1",), 2, "a shell wants a terminal"),
        (("web-1", "--listen"), 2, "has no address of its own"),
        (("web-1", "-d"), 2, "has no address of its own"),
        (("web-1", "-o", "json", "--", "ls"), 2, "has no address of its own"),
        (("web-1", "--database", "x", "--", "ls"), 2, "has no databases"),
        (("web-1", "--", "rm", "/tmp/nothing"), 126, 'refused by rule "no-rm"'),
        (("web-wrong", "--", "ls"), 4, 'you have no grant for "web-wrong"'),
        (("prod-db", "-t"), 2, "is a database"),
    ],
)
def test_what_cannot_be_meant_is_told(
    ana: Person, words: tuple[str, ...], status: int, said: str
) -> None:
    assert said in ana.hoop("connect", *words, status=status, stdin="").stderr


def test_another_host_key_than_the_pinned_one_is_no_agent(ana: Person, world: SshWorld) -> None:
    ana.hoop("connect", "web-ca", "--", "true")
    (known,) = (world.folder / "ana" / "ssh").glob("*.known")
    before = known.read_text()
    known.write_text(" ".join([before.split()[0], *world.sshd.host_key.split()[:2]]) + "\n")
    ana.hoop("connect", "web-ca", "--", "true")  # what does not fit the pin is not believed
    assert known.read_text() == before


def test_connect_reaches_an_agent_on_another_machine(ana: Person, world: SshWorld) -> None:
    far = Machine(world, "ana", world.folder / "far")
    first = told(ana)
    far.sign_in("--agent", first["ssh"], "--fingerprint", first["host_key"])
    done = far.hoop("connect", "web-ca", "--", "echo", "a  b")
    assert done.stdout == "a  b\n"
    assert "Host web-ca\n" in far.hoop("config", "ssh").stdout
    far.hoop("tunnels", "stop", "--all")
    no_ssh = {"PATH": str(world.folder / "nothing")}
    assert (
        "there is no ssh on PATH"
        in far.hoop("connect", "web-ca", "--", "x", status=1, **no_ssh).stderr
    )
    far.hoop("logout")
    assert far.hoop("connect", "web-ca", "--", "true", status=3).stdout == ""


# --- hoop config ssh ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(world: SshWorld) -> Path:
    """ana's home folder, with settings of her own in it."""
    folder = world.folder / "home-of-ana"
    (folder / ".ssh").mkdir(mode=0o700, parents=True)
    (folder / ".ssh" / "config").write_text("Host web-exec\n    User me\nHost *\n    User root\n")
    return folder


def run(
    ana: Person, home: Path, *words: str, stdin: bytes = b"", status: int | None = 0
) -> subprocess.CompletedProcess[bytes]:
    environ = ana.world.environment("ana") | {"HOME": str(home), "SSH_AUTH_SOCK": ""}
    done = subprocess.run(
        words, env=environ, input=stdin, capture_output=True, timeout=60, check=False
    )
    assert status is None or done.returncode == status, (words, done)
    return done


@pytest.fixture(scope="module")
def written(ana: Person, home: Path) -> str:
    words = [sys.executable, "-m", "hoopcli", "config", "ssh", "--write"]
    return run(ana, home, *words).stderr.decode()


def of(program: str, home: Path) -> list[str]:
    """The stock program; it looks into the account's home, so it is told where ana's is."""
    return [stock(program), "-F", str(home / ".ssh" / "config"), "-o", "BatchMode=yes"]


def test_ssh_knows_a_target_by_its_name(ana: Person, home: Path, written: str) -> None:
    assert "Try:  ssh " in written
    done = run(ana, home, *of("ssh", home), "web-1", "echo out; exit 5", status=5)
    assert (done.stdout, done.stderr) == (b"out\n", b"")


@pytest.mark.parametrize("mode", ["-O", "-s"])
def test_scp_copies_through_the_name(
    ana: Person, home: Path, written: str, tmp_path: Path, mode: str
) -> None:
    data = os.urandom(100_000)
    (tmp_path / "from").write_bytes(data)
    there = tmp_path / "there"
    run(ana, home, *of("scp", home), mode, "-q", str(tmp_path / "from"), f"bash-1:{there}")
    assert there.read_bytes() == data


def test_git_clones_from_a_target(ana: Person, home: Path, written: str, tmp_path: Path) -> None:
    git = stock("git")
    run(ana, home, git, "init", "-q", "--bare", str(tmp_path / "repo"))
    environ = ["env", f"GIT_SSH_COMMAND={' '.join(of('ssh', home))}"]
    where = f"bash-1:{tmp_path}/repo"
    run(ana, home, *environ, git, "clone", "-q", where, str(tmp_path / "copy"))
    assert (tmp_path / "copy" / ".git").is_dir()


def test_a_name_of_ones_own_is_left_alone(ana: Person, home: Path, written: str) -> None:
    assert "web-exec gets no name here" in written
    told = run(ana, home, stock("ssh"), "-F", str(home / ".ssh" / "config"), "-G", "web-exec")
    assert b"\nuser me\n" in b"\n" + told.stdout
    words = [sys.executable, "-m", "hoopcli", "config", "ssh", "--prefix", "h."]
    assert b"Host h.web-exec\n" in run(ana, home, *words).stdout


def test_a_name_of_hoops_leads_nowhere_else_where_nobody_is_signed_in(
    ana: Person, home: Path, written: str, world: SshWorld
) -> None:
    environ = {"HOOP_PASSPHRASE": "wrong"}
    ssh = [*of("ssh", home), "web-1", "true"]
    ana.hoop("tunnels", "stop", "--all")
    words = ["env", *(f"{name}={value}" for name, value in environ.items()), *ssh]
    done = run(ana, home, *words, status=255)
    assert b"Permission denied (publickey" in done.stderr
    told = run(ana, home, stock("ssh"), "-F", str(home / ".ssh" / "config"), "-G", "web-1")
    assert b"\nhostname 127.0.0.1\n" in told.stdout


def test_channels_of_one_connection_are_judged_each(
    ana: Person, home: Path, written: str, tmp_path: Path
) -> None:
    shared = [*of("ssh", home), "-o", f"ControlPath={tmp_path}/c"]
    master = subprocess.Popen(
        [*shared, "-M", "-N", "web-1"],
        env=ana.world.environment("ana") | {"HOME": str(home), "SSH_AUTH_SOCK": ""},
        stdin=subprocess.DEVNULL,
    )
    try:
        until((tmp_path / "c").exists, "the connection is there")
        assert run(ana, home, *shared, "web-1", "echo hi").stdout == b"hi\n"
        refused = run(ana, home, *shared, "web-1", "rm /tmp/nothing", status=126)
        assert b'refused by rule "no-rm"' in refused.stderr
    finally:
        master.terminate()
        master.wait(10)


def test_a_status_that_comes_behind_the_end_of_the_output_arrives(ana: Person) -> None:
    words = ["connect", "web-ca", "--", "sh", "-c", "echo x; exec >&- 2>&-; sleep 1.5; exit 3"]
    assert ana.hoop(*words, status=3, stdin="").stdout == "x\n"


# --- forwards -------------------------------------------------------------------------------------


@contextmanager
def served(size: int) -> Iterator[int]:
    """A port that greets at once, reads to the end, and then tells what it has read: a hash."""

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                peer.sendall(b"hello\n" + b"x" * size)
                found = hashlib.sha256()
                while data := peer.recv(1 << 16):
                    found.update(data)
                peer.sendall(found.hexdigest().encode())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=serve, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def forwards(person: Person, target: str) -> list[dict[str, Any]]:
    """Statements of the newest session that are forwards, with what became of each."""
    events = recorded(person, target)
    done = {e["seq"]: e for e in events if e["type"] == "finished"}
    said = [e for e in events if e["type"] == "statement" and e["kind"] == "forward"]
    return [{**e, "finished": done.get(e["seq"])} for e in said]


async def test_what_a_target_lists_is_forwarded_both_ways_and_recorded(ana: Person) -> None:
    data, size = os.urandom(3 << 20), 3 << 20
    with served(size) as port:
        async with connected(ana, "web-fwd") as connection:
            reader, writer = await connection.open_connection("127.0.0.1", port, encoding=None)
            assert await reader.readexactly(6 + size) == b"hello\n" + b"x" * size
            writer.write(data)
            writer.write_eof()
            assert (await reader.read()).decode() == hashlib.sha256(data).hexdigest()
    (said,) = forwards(ana, "web-fwd")
    assert (said["text"], said["verdict"]) == (f"forward to 127.0.0.1:{port}", "allow")
    assert said["finished"]["bytes"] == 6 + size + 64
    assert said["finished"]["tag"] == f"{len(data)} bytes sent"


def test_stock_ssh_jumps_through_a_target(
    ana: Person, home: Path, written: str, world: SshWorld, tmp_path: Path
) -> None:
    """-W, which is what ProxyJump does."""
    done = run(
        ana, home, *of("ssh", home), "-W", f"127.0.0.1:{world.sshd.port}", "web-fwd", status=None
    )
    assert done.stdout.startswith(b"SSH-2.0")


@pytest.mark.parametrize(
    ("target", "host", "port", "words"),
    [
        ("web-fwd", "localhost", 22, "forwards nothing to localhost:22"),
        ("web-fwd", "127.0.0.1.x", 22, "forwards nothing to"),
        ("web-fwd", "hoop.test", 80, "forwards nothing to"),
        ("web-fwd", "x.hoop.test", 81, "forwards nothing to"),
        ("web-fwd", "x y.hoop.test", 80, "forwards nothing to"),
        ("web-fwd", "127.0.0.1", 9, 'refused by rule "no-ninth"'),
        ("web-1", "127.0.0.1", 22, "forwards nothing to 127.0.0.1:22"),
        ("scoped-1", "127.0.0.1", 22, "forwards nothing to 127.0.0.1:22"),
        ("web-exec", "127.0.0.1", 22, 'no grant for "web-exec"'),
    ],
)
async def test_what_is_not_listed_is_refused_with_words(
    ana: Person, target: str, host: str, port: int, words: str
) -> None:
    async with connected(ana, target) as connection:
        with pytest.raises(asyncssh.ChannelOpenError) as refused:
            await connection.open_connection(host, port)
    assert words in refused.value.reason
    if target != "web-exec":
        (said,) = forwards(ana, target)
        assert (said["verdict"], said["finished"]) == ("refuse", None)


async def test_where_nothing_listens_the_target_says_so(ana: Person) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        async with connected(ana, "web-fwd") as connection:
            with pytest.raises(asyncssh.ChannelOpenError, match="refused"):
                await connection.open_connection("127.0.0.1", probe.getsockname()[1])
    (said,) = forwards(ana, "web-fwd")
    assert said["finished"]["error"].startswith("not opened")


async def test_a_forward_ends_with_its_session(ana: Person, ben: Person) -> None:
    with served(0) as port:
        async with connected(ana, "web-fwd") as connection:
            reader, _ = await connection.open_connection("127.0.0.1", port, encoding=None)
            assert await reader.readexactly(6) == b"hello\n"
            (live,) = [one for one in sessions(ana, "web-fwd") if not one.get("ended")]
            kill = ("kill", live["id"], "--reason", "a test")
            await asyncio.to_thread(ana.hoop, *kill)
            async with asyncio.timeout(10):
                assert await reader.read() == b""
    (said,) = forwards(ana, "web-fwd")
    assert said["finished"]["error"] == "ended"


def test_a_session_may_be_a_refused_listener_alone(ana: Person, home: Path, written: str) -> None:
    words = ("-o", "ExitOnForwardFailure=yes", "-v", "-N", "-R", "0:localhost:1", "web-fwd")
    done = run(ana, home, *of("ssh", home), *words, status=255)
    assert b"hoop carries no forward" in done.stderr or b"is refused" in done.stderr
    (said,) = forwards(ana, "web-fwd")
    assert said["text"] == "forward from port 0 of the target (-R)"
    assert said["verdict"] == "refuse"
