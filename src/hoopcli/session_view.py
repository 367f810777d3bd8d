"""Events of a recording → what a session came to, and what of it was masked.  Pure.

Counted from the recording and from nothing else, so that it is as good as the recording is.

Order of the file: counting, the card, the table of masked values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from hoopcli import view
from hoopcore.model import rfc3339
from hoopcore.recording import Copied, End, File, Finished, Header, Known, Said, Totals, Unmasked
from hoopcore.recording.words import size, took

UNTOLD = "?"
"""The column of values that no column is told of: of rows without a description, or of a recording
that an older agent made."""


def summed(events: Iterable[Known]) -> dict[str, Any]:
    """All of a session in one value, for people and for JSON."""
    totals, held, copied, failed, last = Totals(), 0, {"client": 0, "target": 0}, 0, 0
    found: dict[str, Any] = _opened(Header(session="", principal="", target=""))
    masked: dict[tuple[str, str], int] = {}
    in_clear: set[str] = set()
    files = {"download": [0, 0], "upload": [0, 0]}
    for event in events:
        totals.count(event)
        last = event.t
        match event:
            case Header():
                found = _opened(event)
            case Said():
                held += event.verdict == "hold"
            case Finished():
                failed += bool(event.error)
                _add(masked, event)
            case Copied():
                copied[event.to] = copied.get(event.to, 0) + event.bytes
            case File() if event.size or event.outcome != "refused":
                told = files.setdefault(event.direction, [0, 0])
                told[0] += 1
                told[1] += event.size
            case Unmasked():
                in_clear.update(event.columns)
            case End():
                found |= {"ended": rfc3339(event.at), "end_cause": event.cause, "why": event.why}
    return found | {
        "took": last,
        "statements": totals.statements,
        "refused": totals.refused,
        "held": held,
        "failed": failed,
        "rows": totals.rows,
        "bytes": totals.bytes,
        "copied_out": copied["client"],
        "copied_in": copied["target"],
        "files_out": files["download"][0],
        "files_out_bytes": files["download"][1],
        "files_in": files["upload"][0],
        "files_in_bytes": files["upload"][1],
        "masked": totals.masked,
        "in_clear": sorted(in_clear),
        "masked_columns": [
            {"column": column, "kind": kind, "count": count}
            for (column, kind), count in sorted(masked.items())
        ],
    }


def _opened(header: Header) -> dict[str, Any]:
    return {
        "id": header.session,
        "principal": {"id": header.principal, "name": header.name or header.principal},
        "target": header.target,
        "database": header.database,
        "door": header.door,
        "client": header.client,
        "grants": list(header.grants),
        "policy": header.policy,
        "started": rfc3339(header.at),
        "ended": None,
        "end_cause": "",
        "why": "",
    }


def _add(masked: dict[tuple[str, str], int], event: Finished) -> None:
    """What this result adds to the table; what no column is told of stands under one name."""
    told: dict[str, int] = {}
    for column, kinds in event.by_column.items():
        for kind, count in kinds.items():
            masked[column, kind] = masked.get((column, kind), 0) + count
            told[kind] = told.get(kind, 0) + count
    for kind, count in event.masked.items():
        if count > told.get(kind, 0):
            left = count - told.get(kind, 0)
            masked[UNTOLD, kind] = masked.get((UNTOLD, kind), 0) + left


# --- for people -----------------------------------------------------------------------------------


def pairs(told: Any, now: datetime) -> Iterator[tuple[str, object]]:
    """The card of a session."""
    yield "session", told["id"]
    yield "who", told["principal"]["name"]
    database = f", database {told['database']}" if told["database"] else ""
    yield "target", f"{told['target']}{database}"
    yield "from", " ".join(part for part in (told["door"], told["client"]) if part)
    yield "grants", ", ".join(told["grants"])
    yield "began", f"{told['started']}, {view.when(told['started'], now)}"
    yield "took", took(told["took"])
    why = f": {told['why']}" if told["why"] else ""
    yield "end", f"{told['end_cause']}{why}" if told["ended"] else "none is recorded"
    yield "statements", _statements(told)
    yield "gave", f"{_count(told['rows'], 'row')}, {size(told['bytes'])}" if told["rows"] else ""
    yield "copied", _copied(told)
    yield "files", _files(told)
    yield "masked", _count(told["masked"], "value") if told["masked"] else "nothing"
    yield "in clear", ", ".join(told["in_clear"])
    yield "recording", told["recording"]


def _statements(told: Any) -> str:
    words = ((told[word], word) for word in ("refused", "held", "failed"))
    parts = [f"{count:,} {word}" for count, word in words if count]
    return ", ".join([f"{told['statements']:,}", *parts])


def _copied(told: Any) -> str:
    ways = ((told["copied_out"], "to the client"), (told["copied_in"], "to the target"))
    return ", ".join(f"{size(count)} {way}" for count, way in ways if count)


def _files(told: Any) -> str:
    ways = (("files_out", "to the client"), ("files_in", "to the target"))
    parts = [
        f"{_count(told[key], 'file')} {way}, {size(told[f'{key}_bytes'])}"
        for key, way in ways
        if told.get(key)
    ]
    return "; ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def table(told: Any, width: int) -> str:
    """Column × kind × count; empty where nothing was masked."""
    rows = [
        ("(not told)" if one["column"] == UNTOLD else one["column"], one["kind"], one["count"])
        for one in told["masked_columns"]
    ]
    if not rows:
        return ""
    return view.table(
        [(column, kind, f"{count:,}") for column, kind, count in rows],
        ("MASKED COLUMN", "KIND", "VALUES"),
        width,
    )
