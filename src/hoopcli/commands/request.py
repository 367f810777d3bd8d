"""``hoop request``: ask for what the task needs, for as long as it needs it."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from hoopcli import about, asking, completion_values, screen, waiting, wishing
from hoopcli.client import Client, connected
from hoopcli.errors import say, usage
from hoopcli.options import OutputOption, choice, moment, scope_text, seconds, target_name
from hoopcli.view import Output, clean, when

app = typer.Typer(rich_markup_mode=None, add_completion=False)


_Target = Annotated[
    str | None,
    typer.Argument(
        help="What you need access to; at a terminal you are asked.",
        metavar="TARGET",
        autocompletion=completion_values.targets,
    ),
]
_Reason = Annotated[
    str | None, typer.Option(help="Why, for who decides and who looks back.", metavar="TEXT")
]
_For = Annotated[
    str | None,
    typer.Option("--for", help="For how long: 45m, 1h30m, 2d  [default: 1h].", metavar="TIME"),
]
_Starts = Annotated[str, typer.Option(help="Not now, but from then on: 22:00.", metavar="TIME")]
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
_Unmask = Annotated[
    list[str] | None,
    typer.Option(
        help="Show this masked column in clear: app.customers.email; may be repeated.",
        metavar="COLUMN",
    ),
]
_Wait = Annotated[bool, typer.Option("--wait", help="Wait until it is decided.")]
_Timeout = Annotated[str, typer.Option(help="With --wait: wait no longer.", metavar="TIME")]
_BreakGlass = Annotated[
    bool,
    typer.Option(
        "--break-glass", help="Access now, for 30 minutes at most; owners look at it afterwards."
    ),
]
_Incident = Annotated[str, typer.Option(help="The incident, with --break-glass.", metavar="ID")]
_Key = Annotated[str, typer.Option(help="A repeat with the same key asks once.", metavar="KEY")]


@app.command()
def request(
    target: _Target = None,
    reason: _Reason = None,
    duration: _For = None,
    starts: _Starts = "",
    task: _Task = "",
    priority: _Priority = "normal",
    ticket: _Ticket = "",
    scope: _Scope = None,
    unmask: _Unmask = None,
    wait: _Wait = False,
    timeout: _Timeout = "10m",
    key: _Key = "",
    break_glass: _BreakGlass = False,
    incident: _Incident = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Ask for access to a target, for a time and a reason.

    With --wait the exit code is 0 once you have access, 4 if it was denied, and 5 if nobody
    decided in time.

    \b
    Examples:
      hoop request prod-db --reason "look into order 4711"
      hoop request prod-db --reason "fix order 4711" --for 30m --wait
      hoop request prod-db --scope orders,customers:read --reason "count orders"
      hoop request prod-db --starts 22:00 --for 2h --reason "tonight's import"
      hoop request prod-db --unmask app.customers.email --reason "for OPS-214"
      hoop request prod-db --break-glass --incident INC-1 --reason "it is down"
    """
    _check_incident(break_glass, incident)
    patience = seconds("--timeout", timeout)
    optional = {"task": task, "ticket": ticket, "key": key, "priority": _priority(priority)}
    if scope is not None or unmask:
        optional["scope"] = _with_unmasks(scope, unmask or [])
    optional["starts"] = moment("--starts", starts) if starts else ""
    if target is not None:
        target = target_name(target)
    if duration is not None:
        seconds("--for", duration)  # what is mistyped is said before anything is asked
    with connected() as client:
        may_ask = "scope" not in optional and not break_glass
        body = _wish(client, target, reason, duration, may_ask)
        body |= {name: value for name, value in optional.items() if value}
        if break_glass:
            broken = client.post("/v1/break-glass", body | {"incident": incident})
            show_broken(broken, output)
            return
        if output is Output.TABLE:
            wishing.foretell(client, body)
        asked = client.post("/v1/requests", body)
        settle(client, asked, output, patience if wait else None)


def _with_unmasks(scope: str | None, columns: list[str]) -> str:
    """The scope, and the columns that are to be shown in clear within it."""
    for column in columns:
        if not re.fullmatch(r"[^\s;:,.]+(\.[^\s;:,.]+){0,2}", column):
            usage(f"--unmask: '{clean(column)}' is no column", "Write it like  app.customers.email")
    parts = [] if scope is None else [scope_text(scope)]
    return scope_text(" ".join([*parts, *(f"{column}:unmask" for column in columns)]))


def _wish(
    client: Client,
    target: str | None,
    reason: str | None,
    duration: str | None,
    may_ask_scope: bool,
) -> dict[str, Any]:
    """What was given; what is missing is asked for where there is somebody to ask."""
    complete = target is not None and reason is not None
    if target is None:
        if not asking.possible():
            usage("a target is needed", "They are listed by:  hoop targets")
        target = wishing.target(client)
    if reason is None and asking.possible():
        reason = wishing.reason(client, target)
    reason = asking.reason(reason or "", "", f"hoop request {clean(target)}")
    ask = not complete and asking.possible()
    scope = wishing.scope(client, target) if ask and may_ask_scope else ""
    if duration is None:
        duration = wishing.duration(client, target) if ask else "1h"
    body = {"target": target, "reason": reason, "duration": seconds("--for", duration)}
    return body | ({"scope": scope_text(scope)} if scope else {})


def _check_incident(break_glass: bool, incident: str) -> None:
    """Both, or neither."""
    if break_glass and not incident:
        usage("--break-glass wants an incident", "Name it:  --incident INC-1")
    if incident and not break_glass:
        usage("--incident goes with --break-glass")


def show_broken(broken: Any, output: Output) -> None:
    """Shows what a broken glass gives, and what follows from it."""
    screen.show_request(output, broken)
    if output is Output.TABLE:
        say(f"You have access, with masks on:  hoop connect {clean(broken['target'])}")
        say(f"The owners are told.  One of them looks at it: {clean(broken.get('review', ''))}")


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
        told_access(asked)


def told_access(asked: Any) -> None:
    """Says that there is access now, or from when on."""
    if asked.get("extends"):
        say(f"It goes on from {asked['extends']}; sessions that are open stay open.")
    elif asked.get("starts"):
        say(f"You have access from {when(asked['starts'], screen.now())} on.")
    else:
        say(f"You have access:  hoop connect {clean(asked['target'])}")


def _priority(text: str) -> str:
    """The priority; empty for the usual one."""
    from hoopcore.model import Priority

    word = choice("--priority", text, Priority)
    return "" if word == Priority.NORMAL else word
