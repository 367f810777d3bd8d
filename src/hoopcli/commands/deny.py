"""``hoop deny``: say no to a request."""

from __future__ import annotations

from typing import Annotated

import typer

from hoopcli import completion_values
from hoopcli.client import connected
from hoopcli.commands.approve import vote
from hoopcli.options import OutputOption
from hoopcli.view import Output

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def deny(
    request: Annotated[
        str,
        typer.Argument(
            help="The request.", metavar="ID", autocompletion=completion_values.decidable
        ),
    ],
    reason: Annotated[
        str | None, typer.Option(help="Why not; who asked will read it.", metavar="TEXT")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say no to a request.  One no settles it.

    \b
    Example:
      hoop deny req-4k7mq2zt9x --reason "the replica is enough for this"
    """
    with connected() as client:
        vote(client, request, "deny", reason, output)
