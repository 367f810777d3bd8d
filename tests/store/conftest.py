"""One suite on both stores: every test that asks for ``store`` or ``url`` runs twice."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from hoopagent.store.database import Database, postgres_engine, sqlite_engine
from hoopagent.store.sql import SqlStore, open_store
from hoopcli.demo.postgres import Postgres
from hoopcore.model import Time
from tests.store.world import START, World


@pytest.fixture(params=["sqlite", "postgresql"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """Of a store that does not exist yet, gone afterwards."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'hoop.sqlite'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = f"store_{os.urandom(6).hex()}"
    owner = await asyncpg.connect(server.dsn())
    try:
        await owner.execute(f"CREATE DATABASE {name}")
        yield server.dsn(name)
        await owner.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await owner.close()


async def opened(url: str, now: Time = START) -> SqlStore:
    store = await open_store(url, now)
    assert isinstance(store, SqlStore)
    return store


def joined(url: str) -> SqlStore:
    """A store that somebody else has opened before: nothing is made or brought up to date."""
    if url.startswith("sqlite"):
        return SqlStore(Database(sqlite_engine(Path(make_url(url).database or ""))))
    return SqlStore(Database(postgres_engine(url)))


@pytest.fixture
async def store(url: str) -> AsyncIterator[SqlStore]:
    store = await opened(url)
    yield store
    await store.close()


@pytest.fixture
async def world(store: SqlStore, tmp_path: Path) -> World:
    return await World.begin(store, tmp_path)
