"""Commands whose output is no text, and passes as it is."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from hoopcore.statement import Reading

# Where a program that is known by its name is.
_FOLDERS: Final = ("", "/bin/", "/usr/bin/", "/usr/local/bin/")
# Letters that no shell takes for more than letters, and quotes.
_SIMPLE = re.compile(r"[\w@%+=:,./ '\"-]+", re.ASCII)
# What makes tar print a file, or run a program that does.
_PRINTS: Final = re.compile(r"--(?:to-[sc]|us|checkpoint-a|inf|new-v|rs|rm)|-[A-Za-z]*[OIF]")


def clear_command(text: str, reading: Reading, names: Collection[str]) -> bool:
    """Whether this is one command, read with certainty, of a program of these names.

    ``tar`` only where it does not say that it prints files or runs programs.
    """
    if reading.why or len(reading.statements) != 1 or not _SIMPLE.fullmatch(text):
        return False
    shell = reading.statements[0].shell
    if shell is None or len(shell.commands) != 1:
        return False
    command = shell.commands[0]
    folder, family = command.program[: -len(command.family)], command.family
    if family not in names or folder not in _FOLDERS:
        return False
    if text.split()[0] != command.program:  # a variable may be set before it
        return False
    if not all(word.whole for word in command.words):
        return False
    if family == "tar":
        said = [word.said for word in command.words]
        if said and not said[0].startswith("-"):
            said[0] = f"-{said[0]}"  # its first word is options, also without a dash
        return not any(_PRINTS.match(word) for word in said)
    return True
