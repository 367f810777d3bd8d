"""``hoop sessions hold`` and ``release``: recordings that nobody deletes (a legal hold)."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hoopcli import asking, completion_values, screen
from hoopcli.client import connected, path
from hoopcli.errors import say
from hoopcli.options import OutputOption, id_of
from hoopcli.view import Output, clean

__all__ = ["hold", "release"]

_HEADS = ("SESSION", "RECORDING", "HELD BECAUSE")
_Sessions = Annotated[
    list[str],
    typer.Argument(help="Sessions.", metavar="SESSION", autocompletion=completion_values.sessions),
]
_Reason = Annotated[str | None, typer.Option(help="Why.", metavar="TEXT")]


def hold(
    session: _Sessions,
    reason: _Reason = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Keep recordings from being deleted, however old they become (a legal hold).

    For auditors and administrators.  It is on the audit.

    \b
    Examples:
      hoop sessions hold s-1c9fz4m2qk --reason "case 2026-117"
      hoop sessions hold s-1c9fz4m2qk s-7d8gx5n3rt --reason "case 2026-117"
    """
    _told(session, "hold", reason, output)


def release(
    session: _Sessions,
    reason: _Reason = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """End a legal hold: recordings are deleted again when policy says so.

    \b
    Example:
      hoop sessions release s-1c9fz4m2qk --reason "case 2026-117 is closed"
    """
    _told(session, "release", reason, output)


def _told(sessions: list[str], verb: str, reason: str | None, output: Output) -> None:
    for id in sessions:
        id_of("session", id, "hoop sessions")
    why = asking.reason(reason, "Why? ", f"hoop sessions {verb} {clean(sessions[0])}")
    done: list[Any] = []
    with connected() as client:
        for id in dict.fromkeys(sessions):
            try:
                done.append(client.post(path("sessions", id, verb), {"reason": why}))
            except BaseException:
                if done:
                    say(f"{len(done)} before {id} are done.")
                raise
    screen.show(
        output,
        done,
        heads=_HEADS,
        row=lambda one: (one["id"], one["kept"], (one["held"] or {}).get("reason", "not held")),
        name=lambda one: one["id"],
        empty="Nothing was done.",
    )
