"""Masks: which columns nobody sees in clear, and what that means for one result.

``Masking`` is masks.toml.  ``bind`` joins it to a catalog and to one principal's groups, and gives
a ``Bound``, which answers the three questions of a session: does this statement come near a
masked value (``covers``), may it run at all (``refusal``), and what becomes of each column of this
result (``plan``).  A plan is compiled once per description; rows are masked by it elsewhere.

What the catalog does not know as an ordinary table is never taken for harmless.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, NamedTuple

from hoopcore.detectors import Sweep
from hoopcore.masks_file import Mask, MaskError, read_masks
from hoopcore.sql.catalog import Catalog, Table
from hoopcore.sql.spelling import spelled
from hoopcore.sql.system import is_harmless
from hoopcore.statement import Effect, Reading, Relation, Statement, Touch
from hoopcore.styles import Style
from hoopcore.watches import Watch, is_text, watch

__all__ = ["Bound", "Column", "Mask", "MaskError", "Masking", "Plan"]


@dataclass(frozen=True, slots=True)
class Masking:
    """masks.toml, read.  ``bind`` joins it to a catalog and a principal."""

    masks: tuple[Mask, ...] = ()
    detectors: tuple[str, ...] = ()
    _bound: list[Bound] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def load(cls, text: str) -> Masking:
        """From the text of masks.toml; MaskError says which line is wrong and what is known."""
        return cls(*read_masks(text))

    @property
    def columns(self) -> tuple[str, ...]:
        """The declared columns as they are written, for people."""
        return tuple(mask.column for mask in self.masks)

    @property
    def declared(self) -> bool:
        """Whether there is any declared column, and so a catalog is needed."""
        return bool(self.masks)

    def bind(
        self, catalog: Catalog | None, groups: Iterable[str] = (), *, pooled: bool = False
    ) -> Bound:
        """These masks for a principal in these groups, on this catalog.

        None for a catalog that could not be read: while masks are declared, everything is
        covered then.  ``pooled``: other clients' temporary tables and search_path may be in force,
        so only a name with its schema is known.
        """
        mine = frozenset(groups)
        masks = tuple(mask for mask in self.masks if not mask.exempt & mine)
        for kept in self._bound:
            if (kept.catalog, kept.masks, kept.pooled) == (catalog, masks, pooled):
                return kept
        declared = _declared(catalog, masks)
        bound = Bound(catalog, masks, Sweep.of(self.detectors), declared, pooled)
        # A few: a new catalog comes with each change of the schema, and the old one is not
        # asked for again.
        self._bound[8:] = []
        self._bound.insert(0, bound)
        return bound


# --- declared masks on a catalog ------------------------------------------------------------------

Declared = Mapping[int, Mapping[int, Style]]  # table oid → attnum → style


def _stricter(one: Style | None, other: Style) -> Style:
    """The style that hides what either hides, so that the order of the file does not matter."""
    if one is None or one is other:
        return other
    return Style.NULL if Style.NULL in (one, other) else Style.FULL


def _declared(catalog: Catalog | None, masks: Sequence[Mask]) -> Declared:
    """Which columns of which ordinary tables are masked.

    A row of a child is read through its parents too, and an UPDATE of a partition key moves rows
    between siblings: so a mask goes along pg_inherits both ways, as far as there are columns of
    that name.  What is computed from a masked column (GENERATED) is NULL.
    """
    styles: dict[int, dict[int, Style]] = {}
    if catalog is None:
        return styles
    for mask in masks:
        for name in catalog.column_names():
            if not mask.name.fullmatch(name):
                continue
            named = [t for t in catalog.with_column(name) if _is_on(mask, t)]
            for table in _family(catalog, named, name):
                attnum = next(number for number, column, _ in table.columns if column == name)
                of_table = styles.setdefault(table.oid, {})
                of_table[attnum] = _stricter(of_table.get(attnum), mask.style)
    for oid, of_table in styles.items():
        owner = catalog.table(oid)
        _spread(of_table, owner.derived if owner else ())
    return styles


def _is_on(mask: Mask, table: Table) -> bool:
    # A pattern such as *.*.name is meant for the user's tables, not for PostgreSQL's own.
    named = mask.schema.fullmatch(table.schema) and mask.table.fullmatch(table.name)
    return named is not None and not table.system


def _family(catalog: Catalog, tables: Sequence[Table], column: str) -> list[Table]:
    """The tables and all kin that are reached through tables with a column of this name."""
    with_column = {table.oid for table in catalog.with_column(column)}
    found = {table.oid: table for table in tables}
    waiting = list(tables)
    while waiting:
        for kin in catalog.kin(waiting.pop()):
            if kin.oid in with_column and kin.oid not in found:
                found[kin.oid] = kin
                waiting.append(kin)
    return list(found.values())


def _spread(of_table: dict[int, Style], derived: Sequence[tuple[int, int]]) -> None:
    """Generated columns that are computed from a masked one, and have no mask, are NULL."""
    for made, source in derived:  # a generated column is never computed from a generated one
        if source in of_table:
            of_table.setdefault(made, Style.NULL)


# --- what becomes of one result -------------------------------------------------------------------


class Column(NamedTuple):
    """A column as the row description tells it.  ``format`` is 0 for text, 1 for binary."""

    name: str
    table: int
    attnum: int
    type: int
    format: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of each column of a result: a style, a watch for hits, or None: stays as it is.

    ``cells`` None means rows of any width, every cell NULL.
    """

    cells: tuple[Style | Watch | None, ...] | None
    sweep: Sweep | None = None  # where any column is watched
    utf8: bool = False  # whether values are known to be UTF-8
    names: tuple[str, ...] = field(default=(), compare=False)  # of the columns, for the recording

    nulls: ClassVar[Plan]

    def name_of(self, column: int) -> str:
        """What the recording calls this column, counted from 0; ``?`` of rows not described."""
        return self.names[column] if column < len(self.names) else "?"


