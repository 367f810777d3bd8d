"""A network that goes silent in the middle: nothing hangs past ten seconds, and it is recorded.

All that can happen happens at once, on lines of their own, since each takes its nine seconds.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pexpect
import pytest

from tests.e2e.ssh_world import TARGET, SshWorld, command, told
from tests.e2e.world import Person
from tests.lines import SilentLine, silent_line
from tests.worlds import signed_in, started

LIMIT = 10.0
CASES = ("target-runs", "target-shell", "target-connects", "client-runs", "client-held")


class SilentWorld(SshWorld):
    """Targets behind lines of their own, named ``web-CASE``."""

    def _start_sshd(self) -> None:
        super()._start_sshd()
        self.lines: dict[str, SilentLine] = {}
        with (self.folder / "agent" / "targets.toml").open("a") as targets:
            for name in (*CASES, "well"):
                line = self.stack.enter_context(silent_line("127.0.0.1", self.sshd.port))
                if name.startswith("target"):
                    self.lines[name] = line
                text = TARGET.format(
                    name=f"web-{name}",
                    port=line.port,
                    account=self.sshd.account,
                    proof=f'key_file = "{self.sshd.key_file}"',
                    key=self.sshd.host_key,
                    output='output = "clear"',
                    more="",
                )
                targets.write(text)
        with (self.folder / "agent" / "rules.toml").open("a") as rules:
            rules.write(
                '[[rule]]\nname = "look"\nverdict = "hold"\nreason = "a test"\n'
                'targets = ["web-client-held"]\ncommands = ["touch"]\napprovers = ["dba"]\n'
            )


@dataclass
class Outcome:
    """What became of one case."""

    seconds: float = -1.0
    status: int | None = None
    said: bytes = b""
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def noted(self) -> str:
        return " ".join(event["text"] for event in self.events if event["type"] == "notice")


def by_line(ana: Person, line: SilentLine, target: str, text: str) -> list[str]:
    """Stock ssh, with a line between it and the agent."""
    words = command(ana, target, text)
    port = told(ana)["ssh"].rpartition(":")[2]
    return [f"Port={line.port}" if word == f"Port={port}" else word for word in words]


@pytest.fixture(scope="module")
def ana() -> Iterator[Person]:
    with started(SilentWorld) as world:
        signed_in(world, "ben")
        ana = signed_in(world, "ana")
        for name in (*CASES, "well"):
            ana.hoop("request", f"web-{name}", "--reason", "a test of SSH", "--for", "1h")
        yield ana


@pytest.fixture(scope="module")
def outcomes(ana: Person) -> dict[str, Outcome]:
    world = ana.world
    assert isinstance(world, SilentWorld)
    with ExitStack() as stack:
        host, _, port = told(ana)["ssh"].partition(":")
        for name in ("client-runs", "client-held"):
            world.lines[name] = stack.enter_context(silent_line(host, int(port)))
        running = {
            "well": command(ana, "web-well", "echo begun; sleep 10; echo end"),
            "target-runs": command(ana, "web-target-runs", "echo begun; sleep 60"),
            "client-runs": by_line(
                ana, world.lines["client-runs"], "web-client-runs", "echo begun; sleep 60"
            ),
            "client-held": by_line(
                ana, world.lines["client-held"], "web-client-held", "touch /tmp/hoop-held"
            ),
        }
        processes = {name: started_by(words) for name, words in running.items()}
        shell = command(ana, "web-target-shell", more=("-tt",))[:-1]
        child = pexpect.spawn(shell[0], shell[1:], encoding="utf-8", timeout=20)
        child.sendline("echo be''gun")
        child.expect("begun")
        for line in world.lines.values():
            line.silence()
        began = time.monotonic()
        processes["target-connects"] = started_by(command(ana, "web-target-connects", "echo x"))
        child.sendline("echo more")
        try:
            return watched(ana, processes, child, began)
        finally:
            for process in processes.values():
                process.kill()
                process.communicate()
            child.close(force=True)


def started_by(words: list[str]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    if "echo x" not in words:
        assert process.stdout.readline()
    return process


def watched(
    ana: Person, processes: dict[str, subprocess.Popen[bytes]], child: Any, began: float
) -> dict[str, Outcome]:
    """Waits for each to end: those of the client's side by their sessions, which are listed."""
    found = {name: Outcome() for name in (*CASES, "well")}
    while time.monotonic() < began + 2 * LIMIT:
        now = time.monotonic() - began
        for name, process in processes.items():
            if found[name].seconds < 0 and process.poll() is not None:
                found[name].seconds, found[name].status = now, process.returncode
        if found["target-shell"].seconds < 0 and not child.isalive():
            found["target-shell"].seconds = now
        listed = {one["target"]: one for one in ana.json("sessions", "--mine")}
        for name in ("client-runs", "client-held"):
            if found[name].seconds < 0 and listed[f"web-{name}"].get("ended"):
                found[name].seconds = time.monotonic() - began
        if all(one.seconds >= 0 for one in found.values()):
            break
        time.sleep(0.1)
    for name in ("target-runs", "target-connects", "well"):
        said = processes[name].stdout
        found[name].said = said.read() if said is not None else b""
    found["target-shell"].said = child.read().encode()
    listed = {one["target"]: one for one in ana.json("sessions", "--mine")}
    for name, outcome in found.items():
        if one := listed.get(f"web-{name}"):
            outcome.events = ana.json("replay", one["id"])
    return found


@pytest.mark.parametrize("case", CASES)
def test_nothing_hangs_past_ten_seconds(outcomes: dict[str, Outcome], case: str) -> None:
    assert 0 <= outcomes[case].seconds <= LIMIT + 1  # which the listing of sessions takes


@pytest.mark.parametrize("case", ["target-runs", "target-shell"])
def test_a_silent_target_is_told_and_recorded(outcomes: dict[str, Outcome], case: str) -> None:
    outcome = outcomes[case]
    assert b"hoop: the target does not answer any more" in outcome.said
    assert "nothing was heard from the target for" in outcome.noted
    assert outcome.events[-1]["cause"] == "target left"


def test_a_target_that_takes_a_connection_and_says_nothing_is_told(
    outcomes: dict[str, Outcome],
) -> None:
    outcome = outcomes["target-connects"]
    assert outcome.status == 255
    assert b"no answer within 9 s" in outcome.said
    assert outcome.events == []


@pytest.mark.parametrize("case", ["client-runs", "client-held"])
def test_a_silent_client_is_recorded_as_gone(outcomes: dict[str, Outcome], case: str) -> None:
    outcome = outcomes[case]
    assert "nothing was heard from the client for" in outcome.noted
    assert outcome.events[-1]["cause"] == "client left"


def test_a_command_that_says_nothing_for_longer_is_let_run(outcomes: dict[str, Outcome]) -> None:
    assert (outcomes["well"].status, outcomes["well"].said) == (0, b"end\n")
