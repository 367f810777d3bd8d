"""``hoop request``: ask for what the task needs, for as long as it needs it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hoopcli import about, asking, completion_values, screen, waiting
from hoopcli.client import Client, connected
from hoopcli.errors import say, usage
from hoopcli.options import OutputOption, choice, seconds, target_name
from hoopcli.view import Output, clean

app = typer.Typer(rich_markup_mode=None, add_completion=False)


_Target = Annotated[
    str,
    typer.Argument(
        help="What you need access to.",
        metavar="TARGET",
        autocompletion=completion_values.targets,
    ),
]
_Reason = Annotated[
    str | None, typer.Option(help="Why, for who decides and who looks back.", metavar="TEXT")
]
_For = Annotated[str, typer.Option("--for", help="For how long: 45m, 1h30m, 2d.", metavar="TIME")]
_Task = Annotated[str, typer.Option(help="What you are working on.", metavar="TEXT")]
_Priority = Annotated[
    str,
    typer.Option(
        help="How pressing: low, normal, urgent or incident.",
        metavar="WORD",
        autocompletion=completion_values.priorities,
    ),
]
_Ticket = Annotated[str, typer.Option(help="The ticket it is for.", metavar="ID")]
_Scope = Annotated[
    str | None,
    typer.Option(help="Only this part of it: public.orders:read", metavar="SCOPE"),
]
_Wait = Annotated[bool, typer.Option("--wait", help="Wait until it is decided.")]
_Timeout = Annotated[str, typer.Option(help="With --wait: wait no longer.", metavar="TIME")]
_Key = Annotated[str, typer.Option(help="A repeat with the same key asks once.", metavar="KEY")]


@app.command()
def request(
    target: _Target,
    reason: _Reason = None,
    duration: _For = "1h",
    task: _Task = "",
    priority: _Priority = "normal",
    ticket: _Ticket = "",
    scope: _Scope = None,
    wait: _Wait = False,
    timeout: _Timeout = "10m",
    key: _Key = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Ask for access to a target, for a time and a reason.

    With --wait the exit code is 0 once you have access, 4 if it was denied, and 5 if nobody
    decided in time.

    \b
    Examples:
      hoop request prod-db --reason "look into order 4711"
      hoop request prod-db --reason "fix order 4711" --for 30m --wait
      hoop request prod-db --scope public.orders:read --reason "count orders"
    """
    body: dict[str, Any] = {"target": target_name(target), "duration": seconds("--for", duration)}
    patience = seconds("--timeout", timeout)
    urgency = _priority(priority)
    if scope is not None:
        body["scope"] = _scope(scope)
    body["reason"] = asking.reason(
        reason, f"Why do you need {clean(target)}? ", f"hoop request {clean(target)}"
    )
    optional = {"task": task, "ticket": ticket, "key": key, "priority": urgency}
    body |= {name: value for name, value in optional.items() if value}
    with connected() as client:
        asked = client.post("/v1/requests", body)
        settle(client, asked, output, patience if wait else None)


def settle(client: Client, asked: Any, output: Output, patience: int | None) -> None:
    """Shows a request that was just made, after waiting for it if that is wished for."""
    if patience is not None:
        asked = waiting.until_decided(client, asked, patience)
    screen.show_request(output, asked)
    waiting.granted(asked)
    if output is not Output.TABLE:
        return
    if asked["state"] == "pending":
        say(f"It waits for {clean(about.needs(asked))}, who type:  hoop approve {asked['id']}")
    else:
        say(f"You have access:  hoop connect {clean(asked['target'])}")


def _priority(text: str) -> str:
    """The priority; empty for the usual one."""
    from hoopcore.model import Priority

    word = choice("--priority", text, Priority)
    return "" if word == Priority.NORMAL else word


def _scope(text: str) -> str:
    """The scope in its canonical form; a usage error where it is none."""
    from hoopcore.model import Scope

    try:
        return str(Scope.parse(text))
    except ValueError as error:
        usage(f"--scope: {error}", "Write it like  public.orders:read  or  public.*:read+update")
