"""When a connection counts as dead, and when it is only slow, asleep or quiet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hoopagent.shells.pulse import IDLE, TICK, Line, Pulse


class Hour:
    """A loop, as far as a pulse needs one."""

    def __init__(self) -> None:
        self.now = 0.0
        self._next: tuple[float, Callable[[], None]] | None = None

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, call: Callable[[], None]) -> None:
        self._next = (self.now + delay, call)

    def until(self, when: float) -> None:
        while self._next is not None and self._next[0] <= when:
            self.now, call = self._next
            self._next = None
            call()
        self.now = when


class Far:
    """A connection whose other end says what it is told to."""

    def __init__(self) -> None:
        self._recv_seq = 0
        self.line = Line(0, waits=False, unanswered=False)
        self.closed = False
        self.interval = 0.0
        self.sent: list[int] = []

    def hear(self) -> None:
        self._recv_seq += 1

    def is_closed(self) -> bool:
        return self.closed

    def set_keepalive(self, interval: float, count: int) -> None:
        self.interval = interval

    def send_packet(self, kind: int, *parts: bytes, **options: Any) -> None:
        self.sent.append(kind)

    def abort(self) -> None:
        self.closed = True


@pytest.fixture
def hour(monkeypatch: pytest.MonkeyPatch) -> Hour:
    hour = Hour()
    monkeypatch.setattr("hoopagent.shells.pulse.asyncio.get_running_loop", lambda: hour)
    monkeypatch.setattr(Line, "of", lambda conn: conn.line)
    return hour


def watched(far: Far, busy: bool, *, eager: bool = False) -> list[float]:
    lost: list[float] = []
    Pulse(far, busy=lambda: busy, patience=60, lost=lost.append, eager=eager).begin()
    return lost


def test_silence_while_something_runs_ends_within_nine_seconds(hour: Hour) -> None:
    far = Far()
    lost = watched(far, busy=True)
    assert far.interval == TICK
    hour.until(9)
    assert far.closed
    assert len(lost) == 1


def test_silence_where_nothing_runs_is_borne(hour: Hour) -> None:
    far = Far()
    watched(far, busy=False)
    assert far.interval == IDLE
    hour.until(58)
    assert not far.closed
    hour.until(62)
    assert far.closed


def test_who_answers_lives(hour: Hour) -> None:
    far = Far()
    watched(far, busy=True)
    for second in range(100):
        far.hear()
        hour.until(second)
    assert not far.closed


def test_a_slow_line_that_takes_what_is_sent_lives(hour: Hour) -> None:
    far = Far()
    watched(far, busy=True)
    for second in range(100):
        far.line = Line(second, waits=True, unanswered=True)
        hour.until(second)
    assert not far.closed
    hour.until(109)
    assert far.closed


def test_a_stopped_process_whose_kernel_takes_our_keepalives_is_gone(hour: Hour) -> None:
    far = Far()
    watched(far, busy=True)
    for second in range(10):
        far.line = Line(second, waits=False, unanswered=False)
        hour.until(second)
    assert far.closed


def test_what_a_dead_network_takes_no_more_ends_an_idle_shell_too(hour: Hour) -> None:
    far = Far()
    watched(far, busy=False)
    hour.until(30)
    far.line = Line(5, waits=True, unanswered=True)
    hour.until(41)
    assert far.closed


def test_a_sleep_of_our_own_is_no_silence(hour: Hour) -> None:
    far = Far()
    watched(far, busy=True)
    hour.until(1)
    hour.now = 3600
    hour.call_later(0, hour._next[1] if hour._next else lambda: None)
    hour.until(3605)
    assert not far.closed


def test_keys_that_are_typed_into_silence_want_an_answer(hour: Hour) -> None:
    far = Far()
    watched(far, busy=False, eager=True)
    hour.until(20)
    far.send_packet(94)
    hour.until(31)
    assert far.closed
    assert far.sent == [94]


def test_keys_that_were_answered_want_none(hour: Hour) -> None:
    far = Far()
    watched(far, busy=False, eager=True)
    far.send_packet(94)
    far.hear()
    hour.until(40)
    assert not far.closed
