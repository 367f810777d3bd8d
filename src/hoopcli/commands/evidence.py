"""``hoop evidence``: all about a session in one signed file."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Annotated

import typer

from hoopcli import completion_values, screen
from hoopcli.client import connected, path
from hoopcli.errors import Exit, Failure, fail, say
from hoopcli.options import OutputOption, id_of
from hoopcli.view import Output, clean

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def evidence(
    session: Annotated[
        str,
        typer.Argument(
            help="A session that has ended.",
            metavar="SESSION",
            autocompletion=completion_values.sessions,
        ),
    ],
    to: Annotated[
        Path | None, typer.Option("--to", help="The file; else SESSION.zip here.", metavar="FILE")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Put all about a session into one signed file, for whoever has to be shown.

    In it are the recording, the request with its votes, the grants, the versions of the policy,
    the audit about it, what verifying found, and a report that any browser shows.  It is checked
    here as it comes; who has the agent's public key can check it anywhere.

    \b
    Examples:
      hoop evidence s-1c9fz4m2qk
      hoop evidence s-1c9fz4m2qk --to case-214.zip
      hoop verify case-214.zip --key agent.pub
    """
    import base64

    from hoopcli import archives

    id_of("session", session, "hoop sessions")
    place = to if to is not None else Path(f"{session}.zip")
    if place.exists():
        fail(f"{clean(place)} is there already", "Say another one:  --to FILE", Exit.USAGE)
    with connected(timeout=300.0) as client:
        data = client.raw(path("sessions", session, "evidence"))
        key = base64.b64decode(client.get("/v1/status")["keys"]["recording_public"])
    found = archives.checked(data, key)
    if found.manifest is None or found.manifest.session != session:
        fail("what the agent gave is no evidence of this session", "", Exit.RECORDING)
    _keep(place, data)
    told = archives.told(found, str(place))
    screen.show_one(output, told, pairs=lambda one: one.items(), name=lambda one: one["file"])
    if not found.ok:
        fail(f"it does not verify: {found.why}", f"See:  hoop verify {place}", Exit.RECORDING)
    if output is Output.TABLE:
        say(f"Anybody can check it:  hoop verify {clean(place)} --key FILE")
        say("The agent's key:  hoop status -o json, under keys.recording_public")


def _keep(place: Path, data: bytes) -> None:
    """Writes a new file, for nobody else to read; nothing is left of one that is not whole."""
    try:
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as problem:
        raise Failure(f"cannot write {clean(place)}: {problem.strerror}") from problem
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
    except BaseException as problem:
        with contextlib.suppress(OSError):
            place.unlink()
        if isinstance(problem, OSError):
            raise Failure(f"cannot write {clean(place)}: {problem.strerror}") from problem
        raise
