"""``hoop logout``: end the sign-in at the agent, at the provider and here."""

from __future__ import annotations

from typing import Annotated

import typer

from hoopcli.errors import Failure, NotSignedIn, say

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def logout(
    agent: Annotated[
        str | None,
        typer.Option(
            help="Run folder or HOST:PORT; the agent signed in to last, if not given.",
            metavar="WHERE",
            show_default=False,
        ),
    ] = None,
    everywhere: Annotated[
        bool, typer.Option("--everywhere", help="Other machines too, and keys of plain ssh.")
    ] = False,
) -> None:
    """Sign out: at the agent, at the provider and on this machine.

    Open sessions end. What is kept here is removed even if the others cannot be reached.

    \b
    Examples:
      hoop logout
      hoop logout --everywhere
    """
    from hoopcli.signing_in import end_everywhere, sign_out

    if everywhere:
        end_everywhere(agent)
    try:
        left = sign_out(agent)
    except NotSignedIn as problem:
        say(f"{problem.message}.".capitalize())
        return
    if left:
        raise Failure("\n".join(["signed out here, but not everywhere", *left]))
    say("Signed out.")
