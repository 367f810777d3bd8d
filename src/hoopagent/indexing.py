"""``hoop-agent index --rebuild``: the store of a configuration, opened to make its index anew.

An agent that runs on the same store goes on: it reads the index, and fills what is missing in it.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from sqlalchemy import URL

from hoopagent.config import Config
from hoopagent.config_store import store_url
from hoopagent.depot import Depot
from hoopagent.errors import CannotStart
from hoopagent.index import rebuild
from hoopagent.keeping import Keeping
from hoopagent.means import Means
from hoopagent.secrets import SecretUnread
from hoopagent.store import Store, StoreAway, StoreUnusable
from hoopagent.store.sql import open_store


def rebuilt(config: Config) -> tuple[int, int]:
    """(sessions in the index, recordings that are not here).  CannotStart without a store."""
    return asyncio.run(_rebuilt(config))


async def _rebuilt(config: Config) -> tuple[int, int]:
    data = config.folder / config.agent.data
    here = data / "hoop.sqlite"
    try:
        named = store_url(config.agent.store, config.folder)
        if not named and not here.exists():
            raise CannotStart(f"there is no store in {data}: no agent has run there")
        own = URL.create("sqlite+aiosqlite", database=str(here)).render_as_string()
        store = await open_store(named or own, _now())
        try:
            keeping = _keeping(config, store, data / "recordings")
            return await rebuild(store, data / "recordings", _now, keeping.here)
        finally:
            await store.close()
    except (StoreAway, StoreUnusable, SecretUnread) as problem:
        raise CannotStart(f"the store cannot be opened: {problem}") from problem


def _keeping(config: Config, store: Store, folder: Path) -> Keeping:
    """Brings recordings that are in the archive."""
    archive = config.agent.archive
    depot = None if archive is None else Depot(archive, config.folder)
    return Keeping(Means(store, lambda: config, _now, os.urandom), folder, depot)


def _now() -> int:
    return time.time_ns() // 1000
