"""What each kind of statement does, by its kind: one row a kind at least, none left out."""

# ruff: noqa: E501 - one row of the table is one line

from __future__ import annotations

from typing import Any

import pytest

from hoopcore.sql import postgres
from hoopcore.sql.grammar import kind_of, parse, tree
from hoopcore.sql.postgres import read
from hoopcore.sql.utility import KINDS, walk_statement
from hoopcore.sql.walk import Walk
from hoopcore.statement import Relation, Statement

# text | effects | touches | flags (o: opaque, c: copies, uX: unbounded X)
KNOWN = """
select 1 | read | |
select a from t | read | t:read |
table s.t | read | s.t:read |
values (1), (2) | read | |
select * from t, s.u as x join v using (a) | read | t:read s.u:read v:read |
select (select max(a) from u) from t where exists (select from v) | read | t:read u:read v:read |
select a from t union select b from u except (select c from v) | read | t:read u:read v:read |
select * from (select * from t) x, lateral (select * from u) y | read | t:read u:read |
with x as (select * from t) select * from x | read | t:read |
with t as (select * from t) select * from t | read | t:read |
with recursive t as (select 1 union all select * from t) select * from t | read | |
with a as (select 1), b as (select * from a) select * from b | read | |
with a as (select * from b), b as (select 1) select * from a, b | read | b:read |
with x as (select 1) select * from public.x | read | public.x:read |
select (with x as (select 1) select * from x), x.* from x | read | x:read |
select * from t for update | read lock | t:read t:lock |
select * from t, u for share of u | read lock | t:read u:read u:lock |
select * from t as x for no key update of x | read lock | t:read t:lock |
select * from (select * from t) x for update | read lock | t:read t:lock |
select a into u from t | read ddl | t:read u:ddl | c
select a into temp u from t union select b from v | read ddl | t:read v:read u:ddl | c
create table u as select * from t | read ddl | t:read u:ddl | c
create table u as execute p | ddl prepare | u:ddl | oc
create materialized view u as select * from t | read ddl | t:read u:ddl | c
create view v (x) as select a from t | read ddl | t:read v:ddl | c
insert into t values (1) | insert | t:insert |
insert into t (a) values (default), ($1) returning a | insert read | t:insert t:read |
insert into t default values | insert | t:insert |
insert into t select * from u | insert read | t:insert u:read | c
insert into t values ((select a from u)) | insert read | t:insert u:read | c
insert into t select 1 | insert | t:insert |
insert into t select * from generate_series(1, 3) | insert | t:insert |
with x as (delete from u returning *) insert into t select * from x | insert delete read | t:insert u:delete u:read | cudelete
insert into t (a) values (1) on conflict do nothing | insert | t:insert |
insert into t (a) values (1) on conflict (a) do update set b = excluded.b | insert update | t:insert t:update |
insert into t (a) values (1) on conflict (a) do update set b = t.c | insert update | t:insert t:update | c
insert into t (a) values (1) on conflict (a) do update set b = (select c from u) | insert update read | t:insert t:update u:read | c
update t set a = 1 | update | t:update | uupdate
update t set a = 1 where b = 2 | update | t:update |
update t set a = 1 where true | update | t:update | uupdate
update t set a = b where b = 2 | update | t:update | c
update t set (a, b) = (select c, d from u) where t.a = 1 | update read | t:update u:read | c
update t set a = u.a from u where t.b = u.b | update read | t:update u:read | c
update only t set a = $1 where current of c | update | t:update |
delete from t | delete | t:delete | udelete
delete from t where 1 = 1 | delete | t:delete | udelete
delete from t where random() < 0.5 | delete | t:delete | udelete
delete from t using u | delete read | t:delete u:read | udelete
delete from t where a = 1 returning * | delete read | t:delete t:read |
with x as (delete from t returning a) select * from x | read delete | t:delete t:read | udelete
with x as (update t set a = 1 returning a) select * from x | read update | t:update t:read | uupdate
merge into t using u on t.a = u.a when matched then delete | delete read | t:delete u:read |
merge into t using u on true when matched then update set a = 1 | update read | t:update u:read | cuupdate
merge into t using u on t.a = u.a when not matched then insert (a) values (u.a) | insert read | t:insert u:read | c
merge into t using u on t.a = u.a when matched and u.b then do nothing | read | t:read u:read |
merge into t using u on t.a = u.a when not matched by source then delete | delete read | t:delete u:read | udelete
explain delete from t | read | t:read |
explain (analyze false) insert into t values (1) | read | t:read |
explain analyze delete from t where a = 1 | delete | t:delete |
explain (analyze, costs off) update t set a = 1 where a = 2 | update | t:update |
explain (analyze 1) delete from t where a = 1 | delete | t:delete |
explain (analyze 'off') delete from t | read | t:read |
explain (ANALYZE on) create table u as select * from t | ddl read | t:read u:ddl | c
explain analyze execute p | prepare | | o
explain execute p | read prepare | | o
explain select f() | read call | | o
prepare p as delete from t where a = $1 | prepare delete | t:delete |
prepare p (int) as select * from t | prepare read | t:read |
execute p (1) | prepare | | o
deallocate p | prepare | |
deallocate all | prepare | |
declare c cursor for select * from t | prepare read | t:read |
fetch 10 from c | prepare | | o
move c | prepare | | o
close c | prepare | |
discard plans | prepare | |
discard all | prepare set listen ddl | | o
discard temp | prepare ddl | | o
copy t to stdout | copy_out read | t:copy_out t:read |
copy (select * from t) to stdout | copy_out read | t:copy_out t:read |
copy (delete from t where a = 1 returning *) to stdout | copy_out delete read | t:copy_out t:delete t:read |
copy t (a, b) from stdin | copy_in insert | t:copy_in t:insert |
copy t from stdin where a > 1 | copy_in insert | t:copy_in t:insert |
copy t to '/tmp/x' | server_file read | t:read | c
copy t from '/tmp/x' | server_file insert | t:insert |
copy t from program 'x' | program insert | t:insert |
copy (select * from t) to program 'x' | program read | t:read | c
set a.b = 1 | set | |
set local statement_timeout = '1s' | set | |
set session time zone 'UTC' | set | |
set schema 'x' | set | |
set names 'UTF8' | set | |
reset all | set | |
set role x | role set | |
set role none | role set | |
reset role | role set | |
reset session authorization | role set | |
set session authorization x | role set | |
set session authorization default | role set | |
set "ROLE" = x | role set | |
set transaction isolation level serializable | transaction | |
set session characteristics as transaction read only | transaction set | |
set constraints all deferred | transaction | |
show all | read | |
show transaction isolation level | read | |
begin | transaction | |
start transaction read only | transaction | |
commit and chain | transaction | |
rollback | transaction | |
savepoint a | transaction | |
release a | transaction | |
rollback to a | transaction | |
prepare transaction 'x' | transaction | |
commit prepared 'x' | transaction | |
listen a | listen | |
unlisten * | listen | |
notify a, 'x' | listen | |
lock t, s.u in share mode | lock | t:lock s.u:lock |
with x as (select 1 as a) update t set a = 1 from x where t.a = x.a | update | t:update |
with x as (select 1 as a) delete from t using x where t.a = x.a | delete | t:delete |
with x as (select 1 as a) merge into t using x on t.a = x.a when matched then delete | delete | t:delete |
with recursive x as (select * from t union all select * from x) search depth first by a set o select * from x | read | t:read |
with recursive x as (select * from t union all select * from x) cycle a set c using p select * from x | read | t:read |
insert into t values (1) order by 1 limit 1 | insert | t:insert |
select * from (t join u using (a) as k) as j | read | t:read u:read |
select * from t x join u y on x.a = y.a for update of y | read lock | t:read u:read u:lock |
explain (analyze 1.5) delete from t where a = 1 | delete | t:delete |
explain (analyze 0) delete from t | read | t:read |
create rule r as on delete to t where old.a > 1 do instead nothing | ddl | t:ddl | o
set time zone interval '1' hour | set | |
set a.b = 1.5 | set | |
comment on column a is 'x' | ddl | |
truncate t, only u | truncate | t:truncate u:truncate |
truncate t cascade | truncate | t:truncate | o
do $$ begin delete from t; end $$ | delete read | t:delete | udelete
do language plperl $$ x $$ | call read unknown | | o
do $$ begin execute x; end $$ | call read unknown | | o
alter role r rename to s | ddl grant | | c
call p(1) | call | | o
refresh materialized view t | maintenance | t:maintenance | oc
vacuum | maintenance | |
vacuum (full, analyze) t (a) | maintenance | t:maintenance |
analyze s.t | maintenance | s.t:maintenance |
cluster t using i | maintenance | t:maintenance |
reindex table t | maintenance | t:maintenance |
reindex database d | maintenance | | o
checkpoint | maintenance | |
load 'x' | maintenance server_file call | | o
alter system set archive_command = 'x' | maintenance server_file program set | | o
grant select on t, s.u to x | grant | t:grant s.u:grant |
revoke all on table t from x cascade | grant | t:grant |
grant usage on schema s to x | grant | | o
grant select on all tables in schema s to x | grant | | o
grant x to y | grant | | o
alter default privileges grant select on tables to x | grant | | o
create role x | grant | | o
create user x password 'y' | grant | | o
alter role x superuser | grant | | o
alter role x set search_path = 'y' | grant set | | o
drop role x | grant | | o
reassign owned by x to y | grant ddl | | o
drop owned by x | grant ddl | | o
alter database x owner to y | grant ddl | |
create policy p on t using (a = 1) | ddl grant | t:ddl |
alter policy p on t to x | ddl grant | t:ddl |
create table t (a int primary key, b s.mood default 1 check (b > 0) references u (c)) | ddl | t:ddl u:ddl |
create table t (like u including all) | ddl | t:ddl u:ddl |
create table t (a int default f()) | ddl call | t:ddl | o
create table t partition of u for values from (1) to (2) | ddl | t:ddl u:ddl |
create table t (a int) inherits (u) partition by range (a) | ddl | t:ddl u:ddl |
create temp table t (a text collate "C" generated always as identity, unique (a)) | ddl | t:ddl |
create foreign table t (a int) server s | ddl | t:ddl | o
alter table t add column a int, drop column b, alter c type text using lower(c) | ddl | t:ddl | c
alter table t attach partition u for values in (1) | ddl | t:ddl u:ddl | c
alter table t enable row level security | ddl | t:ddl | c
alter table t drop column a cascade | ddl | t:ddl | oc
alter table t owner to x | ddl | t:ddl | c
alter index i set (fillfactor = 50) | ddl | i:ddl | c
alter table t replica identity full | ddl | t:ddl | c
alter table all in tablespace a set tablespace b | ddl | | o
alter table t rename to u | ddl | t:ddl | c
alter table t rename column a to b | ddl | t:ddl | c
alter type x rename to y | ddl | | c
alter type x rename attribute a to b cascade | ddl | x:ddl | oc
alter table t set schema s | ddl | t:ddl | c
alter function f() depends on extension e | ddl | |
drop table t, s.u | ddl | t:ddl s.u:ddl |
drop view if exists t cascade | ddl | t:ddl | o
drop index i | ddl | i:ddl |
drop trigger x on s.t | ddl | s.t:ddl |
drop schema s | ddl | | o
drop function f(int) | ddl | |
comment on table t is 'x' | ddl | t:ddl |
comment on column s.t.a is 'x' | ddl | s.t:ddl |
comment on database d is 'x' | ddl | |
security label on table t is 'x' | ddl grant | t:ddl |
create index concurrently on t (lower(a), (b + 1)) where c > 1 | ddl | t:ddl |
create statistics x on a, b from t | ddl | t:ddl |
alter statistics x set statistics 10 | ddl | |
create sequence q owned by t.a | ddl | q:ddl |
alter sequence q restart | ddl | q:ddl |
create trigger x after insert on t for each row when (new.a > 1) execute function f() | ddl | t:ddl | o
create rule r as on insert to t do also delete from u | ddl delete | t:ddl u:delete | oudelete
create type x as (a int) | ddl | x:ddl |
create schema s create table t (a int) create view v as select * from t | ddl read | t:ddl v:ddl t:read | c
create schema s | ddl | |
create function f() returns int language sql as 'select 1' | ddl | | o
create function f() returns int language c as 'x' | ddl server_file | | o
create function f() returns int return 1 | ddl | | o
create procedure p() language sql as '' | ddl | | o
alter function f() volatile | ddl | | o
create aggregate a (int) (sfunc = f, stype = int) | ddl | | o
create operator === (function = f, leftarg = int, rightarg = int) | ddl | | o
create type x (input = a, output = b) | ddl | | o
create text search dictionary d (template = simple) | ddl | | o
create domain d as int check (value > 0) | ddl | | o
alter domain d drop not null | ddl | | o
create type x as enum ('a') | ddl | |
alter type x add value 'b' | ddl | |
create type x as range (subtype = int4) | ddl | | o
alter type x set (storage = plain) | ddl | | o
create operator class c for type int using btree as storage int | ddl | | o
create operator family f using btree | ddl | | o
alter operator family f using btree drop operator 1 (int, int) | ddl | | o
alter operator === (int, int) set (restrict = none) | ddl | | o
create cast (a as b) without function | ddl | | o
create default conversion c for 'LATIN1' to 'UTF8' from f | ddl | | o
create transform for int language c (from sql with function f(internal)) | ddl | | o
alter collation c refresh version | ddl | |
create language l handler f | ddl call | | o
create event trigger e on ddl_command_start execute function f() | ddl | | o
alter event trigger e disable | ddl | | o
create access method a type index handler f | ddl | | o
alter text search dictionary d (a = 1) | ddl | | o
alter text search configuration c drop mapping for a | ddl | | o
create extension e | ddl call | | o
alter extension e update | ddl call | | o
alter extension e add table t | ddl | | o
create database d | ddl | | o
alter database d with connection limit 1 | ddl | | o
alter database d refresh collation version | ddl | |
alter database d set a.b = 1 | ddl set | | o
drop database d | ddl | | o
create tablespace s location '/x' | ddl server_file | |
drop tablespace s | ddl server_file | |
alter tablespace s set (seq_page_cost = 1) | ddl | |
create foreign data wrapper w | ddl | | o
alter foreign data wrapper w no handler | ddl | | o
create server s foreign data wrapper w | ddl | | o
alter server s version '1' | ddl | | o
create user mapping for x server s | ddl grant | | o
alter user mapping for x server s options (a 'b') | ddl grant | | o
drop user mapping for x server s | ddl grant | | o
import foreign schema a from server s into b | ddl | | o
create publication p for table t | ddl | t:ddl | o
alter publication p add table t where (a = 1) | ddl | t:ddl | o
create subscription s connection 'x' publication p | ddl call | | o
alter subscription s disable | ddl call | | o
drop subscription s | ddl call | | o
"""

