"""One database under the store: how it is opened, asked, and how its troubles are told.

Reading and writing are two doors.  ``write`` runs a whole transaction that holds the right to
write from its first statement on (SQLite would otherwise refuse the upgrade in the middle), and
runs it again when the database says that another one was in the way.  Whatever a driver or the
operating system raises leaves here as ``StoreAway``.

Order of the file: the border of errors, reading and writing, the two engines.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import URL, Connection, event
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from hoopagent.store import StoreAway

T = TypeVar("T")

# Each attempt at SQLite already waits BUSY for its turn.
ATTEMPTS = 3
BUSY = 5_000  # milliseconds
CONNECT = 5.0  # seconds
COMMAND = 10.0  # seconds; a store that is slower than this is away

_TRY_AGAIN = frozenset({"40001", "40P01"})  # serialization failure, deadlock
_BEGIN = "hoop_begin"  # the statement a SQLite transaction begins with


# --- the border of errors -----------------------------------------------------------------------


@contextmanager
def border() -> Iterator[None]:
    """Turns what drivers and the operating system raise into StoreAway.

    IntegrityError passes: the caller knows which conflict it can be.  The text is the driver's
    first line, never SQL or parameters.
    """
    try:
        yield
    except IntegrityError:
        raise
    except (
        SQLAlchemyError,
        sqlite3.Error,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        OSError,
        OverflowError,  # a number that no database column holds
    ) as problem:
        raise StoreAway(f"the store cannot be asked: {cause(problem)}") from problem


def cause(problem: BaseException) -> str:
    """The driver's own first line, behind its kind where that line says nothing."""
    origin = getattr(problem, "orig", None) or problem
    line = str(origin).strip().partition("\n")[0]
    # SQLAlchemy puts the class of the driver's error in front.
    line = line.rpartition(">: ")[2]
    return line or type(origin).__name__


def _may_try_again(problem: DBAPIError) -> bool:
    origin = problem.orig
    if getattr(origin, "sqlstate", None) in _TRY_AGAIN:
        return True
    code = getattr(origin, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


# --- reading and writing ------------------------------------------------------------------------


@dataclass(slots=True)
class Database:
    """An engine and the only two ways to use it.

    ``changes`` counts what was written, at its beginning and at its end, so that who has seen the
    same number twice has missed nothing; ``alone``: nobody else writes there.
    """

    engine: AsyncEngine
    alone: bool = False
    changes: int = 0

    async def read(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """What the work finds, all of it in one snapshot on SQLite."""
        with border():
            async with self.engine.connect() as connection:
                return await work(connection)

    async def write(
        self, work: Callable[[AsyncConnection], Awaitable[T]], *, counts: bool = True
    ) -> T:
        """The work's answer, after its transaction is committed; it may run more than once.

        ``counts`` False: it changes nothing that ``changes`` is asked for.
        """
        self.changes += counts
        try:
            return await self._write(work)
        finally:
            self.changes += counts

    async def _write(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        with border():
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    return await self._once(work)
                except IntegrityError:
                    raise
                except DBAPIError as problem:
                    if attempt == ATTEMPTS or not _may_try_again(problem):
                        raise
        raise AssertionError("the last attempt returns or raises")

    async def _once(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        async with self.engine.connect() as connection:
            await connection.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
            async with connection.begin():
                return await work(connection)

    async def outside(self, statement: str) -> None:
        """Runs what SQLite does only outside of a transaction."""
        with border():
            async with self.engine.connect() as connection:
                await connection.execution_options(**{_BEGIN: ""})
                await connection.exec_driver_sql(statement)

    async def close(self) -> None:
        await self.engine.dispose()


# --- the two engines ----------------------------------------------------------------------------


def sqlite_engine(path: Path) -> AsyncEngine:
    """WAL, foreign keys on, every commit on the disk before it counts."""
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        hide_parameters=True,
        pool_timeout=COMMAND,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout = {BUSY}",
            "foreign_keys = on",
            # With NORMAL a power cut could take back a revocation that somebody was told of.
            "synchronous = full",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        statement = connection.get_execution_options().get(_BEGIN, "BEGIN")
        if statement:
            connection.exec_driver_sql(statement)

    return engine


def postgres_engine(url: str) -> AsyncEngine:
    """asyncpg reads the URL itself, so libpq's parameters (sslmode …) mean what they always do."""

    async def connect() -> Any:
        return await asyncpg.connect(url, timeout=CONNECT, command_timeout=COMMAND)

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        hide_parameters=True,
        pool_pre_ping=True,  # a server that was restarted is not away
        pool_timeout=COMMAND,
    )
