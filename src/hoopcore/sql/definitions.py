"""Definitions and rights: which relations they name, and what they change beside them.

Order: definitions, names of objects, code, rights, and of which kinds a definition is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from hoopcore.sql.grammar import Node, kind_of, tree
from hoopcore.sql.kinds import TABLE
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


# --- of which kinds -------------------------------------------------------------------------------


def kinds_of(statement: Node, tag: str) -> Iterator[str]:
    """What rules may call it: DROP TABLE, ALTER TABLE and DROP COLUMN.  ``tag``: of its whole kind.

    Words of the statement's own, in capitals; where PostgreSQL has one name for several things
    (ALTER TABLE on a view), that of each.
    """
    if tag:
        yield tag
    kind = statement.DESCRIPTOR.name
    if kind == "AlterTableStmt":
        yield _tag("ALTER", statement.objtype)
        for command in statement.cmds:
            yield _step(command.alter_table_cmd.subtype)
    elif kind == "RenameStmt":
        yield from ("RENAME", _tag("ALTER", statement.rename_type))
        if statement.rename_type in _PARTS:
            yield _tag("ALTER", statement.relation_type)
    elif kind == "DropStmt":
        yield _tag("DROP", statement.remove_type)
    elif kind in ("AlterOwnerStmt", "AlterObjectSchemaStmt", "AlterObjectDependsStmt"):
        yield _tag("ALTER", statement.object_type)
    elif kind == "DefineStmt":
        yield _tag("CREATE", statement.kind)
    elif kind == "CreateTableAsStmt":
        yield _tag("CREATE", statement.objtype)
    elif kind == "CreateFunctionStmt" and statement.is_procedure:
        yield "CREATE PROCEDURE"


def _step(subtype: int) -> str:
    """A step of ALTER TABLE: AT_DropColumn is DROP COLUMN."""
    name = tree.AlterTableType.Name(subtype).removeprefix("AT_")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).upper()


def _known() -> Iterator[str]:
    objects = [_tag("", number).strip() for number in tree.ObjectType.values()]
    yield from (f"{verb} {name}" for verb in ("CREATE", "ALTER", "DROP") for name in objects)
    yield from map(_step, tree.AlterTableType.values())
    yield from ("RENAME", "CREATE PROCEDURE", "DISCARD")
    yield from (row.tag for row in TABLE.values() if row.tag and Effect.DDL in row.effects)


DDL_KINDS = frozenset(_known())
"""All that ``kinds_of`` can give, and some that it cannot."""
