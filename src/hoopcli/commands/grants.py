"""``hoop grants``: who may use what, until when."""

from __future__ import annotations

from typing import Annotated

import typer

from hoopcli import about, screen
from hoopcli.client import connected
from hoopcli.errors import say, usage
from hoopcli.options import OutputOption
from hoopcli.view import Output

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def grants(
    mine: Annotated[bool, typer.Option("--mine", help="Only yours (the default).")] = False,
    everyone: Annotated[
        bool, typer.Option("--all", help="Everybody's, as far as you may see them.")
    ] = False,
    ended: Annotated[bool, typer.Option("--ended", help="Also those that have ended.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """The access you have now, and until when.

    \b
    Examples:
      hoop grants
      hoop grants --all --ended -o json
    """
    if mine and everyone:
        usage("--mine and --all do not go together")
    with connected() as client:
        values = client.get("/v1/grants", mine=not everyone, all=everyone, live=not ended)
    now = screen.now()
    held = any(grant["state"] == "suspended" for grant in values)
    screen.show(
        output,
        values,
        heads=about.GRANT_HEADS,
        row=lambda grant: about.grant_row(grant, now, everyone, ended or held),
        name=lambda grant: grant["id"],
        empty="Nobody has a grant now."
        if everyone
        else "You have no grant now.  What you may ask for:  hoop targets",
    )
    if output is Output.TABLE:
        told = [*about.suspensions(values, now, everyone), *about.softness(values, now)]
        for line in [*told, *about.reviews_due(values)]:
            say(line)
