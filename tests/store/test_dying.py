"""``kill -9`` at every write of a request's life, one by one: all of that write is there, or none.

What is left is read by a store that is opened afresh, as after a restart.  HOOP_LONG=1 tries each
step; else it is one in five.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

STRIDE = "1" if os.environ.get("HOOP_LONG") else "5"


def test_killed_at_any_write_the_store_is_on_one_side_of_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.store.dying", str(tmp_path), STRIDE],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert len(told) > 50 // int(STRIDE)
    assert [one["step"] for one in told if not one["died"]] == []
    # Behind the kill nothing of the write is there: it dies before the COMMIT is done.
    assert [one["step"] for one in told if not one["at"]] == []
    assert [one for one in told if one["wrong"]] == []
