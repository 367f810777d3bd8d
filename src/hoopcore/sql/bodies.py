"""A body of PL/pgSQL → the SQL in it.

PL/pgSQL's own grammar cuts a body into control flow, expressions and statements; each of those is
SQL again, and is read like any other text.  EXECUTE makes its text when it runs: that is dynamic,
and nobody can read it before.

The library that parses gives a tree in JSON which leaves out one thing: what a variable of a row
type is set to where it is declared.  So declarations are counted among the tokens too, and where
the numbers differ, something is hidden.

Order: what a body holds, its tree, its declarations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from hoopcore.sql.functions import TYPES, words
from hoopcore.sql.grammar import CannotParse, Node, Token, parse, parse_body, tokens


@dataclass(slots=True)
class Body:
    """``values`` are queries whose one value goes to a variable, a condition or a message."""

    statements: list[Node] = field(default_factory=list)
    values: list[Node] = field(default_factory=list)
    types: set[str] = field(default_factory=set)  # that are not PostgreSQL's own
    dynamic: bool = False  # runs texts that it makes
    cursors: bool = False  # opens, fetches or closes them
    commits: bool = False
    records: int = 0  # variables that hold a row, of any type
    presets: int = 0  # variables that have a value where they are declared


def body_of(text: str) -> Body:
    """What a body holds; CannotParse where it is not understood in full."""
    body = Body()
    _collect(parse_body(text), body)
    declared = list(_declarations(tokens(text)))
    if sum(map(_has_value, declared)) != body.presets:
        raise CannotParse("a variable of its code begins with a value that is not seen")
    if sum(map(_is_record, declared)) != body.records:
        body.types.add("record")  # one of them is of a type somebody made
    return body


# --- its tree -------------------------------------------------------------------------------------

# Nodes that hold nothing but expressions, statements and variables.
_PLAIN: Final = words(
    """
    function var row recfield rec type stmt_block exception_block exception condition stmt_assign
    stmt_if if_elsif stmt_case case_when stmt_loop stmt_while stmt_fori stmt_fors stmt_forc
    stmt_foreach_a stmt_exit stmt_return stmt_raise raise_option stmt_assert stmt_execsql
    stmt_dynexecute stmt_dynfors stmt_getdiag diag_item stmt_open stmt_fetch stmt_close
    stmt_perform stmt_call stmt_commit stmt_rollback expr
    """
)
_DYNAMIC = frozenset({"stmt_dynexecute", "stmt_dynfors"})
_CURSORS = frozenset({"stmt_open", "stmt_fetch", "stmt_close", "stmt_forc"})
_COMMITS = frozenset({"stmt_commit", "stmt_rollback"})
# RawParseMode: a statement, an expression, and assignments to names of one, two and three parts.
_STATEMENT, _EXPRESSION, _ASSIGNMENTS = 0, 2, (3, 4, 5)


def _collect(node: Any, body: Body) -> None:
    if isinstance(node, list):
        for item in node:
            _collect(item, body)
    elif isinstance(node, dict):
        for datum in node.get("datums", ()):
            _declared(datum, body)
        for name, value in node.items():
            if name.startswith("PLpgSQL_"):
                _node(name.removeprefix("PLpgSQL_"), value, body)
            elif isinstance(value, dict | list):
                _collect(value, body)


def _declared(datum: dict[str, Any], body: Body) -> None:
    """Variables stand in their list once, and wherever they are set once more."""
    body.records += "lineno" in datum.get("PLpgSQL_rec", ())
    body.presets += "default_val" in datum.get("PLpgSQL_var", ())


def _node(kind: str, fields: dict[str, Any], body: Body) -> None:
    if kind not in _PLAIN:
        raise CannotParse("its code holds something that is not known here")
    body.dynamic = body.dynamic or kind in _DYNAMIC or "dynquery" in fields
    body.cursors = body.cursors or kind in _CURSORS
    body.commits = body.commits or kind in _COMMITS
    if kind == "expr":
        _expression(str(fields["query"]), fields.get("parseMode", _STATEMENT), body)
        return
    if kind == "stmt_forc":
        body.records -= 1  # its variable is its own, and nobody declares it
    elif kind == "type":
        name = str(fields.get("typname", ""))
        if name.removeprefix("_") not in TYPES:
            body.types.add(name)
    _collect(fields, body)


def _expression(text: str, mode: int, body: Body) -> None:
    if mode == _STATEMENT:
        body.statements += parse(text)
    elif mode == _EXPRESSION:
        body.values.append(_value(text))
    elif mode in _ASSIGNMENTS:
        body.values += map(_value, _sides(text))
    else:
        raise CannotParse("its code holds something that is not known here")


def _value(text: str) -> Node:
    """The query that gives the value of an expression."""
    nodes = parse(f"SELECT {text}")
    if len(nodes) != 1:
        raise CannotParse("an expression of its code is not understood")
    return nodes[0]


def _sides(text: str) -> tuple[str, str]:
    """What stands before and behind the sign of an assignment."""
    raw = text.encode()
    depth = 0
    for token in tokens(text):
        depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
        if not depth and token.text in (":=", "="):
            return raw[: token.start].decode(), raw[token.stop :].decode()
    raise CannotParse("an assignment of its code is not understood")


# --- its declarations -----------------------------------------------------------------------------


def _declarations(found: Iterable[Token]) -> Iterator[list[str]]:
    """The words of each declaration: name, type and so on, in capitals.

    DECLARE begins a section where a statement may begin, and a BEGIN in a declaration's place ends
    it.  A label and a section within one are no declarations.
    """
    declaring = False
    words: list[str] = []
    depth = 0
    for token in found:
        word = token.text.upper()
        depth += (word in ("(", "[")) - (word in (")", "]"))
        if word == "DECLARE" and not (declaring and words):
            declaring, words = True, []
        elif declaring and word == "BEGIN" and not words:
            declaring = False
        elif declaring and word == ";" and not depth:
            yield words
            words = []
        elif declaring:
            words.append(word if not depth else "()")


_SIGNS = frozenset({":=", "=", "DEFAULT"})


def _is_cursor(words: list[str]) -> bool:
    return words[1:2] == ["CURSOR"] or words[1:3] == ["SCROLL", "CURSOR"] or words[1:2] == ["NO"]


def _has_value(words: list[str]) -> bool:
    return not _is_cursor(words) and not _SIGNS.isdisjoint(words[1:])


def _is_record(words: list[str]) -> bool:
    return "RECORD" in words[1:3] and not _is_cursor(words)
