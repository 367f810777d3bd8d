"""Statements over the battery's shop, generated: joins, WITH, sub-selects, functions, changes.

Every expression knows whether a masked value is in it (``held``).  A statement is *fair* when what
chooses and groups its rows holds none, but for a masked column as it is, of which both fillings
have equal values in the same rows: then both fillings must read alike behind hoop.  What is not
fair is looked through for canaries only.

Order: types and relations, expressions, queries, changes, the strategy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from hypothesis import strategies as st

# ruff: noqa: E501 - patterns are read best as they are

T = TypeVar("T")


class Col(NamedTuple):
    """A column in sight: how it is written, its type, and whether a masked value is in it."""

    text: str
    type: str
    held: bool


class Made(NamedTuple):
    """An expression."""

    text: str
    held: bool


class Statement(NamedTuple):
    text: str
    fair: bool


def _relation(written: str) -> tuple[tuple[str, str, bool], ...]:
    found = []
    for part in written.split():
        name, kind = part.split(":")
        found.append((name, kind.rstrip("!"), kind.endswith("!")))
    return tuple(found)


# name:type, with ! where it is masked.
_RELATIONS: Final = {
    "customers": _relation(
        "id:int name:text city:text tier:text joined:date score:num active:bool boss:int"
        " email:text! ssn:text! card:int! born:date! phone:text! income:num!"
    ),
    "orders": _relation(
        "id:int customer:int placed:date state:text channel:text total:num note:text! pay:int!"
    ),
    "staff": _relation("id:int name:text dept:text boss:int hired:date pay:num! note:text!"),
    "items": _relation("order_id:int sku:text qty:int price:num"),
    "products": _relation(
        "sku:text title:text category:text price:num cost:num! margin:num!"
    ),
    "totals": _relation("id:int name:text orders:int total:num"),
    "contacts": _relation("id:int name:text email:text! ssn:text! birthday:date!"),
    "shouts": _relation("id:int mail:text! who:text! city:text"),
    "people_all": _relation("id:int name:text key:text!"),
    "open_orders": _relation("id:int customer:int placed:date total:num"),
    "order_lines": _relation("id:int placed:date sku:text amount:num category:text"),
}  # fmt: skip
_CHANGED: Final = ("customers", "orders", "staff", "items", "products")
_TYPES: Final = ("int", "text", "num", "date", "bool")
_CONSTANTS: Final = {
    "int": ("1", "2", "7", "null::int"),
    "text": ("'Oslo'", "'a'", "''", "null::text", "'%1%'"),
    "num": ("1.5", "100.0", "0.25"),
    "date": ("date '2024-01-05'", "date '2020-06-01'"),
    "bool": ("true", "false"),
}
# type → patterns; {t:…} is an expression of that type.
_FUNCTIONS: Final = {
    "text": (
        "upper({text})", "lower({text})", "{text} || {text}", "substr({text}, 2, 9)", "reverse({text})",
        "left({text}, 8)", "md5({text})", "{int}::text", "{date}::text", "{num}::text", "replace({text}, 'a', 'b')",
        "coalesce({text}, {text})", "nullif({text}, {text})", "case when {bool} then {text} else {text} end",
        "greatest({text}, {text})", "concat({text}, {int}, {date})", "format('%s-%s', {text}, {num})",
        "translate({text}, 'abc', 'xyz')", "encode({text}::bytea, 'hex')", "to_char({date}, 'YYYYMMDD')",
        "split_part({text}, '@', 1)", "regexp_replace({text}, '[0-9]', 'x')", "quote_literal({text})",
        "array_to_string(array[{text}, {text}], ',')", "jsonb_build_object('k', {text}, 'n', {int})::text",
        "(jsonb_build_object('k', {text}) ->> 'k')", "row({text}, {int})::text", "to_json({text})::text",
        "first_value({text}) over (order by {int})", "overlay({text} placing 'x' from 2)", "btrim({text}, 'a')",
        "substring({text} from '[A-Z]+')", "string_to_array({text}, 'a')::text", "convert_from(convert_to({text}, 'UTF8'), 'UTF8')",
        "case {text} when {text} then {text} else {text} end", "jsonb_build_array({text}, {int}) ->> 0", "repeat({text}, 2)",
        "(array[{text}, {text}])[1 + ({int}) % 2]", "(select {text})", "max({text}) over (partition by {int})",
        "lpad({text}, 30, '.')", "(array[{text}, {text}])[1]", "min({text}) over ()",
        "lag({text}) over (order by {int})", "initcap({text})", "{text}::varchar(40)::text",
    ),
    "int": (
        "{int} + {int}", "{int} * 2", "abs({int})", "length({text})", "coalesce({int}, {int})", "ascii({text})",
        "case when {bool} then {int} else {int} end", "extract(year from {date})::int", "({date} - {date})",
        "greatest({int}, {int})", "position('a' in {text})", "nullif({int}, {int})", "{num}::int8",
        "row_number() over (order by {int})", "count({text}) over (partition by {text})", "rank() over (order by {num})",
        "count(*) over ()", "num_nulls({text}, {int})", "hashtext({text})", "{int} % 5", "cardinality(array[{text}])",
    ),
    "num": (
        "{num} / nullif({int}, 0)", "trunc({num})", "width_bucket({num}, 0, 100, 5)::numeric",
        "{num} * 2", "{num} + {num}", "round({num}, 1)", "{int}::numeric", "coalesce({num}, {num})", "abs({num})",
        "sum({num}) over (order by {int})", "avg({num}) over (partition by {text})", "sqrt(abs({num}))",
    ),
    "date": (
        "{date} + 1", "date_trunc('month', {date})::date", "coalesce({date}, {date})", "greatest({date}, {date})",
        "case when {bool} then {date} end", "max({date}) over ()", "({date} - interval '1 day')::date",
    ),
    "bool": (
        "{int} = {int}", "{int} < {int}", "{text} = {text}", "{text} like {text}", "{bool} and {bool}", "not {bool}",
        "{date} > {date}", "{num} between 1 and 100", "{text} < {text}", "{int} in (1, 2, 3)", "{text} ~ '^[0-9]'",
        "{bool} or {bool}", "{int} is distinct from {int}", "({text}, {int}) < ({text}, {int})",
    ),
}  # fmt: skip
_AGGREGATES: Final = {
    "text": ("string_agg({text}, ',' order by {again})", "min({text})", "max({text})", "json_agg({text} order by {again})::text",
             "array_to_string(array_agg({text} order by {again}), ',')", "mode() within group (order by {text})",
             "min({text}) filter (where {bool})"),
    "int": ("max({int})", "min({int})", "count(*) filter (where {bool})", "sum(length({text}))", "bit_or({int})"),
    "num": ("sum({num})", "avg({int})", "max({num})", "stddev({int})", "sum({num}) filter (where {bool})"),
    "date": ("max({date})", "min({date})"),
    "bool": ("bool_or({bool})", "bool_and({bool})"),
}  # fmt: skip


@dataclass
class Writer:
    """One statement being written; ``draw`` takes a strategy."""

    draw: Callable[[st.SearchStrategy[int]], int]
    fair: bool = True
    names: int = 0
    ctes: dict[str, tuple[Col, ...]] = field(default_factory=dict)

    # --- choices --------------------------------------------------------------------------------

    def pick(self, options: Sequence[T]) -> T:
        return options[self.draw(st.integers(0, len(options) - 1))]

    def one_in(self, chances: int) -> bool:
        return self.draw(st.integers(0, chances - 1)) == chances - 1

    def name(self) -> str:
        self.names += 1
        return f"a{self.names}"

    # --- expressions ----------------------------------------------------------------------------

    def expression(
        self, type_: str, scope: Sequence[Col], depth: int, *, pure: bool = False
    ) -> Made:
        """``pure``: with nothing in it that holds a masked value."""
        columns = [c for c in scope if c.type == type_ and not (pure and c.held)]
        masked = [c for c in columns if c.held]
        choice = self.draw(st.integers(0, 9))
        if masked and choice in (1, 2, 3, 4):
            column = self.pick(masked)
            return Made(column.text, True)
        if columns and (choice < 5 or depth <= 0):
            column = self.pick(columns)
            return Made(column.text, column.held)
        if depth <= 0 or choice == 5:
            return Made(self.pick(_CONSTANTS[type_]), False)
        if choice == 6 and depth > 1:
            return self.sub_select(type_, scope, depth - 1, pure=pure)
        if choice == 7 and type_ in ("bool", "int"):
            return self.presence(type_, scope)
        pattern = self.pick(_FUNCTIONS[type_])
        if pure and " over " in pattern:
            pattern = _FUNCTIONS[type_][0]
        return self.filled(pattern, scope, depth - 1, pure=pure)

    def filled(self, pattern: str, scope: Sequence[Col], depth: int, *, pure: bool) -> Made:
        held = False
        for type_ in _TYPES:
            while f"{{{type_}}}" in pattern:
                if " over " in pattern or "agg(" in pattern:
                    depth = 0  # no window in a window
                made = self.expression(type_, scope, depth, pure=pure)
                held = held or made.held
                pattern = pattern.replace(f"{{{type_}}}", made.text, 1)
                pattern = pattern.replace("{again}", made.text)  # so that no order is left open
        return Made(f"({pattern})", held)

    def presence(self, type_: str, scope: Sequence[Col]) -> Made:
        """Whether a value is there, which both fillings say alike."""
        if not scope:
            return Made(self.pick(_CONSTANTS[type_]), False)
        column = self.pick(scope)
        if type_ == "bool":
            return Made(f"({column.text} is null)", self.is_computed(column))
        return Made(
            f"(case when {column.text} is null then 1 else 0 end)", self.is_computed(column)
        )

    @staticmethod
    def is_computed(column: Col) -> bool:
        """Whether its being NULL may hang on a value: what is not a masked column itself."""
        return column.held and column.type != "?" and ".c" in column.text

    def sub_select(self, type_: str, scope: Sequence[Col], depth: int, *, pure: bool) -> Made:
        if type_ == "bool" and self.one_in(2):
            inner, columns = self.source(depth - 1, ())
            where = self.expression("bool", (*columns, *scope), 1, pure=pure or self.fair)
            return Made(f"exists (select from {inner} where {where.text})", where.held)
        inner, columns = self.source(depth - 1, ())
        both = (*columns, *scope)
        made = self.filled(self.pick(_AGGREGATES[type_]), columns, 1, pure=pure)
        where = self.expression("bool", both, 1, pure=pure or self.fair)
        return Made(
            f"(select {made.text} from {inner} where {where.text})", made.held or where.held
        )

    def filter(self, scope: Sequence[Col], depth: int = 1) -> str:
        """What chooses rows."""
        return self.expression("bool", scope, depth, pure=self.fair).text

    # --- queries --------------------------------------------------------------------------------

    def source(self, depth: int, left: Sequence[Col]) -> tuple[str, tuple[Col, ...]]:
        """One item of FROM, and its columns."""
        alias = self.name()
        choice = self.draw(st.integers(0, 11))
        if choice in (8, 9) and depth > 0:
            lateral = bool(left) and self.one_in(2)
            inner, columns = self.query(depth - 1, left if lateral else ())
            names = ", ".join(f"c{n}" for n in range(len(columns)))
            word = "lateral " if lateral else ""
            return f"{word}({inner}) {alias} ({names})", self._of(alias, columns)
        if choice == 10:
            return f"generate_series(1, 3) {alias}", (Col(alias, "int", False),)
        if choice == 11 and self.ctes:
            name = self.pick(sorted(self.ctes))
            return f"{name} {alias}", tuple(
                Col(f"{alias}.c{n}", column.type, column.held)
                for n, column in enumerate(self.ctes[name])
            )
        relation = self.pick(sorted(_RELATIONS))
        columns = tuple(Col(f"{alias}.{n}", t, held) for n, t, held in _RELATIONS[relation])
        return f"{relation} {alias}", columns

    @staticmethod
    def _of(alias: str, columns: Sequence[Col]) -> tuple[Col, ...]:
        return tuple(Col(f"{alias}.c{n}", c.type, c.held) for n, c in enumerate(columns))

    def joined(self, depth: int, outer: Sequence[Col]) -> tuple[str, tuple[Col, ...]]:
        """A FROM clause."""
        text, columns = self.source(depth, outer)
        for _ in range(
            self.draw(st.integers(0, 3)) // 2 if depth < 2 else self.draw(st.integers(0, 2))
        ):
            kind = self.pick(
                ("join", "join", "join", "left join", "left join", "full join", "cross join")
            )
            left = (*columns, *outer) if kind != "full join" else ()
            more, beside = self.source(depth, left)
            ints = [c.text for c in columns if c.type == "int" and not c.held]
            others = [c.text for c in beside if c.type == "int" and not c.held]
            columns = (*columns, *beside)
            if kind == "cross join":
                text += f" cross join {more}"
                continue
            if ints and others:
                on = f"{self.pick(ints)} = {self.pick(others)}"
            else:
                on = "true" if kind != "full join" else "1 = 1"
            text += f" {kind} {more} on {on}"
        return text, columns

    def query(self, depth: int, outer: Sequence[Col] = ()) -> tuple[str, tuple[Col, ...]]:
        """A SELECT, and what its columns are."""
        if depth > 0 and self.one_in(6):
            return self.united(depth, outer)
        text, columns = self.joined(depth, outer)
        scope = (*columns, *outer)
        where = f" where {self.filter(scope)}" if self.one_in(2) else ""
        if self.one_in(4):
            return self.grouped(text, where, columns, scope)
        if self.one_in(12) and columns[0].text.count(".") == 1:
            return self.row(text, where, columns)
        made = [self.target(scope, depth) for _ in range(self.draw(st.integers(1, 4)))]
        listed = ", ".join(one.text for one in made)
        exact = not any(one.held for one in made)
        distinct = "distinct " if (exact or not self.fair) and self.one_in(8) else ""
        order = ""
        if self.one_in(6):
            count = self.pick((3, 10))
            if exact:  # by all of them: rows that are alike may stand for each other
                order = (
                    f" order by {', '.join(str(n) for n in range(1, len(made) + 1))} limit {count}"
                )
            elif not self.fair and not distinct:
                order = f" order by {self.expression('text', columns, 1).text} || '' limit {count}"
        return f"select {distinct}{listed} from {text}{where}{order}", tuple(made)

    def target(self, scope: Sequence[Col], depth: int) -> Col:
        type_ = self.pick(_TYPES)
        made = self.expression(type_, scope, min(depth, 2))
        return Col(made.text, type_, made.held)

    def row(self, text: str, where: str, columns: Sequence[Col]) -> tuple[str, tuple[Col, ...]]:
        """A whole row, in one of its dresses."""
        alias = columns[0].text.partition(".")[0]
        dress = self.pick(
            ("{}::text", "row_to_json({})::text", "to_jsonb({})::text", "md5({}::text)")
        )
        made = dress.format(alias)
        held = any(c.held for c in columns if c.text.startswith(f"{alias}."))
        return f"select {made} from {text}{where}", (Col(made, "text", held),)

    def grouped(
        self, text: str, where: str, columns: Sequence[Col], scope: Sequence[Col]
    ) -> tuple[str, tuple[Col, ...]]:
        """Grouped by columns as they are; the rest are aggregates."""
        plain = [c for c in columns if not (self.fair and c.held and ".c" in c.text)] or list(
            columns[:1]
        )
        keys = [self.pick(plain) for _ in range(self.draw(st.integers(0, 2)))]
        if self.fair and any(k.held and ".c" in k.text for k in keys):
            keys = []
        made = list(keys)
        for _ in range(self.draw(st.integers(1, 2))):
            type_ = self.pick(_TYPES)
            one = self.filled(self.pick(_AGGREGATES[type_]), columns, 1, pure=False)
            made.append(Col(one.text, type_, one.held))
        made.append(Col(f"count({self.pick(columns).text})", "int", False))
        if ".c" in made[-1].text and any(c.held for c in columns):
            made[-1] = Col("count(*)", "int", False)
        by = f" group by {', '.join(k.text for k in keys)}" if keys else ""
        listed = ", ".join(one.text for one in made)
        return f"select {listed} from {text}{where}{by}", tuple(made)

    def united(self, depth: int, outer: Sequence[Col]) -> tuple[str, tuple[Col, ...]]:
        """Two SELECTs of the same types."""
        types = [self.pick(_TYPES) for _ in range(self.draw(st.integers(1, 3)))]
        parts, held = [], [False] * len(types)
        for _ in range(2):
            text, columns = self.joined(depth - 1, outer)
            made = [self.expression(t, (*columns, *outer), 1) for t in types]
            held = [before or one.held for before, one in zip(held, made, strict=True)]
            parts.append(
                f"select {', '.join(one.text for one in made)} from {text} where {self.filter(columns)}"
            )
        word = self.pick(("union all", "union all", "union", "except", "intersect"))
        if self.fair and any(held):
            word = "union all"
        columns_ = tuple(Col("?", t, h) for t, h in zip(types, held, strict=True))
        return f" {word} ".join(parts), columns_

    # --- statements -----------------------------------------------------------------------------

    def statement(self) -> str:
        self.fair = not self.one_in(4)
        kind = self.draw(st.integers(0, 19))
        if kind == 19:
            return self.changed()
        if kind == 18:
            return self.recursive()
        with_ = ""
        if kind > 13:
            parts = []
            for _ in range(self.draw(st.integers(1, 2))):
                name = f"w{len(self.ctes)}"
                text, columns = self.query(1)
                names = ", ".join(f"c{n}" for n in range(len(columns)))
                how = self.pick(("as", "as materialized", "as not materialized"))
                parts.append(f"{name} ({names}) {how} ({text})")
                self.ctes[name] = columns
            with_ = f"with {', '.join(parts)} "
        return with_ + self.query(2)[0]

    def recursive(self) -> str:
        text, columns = self.query(1)
        first = columns[0]
        steps = {
            "int": "c0 + 1",
            "text": "c0 || 'x'",
            "num": "c0 + 1",
            "date": "c0 + 1",
            "bool": "not c0",
        }
        rest = "".join(f", c{n}" for n in range(1, len(columns)))
        names = ", ".join(f"c{n}" for n in range(len(columns)))
        self.ctes["r"] = columns
        inner = f"select {steps[first.type]}{rest}, n + 1 from r where n < 2"
        head = f"select *, 1 from ({text}) s ({names})"
        return f"with recursive r ({names}, n) as ({head} union all {inner}) {self.query(1)[0]}"

    def changed(self) -> str:
        """A change of rows that returns some; rolled back."""
        relation = self.pick(_CHANGED)
        columns = tuple(Col(f"{relation}.{n}", t, held) for n, t, held in _RELATIONS[relation])
        texts = [
            n for n, t, held in _RELATIONS[relation] if t == "text" and not held and n != "sku"
        ]
        returned = ", ".join(self.target(columns, 1).text for _ in range(2))
        where = self.filter(columns)
        if self.one_in(3) and relation in ("items", "staff"):
            return f"delete from {relation} where {where} returning {returned}, {relation}"
        name = self.pick(texts) if texts else "qty"
        value = self.expression("text" if texts else "int", columns, 1).text
        return f"update {relation} set {name} = {value} where {where} returning {returned}"


@st.composite
def statements(draw: Callable[[st.SearchStrategy[int]], int]) -> Statement:
    """One statement."""
    writer = Writer(draw)
    text = writer.statement()
    return Statement(text, writer.fair and " over (" not in text.replace(" over ()", ""))
