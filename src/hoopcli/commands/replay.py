"""``hoop replay``: what happened in a session, as it happened.

In a terminal it is a player (``hoopcli.player``); in a pipe, with ``-o``, or where Textual is not
installed, it is lines.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hoopcli import durations, screen, view
from hoopcli.errors import say, usage
from hoopcli.options import EvidenceArgument, KeyOption

if TYPE_CHECKING:
    from hoopcli.replay_view import Timeline
    from hoopcore.recording import Known

app = typer.Typer(rich_markup_mode=None, add_completion=False)


class Format(StrEnum):
    """What ``-o`` may say of a replay."""

    TEXT = "text"
    JSON = "json"
    SQL = "sql"
    CAST = "cast"
    TABLE = "table"  # as the other commands call what is for people


@app.command()
def replay(
    session: EvidenceArgument,
    speed: Annotated[
        float | None, typer.Option(help="Play so many times as fast; 1 is as it was.", metavar="N")
    ] = None,
    max_idle: Annotated[
        str, typer.Option(help="No pause is longer than this: 2s, 1m.", metavar="TIME")
    ] = "2s",
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Print all of it at once, in a terminal too.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="A session that runs: as it goes on.")
    ] = False,
    first: Annotated[
        int, typer.Option("--from", help="Begin at this statement.", metavar="N", min=0)
    ] = 0,
    last: Annotated[
        int | None, typer.Option("--to", help="End behind this statement.", metavar="N", min=0)
    ] = None,
    key: KeyOption = None,
    output: Annotated[
        Format | None,
        typer.Option("-o", "--output", help="What to print.", metavar="text|json|sql|cast"),
    ] = None,
) -> None:
    """Play a session back: its statements, the verdicts, what became of them.

    In a terminal it is a player: space plays, n goes to what was refused, held, masked or failed,
    ? tells the other keys.  In a pipe, and with -o, all is printed at once.  What masks hid is
    hidden here too.

    \b
    Examples:
      hoop replay s-1c9fz4m2qk
      hoop replay s-1c9fz4m2qk --speed 4 --max-idle 1s
      hoop replay s-1c9fz4m2qk --follow
      hoop replay s-1c9fz4m2qk -o sql --from 12 --to 20
      hoop replay s-1c9fz4m2qk -o cast > session.cast
    """
    _check(speed, no_wait, follow, first, last, output)
    idle = _idle(max_idle)
    if output is None and not no_wait and shows():
        if has_textual():
            from hoopcli.player import opening

            code = opening.play(
                session, key, speed=speed, max_idle=idle, first=first, last=last, follow=follow
            )
            raise typer.Exit(code)
        say("There is a player, too:  pip install 'hoopcli[tui]'")
    if follow:
        usage(
            "--follow needs the player: a terminal, and Textual",
            "It comes with:  pip install 'hoopcli[tui]'",
        )
    from hoopcli import evidence

    found = evidence.gather(session, key)
    _print(found.events(), output, speed, no_wait, first, last, idle)
    evidence.warn(found, found.report(), session)


def _check(
    speed: float | None,
    no_wait: bool,
    follow: bool,
    first: int,
    last: int | None,
    output: Format | None,
) -> None:
    """What was typed fits together."""
    if speed is not None and not 0.01 <= speed <= 10_000:
        usage("--speed goes from 0.01 to 10000")
    if speed is not None and no_wait:
        usage("--speed and --no-wait do not go together")
    if follow and (no_wait or output is not None):
        usage("--follow is the player's: it goes with neither --no-wait nor -o")
    if last is not None and last < first:
        usage(f"--to {last} is before --from {first}")


def _idle(text: str) -> float:
    """Seconds, of a duration as people write it; parts of a second too."""
    try:
        return float(durations.parse(text))
    except ValueError as problem:
        whole = text.removesuffix("s")
        if whole.count(".") == 1 and whole.replace(".", "").isdigit() and float(whole) <= 1e6:
            return float(whole)
        usage(f"--max-idle: {problem}")


def shows() -> bool:
    """Whether there is a terminal that can be drawn on, and somebody at its keys."""
    drawn = os.environ.get("TERM", "dumb") != "dumb"
    return drawn and sys.stdin.isatty() and sys.stdout.isatty()


def has_textual() -> bool:
    from importlib.util import find_spec

    return find_spec("textual") is not None


def colours() -> bool:
    """Whether stdout is a terminal that shows colours, and nobody asked for none."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and sys.stdout.isatty()


def _print(
    events: Iterable[Known],
    output: Format | None,
    speed: float | None,
    no_wait: bool,
    first: int,
    last: int | None,
    idle: float,
) -> None:
    from hoopcli import replay_view

    told = replay_view.upto(events, last)
    if output is Format.JSON:
        for line in _array(replay_view.values(told, first)):
            screen.out(line)
    elif output is Format.SQL:
        for line in replay_view.script(told, first):
            screen.out(line)
    elif output is Format.CAST:
        from hoopcli import replay_cast

        for line in replay_cast.cast(told, screen.width(), idle, first):
            screen.out(line)
    else:
        plays = not no_wait and (speed is not None or (output is None and sys.stdout.isatty()))
        timeline = replay_view.Timeline(screen.width(), colours(), first)
        play(timeline, told, (speed or 1.0) if plays else 0, idle)


def _array(values: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The lines of one JSON array, each value as it comes."""
    before = "["
    for value in values:
        # Separators belong to the line before, which is known only now.
        yield before
        before = "  " + view.as_json(value).replace("\n", "\n  ") + ","
    yield "[]" if before == "[" else before.removesuffix(",")
    if before != "[":
        yield "]"


def play(timeline: Timeline, events: Iterable[Known], speed: float, idle: float) -> None:
    """Prints the timeline; ``speed`` 0 does not wait."""
    from hoopcli.replay_view import paced

    for line in paced(timeline, events, speed, idle):
        if isinstance(line, float):
            time.sleep(line)
        else:
            screen.out(line)
