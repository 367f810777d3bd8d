"""Texts that differ in nothing but constants: a reading by shape is what the grammar would say."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopcore.sql.postgres import read
from hoopcore.sql.shapes import Shape, is_free, moved, shape_of
from tests.conformance.effects_corpus import own
from tests.unit.test_sql_effects import CASES

MORE = [
    "select abalance from pgbench_accounts where aid = 4711",
    "select * from t where a = -5 and b in (1, 22, 333) and c = 'it''s' limit 10 offset 2",
    'select "a\'b", "c ""1""" from "t 5" where x = \'a "quoted" 7\' and y between 1 and 2',
    "insert into t (a, ssn, b) values (1, '2', 'x'), (3, '4 5', ''), (-7, null, 'y')",
    "update t set ssn = '1', a = a + 2 where b = 3 returning a || 'x'",
    "delete from t where a = 1 and ssn = 'x'",
    "select 'a'\n'b', 1.5, 2, 1e3, x1, 5 from t1 where z.c2 = 77",
    "select interval '1' day, varchar(5) 'x', timestamp '2020-01-01', b'101', n'x', e'x' from t",
    "select set_config('role', 'postgres', false), 1",
    "select x[1:2], y[3] from t order by 1, 2 fetch first 5 rows only",
    "select case when a = 1 then 'x' else 'y' end, cast('5' as int), '7'::int8 from t",
    "with x as (delete from t where a = 5 returning *) select * from x where b = 'c'",
    "select f('a', 1); select 2 from u where c = 'd'",
    "select * from t where true", "select * from t where 1 = 1", "delete from t where 'a' = 'a'",
    "select 'x' like 'y' escape 'z', a at time zone 'utc' from t tablesample bernoulli (5)",
]  # fmt: skip
TEXTS = [
    *MORE,
    *(str(case[0]) for case in CASES),
    *(line.text for line in own()[1]),
]
# Written anew, on its own terms: what PostgreSQL's lexer takes for a plain string or number.
_CONSTANT = re.compile(r"""("(?:[^"]|"")*")|('(?:[^']|'')*')|(?<![\w.$])([0-9]{1,9})(?![\w.])""")


def other_constants(text: str, dice: random.Random) -> str:
    """The same text with other plain constants in the places of its own."""

    def another(found: re.Match[str]) -> str:
        if found[1]:
            return found[1]
        if found[2]:
            letters = "ab ,;()-5%_\"@.'"
            made = "".join(dice.choice(letters) for _ in range(dice.randint(0, 12)))
            return "'" + made.replace("--", "-").replace("'", "''") + "'"
        return str(dice.randint(0, 10 ** dice.randint(1, 9) - 1))

    return _CONSTANT.sub(another, text)


@pytest.mark.parametrize("seed", range(3))
def test_reading_by_shape_is_the_reading_of_the_grammar(seed: int) -> None:
    dice = random.Random(seed)
    shaped = 0
    for text in TEXTS:
        data = text.encode()
        shape = shape_of(data)
        if shape is None or not is_free(data, first := read(data)):
            continue
        for _ in range(3):
            other = other_constants(text, dice).encode()
            its = shape_of(other)
            if its is None or its.key != shape.key:
                continue  # a constant has got something strange in it
            assert moved(first, shape, its) == read(other), (text, other)
            shaped += 1
    assert shaped > 300


@given(st.text(alphabet="ab1 '\"$-/*\\;(,.&eEuU=\n", max_size=25), st.data())
def test_texts_of_one_shape_are_the_same_tokens(text: str, data: st.DataObject) -> None:
    """Whatever a text is made of: other constants where the shape has some, and all else stays."""
    whole = ("select a from t where b = " + text).encode()
    shape = shape_of(whole)
    if shape is None:
        return
    dice = data.draw(st.randoms(use_true_random=False))
    other = b""
    for part in re.split(rb"(\0.)", shape.key):
        if part == b"\0n":
            other += b"%d" % dice.randint(0, 999_999_999)
        elif part == b"\0s":
            other += (
                b"'"
                + b"".join(dice.choice([b"x", b" ", b"''", b'"', b";"]) for _ in range(3))
                + b"'"
            )
        else:
            other += part
    assert shape_of(other) is not None
    its = shape_of(other)
    assert its is not None
    assert its.key == shape.key
    first, second = read(whole), read(other)
    if is_free(whole, first):
        assert moved(first, shape, its) == second
    else:
        assert bool(first.why) == bool(second.why)


@pytest.mark.parametrize(
    "text",
    [
        r"select 'a\' or 1 = 1", "select 1 -- it's", "select /* it's */ 'a'", "select $$it's$$",
        "select e'a', 'b'", "select u&'a' uescape '!'", 'select u&"d!0061t" uescape \'!\'',
        "select 'é'", "select 'a", 'select "a', "select ''' , 1", "select \0",
    ],
)  # fmt: skip
def test_text_whose_quotes_could_mean_something_else_has_no_shape(text: str) -> None:
    assert shape_of(text.encode()) is None


@pytest.mark.parametrize("text", ["1.5", "1e3", "0x1f", "1_000", "a1", "1234567890", ".5", "5."])
def test_number_that_is_not_a_plain_one_stays_in_the_shape(text: str) -> None:
    data = f"select a from t where b = {text} ".encode()
    assert shape_of(data) == Shape(data, ())


@pytest.mark.parametrize(
    "text",
    [
        "set search_path = 'a'", "select set_config('role', 'x', false)", "copy t to '/x'",
        "select pg_catalog.set_config('role', 'x', false)", "explain (analyze 0) select 1",
        "create function f() returns int language 'sql'", "select a::float(5) from t",
        "call f(1)", "do 'begin end'", "select 1 where '",
        "select nextval('s')", "prepare x as select 1", "begin", "declare c cursor for select 1",
    ],
)  # fmt: skip
def test_reading_that_a_constant_may_have_had_a_part_in_stands_for_its_text_alone(
    text: str,
) -> None:
    assert not is_free(text.encode(), read(text.encode()))
