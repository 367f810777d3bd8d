"""``hoop approve``: say yes to a request, for as long as was asked or for less."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hoopcli import about, asking, completion_values, screen
from hoopcli.client import Client, connected, path
from hoopcli.errors import ApiError, say
from hoopcli.options import OutputOption, moment, request_id, scope_text, seconds
from hoopcli.view import Output, card, clean

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def approve(
    request: Annotated[
        str,
        typer.Argument(
            help="The request.", metavar="ID", autocompletion=completion_values.decidable
        ),
    ],
    reason: Annotated[str | None, typer.Option(help="Why you say yes.", metavar="TEXT")] = None,
    duration: Annotated[
        str | None,
        typer.Option("--for", help="For less time than was asked: 30m.", metavar="TIME"),
    ] = None,
    scope: Annotated[
        str | None,
        typer.Option(help="For less than was asked: orders:read", metavar="SCOPE"),
    ] = None,
    starts: Annotated[
        str | None, typer.Option(help="Later than was asked: 22:00.", metavar="TIME")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say yes to a request, for what was asked or for less.

    \b
    Examples:
      hoop approve req-4k7mq2zt9x --reason "agreed, order 4711" --for 30m
      hoop approve req-4k7mq2zt9x --scope orders:read --reason "that will do"
    """
    conditions: dict[str, Any] = {}
    if duration is not None:
        conditions["duration"] = seconds("--for", duration)
    if scope is not None:
        conditions["scope"] = scope_text(scope)
    if starts is not None:
        conditions["starts"] = moment("--starts", starts)
    with connected() as client:
        vote(client, request, "approve", reason, output, conditions)


def vote(
    client: Client,
    request: str,
    answer: str,
    reason: str | None,
    output: Output,
    conditions: dict[str, Any] | None = None,
) -> None:
    """Sends one vote, and shows what has become of the request.

    A person at a terminal who gave no reason sees the request and is asked for one.
    """
    request_id(request)
    shown = ""
    if reason is None and asking.possible():
        shown = show(client, client.get(path("requests", request)))
    said = asking.reason(reason, f"Why do you {answer} it? ", f"hoop {answer} {clean(request)}")
    decided = cast(client, request, answer, said, shown, conditions)
    screen.show_request(output, decided)
    if output is Output.TABLE and decided["state"] == "pending":
        say(f"Your vote counts; it still waits for {clean(about.needs(decided))}.")


def cast(
    client: Client,
    request: str,
    answer: str,
    reason: str,
    shown: str = "",
    conditions: dict[str, Any] | None = None,
) -> Any:
    """Sends one vote; ``shown`` is the digest of what its voter has seen."""
    body: dict[str, Any] = {"answer": answer, "reason": reason, **(conditions or {})}
    if shown:
        body["shown"] = shown
    return client.post(path("requests", request, "votes"), body)


def show(client: Client, request: Any) -> str:
    """Shows a request to somebody who decides, with what else they should know; its digest."""
    now, wide = screen.now(), screen.width()
    say(card(about.request_card(request, now), wide))
    try:
        shown = client.get(path("requests", request["id"], "shown"))
    except ApiError:
        return ""
    if not isinstance(shown, dict) or "digest" not in shown:
        return ""
    say(card(about.shown_card(shown, now), wide))
    return str(shown["digest"])
