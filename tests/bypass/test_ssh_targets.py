"""Ways around the gate to SSH targets, by clients and targets that do odd things.

What is odd before anybody has signed in is in ``test_ssh_hostile``, what plain clients can ask for
in ``tests/e2e/test_ssh_targets``; docs/reference/commands-of-shells.md lists both.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from asyncssh.packet import String, UInt32

from tests.e2e.ssh_world import TARGET, SshWorld, ssh, told
from tests.e2e.test_ssh_lane import kept
from tests.e2e.test_ssh_targets import connected, recorded, sessions, until
from tests.e2e.world import Person
from tests.hostile_sshd import Hostile, hostile_target
from tests.worlds import signed_in, started

NAMES = ("web-1", "web-ca", "web-exec", "web-hostile", "web-fine")


class HostileWorld(SshWorld):
    """With targets that are not what they seem: ``web-hostile``, and ``web-fine``, which takes one
    byte in a packet."""

    def _start_sshd(self) -> None:
        super()._start_sshd()
        self.hostile: Hostile = self.stack.enter_context(hostile_target())
        fine: Hostile = self.stack.enter_context(hostile_target(max_pktsize=1))
        agent = self.folder / "agent"
        (agent / "word").write_text("sesame\n")
        (agent / "word").chmod(0o600)
        with (agent / "targets.toml").open("a") as targets:
            for name, one in (("web-hostile", self.hostile), ("web-fine", fine)):
                text = TARGET.format(
                    name=name,
                    port=one.port,
                    account="deploy",
                    proof='password = "file:word"',
                    key=one.host_key,
                    output='output = "clear"',
                    more="",
                )
                targets.write(text)


@pytest.fixture(scope="module")
def world() -> Iterator[HostileWorld]:
    with started(HostileWorld) as world:
        yield world


@pytest.fixture(scope="module")
def ana(world: HostileWorld) -> Person:
    signed_in(world, "ben")
    person = signed_in(world, "ana")
    for name in NAMES:
        person.hoop("request", name, "--reason", "a test of SSH", "--for", "1h")
    return person


def statements(person: Person, target: str) -> list[tuple[str, str]]:
    """Of the newest session: texts and verdicts."""
    events = recorded(person, target)
    return [(e["text"], e["verdict"]) for e in events if e["type"] == "statement"]


# --- clients that ask in an odd order -------------------------------------------------------------


class Heard(asyncssh.SSHClientSession[bytes]):
    """What comes on a channel."""

    def __init__(self) -> None:
        self.text = b""
        self.status: int | None = None
        self.ended = asyncio.Event()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self.text += data

    def exit_status_received(self, status: int) -> None:
        self.status = status

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()


async def asked(connection: Any, *requests: tuple[str, bytes]) -> tuple[Heard, list[bool]]:
    """A session channel with these requests on it, all sent at once; and what became of each."""
    channel: Any = asyncssh.channel.SSHClientChannel(
        connection, asyncio.get_running_loop(), "strict", None, "strict", 2 << 20, 32768
    )
    heard = Heard()
    opened = asyncio.Event()

    async def open_it() -> None:
        packet = await channel._open(b"session")
        packet.check_end()
        channel._session = heard
        heard.connection_made(channel)
        opened.set()

    await open_it()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        answers = [
            group.create_task(channel._make_request(name.encode(), rest)) for name, rest in requests
        ]
        await asyncio.sleep(0)
        await channel._start_reading()
    async with asyncio.timeout(20):
        await heard.ended.wait()
    return heard, [bool(one.result()) for one in answers]


def execute(text: str) -> tuple[str, bytes]:
    return "exec", String(text)


PTY = ("pty-req", String("xterm") + b"".join(map(UInt32, (80, 24, 0, 0))) + String(b"\0"))


async def test_a_second_command_on_a_channel_does_not_run(ana: Person) -> None:
    async with connected(ana, "web-1") as connection:
        heard, answers = await asked(connection, execute("echo one"), execute("echo two"))
    assert (heard.text, answers) == (b"one\n", [True, False])
    assert statements(ana, "web-1") == [("echo one", "allow")]


@pytest.mark.parametrize("second", [("shell", b""), ("subsystem", String("sftp"))])
async def test_a_channel_that_runs_a_command_becomes_nothing_else(
    ana: Person, second: tuple[str, bytes]
) -> None:
    async with connected(ana, "web-1") as connection:
        heard, answers = await asked(connection, execute("echo one"), second)
    assert (heard.text, answers) == (b"one\n", [True, False])
    assert statements(ana, "web-1") == [("echo one", "allow")]


async def test_a_channel_that_was_refused_runs_nothing_behind_that(ana: Person) -> None:
    async with connected(ana, "web-1") as connection:
        first, second = ("exec", String("rm /tmp/nothing")), execute("echo two")
        heard, answers = await asked(connection, first, second)
    assert heard.status == 126
    assert (b"two" in heard.text, answers[1]) == (False, False)


async def test_a_terminal_that_is_asked_for_behind_the_command_is_none(ana: Person) -> None:
    """Else a command that was judged as one without a terminal would get keys, and a pager."""
    async with connected(ana, "web-1") as connection:
        heard, answers = await asked(connection, execute("sleep 0.2; tty"), PTY)
    assert (heard.text, answers) == (b"not a tty\n", [True, False])


async def test_a_terminal_that_is_asked_for_in_front_is_judged(ana: Person) -> None:
    async with connected(ana, "web-1") as connection:
        heard, _ = await asked(connection, PTY, execute("tty"))
    assert heard.status == 126
    assert b"keys typed in its terminal" in b" ".join(heard.text.split())  # it is wrapped


async def test_variables_behind_a_command_or_in_masses_change_nothing(ana: Person) -> None:
    many = [("env", String(f"LC_{n}") + String("x" * 200)) for n in range(300)]
    huge = ("env", String("LANG") + String("y" * 30_000))
    async with connected(ana, "web-1") as connection:
        heard, _ = await asked(
            connection, *many, huge, execute("env | grep -c '^LC_'; echo ${#LANG}"), many[0]
        )
    found = heard.text.split()
    assert int(found[0]) <= 64
    assert int(found[1]) < 2000


async def test_agents_displays_and_unknown_requests_are_refused_on_the_channel(ana: Person) -> None:
    display = b"\0" + String("MIT-MAGIC-COOKIE-1") + String("00" * 16) + UInt32(0)
    odd = [
        ("auth-agent-req@openssh.com", b""),
        ("x11-req", display),
        ("made-up", b""),
        ("exit-status", UInt32(0)),
        ("_x", b""),
    ]
    async with connected(ana, "web-1") as connection:
        heard, answers = await asked(
            connection, *odd, execute('echo "${SSH_AUTH_SOCK}:${DISPLAY}"')
        )
    assert (heard.text, answers) == (b":\n", [False] * len(odd) + [True])


async def test_a_storm_of_window_changes_does_no_harm(ana: Person) -> None:
    storm = [
        ("window-change", b"".join(map(UInt32, (n % 500, 0xFFFFFFFF, 0, 0)))) for n in range(2000)
    ]
    async with connected(ana, "web-ca") as connection:
        heard, _ = await asked(connection, PTY, *storm, execute("echo done"), *storm)
    assert b"done" in heard.text


async def test_input_in_front_of_the_command_is_its_input(ana: Person) -> None:
    """And is not read by anything that runs before it is judged."""
    async with connected(ana, "web-1") as connection:
        process = await connection.create_process("cat", encoding=None, input=b"early")
        done = await process.wait()
    assert done.stdout == b"early"


async def test_a_channel_beside_one_that_is_held_is_judged_by_itself(ana: Person) -> None:
    async with connected(ana, "web-exec") as connection:
        held = await connection.create_process("touch /tmp/hoop-held-2")
        await held.stderr.readline()
        beside = await connection.run("echo beside")
        again = await connection.create_process("touch /tmp/hoop-held-2; echo two")
        words = await again.stderr.readline()
        held.close()
        again.close()
    assert beside.stdout == "beside\n"
    assert "held by rule" in words
    assert not Path("/tmp/hoop-held-2").exists()


async def test_signals_to_a_command_that_is_held_start_nothing(ana: Person) -> None:
    async with connected(ana, "web-exec") as connection:
        held = await connection.create_process("touch /tmp/hoop-held-3", input="yes\n")
        await held.stderr.readline()
        for name in ("INT", "TERM", "KILL", "\x1b[31m", "made up"):
            held.channel.send_signal(name)
        held.channel.send_break(1)
        done = await connection.run("echo there")
        held.close()
    assert done.stdout == "there\n"
    assert not Path("/tmp/hoop-held-3").exists()


async def test_a_client_that_takes_nothing_costs_a_bounded_memory(
    ana: Person, world: HostileWorld
) -> None:
    """PuTTY's window is of 2 GiB; what its line does not take stays at the target."""
    pid = world.processes[-1].pid
    async with connected(ana, "web-ca") as connection:
        before = memory(pid)
        process = await connection.create_process(
            "head -c 400000000 /dev/zero", encoding=None, window=(1 << 31) - 1
        )
        transport: Any = connection._transport
        transport.pause_reading()
        highest = 0
        for _ in range(20):
            await asyncio.sleep(0.1)
            highest = max(highest, memory(pid))
        transport.resume_reading()
        process.close()
    assert highest - before < 48


