"""Constants: where they stand, and which columns they meet."""

from __future__ import annotations

import pytest

from hoopcore.sql.postgres import read


def meets(text: str) -> dict[str, set[str]]:
    data = text.encode()
    return {data[x.start : x.stop].decode(): set(x.columns) for x in read(data).literals}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("select * from t where ssn = '1'", {"'1'": {"ssn"}}),
        ("select * from t where '1' = t.ssn", {"'1'": {"ssn"}}),
        ("select * from t where a = 1 and (b = 2 or c = 3)", {"1": {"a"}, "2": {"b"}, "3": {"c"}}),
        ("select * from t where ssn in ('1', '2')", {"'1'": {"ssn"}, "'2'": {"ssn"}}),
        ("select * from t where a between 1 and 2", {"1": {"a"}, "2": {"a"}}),
        ("select * from t where lower(ssn) like '1%'", {"'1%'": {"ssn"}}),
        ("select * from t where ssn = any (string_to_array('1,2', ','))", None),
        ("select * from t where (a, ssn) = (1, '2')", {"1": {"a", "ssn"}, "'2'": {"a", "ssn"}}),
        ("select * from t where not ssn <> '1'", {"'1'": {"ssn"}}),
        ("select * from t where ssn is distinct from '1'", {"'1'": {"ssn"}}),
        ("select * from t where case when ssn = '1' then true end", {"'1'": {"ssn"}}),
        ("select * from t join u on t.ssn = '1'", {"'1'": {"ssn"}}),
        ("select 1 from t having max(ssn) = '1'", {"1": set(), "'1'": {"ssn"}}),
        ("select ssn = '1' from t limit 5", {"'1'": {"ssn"}, "5": set()}),
        ("select * from t where a = -5", {"5": {"a"}}),
        ("select * from t where a = - /* x */ (7)", {"7": {"a"}}),
        ("insert into t (a, ssn) values (1, '2'), (3, '4')", {"'4'": {"ssn"}, "3": {"a"}}),
        ("insert into t (ssn) values (upper('x'))", {"'x'": {"ssn"}}),
        ("insert into t values (1)", {"1": {"*"}}),
        ("insert into t (ssn) select '1'", {"'1'": {"*"}}),
        ("update t set ssn = '1', a = 2 where b = 3", {"'1'": {"ssn"}, "2": {"a"}, "3": {"b"}}),
        ("update t set (a, ssn) = ('1', '2')", {"'1'": {"a", "ssn"}, "'2'": {"a", "ssn"}}),
        ("delete from t where ssn = '1'", {"'1'": {"ssn"}}),
        (
            "insert into t (a) values (1) on conflict (a) do update set ssn = '2' where t.b = 3",
            {"1": {"a"}, "'2'": {"ssn"}, "3": {"b"}},
        ),
        (
            "merge into t using u on t.a = u.a and u.ssn = '1'"
            " when not matched then insert (ssn) values ('2')",
            {"'1'": {"ssn"}, "'2'": {"ssn"}},
        ),
        ("alter role x password 'y'", {"'y'": {"*"}}),
        ("create table t (a int default 3)", {"3": {"*"}}),
        ("do $$ begin end $$", {"$$ begin end $$": {"*"}}),
        ("execute p ('1')", {"'1'": {"*"}}),
        ("select own('1') from t", {"'1'": {"*"}}),
        ("select true, null, $1", {}),
        ("set a.b = '1'", {"'1'": {"*"}}),
    ],
)
def test_constant_meets_its_columns(text: str, wanted: dict[str, set[str]] | None) -> None:
    found = meets(text)
    if wanted is None:
        assert all("ssn" in columns for columns in found.values())
        return
    assert {key: found.get(key) for key in wanted} == wanted
    assert wanted or not found


@pytest.mark.parametrize(
    "text",
    [
        "select * from (select ssn as x from t) y where x = '1'",
        "with y (x) as (select ssn from t) select * from y where x = '1'",
        "select * from t as y (x) where x = '1'",
        "select * from t where t = row('1')",
        "select * from (select max(ssn) from t) y where max = '1'",
        "select * from (select coalesce(ssn, ssn) from t) y where coalesce = '1'",
        "select * from t, lateral (select t.ssn as x) y where y.x = '1'",
        "select * from xmltable('/a' passing b columns x text path 'c') y where x = '1'",
        "select * from json_table(b, '$' columns (x text path '$.c')) y where x = '1'",
        "select * from unnest(array['1']) x join t on t.ssn = x",
        "select * from t where (t).ssn = '1'",
        "select * from t join (values ('1')) v (x) on t.ssn = v.x",
        "with v as (select '1' as x) select * from t, v where t.ssn = v.x",
    ],
)
def test_constant_that_meets_a_column_by_another_name_may_meet_any(text: str) -> None:
    assert "*" in meets(text)["'1'"]


@pytest.mark.parametrize(
    "constant",
    [
        *("'a'", "E'a\\'b'", "$$a$$", "$x$a'$b$x$", "U&'a\\0041'", "B'01'", "X'1f'", "'a''b'"),
        *("'a'\n  'b'", "1", "1.5e3", ".5", "0x1F", "1_000", "'é'"),
    ],
)
def test_span_holds_the_whole_constant(constant: str) -> None:
    assert meets(f"select 'é', x from t where ssn = {constant} and true") == {
        "'é'": {"ssn"} if constant == "'é'" else set(),
        constant: {"ssn"},
    }


def test_national_string_is_a_word_and_a_constant() -> None:
    assert meets("select * from t where ssn = N'a'") == {"'a'": {"ssn"}}


def test_spans_count_bytes_of_utf8_whatever_the_encoding() -> None:
    text = "select * from t where é = 'ü'"
    (literal,) = read(text.encode("latin-1"), encoding="LATIN1").literals
    assert text.encode()[literal.start : literal.stop] == "'ü'".encode()
