"""Grants under review as people read them: the first page, a card, and line by line.  Pure.

``linear`` carries every fact of the JSON, one a line, for screen readers and dumb terminals: no
colour and no position means anything there.

Order of the file: the first page, the card, line by line, what became of an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from hoopcli import about
from hoopcli.view import clean, span, when

WAITING = ("pending", "delegated")
"""States in which somebody is asked; ``delegated`` asks whoever it was handed to."""


def waits_for(item: Any, me: str = "") -> bool:
    """Whether an answer is wanted of whoever looks: of theirs, or handed to them."""
    if item.get("state", "pending") == "pending":
        return True
    return bool(item["state"] == "delegated" and item.get("handed"))


# --- the first page -----------------------------------------------------------------------------

_TOGETHER = "may be answered together"
_ALONE = "one by one"


def page(items: Sequence[Any]) -> Iterator[str]:
    """How many grants, in which groups, and about how long it will take; hardest first."""
    waiting = [item for item in items if waits_for(item)]
    if not waiting:
        yield f"Nothing waits for your answer; {_grants(len(items))} looked at already."
        return
    took = sum(int(item.get("seconds", 12)) for item in waiting)
    yield f"{_grants(len(waiting))} to look at, about {span(max(took, 10))}."
    for group, of_it in groups(waiting):
        alone = sum(bool(item.get("alone")) for item in of_it)
        how = _ALONE if alone == len(of_it) else _TOGETHER
        if 0 < alone < len(of_it):
            how = f"{_TOGETHER}, {alone} of them by itself"
        yield f"  {len(of_it):>3}  {group:<22}  {how}"
    done = len(items) - len(waiting)
    if done:
        yield f"  {done:>3}  answered already"


def groups(items: Iterable[Any]) -> list[tuple[str, list[Any]]]:
    """The items by their groups, in the order the agent gives them."""
    found: dict[str, list[Any]] = {}
    for item in items:
        found.setdefault(str(item.get("group") or "to look at"), []).append(item)
    return list(found.items())


def _grants(count: int) -> str:
    return "1 grant" if count == 1 else f"{count} grants"


# --- the card -----------------------------------------------------------------------------------

_BARS = "▁▂▃▄▅▆▇█"
_WIDE = 30


def card(item: Any, now: datetime) -> Iterator[tuple[str, object]]:
    """All that one grant is judged by, a line for each thing known."""
    why = item.get("why") or {}
    yield "grant", item["grant"]
    yield "target", _target(item)
    yield "whose", _whose(item)
    yield "why", why.get("reason")
    yield "ticket", why.get("ticket")
    yield "approved by", ", ".join(map(_who, why.get("approvers") or ()))
    yield "since", when(why.get("at"), now)
    yield "ends", when(item["not_after"], now)
    yield "look now", ", ".join(item.get("due") or ())
    yield "90 days", _spark(item)
    yield "sessions", item["sessions"]
    yield "open now", ", ".join(item.get("open") or ())
    yield "statements", _statements(item)
    yield "used", ", ".join(item.get("used") or ()) or _unused_word(item)
    yield "of", about.scope(str(item.get("granted", "")))
    yield "softly", about.soft(item.get("soft"), now)
    yield "not seen", _idle(item)
    yield "masked", _masked(item)
    yield "hours", _hours(item.get("hours") or ())
    yield "last use", when(item.get("last_use"), now) or _unused_word(item)
    yield "unread", _unread(item)
    yield "others", _peers(item.get("peers"))
    yield "if narrowed", narrower(item.get("narrower"))
    yield "suggestion", item.get("suggestion")
    yield "state", _state(item)


def _target(item: Any) -> str:
    tier = item.get("tier")
    return f"{item['target']} ({tier} tier)" if tier else str(item["target"])


def _whose(item: Any) -> str:
    handed = item.get("handed")
    return f"{item['subject']['name']}, who asks you" if handed else ""


def _who(approver: Any) -> str:
    return str(approver["name"] if isinstance(approver, dict) else approver)


def _unused_word(item: Any) -> str:
    return "not used" if item.get("use") == "not used" else "not seen"


def _spark(item: Any) -> str:
    """Thirty marks of three days each, and the same in words."""
    days = item.get("days") or ()
    if not any(days):
        return ""
    bars = "".join(_BARS[level] for level in levels(days, _WIDE, len(_BARS)))
    count = sum(1 for day in days if day)
    return f"{bars} used on {count} {'day' if count == 1 else 'days'}"


def levels(days: Sequence[int], wide: int, heights: int) -> list[int]:
    """So many sums of neighbouring days, each as a height; only nothing is the lowest."""
    size = -(-len(days) // wide)
    sums = [sum(days[i : i + size]) for i in range(0, len(days), size)]
    most = max(sums)
    return [0 if not one else 1 + one * (heights - 2) // most for one in sums]


def _statements(item: Any) -> str:
    said = str(item["statements"])
    extra = [
        f"{item[name]} {what}"
        for name, what in (
            ("refused", "refused"),
            ("held", "held"),
            ("rows", "rows"),
            ("masked", "values masked"),
        )
        if item.get(name)
    ]
    return f"{said} ({', '.join(extra)})" if extra else said


def _masked(item: Any) -> str:
    kinds = item.get("masked_by") or {}
    return ", ".join(f"{kind} {values}" for kind, values in kinds.items())


def _hours(hours: Sequence[int]) -> str:
    """``9-11, 14 (UTC)``."""
    runs: list[list[int]] = []
    for hour in hours:
        if runs and hour == runs[-1][-1] + 1:
            runs[-1].append(hour)
        else:
            runs.append([hour])
    told = [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    return f"{', '.join(told)} o'clock (UTC)" if told else ""


def _unread(item: Any) -> str:
    """What the evidence above does not hold, so that nobody takes it for all there was."""
    gaps = (("unseen", "recording(s) not readable"), ("unread", "statement(s) not understood"))
    return ", ".join(f"{item[name]} {what}" for name, what in gaps if item.get(name))


def _idle(item: Any) -> str:
    """The parts of the scope that no use touched: what could be given back without being missed."""
    if item.get("unseen") or item.get("use") == "not used":
        return ""
    return " ".join(map(str, item.get("idle") or ()))


def _peers(peers: Any) -> str:
    if not peers or not peers.get("people"):
        return ""
    return f"{peers['having']} of {peers['people']} in your groups have as much there now"


def narrower(less: Any) -> str:
    """``"S": 14 of your 14 statements would still pass``."""
    if not less:
        return ""
    least = "" if less.get("exact", True) else "at least "
    told = f"{least}{less['passed']} of your {less['of']} statements would still pass"
    held = f", {less['held']} would be held for a step-up" if less.get("held") else ""
    return f"{less['scope']}: {told}{held}"


def _state(item: Any) -> str:
    state = item.get("state", "pending")
    if state == "pending":
        return ""
    asked = item.get("asked")
    return f"{state}, asked: {asked['name']}" if asked else str(state)


# --- line by line -------------------------------------------------------------------------------


def linear(value: Any, name: str = "") -> Iterator[str]:
    """Every fact of a JSON value as a line ``name: value``; the names of what it is in come first.

    Lists of plain values are one line.  What is empty is said to be none.
    """
    label = name.replace("_", " ")
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from linear(inner, f"{label} {clean(key)}".strip())
    elif isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
        for number, one in enumerate(value, 1):
            yield from linear(one, f"{label} {number}".strip())
    elif isinstance(value, list):
        yield f"{label}: {', '.join(map(_plain, value)) or 'none'}"
    else:
        yield f"{label}: {_plain(value)}"


def _plain(value: Any) -> str:
    if value is None or value in ("", {}, []):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return clean(value)


# --- what became of an answer -------------------------------------------------------------------


def outcome(decided: Any, now: datetime) -> Iterator[tuple[str, object]]:
    """The card of an answer that was just given, or of one that was looked up."""
    decision, review = decided.get("decision") or {}, decided.get("review") or {}
    yield "grant", decision.get("grant") or review.get("grant")
    yield "answer", decision.get("answer") or review.get("answer")
    yield "reason", decision.get("reason")
    yield "state", review.get("state")
    yield "review", review.get("id")
    yield "closed", ", ".join(decided.get("closed") or ())
    less = decided.get("narrowed")
    if less:
        yield "now", f"{less['id']}: {about.scope(less['scope'])}"
        yield "softly", about.soft(less.get("soft"), now)
        yield "ends", when(less["not_after"], now)
    if review.get("undo_until"):
        yield "undo", f"until {when(review['undo_until'], now)}:  hoop review undo {review['id']}"
    yield from proof(review.get("proof"), now)
    if review.get("state") == "awaiting confirmation":
        yield "waits for", "somebody independent:  hoop review confirm"
    yield "suggestion was", decided.get("suggestion")


def proof(found: Any, now: datetime | None = None) -> Iterator[tuple[str, object]]:
    """What the gate said when it was asked for what is gone."""
    if not found:
        return
    word = "refused" if found["refused"] else "NOT refused: tell who runs the agent"
    soft = found.get("soft_until")
    if found["refused"] and soft:
        until = soft if now is None else when(soft, now)
        word = f"lets it pass no more; held for a step-up (that ends {until}), then refused"
    said = [found["said"]] if found.get("said") else []
    said += [f"{one['missing']} is not covered" for one in found.get("checks") or ()][:3]
    yield "the gate", f"{word} ({'; '.join(said)})" if said else word
    yield "still open by", ", ".join(found.get("also") or ())
