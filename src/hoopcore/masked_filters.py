"""Whether a statement asks masked columns which rows to give: for the rule key ``filters_masked``.

Masks hide values in results.  A condition or a sort over a hidden value still tells something about
it; who does not need that can be kept from it by a rule.
"""

from __future__ import annotations

from typing import Protocol

from hoopcore.declared import Declared
from hoopcore.sql.catalog import Catalog
from hoopcore.statement import Relation, Statement


class Masks(Protocol):
    """What is asked of the masks in force."""

    @property
    def catalog(self) -> Catalog | None: ...

    @property
    def masks(self) -> tuple[object, ...]: ...

    @property
    def declared(self) -> Declared: ...

    def is_near(self, relation: Relation) -> bool: ...


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
