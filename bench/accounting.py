"""What processes have used, in the system's own books.

``/proc/PID/stat`` counts every thread of a process, those that have ended too, in steps of
1/100 s; measures run long enough for that.  Linux only.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def _fields(pid: int) -> list[str]:
    """The fields of stat behind the program's name, which may hold blanks: state is the first."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def family(pid: int) -> list[int]:
    """The process and its children, such as the agent's reader."""
    found = [pid]
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int(_fields(int(entry.name))[1])
        except (OSError, IndexError):
            continue  # it has ended meanwhile
        if parent == pid:
            found.append(int(entry.name))
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes so far."""
    ticks = 0
    for pid in pids:
        fields = _fields(pid)
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICK


def memory_mib(pids: Iterable[int]) -> float:
    """What is theirs alone (private pages), in MiB."""
    kib = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in ("Private_Clean", "Private_Dirty"):
                kib += int(rest.split()[0])
    return kib / 1024
