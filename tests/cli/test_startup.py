"""What starting hoop costs, held without a clock: by which modules an answer brings in."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from hoopcli import __version__
from hoopcli.app import ENTRIES
from tests.cli.conftest import PATIENCE, ROOT

# Each costs more than a bare interpreter, some many times as much.
HEAVY = frozenset(
    {"asyncssh", "cryptography", "httpx", "keyring", "msgspec", "pydantic", "rich", "uvloop"}
    | {"fastapi", "sqlalchemy", "numpy", "asyncio", "ssl", "hoopagent"}
)

_PROBE = """
import sys
from hoopcli.__main__ import run
try:
    code = run(sys.argv[1:])
finally:
    print("\\nMODULES", *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
sys.exit(code)
"""


def brought_in(*words: str) -> set[str]:
    """The top-level modules in the process once ``hoop WORDS`` has answered."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("HOOP_")}
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, *words],
        capture_output=True,
        text=True,
        env=environ | {"HOOP_HOME": "/nonexistent"},
        timeout=PATIENCE,
        check=True,
    )
    return set(done.stderr.split("MODULES")[1].split())


def test_version_answers_before_typer_and_before_any_part_of_hoop() -> None:
    modules = brought_in("--version")
    assert not modules & (HEAVY | {"typer", "click", "argparse", "json", "re", "dataclasses"})


def test_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert __version__ == project["version"]


@pytest.mark.parametrize("words", [("--help",), ("help",), ("__complete", "re")])
def test_the_list_of_commands_costs_no_typer(words: tuple[str, ...]) -> None:
    assert not brought_in(*words) & (HEAVY | {"typer", "click"})


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_help_of_a_command_imports_nothing_heavy(name: str) -> None:
    assert not brought_in(name, "--help") & HEAVY


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_completion_of_a_commands_options_imports_nothing_heavy(name: str) -> None:
    assert not brought_in("__complete", name, "--") & HEAVY


def test_a_command_imports_no_other_command() -> None:
    """All modules of commands that ``hoop targets --help`` has brought in."""
    probe = "import sys; from hoopcli.app import run; run(['targets', '--help']);"
    probe += "print(*[m for m in sys.modules if m.startswith('hoopcli.commands.')])"
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert done.stdout.splitlines()[-1] == "hoopcli.commands.targets"


def test_every_command_has_its_module() -> None:
    folder = Path(ROOT / "src/hoopcli/commands")
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert {entry.module or entry.name for entry in ENTRIES.values()} == modules
