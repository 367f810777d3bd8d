"""Ways a statement hides what it does: each line of the list of escapes that reading can see."""

from __future__ import annotations

from typing import Any

import pytest

from hoopcore.sql import functions as known
from hoopcore.sql.functions import words
from hoopcore.sql.postgres import encoding_is_safe, read
from hoopcore.statement import Effect, Reading


def effects(text: str | bytes, **settings: Any) -> set[str]:
    data = text if isinstance(text, bytes) else text.encode()
    return {str(e) for e in read(data, **settings).effects}


# --- the text -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "delete/**/from t",
        "/* a /* b */ ; select 1 */ delete from t",
        "select 1; -- delete\ndelete from t",
        "select 'a''; '; delete from t",
        "select $x$ $y$ ' $x$; delete from t",
        "select E'\\''; delete from t; --'",
        "select U&'\\0027'; delete from t",
        'select 1 as "a"";"; delete from t',
        "select 'a'\n'b'; delete from t",
        "DeLeTe\tfrom\nt",
        'delete from "t"',
        'delete from U&"\\0074"',
        "with x as (select 1), y as (delete from t returning 1) select 1",
        "select 1 from (with x as (delete from t returning *) select * from x) y",
        "insert into u with x as (delete from t returning *) select * from x",
        "prepare p as delete from t",
        "explain (analyze, verbose) delete from t",
        "explain (analyze false, analyze) delete from t",
        "explain (verbose, analyze on) with x as (delete from t returning 1) select 1",
        "copy (delete from t returning *) to stdout",
        "declare c cursor for with x as (delete from t returning 1) select 1",
        "create rule r as on select to v do instead delete from t",
        "merge into t using u on t.a = u.a when matched then delete",
    ],
)
def test_delete_is_seen_however_it_is_written(text: str) -> None:
    assert "delete" in effects(text)


@pytest.mark.parametrize(
    "text",
    [
        "select 'delete from t'",
        "select $$; delete from t; $$",
        "select 1 -- ; delete from t",
        "select /* delete from t */ 1",
        'select 1 as "delete from t"',
        "select E'\\'; delete from t; --'",
        "select U&'\\0027; delete from t; --'",
        "explain delete from t",
        "explain (analyze off) delete from t",
    ],
)
def test_words_in_quotes_and_comments_do_nothing(text: str) -> None:
    assert effects(text) == {"read"}


# --- the session ----------------------------------------------------------------------------------


def test_backslash_is_not_read_where_strings_are_not_standard() -> None:
    hidden = rb"select '\'; delete from t; --'"
    assert effects(hidden) == {"read", "delete"}
    assert effects(rb"select '\' or 1=1 --'", standard_strings=False) == {"unknown"}
    assert effects("delete from t", standard_strings=False) == {"delete"}


def test_text_behind_a_fence_is_read_only_if_it_means_one_thing() -> None:
    assert effects("select 'a'", trusted=False) == {"read"}
    assert effects(r"select '\'", trusted=False) == {"unknown"}
    assert effects("select 'é'", trusted=False) == {"unknown"}


def test_sjis_trail_byte_cannot_hide_a_delete() -> None:
    # 0x95 0x5C is one character in SJIS; read as LATIN1 its second byte is a backslash.
    text = b"select E'\x95\x5c'; delete from t; --'"
    assert effects(text, encoding="SJIS") == {"unknown"}
    assert effects(text, encoding="UTF8") == {"unknown"}
    assert "delete" not in effects(text, encoding="LATIN1")  # as a server would read LATIN1


@pytest.mark.parametrize("name", ["SJIS", "BIG5", "GBK", "GB18030", "UHC", "JOHAB", "", "nonsense"])
def test_encoding_with_ascii_trail_bytes_is_not_safe(name: str) -> None:
    assert not encoding_is_safe(name)
    assert effects("select 1", encoding=name) == {"unknown"}


