"""What ``hoop mask try`` shows: the verdict, and each column of the result.  Pure.

Values come as the agent gives them; lines go to ``view.card`` and ``view.table``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hoopcli import view

_WAYS = {
    "grant": "as in a session that opens now",
    "offer": "as in a session under a grant that may be asked for",
    "none": "though no session can open: there is no grant, and no role may ask for one",
}
_WORDS = {"allow": "allowed", "refuse": "refused", "hold": "held for approval"}


def name(told: Any) -> str:
    """The verdict in one word."""
    return str(told["verdict"])


def verdict(told: Any) -> Iterator[tuple[str, object]]:
    """The card above the table; nothing where the statement is let through without a word."""
    if told["verdict"] == "allow" and not told["rule"]:
        return
    rule = f' by rule "{told["rule"]}"' if told["rule"] else ""
    yield "verdict", f"{_WORDS[told['verdict']]}{rule}"
    yield "reason", told["reason"]
    yield "next", told["hint"]


def table(told: Any, width: int) -> str:
    """A line for each column of the result; empty where it gives none."""
    rows = [
        (one["name"], ", ".join(one["sources"]), shown_as(one), _why(one))
        for one in told["columns"]
    ]
    return view.table(rows, ("COLUMN", "FROM", "SHOWN", "WHY"), width) if rows else ""


def _why(one: Any) -> str:
    """The reason, without the columns that stand beside it already."""
    why, sources = str(one["why"]), ", ".join(one["sources"])
    if not sources or not why.endswith(sources):
        return why
    short = why.removesuffix(sources)
    return short.removesuffix(": ") if short.endswith(": ") else f"{short}it"


def shown_as(one: Any) -> str:
    """What the client sees: the style, NULL, or the value itself but for hits (``*``)."""
    if one["mask"]:
        return "NULL" if one["mask"] == "null" else str(one["mask"])
    return "as it is*" if one["watched"] else "as it is"


def foot(told: Any) -> Iterator[str]:
    """What else is worth knowing, a sentence a line: for stderr."""
    who, where = told["who"]["name"], f"{told['target']}, database {told['database']}"
    yield f"For {who} on {where}, {_WAYS[told['way']]}. Nothing was run."
    for one in told["not_there"]:
        yield f"The catalog has no relation {one}"
    if told["instead"] and told["verdict"] == "allow":
        yield f"{told['instead'][0].upper()}{told['instead'][1:]}."
    if not told["active"]:
        yield "No mask and no detector applies here: all is shown as it is."
        return
    if told["in_clear"]:
        yield f"The grant shows in clear: {', '.join(told['in_clear'])}."
    if not told["catalog"]:
        yield "The catalog could not be read, so everything counts as masked."
    if any(one["watched"] for one in told["columns"]):
        yield f"* But for what looks like one of: {', '.join(told['detectors'])}."
    elif told["detectors"] and not told["columns"]:
        yield f"Detectors look at text that no mask hides: {', '.join(told['detectors'])}."
    if told["pooled"]:
        yield "Behind a pooler a name without its schema may be anything: write the schema."
    for column in told["unmatched"]:
        yield f'masks.toml: "{column}" matches no column here, so it hides nothing.'


def fault(told: Any, statement: str) -> tuple[str, str]:
    """What is wrong with a text that is no SQL, and a hint that shows the place."""
    message, at = told["fault"]["message"], int(told["fault"]["at"])
    before = statement[: max(at - 1, 0)]
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1)
    where = f"line {line}, character {column + 1}" if at else "its end"
    shown = (statement.split("\n")[line - 1 : line] or [""])[0]
    start = max(0, column - 50)
    piece = shown[start : start + 70]
    mark = " " * view.cells(view.clean(piece[: column - start])) + "^"
    return f"this is not SQL: {message}, at {where}", f"{view.clean(piece)}\n{mark}"
