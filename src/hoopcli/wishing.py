"""Before a request is sent: what a person is asked for, and what they are told will become of it.

Nothing is asked where nobody sits at a terminal.  What is told is talk, on stderr.

Order of the file: what is missing, what will become of it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hoopcli import asking, durations
from hoopcli.client import Client
from hoopcli.errors import ApiError, Failure, say, usage
from hoopcli.view import clean

_SHOWN = 9  # choices at once: one key each

# --- what is missing --------------------------------------------------------------------------


def target(client: Client) -> str:
    """The target that somebody at a terminal picks of those they may ask for."""
    names = sorted(one["name"] for one in client.get("/v1/targets") if one.get("may_request"))
    if not names:
        usage("there is nothing that you may ask for", "What there is:  hoop targets")
    typed = ""
    while True:
        fitting = fuzzy(typed, names)
        if len(fitting) == 1:
            return fitting[0]
        say("Which target?  Its number, or some letters of its name:")
        for number, name in enumerate(fitting[:_SHOWN], 1):
            say(f"  {number}  {clean(name)}")
        if len(fitting) > _SHOWN:
            say(f"  … and {len(fitting) - _SHOWN} more")
        answer = asking.line("> ")
        if not answer:
            usage("no target was chosen", "Name it:  hoop request TARGET")
        if answer.isdecimal() and 1 <= int(answer) <= min(len(fitting), _SHOWN):
            return fitting[int(answer) - 1]
        if not fuzzy(answer, names):
            say(f'None has "{clean(answer)}" in its name.')
            answer = ""
        typed = answer


def fuzzy(typed: str, names: list[str]) -> list[str]:
    """The names with these letters in this order, those with them in one piece first."""
    letters = typed.casefold()

    def rank(name: str) -> tuple[int, int, str]:
        at = name.find(letters)
        return (0 if name == letters else 1 if at >= 0 else 2, max(at, 0), name)

    return sorted((name for name in names if _has(letters, name)), key=rank)


def _has(letters: str, name: str) -> bool:
    rest = iter(name)
    return all(letter in rest for letter in letters)


def reason(client: Client, name: str) -> str:
    """A reason, typed, or one of one's last ones by its number."""
    last = _last(client, name)
    for number, one in enumerate(last, 1):
        say(f"  {number}  {clean(one)}")
    question = f"Why do you need {clean(name)}? "
    if last:
        question = f"Why do you need {clean(name)}? (or a number) "
    answer = asking.wanted(question)
    if answer.isdecimal() and 1 <= int(answer) <= len(last):
        return last[int(answer) - 1]
    return answer


def _last(client: Client, name: str, most: int = 3) -> list[str]:
    """One's last reasons, those for this target first."""
    try:
        mine = [one for one in client.get("/v1/requests", mine=True) if not one.get("held")]
    except Failure:
        return []
    mine.sort(key=lambda one: one["target"] != name)
    return list(dict.fromkeys(one["reason"] for one in mine))[:most]


def scope(client: Client, name: str) -> str:
    """What would have let the last refused statement pass, or what is typed in its place.

    Empty: whatever is offered.  Nothing is asked where nothing was refused.
    """
    try:
        found = client.at(name).get("/v1/requests/narrowest", target=name)["scope"]
    except (Failure, LookupError, TypeError):
        return ""
    if not found:
        return ""
    say("What you were refused last wants this much; * is everything you may ask for.")
    typed = asking.line(f"Scope? [{clean(found)}] ") or str(found)
    return "" if typed.strip() == "*" else typed


def duration(client: Client, name: str) -> str:
    """How long, typed; what is offered is what was needed the last times."""
    usual = _needed(client, name)
    offered = durations.show(usual) if usual else "1h"
    why = " (what you needed the last times)" if usual else ""
    return asking.line(f"For how long?{why} [{offered}] ") or offered


# What people type, in seconds: nobody asks for 37 minutes.
_USUAL = (900, 1800, 3600, 7200, 14_400, 28_800)


def _needed(client: Client, name: str) -> int | None:
    """From first connection to last end on the last grants there, rounded up; None: unknown."""
    try:
        sessions = client.get("/v1/sessions", mine=True, target=name)
    except Failure:
        return None
    spans: dict[str, list[datetime]] = {}
    for one in sessions:
        for grant in one.get("grants") or ():
            ends = [one["started"], one.get("ended") or one["started"]]
            spans.setdefault(str(grant), []).extend(map(_moment, ends))
    used = [(max(times) - min(times)).total_seconds() for times in spans.values()][:5]
    if not used:
        return None
    return next((usual for usual in _USUAL if usual >= max(used)), None)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


# --- what will become of it -------------------------------------------------------------------


def foretell(client: Client, body: dict[str, Any]) -> None:
    """Says who will decide, how long that takes, what was cut, and what would be quicker.

    An agent that cannot tell, or that will refuse it, says so when it is asked.
    """
    known = ("target", "reason", "duration", "scope", "ticket", "priority", "starts")
    try:
        wish = {name: body[name] for name in known if name in body}
        seen = client.at(body["target"]).post("/v1/requests/outlook", wish)
    except ApiError:
        return
    if not isinstance(seen, dict) or "votes_needed" not in seen:
        return
    for line in told(seen):
        say(line)


def told(seen: Any) -> list[str]:
    """The outlook in lines."""
    lines = []
    if seen["cut_by"]:
        spelled = durations.show(seen["duration"])
        lines.append(f"It will be for {spelled}: {seen['cut_by']} allows no more.")
    if seen["at_once"]:
        imposed = f", {seen['limits']}" if seen["limits"] else ""
        lines.append(f"The policy grants it at once{imposed}.")
    else:
        whose = " or ".join([*seen["approvers"], *seen["people"]])
        votes = "1 vote" if seen["votes_needed"] == 1 else f"{seen['votes_needed']} votes"
        wait = seen["usual_wait"]
        usual = "" if wait is None else f"; it usually takes {durations.show(max(wait, 1))}"
        lines.append(f"{votes} from {whose} will decide{usual}.")
    if seen["starts_at_connect"]:
        lines.append("Its time begins when you connect.")
    if seen["smaller"]:
        less = seen["smaller"]
        for_ = durations.show(less["duration"])
        limits = f"  ({less['limits']})" if less["limits"] else ""
        lines.append(f'Granted at once:  --scope "{less["scope"]}" --for {for_}{limits}')
    return [clean(line) for line in lines]
