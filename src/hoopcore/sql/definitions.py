"""Definitions and rights: which relations they name, and what they change beside them.

Order: definitions, names of objects, code, rights.
"""

from __future__ import annotations

from hoopcore.sql.grammar import Node, kind_of, tree
from hoopcore.sql.walk import Walk
from hoopcore.statement import Effect, Relation

_RELATIONS = frozenset(
    {
        *(tree.OBJECT_TABLE, tree.OBJECT_VIEW, tree.OBJECT_MATVIEW, tree.OBJECT_SEQUENCE),
        *(tree.OBJECT_FOREIGN_TABLE, tree.OBJECT_INDEX),
    }
)
_PARTS = frozenset(
    {
        *(tree.OBJECT_COLUMN, tree.OBJECT_TRIGGER, tree.OBJECT_RULE, tree.OBJECT_POLICY),
        tree.OBJECT_TABCONSTRAINT,
    }
)


def define(walk: Walk, statement: Node) -> None:
    """Relations named get the effect; defaults, checks and the like are walked as expressions."""
    walk.children(statement)
    if getattr(statement, "behavior", 0) == tree.DROP_CASCADE:
        walk.opaque = True


def create_table(walk: Walk, statement: Node) -> None:
    define(walk, statement)
    if statement.oncommit == tree.ONCOMMIT_DROP:
        walk.keeps.discard("temporary")


def alter_table(walk: Walk, statement: Node) -> None:
    """Its columns may change name, place or content: what is read later may be another's value."""
    walk.tag = _tag("ALTER", statement.objtype)
    define(walk, statement)
    for command in statement.cmds:
        if command.alter_table_cmd.behavior == tree.DROP_CASCADE:
            walk.opaque = True


def rename(walk: Walk, statement: Node) -> None:
    walk.tag = _tag("ALTER", statement.rename_type)
    walk.columns.update({statement.subname, statement.newname} - {""})
    define(walk, statement)
    if statement.rename_type == tree.OBJECT_ROLE:
        walk.effects.add(Effect.GRANT)
    if statement.rename_type == tree.OBJECT_SCHEMA:
        walk.opaque = True  # every relation in it gets another name


def drop(walk: Walk, statement: Node) -> None:
    walk.tag = _tag("DROP", statement.remove_type)
    for node in statement.objects:
        _name_object(walk, statement.remove_type, node)
    if statement.behavior == tree.DROP_CASCADE or statement.remove_type == tree.OBJECT_SCHEMA:
        walk.opaque = True


def comment(walk: Walk, statement: Node) -> None:
    _name_object(walk, statement.objtype, statement.object)


def _name_object(walk: Walk, kind: int, node: Node) -> None:
    """A relation, or a part of one, that is named by a list of words."""
    if kind_of(node) != "list" or kind not in _RELATIONS | _PARTS:
        return
    words = [word.string.sval for word in node.list.items]
    if kind in _PARTS:
        words = words[:-1]
    if words:
        walk.touch(Relation(words[-2] if len(words) > 1 else "", words[-1]), walk.mode)


def function(walk: Walk, statement: Node) -> None:
    """The body is code of the client's: it shows what it does only when it is called."""
    for option in statement.options:
        element = option.def_elem
        if element.defname == "language" and element.arg.string.sval.lower() in ("c", "internal"):
            walk.effects.add(Effect.SERVER_FILE)  # a library of the server's is loaded


def grant(walk: Walk, statement: Node) -> None:
    if statement.objtype in _RELATIONS and statement.targtype == tree.ACL_TARGET_OBJECT:
        for node in statement.objects:
            walk.visit(node)
    else:
        walk.opaque = True


def role_settings(walk: Walk, statement: Node) -> None:
    """ALTER ROLE … SET: what other sessions, and later ones of ours, will start with."""
    walk.opaque = True
    if statement.setstmt.name.lower() in ("role", "session_authorization"):
        walk.effects.add(Effect.ROLE)


def _tag(verb: str, kind: int) -> str:
    name = tree.ObjectType.Name(kind).removeprefix("OBJECT_").replace("_", " ")
    return f"{verb} {name.replace('MATVIEW', 'MATERIALIZED VIEW')}"
