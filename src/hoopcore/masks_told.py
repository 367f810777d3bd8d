"""What masks make of one statement, in words, without running it.

For ``hoop mask try``.  It says what the relay will do as far as the text tells: a description of
the target's may still show more (a temporary table, a column's type).

Order: what is told, the telling, words.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from hoopcore.forms import fitting
from hoopcore.masking import Bound, Column
from hoopcore.sql.lineage import Base, Output
from hoopcore.sql.spelling import spelled
from hoopcore.statement import Effect, Reading
from hoopcore.styles import Style
from hoopcore.watches import watch


class Told(NamedTuple):
    """One column of a result: its name, all it is computed from, its mask, and why that."""

    name: str
    sources: tuple[str, ...]  # schema.table.column, sorted
    mask: str  # a style; empty: it passes, and only detectors look at it
    why: str
    watched: bool = False  # detectors look at what passes, or may: a type is not always known


def explain(bound: Bound, reading: Reading) -> tuple[Told, ...] | str:
    """The columns of the last statement of this reading; words where there is no telling of them.

    Empty where it gives no rows.
    """
    refusal = bound.refusal(reading)
    if refusal is not None:
        return f'it is refused by rule "{refusal[0]}": {refusal[1]}'
    if bound.catalog is None and bound.masks:
        return "the catalog of this database could not be read: every column is NULL"
    if not reading.statements:
        return ()
    place = len(reading.statements) - 1
    statement = bound.traceable(reading, place)
    shows_plan = statement is not None and statement.tag == "EXPLAIN"
    if statement is None or (shows_plan and not bound.covers(reading)):
        last = reading.statements[-1]
        if not bound.covers(reading):
            return "it comes near no masked column: only detectors look at its rows"
        if Effect.UNKNOWN in last.effects:
            return f"it cannot be read ({reading.why}): every column is NULL"
        why = "it may do what its text does not show" if reading.opaque else "it is not traced"
        return f"{why}: every column is NULL but a plain column of a table that is known"
    found = bound.lineage(statement)
    if found.outputs is None:
        return f"{found.why}: every column is NULL but a plain column of a table that is known"
    return tuple(_told(bound, output) for output in found.outputs)


def _told(bound: Bound, output: Output) -> Told:
    style, columns = bound.style_of(output), _columns(bound, output)
    texts = frozenset[int]() if bound.catalog is None else bound.catalog.texts
    fits = style is None or all(fitting(style, column, texts) is style for column in columns)
    shown = style if fits else Style.NULL
    looked = not columns or any(watch(column, texts) is not None for column in columns)
    return Told(
        output.name or "?column?",
        tuple(sorted(_named(bound, output.sources))),
        _word(shown),
        _why(bound, output, style, fits=fits),
        watched=bound.sweep is not None and shown is None and looked,
    )


def _columns(bound: Bound, output: Output) -> list[Column]:
    """The base columns that it is, as they would be described in text; none of an expression."""
    if bound.catalog is None or output.derived:
        return []
    tables = ((bound.catalog.table(oid), attnum) for oid, attnum in output.itself)
    return [
        Column(name, table.oid, number, kind, 0)
        for table, attnum in tables if table
        for number, name, kind in table.columns if number == attnum
    ]  # fmt: skip


def _word(style: Style | None) -> str:
    return "" if style is None else str(style)


def _why(bound: Bound, output: Output, style: Style | None, *, fits: bool) -> str:
    if style is None:
        return "no masked column in it" if output.sources else "computed from no column"
    changed = [base for base in output.derived if bound.hidden(base) is not None]
    if changed:
        return f"computed from {', '.join(sorted(_named(bound, changed)))}"
    themselves = [base for base in output.itself if bound.hidden(base) is not None]
    words = ", ".join(sorted(_named(bound, themselves)))
    if any(attnum not in bound.declared.get(oid, {}) for oid, attnum in themselves):
        return f"nobody knows what is in it: {words}"
    if not fits:
        return f"the column itself, of a type that {style} does not fit: {words}"
    return f"the column itself: {words}" if len(output.itself) == 1 else f"may be {words}"


def _named(bound: Bound, bases: Iterable[Base]) -> list[str]:
    return [name for base in bases if (name := _name(bound, base))]


def _name(bound: Bound, base: Base) -> str:
    table = None if bound.catalog is None else bound.catalog.table(base[0])
    if table is None:
        return ""
    name = next((name for number, name, _ in table.columns if number == base[1]), "")
    return spelled(table.schema, table.name, name) if name else ""