CASES = [tuple(part.strip() for part in line.rsplit("|", 3)) for line in KNOWN.strip().splitlines()]


def one(text: str, **settings: Any) -> Statement:
    reading = read(text.encode(), **settings)
    assert len(reading.statements) == 1, reading.why
    return reading.statements[0]


@pytest.mark.parametrize(("text", "effects", "touches", "flags"), CASES, ids=[c[0] for c in CASES])
def test_statement_does_what_its_kind_says(
    text: str, effects: str, touches: str, flags: str
) -> None:
    found = one(text)
    wanted = set(effects.split())
    assert {str(e) for e in found.effects} == wanted
    assert {f"{t.relation}:{t.effect}" for t in found.touches} == set(touches.split())
    assert found.opaque is flags.startswith("o")
    assert found.copies is ("c" in flags.split("u")[0])
    unbounded = flags.split("u", 1)[1] if "u" in flags else ""
    assert {str(e) for e in found.unbounded} == ({unbounded} if unbounded else set())
    assert found.tag


def test_every_kind_of_the_table_is_tried_above() -> None:
    tried = {kind_of(node) for text, *_ in CASES for node in parse(text)}
    assert set(KINDS) - tried == set()


def test_every_statement_of_the_grammar_is_in_the_table_or_stands_inside_another() -> None:
    inside = {"raw_stmt", "set_operation_stmt", "return_stmt", "plassign_stmt"}
    inside |= {"replica_identity_stmt"}
    named = {f.name for f in tree.Node.DESCRIPTOR.fields if f.name.endswith("_stmt")}
    assert named - set(KINDS) - inside == set()