@pytest.mark.parametrize(
    "name",
    ["UTF8", "utf-8", "Unicode", "SQL_ASCII", "LATIN1", "latin9", "ISO_8859_5", "WIN1252", "KOI8R"],
)
def test_encoding_that_keeps_ascii_apart_is_safe(name: str) -> None:
    assert encoding_is_safe(name)
    assert effects("select 1", encoding=name) == {"read"}


def test_text_is_read_in_its_own_encoding() -> None:
    (statement,) = read('select * from "é"'.encode("latin-1"), encoding="LATIN1").statements
    assert {r.name for r in statement.relations} == {"é"}
    assert effects('select "é"'.encode("latin-1"), encoding="UTF8") == {"unknown"}
    assert effects('select "é"'.encode(), encoding="SQL_ASCII") == {"unknown"}
    assert effects(b"select '\x81'", encoding="WIN1252") == {"unknown"}  # no such character


@pytest.mark.parametrize(
    "text",
    [b"select 1\0; delete from t", b"\xff", b"select '\xed\xa0\x80'", b"selec 1", b"select ("],
)
def test_what_cannot_be_read_is_unknown_and_says_why_without_the_text(text: bytes) -> None:
    reading = read(text)
    assert reading.effects == {Effect.UNKNOWN}
    assert reading.statements[0].opaque
    assert reading.why
    assert "selec" not in reading.why


def test_text_over_four_mebibytes_is_unknown() -> None:
    assert effects(b"select '" + b"x" * (4 << 20) + b"'") == {"unknown"}


def test_operators_nested_deeper_than_the_tree_allows_are_unknown() -> None:
    assert effects("select 1" + " + 1" * 40) == {"read"}
    assert effects("select 1" + " + 1" * 60) == {"unknown"}


# --- calls ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "select f()",
        "select public.lower('a')",
        "select * from f()",
        "select 1 where f() > 1",
        "select a from t order by f()",
        "select count(*) filter (where f()) from t",
        "select sum(a) over (partition by f()) from t",
        "select sum(a) over w from t window w as (order by f())",
        "select 1 limit f()",
        "select 1 from t group by grouping sets ((f()))",
        "select distinct on (f()) 1",
        "values (f())",
        "insert into t values (1), (f())",
        "insert into t values (1) order by f()",
        "insert into t values (1) returning f()",
        "insert into t (a[f()]) values (1)",
        "insert into t values (1) on conflict (f(a)) do nothing",
        "insert into t values (1) on conflict (a) where f() do nothing",
        "insert into t values (1) on conflict (a) do update set a = 1 where f()",
        "update t set a = f()",
        "update t set a[f()] = 1",
        "update t set (a, b) = row (1, f())",
        "delete from t where f()",
        "merge into t using u on f() when matched then delete",
        "merge into t using u on true when matched and f() then delete",
        "merge into t using u on true when not matched then insert (a) values (f())",
        "select case when true then f() end",
        "select coalesce(1, f()), greatest(1, f()), array[f()], row(f()), nullif(1, f())",
        "select xmlelement(name a, f())",
        "select json_object('a': f())",
        "select json_value(f(), '$.a')",
        "select * from json_table('{}', '$' passing f() as x columns (a int path '$.a'))",
        "select * from xmltable('/a' passing f() columns a text path 'b')",
        "select * from t tablesample bernoulli (f())",
        "select * from t tablesample own (1)",
        "execute p (f())",
        "create index on t (f(a))",
        "create table t (a int default f())",
        "alter table t alter a type int using f(a)",
        "copy t from stdin where f()",
        "select any_value(a) within group (order by f()) from t",
        "select operator(pg_catalog.+) 1",
        "select 1 operator(public.+) 2",
        "select 1 === 2",
        "select 1 = any (select f())",
        "select (1, 2) operator(x.=) any (select 1, 2)",
        "select a from t order by a using operator(x.<)",
        "select 'x'::mood",
        "select cast('x' as public.positive)",
        "select 'x'::mood[]",
        "select mood 'x'",
        "select * from json_to_record('{}') as x (a mood)",
        "select json_value('{}', '$.a' returning mood)",
        "prepare p (mood) as select $1",
    ],
)
def test_code_that_is_not_known_is_a_call_wherever_it_stands(text: str) -> None:
    if text == "select operator(pg_catalog.+) 1":
        assert "call" not in effects(text)
        return
    found = effects(text)
    assert "call" in found
    assert all(s.opaque for s in read(text.encode()).statements)


