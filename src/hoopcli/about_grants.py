"""An endpoint is asked for, and there is no grant: what a person at a terminal is offered then."""

from __future__ import annotations

from typing import Any

from hoopcli import asking, waiting
from hoopcli.client import Client
from hoopcli.errors import ApiError, say
from hoopcli.options import seconds
from hoopcli.view import clean


def endpoint(client: Client, target: str, database: str | None, via: str) -> dict[str, Any]:
    """What the agent says to ``via``; who sits at a terminal may ask for access first."""
    body = {"target": target, "via": via}
    if database is not None:
        body["database"] = database
    try:
        made: dict[str, Any] = client.post("/v1/endpoints", body)
    except ApiError as error:
        if error.error != "no_grant" or not asking.possible():
            raise
        _ask_for_grant(client, target, error)
        made = client.post("/v1/endpoints", body)
    return made


def _ask_for_grant(client: Client, target: str, missing: ApiError) -> None:
    """Asks the person, then the agent, then waits; raises ``missing`` if nothing is asked for."""
    say(f"hoop: {clean(missing.message)}")
    request = _pending(client, target)
    if request is None:
        reason = asking.line("Ask for it now: why do you need it? (Enter: do not ask) ")
        if not reason:
            raise missing
        spoken = asking.line("For how long? [1h] ")
        if spoken is None:
            raise missing
        request = client.post(
            "/v1/requests",
            {"target": target, "reason": reason, "duration": seconds("for", spoken or "1h")},
        )
    waiting.until_decided(client, request)
    asking.forget()  # or what was typed in impatience would be a statement on production
    say(f"You have access to {clean(target)}.")


def _pending(client: Client, target: str) -> Any:
    """A request for it that waits already, so that nobody is asked twice for the same thing."""
    mine = client.get("/v1/requests", mine=True, state="pending")
    return next((one for one in mine if one["target"] == target and not one.get("held")), None)
