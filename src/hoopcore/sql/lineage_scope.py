"""Names in expressions → columns, as PostgreSQL looks them up.

A query has one *level*: the sources of its FROM.  A name without a source is looked for in the
columns of the level, then further out; only where no level has such a column it is the whole row of
a source of that name.  What cannot be told for sure (a function whose columns are not known, a
relation that may be one of several) gives the union of all that may be meant.

Order: sources, levels, scopes and their look-ups.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from hoopcore.sql.lineage_values import MADE, Base, Column, NotKnown, Value, computed, either

if TYPE_CHECKING:
    from hoopcore.sql.lineage_queries import Cte

_SYSTEM: Final[Mapping[str, int]] = {
    "ctid": -1,
    "xmin": -2,
    "cmin": -3,
    "xmax": -4,
    "cmax": -5,
    "tableoid": -6,
}


@dataclass(slots=True)
class Source:
    """One thing in FROM.

    ``columns`` None: how many it has is not known, and so no ``*``.  ``open``: a name that is not
    among ``columns`` may still be a column, of this value.  ``maybe``: names that some of the
    relations have which it may be.
    """

    name: str
    columns: tuple[Column, ...] | None
    schemas: frozenset[str] = frozenset()  # by which it may be named besides; none under an alias
    open: Value | None = None
    maybe: Mapping[str, Column] = field(default_factory=dict)
    tables: frozenset[int] = frozenset()  # oids, where it is a relation
    _index: dict[str, list[Column]] | None = None
    _row: Column | None = None

    @property
    def vague(self) -> bool:
        """Whether a name that is not found may still be a column of it."""
        return self.open is not None or bool(self.maybe)

    def found(self, name: str) -> Column | None:
        """The column of this name, for sure."""
        if self._index is None:
            self._index = _by_name(self.columns or ())
        hits = self._index.get(name)
        return _one_of(hits) if hits else None

    def perhaps(self, name: str) -> Column | None:
        """What may be the column of this name."""
        hits = [self.maybe[name]] if name in self.maybe else []
        if self.open is not None:
            hits.append(Column(name, self.open))
        return _one_of(hits) if hits else None

    def column(self, name: str) -> Column:
        """What ``source.name`` means."""
        found = self.found(name)
        if found is not None:
            return found
        unnamed = [column for column in self.columns or () if not column.name]
        maybe = self.perhaps(name)
        hits = unnamed if maybe is None else [*unnamed, maybe]
        found = _one_of(hits) if hits else self.system(name)
        if found is None:
            raise NotKnown("a column is not found")
        return found

    def system(self, name: str) -> Column | None:
        """``ctid`` and its like, which hold no value."""
        attnum = _SYSTEM.get(name)
        if attnum is None or not self.tables:
            return None
        return Column(name, MADE, frozenset((oid, attnum) for oid in self.tables))

    def row(self) -> Column:
        """All of it as one value."""
        if self._row is None:
            self._row = self._as_one()
        return self._row

    def _as_one(self) -> Column:
        sources: set[Base] = set()
        for column in (*(self.columns or ()), *self.maybe.values()):
            sources |= column.value.sources
        if self.open is not None:
            sources |= self.open.sources
        return Column(self.name, computed(sources), frozenset((oid, 0) for oid in self.tables))


def _by_name(columns: Iterable[Column]) -> dict[str, list[Column]]:
    """Without those whose name is not known."""
    index: dict[str, list[Column]] = {}
    for column in columns:
        if column.name:
            index.setdefault(column.name, []).append(column)
    return index


def _one_of(columns: Sequence[Column]) -> Column:
    """Two columns of one name are an error of the server's: then no row comes."""
    found = columns[0]
    for other in columns[1:]:
        found = Column(found.name, either(found.value, other.value), found.origins | other.origins)
    return found


def renamed(columns: Sequence[Column], names: Sequence[str]) -> tuple[Column, ...]:
    """The first of them under these names."""
    if len(names) > len(columns):
        raise NotKnown("an alias names more columns than there are")
    fresh = (column.named(name) for column, name in zip(columns, names, strict=False))
    return (*fresh, *columns[len(names) :])


@dataclass(slots=True)
class Level:
    """What a FROM clause shows: ``sources`` by their names, ``columns`` without."""

    sources: list[Source] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    vague: list[Source] = field(default_factory=list)
    counted: bool = True  # whether ``columns`` is all that ``*`` gives
    repeats: frozenset[Base] = frozenset()  # what functions in it give rows by
    touched: bool = False  # whether a name was found in it, or may have been
    _index: dict[str, list[Column]] | None = None
    _unnamed: list[Column] | None = None

    @classmethod
    def of(cls, source: Source) -> Level:
        columns = list(source.columns or ())
        vague = [source] if source.vague else []
        return cls([source], columns, vague, source.columns is not None)

    def beside(self, other: Level) -> Level:
        """Both, in order."""
        return Level(
            [*self.sources, *other.sources],
            [*self.columns, *other.columns],
            [*self.vague, *other.vague],
            self.counted and other.counted,
            self.repeats | other.repeats,
        )

    def star(self) -> list[Column]:
        if not self.counted:
            raise NotKnown("it is not known which columns * gives")
        return self.columns

    def found(self, name: str) -> Column | None:
        if self._index is None:
            self._index = _by_name(self.columns)
        hits = self._index.get(name)
        if hits:
            self.touched = True
            return _one_of(hits)
        for source in self.sources:
            if (column := source.system(name)) is not None:
                self.touched = True
                return column
        return None

    def perhaps(self, name: str) -> list[Column]:
        if self._unnamed is None:
            self._unnamed = [column for column in self.columns if not column.name]
        unnamed = self._unnamed
        hits = [source.perhaps(name) for source in self.vague]
        found = [*unnamed, *(hit for hit in hits if hit is not None)]
        self.touched = self.touched or bool(found)
        return found


@dataclass(frozen=True, slots=True)
class Scope:
    """What names mean at one place: levels from the innermost out, WITH queries, windows."""

    levels: tuple[Level, ...] = ()
    ctes: Mapping[str, Cte] = field(default_factory=dict)
    windows: Mapping[str, Any] = field(default_factory=dict)

    def within(self, level: Level, windows: Mapping[str, Any] | None = None) -> Scope:
        return Scope((level, *self.levels), self.ctes, windows or {})

    def column(self, name: str) -> Column:
        """What a name without a source means."""
        hits: list[Column] = []
        for level in self.levels:
            found = level.found(name)
            if found is not None:
                return _one_of([found, *hits])
            hits += level.perhaps(name)
        source = self._source(name)
        if source is not None:
            hits.append(source.row())
        if not hits:
            raise NotKnown("a column is not found")
        return _one_of(hits)

    def of_source(self, source_name: str, name: str, schema: str = "") -> Column:
        """What ``source.name`` means."""
        return self.source(source_name, schema).column(name)

    def row_of(self, name: str) -> Source | None:
        """The source whose whole row the name means; None where it may be a column's."""
        for level in self.levels:
            if level.found(name) is not None or level.perhaps(name):
                return None
        return self._source(name)

    def source(self, name: str, schema: str = "") -> Source:
        """The nearest source of this name."""
        found = self._source(name, schema)
        if found is None:
            raise NotKnown("a name in FROM is not found")
        return found

    def _source(self, name: str, schema: str = "") -> Source | None:
        for level in self.levels:
            for source in level.sources:
                if source.name == name and (not schema or schema in source.schemas):
                    level.touched = True
                    return source
        return None
