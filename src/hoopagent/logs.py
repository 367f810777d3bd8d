"""Where the agent's log goes, in which form, and what it may say of a problem."""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback
from pathlib import Path
from typing import TextIO, cast

import structlog


class _Stderr:
    """Where log lines go.  A full disk, or a reader that has left, costs a line and no session."""

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


def log_to_stderr() -> None:
    """For people at a terminal, else one JSON object a line."""
    people = sys.stderr.isatty()
    # The one structlog would choose shows the values of local variables.
    plain = structlog.dev.plain_traceback
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Stderr())),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(exception_formatter=plain)
            if people
            else structlog.processors.JSONRenderer(),
        ],
    )


def places(problem: BaseException) -> list[str]:
    """Where it happened, without a word of what was said: a traceback's text may hold values."""
    return [
        f"{Path(frame.filename).name}:{frame.lineno}"
        for frame in traceback.extract_tb(problem.__traceback__)
    ]
