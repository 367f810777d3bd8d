"""``hoop policy``: whether the rules are right, what they would say, and why they said it.

``check`` and ``try`` read the agent's files where they lie, without an agent; ``why`` reads a
recording.  Order of the file: check, try, why.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from hoopcli import completion_values, screen
from hoopcli.errors import Exit, fail, say, usage
from hoopcli.options import EvidenceArgument, KeyOption, OutputOption
from hoopcli.view import Output, clean

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)


@app.callback()
def policy() -> None:
    """Check the rules, try them on a statement, ask why one was refused.

    \b
    Example:
      hoop policy check ./hoop-agent.d
    """


# --- check ----------------------------------------------------------------------------------------


@app.command()
def check(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="The agent's files. Else $HOOP_AGENT_CONFIG or ./hoop-agent.d.",
            metavar="[FOLDER]",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Doubts fail it, too.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say everything that is wrong with rules.toml, by line, key and rule.

    Every example is run.  Doubts are told as well: rules that never match, that a stronger rule
    hides, that name what no other file knows, or that have no example.

    \b
    Examples:
      hoop policy check ./hoop-agent.d
      hoop policy check --strict -o json
    """
    from hoopcli import rules_at_hand

    where = rules_at_hand.folder_of(folder)
    text = rules_at_hand.rules_in(where, folder)
    try:
        found = rules_at_hand.remarks(text, rules_at_hand.around(where))
    except ModuleNotFoundError as missing:
        rules_at_hand.needs_grammar(missing)
    if output is Output.JSON or found:
        screen.show(
            output,
            [one._asdict() for one in found],
            heads=("LINE", "", "RULE", "KEY", "WHAT"),
            row=lambda one: tuple(one[key] or "" for key in _COLUMNS),
            name=lambda one: one["rule"],
            empty="",
        )
    errors = sum(one.level == "error" for one in found)
    if errors:
        hint = "No agent starts with these rules, and one that runs keeps those it has."
        fail(f"rules.toml has {_count(errors, 'error')}", hint)
    if found and strict:
        fail(f"rules.toml has {_count(len(found), 'doubt')}")
    doubts = _count(len(found), "doubt") if found else "no doubts"
    say(f"rules.toml is right: {_count(rules_at_hand.entries(text), 'rule')}, {doubts}.")


_COLUMNS = ("line", "level", "rule", "key", "message")


def _count(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"


# --- try ------------------------------------------------------------------------------------------

_AS = Annotated[str, typer.Option("--as", help="Who runs it.", metavar="NAME")]
_ON = Annotated[
    str,
    typer.Option(
        "--on", help="The target.", metavar="TARGET", autocompletion=completion_values.targets
    ),
]
_AT = Annotated[str | None, typer.Option("--at", help="When. Else now.", metavar="TIME")]
_FROM = Annotated[
    str | None, typer.Option("--from", help="From where: an IP, or local.", metavar="ADDR")
]
_GROUP = Annotated[
    list[str] | None, typer.Option("--group", help="A group of theirs.", metavar="NAME")
]
_ROLE = Annotated[
    list[str] | None,
    typer.Option("--role", help="A role of theirs. Else what the groups give.", metavar="NAME"),
]
_KIND = Annotated[
    str | None,
    typer.Option(
        "--kind", help="human, service or agent. Else human.", metavar="KIND",
        autocompletion=completion_values.kinds,
    ),
]  # fmt: skip
_PRIORITY = Annotated[
    str | None,
    typer.Option(
        "--priority", help="Of the grant's request.", metavar="WORD",
        autocompletion=completion_values.priorities,
    ),
]  # fmt: skip
_LABEL = Annotated[
    list[str] | None,
    typer.Option("--label", help="A label of the target, where no file tells.", metavar="K=V"),
]
_SCOPE = Annotated[str, typer.Option("--scope", help="The grant's scope.", metavar="SCOPE")]
_CONFIG = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="The agent's files. Else $HOOP_AGENT_CONFIG or ./hoop-agent.d.",
        metavar="FOLDER",
    ),
]


@app.command("try")
def try_(
    statement: Annotated[str, typer.Argument(help="SQL; - reads it from stdin.", metavar="SQL")],
    on: _ON,
    name: _AS = "somebody",
    at: _AT = None,
    address: _FROM = None,
    group: _GROUP = None,
    role: _ROLE = None,
    kind: _KIND = None,
    priority: _PRIORITY = None,
    label: _LABEL = None,
    scope: _SCOPE = "*.*:*",
    config: _CONFIG = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say what the rules would do with a statement, and what was seen in it.

    Nothing is connected to.  What is not told (groups, address, …) counts against whoever it is,
    as in the agent.  Masks are not looked at.  Exit status: 0 allowed, 4 refused, 5 held.

    \b
    Examples:
      hoop policy try --as ana --on prod-db "delete from t"
      hoop policy try --on prod-db --group dba --at 23:30 "drop table t"
      hoop policy try --on prod-db --from 10.1.2.3 -o json "select 1"
    """
    from hoopcli import policy_view, rules_at_hand

    asked = rules_at_hand.Asked(on, name, group, role, kind, priority, address, label, scope)
    text = _statement(statement)
    where = rules_at_hand.folder_of(config)
    rules = rules_at_hand.rules_in(where, config)
    try:
        told = rules_at_hand.tried(rules, asked, rules_at_hand.around(where), text, _moment(at))
    except ModuleNotFoundError as missing:
        rules_at_hand.needs_grammar(missing)
    screen.show_one(output, told, pairs=policy_view.explained, name=lambda one: one["verdict"])
    code = {"allow": Exit.DONE, "hold": Exit.PENDING}.get(told["verdict"], Exit.REFUSED)
    raise typer.Exit(int(code))


def _statement(given: str) -> bytes:
    text = sys.stdin.read() if given == "-" else given
    if not text.strip():
        usage("there is no statement to try")
    return text.encode("utf-8", "surrogateescape")


def _moment(given: str | None) -> int:
    """Microseconds.  A time alone is of today, and without an offset of this machine's zone."""
    now = datetime.now(UTC).astimezone()
    if given is None:
        return int(now.timestamp()) * 1_000_000
    try:
        if len(given) <= 8:
            hours = datetime.strptime(given, "%H:%M")  # noqa: DTZ007 - today's date and zone follow
            at = now.replace(hour=hours.hour, minute=hours.minute, second=0, microsecond=0)
        else:
            at = datetime.fromisoformat(given)
    except ValueError:
        usage(f"--at: '{clean(given)}' is no time", "Write 23:30 or 2026-11-23T23:30+01:00.")
    return int(at.timestamp()) * 1_000_000


# --- why ------------------------------------------------------------------------------------------


@app.command()
def why(
    session: EvidenceArgument,
    number: Annotated[
        int, typer.Argument(help="The statement, as hoop replay numbers it.", metavar="N", min=1)
    ],
    key: KeyOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say why a statement of a session was let through or refused.

    What is told is what was recorded at the time: the rules may be others by now.

    \b
    Examples:
      hoop policy why s-1c9fz4m2qk 12
      hoop policy why s-1c9fz4m2qk 12 -o json
    """
    from hoopcli import evidence, policy_view

    found = evidence.gather(session, key)
    value = policy_view.recorded(found.events(), number)
    if value is None:
        hint = f"They are numbered by:  hoop replay {clean(session)} --no-wait"
        fail(f"there is no statement {number} in that recording", hint)
    screen.show_one(output, value, pairs=policy_view.past, name=lambda one: one["verdict"])
    if not found.report().ok and not found.runs:
        say(f"This recording does not verify.  See:  hoop verify {clean(session)}")
