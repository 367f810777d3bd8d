"""``hoop revoke``: end somebody's grant now."""

from __future__ import annotations

from typing import Annotated

import typer

from hoopcli import asking, completion_values, screen
from hoopcli.client import connected, path
from hoopcli.options import OutputOption, grant_id
from hoopcli.view import Output, clean

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def revoke(
    grant: Annotated[
        str,
        typer.Argument(help="The grant.", metavar="GRANT", autocompletion=completion_values.grants),
    ],
    reason: Annotated[
        str | None, typer.Option(help="Why; its owner will read it.", metavar="TEXT")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """End somebody's grant and its sessions now.

    \b
    Example:
      hoop revoke grt-7h2vd9xk4p --reason "the incident is over"
    """
    grant_id(grant)
    why = asking.reason(reason, "Why do you revoke it? ", f"hoop revoke {clean(grant)}")
    with connected() as client:
        value = client.post(path("grants", grant, "revoke"), {"reason": why})
    screen.show_grant(output, value)
