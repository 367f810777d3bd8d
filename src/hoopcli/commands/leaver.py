"""``hoop leaver``: somebody has left; all they have ends now."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hoopcli import asking, screen
from hoopcli.client import connected
from hoopcli.errors import say
from hoopcli.options import OutputOption
from hoopcli.view import Output, clean

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_HEADS = ("WHO", "GRANTS", "REQUESTS", "SESSIONS")


@app.command()
def leaver(
    who: Annotated[str, typer.Argument(help="E-mail address, or id.", metavar="WHO")],
    reason: Annotated[str | None, typer.Option(help="Why.", metavar="TEXT")] = None,
    back: Annotated[bool, typer.Option("--back", help="They may sign in again.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """End all that somebody has who has left: grants, requests, sessions, sign-ins.

    They are not signed in again, whatever the identity provider says, until --back.  Agents that
    act for them end too.  For administrators; on the agent's own machine: hoop-agent leaver.

    \b
    Examples:
      hoop leaver ana@example.com --reason "left the company"
      hoop leaver ana@example.com --back --reason "it was another Ana"
    """
    why = asking.reason(reason, f"Why is {clean(who)} to go? ", f"hoop leaver {clean(who)}")
    with connected() as client:
        done = client.post("/v1/leavers", {"who": who, "reason": why, "back": back})
    if back and output is Output.TABLE:
        for one in done:
            say(f"{clean(one['principal']['name'])} may sign in again.")
        if not done:
            say(f"{clean(who)} had not left.")
        return
    screen.show(output, done, heads=_HEADS, row=_row, name=_name, empty="Nothing was open.")


def _row(one: Any) -> tuple[object, ...]:
    counts = (f"{len(one.get(what) or ())} ended" for what in ("grants", "requests", "closed"))
    return (one["principal"]["name"], *counts)


def _name(one: Any) -> object:
    return one["principal"]["id"]
