"""DO: what its PL/pgSQL does is read, and what cannot be read is unknown."""

# ruff: noqa: E501 - one row of the table is one line

from __future__ import annotations

from typing import Any

import pytest

from hoopcore.sql.bodies import body_of
from hoopcore.sql.grammar import CannotParse, tokens
from hoopcore.sql.postgres import read
from hoopcore.statement import Effect, Statement

# body | effects | touches
SEEN = """
begin end | read |
begin null; perform 1; end | read |
begin delete from t; end | read delete | t:delete
begin delete from t where id = 1; insert into s.u values (1); end | read delete insert | t:delete s.u:insert
declare n int; begin select max(a) into n from t; end | read | t:read
declare n int := (select max(a) from t); begin end | read | t:read
declare n constant int not null default (select 1 from t); begin end | read | t:read
declare n int = (select 1 from t); begin end | read | t:read
begin if exists (select from t) then null; end if; end | read | t:read
begin if false then null; elsif exists (select from t) then null; else truncate u; end if; end | read truncate | t:read u:truncate
begin while (select true from t) loop update u set a = 1; end loop; end | read update | t:read u:update
begin loop exit when (select true from t); continue when (select true from u); end loop; end | read | t:read u:read
begin for i in (select 1 from a)..(select 2 from b) by (select 1 from c) loop null; end loop; end | read | a:read b:read c:read
declare r record; begin for r in select * from t loop delete from u; end loop; end | read delete | t:read u:delete
declare r record; c cursor for select * from t; begin for r in c loop null; end loop; end | read prepare | t:read
declare c cursor (n int) for select * from t where a = n; begin open c (1); close c; end | read prepare | t:read
declare c refcursor; begin open c for select * from t; end | read prepare | t:read
declare x int; begin foreach x in array (select array_agg(a) from t) loop null; end loop; end | read | t:read
declare x int; begin x := (select 1 from t); end | read | t:read
declare x int; begin x = (select 1 from t); end | read | t:read
declare x int[]; begin x[(select 1 from t)] := (select 2 from u); end | read | t:read u:read
begin case (select 1 from t) when (select 2 from u) then delete from v; else delete from w; end case; end | read delete | t:read u:read v:delete w:delete
begin raise notice '%', (select a from t); end | read | t:read
begin raise exception using message = (select a from t); end | read | t:read
begin assert (select true from t), (select 'x' from u); end | read | t:read u:read
begin begin delete from t; exception when others then delete from u; end; end | read delete | t:delete u:delete
begin commit; rollback; end | read transaction |
begin set local work_mem = '1MB'; end | read set |
begin set role x; end | read set role |
begin perform set_config('role', 'x', true); end | read set role |
begin create temp table x (a int); end | read ddl | x:ddl
begin grant select on t to x; end | read grant | t:grant
begin do 'begin delete from t; end'; end | read delete | t:delete
begin perform f(); end | read call |
begin call p(); end | read call |
declare x mine; begin end | read call |
declare x t.a%type; begin end | read call |
begin perform pg_read_file('x'); end | read call server_file |
begin notify a; listen b; end | read listen |
begin lock table t; end | read lock | t:lock
begin copy t to '/x'; end | read server_file | t:read
"""
CASES = [tuple(part.strip() for part in row.rsplit("|", 2)) for row in SEEN.strip().splitlines()]


def one(body: str, language: str = "") -> Statement:
    quoted = body.replace("'", "''")
    (statement,) = read(f"do '{quoted}' {language}".encode()).statements
    return statement


@pytest.mark.parametrize(("body", "effects", "touches"), CASES)
def test_what_a_body_does_counts_as_done(body: str, effects: str, touches: str) -> None:
    found = one(body)
    assert {str(effect) for effect in found.effects} == set(effects.split())
    assert {f"{t.relation}:{t.effect}" for t in found.touches} == set(touches.split())


@pytest.mark.parametrize(
    "body",
    [
        "begin execute 'select 1'; end",
        "begin execute (select a from t) using 1; end",
        "declare r record; begin for r in execute 'select 1' loop null; end loop; end",
        "declare c refcursor; begin open c for execute 'select 1'; end",
        # a value that the library's tree leaves out
        "declare r record := f(); begin end",
        "declare r mine := f(); begin end",
        "declare r public.mine default f(); begin end",
        "declare r mine not null = f(); begin end",
        "begin declare r mine := f(); begin end; end",
        "<<a>> declare begin_ int; r mine := f(); begin end",
        # no PL/pgSQL
        "begin",
        "begin delete from; end",
        "select 1",
        "",
        "begin return query select 1; end",
    ],
)
def test_what_is_not_seen_is_unknown(body: str) -> None:
    found = one(body)
    assert {Effect.UNKNOWN, Effect.CALL} <= found.effects
    assert found.opaque


@pytest.mark.parametrize("language", ["plpython3u", "plperl", '"PLpgSQL"', "sql"])
def test_another_language_is_not_read(language: str) -> None:
    found = one("begin delete from t; end", f"language {language}")
    assert found.effects == {Effect.READ, Effect.CALL, Effect.UNKNOWN}
    assert found.opaque


def test_a_backslash_in_a_body_may_come_to_mean_something_else() -> None:
    for code in (
        r"begin perform set_config('standard_conforming_strings', 'off', true), 'a\'; end",
        r"begin set standard_conforming_strings = off; perform 'a\'; end",
        r"begin perform f(), 'a\'; end",
    ):
        assert {Effect.UNKNOWN, Effect.CALL} <= one(code).effects
    assert one(r"begin perform regexp_replace('a', '\s', ''); end").effects == {Effect.READ}


def test_what_a_body_reads_may_go_to_whatever_it_writes() -> None:
    copied = one("declare x text; begin select a into x from t; insert into u values (x); end")
    assert copied.copies
    assert not one("begin insert into u values (1); end").copies


def test_no_where_in_a_body_is_no_where() -> None:
    assert one("begin delete from t; end").unbounded == {Effect.DELETE}
    assert one("begin delete from t where a = 1; end").unbounded == frozenset()


def test_what_a_body_leaves_in_the_session_is_told() -> None:
    found = one("begin set work_mem = '1MB'; reset search_path; create temp table x (); end")
    assert found.keeps == {"setting", "temporary"}
    assert found.settings == (("work_mem", "1MB"),)
    assert found.resets == {"search_path"}


def test_constants_of_a_body_may_be_of_any_column() -> None:
    reading = read(b"do 'begin delete from t where ssn = ''078-05-1120''; end'")
    assert [set(literal.columns) for literal in reading.literals] == [{"*"}]


def test_tokens_of_what_is_no_text_are_not_there() -> None:
    with pytest.raises(CannotParse):
        tokens("a 'b")


def test_tree_that_holds_what_is_not_known_is_not_understood(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trees: list[Any] = [
        [{"PLpgSQL_function": {"action": {"PLpgSQL_stmt_new": {}}}}],
        [{"PLpgSQL_function": {"action": {"PLpgSQL_expr": {"query": "1", "parseMode": 9}}}}],
        [{"PLpgSQL_function": {"action": {"PLpgSQL_expr": {"query": "a", "parseMode": 3}}}}],
        [
            {
                "PLpgSQL_function": {
                    "action": {"PLpgSQL_expr": {"query": "1; select 2", "parseMode": 2}}
                }
            }
        ],
    ]
    for tree in trees:
        monkeypatch.setattr("hoopcore.sql.bodies.parse_body", lambda _, tree=tree: tree)
        with pytest.raises(CannotParse):
            body_of("begin end")
