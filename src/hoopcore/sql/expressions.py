"""Expressions: which columns they hold, and which code they run.

A function, operator or type of ``pg_catalog`` that is known to be harmless is nothing special; any
other makes the effect ``call``.  Some calls do not look like one: ``x.f`` calls f(x) where x has no
column f, and a cast runs the checks of a domain.

Order: values, casts, parts of definitions, calls.
"""

from __future__ import annotations

from collections.abc import Iterable

from hoopcore.sql import functions as known
from hoopcore.sql.encodings import encoding_is_safe
from hoopcore.sql.grammar import Node, kind_of, tree
from hoopcore.sql.literals import ANY
from hoopcore.sql.visit import Visit, is_temporary
from hoopcore.statement import Effect


class Expressions(Visit):
    """The visits of expressions."""

    setting: str | None = None  # the one row of pg_settings that the query around reads

    def constant(self, constant: Node) -> None:
        if self.open_unit is not None:
            self.open_unit.add(constant)

    def column(self, reference: Node) -> None:
        self.values_seen += 1
        fields = reference.fields
        last = fields[-1].string.sval or ANY
        self.columns.add(last)
        if self.open_unit is not None:
            self.open_unit.columns.add(last)
        if len(fields) > 1 and last != ANY:
            first = fields[0].string.sval
            if first == "excluded":
                self.excluded_seen += 1
            self._field(last, self.row_sources.get(first))

    def _field(self, name: str, given: frozenset[str] | None) -> None:
        """``x.name``, which calls name(x) where x has no such column."""
        if name in known.OF_ROWS and (given is None or name not in given):
            self.columns.add(ANY)  # perhaps the whole row
            if self.open_unit is not None:
                self.open_unit.columns.add(ANY)
        if name in self.allowed:
            return
        if given is not None and name not in given:
            if name not in known.FUNCTION_COLUMNS and name not in known.HARMLESS:
                self.call(name)
                self.given += 1
        elif known.is_field_trap(name):
            self.call(name)
            self.given += 1

    def indirection(self, expression: Node) -> None:
        self.visit(expression.arg)
        for step in expression.indirection:
            if kind_of(step) == "string":
                name = step.string.sval
                self.columns.add(name)
                if name in known.OF_ROWS:
                    self.columns.add(ANY)
                if name not in known.HARMLESS and name not in self.allowed:
                    self.call(name)
                    self.given += 1
            else:
                self.visit(step)
                if kind_of(step) == "a_star":
                    self.columns.add(ANY)
        if self.open_unit is not None:
            self.open_unit.columns.add(ANY)

    def operation(self, expression: Node) -> None:
        if expression.kind in _OPERATOR_KINDS:
            self.operator(expression.name)
        elif expression.kind in BETWEEN:
            self.operators.update(("<", "<=", ">", ">="))
        if expression.HasField("lexpr"):
            self.visit(expression.lexpr)
        if expression.HasField("rexpr"):
            self.visit(expression.rexpr)

    def operator(self, names: Iterable[Node]) -> None:
        """A name of pg_catalog may still be given to other types: that cannot be seen here."""
        parts = [name.string.sval for name in names]
        if not parts:
            return
        if parts[-1] not in known.OPERATORS or parts[:-1] not in ([], ["pg_catalog"]):
            name = ".".join(parts)
            if name not in self.allowed:
                self.call(name)
                self.given += 1
        else:
            self.operators.add(parts[-1])

    def sub_link(self, link: Node) -> None:
        self.values_seen += 1
        self.operator(link.oper_name)
        if link.sub_link_type == tree.ANY_SUBLINK and not link.oper_name:
            self.operators.add("=")  # IN
        if link.HasField("testexpr"):
            self.visit(link.testexpr)
        self.visit(link.subselect)

    def sort_by(self, item: Node) -> None:
        self.operator(item.use_op)
        self.visit(item.node)

    def cast(self, cast: Node) -> None:
        self.visit(cast.arg)
        self._check_type(cast.type_name)
        self.visit_all(cast.type_name.typmods)

    def type_name(self, name: Node) -> None:
        if self.mode is not Effect.DDL:  # a definition only names it
            self._check_type(name)
        self.visit_all(name.typmods)

    def _check_type(self, name: Node) -> None:
        """A type somebody made may run code of theirs: a domain's check, a cast."""
        parts = [part.string.sval for part in name.names]
        schema = parts[-2] if len(parts) > 1 else "pg_catalog"
        own = schema == "pg_catalog" and parts[-1] in known.TYPES
        if not own and schema != "information_schema" and ".".join(parts) not in self.allowed:
            self.call(".".join(parts))
        elif own:
            self.operators.add(f"::{parts[-1]}")

    def case(self, case: Node) -> None:
        if case.HasField("arg"):
            self.operators.add("=")
        self.children(case)

    def index_element(self, element: Node) -> None:
        """A column or an expression of an index, or of ON CONFLICT."""
        self.columns.update({element.name} - {""})
        self.children(element)

    def json_aggregate(self, node: Node) -> None:
        """JSON_ARRAYAGG and its like, by the names of the functions they stand for."""
        kind = "json_object_agg" if node.DESCRIPTOR.name == "JsonObjectAgg" else "json_agg"
        self.functions.add(kind)
        self.children(node)

    def column_definition(self, column: Node) -> None:
        self.meetings.renamed.add(column.colname)
        self.columns.add(column.colname)
        self.children(column)

    def alter_command(self, command: Node) -> None:
        self.columns.update({command.name} - {""})
        self.children(command)

    def constraint(self, constraint: Node) -> None:
        for names in (constraint.keys, constraint.fk_attrs, constraint.pk_attrs):
            self.columns.update(name.string.sval for name in names)
        self.children(constraint)

    # --- calls ------------------------------------------------------------------------------

    def call(self, name: str) -> None:
        """Code runs that is not known to be harmless."""
        self.functions.add(name)
        self._check_lock(name.rpartition(".")[2])
        if name not in _SEQUENCES:
            self.sources += 1
        self.effects.add(Effect.CALL)
        if name.rpartition(".")[2] in known.SERVER_FILES:
            self.effects.add(Effect.SERVER_FILE)
        self.opaque = True
        if self.open_unit is not None:
            self.open_unit.columns.add(ANY)

    def function_call(self, call: Node) -> None:
        parts = [name.string.sval for name in call.funcname]
        written = ".".join(parts[-2:])
        self.functions.add(written)
        shipped = parts[-1] if parts[:-1] in ([], ["pg_catalog"]) else ""
        unknown = shipped not in known.HARMLESS and written not in self.allowed
        self._check_lock(shipped)
        if shipped == "set_config":
            self._set_config(call)
        elif unknown:
            self.call(written)
        given, seen = self.given, self.values_seen
        with self.gathering() as arguments:
            self.visit_all(call.args)
        if call.agg_distinct or self.makes_rows(shipped):
            self.filters |= arguments
        with self.filtering():
            self.visit_all(call.agg_order)
            if call.HasField("agg_filter"):
                self.visit(call.agg_filter)
            if call.HasField("over"):
                self.children(call.over)
        if unknown and (self.given > given or (self.flowing and self.values_seen > seen)):
            self.copies = True  # what some unknown code gives goes to other code, which may keep it
        if unknown and written not in _SEQUENCES:
            self.given += 1

    def _check_lock(self, function: str) -> None:
        if function.startswith(_ADVISORY) and "xact" not in function:
            self.keeps.add("lock")

    def _set_config(self, call: Node) -> None:
        """SET by another way.  What it stores can be read again by current_setting."""
        texts = [_constant_text(argument) for argument in call.args]
        if texts and texts[0] is None and _is_name(call.args[0]):
            texts[0] = self.setting
        self.effects.add(Effect.SET)
        if len(call.args) != 3 or not _is_true(call.args[2]):
            self.keeps.add("setting")
        if len(texts) == 3 and texts[0] is not None and texts[1] is not None:
            self.set(texts[0], texts[1])
        elif (
            len(texts) == 3 and texts[0] in known.SWITCHES and kind_of(call.args[1]) == "param_ref"
        ):
            self.set(texts[0], "")  # as asyncpg does around its questions about types
        else:
            self.call("set_config")
            self.copies = True

    def set(self, name: str, value: str) -> None:
        """A setting gets a value that is written in the text.  Names are of no case."""
        name = name.lower()
        self.settings.append((name, value))
        if name in ("role", "session_authorization"):
            self.effects.add(Effect.ROLE)
        self._check_setting(name, value)

    def _check_setting(self, name: str, value: str) -> None:
        if name == "search_path":
            schemas = [part.strip().strip('"').lower() for part in value.split(",")]
            if "pg_catalog" in value.lower() and schemas[0] != "pg_catalog":
                self.unknown("search_path would put other functions before PostgreSQL's own")
            if any(map(is_temporary, schemas)):
                self.keeps.add("temporary")  # what is made then, without a word of it
        elif name == "client_encoding" and not encoding_is_safe(value):
            self.unknown("texts in that client_encoding cannot be read")


