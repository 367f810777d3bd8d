"""What ``hoop mask scan`` found → lines for masks.toml, and a few words about the rest.  Pure.

The lines are TOML that the agent takes as it is.  A column of which nothing but its name speaks,
though its values would have told, stands there as a comment: somebody has to decide.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from hoopcli.view import clean

_MOST_NAMED = 5


def toml(told: Any, when: str) -> str:
    """The blocks, each with its evidence; never a value."""
    parts = ["\n".join(_head(told, when))]
    parts += ["\n".join(_block(group)) for group in _groups(told["columns"])]
    return "\n\n".join(parts)


def _groups(columns: Sequence[Any]) -> list[list[Any]]:
    """Columns that one pattern stands for together, in the order of the first of each."""
    groups: dict[str, list[Any]] = {}
    for one in columns:
        groups.setdefault(one["pattern"] or one["column"], []).append(one)
    return list(groups.values())


def _head(told: Any, when: str) -> Iterator[str]:
    looked = f"{_many(told['done'], 'table')}, {_many(told['rows'], 'row')} sampled"
    yield f"# hoop mask scan {clean(told['target'])}, database {clean(told['database'])}, {when}:"
    yield f"# {looked}.  Nothing of it holds before it is in masks.toml."
    missing = [kind for kind in told["inside"] if kind not in told["detectors"]]
    if missing:
        kinds = ", ".join(json.dumps(kind) for kind in (*told["detectors"], *missing))
        yield "# What stands in longer texts no mask of a column finds, but a detector does:"
        yield f"#   detectors = [{kinds}]"


def _block(group: Sequence[Any]) -> Iterator[str]:
    one = group[0]
    mark = "" if one["sure"] else "# "
    yield f"# {evidence(group)}"
    yield f"{mark}[[mask]]"
    yield f"{mark}column = {_string(one['pattern'] or one['column'])}"
    yield f"{mark}style = {_string(one['style'])}"


def evidence(group: Sequence[Any]) -> str:
    """Counts and kinds; no name that somebody else has chosen."""
    one, many = group[0], len(group)
    kind, types = one["kind"], ", ".join(sorted({each["type"] for each in group}))
    values, whole = (sum(each[word] for each in group) for word in ("values", "whole"))
    where = f"in {many} tables, all that have it: " if many > 1 else ""
    if whole:
        named = "; its name says so too" if all(each["named"] for each in group) else ""
        return f"{where}{whole:,} of {_many(values, 'value')} ({types}) look like {kind}{named}"
    if one["sure"]:
        return f"{where}by its name: {kind} ({types})"
    nothing = f"none of {_many(values, 'value')} ({types}) looks like it"
    return f"{where}by its name alone: {kind}; {nothing}"


def _string(text: str) -> str:
    """A string of TOML; whatever is not printable is escaped."""
    return json.dumps(text).replace("\x7f", "\\u007f")


def foot(told: Any) -> Iterator[str]:
    """The summary, for stderr."""
    sure = sum(one["sure"] for one in told["columns"])
    doubtful = len(told["columns"]) - sure
    masks = len(_groups([one for one in told["columns"] if one["sure"]]))
    few = f" ({_many(masks, 'mask')})" if masks < sure else ""
    found = (
        f"{_many(sure, 'column')} to mask{few}" if told["columns"] else "No column looks sensitive"
    )
    more = f", {doubtful} more by name alone (as comments)" if doubtful else ""
    declared = f"; {_many(told['declared'], 'column')} declared already" if told["declared"] else ""
    yield f"{found}{more}{declared}. Looked at {_many(told['done'], 'table')}."
    for kind, columns in told["inside"].items():
        seen = "" if kind in told["detectors"] else ", which is not switched on"
        yield f"{kind} in longer texts, for its detector{seen}: {_named(columns)}"
    for one in told["skipped"][:_MOST_NAMED]:
        yield f"Not looked into: {one['table']}: {one['why']}"
    if len(told["skipped"]) > _MOST_NAMED:
        yield f"Not looked into: {len(told['skipped']) - _MOST_NAMED} more (-o json has all)"


def _named(columns: list[str]) -> str:
    more = f" and {len(columns) - _MOST_NAMED} more" if len(columns) > _MOST_NAMED else ""
    return ", ".join(columns[:_MOST_NAMED]) + more


def progress(told: Any) -> str:
    """Where it is now."""
    if not told["tables"]:
        return "reading the catalog"
    return f"{told['done']} of {_many(told['tables'], 'table')}"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
