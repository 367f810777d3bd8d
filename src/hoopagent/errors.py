"""What a use case says no with.  The API turns it into an answer, the CLI into an exit code."""

from __future__ import annotations


class Refused(Exception):
    """The asked-for thing will not happen: what went wrong, with what, and what to type next."""

    def __init__(self, status: int, error: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.status = status  # HTTP: 403 refused, 404 not there, 409 too late, 422 makes no sense
        self.error = error  # a word for programs
        self.message = message
        self.hint = hint  # a command to type, or nothing
