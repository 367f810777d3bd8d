"""The one implementation of ``Store``, on SQLite and on PostgreSQL.

What it does lies beside it: ``people`` (who), ``life`` (requests to grants),
``clocks`` (when they hold), ``waiting`` (held
statements), ``past`` (sessions, decisions), ``finding`` (what sessions touched), ``keeping``
(where recordings are), ``reviewing`` (usage, reviews), ``audit`` (the
chain), ``glass`` (break-glass, leavers), ``spending`` (what budgets count), ``standings`` (what
carries a session).  Here: how a store is found, made and brought up to date.

Order of the file: the store, opening either kind, the migrations.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from importlib.resources import as_file, files
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError
from sqlalchemy.ext.asyncio import AsyncConnection

from hoopagent.store import Store, StoreAway, StoreUnusable
from hoopagent.store.audit import Audit
from hoopagent.store.clocks import Clocks
from hoopagent.store.database import Database, cause, postgres_engine, sqlite_engine
from hoopagent.store.finding import Finding
from hoopagent.store.glass import Glass
from hoopagent.store.keeping import Keeping
from hoopagent.store.life import Life
from hoopagent.store.past import Past
from hoopagent.store.people import People
from hoopagent.store.reviewing import Reviewing
from hoopagent.store.spending import Spending
from hoopagent.store.standings import Standings
from hoopagent.store.waiting import Waiting
from hoopcore.model import Time

# "hoop" in the header of our SQLite files, where file(1) and we look for it.
APPLICATION = 0x686F6F70
# Any number that two agents have in common and nobody else uses.
_MIGRATING = 0x686F6F70_0001


class SqlStore(
    People, Life, Clocks, Standings, Waiting, Past, Finding, Keeping, Reviewing, Audit, Glass,
    Spending,
):  # fmt: skip
    """Every question of ``Store``, by SQL that both databases understand."""


async def open_store(url: str, now: Time, *, alone: bool = False) -> Store:
    """The store at a SQLAlchemy-like URL, made where there is none and brought up to date.

    ``alone``: it is a file that no other agent writes to.

    ``sqlite:////data/hoop.db`` or ``postgresql://host/hoop`` (libpq's parameters).  StoreAway where
    the server cannot be reached; StoreUnusable where what is there is not ours, is damaged, or
    was made by a newer hoop.
    """
    try:
        kind = make_url(url).get_backend_name()
    except ArgumentError:
        raise StoreUnusable("the store is no URL: sqlite:///PATH or postgresql://…") from None
    if kind == "sqlite":
        store = await _open_sqlite(make_url(url).database or "", alone)
    elif kind == "postgresql":
        store = await _open_postgres(url)
    else:
        raise StoreUnusable(f'a store is on sqlite or postgresql, not on "{kind}"')
    try:
        await store.highest_time(now)
    except BaseException:
        await store.close()
        raise
    return store


# --- SQLite ---------------------------------------------------------------------------------------


async def _open_sqlite(name: str, alone: bool) -> SqlStore:
    if name in ("", ":memory:"):
        raise StoreUnusable("a store wants a file: sqlite:///PATH")
    path = Path(name)
    try:
        _make_private(path)
    except OSError as problem:
        raise StoreUnusable(f"the store {path} cannot be used: {problem.strerror}") from problem
    database = Database(sqlite_engine(path), alone=alone)
    try:
        await database.write(_ours)
        await database.outside("PRAGMA journal_mode = wal")
        await database.write(_migrate)
    except (StoreAway, _NotOurs) as problem:
        await database.close()
        raise _plainly(path, problem) from problem
    return SqlStore(database)


def _make_private(path: Path) -> None:
    """A file of 0600 in a folder only we write to; SQLite gives its other files the same mode."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if stat.S_IMODE(path.parent.stat().st_mode) & 0o022:
        raise StoreUnusable(
            f"the store's folder {path.parent} can be written by others: chmod 700 {path.parent}"
        )
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    path.chmod(0o600)


class _NotOurs(Exception):
    """Why this database is no store of ours."""


async def _ours(connection: AsyncConnection) -> None:
    """Marks an empty file as ours, and refuses one that is somebody else's or damaged."""
    mark = (await connection.exec_driver_sql("PRAGMA application_id")).scalar_one()
    tables = (await connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")).scalar_one()
    if mark != APPLICATION and (mark or tables):
        raise _NotOurs("it is a database of another program")
    health = (await connection.exec_driver_sql("PRAGMA quick_check(1)")).scalar_one()
    if health != "ok":
        raise _NotOurs("it is damaged")
    if not mark:
        await connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION}")


def _plainly(path: Path, problem: Exception) -> Exception:
    origin = getattr(problem.__cause__, "orig", None)
    if isinstance(problem, _NotOurs):
        return StoreUnusable(f"the store {path} cannot be used: {problem}")
    if isinstance(origin, sqlite3.DatabaseError) and origin.sqlite_errorcode in (
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_CORRUPT,
    ):
        return StoreUnusable(f"the store {path} cannot be used: {cause(origin)}")
    return problem


# --- PostgreSQL -----------------------------------------------------------------------------------


async def _open_postgres(url: str) -> SqlStore:
    scheme, _, rest = url.partition("://")
    database = Database(postgres_engine(f"{scheme.partition('+')[0]}://{rest}"))
    try:
        await database.write(_migrate)
    except _NotOurs as problem:
        await database.close()
        raise StoreUnusable(f"the store's database cannot be used: {problem}") from problem
    except BaseException:
        await database.close()
        raise
    return SqlStore(database)


# --- migrations -----------------------------------------------------------------------------------


async def _migrate(connection: AsyncConnection) -> None:
    """All steps from what is there to what is needed, in the caller's transaction or not at all."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _MIGRATING})
    try:
        await connection.run_sync(_upgrade)
    except CommandError as problem:
        raise _NotOurs(f"it was made by a newer hoop ({problem})") from problem
    except DatabaseError as problem:
        if getattr(problem.orig, "sqlstate", None) == "42P07":  # duplicate_table
            raise _NotOurs(f"another program's tables are in it: {cause(problem)}") from problem
        raise


def _upgrade(connection: Connection) -> None:
    with as_file(files("hoopagent.store") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
