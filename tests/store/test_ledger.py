"""The ledger of budgets on a real store: what is counted outlives who counted it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from hoopagent.ledger import Ledger
from hoopagent.store import Store, StoreAway
from hoopcore.model import Time
from hoopcore.policy import Amount
from hoopcore.policy.budgets import BUCKET, HOUR
from tests.store.world import START, World


@dataclass
class Now:
    at: Time = START

    def __call__(self) -> Time:
        return self.at


async def grants(world: World, count: int = 2) -> list[str]:
    """Grants that are in the store."""
    return [await world.granted(world.ana) for _ in range(count)]


def ledger(store: Store, now: Now, *in_use: str) -> Ledger:
    return Ledger(store, now, lambda: set(in_use))


async def test_what_was_counted_outlives_the_agent_that_counted(world: World) -> None:
    now, (one, other) = Now(), await grants(world)
    first = ledger(world.store, now, one, other)
    await first.open([one, other])
    first.add(one, Amount(rows=3, statements=1))
    now.at += BUCKET
    first.add(one, Amount(rows=4, bytes=1 << 40))
    first.add(other, Amount(sensitive=2))
    await first.save()
    second = ledger(world.store, now)
    await second.open([one, other])
    assert second.total(one) == Amount(7, 1 << 40, 0, 1)
    assert second.total(other) == Amount(sensitive=2)
    now.at += HOUR
    assert second.total(one) == Amount(4, 1 << 40)
    now.at += 2 * BUCKET
    assert second.total(one) == Amount()


async def test_agents_on_one_store_share_what_they_count(world: World) -> None:
    now, (grant,) = Now(), await grants(world, 1)
    here, there = ledger(world.store, now, grant), ledger(world.store, now, grant)
    for one in (here, there):
        await one.open([grant])
    for _ in range(5):
        here.add(grant, Amount(rows=2))
        there.add(grant, Amount(rows=3))
        await asyncio.gather(here.save(), there.save())
    await here.open([grant])
    assert here.total(grant).rows == 25


async def test_what_is_counted_while_the_store_is_asked_is_not_lost(world: World) -> None:
    now, (grant,) = Now(), await grants(world, 1)
    one = ledger(world.store, now, grant)
    await one.open([grant])
    for _ in range(20):
        one.add(grant, Amount(rows=1))
        async with asyncio.TaskGroup() as group:
            group.create_task(one.save())
            await asyncio.sleep(0)
            one.add(grant, Amount(rows=1))
    assert one.total(grant).rows == 40
    await one.save()
    again = ledger(world.store, now)
    await again.open([grant])
    assert again.total(grant).rows == 40


async def test_while_the_store_is_away_it_counts_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, (grant,) = Now(), await grants(world, 1)
    one = ledger(world.store, now, grant)
    await one.open([grant])

    async def away(*_: object) -> None:
        raise StoreAway

    with monkeypatch.context() as patched:
        patched.setattr(world.store, "spend", away)
        one.add(grant, Amount(rows=5))
        await one.save()
        one.add(grant, Amount(rows=5))
        await one.save()
        assert one.total(grant).rows == 10
    await one.save()
    again = ledger(world.store, now)
    await again.open([grant])
    assert again.total(grant).rows == 10


async def test_old_buckets_are_forgotten(world: World) -> None:
    now, (grant,) = Now(), await grants(world, 1)
    one = ledger(world.store, now, grant)
    await one.open([grant])
    one.add(grant, Amount(rows=5))
    await one.save()
    now.at += 2 * HOUR
    one.add(grant, Amount(rows=1))
    await one.save()
    assert list((await world.store.spent([grant], 0))[grant].values()) == [Amount(rows=1)]
