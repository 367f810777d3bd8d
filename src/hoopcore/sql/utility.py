"""Statements that are not queries: what each kind does, by the name the grammar gives it.

A kind that is not in the table is ``unknown``.  Most definitions are alike: the relations they
name get the effect, their expressions are walked.  What a definition only stores, and runs later
under other names, is ``opaque``.

Order: the entry, statements that wrap others, the session, data, definitions, and the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hoopcore.sql.grammar import Node, kind_of, tree
from hoopcore.sql.visit import is_temporary
from hoopcore.sql.walk import Walk
from hoopcore.statement import Effect, Relation


def walk_statement(walk: Walk, node: Node) -> None:
    """One statement of the text, or one that another one wraps."""
    kind = kind_of(node)
    message = getattr(node, kind) if kind else None
    query = _QUERIES.get(kind)
    if query is not None:
        walk.tag = walk.tag or query[0]
        query[1](walk, message)
        return
    row = _TABLE.get(kind)
    if row is None:
        walk.tag = walk.tag or "unknown"
        walk.unknown("its kind is not known here")
        return
    walk.tag = walk.tag or row.tag
    walk.effects |= row.effects
    walk.opaque = walk.opaque or row.opaque
    walk.copies = walk.copies or row.copies
    mode = walk.mode
    if row.touches is not None:
        walk.mode = row.touches
    row.also(walk, message)
    walk.mode = mode
    if Effect.DDL in row.effects and _names_temporary(message):
        walk.keeps.add("temporary")


def _names_temporary(definition: Node) -> bool:
    """Whether it names a function, a type or the like in the session's own schema."""
    for field, value in definition.ListFields():
        if field.is_repeated and field.message_type is not None and len(value) > 1:
            first = value[0]
            named = field.message_type.name == "Node" and kind_of(first) == "string"
            if named and is_temporary(first.string.sval):
                return True
    return False


def _select(walk: Walk, query: Node) -> None:
    walk.effects.add(Effect.READ)
    into = _into_of(query)
    if into:
        walk.effects.add(Effect.DDL)
        walk.tag = "SELECT INTO" if walk.tag == "SELECT" else walk.tag
    walk.select(query, flows=walk.tag != "SELECT")
    if walk.touches and not (_is_limited(query) or _is_one_row(query)):
        walk.unlimited = True


def _is_limited(query: Node) -> bool:
    """Whether a constant bounds its rows.  ALL is NULL; a parameter may be; ties may be all."""
    if query.limit_option == tree.LIMIT_OPTION_WITH_TIES or not query.HasField("limit_count"):
        return False
    count = query.limit_count
    if kind_of(count) == "type_cast":
        count = count.type_cast.arg
    return kind_of(count) == "a_const" and not count.a_const.isnull


_AGGREGATES = frozenset({"avg", "bool_and", "bool_or", "count", "every", "max", "min", "sum"})


def _is_one_row(query: Node) -> bool:
    """Whether it gives nothing but aggregates over all."""
    if query.op != tree.SETOP_NONE or query.group_clause or not query.target_list:
        return False
    calls = [item.res_target.val for item in query.target_list]
    return all(
        kind_of(call) == "func_call"
        and not call.func_call.HasField("over")
        and [name.string.sval for name in call.func_call.funcname][-1] in _AGGREGATES
        for call in calls
    )


def _into_of(query: Node) -> bool:
    """SELECT a INTO t … UNION …: the clause stands in the leftmost query."""
    while query.op != tree.SETOP_NONE:
        query = query.larg
    return bool(query.HasField("into_clause"))


# --- statements that wrap others --------------------------------------------------------------


