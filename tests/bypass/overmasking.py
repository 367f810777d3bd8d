"""How much of what should come through is lost: ``python -m tests.bypass.overmasking`` prints it.

A column of a report is *clean* when it reads the same before two fillings of the masked columns.
It is lost when it reads otherwise behind hoop.  The rate is lost clean columns per clean columns;
one whose every cell is NULL counts for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hoopcore.protocols.postgres import wire
from tests.bypass.battery_arena import Arena, Player, arena
from tests.bypass.battery_reports import REPORTS
from tests.bypass.raw import said, values


class Loss(NamedTuple):
    """A clean column that did not come through as it is."""

    report: str
    column: int
    why: str


class Tally(NamedTuple):
    """Of all reports: how many columns are clean, how many are not, and what was lost."""

    clean: int
    masked: int
    lost: tuple[Loss, ...]

    @property
    def rate(self) -> float:
        """Lost columns per clean one."""
        return len(self.lost) / self.clean


def measured(field: Arena, reports: Sequence[str] = REPORTS) -> Tally:
    """Runs each report on both fillings without hoop, and behind it."""
    clean, masked, lost = 0, 0, []
    with (
        Player(field.direct) as player,
        Player(lambda: field.direct("other")) as other,
        Player(field.styled.connect) as behind,
    ):
        for report in reports:
            ours, theirs, seen = (_columns(each, report) for each in (player, other, behind))
            for place, column in enumerate(ours.columns):
                if column != theirs.columns[place]:
                    masked += 1
                elif any(cell is not None for cell in column):
                    clean += 1
                    if seen.error or seen.columns[place : place + 1] != [column]:
                        lost.append(Loss(report, place, seen.error))
    return Tally(clean, masked, tuple(lost))


class _Read(NamedTuple):
    columns: list[Sequence[bytes | None]]
    error: str


def _columns(player: Player, report: str) -> _Read:
    """What each column holds, in no order; and what went wrong."""
    got = _messages(player.play([report], "simple"))
    if not any(kind in (wire.DATA_ROW, wire.ERROR) for kind, _ in got[2:-1]):
        return _Read([[body for kind, body in got if kind == wire.COMMAND_COMPLETE][2:]], "")
    rows = values(got)
    width = len(rows[0]) if rows else 0
    columns: list[Sequence[bytes | None]]
    columns = [sorted((row[place] for row in rows), key=repr) for place in range(width)]
    return _Read(columns, said(got))


def _messages(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(data):
        size = 1 + int.from_bytes(data[at + 1 : at + 5], "big")
        found.append((data[at], data[at + 5 : at + size]))
        at += size
    return found


def told(tally: Tally) -> str:
    """In a line, and a line for each loss."""
    lines = [
        f"{len(REPORTS)} reports, {tally.clean} clean columns, {tally.masked} that carry a masked"
        f" value; lost: {len(tally.lost)} ({tally.rate:.1%})"
    ]
    lines += [f"  column {loss.column + 1} of: {loss.report}  {loss.why}" for loss in tally.lost]
    return "\n".join(lines)


if __name__ == "__main__":
    with arena(18) as field_:
        print(told(measured(field_)))  # noqa: T201 - a command
