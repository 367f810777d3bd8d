"""``hoop login``: sign in with the identity provider that the agent believes."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from hoopcli.errors import Failure, say

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def login(
    agent: Annotated[
        str | None,
        typer.Option(
            help="Run folder of an agent on this machine, or HOST:PORT of one elsewhere.",
            metavar="WHERE",
            show_default=False,
        ),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address; open nothing.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Sign in again, even if you are signed in.")
    ] = False,
    fingerprint: Annotated[
        str | None,
        typer.Option(
            help="The agent's host key, as hoop-agent init printed it.",
            metavar="SHA256:…",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Sign in with your identity provider.

    Shows an address and a code; open it on any device. Later commands renew the sign-in by
    themselves for as long as the provider lets them.

    \b
    Example:
      hoop login --agent /run/hoop
    """
    from datetime import UTC, datetime

    from hoopcli.signing_in import sign_in
    from hoopcli.view import clean

    if not force and fingerprint is None and (name := _already(agent)):
        say(f"You are signed in as {clean(name)}. To sign in again:  hoop login --force")
        return
    kept, kind = sign_in(agent, browser=not no_browser, force=force, fingerprint=fingerprint)
    groups = f" ({', '.join(kept.groups)})" if kept.groups else ""
    until = datetime.fromtimestamp(kept.identity_until, UTC).astimezone().strftime("%H:%M")
    say(f"Signed in as {clean(kept.name)}{clean(groups)} until {until}; kept in: {kind}.")


def _already(agent: str | None) -> str:
    """Who is signed in there and needs no new sign-in; empty where nobody does."""
    from hoopcli.signin import session

    try:
        here = session(agent)
        here.token()
        kept = here.credentials()
    except Failure:
        return ""
    return kept.name if time.time() < kept.expires else ""
