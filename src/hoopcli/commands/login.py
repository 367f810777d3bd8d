"""``hoop login``: sign in with the identity provider that the agent believes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hoopcli.errors import Exit, Failure, say, usage

if TYPE_CHECKING:  # slow to import, and --help needs none of it
    from hoopcli.signin import Session

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
    browser: Annotated[
        bool,
        typer.Option(
            "--browser", help="Sign in by a page that comes back to this machine, not by a code."
        ),
    ] = False,
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
    ca_file: Annotated[
        Path | None,
        typer.Option(
            help="Certificate authorities to believe the provider by, in place of the system's.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    workload_token: Annotated[
        Path | None,
        typer.Option(
            help="Sign in a program, by the token in a file that is kept fresh.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    client_credentials: Annotated[
        str, typer.Option(help="Sign in a program, by its client id.", metavar="ID")
    ] = "",
    client_secret: Annotated[
        str,
        typer.Option(help="Where its secret is; never the secret itself.", metavar="env:X|file:F"),
    ] = "",
    issuer: Annotated[
        str, typer.Option(help="The provider its secret is for.", metavar="URL")
    ] = "",
    audience: Annotated[
        str, typer.Option(help="Whom its access token is to be for.", metavar="TEXT")
    ] = "",
    scope: Annotated[
        str, typer.Option(help="What its access token is to hold.", metavar="TEXT")
    ] = "",
) -> None:
    """Sign in with your identity provider.

    Shows an address and a code; open it on any device. Later commands renew the sign-in by
    themselves for as long as the provider lets them.

    What is no person (a CI job, a service, an AI agent) signs in by a token or a client id that
    the agent knows as a workload.

    \b
    Examples:
      hoop login --agent /run/hoop
      hoop login --browser
      hoop login --workload-token /var/run/secrets/hoop/token
      hoop login --client-credentials ci --client-secret env:KEY --issuer URL
    """
    from datetime import UTC, datetime

    from hoopcli.signing_in import Way, sign_in
    from hoopcli.view import clean
    from hoopcli.workload import means

    program = means(workload_token, client_credentials, client_secret, issuer, audience, scope)
    if program and (browser or no_browser):
        usage("a program has no browser: --browser and --no-browser are for people")
    if not (force or fingerprint or program) and (name := _already(agent)):
        say(f"You are signed in as {clean(name)}. To sign in again:  hoop login --force")
        return
    way = Way(browser, not no_browser, program, str(ca_file.absolute()) if ca_file else "")
    kept, kind = sign_in(agent, way=way, force=force, fingerprint=fingerprint)
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
    if time.time() >= kept.expires:
        return ""
    return kept.name if _believed(here) else ""


def _believed(here: Session) -> bool:
    """Whether the agent has not ended that sign-in; one that cannot be asked has not."""
    from hoopcli.client import Client

    try:
        with Client(here) as client:
            client.get("/v1/status")
    except Failure as problem:
        return problem.code != Exit.NOT_SIGNED_IN
    return True
