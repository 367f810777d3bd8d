"""What PostgreSQL itself understood of a text, from the trees it prints (``debug_print_parse``).

A server that prints its parse tree tells everything that names came to mean: which relations with
which rights, which columns of them are read and written, and which functions, operators and casts
were chosen.  The notation is nodeToString's: ``{NODE :field value …}``, lists in parentheses.

Order: the notation, what is collected, and the collecting.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Tree: TypeAlias = Any
"""A dict with its name under "", a list, a word, or None."""

_TOKEN = re.compile(r'[(){}]|"(?:\\.|[^"\\])*"|(?:\\.|[^\s(){}\\])+', re.DOTALL)


class NoTree(Exception):
    """This text is not in the notation."""


def tree_of(text: str) -> Tree:
    """The tree that a server printed."""
    try:
        return _value(iter(_TOKEN.findall(text)), None)
    except (StopIteration, RecursionError):
        raise NoTree from None


def _value(tokens: Iterator[str], first: str | None) -> Tree:
    token = next(tokens) if first is None else first
    if token == "{":
        return _node(tokens)
    if token == "(":
        items = []
        while (token := next(tokens)) != ")":
            items.append(_value(tokens, token))
        return items
    return None if token == "<>" else token


def _node(tokens: Iterator[str]) -> dict[str, Tree]:
    node: dict[str, Tree] = {"": next(tokens)}
    name = ""
    while (token := next(tokens)) != "}":
        if token.startswith(":") and len(token) > 1:
            name = token[1:]
            node[name] = None
        elif node.get(name) is None:
            node[name] = _value(tokens, token)
        else:
            _value(tokens, token)  # the bytes of a constant: what they are is of no interest
    return node


# --- what is collected ----------------------------------------------------------------------------

SELECT, INSERT, UPDATE, DELETE = 2, 1, 4, 8  # bits of requiredPerms (parsenodes.h)
_COMMANDS = {"1": "select", "2": "update", "3": "insert", "4": "delete", "5": "merge"}
_OFFSET = 7  # of attribute numbers in the sets: FirstLowInvalidHeapAttributeNumber


@dataclass(slots=True)
class Meant:
    """What one tree names, by oid.  A column is (relation, attribute number); 0: the whole row."""

    relations: dict[int, int] = field(default_factory=dict)  # oid → rights
    columns: set[tuple[int, int]] = field(default_factory=set)
    called: set[int] = field(default_factory=set)  # functions written as calls
    implied: set[int] = field(default_factory=set)  # functions of operators and casts
    sorted_by: set[int] = field(default_factory=set)  # operators of ORDER BY, GROUP BY and the like
    domains: set[int] = field(default_factory=set)  # types whose checks run
    bare: set[str] = field(default_factory=set)  # update, delete: that have no WHERE
    commands: set[str] = field(default_factory=set)
    unlimited: bool = False  # the outermost query gives rows of relations, with no LIMIT
    utility: bool = False

    def add(self, other: Meant) -> None:
        for oid, rights in other.relations.items():
            self.relations[oid] = self.relations.get(oid, 0) | rights
        for name in ("columns", "called", "implied", "sorted_by", "domains", "bare", "commands"):
            getattr(self, name).update(getattr(other, name))


def meant_by(tree: Tree) -> Meant:
    """All that a tree names, wherever it stands in it."""
    meant = Meant()
    _collect(tree, meant)
    if isinstance(tree, dict) and tree[""] == "QUERY":
        meant.utility = tree.get("commandType") == "6"
        inner = _outermost(tree)
        meant.unlimited = bool(
            inner is not None
            and inner.get("limitCount") is None
            and any(rights & SELECT for rights in meant.relations.values())
            and (inner.get("hasAggs") != "true" or inner.get("groupClause") is not None)
        )
    return meant


def _outermost(tree: dict[str, Tree]) -> dict[str, Tree] | None:
    """The SELECT whose rows are given to the client or kept."""
    if tree.get("commandType") == "1":
        return tree
    statement = tree.get("utilityStmt")
    if isinstance(statement, dict) and statement[""] in ("DECLARECURSORSTMT", "CREATETABLEASSTMT"):
        query = statement.get("query")
        if isinstance(query, dict) and query[""] == "QUERY" and query.get("commandType") == "1":
            return query
    return None


def _collect(node: Tree, meant: Meant) -> None:
    if isinstance(node, list):
        for item in node:
            _collect(item, meant)
    elif isinstance(node, dict):
        visit = _VISITS.get(node[""])
        if visit is not None:
            visit(node, meant)
        for value in node.values():
            if isinstance(value, dict | list):
                _collect(value, meant)


def _number(node: dict[str, Tree], name: str) -> int:
    value = node.get(name)
    return int(value) if isinstance(value, str) and value.lstrip("-").isdigit() else 0


def _set(node: dict[str, Tree], name: str) -> list[int]:
    value = node.get(name)
    return [int(word) - _OFFSET for word in value[1:]] if isinstance(value, list) else []


def _query(node: dict[str, Tree], meant: Meant) -> None:
    command = _COMMANDS.get(str(node.get("commandType")), "")
    if command:
        meant.commands.add(command)
    if command in ("update", "delete"):
        jointree = node.get("jointree")
        if isinstance(jointree, dict) and jointree.get("quals") is None:
            meant.bare.add(command)


def _range_table_entry(node: dict[str, Tree], meant: Meant) -> None:
    if node.get("rtekind") == "0" and (relid := _number(node, "relid")):
        meant.relations.setdefault(relid, 0)
    if "requiredPerms" in node:  # up to PostgreSQL 15
        _permissions(node, meant)


def _permissions(node: dict[str, Tree], meant: Meant) -> None:
    relid = _number(node, "relid")
    if not relid:
        return
    meant.relations[relid] = meant.relations.get(relid, 0) | _number(node, "requiredPerms")
    for name in ("selectedCols", "insertedCols", "updatedCols"):
        meant.columns.update((relid, attnum) for attnum in _set(node, name))


def _function(node: dict[str, Tree], meant: Meant) -> None:
    # 0 is a call as it is written, 3 one in words (EXTRACT); 1 and 2 are casts.
    kind = meant.called if node.get("funcformat") in ("0", "3") else meant.implied
    kind.add(_number(node, "funcid"))


def _operator(node: dict[str, Tree], meant: Meant) -> None:
    meant.implied.add(_number(node, "opfuncid"))
    if not _number(node, "opfuncid"):
        meant.sorted_by.add(_number(node, "opno"))


def _sort(node: dict[str, Tree], meant: Meant) -> None:
    meant.sorted_by.update({_number(node, "eqop"), _number(node, "sortop")} - {0})


_VISITS: dict[str, Callable[[dict[str, Tree], Meant], None]] = {
    "QUERY": _query,
    "RANGETBLENTRY": _range_table_entry,
    "RTE": _range_table_entry,  # as PostgreSQL 15 called it
    "RTEPERMISSIONINFO": _permissions,
    "FUNCEXPR": _function,
    "OPEXPR": _operator,
    "DISTINCTEXPR": _operator,
    "NULLIFEXPR": _operator,
    "SCALARARRAYOPEXPR": _operator,
    "AGGREF": lambda node, meant: meant.called.add(_number(node, "aggfnoid")),
    "WINDOWFUNC": lambda node, meant: meant.called.add(_number(node, "winfnoid")),
    "SORTGROUPCLAUSE": _sort,
    "COERCETODOMAIN": lambda node, meant: meant.domains.add(_number(node, "resulttype")),
}
