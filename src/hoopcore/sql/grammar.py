"""PostgreSQL's own grammar, behind two functions, so that it can be replaced.

The only module that knows which library parses.  It is written in C and a text can kill it: see
``IN_PROCESS`` in ``postgres.py`` for who may be given what.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from google.protobuf.message import DecodeError
from postgast import PgQueryError
from postgast import parse as _parse
from postgast import pg_query_pb2 as tree
from postgast import scan as _scan

__all__ = ["CannotParse", "Node", "constants", "kind_of", "parse", "tree"]

Node: TypeAlias = Any
"""A message of the tree.  Its fields are read by name; ``pg_query_pb2`` describes them."""


class CannotParse(Exception):
    """This text is not of the grammar, or its tree is too deep.  Never holds the text."""


_CONSTANTS = frozenset(
    {tree.ICONST, tree.FCONST, tree.SCONST, tree.BCONST, tree.XCONST, tree.USCONST}
)


def parse(text: str) -> list[Node]:
    """The statements of a text, in order."""
    try:
        return [raw.stmt for raw in _parse(text).stmts]
    except PgQueryError:
        raise CannotParse("it is not in PostgreSQL's grammar") from None
    except DecodeError:  # the tree is nested deeper than the library reads
        raise CannotParse("it is nested too deeply") from None


def constants(text: str) -> list[tuple[int, int]]:
    """Where the constants of a text are: (start, stop) in bytes of UTF-8, in order."""
    try:
        return [(t.start, t.end) for t in _scan(text).tokens if t.token in _CONSTANTS]
    except (PgQueryError, DecodeError):
        raise CannotParse("its tokens cannot be read") from None


def kind_of(node: Node) -> str:
    """The name of what a Node wraps, such as ``select_stmt``; empty where there is nothing."""
    return node.WhichOneof("node") or ""
