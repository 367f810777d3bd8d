"""``hoop connect TARGET -- …`` on its quick way, with a real agent."""

from __future__ import annotations

import subprocess
import sys

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


def test_the_usual_connect_imports_no_parser_and_no_http_library(ana: Person, grant: str) -> None:
    said, packages = imported(ana, "connect", "prod-db", "--", "-XAtc", "select 40 + 2")
    assert said.strip() == "42"
    assert "hoopcli" in packages
    assert packages.isdisjoint({"typer", "httpx", "pydantic", "rich"})


def test_what_is_out_of_the_ordinary_is_told_by_the_command_itself(ana: Person) -> None:
    done = ana.hoop("connect", "prod-nowhere", "--", "-c", "select 1", status=None)
    assert done.returncode != 0
    assert "prod-nowhere" in done.stderr
