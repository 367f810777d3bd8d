"""``hoop extend``: go on with a grant that would end; open sessions stay open."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hoopcli import asking, completion_values, review_view
from hoopcli.client import Client, connected, path
from hoopcli.commands.request import settle
from hoopcli.errors import ApiError, say
from hoopcli.options import OutputOption, grant_id, scope_text, seconds
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
    scope: Annotated[
        str | None, typer.Option(help="Go on with less: orders:read", metavar="SCOPE")
    ] = None,
    ticket: Annotated[str, typer.Option(help="The ticket it is for.", metavar="ID")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it is decided.")] = False,
    timeout: Annotated[
        str, typer.Option(help="With --wait: wait no longer.", metavar="TIME")
    ] = "10m",
    output: OutputOption = Output.TABLE,
) -> None:
    """Go on with a grant that would end.  Somebody decides, as about any request.

    The new grant begins where the old one ends, and sessions that are open then stay open.  In a
    terminal you see what you used of it, and may go on with less.

    \b
    Example:
      hoop extend grt-7h2vd9xk4p --for 1h --reason "the import is at 80 percent"
    """
    grant_id(grant)
    body: dict[str, Any] = {"duration": seconds("--for", duration)}
    patience = seconds("--timeout", timeout)
    if scope is not None:
        body["scope"] = scope_text(scope)
    if ticket:
        body["ticket"] = ticket
    with connected() as client:
        if scope is None and asking.possible():
            body |= _less(client, grant)
        body["reason"] = asking.reason(
            reason, "Why does it take longer? ", f"hoop extend {clean(grant)}"
        )
        asked = client.post(path("grants", grant, "extend"), body)
        settle(client, asked, output, patience if wait else None)


def _less(client: Client, grant: str) -> dict[str, str]:
    """What was used of the grant, and whether to go on with no more than that."""
    try:
        card = client.get(path("reviews", "of", grant))
    except ApiError:
        return {}  # it is no condition of an extension
    used = ", ".join(card.get("used") or ())
    if used:
        say(f"You used {clean(used)} of {clean(card['granted'])}.")
    less = card.get("narrower")
    if not less:
        return {}
    say(f"With {clean(review_view.narrower(less))}.")
    answer = asking.line("Go on with that only? [y/N] ") or ""
    return {"scope": str(less["scope"])} if answer.lower() in ("y", "yes") else {}
