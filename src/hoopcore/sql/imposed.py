"""Settings that a session has whether its client likes them or not, and what would undo them.

They go into the startup packet, so they are what RESET and DISCARD go back to, and they win over
ALTER ROLE and ALTER DATABASE.  What is left to a client is to set another value; so a stricter one
passes, and any other is refused, in whatever spelling.  Code that nobody has read could set one
too, so it is refused as well, as under a role of the grant.

Behind a transaction pooler no startup packet is a session's own: there each transaction begins with
``SET LOCAL``, and what would go back to the pooler's own value is refused.

Order: the settings, how they are written, what a client may not do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hoopcore.sql.session import Objection
from hoopcore.statement import Effect, Statement

IMPOSED: Final = "imposed-setting"
"""The rule that a refusal is told under."""

STATEMENT_TIMEOUT: Final = "statement_timeout"
IDLE_TIMEOUT: Final = "idle_in_transaction_session_timeout"
READ_ONLY: Final = "default_transaction_read_only"
_OF_TRANSACTION: Final = "transaction_read_only"  # the same, of the transaction that runs

# GUC_UNIT_MS is an integer of 32 bits.
LONGEST_MS: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Imposed:
    """Milliseconds; 0 leaves that setting to the client."""

    statement_timeout: int = 0
    idle_timeout: int = 0  # in a transaction
    read_only: bool = False

    def __bool__(self) -> bool:
        return bool(self.statement_timeout or self.idle_timeout or self.read_only)

    def join(self, other: Imposed) -> Imposed:
        """Of both the stricter; in any order the same."""
        return Imposed(
            _shorter(self.statement_timeout, other.statement_timeout),
            _shorter(self.idle_timeout, other.idle_timeout),
            self.read_only or other.read_only,
        )

    def timeout(self, name: str) -> int:
        """The imposed milliseconds of a setting; 0 for a name that has none."""
        return {STATEMENT_TIMEOUT: self.statement_timeout, IDLE_TIMEOUT: self.idle_timeout}.get(
            name, 0
        )

    def holds(self, told: str) -> bool:
        """Whether a server's answer to ``ASKED`` says that these or stricter ones hold."""
        statement, idle, read_only = (*told.split("|"), "", "", "")[:3]
        times = ((self.statement_timeout, statement), (self.idle_timeout, idle))
        return all(
            not most or 0 < (milliseconds(value) or 0) <= most for most, value in times
        ) and (not self.read_only or read_only == "on")

    def is_within(self, other: Imposed) -> bool:
        """Whether who has the other settings has nothing weaker than these."""
        return self.join(other) == other

    def names(self) -> frozenset[str]:
        """The settings that are imposed, as PostgreSQL spells them."""
        names = {name for name in (STATEMENT_TIMEOUT, IDLE_TIMEOUT) if self.timeout(name)}
        return frozenset(names | ({READ_ONLY, _OF_TRANSACTION} if self.read_only else set()))


NOTHING_IMPOSED: Final = Imposed()


def _shorter(one: int, other: int) -> int:
    return min(one, other) if one and other else one or other


# --- how they are written -----------------------------------------------------------------------


