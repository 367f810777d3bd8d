"""An agent to talk to, and ``hoop`` in a process of its own, with or without a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pexpect
import pytest

from tests.cli.agent import TOKEN, FakeAgent, running

ROOT = Path(__file__).parents[2]
# With the sources that this run is about, wherever the virtual environment's installation points.
_PATHS = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]

# What a test of one run may take before it counts as hung.
PATIENCE = 30


class Hoop(Protocol):
    def __call__(
        self, *arguments: str, stdin: str | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]: ...


class Terminal(Protocol):
    def __call__(self, *arguments: str, **environ: str) -> pexpect.spawn: ...


@pytest.fixture
def agent() -> Iterator[FakeAgent]:
    # Not under pytest's own folder: the name of a unix socket has 107 bytes.
    with tempfile.TemporaryDirectory(prefix="hoop-") as folder, running(Path(folder)) as agent:
        yield agent


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tests.cli.as_ada", *arguments]


@pytest.fixture
def environ(agent: FakeAgent) -> dict[str, str]:
    """The environment of who is signed in at that agent, in an 80 columns' terminal."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HOOP_", "PG", "PSQL"))}
    here = {"TEST_SOCKET": str(agent.socket), "TEST_TOKEN": TOKEN, "COLUMNS": "80"}
    return (
        kept | here | {"PYTHONPATH": os.pathsep.join(_PATHS), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    )


@pytest.fixture
def hoop(environ: dict[str, str]) -> Hoop:
    """Runs ``hoop`` without a terminal, and waits for it."""

    def run(
        *arguments: str, stdin: str | None = None, **changes: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments),
            input=stdin if stdin is not None else "",
            env=environ | changes,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    return run


@pytest.fixture
def terminal(environ: dict[str, str]) -> Iterator[Terminal]:
    """Starts ``hoop`` at a terminal of 80 columns."""
    started: list[pexpect.spawn] = []

    def start(*arguments: str, **changes: str) -> pexpect.spawn:
        program, *rest = command(*arguments)
        child = pexpect.spawn(
            program,
            rest,
            env=environ | changes,
            cwd=str(ROOT),
            timeout=PATIENCE,
            encoding="utf-8",
            dimensions=(24, 80),
        )
        started.append(child)
        return child

    yield start
    for child in started:
        child.close(force=True)


def ended(child: pexpect.spawn) -> int:
    """The exit code of what runs at a terminal, once it has ended."""
    child.expect(pexpect.EOF)
    child.close()
    code = child.exitstatus
    assert code is not None, f"it was ended by signal {child.signalstatus}"
    return int(code)