def memory(pid: int) -> int:
    """MiB that a process has in memory."""
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", text)
    assert found
    return int(found[1]) // 1024


async def test_packets_of_one_byte_are_nobodys_wish(ana: Person) -> None:
    """Each would cost the work of a whole one."""
    async with connected(ana, "web-ca") as connection:
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.create_process("echo x", encoding=None, max_pktsize=1)
    assert ssh(ana, "web-fine", "floods").returncode == 255


async def test_a_key_that_is_only_offered_opens_nothing(ana: Person) -> None:
    """ana's certificate, offered by one who has not her key, is proof of nothing."""
    mine = kept(ana)
    certificate = asyncssh.import_certificate(mine.certificate)
    host, _, port = told(ana)["ssh"].partition(":")
    other = asyncssh.generate_private_key("ssh-ed25519")

    class Stolen(asyncssh.SSHKeyPair):
        def __init__(self) -> None:
            algorithm = b"ssh-ed25519-cert-v01@openssh.com"
            super().__init__(algorithm, algorithm, (algorithm,), (), certificate.public_data, None)

        def sign(self, data: bytes) -> bytes:
            return other.sign(data, b"ssh-ed25519")

    before = len(sessions(ana, "web-1"))
    with pytest.raises(asyncssh.PermissionDenied):
        async with asyncssh.connect(
            host, int(port), username="ana+web-1", client_keys=[Stolen()], known_hosts=None,
            config=None, agent_path=None,
        ):  # fmt: skip
            pass
    assert len(sessions(ana, "web-1")) == before


