"""``hoop tunnels``: the addresses that ``hoop connect -d`` has opened, and how to end them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hoopcli import completion_values, screen
from hoopcli.errors import fail, say, usage
from hoopcli.options import OutputOption
from hoopcli.view import Output, clean

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_HEADS = ("TARGET", "AGENT", "STATE", "ADDRESS", "DATABASE", "CLIENTS")


@app.callback(invoke_without_command=True)
def tunnels(context: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """The addresses that stay: which are open, and where.

    A closed one has kept its port and its password, and has both again with the next
    hoop connect -d.

    \b
    Examples:
      hoop tunnels
      hoop tunnels stop prod-db
    """
    if context.invoked_subcommand is not None:
        return
    screen.show(
        output,
        _all(),
        heads=_HEADS,
        row=_row,
        name=_target,
        empty="No address stays open. Open one:  hoop connect -d TARGET",
    )


_Names = Annotated[
    list[str] | None,
    typer.Argument(
        help="Targets, or AGENT/TARGET.",
        metavar="NAME...",
        show_default=False,
        autocompletion=completion_values.tunnels,
    ),
]


@app.command()
def stop(
    names: _Names = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every one, and the process that holds them.")
    ] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="Give up its port and password for good.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Close addresses; what runs through them goes on, but for --all.

    \b
    Examples:
      hoop tunnels stop prod-db
      hoop tunnels stop --all
    """
    from hoopcli.tunnels import calls, records

    if bool(names) == everything:
        usage("which one?" if not names else "NAME and --all do not go together", _LISTED)
    found = _all() if everything else [_found(name) for name in names or ()]
    chosen = [(one["where"], one["target"]) for one in found]
    calls.call_if_running("stop", tunnels=chosen, all=everything)
    records.stopped(chosen)
    if forget:
        records.forgotten(chosen)
    closed = [{**one, "state": "closed"} for one in found if one["state"] != "closed"]
    if output is not Output.TABLE:
        screen.show(output, closed, heads=_HEADS, row=_row, name=_target, empty="")
        return
    names_closed = ", ".join(map(_target, closed))
    say(f"Closed: {clean(names_closed)}." if closed else "None of them was open.")


_LISTED = "They are listed by:  hoop tunnels"


def _all() -> list[dict[str, Any]]:
    """All that are remembered; what the process that holds them says of each it holds."""
    from hoopcli import profile
    from hoopcli.tunnels import calls, records

    told = calls.call_if_running("list") or {"tunnels": []}
    held = {(one["agent"], one["target"]): one for one in told["tunnels"]}
    known = records.remembered()
    nicks = profile.nicks(sorted({one.agent for one in known}))
    return [
        {
            **(held.get((one.agent, one.target)) or records.view(one, records.folder(), "closed")),
            "agent": nicks[one.agent],
            "where": one.agent,
        }
        for one in known
    ]


def _found(name: str) -> dict[str, Any]:
    """The one of that name; Failure where there is none, or more than one."""
    agent, _, target = name.rpartition("/")
    found = [
        one
        for one in _all()
        if one["target"] == target and agent in ("", one["agent"], one["where"])
    ]
    if not found:
        fail(f'there is no address for "{clean(name)}"', _LISTED)
    if len(found) > 1:
        ways = ", ".join(f"{one['agent']}/{target}" for one in found)
        usage(f'"{clean(name)}" may be each of {ways}', _LISTED)
    return found[0]


def _target(one: Any) -> str:
    return str(one["target"])


def _row(one: Any) -> tuple[object, ...]:
    state = f"{one['state']}: {one['problem']}" if one["problem"] else one["state"]
    address = f"{one['host']}:{one['port']}"
    return one["target"], one["agent"], state, address, one["database"], one["connections"]
