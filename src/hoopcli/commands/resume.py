"""``hoop resume``: take a suspended grant up again."""

from __future__ import annotations

from typing import Annotated

import typer

from hoopcli import screen
from hoopcli.client import connected, path
from hoopcli.options import OutputOption, grant_id
from hoopcli.view import Output

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def resume(
    grant: Annotated[str, typer.Argument(help="The grant.", metavar="GRANT")],
    reason: Annotated[str, typer.Option(help="Why.", metavar="TEXT")] = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Take a suspended grant up again; its end is where it was.

    \b
    Example:
      hoop resume grt-7h2vd9xk4p
    """
    with connected() as client:
        value = client.post(path("grants", grant_id(grant), "resume"), {"reason": reason})
    screen.show_grant(output, value)
