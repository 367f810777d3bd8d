"""What only the target can tell about a session that has to wait: how long, and what is large.

Asked on the agent's own connection, so that the session itself is not disturbed: its transaction
goes on being idle, its unnamed statement stays.  A target that cannot be asked, or not in time, has
nothing to tell; then the settings that the agent knows of itself count.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hoopagent.connect import place_of
from hoopagent.own import AskedInVain, Own, credential_of, opened
from hoopagent.secrets import Secrets, SecretUnread
from hoopcore.statement import Reading, Relation

if TYPE_CHECKING:
    from hoopagent.live import Live

# A person waits for the first word.
LIMIT = 2.0
LARGE = 100_000
"""Rows from which on a relation counts as large, by what the last ANALYZE has found."""

_BEGIN = (
    "BEGIN READ ONLY; SET LOCAL search_path = pg_catalog; SET LOCAL jit = off;"
    f" SET LOCAL statement_timeout = {int(LIMIT * 1000)}"
)
# Of the session's own role where it has one, of its database, and what everybody has.
_TIMEOUTS = """
SELECT split_part(one, '=', 1), split_part(one, '=', 2) FROM (
  SELECT unnest(setconfig) FROM pg_db_role_setting
  WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    AND setrole IN (0, (SELECT usesysid FROM pg_stat_activity WHERE pid = {pid}))
) AS q(one) WHERE one LIKE 'idle%timeout=%'
UNION ALL
SELECT name, setting || coalesce(unit, '') FROM pg_settings
WHERE name IN ('idle_in_transaction_session_timeout', 'idle_session_timeout')"""
_IDLE_FOR = """
SELECT (extract(epoch FROM clock_timestamp() - state_change) * 1000)::bigint
FROM pg_stat_activity WHERE pid = {pid} AND state LIKE 'idle%'"""
_SIZES = """
SELECT n.nspname, c.relname, c.reltuples::bigint FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.reltuples >= {large} AND c.relname IN ({names}) ORDER BY 1, 2 LIMIT 100"""

IN_TRANSACTION = "idle_in_transaction_session_timeout"
IDLE = "idle_session_timeout"


@dataclass(frozen=True, slots=True)
class Outlook:
    """As the target told; milliseconds, 0 for without end."""

    timeouts: tuple[tuple[str, int], ...] = ()
    idle_for: int = 0
    answered: bool = False
    large: tuple[str, ...] = ()  # "schema.table: about 1,200,000 rows"

    def timeout(self, name: str) -> int:
        """The shortest that the target may have in mind by this setting."""
        return min((ms for told, ms in self.timeouts if told == name and ms), default=0)


async def ask(live: Live, secrets: Secrets, relations: Iterable[Relation]) -> Outlook:
    """What is known now; never raises for what a target says or does not say."""
    section, target = live.prepared.section, live.prepared.target.name
    place = place_of(target, section)
    with contextlib.suppress(AskedInVain, SecretUnread, ValueError):
        credential = credential_of(
            place, section, await secrets.password(target, section.credential)
        )
        async with opened(place, credential, live.record.database, LIMIT) as own:
            return await _asked(own, live, relations)
    return Outlook()


async def _asked(own: Own, live: Live, relations: Iterable[Relation]) -> Outlook:
    # Behind a pooler the number is the pooler's own, and names nobody's session.
    pid = 0 if live.prepared.pooled else live.login.opened.pid
    await own.rows(_BEGIN)
    timeouts = [
        (name or "", milliseconds(value or ""))
        for name, value in await own.rows(_TIMEOUTS.format(pid=int(pid)))
    ]
    idle = await own.rows(_IDLE_FOR.format(pid=int(pid)))
    wanted = set(relations)
    sizes: list[tuple[str | None, ...]] = []
    if wanted:
        names = ", ".join(_quoted(one.name) for one in wanted)
        sizes = await own.rows(_SIZES.format(large=LARGE, names=names))
    schemas = {(one.schema, one.name) for one in wanted}
    large = tuple(
        f"{schema}.{name}: about {int(rows or 0):,} rows"
        for schema, name, rows in sizes
        if (schema, name) in schemas or ("", name) in schemas
    )
    idle_for = int(idle[0][0] or 0) if idle else 0
    return Outlook(tuple(timeouts), idle_for, True, large)


def _quoted(name: str) -> str:
    """The name as an expression that no setting of the target reads in another way."""
    return f"convert_from(decode('{name.encode().hex()}', 'hex'), 'UTF8')"


def note_limits(idle: dict[str, int], reading: Reading) -> None:
    """Keeps the shortest time limits for who idles that a session has set itself."""
    for statement in reading.statements:
        for name, value in statement.settings:
            if name in (IDLE, IN_TRANSACTION) and (told := milliseconds(value)):
                idle[name] = min(told, idle.get(name, told))


_UNITS = {"us": 0, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}


def milliseconds(value: str) -> int:
    """A time as settings are written, ``30s``; what cannot be read counts as the shortest."""
    number = value.strip().rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = value.strip()[len(number) :].strip() or "ms"
    if not number.isdigit() or unit not in _UNITS:
        return 1
    told = int(number) * _UNITS[unit]
    return told if told or number.strip("0") == "" else 1
