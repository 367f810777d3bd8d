"""What a detector's hit may do to a cell: overwrite the hit, or only make the cell NULL.

It hangs on the type and the format, since what is left must still be a value of that type.  In
binary some types hold texts among other bytes, and some a number that no text shows.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol


class Watch(Enum):
    TEXT = "text"  # the hit is overwritten
    JSON = "json"  # overwritten inside a string; a number becomes null
    ARRAY = "array"  # of text, in text: overwritten inside an element
    XML = "xml"  # overwritten where it holds no markup
    MEMBERS = "members"  # an array of text, in binary: overwritten inside an element
    NULL = "null"  # the cell becomes NULL
    # What the quick look over many rows cannot see; the cell becomes NULL.
    INT8 = "int8"  # in binary
    NUMERIC = "numeric"  # in binary
    BYTEA = "bytea"  # in hex, in text; in binary its own bytes
    PARTS = "parts"  # arrays, rows and types of the target's own, in binary
    INET = "inet"  # an address by its type, in binary


HARD = frozenset({Watch.INT8, Watch.NUMERIC, Watch.BYTEA, Watch.PARTS, Watch.INET})
"""Each cell is looked at by itself."""


class Typed(Protocol):
    """What is looked at of a column."""

    @property
    def type(self) -> int: ...

    @property
    def format(self) -> int: ...


# name, text, unknown, bpchar, varchar, cstring: plain text in either format.
TEXTS = frozenset({19, 25, 705, 1042, 1043, 2275})

_JSONS = frozenset({114, 3802})
_XML = 142
_TEXT_ARRAYS = frozenset({1002, 1003, 1009, 1014, 1015, 1263})
_BYTEA = 17
_INETS = frozenset({650, 869})
_IN_BINARY = {20: Watch.INT8, 1700: Watch.NUMERIC}

# xml[], json[], jsonpath, tsvector, tsquery: their bytes hold the text as it is.
_PLAIN_IN_BINARY = frozenset({143, 199, 3614, 3615, 3807, 4072})
# bytea[], int8[], numeric[], inet[], cidr[], and record and record[].
_PARTS = frozenset({651, 1001, 1016, 1041, 1231, 2249, 2287})

# Too short for any hit in text, or only by accident: bool, "char", int2, int4, oid, tid,
# xid, cid, floats, date and time, macaddr, bit strings, uuid, regclass and its like.
_NEVER = frozenset(
    {16, 18, 21, 23, 26, 27, 28, 29, 700, 701, 774, 829}
    | {1082, 1083, 1114, 1184, 1186, 1266, 1560, 1562, 2202, 2205, 2206, 2950, 3220}
)

_FIRST_USER_TYPE = 16384


def is_text(type_oid: int, texts: frozenset[int]) -> bool:
    """Whether any text is a value of this type.  ``texts`` are such types of the catalog."""
    return type_oid in TEXTS or type_oid in texts


def watch(column: Typed, texts: frozenset[int]) -> Watch | None:
    """What a hit in this column does; None where detectors do not look."""
    kind = column.type
    if is_text(kind, texts):
        return Watch.TEXT
    if kind in _JSONS:
        return Watch.JSON
    if kind in _NEVER:
        return None
    if kind == _BYTEA:
        return Watch.BYTEA
    if kind in _INETS:
        return Watch.INET if column.format == 1 else Watch.NULL
    if kind == _XML:
        return Watch.XML
    if column.format == 0:
        return Watch.ARRAY if kind in _TEXT_ARRAYS else Watch.NULL
    return _in_binary(kind)


def _in_binary(kind: int) -> Watch | None:
    """Not looked into: ranges, geometry and what else of PostgreSQL's own holds no text."""
    if kind in _TEXT_ARRAYS:
        return Watch.MEMBERS
    if kind in _PLAIN_IN_BINARY:
        return Watch.NULL
    if kind in _PARTS or kind >= _FIRST_USER_TYPE:
        return Watch.PARTS
    return _IN_BINARY.get(kind)
