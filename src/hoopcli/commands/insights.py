"""``hoop insights me``: a private mirror of the last thirty days."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import typer

from hoopcli import review_view, screen, view
from hoopcli.client import connected
from hoopcli.errors import say
from hoopcli.options import OutputOption
from hoopcli.view import Output, when

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)


@app.callback()
def insights() -> None:
    """What your own use of hoop came to; for nobody's eyes but yours.

    \b
    Example:
      hoop insights me
    """


@app.command()
def me(output: OutputOption = Output.TABLE) -> None:
    """Your last thirty days: what was refused, what gave many rows, what less would have done.

    \b
    Example:
      hoop insights me
    """
    with connected() as client:
        found = client.get("/v1/insights/me")
    if output is Output.JSON:
        screen.out(view.as_json(found))
    elif output is Output.NAMES:
        screen.out(view.names(one["target"] for one in found))
    elif not found:
        say("You were on no target in the last thirty days.")
    else:
        now = screen.now()
        cards = [view.card(_card(one, now), screen.width()) for one in found]
        screen.out("\n\n".join(cards))


def _card(one: Any, now: datetime) -> Iterator[tuple[str, object]]:
    yield "target", one["target"]
    yield "sessions", one["sessions"]
    yield "statements", one["statements"]
    yield "rows", one["rows"] or ""
    yield "masked", ", ".join(f"{kind} {count}" for kind, count in one["masked"].items())
    yield "refused", _several(one["refused"], one["refused_most"])
    yield "held", one["held"] or ""
    for number, wide in enumerate(one["wide_scans"]):
        told = f"{wide['what']}: {wide['rows']:,} rows in {wide['times']:,} statements"
        yield "" if number else "wide scans", told
    for number, clear in enumerate(one.get("in_clear", ())):
        told = f"{clear['column']}: {clear['named']} of {clear['of']} statements named it"
        yield "" if number else "in clear", told
    yield "last use", when(one["last_use"], now)
    yield "narrower", review_view.narrower(one["narrower"])
    yield "unread", f"{one['unseen']} recording(s) not readable" if one["unseen"] else ""


def _several(count: int, most: Any) -> str:
    told = "; ".join(f"{one['times']} times {one['what']}" for one in most)
    return f"{count}: {told}" if count else ""
