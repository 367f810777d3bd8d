"""The live queue of ``hoop requests --to-decide --follow``: one request, one key.

What waits for this person's vote is asked for every few seconds; each request is shown once, with
what its voter should know.  Where there is no terminal each is one line, and nothing is asked.
"""

from __future__ import annotations

import time
from typing import Any

from hoopcli import about, asking, screen
from hoopcli.client import Client, path
from hoopcli.commands.approve import cast, show
from hoopcli.errors import AgentUnreachable, ApiError, say, told
from hoopcli.screen import Progress
from hoopcli.view import Output, clean

_EVERY = 2.0  # seconds between two looks
_KEYS = "(a approve, d deny, v view again, s skip, q quit) "


def follow(client: Client, output: Output) -> None:
    """Until the person quits, or Ctrl-C."""
    seen: set[str] = set()
    progress = Progress()
    by_keys = asking.possible() and output is Output.TABLE
    while True:
        try:
            waiting = client.get("/v1/requests", to_decide=True)
        except AgentUnreachable:
            progress.show("The agent does not answer; trying again")
            time.sleep(_EVERY)
            continue
        fresh = [one for one in reversed(waiting) if one["id"] not in seen]
        for one in fresh:
            seen.add(one["id"])
            progress.end()
            if not by_keys:
                _tell(one, output)
            elif not _decide(client, one, len(fresh)):
                return
        if by_keys:
            progress.show("Nothing waits for you now", "Ctrl-C ends this")
        time.sleep(_EVERY)


def _tell(request: Any, output: Output) -> None:
    """One request on a line of its own."""
    if output is Output.JSON:
        import json

        screen.out(json.dumps(request, ensure_ascii=False))
    elif output is Output.NAMES:
        screen.out(clean(request["id"]))
    else:
        row = about.request_row(request, screen.now())
        screen.out("  ".join(clean(cell) for cell in row))


def _decide(client: Client, request: Any, of: int) -> bool:
    """Shows it and does what the key says; False: the person wants no more."""
    say("" if of == 1 else f"--- {of} wait for you ---")
    shown = show(client, request)
    while True:
        pressed = asking.key(_KEYS, "advsq")
        if pressed == "q":
            return False
        if pressed == "s":
            return True
        if pressed == "v":
            shown = show(client, client.get(path("requests", request["id"])))
            continue
        answer = "approve" if pressed == "a" else "deny"
        reason = asking.line(f"Why do you {answer} it? (Enter: do not) ")
        if not reason:
            continue
        _cast(client, request, answer, reason, shown)
        return True


def _cast(client: Client, request: Any, answer: str, reason: str, shown: str) -> None:
    """Votes, and says what has become of it; somebody else may have been first."""
    try:
        decided = cast(client, request["id"], answer, reason, shown)
    except ApiError as error:
        say(told(error.message, error.hint))
        return
    rest = f"; it waits for {about.needs(decided)}" if decided["state"] == "pending" else ""
    say(f"{decided['id']} is {decided['state']}{rest}.")
