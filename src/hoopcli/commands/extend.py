"""``hoop extend``: go on with a grant that would end; open sessions stay open."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hoopcli import asking, completion_values
from hoopcli.client import connected, path
from hoopcli.commands.request import settle
from hoopcli.options import OutputOption, grant_id, seconds
from hoopcli.view import Output, clean

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def extend(
    grant: Annotated[
        str,
        typer.Argument(
            help="Your grant.", metavar="GRANT", autocompletion=completion_values.my_grants
        ),
    ],
    duration: Annotated[
        str, typer.Option("--for", help="For how much longer.", metavar="TIME")
    ] = "1h",
    reason: Annotated[str | None, typer.Option(help="Why it takes longer.", metavar="TEXT")] = None,
    ticket: Annotated[str, typer.Option(help="The ticket it is for.", metavar="ID")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it is decided.")] = False,
    timeout: Annotated[
        str, typer.Option(help="With --wait: wait no longer.", metavar="TIME")
    ] = "10m",
    output: OutputOption = Output.TABLE,
) -> None:
    """Go on with a grant that would end.  Somebody decides, as about any request.

    The new grant begins where the old one ends, and sessions that are open then stay open.

    \b
    Example:
      hoop extend grt-7h2vd9xk4p --for 1h --reason "the import is at 80 percent"
    """
    grant_id(grant)
    body: dict[str, Any] = {"duration": seconds("--for", duration)}
    patience = seconds("--timeout", timeout)
    body["reason"] = asking.reason(
        reason, "Why does it take longer? ", f"hoop extend {clean(grant)}"
    )
    if ticket:
        body["ticket"] = ticket
    with connected() as client:
        asked = client.post(path("grants", grant, "extend"), body)
        settle(client, asked, output, patience if wait else None)
