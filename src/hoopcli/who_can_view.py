"""Who may reach something, as text: one paragraph a way, the most certain first.  Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from hoopcli import about
from hoopcli.view import card, clean, when

_MOST = 6  # people of a group that are named


def name(way: Any) -> str:
    """Who it is: a person's name, or a group's."""
    return f"{way['who']['name']}" if way["way"] == "grant" else f"group:{way['group']}"


def shown(told: Any, width: int, now: datetime) -> str:
    """All ways, target by target."""
    cards = [card(_pairs(way, now), width) for way in told["ways"]]
    foot = ""
    if told.get("detectors"):
        kinds = " or ".join(told["detectors"])
        foot = f"\n\nWhatever looks like {clean(kinds)} is masked for all of them, in any column."
    return "\n\n".join(cards) + foot


def _pairs(way: Any, now: datetime) -> Iterator[tuple[str, object]]:
    yield "target", way["target"]
    if way["way"] == "grant":
        yield "who", about.called(way["who"])
        by = f", by {way['role']}" if way.get("role") else ""
        yield "now", f"grant {way['grant']}, ends {when(way['until'], now)}{by}{_as(way)}"
    else:
        yield "who", _whom(way)
        yield "may ask", f"by {way['role']}: {_deciders(way)}{_as(way)}"
    yield "read", _read(way)
    yield "write", _write(way["verbs"])
    yield "not always", _not_always(way["verbs"])
    yield "softly", about.soft(way.get("soft"), now)


def _whom(way: Any) -> str:
    people = [about.called(one) for one in way.get("people") or ()]
    if way.get("alone"):
        return f"{', '.join(people)}, of group {way['group']}, whose other groups change it"
    more = f" and {len(people) - _MOST} more" if len(people) > _MOST else ""
    known = f" ({', '.join(people[:_MOST])}{more})" if people else ""
    return f"group {way['group']}{known}"


def _deciders(way: Any) -> str:
    if not way["votes"]:
        return "the policy grants it at once"
    votes = "1 vote" if way["votes"] == 1 else f"{way['votes']} votes"
    return f"{votes} of {' or '.join(way['approvers'])}"


def _as(way: Any) -> str:
    role = way.get("database_role")
    return f", as database role {role}" if role else ""


def _read(way: Any) -> str:
    found = way["verbs"].get("read")
    if found is None:
        return "no"
    masks = ", ".join(f"{mask['column']} ({mask['style']})" for mask in way["masks"])
    seen = f"masked: {masks}" if masks else "in clear"
    stands = _stands(found)
    return stands if found["verdict"] == "refuse" else f"{seen}; {stands}" if stands else seen


def _write(verbs: Any) -> str:
    """The verbs that nothing stands in the way of, then what does."""
    kinds = {verb: _stands(found) for verb, found in verbs.items() if verb != "read"}
    parts = [", ".join(verb for verb, stands in kinds.items() if not stands)]
    for stands in dict.fromkeys(filter(None, kinds.values())):
        those = ", ".join(verb for verb, one in kinds.items() if one == stands)
        parts.append(f"{those} {stands}")
    return "; ".join(filter(None, parts)) or "no"


def _stands(found: Any) -> str:
    """What stands in the way of every such statement; empty where nothing does."""
    words = {"refuse": "refused by", "hold": "held by"}
    return f"{words[found['verdict']]} {found['rule']}" if found["verdict"] in words else ""


def _not_always(verbs: Any) -> str:
    """Rules that stand in the way of some statements, or at some times."""
    rules: dict[str, list[str]] = {}
    for verb, found in verbs.items():
        for rule in found["sometimes"]:
            rules.setdefault(rule, []).append(verb)
    return "; ".join(
        rule if len(which) == len(verbs) else f"{rule}: {', '.join(which)}"
        for rule, which in sorted(rules.items())
    )
