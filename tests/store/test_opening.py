"""How a store is found, made, brought up to date, and refused."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path
from urllib.parse import quote

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from hoopagent.store import StoreAway, StoreUnusable
from hoopagent.store.sql import SqlStore, open_store
from hoopagent.store.tables import metadata
from hoopcli.demo.postgres import Postgres, free_port
from hoopcore.model import AuditEvent
from tests.store.conftest import opened
from tests.store.world import START, principal


def file_url(path: Path) -> str:
    return f"sqlite:///{quote(str(path))}"


async def test_the_migrations_lead_to_the_tables_as_they_are(store: SqlStore) -> None:
    def difference(connection: Connection) -> object:
        context = MigrationContext.configure(
            connection, opts={"version_table": "hoop_version", "compare_server_default": False}
        )
        return compare_metadata(context, metadata)

    async with store._database.engine.connect() as connection:
        assert await connection.run_sync(difference) == []


async def test_what_was_stored_is_there_after_opening_again(store: SqlStore, url: str) -> None:
    await store.put_principal(principal("ana", "engineering"), START)
    await store.close()
    again = await opened(url)
    assert await again.principal("p-ana") == principal("ana", "engineering")
    await again.close()


async def test_a_store_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "data" / "hoop.sqlite"
    store = await opened(file_url(path))
    await store.audit(AuditEvent(START, "a", "b.c", "d"))
    assert {file.name for file in path.parent.iterdir()} >= {"hoop.sqlite", "hoop.sqlite-wal"}
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    await store.close()


async def test_a_readable_store_file_is_made_private_again(tmp_path: Path) -> None:
    path = tmp_path / "hoop.sqlite"
    await (await opened(file_url(path))).close()
    path.chmod(0o644)
    await (await opened(file_url(path))).close()
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_folder_that_others_write_to_holds_no_store(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(StoreUnusable, match="chmod 700"):
        await open_store(file_url(folder / "hoop.sqlite"), START)
    assert list(folder.iterdir()) == []


async def test_a_name_with_odd_characters_is_a_name(tmp_path: Path) -> None:
    path = tmp_path / "my data %20 #1?" / "hoop.sqlite"
    await (await opened(file_url(path))).close()
    assert list(tmp_path.rglob("*")) == [path.parent, path]


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "hoop.sqlite"
    path.write_text("these are my notes, not a database\n" * 50)
    with pytest.raises(StoreUnusable, match="not a database"):
        await open_store(file_url(path), START)
    assert path.read_text() == "these are my notes, not a database\n" * 50


async def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "hoop.sqlite"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE bookmarks (url TEXT)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreUnusable, match="another program"):
        await open_store(file_url(path), START)
    assert path.read_bytes() == before


async def test_a_damaged_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hoop.sqlite"
    await (await opened(file_url(path))).close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StoreUnusable, match=r"damaged|malformed|not a database"):
        await open_store(file_url(path), START)


async def test_a_store_of_a_newer_hoop_is_refused(store: SqlStore, url: str) -> None:
    async with store._database.engine.begin() as connection:
        await connection.execute(text("UPDATE hoop_version SET version_num = '9999'"))
    with pytest.raises(StoreUnusable, match="newer hoop"):
        await open_store(url, START)


async def test_tables_of_another_program_are_not_taken_for_ours(postgres: Postgres) -> None:
    postgres.psql("CREATE DATABASE others")
    postgres.psql("CREATE TABLE requests (id int)", "others")
    with pytest.raises(StoreUnusable, match="another program's tables"):
        await open_store(postgres.dsn("others"), START)
    assert postgres.psql(
        "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", "others"
    ) == ("1\n")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "no URL"),
        ("hoop.sqlite", "no URL"),
        ("sqlite://", "wants a file"),
        ("sqlite:///:memory:", "wants a file"),
        ("mysql://db/hoop", "mysql"),
    ],
)
async def test_a_url_that_names_no_store_is_refused(url: str, says: str) -> None:
    with pytest.raises(StoreUnusable, match=says):
        await open_store(url, START)


async def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnusable, match="cannot be used"):
        await open_store(file_url(tmp_path / "file" / "hoop.sqlite"), START)


async def test_a_server_that_is_not_there_is_away(postgres: Postgres) -> None:
    nowhere = f"postgresql://hoop:hunter2@127.0.0.1:{free_port()}/hoop"
    with pytest.raises(StoreAway) as refused:
        await open_store(nowhere, START)
    wrong = postgres.dsn().replace(f":{postgres.password}@", ":hunter2@")
    with pytest.raises(StoreAway) as denied:
        await open_store(wrong, START)
    for problem in (refused, denied):
        assert "hunter2" not in str(problem.value)


async def test_a_database_that_goes_away_is_away_and_nothing_else(
    store: SqlStore, url: str, tmp_path: Path, postgres: Postgres
) -> None:
    if url.startswith("sqlite"):
        await store.close()
        for file in tmp_path.iterdir():
            file.unlink()
        (tmp_path / "hoop.sqlite").mkdir()
    else:
        name = url.rpartition("/")[2]
        postgres.psql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        postgres.psql(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )
    for question in (
        store.highest_time(START),
        store.principal("p-ana"),
        store.requests(),
        store.expire(START),
        store.use_id_token("h", START, START),
        store.audit(AuditEvent(START, "a", "b.c", "d")),
    ):
        with pytest.raises(StoreAway):
            await question
    await drivers_threads_have_ended()


async def drivers_threads_have_ended() -> None:
    """aiosqlite's thread of a connection that failed says so to the loop, which must be there."""
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            await asyncio.to_thread(thread.join, 10)


async def test_a_number_that_no_column_holds_is_told_as_away(store: SqlStore) -> None:
    with pytest.raises(StoreAway):
        await store.audit(AuditEvent(1 << 70, "a", "b.c", "d"))


async def test_tokens_of_before_sign_ins_are_a_sign_in_each(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store of the first step, with two tokens in it, brought up to date."""
    upgrade = command.upgrade
    monkeypatch.setattr(command, "upgrade", lambda config, _: upgrade(config, "0001"))
    before = await opened(url)

    async def fill(connection: AsyncConnection) -> None:
        for statement in (
            "INSERT INTO principals VALUES ('p-ana', 'human', 'iss', 'ana', '', 1)",
            "INSERT INTO tokens (hash, principal, issued, expires, identity_until, key)"
            " VALUES ('h1', 'p-ana', 1, 2, 3, 'k'), ('h2', 'p-ana', 1, 2, 3, 'k')",
        ):
            await connection.execute(text(statement))

    await before._database.write(fill)
    await before.close()
    monkeypatch.undo()

    store = await opened(url)
    found = [await store.token(hash) for hash in ("h1", "h2")]
    assert [token.sign_in for token in found if token] == ["h1", "h2"]
    assert await store.revoke_sign_in("h1") == 1
    assert await store.identity_until("p-ana") == 3
    assert await store.identity_until("p-ana", "h1") == 0
    ana = await store.principal("p-ana")
    assert ana is not None
    assert ana.owner == ""
    await store.close()
