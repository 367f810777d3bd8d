"""``hoop review break-glass``: was it right to break the glass?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import typer

from hoopcli import about, asking, screen
from hoopcli.client import connected, path
from hoopcli.errors import say, usage
from hoopcli.options import OutputOption, id_of
from hoopcli.view import Output, clean, when

_HEADS = ("REVIEW", "WHO", "TARGET", "WHEN", "DUE", "STATE", "WHY")
_LIST = "hoop review break-glass"


def break_glass(
    review: Annotated[
        str | None, typer.Argument(help="The one to decide, or to look at.", metavar="REVIEW")
    ] = None,
    justified: Annotated[bool, typer.Option("--justified", help="It was right.")] = False,
    unjustified: Annotated[bool, typer.Option("--unjustified", help="It was not.")] = False,
    reason: Annotated[
        str | None, typer.Option(help="Why; they will read it.", metavar="TEXT")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Decided ones too.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say of somebody's break-glass whether it was right, with what they did as the evidence.

    The target's owners and administrators do, never who broke it.  Until somebody has, that person
    does not break another one.

    \b
    Examples:
      hoop review break-glass
      hoop review break-glass rev-7h2vd9xk4p
      hoop review break-glass rev-7h2vd9xk4p --justified --reason "it was down"
    """
    if justified and unjustified:
        usage("--justified and --unjustified do not go together")
    if review is None:
        if justified or unjustified or reason is not None:
            usage("an answer wants a REVIEW", f"They are listed by:  {_LIST}")
        _list(every, output)
        return
    id_of("review", review, _LIST)
    if not (justified or unjustified):
        _show_one(review, output)
        return
    option = "--justified" if justified else "--unjustified"
    why = asking.reason(reason, "Why? ", f"{_LIST} {clean(review)} {option}")
    body = {"state": option.removeprefix("--"), "reason": why}
    with connected() as client:
        value = client.post(path("break-glass", review), body)
    _show(value, output)


def _list(every: bool, output: Output) -> None:
    now = screen.now()
    with connected() as client:
        values = client.get("/v1/break-glass", all=every)
    screen.show(
        output,
        values,
        heads=_HEADS,
        row=lambda one: _row(one, now),
        name=lambda one: one["id"],
        empty="No break-glass waits for your word.",
    )
    waits = [one for one in values if one["yours_to_say"] and one["state"] == "pending"]
    if output is Output.TABLE and waits:
        say(f'Answer:  {_LIST} {clean(waits[0]["id"])} --justified --reason "…"')


def _show_one(review: str, output: Output) -> None:
    with connected() as client:
        values = client.get("/v1/break-glass", all=True)
    found = [one for one in values if one["id"] == review]
    if not found:
        usage(f"there is no review {clean(review)} that you may see", f"See:  {_LIST} --all")
    _show(found[0], output)


def _show(value: Any, output: Output) -> None:
    now = screen.now()
    screen.show_one(output, value, pairs=lambda one: _card(one, now), name=lambda one: one["id"])


def _row(one: Any, now: datetime) -> tuple[object, ...]:
    pending = one["state"] == "pending"
    return (
        one["id"],
        about.called(one["principal"]),
        one["target"],
        when(one["made"], now),
        when(one["due"], now) if pending else "",
        "" if pending else one["state"],
        f"{one['incident']}: {one['reason']}",
    )


def _card(one: Any, now: datetime) -> Iterator[tuple[str, object]]:
    yield "review", one["id"]
    yield "state", one["state"]
    yield "who", about.called(one["principal"])
    yield "target", one["target"]
    yield "incident", one["incident"]
    yield "reason", one["reason"]
    yield "when", when(one["made"], now)
    yield "grant", one["grant"]
    yield "sessions", one["sessions"]
    yield "statements", one["statements"]
    yield "rows", one["rows"] or ""
    yield "used", ", ".join(one["used"])
    if one["state"] == "pending":
        yield "due", when(one["due"], now)
        yield "decided by", f"one of {one['owners']}"
    else:
        yield "decided by", one["decided_by"]
        yield "because", one["why"]
