"""``hoop suspend``: stop somebody's grant for a while, without ending it."""

from __future__ import annotations

from typing import Annotated

import typer

from hoopcli import asking, completion_values, screen
from hoopcli.client import connected, path
from hoopcli.errors import say
from hoopcli.options import OutputOption, grant_id
from hoopcli.view import Output, clean

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def suspend(
    grant: Annotated[
        str,
        typer.Argument(help="The grant.", metavar="GRANT", autocompletion=completion_values.grants),
    ],
    reason: Annotated[
        str | None, typer.Option(help="Why; its owner will read it.", metavar="TEXT")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Stop somebody's grant for a while; its sessions close now.

    Its end stays where it is: time that passes meanwhile is not given back.

    \b
    Example:
      hoop suspend grt-7h2vd9xk4p --reason "is this load yours?"
    """
    grant_id(grant)
    why = asking.reason(reason, "Why do you suspend it? ", f"hoop suspend {clean(grant)}")
    with connected() as client:
        value = client.post(path("grants", grant, "suspend"), {"reason": why})
    screen.show_grant(output, value)
    if output is Output.TABLE:
        say(f"Take it up again:  hoop resume {clean(grant)}")
