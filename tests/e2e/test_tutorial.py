"""docs/tutorial.md is what the program prints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hoopcli.demo.postgres import PostgresMissing, wheel_programs
from tests import docs_tutorial
from tests.servers import missing

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"


def test_every_output_of_the_tutorial_is_what_the_program_prints() -> None:
    try:
        wheel_programs()
    except PostgresMissing as problem:
        missing("PostgreSQL", str(problem))
    done = subprocess.run(
        [sys.executable, "-m", "tests.docs_tutorial"],
        cwd=PAGE.parents[1],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told, now = (docs_tutorial.shape(text).split("```") for text in (PAGE.read_text(), done.stdout))
    assert told == now, docs_tutorial.__doc__
