"""What a session and its transactions are told: SET, DISCARD, BEGIN, LISTEN and their like.

Order: settings, cursors and transactions, channels and libraries.
"""

from __future__ import annotations

from collections.abc import Iterable

from hoopcore.sql.grammar import Node, kind_of, tree
from hoopcore.sql.walk import Walk
from hoopcore.statement import Effect


def set_value(walk: Walk, statement: Node) -> None:
    name = statement.name.lower()
    if statement.kind == tree.VAR_SET_MULTI:
        _modes(walk, statement.args)
        walk.effects.add(Effect.TRANSACTION)
        walk.tag = walk.tag or "SET TRANSACTION"
        if name != "session characteristics":
            return
    walk.effects.add(Effect.SET)
    walk.tag = walk.tag or "SET"
    if not statement.is_local:
        walk.keeps.add("setting")
    if statement.kind in (tree.VAR_RESET, tree.VAR_SET_DEFAULT):
        walk.resets.add(name)
    elif statement.kind == tree.VAR_RESET_ALL:
        walk.resets.add("*")
    if statement.kind in (tree.VAR_RESET, tree.VAR_RESET_ALL):
        walk.tag = "RESET" if walk.tag == "SET" else walk.tag
    if name in ("role", "session_authorization"):
        walk.effects.add(Effect.ROLE)
    if statement.kind == tree.VAR_SET_VALUE:
        values = [_setting(argument) for argument in statement.args]
        walk.set(name, ", ".join(values))


def _setting(node: Node) -> str:
    """A value of SET as text; the grammar allows constants only."""
    if kind_of(node) == "type_cast":  # SET TIME ZONE INTERVAL '…'
        node = node.type_cast.arg
    value = node.a_const
    which = value.WhichOneof("val")
    if which == "sval":
        return str(value.sval.sval)
    if which == "ival":
        return str(value.ival.ival)
    return str(value.fval.fval)


def discard(walk: Walk, statement: Node) -> None:
    walk.keeps.add("setting")
    if statement.target == tree.DISCARD_ALL:
        walk.resets.add("*")
        walk.effects |= {Effect.SET, Effect.LISTEN}
    if statement.target in (tree.DISCARD_ALL, tree.DISCARD_TEMP):
        walk.effects.add(Effect.DDL)  # temporary tables go
        walk.ddl.add("DISCARD")
        walk.opaque = True


def fetch(walk: Walk, statement: Node) -> None:
    walk.tag = "MOVE" if statement.ismove and walk.tag == "FETCH" else walk.tag


def transaction(walk: Walk, statement: Node) -> None:
    name = tree.TransactionStmtKind.Name(statement.kind)
    walk.tag = name.removeprefix("TRANS_STMT_").replace("_", " ")
    _modes(walk, statement.options)
    if statement.chain:
        walk.modes.append(("chain", "on"))


def _modes(walk: Walk, options: Iterable[Node]) -> None:
    """READ WRITE and READ ONLY of a transaction; its other modes are nobody's business."""
    for option in options:
        if option.def_elem.defname == "transaction_read_only":
            value = option.def_elem.arg.a_const
            walk.modes.append(("read_only", "on" if value.ival.ival else "off"))


def listen(walk: Walk, statement: Node) -> None:
    walk.keeps.add("listen")


def load(walk: Walk, statement: Node) -> None:
    walk.keeps.add("setting")
