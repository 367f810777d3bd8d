"""What is shown of a request and of a grant, in every command that shows one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from hoopcli.view import clean, spell, when

REQUEST_HEADS = ("REQUEST", "WHO", "TARGET", "FOR", "STATE", "ASKED", "REASON")
GRANT_HEADS = ("GRANT", "WHO", "TARGET", "STATE", "ENDS", "SCOPE", "REASON")


def called(principal: Any) -> str:
    """A principal by name; what is no person says what it is: ``ci-deploy (service)``."""
    kind = principal.get("kind", "human")
    return str(principal["name"]) + (f" ({kind})" if kind != "human" else "")


def scope(text: str) -> str:
    """A scope in words where it is the widest there is."""
    return "everything" if text == "*.*:*" else text


def soft(told: Any, now: datetime) -> str:
    """What a narrowed grant may have again by a step-up; empty where there is nothing."""
    if not told:
        return ""
    return f"{scope(told['scope'])} is held for a step-up (that ends {when(told['until'], now)})"


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
        yield "from", when(request["starts"], now) if request.get("starts") else ""
        yield "extends", request.get("extends")
        yield "limits", request.get("limits")
    yield "reason", request["reason"]
    yield "task", request.get("task")
    yield "ticket", request.get("ticket")
    yield "priority", request.get("priority") if request.get("priority") != "normal" else ""
    yield "asked", when(request["created"], now)
    if is_pending:
        yield "lapses", when(request["expires"], now)
        yield "needs", needs(request)
        if is_own(request):
            yield "so type", f'hoop step-up {request["id"]} --reason "…"'
        for need in request.get("needs") or ():
            yield "of these", f"{need['votes']} of {whose(need)}"
        for one in request.get("later") or ():
            yield "later", f"from {when(one['at'], now)} on also {whose(one)}"
    for vote in request.get("votes") or ():
        yield "vote", _vote(vote, now)
    if held and held.get("confirmed"):
        yield "confirmed", _confirmed(held["confirmed"], now)
    yield "rule", request.get("rule")
    if request.get("auto"):
        yield "granted by", f"{request['auto']}: {request['because']}"
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
        "with a yes",
        " ".join(held.get("learns") or ())
        and (f"the grant covers {' '.join(held['learns'])} again"),
    )
    yield (
        "where",
        f"{held['database']}, session {held['session']}, {held.get('note') or 'by itself'}",
    )


def is_own(request: Any) -> bool:
    """Whether who has said the held statement answers by themselves, with a reason."""
    return bool((request.get("held") or {}).get("own"))


def _confirmed(said: Any, now: datetime) -> str:
    return f"{called(said['by'])}, {when(said['at'], now)}: {said['reason']}"


def needs(request: Any) -> str:
    """Whose votes a pending request waits for: ``1 more vote from dba or oncall``."""
    if is_own(request):
        return f"the own word of {called(request['requester'])}, with a reason"
    given = sum(1 for vote in request.get("votes") or () if vote["answer"] == "approve")
    missing = max(int(request.get("votes_needed") or 0) - given, 0)
    missing = int(request.get("votes_missing", missing))
    more = "more " if given else ""
    votes = f"{missing} {more}{'vote' if missing == 1 else 'votes'}"
    groups = whose(request)
    return f"{votes} from {groups}" if groups else votes


def whose(voters: Any) -> str:
    """Groups and people, as the agent names those who may vote."""
    return " or ".join(map(str, [*(voters.get("approvers") or ()), *(voters.get("people") or ())]))


def voter(vote: Any) -> str:
    """Who voted, which the agent gives by name or in full."""
    who = vote["voter"]
    return called(who) if isinstance(who, dict) else str(who)


def _vote(vote: Any, now: datetime) -> str:
    less = f", for {spell(vote['duration'])}" if vote.get("duration") else ""
    less += f", only {vote['scope']}" if vote.get("scope") else ""
    less += f", from {when(vote['starts'], now)}" if vote.get("starts") else ""
    return f"{voter(vote)}: {vote['answer']}{less}, {when(vote['at'], now)}: {vote['reason']}"


def shown_card(shown: Any, now: datetime) -> Iterator[tuple[str, object]]:
    """What somebody who decides is told beside the request."""
    risk, contains = shown["risk"], shown["contains"]
    yield "risk", f"{risk['level']}: {'; '.join(risk['why'])}" if risk["why"] else risk["level"]
    yield "masked", ", ".join(contains["masked"])
    yield "in clear", ", ".join(contains["in_clear"])
    for number, one in enumerate(shown["history"]):
        used = f"{one['sessions']} sessions, {one['statements']} statements"
        told = used if one["sessions"] else "not used"
        yield (
            "" if number else "before",
            f"{one['grant']}, {one['state']}, {when(one['until'], now)}: {told}",
        )
    if not shown["history"]:
        yield "before", "nothing: it is their first access there"


def grant_row(grant: Any, now: datetime, everyone: bool, stated: bool) -> tuple[object, ...]:
    """Without ``everyone`` whose it is, and without ``stated`` its state, is left out."""
    return (
        grant["id"],
        called(grant["principal"]) if everyone else "",
        grant["target"],
        grant["state"] if stated else "",
        _ends(grant, now),
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
        yield "begins", when(grant["not_before"], now) if grant["state"] == "scheduled" else ""
        yield "ends", _ends(grant, now)
        yield "limits", grant.get("limits")
        yield "softly", soft(grant.get("soft"), now)
    yield "closed", ", ".join(grant.get("closed") or ())


def _ends(grant: Any, now: datetime) -> str:
    """When it ended, ends, or how long it lasts once somebody connects."""
    ends = when(grant.get("ended_at") or grant["not_after"], now)
    if grant.get("waits_for_connection") and not grant.get("ended_at"):
        return f"{spell(grant['lasts'])} from the first connection, by {ends}"
    return ends


def suspensions(grants: Any, now: datetime, everyone: bool) -> list[str]:
    """Of each suspended grant: by whom, why, and what takes it up again."""
    lines = []
    for grant in grants:
        how = grant.get("suspended")
        if grant["state"] != "suspended" or not how:
            continue
        if how.get("by_id") == grant["principal"]["id"]:
            lines.append(f"{grant['id']} was given back, {when(how['at'], now)}; it ends by itself")
            continue
        lines.append(
            f"{grant['id']} was suspended by {how['by']}, {when(how['at'], now)}: {how['why']}"
        )
        ask = f"hoop resume {grant['id']}"
        lines.append(
            f"      Take it up again:  {ask}" if everyone else f"      Who may end it types:  {ask}"
        )
    return [clean(line) for line in lines]


def reviews_due(grants: Any) -> list[str]:
    """Of each live grant that somebody should look at: why, and what to type."""
    lines = []
    for grant in grants:
        if grant.get("review_due") and not grant.get("ended_at"):
            lines.append(f"{grant['id']} is to be looked at: {', '.join(grant['review_due'])}")
            lines.append("      hoop review mine")
    return [clean(line) for line in lines]


def softness(grants: Any, now: datetime) -> list[str]:
    """Of each grant that was narrowed: what a step-up may have again, and until when."""
    return [
        clean(f"{grant['id']} was narrowed: {soft(grant['soft'], now)}")
        for grant in grants
        if grant.get("soft")
    ]


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
