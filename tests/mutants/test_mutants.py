"""Every mutant turns ``./check --fast`` red: the checks see what they are there to see.

A mutant is a small patch with a sentence about what it breaks and the step that must see it.  Where
that is a test, the file that sees it is asked first, and all of them where that one does not.
Each is applied to a copy of the tree; the copy uses this tree's virtual environment and its own
sources.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(900)

ROOT = Path(__file__).parents[2]
MUTANTS = sorted(Path(__file__).parent.glob("*.patch"))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what git knows here, without history."""
    copy = tmp_path_factory.mktemp("tree")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source = ROOT / name
        if source.is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy / name)
    (copy / ".venv").symlink_to(ROOT / ".venv", target_is_directory=True)
    return copy


def checked(tree: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["./check", "--fast", *tests],
        cwd=tree,
        env=os.environ | {"HOOP_MUTANT": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def applied(tree: Path, mutant: Path, *options: str) -> None:
    done = subprocess.run(
        ["git", "apply", "-C1", *options, str(mutant)],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{mutant.name} does not apply any more: {done.stderr}"


def test_there_is_a_mutant_for_every_contract() -> None:
    names = {mutant.stem for mutant in MUTANTS}
    assert {
        "import-cli-knows-agent",
        "import-core-does-io",
        "import-protocols-meet",
        "import-core-upside-down",
        "import-relay-asks-store",
    } <= names


def asked_first(mutant: Path) -> list[str]:
    return re.findall(r"^asked first: (\S+)$", mutant.read_text(), re.MULTILINE)


def test_the_tree_without_a_mutant_is_green(tree: Path) -> None:
    """In all that is asked first; the rest is asked once more only where that sees nothing."""
    done = checked(tree, *sorted({name for mutant in MUTANTS for name in asked_first(mutant)}))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.stem)
def test_every_mutant_turns_the_check_red(tree: Path, mutant: Path) -> None:
    first = asked_first(mutant)
    applied(tree, mutant)
    try:
        done = checked(tree, *first)
        if first and done.returncode == 0:
            done = checked(tree)
    finally:
        applied(tree, mutant, "--reverse")
    assert done.returncode != 0, f"{mutant.stem} survived"
    # Red for its own reason, not for a blank too many.
    last = re.findall(r"^== (\w+)", done.stderr, re.MULTILINE)[-1]
    assert f"red at: {last}" in mutant.read_text()