def _explain(walk: Walk, explain: Node) -> None:
    """With ANALYZE it runs; without, it is planned, and planning runs code as well."""
    runs = any(_switched_on(option.def_elem, "analyze") for option in explain.options)
    if runs:
        walk.tag = "EXPLAIN ANALYZE"
        walk_statement(walk, explain.query)
        return
    inner = Walk(walk.allowed)
    inner.tag = "EXPLAIN"
    walk_statement(inner, explain.query)
    walk.effects |= {Effect.READ} | inner.effects & {Effect.CALL, Effect.UNKNOWN, Effect.PREPARE}
    for touch in inner.touches:
        walk.touch(touch.relation, Effect.READ)
    walk.functions |= inner.functions
    walk.columns |= inner.columns
    walk.ranges |= inner.ranges
    walk.guises = walk.guises or inner.guises
    walk.keeps |= inner.keeps & {"prepared"}  # EXPLAIN EXECUTE
    walk.opaque = walk.opaque or inner.opaque
    walk.why = walk.why or inner.why
    walk.meetings.units += inner.meetings.units
    walk.meetings.renamed |= inner.meetings.renamed
    walk.meetings.all_renamed |= inner.meetings.all_renamed


def _switched_on(option: Node, name: str) -> bool:
    """Whether an option says yes, or something we do not know to be no."""
    if option.defname.lower() != name:
        return False
    if not option.HasField("arg"):
        return True
    value = option.arg
    if kind_of(value) == "string":
        return value.string.sval.lower() not in ("false", "off", "0")
    if kind_of(value) == "integer":
        return bool(value.integer.ival != 0)
    return True


def _wrapped(walk: Walk, statement: Node) -> None:
    for argument in getattr(statement, "argtypes", ()):
        walk.visit(argument)
    walk_statement(walk, statement.query)


def _prepare(walk: Walk, statement: Node) -> None:
    walk.keeps.add("prepared")
    _wrapped(walk, statement)


def _deallocate(walk: Walk, statement: Node) -> None:
    walk.keeps.add("prepared")


# CURSOR_OPT_HOLD of PostgreSQL's parsenodes.h.
_HOLD = 0x20


def _declare(walk: Walk, statement: Node) -> None:
    if statement.options & _HOLD:
        walk.keeps.add("cursor")
    _wrapped(walk, statement)


def _execute(walk: Walk, statement: Node) -> None:
    walk.keeps.add("prepared")
    walk.values(statement.params, "*")
    walk.copies = walk.copies or walk.given > 0  # the text that is run may keep them


def _create_as(walk: Walk, statement: Node) -> None:
    walk.into(statement.into)
    walk.mode = Effect.READ
    walk_statement(walk, statement.query)


def _view(walk: Walk, statement: Node) -> None:
    walk.touch_named(statement.view, Effect.DDL)
    walk.meetings.renamed.update(name.string.sval for name in statement.aliases)
    walk.mode = Effect.READ
    walk_statement(walk, statement.query)
    if any(touch.relation.name == "pg_settings" for touch in walk.touches):
        # An UPDATE of the view would set them, and look like an UPDATE of any table.
        walk.unknown("a view of pg_settings sets them by another name")


def _rule(walk: Walk, statement: Node) -> None:
    """Its actions run later, whenever the relation is used: they count as done now."""
    walk.touch_named(statement.relation, Effect.DDL)
    walk.mode = Effect.READ
    if statement.HasField("where_clause"):
        walk.condition(statement.where_clause)
    for action in statement.actions:
        walk_statement(walk, action)


def _schema(walk: Walk, statement: Node) -> None:
    for element in statement.schema_elts:
        walk_statement(walk, element)


# --- the session ------------------------------------------------------------------------------


def _set(walk: Walk, statement: Node) -> None:
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


def _discard(walk: Walk, statement: Node) -> None:
    walk.keeps.add("setting")
    if statement.target == tree.DISCARD_ALL:
        walk.resets.add("*")
        walk.effects |= {Effect.SET, Effect.LISTEN}
    if statement.target in (tree.DISCARD_ALL, tree.DISCARD_TEMP):
        walk.effects.add(Effect.DDL)  # temporary tables go
        walk.opaque = True


def _fetch(walk: Walk, statement: Node) -> None:
    walk.tag = "MOVE" if statement.ismove and walk.tag == "FETCH" else walk.tag


def _transaction(walk: Walk, statement: Node) -> None:
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


