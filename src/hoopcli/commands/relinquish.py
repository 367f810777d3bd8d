"""``hoop relinquish``: give a grant back before it ends."""

from __future__ import annotations

from typing import Annotated

import typer

from hoopcli import completion_values, screen
from hoopcli.client import connected, path
from hoopcli.options import OutputOption, grant_id
from hoopcli.view import Output

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def relinquish(
    grant: Annotated[
        str,
        typer.Argument(
            help="Your grant.", metavar="GRANT", autocompletion=completion_values.my_grants
        ),
    ],
    output: OutputOption = Output.TABLE,
) -> None:
    """Give a grant back before it ends.  Sessions that rest on it end now.

    \b
    Example:
      hoop relinquish grt-7h2vd9xk4p
    """
    with connected() as client:
        value = client.post(path("grants", grant_id(grant), "relinquish"))
    screen.show_grant(output, value)
