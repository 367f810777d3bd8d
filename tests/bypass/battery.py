"""The leak battery: statements that would carry a masked value out, by the way that they try.

``LINES`` are the ways a value is known to escape a mask, in the words of the list the product was
designed against; the first statements of each are in ``battery_written.py``, and the corners of
PostgreSQL in ``battery_corners.py``.  All of it is asked of the shop of ``battery_schema.py``;
``escapes.py`` has older ones, over a schema of its own, and ``OLD`` gives each its line.

Without hoop every case shows a canary, but for those that are marked, and say why.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tests.bypass.battery_corners import CORNERS
from tests.bypass.battery_schema import KINDS
from tests.bypass.battery_written import OLD, WRITTEN
from tests.bypass.escapes import CASES, SILENT
from tests.bypass.trial import Case, Trial

EVERY_TYPE: Final = "every type"
LINES: Final = tuple(dict.fromkeys((*WRITTEN, *CORNERS, EVERY_TYPE)))

# What comes out today, and is published so (docs/reference/leaks.md).  Take away what is mended.
OPEN: Final[frozenset[str]] = frozenset()

# What a transaction around it would change.
_ALONE = re.compile(r"(^|; )(begin|commit|rollback|listen)|with hold")
_DEFERRED = ("unique", "unique update", "deferred alone")

# Too short to be told from anything else.
_SHORT = frozenset({"onechar", "bool", "int2", "aclitem"})


def _trials() -> Iterator[Trial]:
    for what, source in (("", WRITTEN), (" corner", CORNERS)):
        for line, cases in source.items():
            for number, kept in enumerate(cases, 1):
                case = kept if isinstance(kept, Case) else Case(kept)
                texts = (case.texts,) if isinstance(case.texts, str) else case.texts
                name = f"{line}{what} {number}"
                mark = "open" if name in OPEN else case.mark
                yield Trial(name, line, texts, mark, case.since, case.alone)
    for line, names in OLD.items():
        for name in names:
            mark = "no-xml" if "xml" in name else "silent" if name in SILENT else ""
            since = 18 if name in ("json_table", "returning old", "merge returning") else 0
            alone = name in _DEFERRED or _ALONE.search("; ".join(CASES[name])) is not None
            yield Trial(f"{line}: {name}", line, CASES[name], mark, since, alone)
    for kind in KINDS:
        mark = "silent" if kind.name in _SHORT else "no-xml" if kind.name == "xml" else ""
        texts = _of_type(f"x_{kind.name}")
        yield Trial(f"{EVERY_TYPE}: {kind.name}", EVERY_TYPE, texts, mark)


def _of_type(column: str) -> tuple[str, ...]:
    """As it is, as text, in a document, in an array and a row, out of a subquery and a CASE."""
    return (
        f"select id, {column} from every order by id",
        f"select {column}::text, format('%s', {column}), concat({column}) from every",
        f"select to_jsonb({column}), json_build_array({column}) from every",
        f"select array[{column}], row({column}, 1), (every).{column} from every",
        f"select (select {column} from every e where e.id = 1), case id when 1 then {column} end"
        " from every",
    )


TRIALS: Final = tuple(_trials())