def for_startup(imposed: Imposed, wished: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a startup packet: the client's wishes, none weaker than what is imposed.

    Names of ``wished`` are as PostgreSQL spells them.  A wish that cannot be read counts as none.
    """
    settings = dict(wished)
    for name in (STATEMENT_TIMEOUT, IDLE_TIMEOUT):
        most = imposed.timeout(name)
        if most:
            settings[name] = str(_shorter(most, milliseconds(wished.get(name, "")) or 0))
    if imposed.read_only:
        settings[READ_ONLY] = "on"
    return settings


def as_options(settings: Mapping[str, str]) -> str:
    """Settings as the startup parameter ``options`` has them: ``-c name=value``, blanks escaped."""
    return " ".join(f"-c {_escaped(f'{name}={value}')}" for name, value in settings.items())


def _escaped(text: str) -> str:
    """As pg_split_opts reads it: a backslash keeps a blank or a backslash as it is."""
    return re.sub(r"([\\ \t\n\v\f\r])", r"\\\1", text)


def for_transaction(imposed: Imposed) -> tuple[str, ...]:
    """The statements that a transaction behind a pooler begins with; none for nothing.

    Text of ours alone: no value of a client is in it.  None of them takes a snapshot, so that
    BEGIN ISOLATION LEVEL may stand behind them.
    """
    parts = [
        f"SET LOCAL {name} = {imposed.timeout(name)}"
        for name in (STATEMENT_TIMEOUT, IDLE_TIMEOUT)
        if imposed.timeout(name)
    ]
    if imposed.read_only:
        parts.append(f"SET LOCAL {_OF_TRANSACTION} = on")
    return tuple(parts)


ASKED: Final = (
    f"SELECT concat_ws('|', current_setting('{STATEMENT_TIMEOUT}'),"
    f" current_setting('{IDLE_TIMEOUT}'), current_setting('{READ_ONLY}'))"
).encode()
"""What the settings are now; ``Imposed.holds`` reads the answer."""


# --- what a client may not do -------------------------------------------------------------------

_SPAN = re.compile(r"\s*(\d{1,15})\s*(us|ms|s|min|h|d)?\s*")
_UNITS = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_TRUE = frozenset({"on", "true", "yes", "1"})


def milliseconds(value: str) -> int | None:
    """What PostgreSQL takes for a time of ``GUC_UNIT_MS``; None where that is not certain.

    Fractions, hexadecimal and microseconds are valid there, and not read here.
    """
    found = _SPAN.fullmatch(value)
    if found is None or found[2] == "us":
        return None
    told = int(found[1]) * _UNITS[found[2] or "ms"]
    return told if told <= LONGEST_MS else None


def undoing(
    statement: Statement, imposed: Imposed, *, pooled: bool = False, last: bool = True
) -> Objection | None:
    """Why a statement may not run while these settings are imposed, or None.

    RESET, SET … TO DEFAULT and DISCARD pass: they go back to the startup packet's values.  But for
    ``transaction_read_only``, which some servers let go back to its own default.  ``last``: nothing
    stands behind it in its message.
    """
    if not imposed:
        return None
    found = (
        _weaker(statement, imposed)
        or _writable(statement, imposed)
        or (_back_to_the_poolers(statement, imposed, last=last) if pooled else None)
        or _code(statement)
    )
    return None if found is None else (IMPOSED, *found)


def _weaker(statement: Statement, imposed: Imposed) -> tuple[str, str] | None:
    for name, value in statement.settings:
        most = imposed.timeout(name)
        if most:
            told = milliseconds(value)
            if not told or told > most:
                hint = f"A shorter one than {most} ms may be set, in whole s or ms."
                return f"{name} is imposed here: {most} ms at the most", hint
    return None


_STAYS = ("transactions are read-only here", "Leave the transaction's mode as it is.")


def _writable(statement: Statement, imposed: Imposed) -> tuple[str, str] | None:
    if not imposed.read_only:
        return None
    names = (READ_ONLY, _OF_TRANSACTION)
    if any(name in names and value.lower() not in _TRUE for name, value in statement.settings):
        return _STAYS
    if ("read_only", "off") in statement.modes or _OF_TRANSACTION in statement.resets:
        return _STAYS
    return None


# Behind them in one message another transaction begins.
_ENDS = frozenset({"COMMIT", "ROLLBACK", "PREPARE", "COMMIT PREPARED", "ROLLBACK PREPARED"})
_PLAIN = _ENDS | {"BEGIN", "START", "SAVEPOINT", "RELEASE", "ROLLBACK TO", "SET TRANSACTION"}


def _back_to_the_poolers(
    statement: Statement, imposed: Imposed, *, last: bool
) -> tuple[str, str] | None:
    if "*" in statement.resets or not statement.resets.isdisjoint(imposed.names()):
        reason = "a setting that is imposed here would go back to the pooler's own value"
        return reason, "Leave it as it is."
    if ("chain", "on") in statement.modes:
        reason = "the chained transaction would begin without the settings that are imposed here"
        return reason, "End the transaction, and begin another."
    if Effect.TRANSACTION in statement.effects and statement.tag not in _PLAIN:
        reason = "code that ends a transaction would go on without the settings imposed here"
        return reason, "Begin and end transactions with statements of their own."
    if not last and statement.tag in _ENDS:
        reason = "what stands behind it would run without the settings that are imposed here"
        return reason, "Send what stands behind it as a message of its own."
    return None


def _code(statement: Statement) -> tuple[str, str] | None:
    brings = Effect.DDL in statement.effects and statement.opaque and statement.tag != "DISCARD"
    if brings or statement.effects & {Effect.CALL, Effect.UNKNOWN}:
        return (
            "code that is not known could change a setting that is imposed here",
            "Whoever keeps the agent's targets.toml can name the function as harmless.",
        )
    return None
