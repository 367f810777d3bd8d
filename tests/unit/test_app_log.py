"""What the agent's log shows when something fails."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog

from hoopagent.logs import log_to_stderr


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@contextmanager
def logging_to_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    shown = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", shown)
        log_to_stderr()
        try:
            yield shown
        finally:
            structlog.reset_defaults()


def test_a_log_for_people_shows_no_values_of_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(secret: str) -> None:
        raise ZeroDivisionError

    with logging_to_a_terminal(monkeypatch) as terminal:
        try:
            fails("219-09-" + "9999")
        except ZeroDivisionError:
            structlog.get_logger().exception("it.failed")
        said = terminal.getvalue()
    assert "ZeroDivisionError" in said
    assert "219-09-9999" not in said


def test_a_log_whose_reader_has_left_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with logging_to_a_terminal(monkeypatch) as terminal:
        terminal.close()
        structlog.get_logger().info("agent.serving")
