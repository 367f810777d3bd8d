"""Which name PostgreSQL gives to an expression of a select list (FigureColname in parse_target.c).

Only the plain cases; of all others the name counts as not known, so that a look-up takes such a
column for one that may be meant.
"""

from __future__ import annotations

from hoopcore.sql.grammar import Node, kind_of, tree

UNNAMED = "?column?"
_FIXED = {
    "a_array_expr": "array",
    "row_expr": "row",
    "coalesce_expr": "coalesce",
    "grouping_func": "grouping",
    "a_const": UNNAMED,
    "param_ref": UNNAMED,
    "bool_expr": UNNAMED,
    "null_test": UNNAMED,
    "boolean_test": UNNAMED,
}


def name_of(target: Node) -> str:
    """Of one item of a select list; empty where it is not known here."""
    return target.name or _figured(target.val)


def _figured(value: Node) -> str:
    kind = kind_of(value)
    if kind == "column_ref":
        return str(value.column_ref.fields[-1].string.sval)
    if kind == "func_call":
        return str(value.func_call.funcname[-1].string.sval)
    if kind == "a_expr":
        return "nullif" if value.a_expr.kind == tree.AEXPR_NULLIF else UNNAMED
    if kind == "type_cast":
        inner = kind_of(value.type_cast.arg)
        if inner in ("a_const", "param_ref"):
            return str(value.type_cast.type_name.names[-1].string.sval)
        return _figured(value.type_cast.arg) if inner in ("column_ref", "func_call") else ""
    if kind == "sub_link":
        return _of_sub_link(value.sub_link)
    return _FIXED.get(kind, "")


def _of_sub_link(link: Node) -> str:
    if link.sub_link_type == tree.EXISTS_SUBLINK:
        return "exists"
    if link.sub_link_type == tree.ARRAY_SUBLINK:
        return "array"
    if link.sub_link_type != tree.EXPR_SUBLINK:
        return UNNAMED
    query = link.subselect.select_stmt
    if query.op != tree.SETOP_NONE or len(query.target_list) != 1:
        return ""
    return name_of(query.target_list[0].res_target)
