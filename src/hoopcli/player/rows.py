"""What a row of the timeline looks like, and what is told beside it.  Pure.

Marks are characters, since not everybody sees colours: the first says what became of it, the second
what it does.  All text was chosen by whoever used the session, so it passes ``clean``.

Order of the file: marks, the row, what stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from hoopcli import view
from hoopcli.player.reel import Row
from hoopcli.replay_view import carried, outcome, parameters, size, totals
from hoopcore.model import rfc3339
from hoopcore.recording import (
    End,
    Event,
    Fatal,
    File,
    Known,
    Notice,
    Other,
    Policy,
    Rows,
    Said,
    Unmasked,
)
from hoopcore.recording.words import rows_of

KINDS = ("refused", "held", "masked", "error")
"""What one jumps to."""

MARKS = {"refused": "x", "held": "=", "error": "!", "masked": "*", "done": "·", "open": " "}
# The strongest first; a statement has one letter.
_EFFECTS = (
    ("?", {"unknown"}),
    ("X", {"program", "server_file"}),
    ("S", {"ddl"}),
    ("G", {"grant", "role"}),
    ("D", {"delete", "truncate"}),
    ("W", {"insert", "update", "copy_in"}),
    ("C", {"call"}),
    ("O", {"copy_out"}),
    ("R", {"read", "listen"}),
    ("T", {"transaction", "lock"}),
    ("s", {"set", "prepare", "maintenance"}),
)
LEGEND = (
    ("x", "refused"),
    ("=", "held for an approval"),
    ("!", "failed at the target"),
    ("*", "values were masked"),
    ("·", "done"),
    ("R", "reads"),
    ("W", "inserts, updates, copies in"),
    ("D", "deletes, truncates"),
    ("O", "copies out"),
    ("S", "changes the schema"),
    ("G", "grants, or takes another role"),
    ("C", "runs code"),
    ("X", "a program, a server's file"),
    ("T", "a transaction, a lock"),
    ("s", "settings, PREPARE, upkeep"),
    ("?", "could not be read"),
)
# Of a long statement as many characters are shown; -o sql has all.
LARGEST_SHOWN = 64 << 10
# Of a text its gist needs no more.
_GIST = 400


def kinds(row: Row) -> frozenset[str]:
    """Which of KINDS it is."""
    found = set()
    if isinstance(row.event, Said) and row.event.verdict != "allow":
        found.add("held" if row.event.verdict == "hold" else "refused")
    if row.finished is not None:
        found |= {"masked"} if row.finished.masked else set()
        found |= {"error"} if row.finished.error else set()
    if isinstance(row.event, Fatal) or row.event is None:
        found.add("error")
    return frozenset(found)


def mark(row: Row) -> str:
    """What became of it."""
    found = kinds(row)
    for kind in ("refused", "held", "error", "masked"):
        if kind in found:
            return MARKS[kind]
    return MARKS["done" if row.finished is not None else "open"]


def effect(row: Row) -> str:
    """What it does: a letter, blank for what is no statement."""
    if not isinstance(row.event, Said):
        return " "
    told = set(row.event.effects)
    return next((letter for letter, effects in _EFFECTS if told & effects), " ")


def gist(event: Known | None, text: str) -> str:
    """One line of it; ``text`` is a statement's."""
    match event:
        case None:
            return "(this line cannot be read)"
        case Said(verdict="hold"):
            return f"held: {_one_line(text)}"
        case Said(prepared=True):
            return f"prepare: {_one_line(text)}"
        case Said():
            return _one_line(text)
        case Notice():
            return f"hoop: {_one_line(event.text)}"
        case Policy():
            return f"policy {view.clean(event.version[:12])} from here on"
        case Unmasked():
            return f"shown in clear: {view.clean(', '.join(event.columns)) or 'nothing any more'}"
        case Rows():
            return f"→ {event.seq}: {_rows_words(event)}"
        case File():
            return f"→ {event.seq}: {view.clean(carried(event))}"
        case Fatal():
            return f"the target ended it: SQLSTATE {view.clean(event.code)}"
        case End():
            return f"end: {view.clean(event.cause)}"
        case Other():
            return view.clean(f"({event.unknown})")
    return ""