def _listen(walk: Walk, statement: Node) -> None:
    walk.keeps.add("listen")


def _load(walk: Walk, statement: Node) -> None:
    walk.keeps.add("setting")


def _nothing(walk: Walk, statement: Node) -> None:
    """The row of the table says it all."""


# --- data -------------------------------------------------------------------------------------


def _copy(walk: Walk, statement: Node) -> None:
    outside = Effect.PROGRAM if statement.is_program else Effect.SERVER_FILE
    wire = Effect.COPY_IN if statement.is_from else Effect.COPY_OUT
    remote = bool(statement.filename) or statement.is_program
    walk.effects.add(outside if remote else wire)
    before = set(walk.touches)
    walk.columns.update(name.string.sval for name in statement.attlist)
    if statement.HasField("query"):
        walk_statement(walk, statement.query)
    else:
        if not statement.attlist:
            walk.columns.add("*")
        walk.unlimited = not statement.is_from
        walk.touch_named(statement.relation, Effect.INSERT if statement.is_from else Effect.READ)
    if statement.HasField("where_clause"):
        walk.condition(statement.where_clause)
    for touch in walk.touches - before:
        if not remote and touch.effect in (Effect.READ, Effect.INSERT):
            walk.touch(touch.relation, wire)
    walk.copies = walk.copies or (remote and not statement.is_from)


def _truncate(walk: Walk, statement: Node) -> None:
    walk.children(statement)
    walk.opaque = walk.opaque or statement.behavior == tree.DROP_CASCADE


def _call(walk: Walk, statement: Node) -> None:
    walk.function_call(statement.funccall)


def _maintenance(walk: Walk, statement: Node) -> None:
    walk.children(statement)


def _reindex(walk: Walk, statement: Node) -> None:
    walk.children(statement)
    if not statement.HasField("relation"):
        walk.opaque = True


# --- definitions ------------------------------------------------------------------------------


def _define(walk: Walk, statement: Node) -> None:
    """Relations named get the effect; defaults, checks and the like are walked as expressions."""
    walk.children(statement)
    if getattr(statement, "behavior", 0) == tree.DROP_CASCADE:
        walk.opaque = True


def _create_table(walk: Walk, statement: Node) -> None:
    _define(walk, statement)
    if statement.oncommit == tree.ONCOMMIT_DROP:
        walk.keeps.discard("temporary")


def _alter_table(walk: Walk, statement: Node) -> None:
    """Its columns may change name, place or content: what is read later may be another's value."""
    walk.tag = _tag("ALTER", statement.objtype)
    _define(walk, statement)
    for command in statement.cmds:
        if command.alter_table_cmd.behavior == tree.DROP_CASCADE:
            walk.opaque = True


def _rename(walk: Walk, statement: Node) -> None:
    walk.tag = _tag("ALTER", statement.rename_type)
    walk.columns.update({statement.subname, statement.newname} - {""})
    _define(walk, statement)
    if statement.rename_type == tree.OBJECT_SCHEMA:
        walk.opaque = True  # every relation in it gets another name


def _drop(walk: Walk, statement: Node) -> None:
    walk.tag = _tag("DROP", statement.remove_type)
    for node in statement.objects:
        _name_object(walk, statement.remove_type, node)
    if statement.behavior == tree.DROP_CASCADE or statement.remove_type == tree.OBJECT_SCHEMA:
        walk.opaque = True


def _comment(walk: Walk, statement: Node) -> None:
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


def _function(walk: Walk, statement: Node) -> None:
    """The body is code of the client's: it shows what it does only when it is called."""
    for option in statement.options:
        element = option.def_elem
        if element.defname == "language" and element.arg.string.sval.lower() in ("c", "internal"):
            walk.effects.add(Effect.SERVER_FILE)  # a library of the server's is loaded


def _grant(walk: Walk, statement: Node) -> None:
    if statement.objtype in _RELATIONS and statement.targtype == tree.ACL_TARGET_OBJECT:
        for node in statement.objects:
            walk.visit(node)
    else:
        walk.opaque = True


