"""``hoop status``: who you are to the agent, and until when."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hoopcli import screen, view
from hoopcli.client import Client
from hoopcli.options import OutputOption
from hoopcli.view import Output

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def status(
    agent: Annotated[
        str | None,
        typer.Option(
            help="Run folder or HOST:PORT; the agent signed in to last, if not given.",
            metavar="WHERE",
            show_default=False,
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show who you are, at which agent, and until when.

    Exit status 3 says that you are not signed in, 7 that the agent cannot be reached.

    \b
    Example:
      hoop status -o json
    """
    from hoopcli.signin import session

    here = session(agent)
    with Client(here) as client:
        told = client.get("/v1/status")
    kept = here.credentials()
    known = {
        **told,
        "where": here.place.name,
        "host_key": here.pin.host_key,
        "issuer": here.pin.issuer,
        "kept_in": here.pin.vault,
        "renews": bool(kept.refresh_token),
    }
    now = screen.now()
    screen.show_one(output, known, pairs=lambda one: _pairs(one, now), name=_name)


def _name(known: dict[str, Any]) -> str:
    return str(known["principal"]["name"])


def _pairs(known: dict[str, Any], now: Any) -> list[tuple[str, object]]:
    principal = known["principal"]
    until = view.when(known.get("identity_until"), now)
    return [
        ("signed in as", principal["name"]),
        ("id", principal["id"]),
        ("groups", ", ".join(principal["groups"])),
        ("roles", ", ".join(principal.get("roles", []))),
        ("ends", until + (", renewed while you work" if known["renews"] else "")),
        ("agent", f"{known['where']} (hoop {known['version']})"),
        ("host key", known["host_key"]),
        ("provider", known["issuer"]),
        ("kept in", known["kept_in"]),
    ]
