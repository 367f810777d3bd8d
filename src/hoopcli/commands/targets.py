"""``hoop targets``: what there is, what is open to you, and what you may ask for."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import typer

from hoopcli import screen
from hoopcli.client import connected
from hoopcli.options import OutputOption
from hoopcli.targets_show import show
from hoopcli.view import Output, spell, when

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_HEADS = ("TARGET", "PROTOCOL", "DATABASES", "TIER", "AT MOST", "YOUR ACCESS")


@app.callback(invoke_without_command=True)
def targets(context: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """What you can reach, and what you may ask for.

    \b
    Example:
      hoop targets
      hoop targets -o names
      hoop targets show prod-db
    """
    if context.invoked_subcommand is not None:
        return
    with connected() as client:
        values = client.get("/v1/targets")
    now = screen.now()
    several = len({target.get("agent") for target in values}) > 1
    screen.show(
        output,
        values,
        heads=(*_HEADS[:1], "AGENT", *_HEADS[1:]) if several else _HEADS,
        row=lambda target: _row(target, now, several=several),
        name=lambda target: _name(target, values),
        empty="There is no target you may see.",
    )


app.command()(show)


def _name(target: Any, values: list[Any]) -> str:
    """What is typed for it: with the agent, where several have a target of that name."""
    alone = sum(one["name"] == target["name"] for one in values) == 1
    return str(target["name"]) if alone else f"{target['agent']}/{target['name']}"


def _row(target: Any, now: datetime, *, several: bool = False) -> tuple[object, ...]:
    return (
        target["name"],
        *([target.get("agent", "")] if several else []),
        target["protocol"],
        ", ".join(target["databases"]),
        target["tier"],
        spell(target.get("at_most", target["max_duration"])),
        _access(target, now),
    )


def _access(target: Any, now: datetime) -> str:
    if target.get("grant"):
        return f"yes, ends {when(target['grant']['not_after'], now)}"
    if not target.get("may_request"):
        return "no"
    groups = " or ".join(target.get("approvers") or ())
    return f"on request, {groups} decides" if groups else "on request"
