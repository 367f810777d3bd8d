"""Reading is total, and no field of a node hides what stands in it."""

from __future__ import annotations

import string

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopcore.sql.functions import words
from hoopcore.sql.grammar import CannotParse, constants, parse, tree
from hoopcore.sql.postgres import IN_PROCESS, encoding_is_safe, read
from hoopcore.sql.visit import PLAIN
from hoopcore.sql.walk import Walk
from hoopcore.statement import Effect, Reading


def _split(text: str) -> list[str]:
    return text.split(" ")


_WORDS = _split(
    "select insert into values update set delete from where with as recursive union all join on"
    " and or not in is null like between case when then end array row exists any cast returning"
    " conflict do nothing merge using matched copy to stdin explain analyze prepare execute a b t"
    " ssn f lower count ( ) ( ) ( ) , , ; . * = + - || :: 'x' '' 1 -2 1.5 $1 E'\\'' $$x$$ [ ]"
    " /* */ -- \n int text order by limit for lateral unnest create table drop alter column"
)
_STATEMENTS = st.lists(st.sampled_from(_WORDS), max_size=40).map(" ".join)
_ENCODINGS = st.sampled_from(["UTF8", "LATIN1", "SQL_ASCII", "WIN1252", "SJIS", "KOI8R", ""])


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(st.binary(max_size=IN_PROCESS), _STATEMENTS.map(str.encode)),
    _ENCODINGS,
    st.booleans(),
    st.booleans(),
)
def test_any_bytes_give_a_reading(
    text: bytes, encoding: str, standard: bool, trusted: bool
) -> None:
    reading = read(text, encoding=encoding, standard_strings=standard, trusted=trusted)
    assert isinstance(reading, Reading)
    for statement in reading.statements:
        assert statement.effects
        if Effect.UNKNOWN in statement.effects or Effect.CALL in statement.effects:
            assert statement.opaque
    if not encoding_is_safe(encoding):
        assert reading.effects == {Effect.UNKNOWN}


_CONSTANT = st.one_of(
    st.integers().map(str),
    st.text(string.printable.replace("'", ""), max_size=8).map(lambda t: f"'{t}'"),
    st.text(string.ascii_letters + " '$", max_size=8).map(lambda t: f"$q${t}$q$"),
    st.floats(allow_nan=False, allow_infinity=False).map(str),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcé"), _CONSTANT), min_size=1, max_size=6))
def test_every_span_is_one_constant_of_the_text(pairs: list[tuple[str, str]]) -> None:
    where = " and ".join(f"{name} = {value}" for name, value in pairs)
    text = f"select 'é' from t where {where}"
    reading = read(text.encode())
    if Effect.UNKNOWN in reading.effects:  # a value made something else of the text
        return
    assert [(x.start, x.stop) for x in reading.literals] == constants(text)
    assert [x.columns for x in reading.literals[1:]] == [{name} for name, _ in pairs]


# Never without a name.
_NAMED = {"func_call": "funcname", "range_table_sample": "method", "type_name": "names"}


def _poisons(kind: str) -> list[tuple[str, Message]]:
    """A node of this kind for each of its fields that may hold a node, with a call put there."""
    call = parse("select own()")[0].select_stmt.target_list[0].res_target.val
    descriptor = tree.Node.DESCRIPTOR.fields_by_name[kind].message_type
    found = []
    for field in descriptor.fields:
        if field.message_type is None or field.message_type.name != "Node":
            continue
        node = tree.Node()
        holder = getattr(node, kind)
        if kind in _NAMED:
            getattr(holder, _NAMED[kind]).add().string.sval = "text"
        if kind == "type_cast":
            holder.type_name.names.add().string.sval = "text"
        if field.is_repeated:
            getattr(holder, field.name).add().CopyFrom(call)
        else:
            getattr(holder, field.name).CopyFrom(call)
        found.append((f"{kind}.{field.name}", node))
    return found


# What the grammar never fills with an expression: names, or what only the analysis sets.
_NAMES_ONLY = words(
    """
    a_expr.name column_ref.fields func_call.funcname sort_by.use_op sub_link.oper_name
    type_name.names type_name.array_bounds alias.colnames join_expr.using_clause sub_link.xpr
    range_table_sample.method constraint.keys range_function.functions res_target.indirection
    """
)
_KINDS = sorted(set(Walk.methods) | PLAIN)


@pytest.mark.parametrize("kind", [k for k in _KINDS if not k.endswith("_stmt")])
def test_no_field_of_a_node_hides_a_call(kind: str) -> None:
    for name, node in _poisons(kind):
        if name in _NAMES_ONLY:
            continue
        walk = Walk(frozenset())
        walk.visit(node)
        assert {Effect.CALL, Effect.UNKNOWN} & walk.effects, name


def test_tokens_that_cannot_be_read_are_an_error_of_their_own() -> None:
    with pytest.raises(CannotParse):
        constants("'")


def test_node_that_is_not_known_is_unknown() -> None:
    node = tree.Node()
    node.query.can_set_tag = True  # of the analysed tree: the grammar never gives one
    walk = Walk(frozenset())
    walk.visit(node)
    assert walk.effects == {Effect.UNKNOWN}
