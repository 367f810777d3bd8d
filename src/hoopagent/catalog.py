"""The catalog of one database, read on a connection of the agent's own.

Nothing of the reading can be changed by the target's settings: the search path is
``pg_catalog`` alone, the transaction is read-only and sees one moment, and the time is bounded.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import asyncpg

from hoopagent.connect import (
    Place,
    TargetUnreachable,
    fresh_context,
    host_and_port,
    tls_context,
    wants_tls,
)
from hoopcore.sql.catalog import CATALOG_QUERY, CODE_QUERY, TEXTS_QUERY, Catalog, catalog_of

LIMIT = 15.0
"""Seconds for the whole reading, connecting included."""


class CatalogUnread(Exception):
    """The catalog could not be read: of which target, and why.  Never the password."""


async def read_catalog(
    place: Place,
    *,
    database: str,
    user: str,
    password: str | None,
    limit: float = LIMIT,
) -> Catalog:
    """The catalog as it is now, or CatalogUnread."""
    try:
        async with asyncio.timeout(limit):
            connection = await _connect(place, database, user, password)
            try:
                return await _read(connection, limit)
            finally:
                connection.terminate()
    except TimeoutError:
        why = f"no answer within {limit:.0f} s"
    except (OSError, TargetUnreachable, asyncpg.InterfaceError, asyncpg.InternalClientError) as bad:
        why = str(bad) or type(bad).__name__
    except asyncpg.PostgresError as bad:
        why = f"{type(bad).__name__} ({bad.sqlstate})"
    raise CatalogUnread(f'the catalog of "{place.target}" ({database}) was not read: {why}')


async def _connect(place: Place, database: str, user: str, password: str | None) -> Any:
    host, port = host_and_port(place)
    return await asyncpg.connect(
        host=host,
        port=port,
        user=user,
        # Empty, not None: asyncpg would look into the environment and ~/.pgpass.
        password=password or "",
        database=database,
        ssl=_tls(place) if wants_tls(place) else False,
        target_session_attrs="any",
        # A pooler may give the next statement to another server connection.
        statement_cache_size=0,
    )


async def _read(connection: Any, limit: float) -> Catalog:
    # Settings of one transaction: a pooler's connection is given back as it was.
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(
            "SET LOCAL search_path = pg_catalog; SET LOCAL jit = off;"
            f" SET LOCAL statement_timeout = {int(limit * 1000)}"
        )
        relations = await connection.fetch(CATALOG_QUERY)
        texts = await connection.fetch(TEXTS_QUERY)
        code = await connection.fetch(CODE_QUERY)
    # Thousands of tables take part of a second, and other sessions go on meanwhile.
    return await asyncio.to_thread(catalog_of, relations, texts, code)


class _Named(ssl.SSLContext):
    """Expects the certificate of another name than the one that was connected to."""

    server_name: str

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        del server_hostname
        return super().wrap_bio(incoming, outgoing, server_side, self.server_name, session)


def _tls(place: Place) -> ssl.SSLContext:
    if place.tls.server_name is None:
        return tls_context(place.tls)
    context = fresh_context(place.tls.mode, str(place.tls.ca_file or ""), _Named)
    assert isinstance(context, _Named)
    context.server_name = place.tls.server_name
    return context
