"""Events of a recording → lines: a timeline for people, a script for reading on.  Pure.

Every text in a recording was chosen by whoever used the session, so each line of it passes
``clean``: what a terminal would obey becomes visible instead.

Order of the file: the timeline and its pace, the script, JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from hoopcli import view
from hoopcore.model import rfc3339
from hoopcore.recording import (
    Copied,
    End,
    Event,
    Fatal,
    File,
    Finished,
    Head,
    Header,
    Known,
    Notice,
    Other,
    Policy,
    Rows,
    Said,
    Terminal,
    Unmasked,
)
from hoopcore.recording.words import (
    Prepared,
    carried,
    clock,
    outcome,
    parameters,
    rows_of,
    size,
    took,
    totals,
)

__all__ = [
    "Prepared",
    "carried",
    "clock",
    "outcome",
    "parameters",
    "rows_of",
    "size",
    "took",
    "totals",
]

# Pauses are shortened to this, and the timeline says how long they were.
LONGEST_PAUSE = 2.0
# "refused 123456"; and the time before it, with blanks, is what every further line is indented by.
_MARK = 14
_INDENT = 9 + 2 + _MARK + 1
# Of a long statement the timeline shows so many lines; the script shows all.
_MOST_LINES = 40
_LINES_OF_ROW = 3


class Shown(NamedTuple):
    """Some lines, and how many seconds after the session's start they were true."""

    at: float
    lines: list[str]


# Of ECMA-48: control sequences, strings with their ends, and the rest.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\\\)?|\x1b[ -/]*[0-~]?|\r(?!\n)"
)


def plain(out: str) -> str:
    """What a terminal showed as text, as far as it is text."""
    return _ESCAPES.sub("", out)


class Paint:
    """ANSI colours, or none."""

    def __init__(self, colours: bool) -> None:
        self._colours = colours

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours and text else text

    def good(self, text: str) -> str:
        return self._paint("32", text)

    def bad(self, text: str) -> str:
        return self._paint("1;31", text)

    def quiet(self, text: str) -> str:
        return self._paint("2", text)


# --- the timeline ---------------------------------------------------------------------------------