def _rows_words(event: Rows) -> str:
    if event.withheld:
        return f"{event.withheld:,} rows, not kept"
    last = event.first + len(event.rows) - 1
    return f"row {last:,}" if last == event.first else f"rows {event.first:,} to {last:,}"


def _one_line(text: str) -> str:
    return view.clean(" ".join(text[:_GIST].split()))


def clock(microseconds: int) -> str:
    """Since the session began, in seven columns: ``0:04.1``, ``12:04.1``, ``1:02:03``, ``99h``."""
    tenths = max(microseconds, 0) // 100_000
    seconds, tenth = divmod(tenths, 10)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 100:
        return f"{hours:,}h"[:7]
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}.{tenth}"


def took(microseconds: int) -> str:
    """In five columns: ``0.4ms``, ``120ms``, ``1.2s``, ``45s``, ``12m``, ``3h``."""
    if microseconds < 9_950:
        return f"{microseconds / 1000:.1f}ms"
    if microseconds < 999_500:
        return f"{microseconds / 1000:.0f}ms"
    seconds = microseconds / 1e6
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    if seconds < 600:
        return f"{seconds:.0f}s"
    return f"{seconds / 60:.0f}m" if seconds < 36_000 else f"{seconds / 3600:.0f}h"


def count(number: int) -> str:
    """In four columns: ``999``, ``12k``, ``3M``."""
    for unit, bound in (("", 10_000), ("k", 10_000_000), ("M", 10_000_000_000)):
        if number < bound:
            return f"{number // (bound // 10_000)}{unit}"
    return f"{number // 10**9}G"


class Cells(NamedTuple):
    """A row of the timeline, before it is fitted to a width."""

    clock: str
    marks: str
    seq: str
    gist: str
    took: str
    rows: str


def cells(row: Row, text: str) -> Cells:
    done = row.finished
    return Cells(
        clock(row.t),
        mark(row) + effect(row),
        str(row.event.seq) if isinstance(row.event, Said) else "",
        gist(row.event, text),
        took(done.took) if done is not None and done.took else "",
        count(done.rows) if done is not None and done.rows else "",
    )


def fitted(told: Cells, width: int) -> str:
    """The cells in exactly so many columns; what has no room is left out, the gist last of all."""
    seq = f"{told.seq:>5} " if width >= 56 else ""
    tail = f" {told.took:>5} {told.rows:>4}" if width >= 34 else ""
    room = max(width - 8 - 3 - len(seq) - len(tail), 1)
    line = f"{told.clock:>7} {told.marks} {seq}{_cut(told.gist, room)}{tail}"
    return line if width > 11 else line[:width]


def _cut(text: str, room: int) -> str:
    """The text in exactly so many columns."""
    if view.cells(text) > room:
        while text and view.cells(text) > room - 1:
            text = text[: min(len(text) - 1, room - 1)]
        text += "…"
    return text + " " * (room - view.cells(text))


# --- what stands beside it ------------------------------------------------------------------------


class Part(NamedTuple):
    """A piece of the details: a name and a line, or (``name`` empty) a text of several lines."""

    name: str
    text: str
    kind: str = ""  # "sql", "sh", "good", "bad", "head", "quiet"


def details(row: Row, text: str, votes: Any = None) -> Iterator[Part]:
    """Everything about a row, in the order in which it is asked for.

    ``text`` is the statement's (of a run, what was prepared); ``votes`` the request that a held
    statement waited for, as the agent gives it.
    """
    if isinstance(row.event, Said):
        yield from _statement(row, row.event, text, votes)
    else:
        yield from _other(row)


