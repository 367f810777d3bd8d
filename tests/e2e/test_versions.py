"""A hoop of another version at a real agent: neighbours work, others say who is to be updated."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.e2e.world import Person

# The program itself, with the numbers of another version.
_FAKED = """
import sys
from hoopcore import versions
versions.OLDEST, versions.NEWEST = int(sys.argv[1]), int(sys.argv[2])
del sys.argv[1:3]
from hoopcli.__main__ import main
main()
"""


def hoop_of(
    person: Person, oldest: int, newest: int, *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _FAKED, str(oldest), str(newest), *arguments],
        env=person.world.environment(person.name),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_next_version_of_hoop_works_with_this_agent(ana: Person) -> None:
    done = hoop_of(ana, 2, 3, "status")
    assert done.returncode == 0, done.stderr
    assert "ana@shop.example" in done.stdout


@pytest.mark.parametrize("command", ["status", "targets", "grants"])
def test_a_version_too_far_says_that_the_agent_is_too_old(ana: Person, command: str) -> None:
    done = hoop_of(ana, 7, 8, command)
    assert done.returncode == 1
    assert "this hoop speaks version 7..8 of the API, the agent 1..2" in done.stderr
    assert "update it" in done.stderr
    assert done.stdout == ""


def test_signing_in_says_so_before_a_browser_is_opened(ana: Person) -> None:
    done = hoop_of(ana, 7, 8, "login", "--no-browser", "--force")
    assert done.returncode == 1
    assert "this hoop speaks version 7..8 of the API, the agent 1..2" in done.stderr
    assert "Code:" not in done.stderr
