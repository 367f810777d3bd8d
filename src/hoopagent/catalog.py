"""The catalog of one database, read on a connection of the agent's own.

Nothing of the reading can be changed by the target's settings: the search path is
``pg_catalog`` alone, the transaction is read-only and sees one moment, and the time is bounded.
"""

from __future__ import annotations

import asyncio
import json

import structlog

from hoopagent.connect import Place
from hoopagent.own import AskedInVain, Own, Row, opened
from hoopcore.protocols.postgres.target_login import Credential
from hoopcore.sql.behind import (
    BEHIND_CODE_QUERY,
    OPERATORS_QUERY,
    READS_QUERY,
    RULES_QUERY,
    depths_of,
)
from hoopcore.sql.catalog import (
    CATALOG_QUERY,
    CODE_QUERY,
    TEXTS_QUERY,
    VIEWS_QUERY,
    Catalog,
    catalog_of,
)

log = structlog.get_logger()

LIMIT = 15.0
"""Seconds for the whole reading, connecting included."""

_LOCKED = 300  # milliseconds to wait for a lock on a view

# Settings of one transaction: a pooler's connection is given back as it was.
_BEGIN = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path = pg_catalog;"
    " SET LOCAL jit = off; SET LOCAL statement_timeout = {}"
)


class CatalogUnread(Exception):
    """The catalog could not be read: of which target, and why.  Never the password."""


async def read_catalog(
    place: Place, credential: Credential, database: str, limit: float = LIMIT
) -> Catalog:
    """The catalog as it is now, or CatalogUnread."""
    try:
        async with opened(place, credential, database, limit) as own:
            texts = await _read(own, limit)
    except AskedInVain as why:
        words = f'the catalog of "{place.target}" ({database}) was not read: {why}'
        raise CatalogUnread(words) from None
    # Thousands of tables take part of a second, and other sessions go on meanwhile.
    return await asyncio.to_thread(_catalog, *texts)


# The queries, each with the number of its columns, in the order in which a catalog is made of them.
_QUERIES = (
    (CATALOG_QUERY, 10),
    (TEXTS_QUERY, 1),
    (CODE_QUERY, 2),
    (READS_QUERY, 3),
    (RULES_QUERY, 4),
    (BEHIND_CODE_QUERY, 4),
    (OPERATORS_QUERY, 1),
)


async def _read(own: Own, limit: float) -> list[list[Row]]:
    await own.rows(_BEGIN.format(int(limit * 1000)))
    found = [await own.rows(_in_json(query, width)) for query, width in _QUERIES]
    found.append(await _views(own))
    await own.rows("COMMIT")
    return found


async def _views(own: Own) -> list[Row]:
    """The texts of the views; none where one cannot be had now.

    The server takes a lock on a view and on all it reads to write its text down, so a migration
    could keep the whole catalog waiting.  Views are not known then, and NULL.
    """
    await own.rows(f"SAVEPOINT views; SET LOCAL lock_timeout = {_LOCKED}")
    try:
        return await own.rows(_in_json(VIEWS_QUERY, 2))
    except AskedInVain as problem:
        if not problem.code:
            raise
        log.warning("catalog.views_unread", code=problem.code)
        await own.rows("ROLLBACK TO SAVEPOINT views")
        return []


def _in_json(query: str, width: int) -> str:
    """The same rows as one text each, so that arrays and odd names need no parser of ours."""
    names = ", ".join(f"c{number}" for number in range(width))
    # The queries are constants of ours.
    return f"SELECT json_build_array({names})::text FROM ({query}) AS q({names})"  # noqa: S608


def _catalog(*answers: list[Row]) -> Catalog:
    relations, texts, code, *behind, views = (
        [json.loads(row[0] or "") for row in answer] for answer in answers
    )
    return catalog_of(relations, texts, code, depths_of(*behind), views)
