"""``hoop review mine`` at a terminal: a page of what waits, then one card after the other.

One key answers, and Enter never keeps.  Grants of one group whose evidence is alike may be answered
together; the agent says which may not.  What was answered stays answered: whoever comes back, here
or elsewhere, is asked about the rest.

With ``linear`` nothing hangs on a key or a place: facts are lines, and answers are words.

Order of the file: the walk, a group, one grant, asking, what is sent.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from hoopcli import asking, review_view, screen
from hoopcli.client import Client
from hoopcli.errors import ApiError, Failure, say
from hoopcli.options import scope_text
from hoopcli.view import card, clean

_KEYS = "Keep (k), narrow (n), give back (g), ask another (d), can't say (c), evidence (e), "
_QUESTION = _KEYS + "skip (s), quit (q)? "
_LETTERS = "kngdcesq"
_WORDS = {
    "keep": "k",
    "narrow": "n",
    "give back": "g",
    "ask another": "d",
    "cannot say": "c",
    "evidence": "e",
    "skip": "s",
    "quit": "q",
}
_TOGETHER = "Keep all (k), give all back (g), one by one (o), skip (s), quit (q)? "
_FEW = 3  # fewer are looked at one by one


class _Quit(Exception):
    """Whoever is asked wants to stop."""


@dataclass(slots=True)
class Walk:
    """What has been done, and how one asks."""

    client: Client
    linear: bool
    total: int
    done: dict[str, int] = field(default_factory=dict)
    number: int = 0

    def count(self, what: str) -> None:
        self.done[what] = self.done.get(what, 0) + 1


def walk(client: Client, items: list[Any], *, linear: bool = False) -> None:
    """Asks about all that waits, and says at the end what was done."""
    waiting = [item for item in items if review_view.waits_for(item)]
    for line in review_view.page(items):
        say(line)
    at = Walk(client, linear, len(waiting))
    try:
        for name, of_it in review_view.groups(waiting):
            _group(at, name, of_it)
    except _Quit:
        pass
    told = ", ".join(f"{count} {what}" for what, count in at.done.items() if count)
    left = at.total - sum(at.done.values())
    say("\n" + (told or "Nothing changed") + (f"; {left} not looked at" if left else "") + ".")


# --- a group --------------------------------------------------------------------------------------


def _group(at: Walk, name: str, items: list[Any]) -> None:
    together = [item for item in items if not item.get("alone", True)]
    rest = items
    if len(together) >= _FEW:
        rest = [item for item in items if item.get("alone", True)]
        rest += [] if _together(at, name, together) else together
    for item in rest:
        at.number += 1
        say(f"\n{at.number} of {at.total}")
        _one(at, item)


def _together(at: Walk, name: str, items: list[Any]) -> bool:
    """Whether they were answered, or skipped, all at once."""
    say(f"\n{len(items)} grants: {clean(name)}")
    for item in items:
        why = (item.get("why") or {}).get("reason", "")
        say(f"  {clean(item['grant'])}  {clean(item['target'])}  {clean(why)}")
    began = time.monotonic()
    letter = _asked(at, _TOGETHER, {"keep": "k", "give back": "g", "one by one": "o", "skip": "s",
                                    "quit": "q"})  # fmt: skip
    if letter == "q":
        raise _Quit
    if letter == "o":
        return False
    at.number += len(items)
    if letter == "s":
        at.done["skipped"] = at.done.get("skipped", 0) + len(items)
        return True
    reason = ""
    if letter == "k" and any(item.get("tier") != "low" for item in items):
        reason = asking.line("Why do you still need them? ") or ""
        if not reason:
            say("Without a reason they are not kept.")
            at.number -= len(items)
            return False
    took = int(time.monotonic() - began)
    for item in items:
        body = {"group": len(items), "reason": reason, "took": took}
        _send(at, item, "keep" if letter == "k" else "give back", body)
    return True


# --- one grant ------------------------------------------------------------------------------------


def _one(at: Walk, item: Any) -> None:
    """Until it is answered or skipped.  What fails is told, and the card stays."""
    began, opened = time.monotonic(), list[str]()
    _show(at, item)
    while True:
        letter = _asked(at, _QUESTION, _WORDS)
        if letter == "q":
            raise _Quit
        if letter == "s":
            at.count("skipped")
            return
        if letter == "e":
            opened.append("evidence")
            for line in review_view.linear(item):
                say(line)
            continue
        told = {"opened": opened, "took": int(time.monotonic() - began)}
        if _answer(at, item, letter, told):
            return


def _show(at: Walk, item: Any) -> None:
    if at.linear:
        for line in review_view.linear(item):
            say(line)
    else:
        say(card(review_view.card(item, screen.now()), screen.width()))


def _answer(at: Walk, item: Any, letter: str, told: dict[str, Any]) -> bool:
    """Whether that was an answer."""
    if letter == "k":
        reason = asking.line("Why do you still need it? ") or ""
        if not reason and item.get("tier") != "low":
            say("Without a reason it is not kept.")
            return False
        return _send(at, item, "keep", told | {"reason": reason})
    if letter == "g":
        return _send(at, item, "give back", told)
    if letter == "n":
        return _narrow(at, item, told)
    if letter == "d":
        who = asking.line("Who knows (e-mail address)? ")
        why = asking.line("Why do you ask them? ") if who else ""
        return bool(who and why) and _send(
            at, item, "delegate", told | {"to": who, "reason": why or ""}
        )
    why = asking.line("What stands in the way? ")
    return bool(why) and _send(at, item, "cannot say", told | {"reason": why or ""})


def _narrow(at: Walk, item: Any, told: dict[str, Any]) -> bool:
    """The scope is typed, and what would still pass under it is said before it counts."""
    less = item.get("narrower")
    offered = f" [{clean(less['scope'])}]" if less else ""
    typed = asking.line(f"What is enough? (schema.table:verb …){offered} ")
    scope = typed or (less["scope"] if less and typed is not None else "")
    if not scope:
        return False
    try:
        scope = scope_text(scope)
        body = {"grant": item["grant"], "scope": scope}
        found = at.client.post("/v1/reviews/replay", body)
    except Failure as problem:
        say(f"hoop: {clean(problem.message)}")
        return False
    say(review_view.narrower(found))
    if found["outside"]:
        say(f"outside: {clean(', '.join(found['outside']))}")
    if _asked(at, "Narrow it (y), or not (n)? ", {"narrow": "y", "no": "n"}) != "y":
        return False
    return _send(at, item, "narrow", told | {"scope": scope})


# --- asking ---------------------------------------------------------------------------------------


def _asked(at: Walk, question: str, words: dict[str, str]) -> str:
    """The letter of an answer; with ``linear`` its word, typed out.  End of input is the last."""
    if not at.linear:
        return asking.key(question, "".join(words.values()))
    while True:
        typed = asking.line(f"Answer ({', '.join(words)}): ")
        if typed is None:
            return "q" if "q" in words.values() else "n"
        if typed.casefold() in words:
            return words[typed.casefold()]


# --- what is sent ---------------------------------------------------------------------------------

_PAST = {
    "keep": "kept",
    "narrow": "narrowed",
    "give back": "given back",
    "delegate": "handed on",
    "cannot say": "left to somebody independent",
}


def _send(at: Walk, item: Any, answer: str, told: dict[str, Any]) -> bool:
    """Whether the agent took it.  A run that ends much is asked about once more."""
    body = {"grant": item["grant"], "answer": answer, **told}
    try:
        decided = at.client.post("/v1/reviews", body)
    except ApiError as error:
        say(f"hoop: {clean(error.message)}")
        if error.error != "too_many":
            return False
        if _asked(at, "Is that meant? Yes (y), no (n)? ", {"yes": "y", "no": "n"}) != "y":
            return False
        decided = at.client.post("/v1/reviews", body | {"sure": True})
    _tell(decided)
    at.count(_PAST[answer])
    return True


def _tell(decided: Any) -> None:
    closed = decided.get("closed") or ()
    if closed:
        say(f"Sessions that ended with it: {', '.join(map(clean, closed))}")
    review = decided.get("review") or {}
    if review.get("undo_until"):
        say(f"Ten minutes to take it again:  hoop review undo {clean(review['id'])}")
    if review.get("state") == "awaiting confirmation":
        say("Somebody independent has to confirm it.")
    for name, value in review_view.proof(review.get("proof")):
        if value:
            say(f"{name}: {clean(value)}")
    if decided.get("suggestion"):
        say(f"The suggestion was: {clean(decided['suggestion'])}")