def _role_settings(walk: Walk, statement: Node) -> None:
    """ALTER ROLE … SET: what other sessions, and later ones of ours, will start with."""
    walk.opaque = True
    if statement.setstmt.name.lower() in ("role", "session_authorization"):
        walk.effects.add(Effect.ROLE)


def _tag(verb: str, kind: int) -> str:
    name = tree.ObjectType.Name(kind).removeprefix("OBJECT_").replace("_", " ")
    return f"{verb} {name.replace('MATVIEW', 'MATERIALIZED VIEW')}"


# --- the table --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    tag: str
    effects: frozenset[Effect]
    also: Callable[[Walk, Node], None]
    touches: Effect | None = None  # what happens to relations that it names
    opaque: bool = False
    copies: bool = False


def _row(
    tag: str,
    effects: str,
    also: Callable[[Walk, Node], None] = _nothing,
    *,
    touches: str = "",
    opaque: bool = False,
    copies: bool = False,
) -> _Row:
    kinds = frozenset(Effect(word) for word in effects.split())
    return _Row(tag, kinds, also, Effect(touches) if touches else None, opaque, copies)


def _ddl(tag: str, effects: str = "", *, opaque: bool = False, copies: bool = False) -> _Row:
    return _row(tag, f"ddl {effects}", _define, touches="ddl", opaque=opaque, copies=copies)


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
_QUERIES: dict[str, tuple[str, Callable[[Walk, Node], None]]] = {
    "select_stmt": ("SELECT", _select),
    "insert_stmt": ("INSERT", Walk.insert),
    "update_stmt": ("UPDATE", Walk.update),
    "delete_stmt": ("DELETE", Walk.delete),
    "merge_stmt": ("MERGE", Walk.merge),
}
_TABLE: dict[str, _Row] = {
    "explain_stmt": _row("EXPLAIN", "", _explain),
    "prepare_stmt": _row("PREPARE", "prepare", _prepare),
    "execute_stmt": _row("EXECUTE", "prepare", _execute, opaque=True),
    "deallocate_stmt": _row("DEALLOCATE", "prepare", _deallocate),
    "declare_cursor_stmt": _row("DECLARE CURSOR", "prepare", _declare),
    "fetch_stmt": _row("FETCH", "prepare", _fetch, opaque=True),
    "close_portal_stmt": _row("CLOSE CURSOR", "prepare"),
    "discard_stmt": _row("DISCARD", "prepare", _discard),
    "create_table_as_stmt": _row("CREATE TABLE AS", "ddl", _create_as, copies=True),
    "view_stmt": _row("CREATE VIEW", "ddl", _view, copies=True),
    "rule_stmt": _row("CREATE RULE", "ddl", _rule, opaque=True),
    "create_schema_stmt": _row("CREATE SCHEMA", "ddl", _schema),
    # the session
    "variable_set_stmt": _row("", "", _set),
    "variable_show_stmt": _row("SHOW", "read"),
    "transaction_stmt": _row("", "transaction", _transaction),
    "constraints_set_stmt": _row("SET CONSTRAINTS", "transaction"),
    "listen_stmt": _row("LISTEN", "listen", _listen),
    "unlisten_stmt": _row("UNLISTEN", "listen", _listen),
    "notify_stmt": _row("NOTIFY", "listen"),
    "lock_stmt": _row("LOCK TABLE", "lock", _define, touches="lock"),
    # data
    "copy_stmt": _row("COPY", "", _copy),
    "truncate_stmt": _row("TRUNCATE TABLE", "truncate", _truncate, touches="truncate"),
    "call_stmt": _row("CALL", "call", _call, opaque=True),
    "do_stmt": _row("DO", "call", opaque=True),
    "refresh_mat_view_stmt": _row(
        *("REFRESH MATERIALIZED VIEW", "maintenance", _maintenance),
        touches="maintenance",
        opaque=True,
        copies=True,
    ),
    "vacuum_stmt": _row("VACUUM", "maintenance", _maintenance, touches="maintenance"),
    "cluster_stmt": _row("CLUSTER", "maintenance", _maintenance, touches="maintenance"),
    "reindex_stmt": _row("REINDEX", "maintenance", _reindex, touches="maintenance"),
    "check_point_stmt": _row("CHECKPOINT", "maintenance"),
    # A library may hold any code; ALTER SYSTEM may name programs that the server starts.
    "load_stmt": _row("LOAD", "maintenance server_file call", _load, opaque=True),
    "alter_system_stmt": _row("ALTER SYSTEM", "maintenance server_file program set", opaque=True),
    # who may do what
    "grant_stmt": _row("GRANT", "grant", _grant, touches="grant"),
    "grant_role_stmt": _row("GRANT ROLE", "grant", opaque=True),
    "alter_default_privileges_stmt": _row("ALTER DEFAULT PRIVILEGES", "grant", opaque=True),
    "create_role_stmt": _row("CREATE ROLE", "grant", opaque=True),
    "alter_role_stmt": _row("ALTER ROLE", "grant", opaque=True),
    "alter_role_set_stmt": _row("ALTER ROLE", "grant set", _role_settings),
    "drop_role_stmt": _row("DROP ROLE", "grant", opaque=True),
    "reassign_owned_stmt": _row("REASSIGN OWNED", "grant ddl", opaque=True),
    "drop_owned_stmt": _row("DROP OWNED", "grant ddl", opaque=True),
    "alter_owner_stmt": _row("ALTER OWNER", "grant ddl", _define, touches="ddl"),
    "create_policy_stmt": _ddl("CREATE POLICY", "grant"),
    "alter_policy_stmt": _ddl("ALTER POLICY", "grant"),
    # relations and what hangs on them
    "create_stmt": _row("CREATE TABLE", "ddl", _create_table, touches="ddl"),
    "create_foreign_table_stmt": _ddl("CREATE FOREIGN TABLE", opaque=True),
    "alter_table_stmt": _row("", "ddl", _alter_table, touches="ddl", copies=True),
    "alter_table_move_all_stmt": _ddl("ALTER TABLE ALL", opaque=True),
    "rename_stmt": _row("", "ddl", _rename, touches="ddl", copies=True),
    "alter_object_schema_stmt": _ddl("ALTER SCHEMA OF", copies=True),
    "alter_object_depends_stmt": _ddl("ALTER DEPENDS ON"),
    "drop_stmt": _row("", "ddl", _drop, touches="ddl"),
    "comment_stmt": _row("COMMENT", "ddl", _comment, touches="ddl"),
    "sec_label_stmt": _row("SECURITY LABEL", "ddl grant", _comment, touches="ddl"),
    "index_stmt": _ddl("CREATE INDEX"),
    "create_stats_stmt": _ddl("CREATE STATISTICS"),
    "alter_stats_stmt": _ddl("ALTER STATISTICS"),
    "create_seq_stmt": _ddl("CREATE SEQUENCE"),
    "alter_seq_stmt": _ddl("ALTER SEQUENCE"),
    "create_trig_stmt": _ddl("CREATE TRIGGER", opaque=True),
    "composite_type_stmt": _ddl("CREATE TYPE"),
    # code and types
    "create_function_stmt": _row("CREATE FUNCTION", "ddl", _function, opaque=True),
    "alter_function_stmt": _row("ALTER FUNCTION", "ddl", opaque=True),
    "define_stmt": _row("CREATE", "ddl", opaque=True),
    "create_domain_stmt": _ddl("CREATE DOMAIN", opaque=True),
    "alter_domain_stmt": _ddl("ALTER DOMAIN", opaque=True),
    "create_enum_stmt": _row("CREATE TYPE", "ddl"),
    "alter_enum_stmt": _row("ALTER TYPE", "ddl"),
    "create_range_stmt": _row("CREATE TYPE", "ddl", opaque=True),
    "alter_type_stmt": _row("ALTER TYPE", "ddl", opaque=True),
    "create_op_class_stmt": _row("CREATE OPERATOR CLASS", "ddl", opaque=True),
    "create_op_family_stmt": _row("CREATE OPERATOR FAMILY", "ddl", opaque=True),
    "alter_op_family_stmt": _row("ALTER OPERATOR FAMILY", "ddl", opaque=True),
    "alter_operator_stmt": _row("ALTER OPERATOR", "ddl", opaque=True),
    "create_cast_stmt": _row("CREATE CAST", "ddl", opaque=True),
    "create_conversion_stmt": _row("CREATE CONVERSION", "ddl", opaque=True),
    "create_transform_stmt": _row("CREATE TRANSFORM", "ddl", opaque=True),
    "alter_collation_stmt": _row("ALTER COLLATION", "ddl"),
    "create_plang_stmt": _row("CREATE LANGUAGE", "ddl call", opaque=True),
    "create_event_trig_stmt": _row("CREATE EVENT TRIGGER", "ddl", opaque=True),
    "alter_event_trig_stmt": _row("ALTER EVENT TRIGGER", "ddl", opaque=True),
    "create_am_stmt": _row("CREATE ACCESS METHOD", "ddl", opaque=True),
    "alter_tsdictionary_stmt": _row("ALTER TEXT SEARCH DICTIONARY", "ddl", opaque=True),
    "alter_tsconfiguration_stmt": _row("ALTER TEXT SEARCH CONFIGURATION", "ddl", opaque=True),
    # an extension runs scripts as it comes
    "create_extension_stmt": _row("CREATE EXTENSION", "ddl call", opaque=True),
    "alter_extension_stmt": _row("ALTER EXTENSION", "ddl call", opaque=True),
    "alter_extension_contents_stmt": _row("ALTER EXTENSION", "ddl", opaque=True),
    # databases, and other places
    "createdb_stmt": _row("CREATE DATABASE", "ddl", opaque=True),
    "alter_database_stmt": _row("ALTER DATABASE", "ddl", opaque=True),
    "alter_database_refresh_coll_stmt": _row("ALTER DATABASE", "ddl"),
    "alter_database_set_stmt": _row("ALTER DATABASE", "ddl set", _role_settings),
    "dropdb_stmt": _row("DROP DATABASE", "ddl", opaque=True),
    "create_table_space_stmt": _row("CREATE TABLESPACE", "ddl server_file"),
    "drop_table_space_stmt": _row("DROP TABLESPACE", "ddl server_file"),
    "alter_table_space_options_stmt": _row("ALTER TABLESPACE", "ddl"),
    "create_fdw_stmt": _row("CREATE FOREIGN DATA WRAPPER", "ddl", opaque=True),
    "alter_fdw_stmt": _row("ALTER FOREIGN DATA WRAPPER", "ddl", opaque=True),
    "create_foreign_server_stmt": _row("CREATE SERVER", "ddl", opaque=True),
    "alter_foreign_server_stmt": _row("ALTER SERVER", "ddl", opaque=True),
    "create_user_mapping_stmt": _row("CREATE USER MAPPING", "ddl grant", opaque=True),
    "alter_user_mapping_stmt": _row("ALTER USER MAPPING", "ddl grant", opaque=True),
    "drop_user_mapping_stmt": _row("DROP USER MAPPING", "ddl grant", opaque=True),
    "import_foreign_schema_stmt": _row("IMPORT FOREIGN SCHEMA", "ddl", opaque=True),
    "create_publication_stmt": _ddl("CREATE PUBLICATION", opaque=True),
    "alter_publication_stmt": _ddl("ALTER PUBLICATION", opaque=True),
    "create_subscription_stmt": _row("CREATE SUBSCRIPTION", "ddl call", opaque=True),
    "alter_subscription_stmt": _row("ALTER SUBSCRIPTION", "ddl call", opaque=True),
    "drop_subscription_stmt": _row("DROP SUBSCRIPTION", "ddl call", opaque=True),
}

KINDS = frozenset({*_QUERIES, *_TABLE})
"""Kinds of nodes that are statements known here."""
