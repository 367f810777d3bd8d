"""Options and arguments that mean the same in every command.

The core's values are imported where one is checked: a command's ``--help`` has no use for them.
"""

from __future__ import annotations

import os
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from hoopcli import completion_values, durations
from hoopcli.errors import usage
from hoopcli.view import Output, clean

_TARGET = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")  # as the agent's configuration has it

OutputOption = Annotated[
    Output,
    typer.Option("-o", "--output", help="What to print on stdout.", metavar="table|json|names"),
]

# For ``evidence.gather``, which tells the one from the other.
EvidenceArgument = Annotated[
    str,
    typer.Argument(
        help="A session, or a recording's file.",
        metavar="SESSION|FILE",
        autocompletion=completion_values.sessions,
    ),
]

KeyOption = Annotated[
    Path | None, typer.Option(help="The agent's public key, for a file.", metavar="FILE")
]


def _meant(agent: str | None) -> None:
    """Only this agent, from now on; a usage error where it was never signed in to."""
    from hoopcli import profile

    if not agent:
        return
    if profile.pin_of(profile.named(agent)) is None:
        usage(f'you know no agent "{clean(agent)}".', f"Sign in:  hoop login --agent {agent}")
    os.environ["HOOP_AGENT"] = agent


_Agent = Annotated[
    str | None,
    typer.Option(
        "--agent",
        help="At which agent, where there are several.",
        metavar="NAME",
        callback=_meant,
        autocompletion=completion_values.agents,
        expose_value=False,
        show_default=False,
    ),
]


def _donor(agent: _Agent = None) -> None:
    """Has the option that every command gets."""


def agent_option() -> Any:
    """``--agent`` for a command that asks agents: the same as $HOOP_AGENT, for this once."""
    import typer.main

    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.command()(_donor)
    return typer.main.get_command(app).params[0]


def seconds(option: str, text: str) -> int:
    """The duration given with an option; a usage error where it is none."""
    try:
        return durations.parse(text)
    except ValueError as error:
        usage(f"{option}: {error}")


def moment(option: str, text: str) -> str:
    """The time given with an option, for the agent; a usage error where it is none."""
    from datetime import datetime

    from hoopcli import moments

    try:
        return moments.parse(text, datetime.now().astimezone()).isoformat()
    except ValueError as error:
        usage(f"{option}: {error}")


def scope_text(text: str) -> str:
    """The scope given with --scope, in its canonical form; a usage error where it is none."""
    from hoopcore.model import Scope

    try:
        return str(Scope.parse(text))
    except ValueError as error:
        usage(f"--scope: {error}", "Write it like  orders:read  or  public.*:read+update")


def choice(option: str, text: str, words: type[StrEnum]) -> str:
    """The word given with an option; a usage error that lists the words where it is none."""
    if text not in list(words):
        usage(f"{option}: '{clean(text)}' is not one of {', '.join(words)}")
    return text


def id_of(noun: str, text: str, lists: str) -> str:
    """The id, if it has the form of one; a usage error that says which command lists them.

    What has not the form of an id is a slip of the hand, and the agent need not be asked.
    """
    from hoopcore.model import is_id

    if not is_id(text):
        usage(f'"{clean(text)}" is not the id of a {noun}.', f"They are listed by:  {lists}")
    return text


def request_id(text: str) -> str:
    return id_of("request", text, "hoop requests")


def grant_id(text: str) -> str:
    return id_of("grant", text, "hoop grants")


def target_name(text: str) -> str:
    """The name, if a target may be called so; a usage error otherwise.

    AGENT/NAME says at which agent, as --agent does.
    """
    agent, _, text = text.rpartition("/")
    _meant(agent)
    if not _TARGET.fullmatch(text):
        usage(
            f'"{clean(text)}" cannot be the name of a target.', "They are listed by:  hoop targets"
        )
    return text
