"""Waiting for people: the agent tells when a request is decided, and meanwhile there is a clock.

The request is the agent's; who stops waiting leaves it standing, and is told so.  An agent that
is restarted meanwhile is waited for too, and one that cannot tell is asked now and then.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from hoopcli import about, durations
from hoopcli.client import Client, path
from hoopcli.errors import AgentUnreachable, Exit, Failure, say
from hoopcli.screen import Progress
from hoopcli.view import clean

# Undecided, or decided and on its way to a grant.
_OPEN = ("pending", "approved")

# Seconds between two looks where the agent does not tell.
_PAUSES = (0.5, 0.5, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0)
_LONGEST_PAUSE = 3.0

# Seconds without an agent, after which somebody should know of it.
_ABSENT = 120


def until_decided(client: Client, request: Any, timeout: int | None = None) -> Any:
    """The request as it stands once its grant is there.

    Failure with code 4 when it was denied or taken back, with 5 when it lapsed, or when ``timeout``
    seconds have passed without a decision.
    """
    started = time.monotonic()
    progress = Progress()
    try:
        for told in _following(client, request, timeout):
            request = told or request
            if request["state"] not in _OPEN:
                break
            waited = time.monotonic() - started
            if timeout is not None and waited >= timeout:
                raise _not_in_time(request, timeout)
            progress.show(_waiting(request), f"{durations.show(int(waited))}, Ctrl-C stops waiting")
    except KeyboardInterrupt:
        progress.leave()
        say(f"The request stands:  hoop requests {request['id']}")
        raise
    finally:
        progress.end()
    return granted(request)


def _following(client: Client, request: Any, timeout: int | None) -> Iterator[Any]:
    """The request whenever it is told, and None about once a second; it never ends by itself."""
    where, absent = path("requests", request["id"]), 0.0
    pauses = iter(_PAUSES)
    yield request
    while True:
        try:
            for told in client.events(f"{where}/events"):
                absent = 0.0
                yield told
        except AgentUnreachable:
            pass  # asked below, and that says what is wrong
        pause = next(pauses, _LONGEST_PAUSE)
        try:
            yield client.get(where)
            absent = 0.0
        except AgentUnreachable:
            absent += pause
            if absent >= min(_ABSENT, timeout or _ABSENT):
                raise
            yield None
        time.sleep(pause)


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
