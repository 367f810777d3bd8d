"""What stands on the screen of the form.  Pure."""

from __future__ import annotations

from typing import Any

from hoopcli import review_view
from hoopcli.view import cells, clean, span

KEYS = "k keep  n narrow  g give back  d ask  c can't say  a all alike  ? all keys"

HELP = (
    ("up down", "another grant; Home End the first and the last"),
    ("k", "keep: the end stays where it is; wants a reason, but for a low tier"),
    ("n", "narrow: type a scope, and see how many of your statements would still pass"),
    ("g", "give back: it opens nothing any more, and its sessions end now"),
    ("u", "take it again that was given back, within ten minutes"),
    ("d", "ask another: whoever knows better answers"),
    ("c", "can't say: somebody independent answers"),
    ("a", "all of this group that may be answered together"),
    ("e", "evidence: every fact, line by line"),
    ("r", "replay the most telling statement"),
    ("y", "why: the words with which it was asked for, in full"),
    ("s", "skip: the next that waits"),
    ("Esc q", "leave a question; leave the form.  What is answered is kept"),
)
"""Enter answers nothing."""

PAST = {
    "keep": "kept",
    "narrow": "narrowed",
    "give back": "given back",
    "delegate": "handed on",
    "cannot say": "not said",
}


def head(items: list[Any], answered: dict[str, str]) -> str:
    """What is left, and about how long that takes."""
    left = [one for one in items if one["grant"] not in answered]
    if not left:
        return f"All {len(items)} answered.  q leaves"
    took = max(sum(int(one.get("seconds", 12)) for one in left), 10)
    named = ", ".join(f"{len(of_it)} {name}" for name, of_it in review_view.groups(left))
    return f"{len(left)} of {len(items)} to look at, about {span(took)}: {named}"


def row(item: Any, answered: dict[str, str], width: int) -> str:
    """One line of the list: what became of it, the target, and why one has it."""
    mark = answered.get(item["grant"], "")
    why = (item.get("why") or {}).get("reason", "")
    text = clean(f"{item['target']}  {why}")
    text = f"[{mark}] {text}" if mark else text
    while cells(text) > max(width, 4):
        text = text[:-1]
    return text


def told(decided: Any, answer: str) -> str:
    """What the agent says of an answer, in a line."""
    parts = [PAST[answer]]
    if decided.get("closed"):
        parts.append(f"sessions ended: {', '.join(decided['closed'])}")
    review = decided.get("review") or {}
    if review.get("undo_until"):
        parts.append("u takes it again, for ten minutes")
    if review.get("state") == "awaiting confirmation":
        parts.append("somebody independent has to confirm it")
    parts += [f"{name}: {value}" for name, value in review_view.proof(review.get("proof")) if value]
    if decided.get("suggestion"):
        parts.append(f"the suggestion was: {decided['suggestion']}")
    return clean("; ".join(parts))


def passing(found: Any) -> str:
    """How many statements pass under the scope that is being typed."""
    text = review_view.narrower(found)
    outside = found.get("outside") or ()
    return clean(f"{text}; outside: {', '.join(outside[:5])}" if outside else text)
