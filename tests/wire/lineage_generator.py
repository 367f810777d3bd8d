"""Random queries over the schema of the lineage oracle, of a seed.

Outside of expressions nothing filters by what may be masked, since that tells by inference; within
a sub-select of an expression everything may.  Most of what is made is taken by the server.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

TEXT, INT = "text", "int"


@dataclass(frozen=True)
class Col:
    name: str
    type: str
    plain: bool = False  # an unmasked column of a table, so that anything may be filtered by it


def _cols(text: str) -> list[Col]:
    """``id:int!`` is an int, and plain."""
    found = []
    for word in text.split():
        name, _, kind = word.partition(":")
        found.append(Col(name, kind.rstrip("!"), kind.endswith("!")))
    return found


RELATIONS = {
    "staff": _cols("id:int! name:text! email:text ssn:text team:int!"),
    "leads": _cols("id:int! email:text source:text! owner:int!"),
    "orders": _cols("id:int! customer:int! note:text!"),
    "app.teams": _cols("id:int! title:text! boss:int!"),
    "people": _cols("id:int name:text email:text"),
    "titles": _cols("title:text"),
    "mixed": _cols("email:text"),
    "staff_notes": _cols("staff:int! secret:text open:text!"),
}
AGGREGATES = {
    INT: [
        "count(*)",
        "count({t})",
        "sum({i})",
        "max({i})",
        "count(distinct {t})",
        "sum(length({t}))",
    ],
    TEXT: ["min({t})", "string_agg({u}, ',' order by {u})", "max({t}) filter (where {b})"],
}


class Maker:
    """Makes queries; ``free`` while it is within an expression."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.names = 0
        self.free = False
        self.ctes: list[tuple[str, list[Col]]] = []

    def name(self) -> str:
        self.names += 1
        return f"n{self.names}"

    def statement(self) -> str:
        parts = []
        for _ in range(self.dice.choice([0, 0, 1, 2])):
            name = self.name()
            text, cols = self.query(2, [])
            parts.append(f"{name} as ({text})")
            self.ctes.append((name, cols))
        text, _ = self.query(3, [])
        return (f"with {', '.join(parts)} " if parts else "") + text

    def query(self, depth: int, outer: list[tuple[str, list[Col]]]) -> tuple[str, list[Col]]:
        text, cols = self.select(depth, outer)
        if depth > 1 and self.dice.random() < 0.15:
            other, _ = self.select(depth - 1, outer, [col.type for col in cols])
            word = self.dice.choice(["union", "intersect", "except"]) if self.free else "union all"
            return f"{text} {word} {other}", [Col(col.name, col.type) for col in cols]
        return text, cols

    def select(
        self, depth: int, outer: list[tuple[str, list[Col]]], types: list[str] | None = None
    ) -> tuple[str, list[Col]]:
        froms, here = self.sources(depth)
        scope = [*here, *outer]
        grouped = self.dice.random() < 0.2
        types = types or [self.dice.choice([TEXT, INT]) for _ in range(self.dice.randint(1, 4))]
        items, cols = [], []
        for kind in types:
            name = self.name()
            if grouped:
                pattern = self.dice.choice(AGGREGATES[kind])
                value = self.filled(pattern, here, depth)
            else:
                value = self.value(kind, scope, depth)
            items.append(f"{value} as {name}")
            cols.append(Col(name, kind))
        where = ""
        if self.dice.random() < 0.6:
            where = f" where {self.condition(scope if self.free else here, depth)}"
        tail = ""
        if self.free and not grouped and self.dice.random() < 0.3:
            tail = f" order by {self.value(TEXT, here, 0)} limit 2"
        return f"select {', '.join(items)} from {froms}{where}{tail}", cols

    def sources(self, depth: int) -> tuple[str, list[tuple[str, list[Col]]]]:
        text, found = "", list[tuple[str, list[Col]]]()
        for number in range(self.dice.choice([1, 1, 2])):
            alias = self.name()
            body, cols = self.source(depth, found)
            if not number:
                text = f"{body} {alias}"
            elif self.dice.random() < 0.5:
                text += f" cross join {body} {alias}"
            else:
                word = self.dice.choice(["join", "left join"])
                text += f" {word} {body} {alias} on "
                text += self.condition([*found, (alias, cols)], 0)
            found.append((alias, cols))
        return text, found

    def source(self, depth: int, left: list[tuple[str, list[Col]]]) -> tuple[str, list[Col]]:
        roll = self.dice.random()
        if depth > 1 and roll < 0.2:
            text, cols = self.query(depth - 1, [])
            return f"({text})", cols
        if depth > 1 and left and roll < 0.35:
            free, self.free = self.free, True
            text, cols = self.query(depth - 1, left)
            self.free = free
            return f"lateral ({text})", cols
        if self.ctes and roll < 0.55:
            return self.dice.choice(self.ctes)
        name = self.dice.choice(list(RELATIONS))
        return name, RELATIONS[name]

    # --- expressions ----------------------------------------------------------------------------

    def value(self, kind: str, scope: list[tuple[str, list[Col]]], depth: int) -> str:
        fits = [f"{alias}.{col.name}" for alias, cols in scope for col in cols if col.type == kind]
        if fits and self.dice.random() < 0.5:
            return self.dice.choice(fits)
        if depth <= 0 or (not fits and self.dice.random() < 0.5):
            return self.dice.choice(fits) if fits else {TEXT: "'k'", INT: "7"}[kind]
        patterns = {
            TEXT: [
                *("upper({t})", "{t} || {t}", "coalesce({t}, {t})", "left({t}, 2)", "md5({t})"),
                *("case when {b} then {t} else {t} end", "{i}::text", "nullif({t}, {t})", "{q}"),
                *("concat({t}, {i})", "greatest({t}, {t})", "to_jsonb({w})::text", "{w}::text"),
                "(array[{t}, {t}])[2]",
            ],
            INT: [
                *(
                    "length({t})",
                    "{i} + {i}",
                    "case when {b} then 1 else {i} end",
                    "{q}",
                    "({b})::int",
                ),
                *(
                    "dense_rank() over (order by {i})",
                    "count({t}) over (partition by {i})",
                    "{i} % 5",
                ),
                *("coalesce({i}, 3)", "position('a' in {t})", "rank() over (order by {t})"),
            ],
        }
        pattern = self.dice.choice(patterns[kind])
        if pattern == "{q}":
            free, self.free = self.free, True
            text, _ = self.select(depth - 1, scope, [kind])
            self.free = free
            return f"({text} limit 1)" if " limit " not in text else f"({text})"
        return self.filled(pattern, scope, depth)

    def filled(self, pattern: str, scope: list[tuple[str, list[Col]]], depth: int) -> str:
        if "{u}" in pattern:  # twice the same, so that nothing hangs on the order of rows
            pattern = pattern.replace("{u}", self.value(TEXT, scope, 0))
        while "{" in pattern:
            place = pattern.index("{")
            what = pattern[place + 1]
            made = {
                "t": lambda: self.value(TEXT, scope, depth - 1),
                "i": lambda: self.value(INT, scope, depth - 1),
                "b": lambda: self.anything(scope, depth - 1),
                "w": lambda: self.dice.choice(scope)[0],
            }[what]()
            pattern = pattern[:place] + made.replace("{", "") + pattern[place + 3 :]
        return pattern

    def anything(self, scope: list[tuple[str, list[Col]]], depth: int) -> str:
        """A condition on whatever there is."""
        pattern = self.dice.choice(
            [
                "{t} > 'c'",
                "{t} like '%1%'",
                "{i} > 3",
                "{t} is null",
                "{t} = {t}",
                "exists({e})",
                "{i} in ({e})",
            ]
        )
        if "{e}" in pattern:
            if depth <= 0:
                return "true"
            free, self.free = self.free, True
            text, _ = self.select(depth - 1, scope, [INT])
            self.free = free
            pattern = pattern.replace("{e}", text)
        return self.filled(pattern, scope, depth)

    def condition(self, scope: list[tuple[str, list[Col]]], depth: int) -> str:
        """Which rows come: on what is plain, outside of expressions."""
        if self.free:
            return self.anything(scope, depth)
        plain = [f"{a}.{c.name}" for a, cols in scope for c in cols if c.plain and c.type == INT]
        if not plain:
            return "true"
        one, other = self.dice.choice(plain), self.dice.choice(plain)
        return self.dice.choice([f"{one} > 2", f"{one} = {other}", f"{one} < 6", f"{one} % 2 = 0"])