@pytest.mark.parametrize(
    "text",
    [
        "select ('PG_VERSION'::text).pg_read_file",
        "select t.pg_read_file from unnest(array['PG_VERSION'::text]) t",
        "select unnest.pg_read_file from unnest(array['PG_VERSION'::text])",
        "select t.pg_terminate_backend from generate_series(1, 9) t",
        "select t.own from generate_series(1, 9) as t",
        "select t.own from rows from (generate_series(1, 9)) as t",
        "select t.own from current_user t",
        'select "current_user".own from current_user',
        "select text.own from cast('x' as text)",
        "select (t).own from t",
        "select (a.b).own from a",
        "select t.nextval from t",
    ],
)
def test_field_of_an_expression_may_be_a_call(text: str) -> None:
    assert "call" in effects(text)


@pytest.mark.parametrize(
    "text",
    [
        "select t.a, public.t.b, t.* from t",
        "select e.key, e.value from jsonb_each('{}') e",
        "select g.g, g.ordinality from generate_series(1, 2) with ordinality g",
        "select x.a from json_to_record('{}') as x (a int)",
        "select x.a from unnest(array[1], array[2]) as x (a, b)",
        "select (jsonb_each('{}')).key",
        "select (row(1, 2)).*",
    ],
)
def test_column_is_not_a_call(text: str) -> None:
    found = effects(text)
    assert found == ({"read", "call"} if text.endswith(".key") else {"read"})


@pytest.mark.parametrize(
    "name",
    sorted(
        words(
            """
    table_to_xml query_to_xml schema_to_xml database_to_xml cursor_to_xml query_to_xmlschema
    table_to_xmlschema ts_stat ts_rewrite dblink dblink_exec pg_read_file pg_read_binary_file
    pg_ls_dir pg_stat_file lo_import lo_export lo_get lo_put lo_create loread lowrite pg_notify
    nextval currval lastval setval pg_terminate_backend pg_cancel_backend pg_reload_conf
    pg_stat_get_activity pg_advisory_lock pg_logical_emit_message pg_switch_wal pg_promote
    pg_create_restore_point pg_export_snapshot pg_input_is_valid currtid2 pg_get_sequence_data
    pg_restore_relation_stats pg_clear_relation_stats pg_replication_slot_advance set_config
    """
        )
    ),
)
def test_function_that_reaches_further_is_never_on_the_list(name: str) -> None:
    assert name not in known.HARMLESS
    assert "call" in effects(f"select {name}(a) from t")
    assert "call" in effects(f"select pg_catalog.{name}(a) from t")


@pytest.mark.parametrize(
    "text",
    [
        "select now(), current_date, current_user, localtimestamp, system_user, user",
        "select extract(year from now()), trim(both 'x' from 'y'), position('a' in 'b')",
        "select substring('a' from 1 for 2), overlay('a' placing 'b' from 1), 'a' is normalized",
        "select 'a' similar to 'b' escape 'c', 'a' like 'b' escape 'c', collation for ('a')",
        "select now() at time zone 'UTC', now() at local, (now(), now()) overlaps (now(), now())",
        "select 1::int, '1'::pg_catalog.int8, cast(1 as numeric(5, 2)), interval '1' day",
        "select 'x'::char(3), 'x'::\"char\", 't'::regclass, '{}'::jsonb -> 'a' ->> 'b'",
        "select count(*), sum(a), string_agg(b, ','), json_agg(t) from t",
        "select row_number() over (), lag(a) over (order by b) from t",
        "select * from generate_series(1, 3), unnest('{1}'::int[])",
        "select pg_catalog.pg_get_userbyid(1), pg_table_is_visible(1), format_type(1, 2)",
        "select xmlelement(name a), xmlforest(1 as b), '<a/>' is document",
        "select * from t tablesample system (1) repeatable (2)",
        "select 1 between 0 and 2, 1 in (1, 2), 1 is distinct from 2, null is null",
        "select grouping(a) from t group by rollup (a)",
        "select 1::information_schema.cardinal_number",
    ],
)
def test_postgresql_s_own_functions_are_no_calls(text: str) -> None:
    assert effects(text) == {"read"}


