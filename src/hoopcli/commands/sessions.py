"""``hoop sessions``: who was on which target, when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from hoopcli import about, completion_values, durations, screen
from hoopcli.client import connected
from hoopcli.errors import say, usage
from hoopcli.options import OutputOption, choice, target_name
from hoopcli.sessions_keep import hold, release
from hoopcli.sessions_show import show
from hoopcli.view import Output, clean, moment, span, when

app = typer.Typer(rich_markup_mode=None, add_completion=False)

# What it did is last: where it has no room it goes under the rest, and no id is broken.
_HEADS = ("SESSION", "WHO", "TARGET", "STARTED", "TOOK", "END", "DID")

# What is not as one expects of a recording.
_KEPT = {"deleting": ["recording deleted"], "deleted": ["recording deleted"]}


@app.callback(invoke_without_command=True)
def sessions(
    context: typer.Context,
    mine: Annotated[bool, typer.Option("--mine", help="Only yours.")] = False,
    target: Annotated[
        str | None,
        typer.Option(
            help="Only on this target.", metavar="TARGET", autocompletion=completion_values.targets
        ),
    ] = None,
    principal: Annotated[
        str | None, typer.Option(help="Only of this person (name or id).", metavar="WHO")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only those begun since: 2h, 3d, or a date.", metavar="WHEN"),
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Only those begun before: 2h, 3d, or a date.", metavar="WHEN")
    ] = None,
    touching: Annotated[
        str | None,
        typer.Option(help="Only those that met a table or a column.", metavar="TABLE[.COLUMN]"),
    ] = None,
    effect: Annotated[
        str | None, typer.Option(help="Only those with such a statement.", metavar="EFFECT")
    ] = None,
    masked: Annotated[
        str | None, typer.Option(help="Only those with such masked values.", metavar="KIND|COLUMN")
    ] = None,
    refused: Annotated[
        bool, typer.Option("--refused", help="Only those with a refused statement.")
    ] = False,
    live: Annotated[bool, typer.Option("--live", help="Only those that run now.")] = False,
    limit: Annotated[int, typer.Option(help="The newest so many.", min=1, max=10_000)] = 200,
    output: OutputOption = Output.TABLE,
) -> None:
    """Who was on which target, when, and what it came to.

    A table is meant in any schema unless one is said.  Every statement that names a column of it,
    or *, counts as meeting that column; so does one that could not be read.

    \b
    Examples:
      hoop sessions --mine --since 2d
      hoop sessions --target prod-db --live
      hoop sessions --touching customers.email --effect delete --refused
      hoop sessions show s-1c9fz4m2qk
    """
    if context.invoked_subcommand is not None:
        return
    now = screen.now()
    if target is not None:
        target = target_name(target)
    begun = None if since is None else _begun(since, now)
    before = None if until is None else _begun(until, now, "--until")
    if effect is not None:
        from hoopcore.statement import Effect

        effect = choice("--effect", effect, Effect)
    with connected() as client:
        values = client.get(
            "/v1/sessions",
            mine=mine,
            target=target,
            principal=principal,
            since=begun,
            until=before,
            touching=touching,
            effect=effect,
            masked=masked,
            refused=refused,
            live=live,
            limit=limit,
        )
    screen.show(
        output,
        values,
        heads=_HEADS,
        row=lambda session: row(session, now, everyone=not mine),
        name=lambda session: session["id"],
        empty="No session runs now." if live else "There is no such session that you may see.",
    )
    if len(values) == limit and output is Output.TABLE:
        say(f"These are the newest {limit}; --limit shows more.")


app.command()(show)
app.command()(hold)
app.command()(release)


def _begun(text: str, now: datetime, option: str = "--since") -> str:
    """A duration back from now, or a date or time (UTC where it names no zone), as RFC 3339."""
    try:
        at = now - timedelta(seconds=durations.parse(text))
    except (ValueError, OverflowError):
        try:
            at = moment(text)
        except ValueError:
            usage(f'{option}: "{clean(text)}" is no duration (2h, 3d) and no date (2026-11-22)')
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def row(session: Any, now: datetime, everyone: bool = True) -> tuple[object, ...]:
    """``everyone`` False leaves out whose it is, which is the same in every row."""
    started = moment(session["started"])
    ended = moment(session["ended"]) if session.get("ended") else None
    return (
        session["id"],
        about.called(session["principal"]) if everyone else "",
        session["target"],
        when(session["started"], now),
        span(((ended or now) - started).total_seconds()),
        session["end_cause"] if ended else "runs",
        _did(session),
    )


def _did(session: Any) -> str:
    """``5 statements, 1 refused, 8 masked``; what did not happen is left out."""
    count = session["statements"]
    if not count:
        return "nothing"
    parts = [f"{count} statement{'' if count == 1 else 's'}"]
    parts += [f"{session[word]} {word}" for word in ("refused", "masked") if session[word]]
    parts += _KEPT.get(session.get("kept", ""), [])
    parts += ["held"] if session.get("held") else []
    return ", ".join(parts)
