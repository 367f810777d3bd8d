"""Commands on SSH targets: stock ssh through the agent to a real sshd, and back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pexpect
import pytest

from tests.e2e.ssh_world import NAMES, SshWorld, command, ssh, told
from tests.e2e.test_ssh_lane import kept
from tests.e2e.world import Person
from tests.worlds import signed_in, started

PATIENCE = 20.0


@pytest.fixture(scope="module")
def world() -> Iterator[SshWorld]:
    with started(SshWorld) as world:
        yield world


@pytest.fixture(scope="module")
def ben(world: SshWorld) -> Person:
    return signed_in(world, "ben")


@pytest.fixture(scope="module")
def ana(world: SshWorld, ben: Person) -> Person:
    """ana, with a grant for every target that gives one by itself."""
    person = signed_in(world, "ana")
    for name in NAMES:
        person.hoop("request", name, "--reason", "a test of SSH", "--for", "1h")
    return person


def until(holds: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + PATIENCE
    while True:
        found = holds()
        if found:
            return found
        assert time.monotonic() < end, what
        time.sleep(0.05)


def sessions(person: Person, target: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = person.json("sessions", "--mine", "--target", target)
    return found


def recorded(person: Person, target: str) -> list[dict[str, Any]]:
    """Events of the newest session that has ended."""

    def look() -> Any:
        newest = sessions(person, target)[:1]
        return newest if newest and newest[0].get("ended") else None

    (newest,) = until(look, "the session ends")
    printed = person.hoop("replay", newest["id"], "-o", "json").stdout
    found = json.loads(printed)
    events: list[dict[str, Any]] = found["events"] if isinstance(found, dict) else found
    return events


# --- what goes through ----------------------------------------------------------------------------


def test_output_errors_and_status_arrive_apart(ana: Person) -> None:
    done = ssh(ana, "web-1", "echo out; echo err >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 7)


def test_bytes_arrive_as_they_are_both_ways(ana: Person) -> None:
    data = os.urandom(3 << 20)
    done = ssh(ana, "web-1", "cat", stdin=data)
    assert done.returncode == 0
    assert done.stdout == data


def test_a_half_closed_input_ends_the_command_and_not_the_channel(ana: Person) -> None:
    done = ssh(ana, "web-1", "cat; echo end", stdin=b"in\n")
    assert done.stdout == b"in\nend\n"


def test_a_signal_that_ends_a_command_arrives(ana: Person) -> None:
    direct = ssh(ana, "web-ca", "kill -TERM $$")
    assert direct.returncode == 255
    assert b"hoop" not in direct.stderr


def test_a_certificate_of_the_agent_opens_a_target(ana: Person, world: SshWorld) -> None:
    assert ssh(ana, "web-ca", "echo hi").stdout == b"hi\n"
    assert "hoop:ana@" in world.sshd.log.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's sshd lets other accounts in")
def test_an_account_is_that_of_the_role(ana: Person) -> None:
    done = ssh(ana, "role-1", "id")
    assert b"This account is currently not available" in done.stdout  # Debian's for nobody
    assert sessions(ana, "role-1")[0]["client"].endswith("as nobody")


def test_only_harmless_variables_are_passed_on(ana: Person) -> None:
    more = ("-o", "SendEnv=LC_HOOP", "-o", "SendEnv=EVIL")
    done = ssh(
        ana, "bash-1", 'echo "$LC_HOOP:$EVIL"', more=more, environ={"LC_HOOP": "a", "EVIL": "b"}
    )
    assert done.stdout == b"a:\n"


# --- policy ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "rm /tmp/nothing",
        "ls; r''m /tmp/nothing",
        "sh -c 'sudo /bin/../bin/rm /tmp/nothing'",
        "find /tmp/nothing -delete",
        "git -C /x push origin --force",
        "$(echo rm) /tmp/nothing",
        "echo cm0gL3RtcC94Cg== | base64 -d | sh",
        "cat /etc/shadow",
        "cd /etc && cat shadow",
        "cat /etc/sh*",
        "cat < /etc/ssl/private/key",
    ],
)
def test_what_a_rule_refuses_does_not_run(ana: Person, text: str) -> None:
    done = ssh(ana, "web-1", f"echo ran; {text}")
    assert done.returncode == 126
    assert done.stdout == b""
    assert b"hoop: refused by rule" in done.stderr


def test_a_command_is_recorded_before_it_runs_and_so_is_what_became_of_it(ana: Person) -> None:
    ssh(ana, "web-1", "echo hi; exit 3")
    events = recorded(ana, "web-1")
    said = next(event for event in events if event["type"] == "statement")
    finished = next(event for event in events if event["type"] == "finished")
    assert said["text"] == "echo hi; exit 3"
    assert (finished["tag"], finished["error"], finished["bytes"]) == ("exit 3", "exit 3", 3)


def test_a_refused_command_is_recorded(ana: Person) -> None:
    ssh(ana, "web-1", "rm x")
    said = next(event for event in recorded(ana, "web-1") if event["type"] == "statement")
    assert (said["verdict"], said["rule"]) == ("refuse", "no-rm")


def test_a_scope_names_the_programs_that_may_run(ana: Person) -> None:
    assert ssh(ana, "scoped-1", "ls / > /dev/null && echo ok").stdout == b"ok\n"
    for text in ("id", "ls; id", "ls $(id)", "echo x > /tmp/nothing", "$x"):
        done = ssh(ana, "scoped-1", text)
        assert (done.returncode, done.stdout) == (126, b""), text


@pytest.mark.parametrize("words", [(), ("-s", "sftp")])
def test_what_is_not_carried_is_refused_with_a_message(ana: Person, words: tuple[str, ...]) -> None:
    target = "web-exec"
    full = [*command(ana, target, more=words[:1]), *words[1:]]
    done = subprocess.run(
        full, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 126
    assert b"hoop: refused" in done.stderr


def test_forwards_are_refused(ana: Person, world: SshWorld) -> None:
    done = ssh(ana, "web-1", "echo x", more=("-W", f"127.0.0.1:{world.sshd.port}"))
    assert done.returncode != 0
    assert b"SSH-2.0" not in done.stdout


def waiting(
    ana: Person, ben: Person, text: str, *, target: str = "web-exec", rule: str = "ask-first"
) -> tuple[subprocess.Popen[bytes], str]:
    """A command that is held, and the id under which it waits."""
    process = subprocess.Popen(
        command(ana, target, text),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    said = process.stderr.readline().decode()
    assert f'held by rule "{rule}"' in said, said
    found = re.search(r"hold-\w+", said)
    assert found, said
    shown = next(one for one in ben.json("requests", "--to-decide") if one["id"] == found[0])
    assert text in json.dumps(shown, ensure_ascii=False)
    return process, found[0]


def test_a_command_waits_for_an_approval_and_then_runs(ana: Person, ben: Person) -> None:
    process, id = waiting(ana, ben, "touch /tmp/hoop-held; echo ran")
    ben.hoop("approve", id, "--reason", "a test")
    out, _ = process.communicate(timeout=PATIENCE)
    assert (out, process.returncode) == (b"ran\n", 0)
    verdicts = [e.get("verdict") for e in recorded(ana, "web-exec") if e["type"] == "statement"]
    assert verdicts[0] == "hold"
    assert len(verdicts) == 2


def test_a_command_that_is_denied_does_not_run(ana: Person, ben: Person) -> None:
    process, id = waiting(ana, ben, "touch /tmp/hoop-held; echo ran")
    ben.hoop("deny", id, "--reason", "not today")
    out, err = process.communicate(timeout=PATIENCE)
    assert (out, process.returncode) == (b"", 126)
    assert b"not today" in err


def test_who_leaves_takes_the_command_back(ana: Person, ben: Person) -> None:
    process, id = waiting(ana, ben, "touch /tmp/hoop-held")
    process.kill()
    process.communicate()
    until(
        lambda: id not in {one["id"] for one in ben.json("requests", "--to-decide")},
        "nobody is asked any more",
    )


# --- who, and how long ----------------------------------------------------------------------------


def test_without_a_grant_there_is_a_message_and_no_session(ana: Person) -> None:
    done = ssh(ana, "held-1", "echo x")
    assert (done.returncode, done.stdout) == (126, b"")
    assert b'you have no grant for "held-1"' in done.stderr
    assert b"hoop request held-1" in done.stderr
    assert sessions(ana, "held-1") == []


def test_nobody_is_somebody_else(ana: Person) -> None:
    full = command(ana, "web-1", "echo x")
    full[full.index("ana+web-1")] = "ben+web-1"
    done = subprocess.run(full, capture_output=True, timeout=60, check=False)
    assert done.returncode == 255
    assert done.stdout == b""


def test_a_revoked_grant_ends_a_command_with_a_message(ana: Person, ben: Person) -> None:
    grant = ana.granted(ben, target="held-1")
    process = subprocess.Popen(
        command(ana, "held-1", "echo begun; sleep 60"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    began = time.monotonic()
    ben.hoop("revoke", grant, "--reason", "enough")
    _, err = process.communicate(timeout=PATIENCE)
    assert time.monotonic() - began < 15
    assert process.returncode == 255
    assert b'hoop: your access to "held-1" has ended' in err
    assert recorded(ana, "held-1")[-1]["cause"] == "grant revoked"


def test_a_killed_session_ends_with_a_message(ana: Person, ben: Person) -> None:
    process = subprocess.Popen(
        command(ana, "web-ca", "echo begun; sleep 60"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    live = next(one for one in sessions(ana, "web-ca") if not one.get("ended"))
    ben.hoop("kill", live["id"], "--reason", "a test")
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 255
    assert b"hoop: this session was ended: a test" in err


def test_a_client_that_leaves_ends_its_session(ana: Person) -> None:
    process = subprocess.Popen(
        command(ana, "web-ca", "echo begun; sleep 60"), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert recorded(ana, "web-ca")[-1]["cause"] == "client left"


# --- targets that are not what they should be -----------------------------------------------------


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("web-wrong", b"does not show a host key that is pinned"),
        ("web-gone", b"connection refused"),
        ("web-weak", b"offers none of the algorithms"),
    ],
)
def test_a_target_that_is_not_right_is_refused(ana: Person, target: str, words: bytes) -> None:
    done = ssh(ana, target, "echo x")
    assert (done.returncode, done.stdout) == (255, b"")
    assert words in done.stderr
    assert sessions(ana, target) == []


def test_a_database_is_no_ssh_target_and_the_other_way_round(ana: Person) -> None:
    done = ssh(ana, "prod-db", "echo x")
    assert b'there is no SSH target "prod-db"' in done.stderr
    said = ana.hoop("connect", "web-1", "--listen", status=None)
    assert said.returncode != 0
    assert "has no address of its own" in said.stderr


# --- shells and terminals -------------------------------------------------------------------------


def terminal(person: Person, target: str, *words: str) -> Any:
    """Stock ssh in a terminal of 100 columns and 30 lines."""
    full = command(person, target, *words, more=("-tt",))
    if not words:
        full.remove("--")
    return pexpect.spawn(
        full[0], full[1:], dimensions=(30, 100), encoding="utf-8", timeout=PATIENCE,
        env=os.environ | {"TERM": "xterm"},
    )  # fmt: skip


def shell(person: Person, target: str) -> Any:
    """A shell whose prompt is known."""
    found = terminal(person, target)
    found.sendline("PS1='p''>'; cd /tmp")
    found.expect("p>")
    return found


def test_a_shell_has_a_terminal_that_is_resized_and_its_own_status(ana: Person) -> None:
    child = shell(ana, "web-ca")
    child.sendline("stty size; echo $TERM")
    child.expect("30 100\r\nxterm")
    child.setwinsize(40, 132)
    child.sendline("sleep 0.3; stty size")
    child.expect("40 132")
    child.sendline("sh -c 'echo be''gun; exec sleep 60'")
    child.expect("begun")  # before that, Ctrl-C would be the shell's
    child.sendintr()
    child.expect("p>")
    child.sendline("exit 5")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 5
    events = recorded(ana, "web-ca")
    sizes = [(e["columns"], e["lines"]) for e in events if e.get("columns")]
    assert sizes[0] == (100, 30)
    assert sizes[-1] == (132, 40)
    assert next(e for e in events if e["type"] == "statement")["kind"] == "shell"


def test_what_is_typed_and_not_echoed_is_never_recorded(ana: Person) -> None:
    child = shell(ana, "web-ca")
    child.sendline("stty -echo; read -r word; stty echo; echo got ${#word}")
    child.expect(r"word}\r\n")
    time.sleep(0.2)
    child.sendline("open-sesame-42")
    child.expect("got 14")
    child.sendline("exit")
    child.expect(pexpect.EOF)
    child.close()
    shown = "".join(event.get("out", "") for event in recorded(ana, "web-ca"))
    assert "got 14" in shown
    assert "read -r word" in shown
    assert "sesame" not in shown


def test_a_terminal_is_played_as_a_cast_without_its_orders(ana: Person) -> None:
    words = r"printf '\033[31mred\033[0m \033]52;c;aGk=\007after\n'"
    child = terminal(ana, "web-ca", words)
    child.expect("after")
    child.expect(pexpect.EOF)
    child.close()
    recorded(ana, "web-ca")
    session = sessions(ana, "web-ca")[0]["id"]
    lines = ana.hoop("replay", session, "-o", "cast").stdout.splitlines()
    events = [json.loads(line) for line in lines[1:]]
    shown = "".join(event[2] for event in events if event[1] == "o")
    assert ["r", "100x30"] in [event[1:] for event in events]
    assert "\x1b[31mred\x1b[0m after" in shown
    assert "\x1b]52" not in shown
    assert "red after" in ana.hoop("replay", session, "-o", "table").stdout


def test_where_rules_speak_of_commands_there_is_no_shell(ana: Person) -> None:
    child = terminal(ana, "web-1")
    child.expect('refused by rule "no-rm".*a shell may run any command')
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 126


def test_where_rules_speak_of_commands_no_command_has_a_terminal(ana: Person) -> None:
    child = terminal(ana, "web-1", "git", "log")
    child.expect(pexpect.EOF)
    said = " ".join(child.before.split())  # it is wrapped between words
    assert "keys typed in its terminal may run any command" in said
    child.close()
    assert child.exitstatus == 126


def test_a_shell_without_a_terminal_is_refused(ana: Person) -> None:
    full = command(ana, "web-ca")
    full.remove("--")
    done = subprocess.run(full, input=b"id\n", capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (126, b"")
    assert b"a shell wants a terminal" in done.stderr


def test_a_killed_shell_says_why(ana: Person, ben: Person) -> None:
    child = shell(ana, "web-ca")
    live = next(one for one in sessions(ana, "web-ca") if not one.get("ended"))
    ben.hoop("kill", live["id"], "--reason", "a test")
    child.expect("hoop: this session was ended: a test")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 255


# --- ways around ----------------------------------------------------------------------------------


@asynccontextmanager
async def connected(person: Person, target: str) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """A client that asks for what stock ssh would not."""
    mine = kept(person)
    key = asyncssh.import_private_key(mine.key)
    pairs = list(asyncssh.load_keypairs([(key, asyncssh.import_certificate(mine.certificate))]))
    host, _, port = told(person)["ssh"].partition(":")
    async with asyncssh.connect(
        host,
        int(port),
        username=f"{person.name}+{target}",
        client_keys=pairs[:1],
        known_hosts=None,
        config=None,
        agent_path=None,
    ) as connection:
        yield connection


async def test_a_second_channel_is_judged_like_the_first(ana: Person) -> None:
    async with connected(ana, "web-1") as connection:
        first = await connection.run("echo one")
        second = await connection.run("rm /tmp/nothing")
        third = await connection.run("echo three")
    assert (first.stdout, second.exit_status, third.stdout) == ("one\n", 126, "three\n")
    assert len([e for e in recorded(ana, "web-1") if e["type"] == "statement"]) == 3


async def test_many_channels_at_once_keep_their_bytes_apart(ana: Person) -> None:
    async with connected(ana, "web-ca") as connection:
        runs = [connection.run(f"sleep 0.2; echo {n}") for n in range(8)]
        done = await asyncio.gather(*runs)
    assert [one.stdout for one in done] == [f"{n}\n" for n in range(8)]


async def test_nothing_but_sessions_can_be_opened(ana: Person, world: SshWorld) -> None:
    async with connected(ana, "web-1") as connection:
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("127.0.0.1", world.sshd.port)
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("prod-db", 5432)
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.forward_remote_port("", 0, "127.0.0.1", 1)
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_unix_connection("/tmp/x")
        for subsystem in ("netconf", "hoop-api", "hoop-login"):
            refused = await connection.run(subsystem=subsystem, check=False)
            assert refused.exit_status == 126, subsystem
        with pytest.raises(asyncssh.ChannelOpenError, match=r"forwards nothing to 127\.0\.0\.1:22"):
            await connection.open_connection("127.0.0.1", 22)
    said = [e for e in recorded(ana, "web-1") if e["type"] == "statement"]
    assert {e["verdict"] for e in said} == {"refuse"}
    assert [e["text"] for e in said if e["kind"] == "forward"] == [
        f"forward to 127.0.0.1:{world.sshd.port}",
        "forward to prod-db:5432",
        "forward from port 0 of the target (-R)",
        "forward to a unix socket",
        "forward to 127.0.0.1:22",
    ]


def _hang_up(agent: socket.socket) -> None:
    """An ssh-agent that is there, and has nothing to say."""
    with contextlib.suppress(OSError):
        while True:
            agent.accept()[0].close()


def test_agents_and_displays_are_not_forwarded(ana: Person, tmp_path: Path) -> None:
    words = ("-A", "-X", "-o", "ForwardX11Trusted=yes")
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(tmp_path / "agent"))
        agent.listen()
        threading.Thread(target=_hang_up, args=(agent,), daemon=True).start()
        there = {"SSH_AUTH_SOCK": str(tmp_path / "agent"), "DISPLAY": ":99"}
        text = 'echo "${SSH_AUTH_SOCK}:${DISPLAY}"'
        done = ssh(ana, "bash-1", text, more=words, environ=there)
    assert done.stdout == b":\n"
    said = {e["text"]: e["verdict"] for e in recorded(ana, "bash-1") if e["type"] == "statement"}
    assert said.pop('echo "${SSH_AUTH_SOCK}:${DISPLAY}"') == "allow"
    assert set(said) == {"forwarding of an ssh-agent (-A)", "forwarding of X11 (-X)"}
    assert set(said.values()) == {"refuse"}


async def test_a_principals_own_name_has_no_commands(ana: Person) -> None:
    """Without a target in the user name there is the control API and nothing else."""
    mine = kept(ana)
    key = asyncssh.import_private_key(mine.key)
    pairs = list(asyncssh.load_keypairs([(key, asyncssh.import_certificate(mine.certificate))]))
    host, _, port = told(ana)["ssh"].partition(":")
    async with asyncssh.connect(
        host, int(port), username=mine.principal, client_keys=pairs[:1], known_hosts=None,
        config=None, agent_path=None,
    ) as connection:  # fmt: skip
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.run("echo x")
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.create_process(term_type="xterm")


# --- what breaks in the middle --------------------------------------------------------------------


def test_a_target_that_dies_ends_the_command_with_a_message(ana: Person, world: SshWorld) -> None:
    process = subprocess.Popen(
        command(ana, "bash-1", "echo $PPID; exec sleep 60"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    os.kill(int(process.stdout.readline()), signal.SIGKILL)  # the sshd of this connection
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 255
    assert b"hoop: the target closed the connection" in err
    assert recorded(ana, "bash-1")[-1]["cause"] == "target left"


def test_an_agent_that_is_stopped_says_so_and_ends_what_runs(ana: Person, world: SshWorld) -> None:
    process = subprocess.Popen(
        command(ana, "bash-1", "echo begun; sleep 60"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    agent = world.processes[-1]
    agent.terminate()
    _, err = process.communicate(timeout=PATIENCE)
    assert b"hoop: the agent was stopped" in err
    agent.wait(PATIENCE)
    world.start_agent()
    assert recorded(ana, "bash-1")[-1]["cause"] == "agent stopped"


def test_an_agent_that_is_killed_leaves_a_recording(ana: Person, world: SshWorld) -> None:
    process = subprocess.Popen(
        command(ana, "bash-1", "echo begun; sleep 60"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    world.processes[-1].kill()
    (world.run / "agent.json").unlink()  # which says that an agent is there
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 255
    world.start_agent()
    events = recorded(ana, "bash-1")
    assert events[-1]["cause"] == "recovered"
    assert "sleep 60" in next(e for e in events if e["type"] == "statement")["text"]