Plan.nulls = Plan(None)


# --- the questions of a session -------------------------------------------------------------------

# A function of PostgreSQL's own that puts its argument where another statement finds it.
_CARRIERS = frozenset({"set_config", "setval", "pg_notify", "pg_logical_emit_message"})
_CARRIER_PREFIXES = ("lo_", "pg_advisory", "pg_try_advisory", "dblink", "pg_file_")

_REASONS: Final[Mapping[str, str]] = {
    "mask-copy-out": "COPY out of relations with masked columns is refused for now",
    "mask-copies": "it would copy values from relations with masked columns to an unmasked place",
    "mask-call": "it hands values of relations with masked columns to code that is not known",
    "mask-ddl": "definitions over relations with masked columns are refused while masks apply",
}

# What may be typed instead.
HINTS: Final[Mapping[str, str]] = {
    "mask-copy-out": "SELECT gives the rows, masked.",
    "mask-copies": "SELECT shows the values, masked, where they are.",
    "mask-call": "Leave out the function, or these relations.",
    "mask-ddl": "Whoever keeps the agent's masks.toml says what is masked.",
}


@dataclass(frozen=True, slots=True)
class Bound:
    """The masks of one principal on one catalog."""

    catalog: Catalog | None
    masks: tuple[Mask, ...]
    sweep: Sweep | None
    declared: Declared
    pooled: bool = False  # a name without a schema may be another client's temporary table
    _verdicts: dict[Relation, bool] = field(default_factory=dict, repr=False, compare=False)
    # By identity: the same statements are asked about at every run.
    _covers: dict[int, tuple[tuple[Statement, ...], bool]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def active(self) -> bool:
        """Whether any mask or detector applies at all."""
        return bool(self.masks) or self.sweep is not None

    @property
    def names(self) -> frozenset[str]:
        """Names of columns that carry a mask here: constants beside them are not for recordings."""
        if self.catalog is None:
            return frozenset("*") if self.masks else frozenset()
        tables = [(self.catalog.table(oid), styles) for oid, styles in self.declared.items()]
        return frozenset(
            name for table, styles in tables if table
            for attnum, name, _ in table.columns if attnum in styles
        )  # fmt: skip

    @property
    def unmatched(self) -> tuple[str, ...]:
        """Declared columns that this catalog has no ordinary column for: spelled wrong, perhaps."""
        if self.catalog is None:
            return ()
        return tuple(m.column for m in self.masks if not _declared(self.catalog, (m,)))

    # Columns.

    def plan(self, columns: Sequence[Column], covered: bool, encoding: str = "") -> Plan | None:
        """What becomes of each column, or None when the rows may pass unread.

        ``covered`` is what ``covers`` said of the statement.  ``encoding`` is client_encoding;
        without it a mask keeps fewer characters beyond ASCII, never more.
        """
        if not self.active:
            return None
        cells = tuple(self._style(column, covered) or self._watch(column) for column in columns)
        if not any(cells):
            return None
        utf8 = encoding.upper().replace("-", "") in ("UTF8", "UNICODE")
        return Plan(cells, self.sweep, utf8, tuple(map(self._called, columns)))

    def _called(self, column: Column) -> str:
        """What the recording calls it: schema.table.column where it is declared."""
        table = None if self.catalog is None else self.catalog.table(column.table)
        if table is None or column.attnum not in self.declared.get(table.oid, {}):
            return spelled(column.name)
        name = next((name for n, name, _ in table.columns if n == column.attnum), column.name)
        return spelled(table.schema, table.name, name)

    def unknown(self, width: int | None = None) -> Plan:
        """The plan of rows without a description: every cell is NULL."""
        if width is None:
            return Plan.nulls
        return Plan((Style.NULL,) * width)

    @property
    def _texts(self) -> frozenset[int]:
        return frozenset() if self.catalog is None else self.catalog.texts

    def _watch(self, column: Column) -> Watch | None:
        return None if self.sweep is None else watch(column, self._texts)

    def _style(self, column: Column, covered: bool) -> Style | None:
        """The style of this column; None where only detectors look at it."""
        table = None if self.catalog is None else self.catalog.table(column.table)
        if table is None or not self._means_itself(table, column.attnum):
            return Style.NULL if covered else None
        style = self.declared.get(table.oid, {}).get(column.attnum)
        if style is None or style is Style.NULL or is_text(column.type, self._texts):
            return style
        return Style.NULL  # masked bytes would not be a value of this type

    def _means_itself(self, table: Table, attnum: int) -> bool:
        """Whether the column is one of a table's own: no whole row (0), nothing added since."""
        if not table.ordinary or (table.system and not is_harmless(table)):
            return False
        return attnum < 0 or any(attnum == number for number, _, _ in table.columns)

    # Statements.

    def covers(self, reading: Reading) -> bool:
        """Whether it touches, or may touch, a relation with masked columns."""
        statements = reading.statements
        known = self._covers.get(id(statements))
        if known is not None and known[0] is statements:
            return known[1]
        if len(self._covers) > 1_000:
            self._covers.clear()
        found = any(self._near(statement) for statement in statements)
        self._covers[id(statements)] = (statements, found)
        return found

    def refusal(self, reading: Reading) -> tuple[str, str] | None:
        """The rule under which this may not run while masks apply, and its reason."""
        if not self.masks:
            return None
        for statement in reading.statements:
            rule = self._refused(statement)
            if rule is not None:
                return rule, _REASONS[rule]
        return None

    def _refused(self, statement: Statement) -> str | None:
        effects = statement.effects
        # DISCARD takes temporary tables away, and defines nothing.
        defines = Effect.DDL in effects and statement.tag != "DISCARD"
        if defines and (statement.opaque or self._defines(statement)):
            return "mask-ddl"
        if not self._near(statement):
            return None
        if effects & {Effect.COPY_OUT, Effect.SERVER_FILE, Effect.PROGRAM}:
            return "mask-copy-out"
        if statement.copies:
            return "mask-copies"
        if self._hands_over(statement):
            return "mask-call"
        return None

    def _near(self, statement: Statement) -> bool:
        if not self.masks:
            return False
        if statement.opaque or self.catalog is None:
            return True
        return any(self._leads_near(touch) for touch in statement.touches)

    def _leads_near(self, touch: Touch) -> bool:
        """As ``is_near``, but that a definition makes a name which was not there shows nothing."""
        made = (
            touch.effect is Effect.DDL
            and self.catalog is not None
            and not self.catalog.named(touch.relation)
        )
        return not made and self.is_near(touch.relation)

    def is_near(self, relation: Relation) -> bool:
        """Whether this name may mean a relation with masked columns, or one that is not known."""
        if self.catalog is None or (self.pooled and not relation.schema):
            return True
        verdict = self._verdicts.get(relation)
        if verdict is None:
            if len(self._verdicts) > 10_000:  # names come from the client
                self._verdicts.clear()
            tables = self.catalog.named(relation)
            verdict = not tables or not all(self._is_clear(table) for table in tables)
            self._verdicts[relation] = verdict
        return verdict

    def _is_clear(self, table: Table) -> bool:
        if table.system:
            return is_harmless(table)
        return table.ordinary and table.oid not in self.declared

    def _defines(self, statement: Statement) -> bool:
        """Whether a definition is over a masked relation."""
        return self.catalog is None or any(self._leads_near(t) for t in statement.touches)

    def _hands_over(self, statement: Statement) -> bool:
        """Whether code that is not known, or that remembers, gets to see masked values.

        Its result would be NULL, but what it does with them on the way nobody sees.  A call that
        names no masked relation runs what was there before; a DO block is the client's own code.
        """
        named = self.catalog is None or any(
            self.is_near(touch.relation) for touch in statement.touches
        )
        carries = any(_is_carrier(name) for name in statement.functions)
        calls = Effect.CALL in statement.effects
        return (named and (calls or carries)) or statement.tag.upper() == "DO"


def _is_carrier(function: str) -> bool:
    name = function.rpartition(".")[2].lower()
    return name in _CARRIERS or name.startswith(_CARRIER_PREFIXES)
