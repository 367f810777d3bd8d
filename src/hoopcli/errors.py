"""What can go wrong between a person and hoop, and the one form in which they are told.

Whoever knows what went wrong raises a ``Failure``; ``__main__`` alone prints it and turns it into
an exit code.  So nothing else in this package writes an error, or leaves the process.

    hoop: you have no grant for "prod-db".
          Ask for it:  hoop request prod-db --for 1h --reason "…"
"""

from __future__ import annotations

import sys
from enum import IntEnum
from typing import NoReturn


class Exit(IntEnum):
    """The exit codes of ``hoop``.  After ``connect`` has started psql, psql's own holds."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_SIGNED_IN = 3
    REFUSED = 4  # by policy, or for want of a grant
    PENDING = 5  # nobody has decided yet, or waiting took too long
    RECORDING = 6
    UNREACHABLE = 7
    INTERRUPTED = 130  # what a shell makes of a Ctrl-C


class Failure(Exception):
    """It did not work: what went wrong, with what, and what to type next."""

    def __init__(self, message: str, hint: str = "", code: int = Exit.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = int(code)


class ApiError(Failure):
    """The agent answered, and its answer was no.  ``error`` is the agent's word for why."""

    def __init__(self, status: int, error: str, message: str, hint: str = "") -> None:
        code = {401: Exit.NOT_SIGNED_IN, 403: Exit.REFUSED}.get(status, Exit.FAILED)
        if status == 401 and not hint:
            hint = SIGN_IN
        super().__init__(message, hint, code)
        self.status = status
        self.error = error


SIGN_IN = "Sign in:  hoop login"


class NotSignedIn(Failure):
    """There is no identity to act with, or it has ended."""

    def __init__(self, message: str = "you are not signed in", hint: str = SIGN_IN) -> None:
        super().__init__(message, hint, Exit.NOT_SIGNED_IN)


class AgentUnreachable(Failure):
    """Nobody answers where the agent should be."""

    def __init__(self, message: str, hint: str = "Is the agent running?  hoop-agent run") -> None:
        super().__init__(message, hint, Exit.UNREACHABLE)


def fail(message: str, hint: str = "", code: int = Exit.FAILED) -> NoReturn:
    raise Failure(message, hint, code)


def usage(message: str, hint: str = "") -> NoReturn:
    """What was typed cannot be meant."""
    raise Failure(message, hint, Exit.USAGE)


def say(text: str = "") -> None:
    """A line of talk, or several.  It goes to stderr, since stdout is data.

    Whatever is in it, a terminal obeys none of it but the line ends.
    """
    from hoopcli.view import clean

    print("\n".join(map(clean, text.split("\n"))), file=sys.stderr, flush=True)


def told(message: str, hint: str = "") -> str:
    """The form in which every failure is shown.  A hint that is a command says so."""
    hints = [f"Try:  {line}" if line.startswith("hoop ") else line for line in hint.splitlines()]
    return "hoop: " + "\n      ".join([*message.splitlines(), *hints])
