"""``hoop review ticket-closed``: the grants of a ticket are to be looked at."""

from __future__ import annotations

from typing import Annotated

import typer

from hoopcli import screen
from hoopcli.client import connected
from hoopcli.options import OutputOption
from hoopcli.view import Output, when


def ticket_closed(
    ticket: Annotated[str, typer.Argument(help="As it was given with requests.", metavar="TICKET")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Say that a ticket is closed: whoever has a grant for it is asked to look at it.

    It ends nothing.  Whoever may end such a grant may say so, and who has it; a tracker's webhook
    does it as a service.

    \b
    Example:
      hoop review ticket-closed OPS-214
    """
    with connected() as client:
        found = client.post("/v1/reviews/ticket-closed", {"ticket": ticket})
    now = screen.now()
    screen.show(
        output,
        found,
        heads=("GRANT", "TARGET", "ENDS"),
        row=lambda one: (one["grant"], one["target"], when(one["ends"], now)),
        name=lambda one: one["grant"],
        empty="There is no grant for that ticket.",
    )
