"""Events of a recording → an asciicast v2, which asciinema plays.  Pure.

That of a database looks like a psql session, and is none: where no rows are in a recording, their
names and their number stand where they would have been.  That of a host looks like a shell's.  All
text passes ``clean``, so the only escapes are ours; but for those of a terminal that paint.

    {"version": 2, "width": 80, "height": 24, …}
    [0.5, "o", "shop=> select 1;\\r\\n"]
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from hoopcli import view
from hoopcli.replay_view import Prepared, carried, outcome, parameters, rows_of, totals
from hoopcore.model import SECOND
from hoopcore.recording import (
    Copied,
    End,
    Fatal,
    File,
    Finished,
    Header,
    Known,
    Notice,
    Policy,
    Rows,
    Said,
    Terminal,
    Unmasked,
)
from hoopcore.showable import Showable

_HEIGHT = 24
# Asciicast counts in seconds; a player rounds to less than this.
_PLACES = 6


def cast(
    events: Iterable[Known], width: int = 80, max_idle: float = 2.0, first: int = 0
) -> Iterator[str]:
    """The lines of the file.  ``first``: statements numbered lower are left out."""
    prepared = Prepared()
    prompt = "=> "
    began: int | None = None
    begun = False
    streams: dict[int, Showable] = {}  # by statement: an escape may stand in two events
    for event in events:
        if isinstance(event, Terminal) and begun:
            if event.seq >= first:
                began = event.t if began is None else began
                showable = streams.setdefault(event.seq, Showable())
                yield _terminal(event, round((event.t - began) / 1e6, _PLACES), showable)
            continue
        if not begun:
            header = event if isinstance(event, Header) else None
            yield _header(header, width, max_idle)
            prompt = _prompt(header)
            begun = True
        lines = list(_lines(event, prompt, prepared, first))
        if not lines:
            continue
        if began is None and not isinstance(event, Header):
            began = event.t  # the time before the first that is shown is not waited for
        at = round((event.t - began) / 1e6, _PLACES) if began is not None else 0.0
        yield _event(at, "o", "".join(f"{line}\r\n" for line in lines))
        if isinstance(event, Said) and event.verdict != "allow":
            yield _event(at, "m", f"{event.verdict} {event.seq}")


def _header(header: Header | None, width: int, max_idle: float) -> str:
    told: dict[str, object] = {"version": 2, "width": width, "height": _HEIGHT}
    if header is not None:
        who = header.name or header.principal
        told["timestamp"] = header.at // SECOND
        told["title"] = view.clean(f"{header.session}: {who} on {header.target}")
    if max_idle > 0:
        told["idle_time_limit"] = max_idle
    told["env"] = {"TERM": "xterm-256color"}
    return json.dumps(told, ensure_ascii=False)


def _prompt(header: Header | None) -> str:
    if header is None:
        return "=> "
    if header.protocol == "ssh":
        return f"{view.clean(header.target)}$ "
    return f"{view.clean(header.database or header.target)}=> "


def _terminal(event: Terminal, at: float, showable: Showable) -> str:
    """As it was shown, but for what orders more of a terminal than to show something."""
    if event.columns:
        return _event(at, "r", f"{event.columns}x{event.lines}")
    return _event(at, "o", showable.feed(event.out))


def _event(at: float, code: str, data: str) -> str:
    return json.dumps([at, code, data], ensure_ascii=False)


def _lines(event: Known, prompt: str, prepared: Prepared, first: int) -> Iterator[str]:
    match event:
        case Header():
            yield f"-- {view.clean(event.name or event.principal)} on {view.clean(event.target)}"
        case Said():
            text = prepared.text(event)
            if event.seq >= first:
                yield from _said(event, text, prompt)
        case Finished() if event.seq >= first:
            yield from _finished(event)
        case Rows() if event.seq >= first:
            yield from (f" {view.clean(line)}" for line in rows_of(event))
        case File() if event.seq >= first:
            yield f"-- {view.clean(carried(event))}"
        case Copied() if event.seq >= first:
            yield f"-- COPY moved {event.bytes:,} bytes to the {view.clean(event.to)}"
        case Notice():
            yield f"hoop:  {view.clean(event.text)}"
        case Policy():
            yield f"-- policy version {view.clean(event.version[:12])} from here on"
        case Unmasked():
            yield f"-- shown in clear: {view.clean(', '.join(event.columns) or 'nothing any more')}"
        case Fatal():
            yield f"FATAL:  the target ended the connection, SQLSTATE {view.clean(event.code)}"
        case End():
            yield f"-- end: {view.clean(event.cause)}; {totals(event)}"
        case _:
            pass


def _said(said: Said, text: str, prompt: str) -> Iterator[str]:
    sql = prompt.endswith("=> ")
    blank = f"{prompt[:-3]}-> " if sql else "> "
    lines = [view.clean(line.rstrip("\r")) for line in text.strip("\n").split("\n")]
    if sql and not lines[-1].rstrip().endswith(";"):
        lines[-1] += ";"
    for i, line in enumerate(lines):
        yield f"{prompt if i == 0 else blank}{line}"
    if said.parameters:
        yield f"-- with {view.clean(parameters(said))}"
    if said.verdict == "hold":
        yield f"-- held by rule {view.clean(said.rule)}: {view.clean(said.reason)}"
    elif said.verdict != "allow":
        why = view.clean(said.reason) or "no rule allows it"
        yield f'\x1b[1;31mERROR:\x1b[0m  refused by rule "{view.clean(said.rule)}": {why}'


def _finished(finished: Finished) -> Iterator[str]:
    if finished.columns and not finished.error:
        yield f" {' | '.join(map(view.clean, finished.columns))}"
        yield f"({finished.rows:,} row{'' if finished.rows == 1 else 's'})"
    yield f"-- {view.clean(outcome(finished))}"
