"""Which statements may not run while masks apply: what could carry a masked value elsewhere.

A mask is for results.  A statement that writes what it has read, defines a relation over it, or
hands it to code nobody knows, could take a value past it.  What is traced (``sql.lineage``) may
write, as long as nothing of a masked column flows into what it writes (decision 0026).

Order: words for people, the rules, and what they ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from hoopcore.declared import Declared
from hoopcore.masked_filters import tells
from hoopcore.sql.catalog import Catalog
from hoopcore.sql.copied import possible
from hoopcore.sql.lineage import Base, Lineage
from hoopcore.statement import Effect, Relation, Statement, Touch
from hoopcore.styles import Style

# A function of PostgreSQL's own that puts its argument where another statement finds it.
_CARRIERS = frozenset({"set_config", "setval", "pg_notify", "pg_logical_emit_message"})
# The time that one of pg_sleep takes is a place as well.
_CARRIER_PREFIXES = ("lo_", "pg_advisory", "pg_try_advisory", "dblink", "pg_file_", "pg_sleep")
# They make a table of what they select, and store no text of it.
_TABLE_MAKERS = frozenset({"CREATE TABLE AS", "SELECT INTO"})

REASONS: Final[Mapping[str, str]] = {
    "mask-copy-out": "the rows of this COPY cannot be read and masked",
    "mask-copies": "it would copy values of masked columns, or may, to an unmasked place",
    "mask-tells": "the rows that come, or their number, would tell values of a masked column",
    "mask-call": "it hands values of relations with masked columns to code that is not known",
    "mask-ddl": "definitions over relations with masked columns are refused while masks apply",
}

# What may be typed instead.
HINTS: Final[Mapping[str, str]] = {
    "mask-copy-out": "COPY schema.table TO STDOUT in text or CSV is masked; so is SELECT.",
    "mask-copies": "SELECT shows the values, masked, where they are.",
    "mask-tells": "Compare masked columns with constants, or with one another only.",
    "mask-call": "Leave out the function, or these relations.",
    "mask-ddl": "Whoever keeps the agent's masks.toml says what is masked.",
}


class Masks(Protocol):
    """What is asked of the masks in force."""

    @property
    def catalog(self) -> Catalog | None: ...

    @property
    def pooled(self) -> bool: ...

    @property
    def masks(self) -> tuple[object, ...]: ...

    def near(self, statement: Statement) -> bool: ...

    def leads_near(self, touch: Touch) -> bool: ...

    def is_near(self, relation: Relation) -> bool: ...

    @property
    def declared(self) -> Declared: ...

    def lineage(self, statement: Statement) -> Lineage: ...

    def hidden(self, base: Base) -> Style | None: ...

    def foretells(self, statement: Statement) -> bool: ...

    def writes_masked(self, statement: Statement) -> bool: ...


def refused(masks: Masks, statement: Statement, traced: Statement | None) -> str | None:
    """The rule under which this may not run; ``traced`` is the same where it may be traced."""
    effects = statement.effects
    if Effect.COPY_OUT in effects and not _is_copied(masks, statement, traced):
        return "mask-copy-out"
    if not masks.masks:
        return None
    # DISCARD takes temporary tables away, and defines nothing.
    defines = Effect.DDL in effects and statement.tag != "DISCARD"
    if defines and (statement.opaque or _defines(masks, statement, traced)):
        return "mask-ddl"
    if not masks.near(statement):
        return None
    if effects & {Effect.SERVER_FILE, Effect.PROGRAM}:
        return "mask-copy-out"
    if tells(masks, statement if traced is None else traced):
        return "mask-tells"
    if statement.copies and (traced is None or masks.writes_masked(traced)):
        return "mask-copies"
    if _hands_over(masks, statement):
        return "mask-call"
    return None


def _is_copied(masks: Masks, statement: Statement, traced: Statement | None) -> bool:
    """Whether the rows of this COPY TO STDOUT can be read, and their columns foretold."""
    copy = statement.copy_out
    if copy is None or copy.form is None:
        return False
    if not masks.near(statement):
        return True
    if masks.catalog is None or Effect.PREPARE in statement.effects:
        return False
    if copy.relation is None:
        return traced is not None and masks.foretells(traced)
    if masks.pooled and not copy.relation.schema:
        return False
    return bool(possible(masks.catalog, copy))


def _defines(masks: Masks, statement: Statement, traced: Statement | None) -> bool:
    """Whether a definition is over a masked relation."""
    touches = statement.touches
    if traced is not None and statement.tag in _TABLE_MAKERS and not masks.writes_masked(traced):
        touches = frozenset(touch for touch in touches if touch.effect is Effect.DDL)
    return masks.catalog is None or any(masks.leads_near(touch) for touch in touches)


def _hands_over(masks: Masks, statement: Statement) -> bool:
    """Whether code that is not known, or that remembers, gets to see masked values.

    Its result would be NULL, but what it does with them on the way nobody sees.  A call that
    names no masked relation runs what was there before; a DO block is the client's own code.
    """
    named = masks.catalog is None or any(
        masks.is_near(touch.relation) for touch in statement.touches
    )
    carries = any(_is_carrier(name) for name in statement.functions)
    calls = Effect.CALL in statement.effects
    return (named and (calls or carries)) or statement.tag.upper() == "DO"


def _is_carrier(function: str) -> bool:
    name = function.rpartition(".")[2].lower()
    return name in _CARRIERS or name.startswith(_CARRIER_PREFIXES)
