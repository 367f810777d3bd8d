"""psql, psycopg and asyncpg behind a tap that keeps every byte the server side sent them.

Each runs the same statements as the raw client, as far as it can: what it cannot run it says so by
an error of its own, and goes on.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import asyncpg
import psycopg

from hoopcli.demo.postgres import wheel_programs
from tests.bypass.battery_arena import BEGIN
from tests.bypass.inside import Inside
from tests.bypass.trial import Trial

# COPY beside or within another statement, and EXECUTE of one.
_COPIES = re.compile(r"; *copy |copy .*;|to program")
BEHIND = "rollback; close all; deallocate all"


class Tap:
    """A loopback port before a unix socket; ``heard`` is all that came from behind it."""

    def __init__(self, path: str) -> None:
        self.heard = bytearray()
        self._path = path
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._path)
                for source, to, keep in ((client, server, False), (server, client, True)):
                    threading.Thread(
                        target=self._move, args=(source, to, keep), daemon=True
                    ).start()

    def _move(self, source: socket.socket, to: socket.socket, keep: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if keep:
                    self.heard += data
                to.sendall(data)
        for side in (source, to):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
        source.close()  # each socket is the source of one thread


@contextmanager
def tapped(agent: Inside) -> Iterator[tuple[Tap, str]]:
    """A tap before this agent, and the user name of an endpoint there."""
    with agent.connect() as anchor:
        tap = Tap(f"{agent.door.socket_dir}/.s.PGSQL.5432")
        try:
            yield tap, anchor.user
        finally:
            tap.close()


def by_psql(tap: Tap, user: str, trials: Sequence[Trial]) -> int:
    """How many statements it ran."""
    script = ["\\set ON_ERROR_ROLLBACK on", f"{BEGIN};"]
    for trial in trials:
        script += ["begin;", *(f"{text};" for text in trial.texts), f"{BEHIND};"]
    own = wheel_programs() / "bin" / "psql"
    program = str(own) if own.exists() else shutil.which("psql") or "psql"
    done = subprocess.run(
        [
            program,
            "-Xq",
            f"host=127.0.0.1 port={tap.port} user={user} dbname=vault sslmode=disable",
        ],
        input="\n".join(script),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "server closed the connection" not in done.stderr, done.stderr[-500:]
    return sum(len(trial.texts) for trial in trials)


def by_psycopg(tap: Tap, user: str, trials: Sequence[Trial], *, binary: bool) -> int:
    """How many statements it ran without an error."""
    where = f"host=127.0.0.1 port={tap.port} user={user} dbname=vault sslmode=disable"
    ran = 0
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute(BEGIN)
        for trial in trials:
            connection.execute("begin")
            for text in trial.texts:
                connection.execute("savepoint here")
                try:
                    _told_psycopg(connection, text, binary=binary)
                    ran += 1
                except psycopg.Error:
                    connection.execute("rollback to savepoint here")
            connection.execute(BEHIND)
    return ran


def _told_psycopg(connection: psycopg.Connection, text: str, *, binary: bool) -> None:
    # The statements are constants of the battery.
    query = text.encode()
    if _COPIES.search(text):
        raise psycopg.NotSupportedError("psycopg copies by one statement alone")
    if text.startswith("copy"):
        with connection.cursor().copy(query) as copy:
            for _ in copy:
                pass
        return
    cursor = connection.execute(query, prepare=binary, binary=binary)
    if cursor.pgresult is not None and cursor.pgresult.ntuples:
        cursor.pgresult.get_value(0, 0)  # as bytes: not every type can be decoded


def by_asyncpg(tap: Tap, user: str, trials: Sequence[Trial]) -> int:
    """How many statements it ran without an error."""
    return asyncio.run(_by_asyncpg(tap, user, trials))


async def _by_asyncpg(tap: Tap, user: str, trials: Sequence[Trial]) -> int:
    ran = 0
    connection = await asyncpg.connect(
        host="127.0.0.1", port=tap.port, user=user, database="vault", ssl=False
    )
    await connection.execute(BEGIN)
    for trial in trials:
        await connection.execute("begin")
        for text in trial.texts:
            await connection.execute("savepoint here")
            try:
                await connection.fetch(text, timeout=30)
                ran += 1
            except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError, TypeError):
                await connection.execute("rollback to savepoint here")
        await connection.execute(BEHIND)
    await connection.close()
    return ran
