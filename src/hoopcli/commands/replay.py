"""``hoop replay``: what happened in a session, as it happened."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from hoopcli import screen, view
from hoopcli.errors import usage
from hoopcli.options import EvidenceArgument, KeyOption

if TYPE_CHECKING:
    from hoopcli.replay_view import Timeline
    from hoopcore.recording import Known

app = typer.Typer(rich_markup_mode=None, add_completion=False)


class Format(StrEnum):
    """What ``-o`` may say of a replay."""

    TABLE = "table"
    JSON = "json"
    SQL = "sql"


@app.command()
def replay(
    session: EvidenceArgument,
    speed: Annotated[
        float | None, typer.Option(help="So many times as fast; 1 is as it was.", metavar="N")
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="All at once.")] = False,
    first: Annotated[
        int, typer.Option("--from", help="Begin at this statement.", metavar="N", min=0)
    ] = 0,
    key: KeyOption = None,
    output: Annotated[
        Format,
        typer.Option("-o", "--output", help="What to print.", metavar="table|json|sql"),
    ] = Format.TABLE,
) -> None:
    """Play a session back: its statements, the verdicts, what became of them.

    In a terminal it plays as it happened, with no pause longer than two seconds; in a pipe, and
    with -o, all comes at once.  What masks hid is hidden here too.

    \b
    Examples:
      hoop replay s-1c9fz4m2qk --speed 4
      hoop replay s-1c9fz4m2qk --from 12 --no-wait
      hoop replay s-1c9fz4m2qk -o sql
    """
    if speed is not None and not 0.01 <= speed <= 10_000:
        usage("--speed goes from 0.01 to 10000")
    if speed is not None and no_wait:
        usage("--speed and --no-wait do not go together")
    from hoopcli import evidence, replay_view

    found = evidence.gather(session, key)
    if output is Format.JSON:
        screen.out(view.as_json(list(replay_view.values(found.events(), first))))
    elif output is Format.SQL:
        for line in replay_view.script(found.events(), first):
            screen.out(line)
    else:
        timeline = replay_view.Timeline(screen.width(), colours(), first)
        plays = not no_wait and (speed is not None or sys.stdout.isatty())
        play(timeline, found.events(), (speed or 1.0) if plays else 0)
    evidence.warn(found, found.report(), session)


def colours() -> bool:
    """Whether stdout is a terminal that shows colours, and nobody asked for none."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and sys.stdout.isatty()


def play(timeline: Timeline, events: Iterable[Known], speed: float) -> None:
    """Prints the timeline; ``speed`` 0 does not wait."""
    from hoopcli.replay_view import paced

    for line in paced(timeline, events, speed):
        if isinstance(line, float):
            time.sleep(line)
        else:
            screen.out(line)