class Timeline:
    """Events to what a person sees of them, one after the other."""

    def __init__(self, width: int = 80, colours: bool = False, first: int = 0) -> None:
        """``first``: statements numbered lower, and what became of them, are left out."""
        self._width = max(width, 40)
        self._paint = Paint(colours)
        self._first = first
        self._prepared = Prepared()

    def show(self, event: Known) -> Shown | None:
        """None for what is no news to a person."""
        lines = self._lines(event)
        return Shown(event.t / 1e6, lines) if lines else None

    def pause(self, seconds: float) -> str:
        """Says that so much time is left out."""
        return self._paint.quiet(f"{'':>9}  … {view.span(seconds)} pass")

    def _lines(self, event: Known) -> list[str]:
        match event:
            case Header():
                return header(event, self._width)
            case Said() if event.seq >= self._first:
                return self._said(event)
            case Said():
                self._prepared.text(event)
            case Finished() if event.seq >= self._first:
                mark = f"→ {event.seq}"
                return self._row(event, mark, outcome(event), self._paint.quiet)
            case Rows() if event.seq >= self._first:
                return self._rows(event)
            case Copied() if event.seq >= self._first:
                text = f"COPY moved {size(event.bytes)} to the {event.to}"
                return self._row(event, f"→ {event.seq}", text, self._paint.quiet)
            case File() if event.seq >= self._first:
                paint = self._paint.quiet if event.outcome == "whole" else self._paint.bad
                return self._row(event, f"→ {event.seq}", carried(event), paint)
            case Terminal() if event.seq >= self._first:
                return self._terminal(event)
            case Notice():
                return self._row(event, "hoop", event.text, self._paint.quiet)
            case Policy():
                text = f"from here on policy version {event.version[:12]} is in force"
                return self._row(event, "hoop", text, self._paint.quiet)
            case Unmasked():
                columns = ", ".join(event.columns)
                text = f"shown in clear: {columns}" if columns else "every mask is on again"
                return self._row(event, "hoop", text, self._paint.bad)
            case Fatal():
                text = f"the target ended the connection with SQLSTATE {event.code}"
                return self._row(event, "target", text, self._paint.bad)
            case End():
                return self._end(event)
            case Other():
                text = f"({event.unknown}: this version of hoop cannot show it)"
                return self._row(event, "?", text, self._paint.quiet)
        return []

    def _said(self, said: Said) -> list[str]:
        refused = said.verdict != "allow"
        held = said.verdict == "hold"
        word = (
            "held" if held else "refused" if refused else "prepare" if said.prepared else said.kind
        )
        paint = self._paint.bad if refused else self._paint.good
        mark = f"{'run' if word == 'run' else 'says' if word == 'text' else word} {said.seq}"
        lines = self._row(said, mark, self._prepared.text(said), paint)
        if len(lines) > _MOST_LINES:
            left = len(lines) - _MOST_LINES
            lines = [*lines[:_MOST_LINES], *self._more(f"… {left:,} more lines (-o sql has all)")]
        if said.parameters:
            lines += self._more(f"with {parameters(said)}")
        if refused:
            rule = f'{word} by rule "{said.rule}"' if said.rule else word
            lines += self._more(f"{rule}: {said.reason}" if said.reason else rule)
        if said.hold:
            by = f", approved by {', '.join(said.approved)}" if said.approved else ""
            lines += self._more(f"{'it waits for' if held else 'it waited for'} {said.hold}{by}")
        if said.unread:
            lines += self._more(f"it could not be read: {said.unread}")
        return lines

    def _rows(self, event: Rows) -> list[str]:
        """Some lines a row: what has no room is cut, since -o json has all that was kept."""
        room = self._width - _INDENT
        cut = [view.wrap(view.clean(line), room)[:_LINES_OF_ROW] for line in rows_of(event)]
        return [self._below(line) for lines in cut for line in lines]

    def _terminal(self, event: Terminal) -> list[str]:
        """What it showed, without what only a terminal understands."""
        if event.columns:
            size = f"a terminal of {event.columns} columns and {event.lines} lines"
            return self._row(event, f"→ {event.seq}", size, self._paint.quiet)
        room = self._width - _INDENT
        shown = [view.clean(line) for line in plain(event.out).splitlines()]
        lines = [part for line in shown if line.strip() for part in view.wrap(line, room)]
        return [self._below(line) for line in lines]

    def _end(self, end: End) -> list[str]:
        by = f" by {end.by}" if end.by not in ("", "system") else ""
        why = f": {end.why}" if end.why else ""
        lines = self._row(end, "end", f"{end.cause}{by}{why}", self._paint.bad)
        if end.torn:
            lines += self._more(f"{size(end.torn)} at its end could not be read")
        return lines + self._more(totals(end))

    def _row(self, event: Event, mark: str, text: str, paint: Callable[[str], str]) -> list[str]:
        """The time, a mark, and the text beside them, wrapped."""
        first, *more = self._wrapped(text)
        stamp = self._paint.quiet(f"{clock(event.t):>9}")
        head = f"{stamp}  {paint(f'{view.clean(mark):<{_MARK}}')} {first}".rstrip()
        return [head, *map(self._below, more)]

    def _more(self, text: str) -> list[str]:
        return [self._below(line) for line in self._wrapped(text)]

    def _below(self, text: str) -> str:
        return f"{'':{_INDENT}}{text}".rstrip()

    def _wrapped(self, text: str) -> list[str]:
        lines: list[str] = []
        for line in text.strip("\n").split("\n"):
            whole = view.clean(line.replace("\t", "    ").rstrip("\r"))
            lines += _indented(whole, self._width - _INDENT)
        return lines or [""]


