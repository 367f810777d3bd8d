"""Masks: which columns nobody sees in clear, and what that means for one result.

``Masking`` is masks.toml.  ``bind`` joins it to a catalog and to one principal's groups, and gives
a ``Bound``, which answers the three questions of a session: does this statement come near a
masked value (``covers``), may it run at all (``refusal``), and what becomes of each column of this
result (``plan``).  A plan is compiled once per description; rows are masked by it elsewhere.

What the catalog does not know as an ordinary table is never taken for harmless.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from hoopcore.declared import Declared, declared_on, stricter, without
from hoopcore.detectors import Sweep
from hoopcore.forms import fitting, forms_of
from hoopcore.mask_refusals import HINTS, REASONS, refused
from hoopcore.masked_filters import may_filter
from hoopcore.masks_file import Mask, MaskError, read_masks
from hoopcore.model import Atom
from hoopcore.plans import Column, Plan, strictest
from hoopcore.sql.catalog import Catalog, Table
from hoopcore.sql.copied import possible
from hoopcore.sql.lineage import Base, Lineage, Output, lineage, runs_own
from hoopcore.sql.lineage_values import PSEUDO
from hoopcore.sql.spelling import spelled
from hoopcore.sql.system import is_harmless, is_harmless_column
from hoopcore.statement import FENCING, CopyOut, Effect, Reading, Relation, Statement, Touch
from hoopcore.styles import Style
from hoopcore.watches import Watch, watch

__all__ = ["HINTS", "Bound", "Column", "Declared", "Mask", "MaskError", "Masking", "Plan"]


@dataclass(frozen=True, slots=True)
class Masking:
    """masks.toml, read.  ``bind`` joins it to a catalog and a principal."""

    masks: tuple[Mask, ...] = ()
    detectors: tuple[str, ...] = ()  # the names of the kinds
    sweep: Sweep | None = field(default=None, repr=False, compare=False)  # that looks for them
    key: bytes = field(default=b"", repr=False, compare=False)  # of the style hash
    _bound: list[Bound] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def load(cls, text: str, key: bytes = b"") -> Masking:
        """From the text of masks.toml; MaskError says which line is wrong and what is known.

        ``key`` is that of hashes; without one, a column of this style is NULL.
        """
        return cls(*read_masks(text), key)

    @property
    def columns(self) -> tuple[str, ...]:
        """The declared columns as they are written, for people."""
        return tuple(mask.column for mask in self.masks)

    @property
    def declared(self) -> bool:
        """Whether there is any declared column, and so a catalog is needed."""
        return bool(self.masks)

    def bind(
        self,
        catalog: Catalog | None,
        groups: Iterable[str] = (),
        *,
        pooled: bool = False,
        unmasks: frozenset[Atom] = frozenset(),
    ) -> Bound:
        """These masks for a principal in these groups, on this catalog.

        None for a catalog that could not be read: while masks are declared, everything is
        covered then.  ``pooled``: other clients' temporary tables and search_path may be in force,
        so only a name with its schema is known.  ``unmasks`` of a grant's scope take masks off
        columns, and keep detectors from looking at them.
        """
        mine = frozenset(groups)
        masks = tuple(mask for mask in self.masks if not mask.exempt & mine)
        for kept in self._bound:
            if (kept.catalog, kept.masks, kept.pooled, kept.unmasks) == (
                catalog, masks, pooled, unmasks
            ):  # fmt: skip
                return kept
        declared, clear = without(declared_on(catalog, masks), catalog, unmasks)
        bound = Bound(catalog, masks, self.sweep, declared, pooled, self.key, unmasks, clear)
        # A few: a new catalog comes with each change of the schema, and the old one is not
        # asked for again.
        self._bound[8:] = []
        self._bound.insert(0, bound)
        return bound


def _is_foretold(column: Column, output: Output) -> bool:
    """Whether what the target tells of a column is what lineage says it may tell."""
    return not column.table or (column.table, column.attnum) in output.origins


_TEXT = 25  # the type of a column of which nothing is known but that it comes as text

# --- the questions of a session -------------------------------------------------------------------

# Of a column that lineage did not foretell: of anything, and of nothing as it stands.
_UNFORETOLD: Final = Output("", frozenset(), frozenset({(0, 0)}), frozenset())
# Behind one of these in the same text, a name may mean another thing than the catalog says.
_SHAKING: Final = FENCING - {Effect.TRANSACTION}


@dataclass(frozen=True, slots=True)
class Bound:
    """The masks of one principal on one catalog."""

    catalog: Catalog | None
    masks: tuple[Mask, ...]
    sweep: Sweep | None
    declared: Declared
    pooled: bool = False  # a name without a schema may be another client's temporary table
    key: bytes = field(default=b"", repr=False)  # of the style hash
    unmasks: frozenset[Atom] = frozenset()  # of the grants' scope
    clear: Declared = field(default_factory=dict)  # what is declared, and shown all the same
    _lineages: dict[int, tuple[Statement, Lineage]] = field(
        default_factory=dict, repr=False, compare=False
    )
    _wholes: dict[frozenset[Base], bool] = field(default_factory=dict, repr=False, compare=False)
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
        return self._names_in(self.declared) | self._names_in(self.clear)

    @property
    def clear_names(self) -> frozenset[str]:
        """Names of the columns that grants show: a recording leaves out what stands beside them."""
        return self._names_in(self.clear)

    def _names_in(self, declared: Declared) -> frozenset[str]:
        if self.catalog is None:
            return frozenset()
        tables = [(self.catalog.table(oid), styles) for oid, styles in declared.items()]
        return frozenset(
            name for table, styles in tables if table
            for attnum, name, _ in table.columns if attnum in styles
        )  # fmt: skip

    @property
    def unmatched(self) -> tuple[str, ...]:
        """Declared columns that this catalog has no ordinary column for: spelled wrong, perhaps."""
        if self.catalog is None:
            return ()
        return tuple(m.column for m in self.masks if not declared_on(self.catalog, (m,)))

    # Columns.

    def plan(
        self,
        columns: Sequence[Column],
        covered: bool,
        encoding: str = "",
        statement: Statement | None = None,
    ) -> Plan | None:
        """What becomes of each column, or None when the rows may pass unread.

        ``covered`` is what ``covers`` said of the statement, and ``statement`` the one whose result
        this is, where that is certain.  ``encoding`` is client_encoding; without it a mask keeps
        fewer characters beyond ASCII, never more.
        """
        if not self.active:
            return None
        outputs = self._outputs(len(columns), statement if covered else None)
        cells = tuple(
            self._style(column, covered, output) or self._watch(column)
            for column, output in zip(columns, outputs, strict=True)
        )
        if not any(cells):
            return None
        utf8 = encoding.upper().replace("-", "") in ("UTF8", "UNICODE")
        forms = forms_of(cells, columns, utf8=utf8, key=self.key)
        return Plan(cells, self.sweep, utf8, tuple(map(self._called, columns)), forms)

    def _outputs(self, width: int, statement: Statement | None) -> Sequence[Output | None]:
        """What lineage says of each column of a covered result; None: nothing."""
        found = None if statement is None else self.lineage(statement).outputs
        if found is None:
            return (None,) * width
        # Another number of columns than were foretold: what it reads is not what it was taken for.
        return found if len(found) == width else (_UNFORETOLD,) * width

    def _called(self, column: Column) -> str:
        """What the recording calls it: schema.table.column where it is declared."""
        table = None if self.catalog is None else self.catalog.table(column.table)
        if table is None or column.attnum not in self.declared.get(table.oid, {}):
            return spelled(column.name)
        name = next((name for n, name, _ in table.columns if n == column.attnum), column.name)
        return spelled(table.schema, table.name, name)

    def copied(
        self,
        copy: CopyOut,
        width: int,
        covered: bool,
        encoding: str = "",
        statement: Statement | None = None,
    ) -> Plan | None:
        """As ``plan``, for a COPY TO STDOUT of so many columns.

        Where it is not certain which columns they are, each of a covered one is NULL.
        """
        if not self.active:
            return None
        if covered and copy.relation is None and statement is not None:
            outputs = self.lineage(statement).outputs
            if outputs is None or len(outputs) != width:
                return self.unknown(width)
            columns = [Column(one.name, 0, 0, self._type_of(one), 0) for one in outputs]
            return self.plan(columns, covered, encoding, statement)
        found = () if self.catalog is None else possible(self.catalog, copy)
        plans = [
            self.plan([Column(*column, 0) for column in columns], covered, encoding)
            for columns in found
            if len(columns) == width
        ]
        if len(plans) == len(found) == 1:
            return plans[0]
        if covered and (not plans or len(plans) != len(found)):
            return self.unknown(width)
        if not plans:
            unknown = Column("?column?", 0, 0, _TEXT, 0)
            return self.plan([unknown] * width, False, encoding)
        return strictest(plans, width)

    def _type_of(self, output: Output) -> int:
        """The type of the columns it is, as they stand; text where that is not one."""
        found: set[int] = set()
        for oid, attnum in output.itself:
            table = None if self.catalog is None else self.catalog.table(oid)
            if table is not None:
                found.update(kind for number, _, kind in table.columns if number == attnum)
        return found.pop() if len(found) == 1 and not output.derived else _TEXT

    def foretells(self, statement: Statement) -> bool:
        """Whether it is known what every column of its result is computed from."""
        return self.lineage(statement).outputs is not None

    def filters_masked(self, statement: Statement) -> bool:
        """Whether which rows it gives, or their order, may hang on a masked column."""
        return may_filter(self, statement)

    def unknown(self, width: int | None = None) -> Plan:
        """The plan of rows without a description: every cell is NULL."""
        if width is None:
            return Plan.nulls
        return Plan((Style.NULL,) * width)

    @property
    def _texts(self) -> frozenset[int]:
        return frozenset() if self.catalog is None else self.catalog.texts

    def _watch(self, column: Column) -> Watch | None:
        if self.sweep is None or column.attnum in self.clear.get(column.table, ()):
            return None
        return watch(column, self._texts)

    @property
    def shown(self) -> tuple[str, ...]:
        """The declared columns that the grants show in clear, as schema.table.column, sorted."""
        found = []
        for oid, styles in self.clear.items():
            table = None if self.catalog is None else self.catalog.table(oid)
            for attnum, name, _ in table.columns if table is not None else ():
                if table is not None and attnum in styles:
                    found.append(spelled(table.schema, table.name, name))
        return tuple(sorted(found))

    def _style(self, column: Column, covered: bool, output: Output | None = None) -> Style | None:
        """The style of this column; None where only detectors look at it."""
        if output is not None and not (_is_foretold(column, output) and self._is_whole(output)):
            return Style.NULL
        table = None if self.catalog is None else self.catalog.table(column.table)
        if table is not None and self._means_itself(table, column.attnum):
            style = self.declared.get(table.oid, {}).get(column.attnum)
        elif output is not None:
            style = self.style_of(output)
        else:
            return Style.NULL if covered else None
        # Where masked bytes would not be a value of this type: NULL.
        return None if style is None else fitting(style, column, self._texts)

    def _means_itself(self, table: Table, attnum: int) -> bool:
        """Whether the column is one of a table's own: no whole row (0), nothing added since."""
        if not table.ordinary or (table.system and not is_harmless(table)):
            return False
        return attnum < 0 or any(attnum == number for number, _, _ in table.columns)

    # Lineage.

    def lineage(self, statement: Statement) -> Lineage:
        """Which base columns its result is computed from, and what it writes."""
        known = self._lineages.get(id(statement))
        if known is not None and known[0] is statement:
            return known[1]
        if len(self._lineages) > 1_000:
            self._lineages.clear()
        if self.catalog is None:
            found = Lineage(None, why="the catalog of this database is not known")
        elif self.pooled and not all(touch.relation.schema for touch in statement.touches):
            found = Lineage(None, why="behind a pooler a name without its schema may be another's")
        else:
            found = lineage(statement, self.catalog)
        self._lineages[id(statement)] = (statement, found)
        return found

    def traceable(self, reading: Reading, place: int) -> Statement | None:
        """The statement that stands there, where its names still mean what the catalog says."""
        statements = reading.statements
        if reading.opaque or not 0 <= place < len(statements):
            return None
        if len(statements) > 1 and not reading.effects.isdisjoint(_SHAKING):
            return None
        statement = statements[place]
        return statement if statement.flow is not None else None

    def style_of(self, output: Output) -> Style | None:
        """What becomes of a column by its lineage; None: no masked value is in it."""
        if not self._is_whole(output):
            return Style.NULL
        style: Style | None = None
        for base in output.itself:
            hidden = self.hidden(base)
            if hidden is not None:
                style = stricter(style, hidden)
        # Hashes of what is not the column would tell which guess has the hash of its value.
        alone = not output.made and not output.derived
        if style is Style.HASH and not (
            alone and all(self.hidden(base) is style for base in output.itself)
        ):
            return Style.NULL
        return style

    def _is_whole(self, output: Output) -> bool:
        """Whether nothing was done to a masked value to make it."""
        whole = self._wholes.get(output.derived)
        if whole is None:
            if len(self._wholes) > 1_000:
                self._wholes.clear()
            whole = all(self.hidden(base) is None for base in output.derived)
            self._wholes[output.derived] = whole
        return whole

    def hidden(self, base: Base) -> Style | None:
        """The style of a base column; NULL where it is not known what it holds."""
        if base in PSEUDO:
            return None
        table = None if self.catalog is None else self.catalog.table(base[0])
        if table is None:
            return Style.NULL
        if table.system:
            harmless = is_harmless(table) or is_harmless_column(table, base[1])
            return None if harmless else Style.NULL
        if not table.ordinary:
            return Style.NULL
        return self.declared.get(table.oid, {}).get(base[1])

    def writes_masked(self, statement: Statement) -> bool:
        """Whether what it writes is, or may be, computed from a masked column."""
        found = self.lineage(statement)
        return found.outputs is None or any(self.hidden(b) is not None for b in found.written)

    # Statements.

    def covers(self, reading: Reading) -> bool:
        """Whether it touches, or may touch, a relation with masked columns."""
        statements = reading.statements
        known = self._covers.get(id(statements))
        if known is not None and known[0] is statements:
            return known[1]
        if len(self._covers) > 1_000:
            self._covers.clear()
        found = any(self.near(statement) for statement in statements)
        self._covers[id(statements)] = (statements, found)
        return found

    def refusal(self, reading: Reading) -> tuple[str, str] | None:
        """The rule under which this may not run while masks apply, and its reason."""
        if not self.active:
            return None
        for place, statement in enumerate(reading.statements):
            rule = refused(self, statement, self.traceable(reading, place))
            if rule is not None:
                return rule, REASONS[rule]
        return None

    def near(self, statement: Statement) -> bool:
        if not self.masks:
            return False
        if statement.opaque or self.catalog is None:
            return True
        return any(self.leads_near(touch) for touch in statement.touches)

    def leads_near(self, touch: Touch) -> bool:
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
            self._verdicts[relation] = True  # for a view that is asked about while it is looked at
            tables = self.catalog.named(relation)
            verdict = not tables or not all(self._is_clear(table) for table in tables)
            self._verdicts[relation] = verdict
        return verdict

    def _is_clear(self, table: Table) -> bool:
        if table.system:
            return is_harmless(table)
        if table.kind in ("v", "m"):
            return self._is_clear_view(table.oid)
        return table.ordinary and table.oid not in self.declared

    def _is_clear_view(self, oid: int) -> bool:
        """Whether all that it reads is clear, and it runs no code but PostgreSQL's own."""
        selects = None if self.catalog is None else self.catalog.view(oid)
        if selects is None or selects.opaque or runs_own(selects, self.catalog):
            return False
        return all(not self.is_near(relation) for relation in selects.relations)
