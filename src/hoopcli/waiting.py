"""Waiting for people: a request is polled until somebody has decided, with a line of progress.

The request is the agent's; who stops waiting leaves it standing, and is told so.
"""

from __future__ import annotations

import time
from typing import Any

from hoopcli import about, durations
from hoopcli.client import Client, path
from hoopcli.errors import Exit, Failure, say
from hoopcli.screen import Progress
from hoopcli.view import clean

# Undecided, or decided and on its way to a grant.
_OPEN = ("pending", "approved")

# Seconds between two looks: soon for a colleague who sits beside you, seldom for one at lunch.
_PAUSES = (0.5, 0.5, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0)
_LONGEST_PAUSE = 3.0


def until_decided(client: Client, request: Any, timeout: int | None = None) -> Any:
    """The request as it stands once its grant is there.

    Failure with code 4 when it was denied or taken back, with 5 when it lapsed, or when ``timeout``
    seconds have passed without a decision.
    """
    started = time.monotonic()
    progress = Progress()
    pauses = iter(_PAUSES)
    try:
        while request["state"] in _OPEN:
            waited = time.monotonic() - started
            if timeout is not None and waited >= timeout:
                raise _not_in_time(request, timeout)
            progress.show(_waiting(request), f"{durations.show(int(waited))}, Ctrl-C stops waiting")
            left = _LONGEST_PAUSE if timeout is None else max(timeout - waited, 0)
            time.sleep(min(next(pauses, _LONGEST_PAUSE), left))
            request = client.get(path("requests", request["id"]))
    except KeyboardInterrupt:
        progress.leave()
        say(f"The request stands:  hoop requests {request['id']}")
        raise
    finally:
        progress.end()
    return granted(request)


def granted(request: Any) -> Any:
    """The request itself, if it has led to a grant or still may; else Failure says what became."""
    if request["state"] in (*_OPEN, "fulfilled"):
        return request
    raise _ended(request, clean(request["state"]), clean(request["target"]))


def _ended(request: Any, state: str, name: str) -> Failure:
    if state == "denied":
        said = _denied(request, name)
        return Failure(said, f"See:  hoop requests {request['id']}", Exit.REFUSED)
    if state == "expired":
        said = f"nobody decided on {request['id']} in time, and it has lapsed."
        return Failure(said, f'Ask again:  hoop request {name} --reason "…"', Exit.PENDING)
    return Failure(f"the request {request['id']} was {state}.", "", Exit.REFUSED)


def _waiting(request: Any) -> str:
    return f"{request['id']} waits for {about.needs(request)}"


def _denied(request: Any, name: str) -> str:
    noes = [vote for vote in request.get("votes") or () if vote["answer"] == "deny"]
    if not noes:
        return f"your request for {name} was denied."
    who, why = clean(about.voter(noes[-1])), clean(noes[-1]["reason"])
    return f"{who} denied your request for {name}: {why}"


def _not_in_time(request: Any, timeout: int) -> Failure:
    return Failure(
        f"nobody has decided on {request['id']} within {durations.show(timeout)}.",
        f"It still stands:  hoop requests {request['id']}",
        Exit.PENDING,
    )