def _indented(line: str, width: int) -> list[str]:
    """Wrapped; what stands before the first word stays."""
    text = line.lstrip(" ")
    indent = " " * min(len(line) - len(text), width // 2)
    return [indent + part for part in view.wrap(text, width - len(indent))]


def header(told: Header, width: int) -> list[str]:
    """Whose session it was."""
    pairs = [
        ("session", told.session),
        ("who", told.name or told.principal),
        ("target", f"{told.target}, database {told.database}" if told.database else told.target),
        ("from", " ".join(part for part in (told.door, told.client) if part)),
        ("began", rfc3339(told.at)),
        ("grants", ", ".join(told.grants)),
    ]
    return [*view.card(pairs, width).split("\n"), ""]


def upto(events: Iterable[Known], last: int | None) -> Iterator[Known]:
    """The events, without statements numbered higher and what became of these."""
    return (event for event in events if last is None or getattr(event, "seq", 0) <= last)


def paced(
    timeline: Timeline, events: Iterable[Known], speed: float, longest: float = LONGEST_PAUSE
) -> Iterator[str | float]:
    """Lines, and between them the seconds to wait; ``speed`` 0 waits for nothing.

    Pauses are shortened to ``longest``, which the speed divides as it does all time.
    """
    before: float | None = None
    for event in events:
        shown = timeline.show(event)
        if shown is None:
            continue
        pause = 0.0 if before is None or not speed else shown.at - before
        if pause > longest:
            yield timeline.pause(pause)
            pause = longest
        if pause > 0:
            yield pause / speed
        yield from shown.lines
        before = shown.at


# --- the script -----------------------------------------------------------------------------------


def script(events: Iterable[Known], first: int = 0) -> Iterator[str]:
    """Lines of SQL: what was let through stands as it was, what was refused as a comment.

    Values that masks keep out of rows are ``⟦kind:code⟧`` here too, so it is for reading, not for
    running.
    """
    prepared = Prepared()
    for event in events:
        match event:
            case Header():
                name = event.name or event.principal
                yield from _comment(f"session {event.session}: {name} on {event.target}")
            case Said():
                text = prepared.text(event)
                if event.seq >= first:
                    yield ""
                    yield from _statement(event, text)
            case Finished() if event.seq >= first:
                yield from _comment(f"→ {event.seq}: {outcome(event)}")
            case File() if event.seq >= first:
                yield from _comment(f"→ {event.seq}: {carried(event, short=False)}")
            case End():
                yield ""
                yield from _comment(f"{rfc3339(event.at)} end: {event.cause}; {totals(event)}")
            case _:
                pass


def _statement(said: Said, text: str) -> Iterator[str]:
    when = f"{rfc3339(said.at)} {said.seq}"
    if said.verdict != "allow":
        word = "HELD" if said.verdict == "hold" else "REFUSED"
        yield from _comment(f"{when}: {word} by rule {said.rule}: {said.reason}")
        yield from _comment(text)
        return
    what = "prepared" if said.prepared else f"run of {said.origin}" if said.kind == "run" else ""
    given = f"with {parameters(said)}" if said.parameters else ""
    yield from _comment(" ".join(part for part in (f"{when}:", what, given) if part).rstrip(":"))
    if said.prepared or said.kind == "call":
        yield from _comment(text)
        return
    lines = [view.clean(line.rstrip("\r")) for line in text.strip("\n").split("\n")]
    yield from lines[:-1]
    yield lines[-1] if lines[-1].rstrip().endswith(";") else f"{lines[-1]};"


def _comment(text: str) -> Iterator[str]:
    for line in text.split("\n"):
        yield f"-- {view.clean(line)}"


# --- JSON -----------------------------------------------------------------------------------------


def values(events: Iterable[Known], first: int = 0) -> Iterator[dict[str, Any]]:
    """The events with all their fields, those the recording leaves out as well; heads left out."""
    import msgspec

    for event in events:
        if isinstance(event, Head) or getattr(event, "seq", first) < first:
            continue
        kind = event.unknown if isinstance(event, Other) else event.__struct_config__.tag
        fields = {name: getattr(event, name) for name in event.__struct_fields__}
        yield {"type": kind, "time": rfc3339(event.at), **msgspec.to_builtins(fields)}
