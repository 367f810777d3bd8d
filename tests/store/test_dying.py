"""``kill -9`` at every write of a request's life, one by one: all of that write is there, or none.

What is left is read by a store that was not there, as after a restart, on both databases.
HOOP_LONG=1 tries each step; else it is one in a dozen.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LONG = bool(os.environ.get("HOOP_LONG"))
STRIDE = 1 if LONG else 12
PATIENCE = 3600 if LONG else 280  # seconds

pytestmark = pytest.mark.timeout(PATIENCE + 20)


def test_killed_at_any_write_the_store_is_on_one_side_of_it(url: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.store.dying", url, str(tmp_path), str(STRIDE)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert len(told) > 60 // STRIDE
    assert [one["step"] for one in told if not one["died"]] == []
    # Behind the kill nothing of the write is there: it dies before the COMMIT is done.
    assert [one["step"] for one in told if not one["at"]] == []
    assert [one for one in told if one["wrong"]] == []
