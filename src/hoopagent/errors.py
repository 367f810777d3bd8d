"""What a use case says no with, and what stops a start."""

from __future__ import annotations


class CannotStart(Exception):
    """The agent does not start; the text says why, with what, and what to do."""


class Refused(Exception):
    """The asked-for thing will not happen: what went wrong, with what, and what to type next.

    The API turns it into an answer, the CLI into an exit code.
    """

    def __init__(self, status: int, error: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.status = status  # HTTP: 403 refused, 404 not there, 409 too late, 422 makes no sense
        self.error = error  # a word for programs
        self.message = message
        self.hint = hint  # a command to type, or nothing
        self.on_record = False  # the audit has a row of it
