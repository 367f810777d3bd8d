"""``hoop who-can``: who may reach a table or a column, by which way, masked or not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hoopcli import completion_values, screen
from hoopcli.errors import say, usage
from hoopcli.options import OutputOption, target_name
from hoopcli.view import Output, clean

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command("who-can")
def who_can(
    place: Annotated[
        str, typer.Argument(help="What is to be reached.", metavar="SCHEMA.TABLE[.COLUMN]")
    ],
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            help="On this target alone.",
            metavar="TARGET",
            show_default=False,
            autocompletion=completion_values.targets,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="Ask these files instead of an agent.",
            metavar="FOLDER",
            show_default=False,
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say who may reach a table or a column, by which way, masked or not.

    An agent tells it to those who administer it and to a target's owners: who holds a grant now,
    and who may ask for one.  The agent's files (--config) tell who may ask.  What the database's
    own roles forbid, and what views and functions reach inside, nobody has looked at.

    \b
    Examples:
      hoop who-can public.customers.ssn
      hoop who-can public.customers --on prod-db -o json
      hoop who-can public.customers.ssn --config ./hoop-agent.d
    """
    from hoopcli import who_can_view
    from hoopcore.reach import Place

    try:
        meant = Place.parse(place)
    except ValueError as problem:
        usage(clean(problem), "Write it as the database does: public.customers.ssn")
    target = None if on is None else target_name(on)
    told = _of_files(config, meant, target) if config is not None else _of_agent(place, target)
    ways = told["ways"]
    if output is Output.JSON:
        screen.show_one(output, told, pairs=lambda _: (), name=lambda _: "")
    elif output is Output.NAMES:
        screen.show(output, ways, heads=(), row=lambda _: (), name=who_can_view.name, empty="")
    elif ways:
        screen.out(who_can_view.shown(told, screen.width(), screen.now()))
    else:
        where = f' on "{clean(target)}"' if target else ""
        say(f"Nobody may reach {clean(meant)}{where} through hoop, or ask for it.")


def _of_agent(place: str, target: str | None) -> dict[str, Any]:
    from hoopcli.client import connected

    with connected() as client:
        here = client if target is None else client.at(target)
        told: dict[str, Any] = here.get("/v1/who-can", place=place, target=target)
    return told


def _of_files(config: Path, place: Any, target: str | None) -> dict[str, Any]:
    from hoopcli import rules_at_hand

    try:
        return rules_at_hand.reached(rules_at_hand.folder_of(config), place, target)
    except ModuleNotFoundError as missing:
        rules_at_hand.needs_grammar(missing)
