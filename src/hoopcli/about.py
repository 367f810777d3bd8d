"""What is shown of a request and of a grant, in every command that shows one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from hoopcli.view import spell, when

REQUEST_HEADS = ("REQUEST", "WHO", "TARGET", "FOR", "STATE", "ASKED", "REASON")
GRANT_HEADS = ("GRANT", "WHO", "TARGET", "STATE", "ENDS", "SCOPE", "REASON")


def called(principal: Any) -> str:
    """A principal by name; what is no person says what it is: ``ci-deploy (service)``."""
    kind = principal.get("kind", "human")
    return str(principal["name"]) + (f" ({kind})" if kind != "human" else "")


def scope(text: str) -> str:
    """A scope in words where it is the widest there is."""
    return "everything" if text == "*.*:*" else text


def grant_of(request: Any) -> str:
    """The id of the grant a request has led to; empty where there is none."""
    grant = request.get("grant")
    return str(grant["id"] if isinstance(grant, dict) else grant or "")


def request_row(request: Any, now: datetime) -> tuple[object, ...]:
    return (
        request["id"],
        called(request["requester"]),
        request["target"],
        "once" if request.get("held") else spell(request["duration"]),
        request["state"],
        when(request["created"], now),
        f"held: {_short(request['held']['text'])}" if request.get("held") else request["reason"],
    )


def _short(text: str, most: int = 60) -> str:
    """The beginning of a statement on one line; whoever decides is shown all of it."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def request_card(request: Any, now: datetime) -> Iterator[tuple[str, object]]:
    is_pending = request["state"] == "pending"
    yield "request", request["id"]
    yield "state", request["state"]
    yield "who", called(request["requester"])
    yield "target", request["target"]
    held = request.get("held")
    if held:
        yield from _held(held)
    else:
        yield "scope", scope(request["scope"])
        yield "for", spell(request["duration"])
    yield "reason", request["reason"]
    yield "task", request.get("task")
    yield "ticket", request.get("ticket")
    yield "priority", request.get("priority") if request.get("priority") != "normal" else ""
    yield "asked", when(request["created"], now)
    if is_pending:
        yield "lapses", when(request["expires"], now)
        yield "needs", needs(request)
    for vote in request.get("votes") or ():
        yield "vote", _vote(vote, now)
    yield "rule", request.get("rule")
    yield "grant", grant_of(request)


def _held(held: Any) -> Iterator[tuple[str, object]]:
    """The one statement that waits, all of it, and what is known about what it does."""
    for number, line in enumerate(str(held["text"]).split("\n")):
        yield "" if number else "statement", line
    for number, value in enumerate(held.get("parameters") or (), 1):
        yield f"${number}", "NULL" if value is None else value
    yield "does", ", ".join(held.get("effects") or ())
    yield "relations", ", ".join(held.get("touches") or ())
    yield "masked", ", ".join("perhaps more" if m == "*" else m for m in held.get("masked") or ())
    yield "large", "; ".join(held.get("large") or ())
    yield "held for", held["why"]
    yield (
        "where",
        f"{held['database']}, session {held['session']}, {held.get('note') or 'by itself'}",
    )


def needs(request: Any) -> str:
    """Whose votes a pending request waits for: ``1 more vote from dba or oncall``."""
    given = sum(1 for vote in request.get("votes") or () if vote["answer"] == "approve")
    missing = max(int(request.get("votes_needed") or 0) - given, 0)
    more = "more " if given else ""
    votes = f"{missing} {more}{'vote' if missing == 1 else 'votes'}"
    groups = " or ".join(map(str, request.get("approvers") or ()))
    return f"{votes} from {groups}" if groups else votes


def voter(vote: Any) -> str:
    """Who voted, which the agent gives by name or in full."""
    who = vote["voter"]
    return called(who) if isinstance(who, dict) else str(who)


def _vote(vote: Any, now: datetime) -> str:
    shorter = f", for {spell(vote['duration'])}" if vote.get("duration") else ""
    return f"{voter(vote)}: {vote['answer']}{shorter}, {when(vote['at'], now)}: {vote['reason']}"


def grant_row(grant: Any, now: datetime, everyone: bool, ended: bool) -> tuple[object, ...]:
    """Without ``everyone`` whose it is, and without ``ended`` its state, is the same everywhere."""
    return (
        grant["id"],
        called(grant["principal"]) if everyone else "",
        grant["target"],
        grant["state"] if ended else "",
        when(grant.get("ended_at") or grant["not_after"], now),
        scope(grant["scope"]),
        grant["reason"],
    )


def grant_card(grant: Any, now: datetime) -> Iterator[tuple[str, object]]:
    yield "grant", grant["id"]
    yield "state", grant["state"]
    yield "who", called(grant["principal"])
    yield "target", grant["target"]
    yield "scope", scope(grant["scope"])
    yield "reason", grant["reason"]
    if grant.get("ended_at"):
        yield "ended", when(grant["ended_at"], now)
        yield "why", grant.get("ended_why")
    else:
        yield "ends", when(grant["not_after"], now)
    yield "closed", ", ".join(grant.get("closed") or ())


_THEN = {"end": "then the session ends", "hold": "then statements wait for approval", "warn": ""}


def budget(one: Any, *, several: bool = False) -> str:
    """A budget of a grant, and what of it is used: ``exports: 30 of 100 rows an hour``."""
    used = ", ".join(
        f"{limit['used']:,} of {limit['limit']:,} {_NOUNS.get(limit['measure'], limit['measure'])}"
        for limit in one["limits"]
    )
    whose = f" ({one['grant']})" if several and one.get("grant") else ""
    back = f"used up until {one['free_at']}" if one.get("free_at") else ""
    then = back or _THEN.get(one["on_reaching"], "")
    return f"{one['name']}{whose}: {used} an hour{'; ' * bool(then)}{then}: {one['reason']}"


_NOUNS = {"sensitive": "sensitive values"}
