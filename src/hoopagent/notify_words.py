"""What a notification says: a row of the audit, as the people who are told of it need it.

Never a secret, a statement's text or a value: of a held statement it says that there is one.  The
command to type is in it, since that is what whoever reads it does next.

Order of the file: which rows are told of, the message, the words, Slack's form of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from hoopagent.config import Notify
from hoopagent.means import View
from hoopagent.store import Store
from hoopcore.audit import Row
from hoopcore.model import Grant, Principal, Request, rfc3339

# --- which rows -----------------------------------------------------------------------------------

# The event of the config → the actions of the audit that it stands for.
ACTIONS: dict[str, tuple[str, ...]] = {
    "request.made": ("request.made",),
    "request.decided": (
        "request.approved",
        "request.denied",
        "request.cancelled",
        "request.expired",
    ),
    "grant.expiring": ("grant.expiring",),
    "grant.ended": ("grant.revoked", "grant.suspended", "grant.relinquished", "grant.expired"),
    "break_glass": ("glass.broken",),
    "review.due": ("review.due",),
}
EVENTS = {action: event for event, actions in ACTIONS.items() for action in actions}


def event_of(row: Row) -> str | None:
    """The event that a row is; None: it is told to nobody."""
    return EVENTS.get(row.event.action)


# --- the message ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class About:
    """What a row is about, as it is now."""

    request: Request | None = None
    grant: Grant | None = None
    people: dict[str, Principal] | None = None

    def name(self, id: str) -> str:
        known = (self.people or {}).get(id)
        return known.name if known else id


async def about(store: Store, row: Row) -> About:
    """Looks up what the row names; what is not there is left out."""
    subject, detail = row.event.subject, row.event.detail
    grant = None
    for id in (subject, detail.get("grant", "")):
        if id.startswith("grt-"):
            grant = await store.grant(id)
    ids = (subject, detail.get("request", ""), "" if grant is None else grant.request)
    request = None
    for id in ids:
        if request is None and id.startswith("req-"):
            request = await store.request(id)
    people = [row.event.actor]
    people += [] if request is None else [request.requester]
    people += [] if grant is None else [grant.principal]
    return About(request, grant, await store.principals(people))


def message(section: Notify, row: Row, found: About, owners: frozenset[str]) -> View | None:
    """What is sent; None where nobody who reads this would care."""
    event = event_of(row)
    request, grant = found.request, found.grant
    if event is None or request is None or event not in section.events:
        return None
    target = request.target
    if not any(fnmatchcase(target, pattern) for pattern in section.targets):
        return None
    # Whoever decides need not be told of what the policy has decided, or of what is told apart.
    if event == "request.made" and (request.break_glass or not request.rule.votes):
        return None
    said, command = _words(event, row, found, request)
    return {
        "id": f"ntf-{row.hash[:24]}",
        "event": event,
        "action": row.event.action,
        "at": rfc3339(row.event.at),
        "text": said,
        "command": command,
        "target": target,
        "who": found.name(request.requester),
        "by": found.name(row.event.actor),
        "request": request.id,
        "grant": None if grant is None else grant.id,
        "reason": "" if request.held else request.reason,
        "ticket": request.ticket,
        "incident": request.incident,
        "priority": request.priority.value,
        "until": None if grant is None else rfc3339(grant.not_after),
        "approvers": sorted(request.rule.approvers),
        "owners": sorted(owners),
    }


# --- the words ------------------------------------------------------------------------------------


def _words(event: str, row: Row, found: About, request: Request) -> tuple[str, str]:
    """A sentence, and the command to type."""
    who, by = found.name(request.requester), found.name(row.event.actor)
    what = f"one statement on {request.target}" if request.held else request.target
    why = "" if request.held else f": {request.reason}"
    grant = "" if found.grant is None else found.grant.id
    match event:
        case "request.made":
            return f"{who} asks for {what}{why}", f"hoop requests {request.id}"
        case "request.decided":
            word = row.event.action.partition(".")[2]
            return f"{request.id} of {who} for {what} is {word}", f"hoop requests {request.id}"
        case "grant.expiring":
            ends = "" if found.grant is None else rfc3339(found.grant.not_after)
            again = f'hoop extend {grant} --for 1h --reason "…"'
            return f"the access of {who} to {what} ends at {ends}", again
        case "grant.ended":
            word = row.event.action.partition(".")[2]
            return f"the access of {who} to {what} is {word} by {by}", "hoop grants --all"
        case "break_glass":
            said = f"{who} broke the glass of {what} ({request.incident}){why}"
            return said, "hoop review break-glass"
        case "review.due" if row.event.subject.startswith("grt-"):
            said = f"the access of {who} to {what} is to be looked at"
            return f"{said}: {row.event.detail.get('why', '')}", "hoop review mine"
        case _:
            said = f"nobody has looked at the break-glass of {who} on {what}{why}"
            return said, "hoop review break-glass"


# --- Slack's form ---------------------------------------------------------------------------------


def slack(sent: View) -> View:
    """An incoming webhook's message: the sentence, and the command to copy."""
    return {"text": f"{_plain(str(sent['text']))}\n`{_plain(str(sent['command']))}`"}


def _plain(text: str) -> str:
    """Nothing in it is a link, a mention or markup of Slack's."""
    for sign, instead in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("`", "'")):
        text = text.replace(sign, instead)
    return " ".join(text.split())
