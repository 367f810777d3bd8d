"""What a shell may offer for the word under the cursor.

The shells' scripts call ``hoop __complete WORD…`` with the words so far, the last of them the one
being typed, and read one offer a line: the word, and behind a tab what it is.  Names of commands
come from a table; options and values from the one command they belong to.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from hoopcli.app import ALIASES, ENTRIES, load
from hoopcli.errors import Failure


def complete(words: Sequence[str]) -> list[str]:
    """The offers for the last word, in order; none where nothing is known."""
    # Whoever is asked for a token now must not prompt, and must not take long to renew one.
    os.environ["HOOP_COMPLETING"] = "1"
    *before, current = words or ("",)
    if not before:
        return _lines(_commands(current))
    entry = ENTRIES.get(before[0]) or ALIASES.get(before[0])
    if entry is None:
        return []
    try:
        command = load(entry)
    except Failure:
        return []
    return _lines(_inside(command, before[1:], current))


def _lines(offers: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{word}\t{' '.join(hint.split())}" if hint else word for word, hint in offers]


def _commands(current: str) -> Iterable[tuple[str, str]]:
    for entry in ENTRIES.values():
        if entry.name.startswith(current):
            yield entry.name, entry.summary
        elif entry.alias and entry.alias.startswith(current):
            yield entry.alias, entry.summary
    for option in ("--help", "--version"):
        if current.startswith("-") and option.startswith(current):
            yield option, ""


def _inside(command: Any, before: Sequence[str], current: str) -> Iterable[tuple[str, str]]:
    """Offers within one command; its sub-commands are commands of their own."""
    options = {name: one for one in command.params for name in getattr(one, "opts", ())}
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    waiting = None  # the option whose value comes next
    taken = 0
    for i, word in enumerate(before):
        if waiting is not None:
            waiting = None
        elif word == "--":
            return []  # what follows is for the client program
        elif word.startswith("-") and word != "-":
            option = options.get(word)
            waiting = option if option is not None and not option.is_flag else None
        elif hasattr(command, "commands"):
            below = command.commands.get(word)
            return _inside(below, before[i + 1 :], current) if below is not None else []
        else:
            taken += 1
    if waiting is not None:
        return _values(command, waiting, current)
    if current.startswith("-"):
        return _options(command, current)
    if hasattr(command, "commands"):
        return _below(command, current)
    if taken < len(arguments):
        return _values(command, arguments[taken], current)
    return []


def _options(command: Any, current: str) -> Iterable[tuple[str, str]]:
    for one in command.params:
        if one.param_type_name == "option" and not one.hidden:
            for name in one.opts:
                if name.startswith("--") and name.startswith(current):
                    yield name, one.help or ""
    if "--help".startswith(current):
        yield "--help", "Show this and exit."


def _below(group: Any, current: str) -> Iterable[tuple[str, str]]:
    for name, command in group.commands.items():
        if name.startswith(current) and not command.hidden:
            yield name, command.get_short_help_str(60)


def _values(command: Any, parameter: Any, current: str) -> Iterable[tuple[str, str]]:
    import typer

    context = typer.Context(command)
    for item in parameter.shell_complete(context, current):
        if item.type == "plain":
            yield item.value, item.help or ""
