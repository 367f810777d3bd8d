"""The catalog of one database, read on a connection of the agent's own.

Nothing of the reading can be changed by the target's settings: the search path is
``pg_catalog`` alone, the transaction is read-only and sees one moment, and the time is bounded.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hoopagent.connect import Place
from hoopagent.own import AskedInVain, Own, Row, opened
from hoopcore.protocols.postgres.target_login import Credential
from hoopcore.sql.catalog import CATALOG_QUERY, CODE_QUERY, TEXTS_QUERY, Catalog, catalog_of

LIMIT = 15.0
"""Seconds for the whole reading, connecting included."""

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


async def _read(own: Own, limit: float) -> tuple[list[Row], list[Row], list[Row]]:
    await own.rows(_BEGIN.format(int(limit * 1000)))
    relations = await own.rows(_in_json(CATALOG_QUERY, 10))
    texts = await own.rows(_in_json(TEXTS_QUERY, 1))
    code = await own.rows(_in_json(CODE_QUERY, 2))
    await own.rows("COMMIT")
    return relations, texts, code


def _in_json(query: str, width: int) -> str:
    """The same rows as one text each, so that arrays and odd names need no parser of ours."""
    names = ", ".join(f"c{number}" for number in range(width))
    # The queries are constants of ours.
    return f"SELECT json_build_array({names})::text FROM ({query}) AS q({names})"  # noqa: S608


def _catalog(relations: list[Row], texts: list[Row], code: list[Row]) -> Catalog:
    def rows(found: list[Row]) -> list[Any]:
        return [json.loads(row[0] or "") for row in found]

    return catalog_of(rows(relations), rows(texts), rows(code))
