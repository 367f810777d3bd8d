"""What becomes of the columns of one result: a plan, which rows are masked by elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from hoopcore.declared import stricter
from hoopcore.detectors import Sweep
from hoopcore.forms import Form
from hoopcore.styles import Style
from hoopcore.watches import Watch


class Column(NamedTuple):
    """A column as the row description tells it.  ``format`` is 0 for text, 1 for binary."""

    name: str
    table: int
    attnum: int
    type: int
    format: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of each column of a result: a style, a watch for hits, or None: stays as it is.

    ``cells`` None means rows of any width, every cell NULL.
    """

    cells: tuple[Style | Watch | None, ...] | None
    sweep: Sweep | None = None  # where any column is watched
    utf8: bool = False  # whether values are known to be UTF-8
    names: tuple[str, ...] = field(default=(), compare=False)  # of the columns, for the recording
    # Of columns that are not masked by stars: how their values are written.
    forms: Mapping[int, Form] = field(default_factory=dict)

    nulls: ClassVar[Plan]

    def name_of(self, column: int) -> str:
        """What the recording calls this column, counted from 0; ``?`` of rows not described."""
        return self.names[column] if column < len(self.names) else "?"


Plan.nulls = Plan(None)


def strictest(plans: Sequence[Plan | None], width: int) -> Plan | None:
    """One plan of so many columns, that hides what any of these hides."""
    cells: list[Style | Watch | None] = [None] * width
    known = [plan for plan in plans if plan is not None]
    for plan in known:
        for place, cell in enumerate(plan.cells or (Style.NULL,) * width):
            before = cells[place]
            if isinstance(cell, Style):
                cells[place] = stricter(before if isinstance(before, Style) else None, cell)
            elif before is None or (cell is Watch.NULL and not isinstance(before, Style)):
                cells[place] = cell
    return Plan(tuple(cells), known[0].sweep, known[0].utf8, known[0].names) if known else None
