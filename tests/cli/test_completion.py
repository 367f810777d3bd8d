"""What Tab offers: words of hoop's, names and ids of the agent's, and never a word of complaint."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from hoopcli.app import ENTRIES
from tests.cli.agent import FakeAgent, grant, request, target
from tests.cli.conftest import PATIENCE, ROOT, Hoop, command


def offers(hoop: Hoop, *words: str, **environ: str) -> list[str]:
    done = hoop("__complete", *words, **environ)
    assert (done.returncode, done.stderr) == (0, "")
    return [line.partition("\t")[0] for line in done.stdout.splitlines() if line]


def test_names_of_commands_are_offered_with_what_they_do(hoop: Hoop) -> None:
    assert set(ENTRIES) <= set(offers(hoop, ""))
    assert offers(hoop, "re") == ["request", "requests", "relinquish", "revoke", "resume",
                                   "replay", "review"]  # fmt: skip
    assert "ls" in offers(hoop, "l")
    assert "Open a target with psql" in hoop("__complete", "conn").stdout


def test_options_of_a_command_are_offered(hoop: Hoop) -> None:
    assert offers(hoop, "request", "prod-db", "--t") == ["--task", "--ticket", "--timeout"]
    assert offers(hoop, "review", "mine", "--k") == ["--keep"]
    below = ["mine", "confirm", "done", "undo", "ticket-closed", "break-glass"]
    assert offers(hoop, "review", "") == below


def test_values_of_an_option_are_offered_where_they_are_known(hoop: Hoop) -> None:
    assert offers(hoop, "request", "--priority", "u") == ["urgent"]
    assert offers(hoop, "targets", "-o", "") == ["table", "json", "names"]
    assert offers(hoop, "request", "--reason", "") == []
    assert offers(hoop, "completion", "z") == ["zsh"]


def test_targets_and_ids_come_from_the_agent(agent: FakeAgent, hoop: Hoop) -> None:
    agent.targets = [target(), target(name="stage-db")]
    agent.keep(request())
    agent.grants = {"grt-7h2vd9xk4p": grant()}
    assert offers(hoop, "connect", "") == ["prod-db", "stage-db"]
    assert offers(hoop, "connect", "--listen", "st") == ["stage-db"]
    assert offers(hoop, "approve", "") == ["req-4k7mq2zt9x"]
    assert offers(hoop, "cancel", "req-9") == []
    assert offers(hoop, "relinquish", "") == ["grt-7h2vd9xk4p"]
    assert offers(hoop, "review", "mine", "--give-back", "") == ["grt-7h2vd9xk4p"]
    assert {seen.query.get("to_decide") for seen in agent.seen if "requests" in seen.path} == {
        "1",
        None,
    }


def test_nothing_of_hoops_is_offered_for_the_clients_own_words(hoop: Hoop) -> None:
    assert offers(hoop, "connect", "prod-db", "--", "-") == []


def test_a_second_target_is_not_offered(hoop: Hoop) -> None:
    assert offers(hoop, "request", "prod-db", "") == []


def test_whatever_goes_wrong_there_is_simply_nothing(
    agent: FakeAgent, hoop: Hoop, tmp_path: Path
) -> None:
    nowhere = str(tmp_path / "api.sock")
    assert offers(hoop, "connect", "", TEST_SOCKET=nowhere) == []
    assert offers(hoop, "connect", "", TEST_TOKEN="") == []
    assert offers(hoop, "nonsense", "") == []
    assert offers(hoop, "review", "nonsense", "") == []
    agent.broken["/v1/targets"] = (200, "application/json", b'{"odd": 1}')
    assert offers(hoop, "connect", "") == []


def test_an_agent_that_does_not_answer_is_not_waited_for(agent: FakeAgent, hoop: Hoop) -> None:
    silent = agent.socket.parent / "silent.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(silent))
        listening.listen()
        assert offers(hoop, "connect", "", TEST_SOCKET=str(silent)) == []


def test_an_offer_is_one_line_whatever_a_reason_holds(agent: FakeAgent, hoop: Hoop) -> None:
    agent.keep(request(reason="first\nsecond\tthird\x1b[2J"))
    done = hoop("__complete", "approve", "")
    assert len(done.stdout.splitlines()) == 1
    assert "\x1b" not in done.stdout


# --- in the shells themselves -------------------------------------------------------------------


def _with_hoop(tmp_path: Path) -> str:
    """A folder with a ``hoop`` that is signed in."""
    program = tmp_path / "hoop"
    program.write_text(f'#!/bin/sh\ncd {ROOT} && exec {" ".join(command())} "$@"\n')
    program.chmod(0o755)
    return str(tmp_path)


_ASK_BASH = """
source completions/hoop.bash
ask() {
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _hoop
    printf '%s;' "${COMPREPLY[@]}"; echo
}
ask hoop conn
ask hoop connect prod
ask hoop request --priority ''
ask hoop connect "it's" ''
complete -p hoop
"""


def test_bash_offers_what_hoop_offers(environ: dict[str, str], tmp_path: Path) -> None:
    path = f"{_with_hoop(tmp_path)}:{environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", _ASK_BASH],
        env=environ | {"PATH": path},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "connect;",
        "prod-db;",
        "low;normal;urgent;incident;",
        ";",
        "complete -o bashdefault -o default -F _hoop hoop",
    ]


_ASK_ZSH = """
compdef() { : }
_describe() { print -rl -- "$@"; print -rl -- "${offers[@]}" }
_files() { print files }
source completions/_hoop
words=(hoop conn); CURRENT=2; _hoop
words=(hoop connect prod-db -- ''); CURRENT=5; _hoop
"""


@pytest.mark.skipif(shutil.which("zsh") is None, reason="install zsh")
def test_zsh_offers_what_hoop_offers(environ: dict[str, str], tmp_path: Path) -> None:
    path = f"{_with_hoop(tmp_path)}:{environ['PATH']}"
    done = subprocess.run(
        ["zsh", "-f", "-c", _ASK_ZSH],
        env=environ | {"PATH": path},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stderr == ""
    assert "connect:Open a target with psql" in done.stdout
    assert done.stdout.splitlines()[-1] == "files"


@pytest.mark.skipif(shutil.which("fish") is None, reason="install fish")
def test_fish_offers_what_hoop_offers(environ: dict[str, str], tmp_path: Path) -> None:
    path = f"{_with_hoop(tmp_path)}:{environ['PATH']}"
    ask = "source completions/hoop.fish; complete -C 'hoop conn'; complete -C 'hoop connect pr'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", ask],
        env=environ | {"PATH": path, "HOME": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["connect", "prod-db"]
