"""What was measured, as rows: pure.

One row a measure and door.  ``ratio`` is hoop's figure over the direct one; null where there is
none.  JSON rows have the keys of ``Row`` and nothing else; the table has the spread as well: half
the distance between the quartiles, in percent of the median.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median, quantiles

DOORS = ("local", "ssh")


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    door: str | None
    direct: float | None
    relay: float | None
    pgbouncer: float | None
    hoop: float | None
    ratio: float | None
    unit: str


def rows_of(
    name: str, unit: str, taken: Mapping[str, Sequence[float]], *, doors: bool = True
) -> list[Row]:
    """The rows of one measure, from the numbers of each way; a way that is missing is null."""
    middle = {way: _rounded(median(values)) for way, values in taken.items() if values}
    direct = middle.get("direct")
    rows = []
    for door in DOORS:
        hoop = middle.get(door)
        if hoop is None:
            continue
        ratio = round(hoop / direct, 3) if direct else None
        beside = (direct, middle.get("relay"), middle.get("pgbouncer"))
        rows.append(Row(name, door if doors else None, *beside, hoop, ratio, unit))
    return rows


def spread(values: Sequence[float]) -> float | None:
    """Half the distance between the quartiles, over the median; None for fewer than three."""
    if len(values) < 3 or not median(values):
        return None
    first, _, third = quantiles(values, n=4)
    return (third - first) / 2 / median(values)


def as_json(rows: Iterable[Row]) -> str:
    lines = ",\n".join("  " + json.dumps(asdict(row), ensure_ascii=False) for row in rows)
    return f"[\n{lines}\n]"


def as_table(rows: Sequence[Row], spreads: Mapping[tuple[str, str], float | None]) -> str:
    """Aligned columns; ``spreads`` by name and way."""
    head = ("measure", "door", "direct", "relay", "pgbouncer", "hoop", "ratio", "unit")
    lines = [head]
    for row in rows:
        ways = ("direct", "relay", "pgbouncer", row.door or "local")
        figures = (row.direct, row.relay, row.pgbouncer, row.hoop)
        cells = [
            _cell(figure, spreads.get((row.name, way)))
            for way, figure in zip(ways, figures, strict=True)
        ]
        ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
        lines.append((row.name, row.door or "-", *cells, ratio, row.unit))  # type: ignore[arg-type]
    wide = [max(len(line[index]) for line in lines) for index in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index < 2 or index == len(head) - 1 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, wide, strict=True))
        ).rstrip()
        for line in lines
    )


def _cell(figure: float | None, about: float | None) -> str:
    if figure is None:
        return "-"
    text = f"{figure:,.0f}" if figure >= 1000 else f"{figure:g}"
    return text if about is None else f"{text} ±{about:.0%}"


def _rounded(value: float) -> float:
    """Three or four digits that mean something."""
    return round(value) if value >= 1000 else float(f"{value:.4g}")