def test_statements_of_one_text_are_read_one_by_one() -> None:
    reading = read(b"select 1; delete from t;; -- nothing\n drop table u;")
    assert [s.tag for s in reading.statements] == ["SELECT", "DELETE", "DROP TABLE"]


@pytest.mark.parametrize("text", ["", " ", ";", ";;  ;", "-- x", "/* x /* y */ */ ;"])
def test_empty_text_has_no_statement(text: str) -> None:
    assert read(text.encode()).statements == ()


def test_names_are_folded_as_postgresql_folds_them() -> None:
    found = one('SELECT Id FROM Public.Orders, "Orders"')
    assert {str(r) for r in found.relations} == {"public.orders", "Orders"}
    assert found.columns == {"id"}


def test_settings_are_given_where_both_sides_are_constants() -> None:
    assert one("SET Search_Path = a, 'B c', public").settings == (
        ("search_path", "a, B c, public"),
    )
    assert one("select set_config('work_mem', '1MB', false)").settings == (("work_mem", "1MB"),)
    assert one("set work_mem to default").settings == ()


@pytest.mark.parametrize(
    "inner",
    [
        "select s from (values ('role')) v(name), lateral set_config(name, 'x', false) s",
        "select 1 from (values ('role')) v(name) where set_config(name, 'x', false) <> ''",
        "select set_config(name, 'x', false) from (values ('role')) v(name)",
        "with w as (select set_config(name, 'x', false) from (values ('role')) v(name)) table w",
        "select 1 from (values ('role')) v(name) order by set_config(name, 'x', false)",
        "select 1 from (select 'role') v(name) group by set_config(name, $1, false)",
    ],
)
def test_the_name_of_a_setting_means_nothing_in_a_query_within(inner: str) -> None:
    around = "from pg_settings where name = 'jit'"
    assert one(f"select set_config(name, 'off', false) {around}").settings == (("jit", "off"),)
    for text in (f"select ({inner}) {around}", f"select abs(({inner})::int) {around}"):
        found = one(text)
        assert found.opaque
        assert "call" in found.effects
        assert found.settings == ()


