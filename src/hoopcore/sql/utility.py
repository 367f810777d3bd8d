"""Statements that are not queries: what each kind does, by the name the grammar gives it.

A kind that is not in the table (``kinds.py``) is ``unknown``.  Most definitions are alike: the
relations they name get the effect, their expressions are walked.  What a definition only stores,
and runs later under other names, is ``opaque``.

Order: the entry, statements that wrap others, code, data, and which kind is whose.
"""

from __future__ import annotations

from collections.abc import Callable

from hoopcore.sql import copying, definitions, settings
from hoopcore.sql.bodies import body_of
from hoopcore.sql.grammar import CannotParse, Node, kind_of, tree
from hoopcore.sql.kinds import TABLE
from hoopcore.sql.visit import is_temporary
from hoopcore.sql.walk import Walk
from hoopcore.statement import Effect


def walk_statement(walk: Walk, node: Node) -> None:
    """One statement of the text, or one that another one wraps."""
    kind = kind_of(node)
    message = getattr(node, kind) if kind else None
    query = _QUERIES.get(kind)
    if query is not None:
        walk.tag = walk.tag or query[0]
        query[1](walk, message)
        return
    row = TABLE.get(kind)
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
    more = _MORE.get(kind)
    if more is not None:
        more(walk, message)
    elif row.touches is not None:
        definitions.define(walk, message)
    walk.mode = mode
    if Effect.DDL in row.effects:
        walk.ddl.update(definitions.kinds_of(message, row.tag))
        if _names_temporary(message):
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
    walk.absorb_filters(inner)
    walk.operators |= inner.operators
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


# --- code ---------------------------------------------------------------------------------------


def _do(walk: Walk, statement: Node) -> None:
    """The SQL of a body of PL/pgSQL counts as done; what cannot be read of it is unknown code."""
    options = {node.def_elem.defname: node.def_elem.arg.string.sval for node in statement.args}
    text = options.get("as", "")
    try:
        if options.get("language", "plpgsql") != "plpgsql":
            raise CannotParse("its code is in a language that is not read")
        body = body_of(text)
    except CannotParse as problem:
        _dark(walk, str(problem))
        return
    for name in body.types:
        walk.call(name)
    if body.cursors:  # by their names, which may be those of others
        walk.effects.add(Effect.PREPARE)
        walk.opaque = True
    if body.commits:
        walk.effects.add(Effect.TRANSACTION)
    for is_value, nodes in ((False, body.statements), (True, body.values)):
        for node in nodes:
            inner = Walk(walk.allowed)
            walk_statement(inner, node)
            if is_value and not inner.touches:
                inner.effects.discard(Effect.READ)
            walk.absorb(inner)
    if body.dynamic:
        _dark(walk, "its code runs texts that it makes")
    elif "\\" in text and walk.effects & {Effect.SET, Effect.CALL}:
        # Each part is read by the server when it is first run.
        _dark(walk, "its code may change what its own backslashes mean")


def _dark(walk: Walk, why: str) -> None:
    """Code without a name."""
    walk.effects.add(Effect.CALL)
    walk.sources += 1
    walk.unknown(why)


# --- data -------------------------------------------------------------------------------------


def _copy(walk: Walk, statement: Node) -> None:
    outside = Effect.PROGRAM if statement.is_program else Effect.SERVER_FILE
    wire = Effect.COPY_IN if statement.is_from else Effect.COPY_OUT
    remote = bool(statement.filename) or statement.is_program
    walk.effects.add(outside if remote else wire)
    if wire is Effect.COPY_OUT and not remote:
        walk.copy_out = copying.copy_out_of(statement)
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


def _reindex(walk: Walk, statement: Node) -> None:
    walk.children(statement)
    if not statement.HasField("relation"):
        walk.opaque = True


# --- which kind is whose ----------------------------------------------------------------------

_QUERIES: dict[str, tuple[str, Callable[[Walk, Node], None]]] = {
    "select_stmt": ("SELECT", _select),
    "insert_stmt": ("INSERT", Walk.insert),
    "update_stmt": ("UPDATE", Walk.update),
    "delete_stmt": ("DELETE", Walk.delete),
    "merge_stmt": ("MERGE", Walk.merge),
}
# Kinds whose row of the table does not say it all.  Of others the relations they name are visited
# where something happens to those.
_MORE: dict[str, Callable[[Walk, Node], None]] = {
    "explain_stmt": _explain,
    "prepare_stmt": _prepare,
    "execute_stmt": _execute,
    "deallocate_stmt": _deallocate,
    "declare_cursor_stmt": _declare,
    "fetch_stmt": settings.fetch,
    "discard_stmt": settings.discard,
    "create_table_as_stmt": _create_as,
    "view_stmt": _view,
    "rule_stmt": _rule,
    "create_schema_stmt": _schema,
    "variable_set_stmt": settings.set_value,
    "transaction_stmt": settings.transaction,
    "listen_stmt": settings.listen,
    "unlisten_stmt": settings.listen,
    "copy_stmt": _copy,
    "truncate_stmt": _truncate,
    "call_stmt": _call,
    "do_stmt": _do,
    "reindex_stmt": _reindex,
    "load_stmt": settings.load,
    "grant_stmt": definitions.grant,
    "alter_role_set_stmt": definitions.role_settings,
    "create_stmt": definitions.create_table,
    "alter_table_stmt": definitions.alter_table,
    "rename_stmt": definitions.rename,
    "drop_stmt": definitions.drop,
    "comment_stmt": definitions.comment,
    "sec_label_stmt": definitions.comment,
    "create_function_stmt": definitions.function,
    "alter_database_set_stmt": definitions.role_settings,
}

KINDS = frozenset({*_QUERIES, *TABLE})
"""Kinds of nodes that are statements known here."""
