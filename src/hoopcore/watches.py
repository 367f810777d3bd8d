"""What a detector's hit may do to a cell: overwrite the hit, or only make the cell NULL.

It hangs on the type and the format, since what is left must still be a value of that type.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol


class Watch(Enum):
    TEXT = "text"  # the hit is overwritten
    JSON = "json"  # overwritten inside a string; elsewhere the cell becomes NULL
    NULL = "null"  # the cell becomes NULL


class Typed(Protocol):
    """What is looked at of a column."""

    @property
    def type(self) -> int: ...

    @property
    def format(self) -> int: ...


# name, text, unknown, bpchar, varchar, cstring: plain text in either format.
TEXTS = frozenset({19, 25, 705, 1042, 1043, 2275})

_JSONS = frozenset({114, 3802})

# Arrays of those above, and of json: text[] in text is written so that stars need no quotes.
_TEXT_ARRAYS = frozenset({1002, 1003, 1009, 1014, 1015, 1263})
_BINARY_WITH_TEXT = _TEXT_ARRAYS | {142, 143, 199, 2249, 2287, 3807}  # xml, json[], record

# Too short for any hit in text, or only by accident: bool, bytea, "char", int2, int4, oid, tid,
# xid, cid, floats, date and time, network addresses, bit strings, uuid, regclass and its like.
_NEVER = frozenset(
    {16, 17, 18, 21, 23, 26, 27, 28, 29, 650, 700, 701, 774, 829, 869}
    | {1082, 1083, 1114, 1184, 1186, 1266, 1560, 1562, 2202, 2205, 2206, 2950, 3220}
)

_FIRST_USER_TYPE = 16384


def is_text(type_oid: int, texts: frozenset[int]) -> bool:
    """Whether any text is a value of this type.  ``texts`` are such types of the catalog."""
    return type_oid in TEXTS or type_oid in texts


def watch(column: Typed, texts: frozenset[int]) -> Watch | None:
    """What a hit in this column does; None where detectors do not look.

    Not looked into: numbers, dates and other types of PostgreSQL's own in binary.  In binary
    arrays and rows the bytes of a length may stand against a text and hide where it begins.
    """
    kind = column.type
    if is_text(kind, texts):
        return Watch.TEXT
    if kind in _JSONS:
        return Watch.JSON
    if column.format == 1:
        own = kind >= _FIRST_USER_TYPE or kind in _BINARY_WITH_TEXT
        return Watch.NULL if own else None
    if kind in _NEVER:
        return None
    return Watch.TEXT if kind in _TEXT_ARRAYS else Watch.NULL