def setting_named(query: Node) -> str | None:
    """The constant c of ``FROM pg_settings WHERE name = c``, with nothing else there.

    pg_dump sets what a server may not know by way of that row.  Whatever goes by the name of
    pg_settings, its column is equal to the constant.
    """
    if len(query.from_clause) != 1 or not query.HasField("where_clause"):
        return None
    source, where = query.from_clause[0], query.where_clause
    if kind_of(source) != "range_var" or source.range_var.relname != "pg_settings":
        return None
    if kind_of(where) != "a_expr" or where.a_expr.kind != tree.AEXPR_OP:
        return None
    operator = [part.string.sval for part in where.a_expr.name]
    if operator != ["="] or not _is_name(where.a_expr.lexpr):
        return None
    return _constant_text(where.a_expr.rexpr)


def _is_name(node: Node) -> bool:
    """Whether it is the column ``name``."""
    if kind_of(node) != "column_ref":
        return False
    return [field.string.sval for field in node.column_ref.fields] == ["name"]


def _is_true(node: Node) -> bool:
    """Whether it is the constant ``true``, as PostgreSQL writes it in a tree."""
    if kind_of(node) == "type_cast":
        node = node.type_cast.arg
    if kind_of(node) != "a_const":
        return False
    value = node.a_const
    if value.WhichOneof("val") == "sval":
        return str(value.sval.sval) in ("t", "true", "on")
    return bool(value.WhichOneof("val") == "boolval" and value.boolval.boolval)


