"""What ``GET /v1/doctor`` costs: anybody who is signed in may ask it."""

from __future__ import annotations

import asyncio
import threading

from hoopagent.api.doctor import Lately


async def test_many_who_ask_at_once_share_one_look() -> None:
    looks = []
    done = threading.Event()

    def look() -> int:
        looks.append(1)
        assert done.wait(20)
        return 7

    lately = Lately(look)
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(lately.seen()) for _ in range(100)]
        impatient = asking.pop()
        await asyncio.sleep(0)
        impatient.cancel()
        done.set()
    assert [one.result() for one in asking] == [7] * 99
    assert looks == [1]
