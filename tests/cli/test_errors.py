"""What a person reads when it does not work, and the exit code a script sees."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

from tests.cli.agent import FakeAgent, request
from tests.cli.conftest import PATIENCE, ROOT, Hoop, Terminal, command, ended


def test_without_an_agent_the_code_is_7_and_the_command_that_starts_one_is_named(
    hoop: Hoop, tmp_path: Path
) -> None:
    done = hoop("targets", TEST_SOCKET=str(tmp_path / "api.sock"))
    assert done.returncode == 7
    assert done.stderr == (
        f"hoop: there is no agent at {tmp_path}/api.sock\n"
        "      Is the agent running?  hoop-agent run\n"
    )


def test_a_socket_nobody_listens_on_is_an_agent_that_is_not_there(
    hoop: Hoop, agent: FakeAgent
) -> None:
    stale = agent.socket.parent / "stale.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(stale))
    done = hoop("targets", TEST_SOCKET=str(stale))
    assert done.returncode == 7
    assert "Connection refused" in done.stderr


def test_an_agent_that_hangs_up_is_not_there_either(hoop: Hoop, agent: FakeAgent) -> None:
    agent.broken["/v1/targets"] = (0, "", b"")
    done = hoop("targets")
    assert done.returncode == 7
    assert "Traceback" not in done.stderr


def test_who_is_not_signed_in_is_told_how_to(hoop: Hoop) -> None:
    done = hoop("targets", TEST_TOKEN="")
    assert done.returncode == 3
    assert done.stderr == "hoop: you are not signed in\n      Sign in:  hoop login\n"


def test_a_token_the_agent_no_longer_takes_is_code_3(hoop: Hoop) -> None:
    done = hoop("targets", TEST_TOKEN="old")
    assert done.returncode == 3
    assert done.stderr == "hoop: your sign-in has ended\n      Try:  hoop login\n"


@pytest.mark.parametrize(
    ("status", "kind", "body", "code", "said"),
    [
        (503, "application/json", b'{"error":"e","message":"no store"}', 1, "no store"),
        (422, "application/json", b'{"detail":"odd"}', 1, "odd"),
        (422, "application/json", b'{"detail":[{"loc":["a"]}]}', 1, "loc"),
        (500, "text/plain", b"Internal Server Error", 1, "500 Internal Server Error"),
        (200, "text/html", b"<html>", 1, "is not JSON"),
        (403, "application/json", b"[]", 4, "403"),
        (409, "application/json", b'{"message":"a\\u001b[2Jb\\nc"}', 1, "a\\x1b[2Jb\n      c"),
    ],
)
def test_any_answer_of_an_agent_is_told_without_a_traceback(
    agent: FakeAgent, hoop: Hoop, status: int, kind: str, body: bytes, code: int, said: str
) -> None:
    agent.broken["/v1/targets"] = (status, kind, body)
    done = hoop("targets")
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("hoop: ")


def test_an_answer_of_another_form_is_one_line_and_the_way_to_the_traceback(
    agent: FakeAgent, hoop: Hoop
) -> None:
    agent.broken["/v1/targets"] = (200, "application/json", b'[{"name": "x"}]')
    done = hoop("targets")
    assert done.returncode == 1
    assert re.fullmatch(
        r"hoop: something went wrong that should not have \(KeyError: .*\)\n"
        r"      HOOP_DEBUG=1 in the environment shows where\.\n",
        done.stderr,
    )
    assert "Traceback" in hoop("targets", HOOP_DEBUG="1").stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tragets"], "no such command: tragets\n      Did you mean  hoop targets"),
        (["xyzzy"], "no such command: xyzzy\n      All commands:  hoop --help"),
        (["--nope"], "no such option: --nope"),
        (["-o", "json", "targets"], "Options come after the command"),
        (["targets", "--nope"], "no such option: --nope\n      See:  hoop targets --help"),
        (["audit", "export", "rows.jsonl"], "A file to write into is given with --out."),
        (["targets", "extra"], "See:  hoop targets --help"),
        (["request"], "a target is needed\n      They are listed by:  hoop targets"),
        (["review", "nope"], "See:  hoop review --help"),
        (["review", "mine", "--nope"], "See:  hoop review mine --help"),
        (["completion", "tcsh"], "See:  hoop completion --help"),
    ],
)
def test_what_was_mistyped_is_code_2_with_the_way_on(
    hoop: Hoop, words: list[str], said: str
) -> None:
    done = hoop(*words)
    assert done.returncode == 2
    assert done.stderr.startswith("hoop: ")
    assert said in done.stderr
    assert done.stdout == ""


def test_hoop_alone_and_a_group_alone_show_their_help(hoop: Hoop) -> None:
    alone = hoop()
    assert (alone.returncode, alone.stdout) == (2, "")
    assert "hoop login" in alone.stderr
    group = hoop("review")
    assert group.returncode == 2
    assert "mine" in group.stderr


def test_who_has_read_enough_ends_it_quietly(agent: FakeAgent, environ: dict[str, str]) -> None:
    for number in range(3000):
        agent.keep(request(id=f"req-{number:010}", reason="x" * 40))
    with subprocess.Popen(
        command("requests"), env=environ, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE) == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_output_that_cannot_be_written_is_a_failure(environ: dict[str, str]) -> None:
    for words in (["targets"], ["--help"], ["completion", "bash"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                command(*words),
                env=environ,
                cwd=ROOT,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        assert done.returncode == 1
        assert "No space left on device" in done.stderr
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr


def test_a_stdout_that_is_closed_is_no_traceback(environ: dict[str, str]) -> None:
    line = " ".join(command("targets"))
    done = subprocess.run(
        ["sh", "-c", f"{line} >&-"],
        env=environ,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "Traceback" not in done.stderr


def test_a_terminal_that_is_not_utf8_still_shows_everything(agent: FakeAgent, hoop: Hoop) -> None:
    agent.keep(request(reason="naïve 漢"))
    done = hoop("requests", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 0
    assert r"na\xefve \u6f22" in done.stdout


def test_ctrl_c_while_the_agent_is_slow_exits_130_quietly(
    agent: FakeAgent, terminal: Terminal
) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        slow = agent.socket.parent / "slow.sock"
        silent.bind(str(slow))
        silent.listen()
        child = terminal("targets", TEST_SOCKET=str(slow))
        connection, _ = silent.accept()
        with connection:
            child.sendintr()
            assert ended(child) == 130
    assert "Traceback" not in (child.before or "")
