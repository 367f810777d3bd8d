"""PostgreSQL's own grammar, behind two functions, so that it can be replaced.

The only module that knows which library parses.  It is written in C and a text can kill it: see
``IN_PROCESS`` in ``postgres.py`` for who may be given what.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from google.protobuf.message import DecodeError
from postgast import PgQueryError
from postgast import parse as _parse
from postgast import parse_plpgsql as _parse_plpgsql
from postgast import pg_query_pb2 as tree
from postgast import scan as _scan

__all__ = [
    "CannotParse",
    "Node",
    "Token",
    "constants",
    "fault_in",
    "kind_of",
    "packed",
    "parse",
    "parse_body",
    "tokens",
    "tree",
    "unpacked",
]

Node: TypeAlias = Any
"""A message of the tree.  Its fields are read by name; ``pg_query_pb2`` describes them."""


class CannotParse(Exception):
    """This text is not of the grammar, or its tree is too deep.  Never holds the text."""


_CONSTANTS = frozenset(
    {tree.ICONST, tree.FCONST, tree.SCONST, tree.BCONST, tree.XCONST, tree.USCONST}
)
_COMMENTS = frozenset({tree.SQL_COMMENT, tree.C_COMMENT})


def parse(text: str) -> list[Node]:
    """The statements of a text, in order."""
    try:
        return [raw.stmt for raw in _parse(text).stmts]
    except PgQueryError:
        raise CannotParse("it is not in PostgreSQL's grammar") from None
    except DecodeError:  # the tree is nested deeper than the library reads
        raise CannotParse("it is nested too deeply") from None


def fault_in(text: str) -> tuple[str, int] | None:
    """What the grammar says of a text it cannot parse, and at which character, counted from 1.

    None for one that it can.  The words hold a piece of the text: they are for who wrote it.
    """
    try:
        _parse(text)
    except PgQueryError as problem:
        return problem.message, problem.cursorpos
    except DecodeError:
        return None
    return None


def packed(statement: Node) -> bytes:
    """A statement's tree as bytes, which are smaller and go from process to process."""
    return bytes(statement.SerializeToString())


def unpacked(data: bytes) -> Node:
    """The tree again.  No text is parsed, so nothing here can be killed by one."""
    return tree.Node.FromString(data)


def constants(text: str) -> list[tuple[int, int]]:
    """Where the constants of a text are: (start, stop) in bytes of UTF-8, in order."""
    try:
        return [(t.start, t.end) for t in _scan(text).tokens if t.token in _CONSTANTS]
    except (PgQueryError, DecodeError):
        raise CannotParse("its tokens cannot be read") from None


class Token(NamedTuple):
    """A word, sign or constant of a text, with its place in bytes of UTF-8."""

    text: str
    start: int
    stop: int


def tokens(text: str) -> list[Token]:
    """The tokens of a text in order, without comments."""
    raw = text.encode()
    try:
        found = _scan(text).tokens
    except (PgQueryError, DecodeError):
        raise CannotParse("its tokens cannot be read") from None
    return [
        Token(raw[t.start : t.end].decode(), t.start, t.end)
        for t in found
        if t.token not in _COMMENTS
    ]


def parse_body(text: str) -> Any:
    """The tree of a body of PL/pgSQL, as the library gives it: lists and dicts of JSON."""
    quoted = text.replace("'", "''")
    try:
        return _parse_plpgsql(f"DO '{quoted}'")
    except (PgQueryError, ValueError):  # not PL/pgSQL; or JSON that is none
        raise CannotParse("its code is not in PL/pgSQL's grammar") from None


def kind_of(node: Node) -> str:
    """The name of what a Node wraps, such as ``select_stmt``; empty where there is nothing."""
    return node.WhichOneof("node") or ""