@pytest.mark.parametrize(
    "text",
    [
        "scp -f /dev/null; rm /tmp/nothing",
        "scp -t /tmp && rm /tmp/nothing",
        "scp -t /tmp\nrm /tmp/nothing",
        "scp x; sh",
        "scp -S 'rm' a b:c",
        "rsync --server . | rm /tmp/nothing",
        "git-upload-pack x; rm /tmp/nothing",
        "internal-sftp; rm /tmp/nothing",
    ],
)
def test_what_begins_like_a_transfer_is_read_to_its_end(ana: Person, text: str) -> None:
    done = ssh(ana, "web-1", text)
    assert (done.returncode, done.stdout) == (126, b"")
    assert b"hoop: refused by rule" in done.stderr


def test_what_a_command_prints_is_not_in_its_recording(ana: Person) -> None:
    """An scp, or a cat, of any size fills no disk of the agent's."""
    done = ssh(ana, "web-ca", "head -c 3000000 /dev/zero | tr '\\0' q")
    assert len(done.stdout) == 3_000_000
    events = recorded(ana, "web-ca")
    assert sum(len(str(event)) for event in events) < 20_000
    assert next(e for e in events if e["type"] == "finished")["bytes"] == 3_000_000


# --- targets that do what none should -------------------------------------------------------------


