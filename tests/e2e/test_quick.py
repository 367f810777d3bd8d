"""``hoop connect TARGET -- …`` on its quick way, with a real agent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from hoopcli import at_hand
from tests.e2e.world import Person


def imported(person: Person, *arguments: str) -> tuple[str, set[str]]:
    """What it printed, and the packages that this process imported before it became psql."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "hoopcli", *arguments],
        env=person.world.environment(person.name),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = [line.rpartition("|")[2] for line in done.stderr.splitlines() if "|" in line]
    return done.stdout, {line.strip().partition(".")[0] for line in lines}


def said(person: Person, *arguments: str, **environ: str | None) -> tuple[int, str]:
    """Exit status and output of ``hoop connect`` with these changes of the environment."""
    changed = person.world.environment(person.name) | {k: v or "" for k, v in environ.items()}
    done = subprocess.run(
        [sys.executable, "-m", "hoopcli", "connect", "prod-db", "--", *arguments],
        env=changed,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def unlocked(ana: Person, grant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ana has used hoop a moment ago, and so her token is at hand."""
    ana.hoop("grants")
    monkeypatch.setenv("HOOP_HOME", ana.world.environment("ana")["HOOP_HOME"])
    if at_hand.find(str(ana.world.run)) is None:
        pytest.skip("this kernel has no keyring for us, and so nothing is at hand")


def test_the_usual_connect_imports_no_parser_and_no_http_library(ana: Person, grant: str) -> None:
    told, packages = imported(ana, "connect", "prod-db", "--", "-XAtc", "select 40 + 2")
    assert told.strip() == "42"
    assert "hoopcli" in packages
    assert packages.isdisjoint({"typer", "httpx", "pydantic", "rich"})


@pytest.mark.usefixtures("unlocked")
def test_with_a_token_at_hand_nothing_but_the_interpreter_s_own_is_imported(ana: Person) -> None:
    told, packages = imported(ana, "connect", "prod-db", "--", "-XAtc", "select 40 + 2")
    assert told.strip() == "42"
    slow = {"typing", "re", "json", "socket", "dataclasses", "pathlib", "tomllib", "cryptography"}
    assert packages.isdisjoint(slow)


@pytest.mark.usefixtures("unlocked")
def test_a_token_at_hand_asks_for_no_passphrase_and_no_longer_than_the_sign_in(
    ana: Person,
) -> None:
    assert said(ana, "-XAtc", "select 40 + 2", HOOP_PASSPHRASE=None) == (0, "42\n")
    status, told = said(ana, "-XAtc", "select 1", HOOP_PASSPHRASE=None, HOOP_AT_HAND="off")
    assert status == 3
    assert "passphrase" in told
    ana.hoop("logout")
    try:
        assert at_hand.find(str(ana.world.run)) is None
        assert said(ana, "-XAtc", "select 1", HOOP_PASSPHRASE=None)[0] == 3
    finally:
        ana.sign_in()


@pytest.mark.usefixtures("unlocked")
def test_a_token_at_hand_that_the_agent_does_not_know_is_forgotten(ana: Person) -> None:
    label = str(ana.world.run)
    found = at_hand.find(label)
    assert found is not None
    false = at_hand.Kept(found.name, found.api, found.owner, "no-such-token", found.until)
    at_hand.keep(label, false, [])
    assert said(ana, "-XAtc", "select 40 + 2") == (0, "42\n")
    now = at_hand.find(label)
    assert now is not None
    assert now.token == found.token


@pytest.mark.usefixtures("unlocked")
def test_a_folder_that_others_may_write_to_hears_no_token(ana: Person) -> None:
    ana.world.run.chmod(0o777)
    try:
        status, told = said(ana, "-XAtc", "select 1")
        assert status == 1
        assert "is not as it was" in told
    finally:
        ana.world.run.chmod(0o755)


@pytest.mark.usefixtures("unlocked")
def test_an_agent_that_is_stopped_is_told_from_one_that_is_busy(ana: Person) -> None:
    agent = ana.world.processes[-1]
    os.kill(agent.pid, signal.SIGSTOP)
    try:
        done = ana.hoop("connect", "prod-db", "--", "-XAtc", "select 1", status=7)
    finally:
        os.kill(agent.pid, signal.SIGCONT)
    assert "is there, but it does not answer at all" in done.stderr
    assert "hoop-agent run" in done.stderr


def test_what_is_out_of_the_ordinary_is_told_by_the_command_itself(ana: Person) -> None:
    done = ana.hoop("connect", "prod-nowhere", "--", "-c", "select 1", status=None)
    assert done.returncode != 0
    assert "prod-nowhere" in done.stderr
