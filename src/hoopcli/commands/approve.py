"""``hoop approve``: say yes to a request, for as long as was asked or for less."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hoopcli import about, asking, completion_values, screen
from hoopcli.client import Client, connected, path
from hoopcli.errors import say
from hoopcli.options import OutputOption, request_id, seconds
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
    output: OutputOption = Output.TABLE,
) -> None:
    """Say yes to a request, for as long as was asked or for less.

    \b
    Example:
      hoop approve req-4k7mq2zt9x --reason "agreed, order 4711" --for 30m
    """
    shorter = seconds("--for", duration) if duration is not None else None
    with connected() as client:
        vote(client, request, "approve", reason, output, shorter)


def vote(
    client: Client,
    request: str,
    answer: str,
    reason: str | None,
    output: Output,
    duration: int | None = None,
) -> None:
    """Sends one vote, and shows what has become of the request.

    A person at a terminal who gave no reason sees the request and is asked for one.
    """
    request_id(request)
    now = screen.now()
    if reason is None and asking.possible():
        shown = client.get(path("requests", request))
        say(card(about.request_card(shown, now), screen.width()))
    body: dict[str, Any] = {"answer": answer}
    body["reason"] = asking.reason(
        reason, f"Why do you {answer} it? ", f"hoop {answer} {clean(request)}"
    )
    if duration is not None:
        body["duration"] = duration
    decided = client.post(path("requests", request, "votes"), body)
    screen.show_request(output, decided)
    if output is Output.TABLE and decided["state"] == "pending":
        say(f"Your vote counts; it still waits for {clean(about.needs(decided))}.")
