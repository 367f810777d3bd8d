"""What a recording tells, in the words of people.  Pure; nothing here cleans a text of others."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hoopcore.recording.events import End, File, Finished, Rows, Said

_STATE = re.compile(r"[0-9A-Z]{5}")  # of a database; hosts have words

# Texts of prepared statements that are kept for their runs.
_MOST_PREPARED = 10_000


class Prepared:
    """The texts of prepared statements, by the ``seq`` that prepared them."""

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}

    def text(self, said: Said) -> str:
        """What a statement says: a run says what was prepared."""
        if said.kind == "call":
            return said.text or "a call of a function by its number"
        if said.kind != "run":
            if said.prepared and len(self._texts) < _MOST_PREPARED:
                self._texts[said.seq] = said.text
            return said.text
        return self._texts.get(said.origin, f"(prepared as statement {said.origin})")


def parameters(said: Said) -> str:
    """``$1 = …, $2 = NULL``; empty where there are none."""
    return ", ".join(
        f"${i} = {'NULL' if value is None else value}" for i, value in enumerate(said.parameters, 1)
    )


def outcome(finished: Finished) -> str:
    """What became of a statement, in one line."""
    state = "failed with SQLSTATE " if _STATE.fullmatch(finished.error) else "failed: "
    parts = [state + finished.error if finished.error else finished.tag or "done"]
    if finished.rows:
        rows = "1 row" if finished.rows == 1 else f"{finished.rows:,} rows"
        parts.append(f"{rows}, {size(finished.bytes)}" if finished.bytes else rows)
    if finished.masked:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(finished.masked.items()))
        parts.append(f"masked: {kinds}")
    if finished.took:
        parts.append(took(finished.took))
    return " · ".join(parts)


_SHORT = 16  # characters of a hash: who wants to compare has all of it in -o json


def carried(event: File, *, short: bool = True) -> str:
    """What became of a file, in one line."""
    parts = [f"{event.direction} {event.path}"]
    if event.outcome != "whole":
        parts.append(event.outcome)
    if event.outcome != "refused" or event.size:
        parts.append(size(event.size))
    if event.sha256:
        parts.append(f"sha256 {event.sha256[:_SHORT]}…" if short else f"sha256 {event.sha256}")
    if event.mode:
        parts.append(f"mode {event.mode}")
    return " · ".join(parts)


def rows_of(event: Rows) -> Iterator[str]:
    """One line a row: cells between bars, NULL for null, and what is not whole said."""
    if event.withheld:
        yield f"{event.withheld:,} rows not kept: the session saw in clear what is masked"
    cuts = {(cut.row, cut.column): cut for cut in event.cuts}
    for number, row in enumerate(event.rows, 1):
        whole = cuts.get((number, 0))
        if whole is not None:
            yield f"a row of {size(whole.bytes)}, not kept: sha256 {whole.sha256}"
            continue
        cells = []
        for column, cell in enumerate(row, 1):
            cut = cuts.get((number, column))
            text = "NULL" if cell is None else cell.replace("\n", "⏎")
            if cut is not None:
                text += f"… (of {size(cut.bytes)}, sha256 {cut.sha256})"
            cells.append(text)
        yield " │ ".join(cells)


def took(microseconds: int) -> str:
    """``0.4 ms``, ``2.5 s``, ``60 min``, ``1 h 40 min``."""
    if microseconds < 1_000_000:
        return f"{microseconds / 1000:.1f} ms"
    if microseconds < 90_000_000:
        return f"{microseconds / 1e6:.1f} s"
    minutes = microseconds // 60_000_000
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def size(count: int) -> str:
    for unit, bound in (("B", 1 << 10), ("KiB", 1 << 20), ("MiB", 1 << 30)):
        if count < bound:
            return f"{count * 1024 // bound} {unit}"
    return f"{count / (1 << 30):.1f} GiB"


def clock(microseconds: int) -> str:
    """Since the session began, in nine columns: ``0:04.123``, ``1:02:03.4``, ``12:02:03``."""
    seconds, rest = divmod(max(microseconds, 0) // 1000, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if not hours:
        return f"{minutes}:{seconds:02}.{rest:03}"
    tenth = f".{rest // 100}" if hours < 10 else ""
    return f"{hours}:{minutes:02}:{seconds:02}{tenth}"


def totals(end: End) -> str:
    told = end.totals
    parts = [f"{told.statements:,} {'statement' if told.statements == 1 else 'statements'}"]
    for count, what in (
        (told.refused, "refused"),
        (told.rows, "rows"),
        (told.masked, "values masked"),
    ):
        if count:
            parts.append(f"{count:,} {what}")
    return ", ".join(parts)
