"""``hoop review confirm``, ``done`` and ``undo``: what comes after an answer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import typer

from hoopcli import about, asking, review_view, screen
from hoopcli.client import connected, path
from hoopcli.errors import say, usage
from hoopcli.options import OutputOption, id_of
from hoopcli.view import Output, clean, when

_LIST = "hoop review confirm"
_HEADS = ("REVIEW", "WHO", "TARGET", "ANSWER", "WHEN", "REASON")


def confirm(
    review: Annotated[
        str | None, typer.Argument(help="The one to look at, or to decide.", metavar="REVIEW")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="They may keep it.")] = False,
    take_away: Annotated[
        bool, typer.Option("--take-away", help="The grant ends now, with its sessions.")
    ] = False,
    reason: Annotated[
        str | None, typer.Option(help="Why; they will read it.", metavar="TEXT")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say of somebody's answer about their own grant whether it stands.

    Who keeps a grant on a high tier, or cannot say, waits for somebody independent.  You see the
    answer, what they were shown, and the suggestion, which they were not.

    \b
    Examples:
      hoop review confirm
      hoop review confirm rev-7h2vd9xk4p
      hoop review confirm rev-7h2vd9xk4p --keep --reason "it is still open"
      hoop review confirm rev-7h2vd9xk4p --take-away --reason "it is over"
    """
    if keep and take_away:
        usage("--keep and --take-away do not go together")
    if review is None:
        if keep or take_away or reason is not None:
            usage("a word wants a REVIEW", f"They are listed by:  {_LIST}")
        _list(output)
        return
    id_of("review", review, _LIST)
    if not (keep or take_away):
        _show_one(review, output)
        return
    option = "--keep" if keep else "--take-away"
    why = asking.reason(reason, "Why? ", f"{_LIST} {clean(review)} {option}")
    body = {"answer": "confirm" if keep else "override", "reason": why}
    with connected() as client:
        decided = client.post(path("reviews", review, "confirm"), body)
    _show(decided, output)


def undo(
    review: Annotated[str, typer.Argument(help="The answer to take back.", metavar="REVIEW")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Take a grant again that you gave back, within ten minutes.

    \b
    Example:
      hoop review undo rev-7h2vd9xk4p
    """
    id_of("review", review, "hoop review done")
    with connected() as client:
        decided = client.post(path("reviews", review, "undo"), {})
    _show(decided, output)


def done(output: OutputOption = Output.TABLE) -> None:
    """What your answers have come to, and what the gate said when it was asked afterwards.

    \b
    Example:
      hoop review done
    """
    now = screen.now()
    with connected() as client:
        items = client.get("/v1/reviews/done")
    screen.show(
        output,
        items,
        heads=("REVIEW", "GRANT", "TARGET", "ANSWER", "WHEN", "STATE", "THE GATE"),
        row=lambda one: (
            one["id"],
            one["grant"],
            one["target"],
            one["answer"],
            when(one["made"], now),
            _state(one, now),
            dict(review_view.proof(one["proof"])).get("the gate", ""),
        ),
        name=lambda one: one["id"],
        empty="You have answered nothing yet.  Begin:  hoop review mine",
    )


def _state(one: Any, now: datetime) -> str:
    if one.get("undo_until"):
        return f"can be undone until {when(one['undo_until'], now)}"
    return str(one["state"])


def _list(output: Output) -> None:
    now = screen.now()
    with connected() as client:
        values = client.get("/v1/reviews/confirm")
    screen.show(
        output,
        values,
        heads=_HEADS,
        row=lambda one: (
            one["id"],
            about.called(one["subject"]),
            one["target"],
            one["answer"],
            when(one["made"], now),
            one["reason"],
        ),
        name=lambda one: one["id"],
        empty="No answer waits for your word.",
    )
    if output is Output.TABLE and values:
        say(f"Look at it:  {_LIST} {clean(values[0]['id'])}")


def _show_one(review: str, output: Output) -> None:
    with connected() as client:
        values = client.get("/v1/reviews/confirm")
    found = [one for one in values if one["id"] == review]
    if not found:
        usage(f"no answer {clean(review)} waits for your word", f"See:  {_LIST}")
    now = screen.now()
    screen.show_one(output, found[0], pairs=lambda one: _card(one, now), name=lambda one: one["id"])


def _card(one: Any, now: datetime) -> Iterator[tuple[str, object]]:
    yield "review", one["id"]
    yield "who", about.called(one["reviewer"])
    yield "answer", f"{one['answer']}, {when(one['made'], now)}"
    yield "reason", one["reason"]
    yield "looked at", ", ".join(one.get("opened") or ())
    yield "took", f"{one['took']} s" if one.get("took") else ""
    for name, value in review_view.card(one["evidence"], now):
        if name not in ("suggestion", "state"):
            yield name, value
    yield "suggestion", one.get("suggestion") or "none"


def _show(decided: Any, output: Output) -> None:
    now = screen.now()
    screen.show_one(
        output,
        decided,
        pairs=lambda one: review_view.outcome(one, now),
        name=lambda one: one["review"]["id"],
    )
