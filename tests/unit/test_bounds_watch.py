"""Looking at catalogs again, every few seconds, of all targets that have sessions."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hoopagent import bounds
from hoopagent.background import Background
from hoopagent.bounds import Bounds


async def test_a_target_that_hangs_holds_up_no_other_ones_masks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounds, "_CATALOG_AGE", 0)
    looked: list[str] = []
    enough = asyncio.Event()

    class Watched(Bounds):
        async def renew(self, target: str, database: str) -> None:
            looked.append(target)
            if target == "hangs":
                await asyncio.Event().wait()
            if looked.count("answers") > 3:
                enough.set()

    names = ("hangs", "answers")
    lives: Any = {name: SimpleNamespace(place=(name, "shop")) for name in names}
    background = Background()
    nothing = cast(Any, None)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        background.begin(group)
        watching = group.create_task(Watched(nothing, nothing, lives, background).watch())
        await enough.wait()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await asyncio.sleep(0)  # a look that was begun last has its first turn
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
    assert looked.count("hangs") == 1, "one look at a time"