def test_a_switch_may_be_set_by_a_parameter_and_by_nothing_that_was_read() -> None:
    """asyncpg sets jit back behind its questions about types."""
    switch = one("select set_config('jit', $1, false)")
    assert switch.effects == {"set", "read"}
    assert (switch.settings, switch.copies, switch.opaque) == ((("jit", ""),), False, False)
    for text in ("'role', $1", "'jit', (select ssn from c)", "'a.b', $1", "$1, $2"):
        other = one(f"select set_config({text}, false)")
        assert ("call" in other.effects, other.copies, other.opaque) == (True, True, True)


@pytest.mark.parametrize(
    "text",
    [
        "set search_path = public, pg_catalog",
        "set search_path = 'public', \"pg_catalog\"",
        "select set_config('search_path', 'public,pg_catalog', true)",
        "set client_encoding = 'SJIS'",
        "set names 'big5'",
        "select set_config('client_encoding', 'gbk', false)",
    ],
)
def test_setting_that_would_change_what_texts_mean_is_unknown(text: str) -> None:
    reading = read(text.encode())
    assert "unknown" in reading.effects
    assert reading.why


def test_kind_that_is_not_known_is_unknown() -> None:
    node = tree.Node()
    node.query.can_set_tag = True  # of the analysed tree: the grammar never gives one
    walk = Walk(frozenset())
    walk_statement(walk, node)
    assert walk.statement().effects == {"unknown"}


def test_tree_that_is_not_understood_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AttributeError

    monkeypatch.setattr(postgres, "walk_statement", fail)
    assert read(b"select 1").effects == {"unknown"}


def test_name_that_the_server_may_cut_elsewhere_is_unknown() -> None:
    assert one(f'select * from "{"é" * 29}"').effects == {"read"}
    assert "unknown" in one(f'select * from "{"é" * 31}"').effects
    assert one(f"select * from {'e' * 80}").relations == {Relation("", "e" * 63)}


def test_search_path_with_pg_catalog_first_is_an_ordinary_setting() -> None:
    assert one("set search_path = pg_catalog, public").effects == {"set"}
    assert one("set search_path = public").effects == {"set"}
