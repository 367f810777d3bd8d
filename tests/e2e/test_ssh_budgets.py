"""Budgets of a grant on SSH targets: bytes that people are shown, and statements."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.ssh_world import SshWorld, ssh
from tests.e2e.test_ssh_targets import recorded, waiting
from tests.e2e.world import Person
from tests.worlds import signed_in, started

BUDGETS = """
[[budget]]
name = "few-bytes"
on_reaching = "end"
reason = "no copies of whole disks"
targets = ["web-1"]
bytes = 100_000

[[budget]]
name = "two-commands"
on_reaching = "end"
reason = "a look and no more"
targets = ["web-ca"]
statements = 2

[[budget]]
name = "ask-again"
on_reaching = "hold"
reason = "that is a lot"
targets = ["held-1"]
bytes = 1000
"""


class BudgetWorld(SshWorld):
    """``web-1`` gives 100 kB an hour, ``web-ca`` two commands, ``held-1`` holds beyond 1 kB."""

    def start_agent(self) -> None:
        rules = self.folder / "agent" / "rules.toml"
        if "few-bytes" not in rules.read_text():
            with rules.open("a") as more:
                more.write(BUDGETS)
        super().start_agent()


@pytest.fixture(scope="module")
def world() -> Iterator[BudgetWorld]:
    with started(BudgetWorld) as world:
        yield world


@pytest.fixture(scope="module")
def ben(world: BudgetWorld) -> Person:
    return signed_in(world, "ben")


@pytest.fixture(scope="module")
def ana(world: BudgetWorld) -> Person:
    person = signed_in(world, "ana")
    for name in ("web-1", "web-ca"):
        person.hoop("request", name, "--reason", "a test of budgets", "--for", "1h")
    return person


def test_output_that_would_pass_its_budget_ends_the_session_before_it(ana: Person) -> None:
    first = ssh(ana, "web-1", "head -c 60000 /dev/zero")
    assert len(first.stdout) == 60000
    endless = ssh(ana, "web-1", "cat /dev/zero")
    assert endless.returncode == 255
    assert len(endless.stdout) <= 40_000
    assert b'ended by budget "few-bytes"' in endless.stderr
    end = next(event for event in recorded(ana, "web-1") if event["type"] == "end")
    assert end["cause"] == "budget used up"
    # What was let through alone is charged; stderr counts like stdout.
    last = ssh(ana, "web-1", "head -c 60000 /dev/zero >&2")
    assert last.returncode == 255


def test_statements_that_are_used_up_end_the_session_and_no_other_opens(ana: Person) -> None:
    assert ssh(ana, "web-ca", "echo one").stdout == b"one\n"
    assert ssh(ana, "web-ca", "echo two").stdout == b"two\n"
    third = ssh(ana, "web-ca", "echo three")
    assert third.returncode != 0
    assert third.stdout == b""
    assert b"used up" in third.stderr
    assert b"Try again at" in third.stderr


def test_a_budget_that_holds_lets_the_next_command_wait(ana: Person, ben: Person) -> None:
    asked = ana.json("request", "held-1", "--reason", "a test of budgets", "--for", "1h")
    ben.hoop("approve", asked["id"], "--reason", "a test")
    assert len(ssh(ana, "held-1", "head -c 2000 /dev/zero").stdout) == 2000
    process, id = waiting(ana, ben, "echo more", target="held-1", rule="ask-again")
    ben.hoop("approve", id, "--reason", "a test")
    out, _ = process.communicate(timeout=20)
    assert (out, process.returncode) == (b"more\n", 0)