def _statement(row: Row, said: Said, text: str, votes: Any) -> Iterator[Part]:
    word = {"allow": "allowed", "refuse": "refused", "hold": "held"}.get(said.verdict, said.verdict)
    what = "prepared" if said.prepared else f"run of {said.origin}" if said.kind == "run" else ""
    yield Part("", f"statement {said.seq}{f', {what}' if what else ''}", "head")
    yield Part("verdict", word, "good" if said.verdict == "allow" else "bad")
    yield Part("rule", said.rule)
    yield Part("reason", said.reason)
    yield from _voted(said, votes)
    yield Part("unread", said.unread, "bad")
    yield from _became(row)
    shown = text if len(text) <= LARGEST_SHOWN else text[:LARGEST_SHOWN]
    if said.kind == "shell":
        yield Part("terminal", "t shows what it showed" if said.verdict == "allow" else "")
    of_host = said.kind in ("exec", "shell", "subsystem", "file", "forward")
    yield Part("", shown or "(no text)", "sh" if of_host else "sql")
    if len(text) > LARGEST_SHOWN:
        left = f"… {len(text) - LARGEST_SHOWN:,} more characters (-o sql has all)"
        yield Part("", left, "quiet")
    if said.parameters:
        yield Part("with", parameters(said))
    yield Part("effects", ", ".join(said.effects))
    yield Part("touches", ", ".join(said.touches))
    yield Part("columns", ", ".join(row.finished.columns) if row.finished is not None else "")
    yield Part("at", moment(said))


def moment(event: Event) -> str:
    """When it was recorded, to the millisecond."""
    return f"{rfc3339(event.at)[:23].replace('T', ' ').rstrip('Z')}Z"


def _voted(said: Said, votes: Any) -> Iterator[Part]:
    if not said.hold:
        return
    waits = "waits" if said.verdict == "hold" else "waited"
    yield Part("hold", f"it {waits} for {said.hold}")
    told = votes.get("votes", []) if isinstance(votes, dict) else []
    for vote in told:
        why = f": {vote['reason']}" if vote.get("reason") else ""
        yield Part("vote", f"{vote['voter']['name']}, {vote['answer']}{why}")
    if said.approved and not told:
        yield Part("approved", f"by {', '.join(said.approved)}")


def _became(row: Row) -> Iterator[Part]:
    done = row.finished
    if done is None:
        said = row.event
        passed = isinstance(said, Said) and said.verdict == "allow" and not said.prepared
        if passed and getattr(said, "kind", "") != "file":  # events of their own tell of those
            yield Part("outcome", "none is recorded", "quiet")
        return
    yield Part("outcome", outcome(done), "bad" if done.error else "")
    for column, told in sorted(done.by_column.items()):
        values = ", ".join(f"{number:,} {kind}" for kind, number in sorted(told.items()))
        yield Part("masked", f"{column}: {values}")
    for copied in row.copied:
        yield Part("copied", f"{size(copied.bytes)} to the {copied.to}")


def _other(row: Row) -> Iterator[Part]:
    event = row.event
    if event is None:
        yield Part("", f"line {row.n} cannot be read", "head")
        return
    yield Part("", gist(event, ""), "head")
    yield Part("at", moment(event))
    match event:
        case Notice():
            yield Part("code", event.code)
            yield Part("said", event.text)
        case Policy():
            yield Part("policy", event.version)
        case Unmasked():
            yield Part("in clear", ", ".join(event.columns), "bad")
            yield Part("grants", ", ".join(event.grants))
        case Rows():
            for line in rows_of(event):
                yield Part("", line)
        case End():
            yield Part("cause", event.cause)
            yield Part("by", event.by)
            yield Part("why", event.why)
            yield Part("in all", totals(event))
            if event.torn:
                yield Part("torn", f"{size(event.torn)} at its end could not be read")
        case Other():
            yield Part("", "this version of hoop cannot show it", "quiet")
        case _:
            pass