def test_target_can_name_columns_that_look_like_calls() -> None:
    text = "select t.pg_size, x.own from t, unnest(array[1]) x"
    assert effects(text) == {"read", "call"}
    assert effects(text, functions=frozenset({"pg_size", "own"})) == {"read"}


def test_target_can_name_what_is_harmless_there() -> None:
    allowed = frozenset({"f", "app.g", "mood", "===", "city"})
    text = "select f(), app.g(), 'x'::mood, 1 === 2, (a.b).city from a"
    assert effects(text) == {"read", "call"}
    assert effects(text, functions=allowed) == {"read"}
    assert effects("select other.f(), g()", functions=allowed) == {"read", "call"}


# --- settings by another way, and values that are kept --------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("select set_config('role', 'x', false)", {"set", "role", "read"}),
        ("select pg_catalog.set_config('ROLE', 'x', false)", {"set", "role", "read"}),
        ("select set_config('session_authorization', 'x', false)", {"set", "role", "read"}),
        ("select set_config('role'::text, 'x', false)", {"set", "role", "read"}),
        ("select set_config('role of'::varchar(4), 'x', false)", {"set", "call", "read"}),
        ("select set_config('role', null, false)", {"set", "call", "read"}),
        ("select set_config(a, b, true) from t", {"set", "call", "read"}),
        ("select set_config('ro' || 'le', 'x', true)", {"set", "call", "read"}),
        ("select set_config(setting_name => 'role', new_value => 'x', is_local => true)", None),
        ("update pg_settings set setting = 'x' where name = 'role'", None),
        ("update pg_catalog.pg_settings set setting = 'x' where name = 'role'", None),
    ],
)
def test_setting_by_another_way_is_a_setting(text: str, wanted: set[str] | None) -> None:
    found = effects(text)
    if wanted is None:
        assert {"set", "call"} <= found
    else:
        assert found == wanted


@pytest.mark.parametrize("text", ["delete from pg_proc", "update pg_catalog.pg_class set a = 1"])
def test_change_of_the_catalog_is_a_definition(text: str) -> None:
    assert "ddl" in effects(text)


def copies(text: str) -> bool:
    reading: Reading = read(text.encode())
    return any(s.copies for s in reading.statements)


@pytest.mark.parametrize(
    "text",
    [
        "select set_config('a.b', ssn, false) from t",
        "update u set a = excluded.ssn from t as excluded where true",
        "insert into u values (own())",
        "insert into u select own()",
        "with x as (update t set a = 1 returning *) insert into u select * from x",
        "insert into u (a) values (1) on conflict (a) do update set a = own()",
        "create view v as select ssn as x from t",
        "alter table t rename ssn to x",
        "alter table t add x text generated always as (ssn) stored",
        "update u set (a, b) = (select ssn, 1 from t)",
        "copy t to '/tmp/x'",
    ],
)
def test_values_that_are_kept_elsewhere_are_copied(text: str) -> None:
    assert copies(text)


@pytest.mark.parametrize(
    "text",
    [
        "insert into t values (1, 'a', now(), $1)",
        "insert into t values (nextval('s'))",
        "insert into t (a) values (1) on conflict (a) do update set b = excluded.b",
        "update t set a = 1, b = now() where c = 2",
        "select * from t",
        "create table t (a int)",
    ],
)
def test_values_of_the_client_are_no_copies(text: str) -> None:
    assert not copies(text)
