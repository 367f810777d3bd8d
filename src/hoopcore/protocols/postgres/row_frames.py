"""Where the frames of one kind begin, in a run of them.

A frame says how long it is, so a reader goes from one to the next: a step of Python for each row.
In a large chunk numpy looks for whatever could be a head instead, and takes those whose lengths
lead from one to the next, beginning with the first.  That finds the same: what an unbroken way from
a frame leads to is a frame, whatever else looks like one.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from hoopcore.protocols.postgres.wire import HEADER
from hoopcore.styles import Offsets

Starts: TypeAlias = "list[int] | Offsets"
"""Offsets that rise, each of one frame."""

# Below, a step for each frame costs less.
LARGE = 8192  # bytes
# Values that look like heads break the way; where many do, the steps are better.
_MOST_BREAKS = 16


def frames_of(kind: int, data: memoryview, at: int, stop: int) -> tuple[Starts, int]:
    """Where in ``data[at:stop]`` the frames of this kind begin, and the offset behind the last.

    Counted from ``at``.  They are whole, follow each other from ``at`` on, and end before the first
    frame of another kind, of a length under 4, or that is not all here.
    """
    if stop - at < LARGE:
        return _step_by_step(kind, data[at:stop], [])
    return _at_once(kind, data[at:stop])


def _step_by_step(kind: int, data: memoryview, starts: list[int]) -> tuple[list[int], int]:
    """Goes on behind the last of these starts."""
    at, stop, unpack = 0, len(data), HEADER.unpack_from
    if starts:
        at = starts[-1] + unpack(data, starts[-1])[1] + 1
    while stop - at >= 5:
        this, length = unpack(data, at)
        if this != kind or length < 4 or length + 1 > stop - at:
            break
        starts.append(at)
        at += length + 1
    return starts, at


def _at_once(kind: int, data: memoryview) -> tuple[Starts, int]:
    octets: Any = np.frombuffer(data, np.uint8)
    heads: Any = np.flatnonzero(octets[:-4] == kind)
    heads = heads[octets[heads + 1] == 0]  # of under 16 MiB; a longer frame breaks the way
    lengths: Any = np.ndarray((len(data) - 3,), ">i4", data, 0, (1,))
    nexts: Any = heads + 1 + lengths[heads + 1]
    breaks: Any = np.flatnonzero(nexts[:-1] != heads[1:])
    runs: list[Offsets] = []
    place = 0
    for _ in range(_MOST_BREAKS):
        first = int(np.searchsorted(heads, place))
        if first == len(heads) or heads[first] != place:
            break
        index = int(np.searchsorted(breaks, first))
        last = int(breaks[index]) if index < len(breaks) else len(heads) - 1
        behind = int(nexts[last])
        # What is behind its own head by under 5, or ends beyond the data, is not taken.
        whole = int(heads[last]) + 5 <= behind <= len(data)
        runs.append(heads[first : last + 1 if whole else last])
        if not whole:
            return np.concatenate(runs), int(heads[last])
        place = behind
    found: Offsets = np.concatenate(runs) if runs else np.empty(0, np.int64)
    if len(data) - place < 5 or data[place] != kind:
        return found, place
    return _step_by_step(kind, data, found.tolist())