def _constant_text(node: Node) -> str | None:
    """The text of a string constant, or None.  Under a cast it may be cut: only text keeps it."""
    if kind_of(node) == "type_cast":
        names = [name.string.sval for name in node.type_cast.type_name.names]
        if names not in (["text"], ["pg_catalog", "text"]):
            return None
        node = node.type_cast.arg
    if kind_of(node) == "a_const" and node.a_const.WhichOneof("val") == "sval":
        return str(node.a_const.sval.sval)
    return None


_ADVISORY = ("pg_advisory_", "pg_try_advisory_")
# They change something, so they are calls, but give no value of a table.
_SEQUENCES = frozenset(
    f"{schema}{name}"
    for schema in ("", "pg_catalog.")
    for name in ("nextval", "currval", "lastval", "setval")
)
BETWEEN = frozenset(
    {
        *(tree.AEXPR_BETWEEN, tree.AEXPR_NOT_BETWEEN),
        *(tree.AEXPR_BETWEEN_SYM, tree.AEXPR_NOT_BETWEEN_SYM),
    }
)
"""Kinds of expressions whose name is a word; what they compare with are operators."""
_OPERATOR_KINDS = frozenset(
    {
        *(tree.AEXPR_OP, tree.AEXPR_OP_ANY, tree.AEXPR_OP_ALL, tree.AEXPR_DISTINCT),
        *(tree.AEXPR_NOT_DISTINCT, tree.AEXPR_NULLIF, tree.AEXPR_IN, tree.AEXPR_LIKE),
        *(tree.AEXPR_ILIKE, tree.AEXPR_SIMILAR),
    }
)
