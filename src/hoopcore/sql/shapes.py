"""Texts that differ in nothing but their constants, so that they are read once.

A *shape* is a text whose plain numbers and strings are replaced by marks.  Two texts of one shape
are the same tokens to PostgreSQL's lexer, in kind and in order, so its grammar makes the same tree
of them: they differ in the values of constants, and in where things stand.

That is true only of texts whose constants can be found without understanding them.  Whatever could
make a quote mean something else (a backslash, a comment, a dollar quote, ``E'…'``, ``U&"…"``, bytes
beyond ASCII) has no shape here; a number or a name that is not plain stays in the shape letter by
letter.

And it helps only a reading that no constant's *value* had a part in.  SET, set_config, EXPLAIN and
definitions look at values; queries and changes of rows, of nothing but code that is known to be
harmless, do not.  Only those are ``free``; a verdict that hangs on a literal is never kept here.

Order: the shape of a text, which readings it may stand for, and such a reading for another text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from hoopcore.statement import Effect, Literal, Reading

# A string, a name in quotes, a quote that is neither, and a number of one integer's size.  One that
# goes on as something else (1.5, 1e3, 0x1f, a1) stays in the shape.  What a token may begin with
# stands in front, since only so the search skips quickly over all else; hence the looks behind.
_TOKEN = re.compile(
    rb"""(['"0-9](?:
        (?<=')(?<![\w&]')[^']*(?:''[^']*)*'
      | (?<=")(?<![\w&]")[^"]+"
      | (?<=['"])
      | (?<=[0-9])(?<![\w.][0-9])[0-9]{0,8}(?![\w.])
    ))""",
    re.VERBOSE,
)
_STRANGE = (b"\\", b"--", b"/*", b"$", b"\0")
_STRING, _NAME = b"'\""
_STRING_MARK, _NUMBER_MARK = b"\0s", b"\0n"


class Shape(NamedTuple):
    """Texts of one shape have the same ``key``; ``sizes`` are those of its constants."""

    key: bytes
    sizes: tuple[int, ...]


def shape_of(text: bytes) -> Shape | None:
    """The shape of a text, or None where its constants cannot be told for sure.

    For standard_conforming_strings on, and any client_encoding that ASCII is the same in.
    """
    if not text.isascii():
        return None
    for word in _STRANGE:
        if word in text:
            return None
    parts = _TOKEN.split(text)
    sizes = []
    for index in range(1, len(parts), 2):
        token = parts[index]
        first, size = token[0], len(token)
        if first == _STRING:
            if size == 1:
                return None
            parts[index] = _STRING_MARK
        elif first == _NAME:
            if size == 1:
                return None
            continue
        else:
            parts[index] = _NUMBER_MARK
        sizes.append(size)
    return Shape(b"".join(parts), tuple(sizes))


_FREE_TAGS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
_FREE_EFFECTS = frozenset(
    {Effect.READ, Effect.INSERT, Effect.UPDATE, Effect.DELETE, Effect.LOCK}
)  # fmt: skip


def is_free(text: bytes, reading: Reading) -> bool:
    """Whether no value of a constant had a part in this reading of the text."""
    # float(1) is one type and float(50) another; float(0) is an error of the grammar.
    return (
        not reading.why
        and b"float" not in text.lower()
        and reading.effects <= _FREE_EFFECTS
        and all(
            statement.tag in _FREE_TAGS
            and not statement.settings
            and not any(name.endswith("set_config") for name in statement.functions)
            for statement in reading.statements
        )
    )


def moved(reading: Reading, shape: Shape, other: Shape) -> Reading:
    """The reading of a text of ``other``, from that of a text of ``shape``: the keys are the same.

    Its statements are the same object, so that what was found out about them holds on.
    """
    if not reading.literals or shape.sizes == other.sizes:
        return reading
    edges = _edges(shape, other)
    literals = tuple(
        Literal(_moved(one.start, edges), _moved(one.stop, edges), one.columns)
        for one in reading.literals
    )
    return Reading(reading.statements, literals, reading.why)


def _edges(shape: Shape, other: Shape) -> list[tuple[int, int]]:
    """Behind each constant: where that is in the one text, and by how much it is off in the other.

    A mark is as long as another, so the key tells where constants stand.
    """
    edges, place, off, at = [], 0, 0, 0
    for size, there in zip(shape.sizes, other.sizes, strict=True):
        found = shape.key.index(b"\0", at)
        place += found - at + size
        off += there - size
        at = found + len(_NUMBER_MARK)
        edges.append((place, off))
    return edges


def _moved(place: int, edges: list[tuple[int, int]]) -> int:
    off = 0
    for behind, by in edges:
        if behind > place:
            break
        off = by
    return place + off
