"""A session of 24 simulated hours: the writer keeps no more in its last hour than in its first.

19,200 events in CI; ``HOOP_LONG=1`` makes it 10 GB of lines (``python -m bench.recordings day``
prints each hour's memory and time an event).
"""

from __future__ import annotations

import gc
import os
import tracemalloc
from pathlib import Path

import pytest

from bench.recordings import HOURS, hours

LINES = 100_000 if os.environ.get("HOOP_LONG") else 400  # statements an hour
# Places of frames, 16 bytes a MiB of lines, are all that grows.
GROWTH = 2 << 20


@pytest.mark.timeout(300 if LINES < 10_000 else 3600)
async def test_a_day_is_recorded_in_the_memory_of_its_first_hours(tmp_path: Path) -> None:
    sizes: list[int] = []

    def after_an_hour() -> None:
        gc.collect()
        sizes.append(tracemalloc.get_traced_memory()[0])

    tracemalloc.start()
    try:
        await hours(tmp_path, LINES, 3_500, after_an_hour)
    finally:
        tracemalloc.stop()
    assert len(sizes) == HOURS
    assert max(sizes[3:]) - sizes[2] < GROWTH
