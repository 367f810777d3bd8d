"""Whether a statement asks masked columns which rows to give, or how many.

Masks hide values in results.  A condition or a sort over a hidden value still tells something about
it; who does not need that can be kept from it by a rule (``may_filter``, for the rule key
``filters_masked``).  Where the rows themselves would tell the values nobody may (``tells``).
"""

from __future__ import annotations

from typing import Final, Protocol

from hoopcore.declared import Declared
from hoopcore.sql.catalog import Catalog
from hoopcore.sql.lineage import Base, Lineage
from hoopcore.statement import Relation, Statement
from hoopcore.styles import Style

# Conditions on masked columns in one statement.
_MOST_ASKED: Final = 12


class Masks(Protocol):
    """What is asked of the masks in force."""

    @property
    def catalog(self) -> Catalog | None: ...

    @property
    def masks(self) -> tuple[object, ...]: ...

    @property
    def declared(self) -> Declared: ...

    def is_near(self, relation: Relation) -> bool: ...

    def lineage(self, statement: Statement) -> Lineage: ...

    def hidden(self, base: Base) -> Style | None: ...


def may_filter(masks: Masks, statement: Statement) -> bool:
    """Whether which rows it gives, how many or in which order may hang on a masked column.

    Of a view over masked tables, or a relation that is not known, any column may be one.  What runs
    inside a function nobody sees.
    """
    if not masks.masks or not statement.filters:
        return False
    catalog = masks.catalog
    if catalog is None or statement.opaque:
        return True
    names: set[str] = set()
    for relation in statement.relations:
        if not masks.is_near(relation):
            continue
        tables = catalog.named(relation)
        if not tables:
            return True
        for table in tables:
            styles = masks.declared.get(table.oid)
            if styles is None and not table.ordinary:
                return True
            names.update(name for number, name, _ in table.columns if number in (styles or ()))
    return bool(names) if "*" in statement.filters else not names.isdisjoint(statement.filters)


def tells(masks: Masks, statement: Statement) -> bool:
    """Whether which rows it gives, or how many, tells masked values by itself.

    That is so where a condition holds a masked column against one that is not, or where there
    are many conditions on masked columns: each tells one thing of a row.  A statement whose
    lineage is not known may do that with any condition at all.
    """
    found = masks.lineage(statement)
    if not found.traced:
        return _reads_declared(masks, statement) and bool(statement.filters)
    asked = 0
    for choices in found.decides:
        masked = _mixed(masks, choices)
        if masked is None:
            return True
        asked += masked
    return asked > _MOST_ASKED or any(_mixed(masks, one) is None for one in found.within)


def _mixed(masks: Masks, choices: tuple[frozenset[Base], ...]) -> int | None:
    """How many parts of a condition ask about masked columns; None where they mix with others.

    Where one part of an OR does, the others may be about anything: it tells one thing of a row.
    Two such would tell of every row of theirs which it is, so it counts as many.
    """
    masked = [one for one in choices if any(masks.hidden(base) is not None for base in one)]
    mixing = masked if len(masked) == 1 else choices if masked else ()
    if any(masks.hidden(base) is None for one in mixing for base in one):
        return None
    return _MOST_ASKED // 2 + 1 if len(masked) == 1 < len(choices) else len(masked)


def _reads_declared(masks: Masks, statement: Statement) -> bool:
    """Whether a query that it holds names a relation with masked columns, or a view of one."""
    if statement.flow is None or masks.catalog is None:
        return False
    return any(
        masks.is_near(touch.relation)
        for touch in statement.touches
        if masks.catalog.named(touch.relation)
    )
