"""What the agent's memory does while much goes through it: the highest it ever was (VmHWM).

``python -m bench.memory [GB…]`` reads so many gigabytes one after the other (1 and 3 without an
argument; the promise is about 1 and 10), masked and with detectors on, behind half a minute by a
client that takes a megabyte a second; and then rows of 60 MiB, six times one.  It fails where the
highest after the last gigabytes is more than 32 MiB above what it was after the first ones, or
after the last three rows above what it was after three.  Linux only.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from bench.measures import COLUMNS, Reader
from bench.world import DETECTORS, Way, World

MOST = 32.0  # MiB
_ROW = 200  # bytes, about
_BIG = 60 << 20
_ROWS = 6  # of that size: the allocator keeps what the first ones took
_SLOW_SECONDS = 30


def highest(pid: int) -> float:
    """VmHWM of a process, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"bench: process {pid} has no VmHWM")


def _read(way: Way, text: str) -> None:
    with closing(Reader(way)) as client:
        client.ask(text)
        client.first()
        client.rest()


def _read_slowly(way: Way, text: str) -> None:
    """A megabyte a second, in pieces of a sixteenth; then the client goes away."""
    with closing(Reader(way)) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.ask(text)
        end = time.monotonic() + _SLOW_SECONDS
        while time.monotonic() < end and client.socket.recv(65536):
            time.sleep(1 / 16)


def main(arguments: Sequence[str] | None = None) -> int:
    sizes = [float(one) for one in (sys.argv[1:] if arguments is None else arguments)] or [1, 3]
    with World(100_000, 1) as world:
        world.settings(DETECTORS, "")
        way = world.ways["local"]
        pid = way.pids[0]
        stored = world.rows // 10
        found = [("before", highest(pid))]
        many = f"select {COLUMNS} from masked t cross join generate_series(1, %d)"
        _read_slowly(way, many % (1e9 / _ROW / stored))
        found.append(("after a client of 1 MB/s", highest(pid)))
        for size in sizes:
            _read(way, many % (size * 1e9 / _ROW / stored))
            found.append((f"after {size:g} GB", highest(pid)))
        for number in range(_ROWS):
            _read(way, f"select mail, repeat('x', {_BIG}) from masked limit 1")
            found.append((f"after {number + 1} rows of 60 MiB", highest(pid)))
    for name, mib in found:
        print(f"{name:32}{mib:8.1f} MiB")
    gigabytes = found[-_ROWS - 1][1] - found[2][1]
    rows = found[-1][1] - found[-_ROWS // 2 - 1][1]
    print(f"more by the gigabytes {gigabytes:.1f} MiB, by the last rows {rows:.1f} MiB")
    return 0 if max(gigabytes, rows) <= MOST else 1


if __name__ == "__main__":
    sys.exit(main())
