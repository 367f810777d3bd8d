"""What a statement may not do to the session it runs in, beside all rules.

Behind a pooler that gives each transaction to another server connection, what outlives its
transaction is left with somebody else.  Under a role that the grant imposes, whatever could change
the role is a way out: SET ROLE in any spelling, and code nobody has read, since any code of the
session can call ``set_config('role', …)``.

Both are answers on one reading: the rule, its reason and what to do instead, or None.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

from hoopcore.statement import Effect, Reading, Statement

Objection: TypeAlias = tuple[str, str, str]
"""The name of the rule, its reason, and a hint."""

POOLER: Final = "pooler"
ROLE: Final = "database-role"

_POOLED: Final[dict[str, tuple[str, str]]] = {
    "setting": (
        "a setting of the session would stay with a server connection that others use",
        "Use SET LOCAL within a transaction.",
    ),
    "prepared": (
        "a prepared statement stays with one server connection, and the next transaction may get"
        " another",
        "Send the statement itself, with parameters of the driver's own.",
    ),
    "listen": (
        "notifications come to a server connection that others use",
        "LISTEN needs a target that is reached without a pooler.",
    ),
    "temporary": (
        "temporary objects would stay with a server connection that others use",
        "CREATE TEMP TABLE … ON COMMIT DROP works, within a transaction.",
    ),
    "lock": (
        "a lock of the session would stay with a server connection that others use",
        "Use pg_advisory_xact_lock, which ends with the transaction.",
    ),
    "cursor": (
        "a cursor WITH HOLD stays with one server connection, and the next transaction may get"
        " another",
        "Use the cursor within a transaction, without WITH HOLD.",
    ),
}

NAMED: Final[Objection] = (
    POOLER,
    "a prepared statement with a name stays with a server connection that others use",
    "Turn prepared statements off in the driver: prepare_threshold=None in psycopg,"
    " prepareThreshold=0 in JDBC, statement_cache_size=0 in asyncpg.",
)
"""A Parse of the protocol that gives a name: what a Bind of it runs may be another client's."""


def left_behind(reading: Reading) -> Objection | None:
    """Why it may not run behind a pooler in transaction mode."""
    for statement in reading.statements:
        for kept in sorted(statement.keeps):
            return (POOLER, *_POOLED[kept])
        if Effect.UNKNOWN in statement.effects:  # some rule allows it
            return (POOLER, *_POOLED["setting"])
    return None


# The first releases in which SET SESSION AUTHORIZATION DEFAULT, a part of DISCARD ALL, goes back to
# the role of the startup packet; before (CVE-2024-10978) it left none at all.
_GOES_BACK = {12: 22, 13: 18, 14: 15, 15: 10, 16: 6, 17: 2}


def discard_keeps_role(server_version: str) -> bool:
    """Whether DISCARD ALL of this server goes back to the role that its session began with.

    ``server_version`` as the server reports it; of what cannot be read, no.
    """
    found = re.match(r"(\d{1,3})\.(\d{1,3})|(\d{1,3})(?=\D|$)", server_version)
    if found is None:
        return False
    major, minor = int(found[1] or found[3]), int(found[2] or 0)
    return major > max(_GOES_BACK) or minor >= _GOES_BACK.get(major, minor + 1)


def way_out(reading: Reading, *, discards: bool = True) -> Objection | None:
    """Why it may not run while a role is imposed on the session.

    ``discards``: whether DISCARD ALL goes back to that role (``discard_keeps_role``).
    """
    for statement in reading.statements:
        found = _way_out(statement, discards)
        if found is not None:
            return (ROLE, *found)
    return None


_ALLOW_CODE = (
    "Whoever keeps the agent's targets.toml can name the function as harmless, or give sessions"
    " users of their own (credential.ephemeral)."
)


def _way_out(statement: Statement, discards: bool) -> tuple[str, str] | None:
    effects = statement.effects
    if Effect.ROLE in effects:
        return "your grant says which database role this session has", "Leave the role as it is."
    if statement.tag == "DISCARD":
        if "*" in statement.resets and not discards:
            return "this server would leave the role of your grant", "Use RESET ALL."
        return None  # the session goes back to what it began as, which is the role
    if effects & {Effect.CALL, Effect.PROGRAM, Effect.UNKNOWN}:
        return "code that is not known could change the role of your grant", _ALLOW_CODE
    if Effect.DDL in effects and statement.opaque:
        return "what it defines could change the role of your grant when it runs", _ALLOW_CODE
    return None
