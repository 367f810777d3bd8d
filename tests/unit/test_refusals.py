"""What the audit gets of sign-ins that failed: all kinds, and no flood."""

from __future__ import annotations

import pytest

from hoopagent.refusals import MINUTE, MOST, Refusals
from hoopagent.store import StoreAway
from hoopcore.model import AuditEvent, Time


class Book:
    """The store's one question that is asked here."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.away = False

    async def audit(self, event: AuditEvent) -> None:
        if self.away:
            raise StoreAway("away")
        self.events.append(event)


class Desk:
    def __init__(self) -> None:
        self.book, self.now = Book(), 1_000 * MINUTE
        self.refusals = Refusals(self.book, self.clock)  # type: ignore[arg-type]  # one method of it

    async def clock(self) -> Time:
        return self.now

    def times(self) -> list[int]:
        return [int(event.detail["times"]) for event in self.book.events]


async def test_the_first_is_written_at_once_and_the_rest_of_the_minute_as_one() -> None:
    desk = Desk()
    for _ in range(500):
        desk.refusals.note("ssh", "bad key", peer="192.0.2.1")
        await desk.refusals.write()
    assert desk.times() == [1]
    desk.now += MINUTE
    await desk.refusals.write()
    assert desk.times() == [1, 499]
    desk.now += MINUTE
    await desk.refusals.write()
    assert desk.times() == [1, 499]  # nothing happened, so nothing is said
    desk.refusals.note("ssh", "bad key", peer="192.0.2.1")
    await desk.refusals.write()
    assert desk.times() == [1, 499, 1]


async def test_each_kind_is_its_own_and_there_are_only_so_many() -> None:
    desk = Desk()
    for number in range(10 * MOST):
        desk.refusals.note("ssh", "bad key", peer=f"192.0.2.{number}")
    desk.refusals.note("ssh", "bad key", who="root\x1b[2J", peer="192.0.2.1")
    await desk.refusals.write()
    assert len(desk.book.events) == MOST + 1
    assert sum(desk.times()) == 10 * MOST + 1
    assert {event.subject for event in desk.book.events} == {""}  # a made-up name is nobody's


async def test_a_store_that_is_away_loses_none() -> None:
    desk = Desk()
    desk.refusals.note("api", "unknown token", peer="uid 1000")
    desk.book.away = True
    with pytest.raises(StoreAway):
        await desk.refusals.write()
    desk.book.away = False
    desk.refusals.note("api", "unknown token", peer="uid 1000")
    await desk.refusals.write()
    assert desk.times() == [2]
