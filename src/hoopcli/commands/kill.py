"""``hoop kill``: end a session that is running."""

from __future__ import annotations

from typing import Annotated

import typer

from hoopcli import about, asking, completion_values, screen
from hoopcli.client import connected, path
from hoopcli.options import OutputOption, id_of
from hoopcli.view import Output, clean

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def kill(
    session: Annotated[
        str,
        typer.Argument(
            help="The session.", metavar="SESSION", autocompletion=completion_values.sessions
        ),
    ],
    reason: Annotated[
        str | None, typer.Option(help="Why; who is in it will read it.", metavar="TEXT")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """End a session that is running.  Its grant stays: to end that, revoke it.

    \b
    Example:
      hoop kill s-1c9fz4m2qk --reason "it holds a lock on orders"
    """
    id_of("session", session, "hoop sessions --live")
    why = asking.reason(reason, "Why do you end it? ", f"hoop kill {clean(session)}")
    with connected() as client:
        value = client.post(path("sessions", session, "kill"), {"reason": why})
    screen.show_one(
        output,
        value,
        pairs=lambda one: [
            ("session", one["id"]),
            ("who", about.called(one["principal"])),
            ("target", one["target"]),
            ("end", one["end_cause"]),
            ("statements", one["statements"]),
        ],
        name=lambda one: one["id"],
    )
