"""How fast rows are masked: MB/s and rows/s of ``mask_rows`` on one core, no network.

``python -m bench.masks`` prints a table.  The rows have ten columns in text and about 200 bytes; a
chunk is what one read of a busy socket gives.  Figures of the same run may be compared, others
not: the machine is shared.
"""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Callable
from typing import NamedTuple

from hoopcore.detectors import KINDS, Sweep
from hoopcore.forms import forms_of
from hoopcore.masking import Plan
from hoopcore.protocols.postgres.rows import mask_rows
from hoopcore.styles import Style
from hoopcore.watches import Watch

CHUNK = 256 << 10
ROUNDS = 40
Cell = Style | Watch | None


def row(number: int, hit: bool, dice: random.Random) -> bytes:
    """One DataRow; a hit has an e-mail address and a card number in its texts."""
    mail = b"user%d@example.com" % number if hit else b"user%d at example" % number
    text = b"some words about %d" % number + (b" 4111 1111 1111 1111" if hit else b" and more")
    cells: list[bytes | None] = [
        *(b"%d" % number, b"Name Surname %d" % number, mail, b"x" * dice.randint(20, 60)),
        *(b"2026-01-02 03:04:05.123456+00", b"%d.%02d" % (number, number % 100), text),
        *(None if number % 7 == 0 else b"Berlin", b"active", b"+1 212 555 %04d" % (number % 10000)),
    ]
    body = b"".join(
        struct.pack("!i", -1) if cell is None else struct.pack("!i", len(cell)) + cell
        for cell in cells
    )
    return b"D" + struct.pack("!IH", len(body) + 6, len(cells)) + body


def chunk_of(share: float, size: int = CHUNK) -> tuple[bytes, int]:
    """Rows of which this share has hits, and how many they are."""
    dice = random.Random(1)
    rows: list[bytes] = []
    length = 0
    while length < size:
        rows.append(row(len(rows), dice.random() < share, dice))
        length += len(rows[-1])
    return b"".join(rows), len(rows)


def measure(act: Callable[[bytearray], object], data: bytes) -> float:
    """CPU seconds for one chunk, the median of many; the copy it may write on is not included."""
    times = []
    for _ in range(ROUNDS):
        chunk = bytearray(data)
        began = time.thread_time()
        act(chunk)
        times.append(time.thread_time() - began)
    return sorted(times)[len(times) // 2]


def one(column: int, cell: Cell) -> Plan:
    """A plan that touches one column of ten."""
    return Plan(tuple(cell if index == column else None for index in range(10)))


# Columns 2, 3, 6, 7, 9 and 1, 8 are text; the others are numbers and times, in text.
CELLS: tuple[Cell, ...] = (None, *[Watch.TEXT] * 3, None, Watch.NULL, *[Watch.TEXT] * 4)
WATCHED = Plan(CELLS, Sweep(("card", "ssn", "email")))
# The last column of every row is a telephone number: of this kind all rows are hit.
MANY = Plan(CELLS, Sweep(kind for kind in KINDS if kind != "phone"))
ALL = Plan(CELLS, Sweep(KINDS))
COLUMNS = (20, 25, 25, 25, 1184, 1700, 25, 25, 25, 25)


class Typed(NamedTuple):
    type: int
    format: int = 0


def formed(column: int, style: Style) -> Plan:
    """A plan that writes one column in the form of this style."""
    plan = one(column, style)
    assert plan.cells is not None
    forms = forms_of(plan.cells, [Typed(kind) for kind in COLUMNS], utf8=True, key=b"key")
    return Plan(plan.cells, forms=forms)


CASES: list[tuple[str, float, Plan]] = [
    ("full, first column", 0, one(0, Style.FULL)),
    ("full, third column", 0, one(2, Style.FULL)),
    ("full, last column", 0, one(9, Style.FULL)),
    ("keep-last-4, third column", 0, one(2, Style.KEEP_LAST_4)),
    ("keep-domain, third column", 1, one(2, Style.KEEP_DOMAIN)),
    ("hash, third column", 0, formed(2, Style.HASH)),
    ("year-only, fifth column", 0, formed(4, Style.YEAR_ONLY)),
    ("round, sixth column", 0, formed(5, Style.ROUND)),
    ("null, third column", 0, one(2, Style.NULL)),
    ("null, every column", 0, Plan((Style.NULL,) * 10)),
    ("null, width not known", 0, Plan.nulls),
    ("detectors, 0 % of rows hit", 0, WATCHED),
    ("detectors, 1 % of rows hit", 0.01, WATCHED),
    ("detectors, 20 % of rows hit", 0.2, WATCHED),
    ("detectors, 100 % of rows hit", 1, WATCHED),
    ("all kinds but phone, 0 %", 0, MANY),
    ("all kinds but phone, 1 %", 0.01, MANY),
    ("all kinds but phone, 20 %", 0.2, MANY),
    ("all kinds, 0 %, phones in all", 0, ALL),
]


def main() -> None:
    print(f"{'what':32}{'MB/s':>8}{'rows/s':>12}{'us/chunk':>10}")
    for name, share, plan in CASES:
        data, rows = chunk_of(share)
        took = measure(lambda chunk, plan=plan: mask_rows(plan, chunk), data)  # type: ignore[misc]
        print(f"{name:32}{len(data) / took / 1e6:8.0f}{rows / took:12,.0f}{took * 1e6:10.0f}")
    for count in (1, 40, 64, 65):
        data = b"".join(row(number, False, random.Random(2)) for number in range(count))
        for name, plan in (("full, third", one(2, Style.FULL)), ("detectors", WATCHED)):
            took = measure(lambda chunk, plan=plan: mask_rows(plan, chunk), data)  # type: ignore[misc]
            label = f"{name}, {count} rows"
            print(f"{label:32}{len(data) / took / 1e6:8.0f}{count / took:12,.0f}{took * 1e6:10.1f}")


if __name__ == "__main__":
    main()