def hostile(ana: Person, deed: str) -> Any:
    began = time.monotonic()
    done = ssh(ana, "web-hostile", deed)
    assert time.monotonic() - began < 12
    for leak in (b"\x1b", b"BANNER", b"DEBUG", b"SIGNAL", b"BEHIND", b"welcome"):
        assert leak not in done.stdout + done.stderr, leak
    return done


def test_a_target_opens_no_channel_back(ana: Person, world: HostileWorld) -> None:
    world.hostile.answers.clear()
    hostile(ana, "opens")
    assert [a for a in world.hostile.answers if not a.endswith("refused")] == []
    assert len(world.hostile.answers) == 4


def test_requests_of_a_target_change_nothing(ana: Person, world: HostileWorld) -> None:
    world.hostile.answers.clear()
    done = hostile(ana, "requests")
    assert (done.stdout, done.returncode) == (b"done\n", 0)
    assert [a for a in world.hostile.answers if not a.endswith("refused")] == [
        "keepalive@openssh.com taken"
    ]


@pytest.mark.parametrize(
    ("deed", "out", "status"),
    [
        ("channel-requests", b"done\n", 0),
        ("floods", b"done\n", 3),
        ("unknown-message", b"done\n", 0),
    ],
)
def test_what_a_target_says_beside_its_channel_is_left_out(
    ana: Person, deed: str, out: bytes, status: int
) -> None:
    done = hostile(ana, deed)
    assert (done.stdout, done.returncode) == (out, status)


def test_what_a_target_says_behind_the_close_of_its_channel_is_left_out(ana: Person) -> None:
    """Whether it is taken for a breach depends on what of the two is seen first."""
    done = hostile(ana, "behind-close")
    assert done.stdout == b"before\n"
    assert done.returncode in (0, 255)


@pytest.mark.parametrize(
    "deed",
    ["behind-eof", "huge", "two-ends", "another-channel", "confirms-twice", "no-end"],
)
def test_a_target_that_breaks_the_protocol_loses_its_session(ana: Person, deed: str) -> None:
    done = hostile(ana, deed)
    assert done.returncode == 255
    # Behind the end of its output there is no way to say anything.
    assert deed == "behind-eof" or b"hoop: the target closed the connection" in done.stderr


def test_a_target_that_says_more_than_its_window_loses_its_session(
    ana: Person, world: HostileWorld
) -> None:
    """The agent keeps no more of it than it asked for."""
    before = memory(world.processes[-1].pid)
    done = hostile(ana, "beyond-the-window")
    assert done.returncode == 255
    assert memory(world.processes[-1].pid) - before < 64


def test_the_words_of_a_signal_are_not_the_targets(ana: Person) -> None:
    hostile(ana, "signal")
    finished = next(e for e in recorded(ana, "web-hostile") if e["type"] == "finished")
    assert finished["tag"] == "signal UNKNOWN"


def test_keys_that_are_never_made_hold_nobody_up(ana: Person) -> None:
    done = hostile(ana, "never-keys")
    assert (done.stdout, done.returncode) == (b"begun\n", 255)
    assert b"the target does not answer any more" in done.stderr


async def test_a_signal_that_is_sent_arrives(ana: Person, world: HostileWorld) -> None:
    """OpenSSH's sshd takes none for root, so this is not in the matrix of clients."""
    world.hostile.answers.clear()
    async with connected(ana, "web-hostile") as connection, asyncio.timeout(20):
        process = await connection.create_process("waits")
        assert await process.stdout.readline() == "begun\n"
        process.send_signal("USR1")
        done = await process.wait()
    assert done.exit_status == 9
    assert world.hostile.answers == ["signal USR1"]


def test_after_all_of_it_the_agent_is_as_before(ana: Person) -> None:
    assert ssh(ana, "web-1", "echo well").stdout == b"well\n"
    until(
        lambda: all(one.get("ended") for one in sessions(ana, "web-hostile")), "its sessions ended"
    )
