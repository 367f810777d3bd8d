"""A text of PostgreSQL → what it does.

The tree of PostgreSQL's own grammar is read, never the words.  What a text means hangs on the
session: on client_encoding and on standard_conforming_strings.  Where that leaves a doubt, the
text is unreadable, and so refused unless a rule says otherwise.

The parser is C and **can be killed by its input**: 64 KB of ``1+1+1…`` overflow its stack.  A text
of at most ``IN_PROCESS`` bytes cannot nest deep enough for that; longer ones belong into a process
that may die (``hoopagent.reader``).
"""

from __future__ import annotations

from hoopcore.sql.encodings import decode, encoding_is_safe
from hoopcore.sql.grammar import CannotParse, Node, constants, kind_of, packed, parse
from hoopcore.sql.literals import literals
from hoopcore.sql.utility import walk_statement
from hoopcore.sql.walk import Walk
from hoopcore.statement import Reading, Statement, unreadable

__all__ = ["IN_PROCESS", "LARGEST", "encoding_is_safe", "read"]

# Measured: every shape of nesting that fits is read, or refused as too deep, on a stack of 512 KiB.
IN_PROCESS = 2048

# 16 MB of INSERT keep the parser busy for seconds; what is longer than this is not tried at all.
LARGEST = 4 << 20

# A tree is kept with its reading and traced in the agent's own process.
_LARGEST_FLOW = 128 << 10
_TRACED = frozenset(
    {
        *("select_stmt", "insert_stmt", "update_stmt", "delete_stmt", "merge_stmt"),
        *("create_table_as_stmt", "copy_stmt"),
    }
)


def read(
    text: bytes,
    *,
    encoding: str = "UTF8",
    standard_strings: bool = True,
    trusted: bool = True,
    functions: frozenset[str] = frozenset(),
) -> Reading:
    """What a text does: any bytes give a Reading, and what cannot be read is ``unknown``.

    ``encoding`` is client_encoding as PostgreSQL names it, ``standard_strings`` its
    standard_conforming_strings.  ``trusted`` False: neither is known yet, so only a text that
    means the same under all of them is read.  ``functions`` are harmless too on this target, as
    they are written in texts: functions, types, operators, and fields taken of an expression.
    """
    decoded = _decoded(text, encoding, standard_strings=standard_strings, trusted=trusted)
    if isinstance(decoded, Reading):
        return decoded
    try:
        nodes = parse(decoded)
        tokens = constants(decoded)
    except CannotParse as problem:
        return unreadable(str(problem))
    why = ""
    statements: list[Statement] = []
    meetings: dict[int, frozenset[str]] = {}
    for node in nodes:
        walk = Walk(functions)
        try:
            walk_statement(walk, node)
        except Exception:  # noqa: BLE001 - fail closed: a tree we did not think of is not read
            return unreadable("its tree is not understood")
        walk.meetings.add_to(meetings)
        walk.flow = _flow(node, walk)
        statements.append(walk.statement())
        why = why or walk.why
    utf8 = decoded.encode() if tokens else b""
    return Reading(tuple(statements), literals(utf8, tokens, meetings), why)


_CARRYING = frozenset({"declare_cursor_stmt", "prepare_stmt", "explain_stmt"})


def _flow(node: Node, walk: Walk) -> bytes | None:
    """The tree of what gives or writes rows of relations: lineage is found out when it is asked."""
    if kind_of(node) in _CARRYING:  # what runs later, by another statement, is looked at now
        node = getattr(node, kind_of(node)).query
    if walk.opaque or not walk.touches or kind_of(node) not in _TRACED:
        return None
    flow = packed(node)
    return flow if len(flow) <= _LARGEST_FLOW else None


def _decoded(text: bytes, encoding: str, *, standard_strings: bool, trusted: bool) -> str | Reading:
    """The text as characters, or why it cannot be read."""
    if len(text) > LARGEST:
        return unreadable("it is longer than 4 MiB")
    if b"\0" in text:
        return unreadable("it holds a zero byte")
    if b"\\" in text and not (standard_strings and trusted):
        return unreadable("a backslash may mean either of two things here")
    if not trusted and not text.isascii():
        return unreadable("its encoding is not known yet")
    decoded = decode(text, encoding)
    if decoded is None:
        return unreadable("it is not valid in client_encoding, or that cannot be read")
    return decoded
