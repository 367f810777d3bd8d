"""A deadline holds as soon as any clock says so."""

from __future__ import annotations

import pytest

from hoopagent import clock as module
from hoopagent.clock import Clock


def test_a_wall_clock_turned_back_extends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    before = clock.late()
    monkeypatch.setattr(module, "_wall", lambda: before - 3_600_000_000)
    assert clock.late() >= before


def test_a_wall_clock_that_jumps_ahead_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    ahead = clock.wall() + 3_600_000_000
    monkeypatch.setattr(module, "_wall", lambda: ahead)
    assert clock.late() >= ahead


def test_sleep_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    start, boot = clock.late(), module._since_boot()
    monkeypatch.setattr(module, "_wall", lambda: start)
    monkeypatch.setattr(module, "_since_boot", lambda: boot + 60_000_000)
    assert clock.late() >= start + 59_000_000


def test_the_store_s_highest_time_is_a_floor() -> None:
    clock = Clock()
    seen = clock.late() + 86_400_000_000
    clock.at_least(seen)
    assert clock.late() >= seen
