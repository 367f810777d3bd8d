"""Options and arguments that mean the same in every command.

The core's values are imported where one is checked: a command's ``--help`` has no use for them.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

import typer

from hoopcli import durations
from hoopcli.errors import usage
from hoopcli.view import Output, clean

_TARGET = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")  # as the agent's configuration has it

OutputOption = Annotated[
    Output,
    typer.Option("-o", "--output", help="What to print on stdout.", metavar="table|json|names"),
]


def seconds(option: str, text: str) -> int:
    """The duration given with an option; a usage error where it is none."""
    try:
        return durations.parse(text)
    except ValueError as error:
        usage(f"{option}: {error}")


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
    """The name, if a target may be called so; a usage error otherwise."""
    if not _TARGET.fullmatch(text):
        usage(
            f'"{clean(text)}" cannot be the name of a target.', "They are listed by:  hoop targets"
        )
    return text
