"""``hoop targets``: what there is, what is open to you, and what you may ask for."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import typer

from hoopcli import screen
from hoopcli.client import connected
from hoopcli.options import OutputOption
from hoopcli.view import Output, spell, when

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_HEADS = ("TARGET", "PROTOCOL", "DATABASES", "TIER", "AT MOST", "YOUR ACCESS")


@app.command()
def targets(output: OutputOption = Output.TABLE) -> None:
    """What you can reach, and what you may ask for.

    \b
    Example:
      hoop targets
      hoop targets -o names
    """
    with connected() as client:
        values = client.get("/v1/targets")
    now = screen.now()
    screen.show(
        output,
        values,
        heads=_HEADS,
        row=lambda target: _row(target, now),
        name=lambda target: target["name"],
        empty="There is no target you may see.",
    )


def _row(target: Any, now: datetime) -> tuple[object, ...]:
    return (
        target["name"],
        target["protocol"],
        ", ".join(target["databases"]),
        target["tier"],
        spell(target["max_duration"]),
        _access(target, now),
    )


def _access(target: Any, now: datetime) -> str:
    if target.get("grant"):
        return f"yes, ends {when(target['grant']['not_after'], now)}"
    if not target.get("may_request"):
        return "no"
    groups = " or ".join(target.get("approvers") or ())
    return f"on request, {groups} decides" if groups else "on request"
