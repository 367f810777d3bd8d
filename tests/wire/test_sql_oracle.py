"""PostgreSQL as oracle: what a text was read to do against what the server says it did.

Each statement runs in a transaction of its own that is rolled back.  The server tells four things:
the command tag; which tables had rows inserted, updated and deleted; which relations were locked;
and which catalogs were written.  Reading may say more than happened, never less.
"""

# ruff: noqa: E501 - one statement is one line

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from hoopcli.demo.postgres import Postgres
from hoopcore.sql.functions import words
from hoopcore.sql.postgres import read
from hoopcore.statement import Effect, Reading

_SETUP = """
create schema app;
create type mood as enum ('sad', 'ok');
create table customers (id int primary key, name text, email text, ssn text, m mood);
create table orders (id int primary key, customer int references customers on delete cascade, total numeric, at timestamptz default now(), tags text[], doc jsonb);
create table app.notes (id serial primary key, body text);
create table items (id int, n int) partition by range (id);
create table items_1 partition of items for values from (0) to (100);
create table copied (a text, b text);
create view rich as select * from customers where id > 1;
create materialized view totals as select customer, sum(total) from orders group by 1;
create function writes() returns int volatile language sql as 'insert into copied values (1, 2) returning 1';
create procedure fills() language sql as 'insert into copied values (1, 2)';
create function touched() returns trigger language plpgsql as 'begin return new; end';
create role reporter;
insert into customers select i, 'n' || i, i || '@example.org', '078-05-112' || i, 'ok' from generate_series(1, 5) i;
insert into orders select i, 1 + i % 5, i * 10 from generate_series(1, 20) i;
insert into items select i, i from generate_series(1, 9) i;
"""

# What stands before ` ;; ` runs first, in the same transaction.
_CORPUS = """
select 1
select * from customers
table orders
values (1, 'a'), (2, 'b')
select c.name, sum(o.total) from customers c join orders o on o.customer = c.id group by 1 having sum(o.total) > 10 order by 2 desc limit 3
select * from customers where id in (select customer from orders where total > 50)
select * from customers c where exists (select from orders o where o.customer = c.id)
select * from customers, lateral (select * from orders where customer = customers.id limit 1) x
select name, (select max(total) from orders where customer = c.id) from customers c
select * from customers union all select * from rich intersect select * from customers
with a as (select * from orders), b as (select * from a where total > 10) select count(*) from b
with recursive r as (select 1 as n union all select n + 1 from r where n < 5) select * from r
with customers as (select 1 as id) select * from customers
with orders as (select * from orders) select * from orders
with orders as materialized (select 1) select (select count(*) from public.orders), * from orders
select * from (values (1), (2)) v (x) natural join (select 1 as x) y
select row_number() over (partition by customer order by total) from orders
select rank() over w from orders window w as (order by at)
select customer, grouping(customer), sum(total) from orders group by cube (customer)
select distinct on (customer) * from orders order by customer, at
select * from generate_series(1, 3) with ordinality g
select * from unnest(array[1, 2], array['a', 'b']) as u (x, y)
select * from jsonb_each('{"a": 1}') e where e.key = 'a'
select * from jsonb_to_recordset('[{"a": 1}]') as x (a int, b text)
select * from json_table('{"a": [1, 2]}', '$.a[*]' columns (n int path '$'))
select * from orders tablesample bernoulli (50) repeatable (1)
select case when total > 10 then 'big' else 'small' end, coalesce(null, 1), nullif(1, 2), greatest(1, 2) from orders
select array(select id from customers), (array[1, 2])[1], (row(1, 2)).*, array_agg(id order by id) from customers
select 'a' like 'a%', 'a' similar to 'b', 'a' ~ 'b', 1 between 0 and 2, 'x' is distinct from 'y'
select extract(year from now()), trim('  a '), substring('abc' from 2), position('a' in 'b'), overlay('a' placing 'b' from 1)
select now() at time zone 'UTC', current_date + interval '1 day', date_trunc('month', now())
select 'ok'::mood
select m from customers where m = 'ok'
select c from customers c
select c.* from customers c where c = (select x from customers x limit 1)
select name as n, email e from customers where ssn = '078-05-1121'
select id from only customers
select * from items
select * from items_1 where id = 1
select * from rich
select * from totals
select * from pg_class where relname = 'orders'
select * from information_schema.columns limit 1
select pg_table_size('orders'), obj_description(1), has_table_privilege('orders', 'select')
select * from customers for update
select * from customers c join orders o on true where c.id = 1 for update of o skip locked
select * from customers for key share
select * from (select * from orders) x for share
select id into made from customers
select id, name into temp made from customers where id = 1
insert into copied values ('a', 'b')
insert into copied (a) values ('x'), (default)
insert into copied default values
insert into copied (a, b) select name, email from customers
insert into copied table copied
insert into copied select 'a', 'b' from generate_series(1, 3)
insert into copied values ((select name from customers where id = 1), 'x') returning a
with x as (select * from customers) insert into copied select name, email from x
insert into copied with x as (select name, email from customers) select * from x
insert into customers (id, name) values (1, 'x') on conflict do nothing
insert into customers (id, name) values (1, 'x') on conflict (id) do update set name = excluded.name
insert into customers as c (id, name) values (1, 'x') on conflict (id) do update set name = c.email || excluded.name where c.id = 1
insert into app.notes (body) values ('x') returning *
insert into items values (50, 1)
insert into rich (id, name) values (90, 'x')
update customers set name = 'x'
update customers set name = upper(name) where id = 1
update customers set (name, email) = ('a', 'b') where id = 1
update customers set (name, email) = (select a, b from copied limit 1) where id = 1
update customers c set name = o.total::text from orders o where o.customer = c.id
update only customers set name = default where id = 1 returning id, name
with x as (select id from orders) update customers set name = 'x' where id in (select id from x)
update items set n = n + 1
update rich set name = 'x' where id = 2
update orders set tags[1] = 'x', doc = doc || '{"a": 1}' where id = 1
delete from orders
delete from orders where id = 1
delete from orders using customers c where c.id = customer and c.name = 'n1'
delete from orders where id in (select id from items) returning *
delete from customers where id = 5
delete from rich where id = 2
with x as (delete from orders returning *) select count(*) from x
with x as (insert into copied values ('a', 'b') returning *), y as (update customers set name = 'z' where id = 1 returning id) select * from x, y
with x as (delete from orders where id = 1 returning *) insert into copied select id, total from x
with x as (update orders set total = 1 returning id) delete from orders where id in (select id from x) and false
merge into customers c using orders o on c.id = o.customer and o.id = 3 when matched then update set name = 'x'
merge into customers c using (values (1), (77)) v (x) on c.id = v.x when matched then delete when not matched then insert (id) values (v.x)
merge into customers c using (select 1 as x) s on c.id = s.x when matched and c.name = 'no' then do nothing when matched then update set (name, email) = ('a', 'b') returning merge_action(), c.*
merge into customers c using orders o on c.id = o.id when not matched by source then update set name = 'z'
begin ;; select 1
savepoint a ;; release a
savepoint a ;; rollback to a
savepoint a
set transaction read only
set local work_mem = '1MB'
set local search_path = app, public
set local time zone 'UTC'
set local role reporter
set local role reporter ;; reset role
set session authorization reporter
reset all
reset work_mem
show work_mem
show all
select set_config('app.x', 'y', true)
select set_config('role', 'reporter', true)
set constraints all immediate
discard plans
explain select * from customers
explain delete from customers
explain insert into copied values ('a', 'b')
explain (costs off, format json) update customers set name = 'x'
explain (analyze, costs off) select * from customers
explain analyze delete from orders where id = 1
explain (analyze, verbose) insert into copied values ('a', 'b')
explain (analyze off) delete from orders
explain (analyze) create table made as select * from customers
explain create table made as select * from customers
prepare p as delete from orders where id = $1
prepare p as delete from orders where id = $1 ;; execute p (1)
prepare p as delete from orders where id = $1 ;; explain execute p (1)
prepare p as delete from orders where id = $1 ;; explain analyze execute p (1)
prepare p as select * from customers ;; create table made as execute p
prepare p as select 1 ;; deallocate p
deallocate all
declare c cursor for select * from customers
declare c cursor for select * from customers ;; fetch 2 from c
declare c scroll cursor for select * from customers ;; move forward all in c
declare c cursor for select * from customers ;; close c
declare c cursor for select * from orders for update ;; fetch c
copy customers to stdout
copy customers (id, name) to stdout (format csv, header)
copy (select * from customers join orders on true) to stdout
copy (delete from orders where id = 1 returning *) to stdout
copy (insert into copied values ('a', 'b') returning a) to stdout
copy copied from stdin
copy copied (a) from stdin (format csv)
copy customers to '/dev/null'
copy copied from '/dev/null'
copy copied from program 'true'
copy (select * from customers) to program 'cat >/dev/null'
truncate orders
truncate customers cascade
truncate only copied, app.notes restart identity
lock customers
lock table customers, orders in share mode
listen a
unlisten *
notify a, 'x'
do $$ begin delete from orders; end $$
call fills()
select writes()
select * from writes()
select nextval('app.notes_id_seq')
insert into app.notes values (nextval('app.notes_id_seq'), 'x')
select t.lo_create from generate_series(900000, 900000) t
select lo_from_bytea(0, 'x')
select ts_stat('select to_tsvector(name) from customers')
create table made (id int primary key, c int references customers, d text default 'x' check (d <> ''), unique (d))
create table made (like customers including all)
create table made as select * from customers with no data
create table if not exists made as table orders
create temp table made (a int) on commit drop
create table made (x int) inherits (copied)
create table items_2 partition of items for values from (100) to (200)
create unlogged table app.made (a serial)
create view made as select * from customers
create or replace view rich as select * from customers where id > 2
create recursive view made (n) as select 1 union all select n + 1 from made where n < 3
create materialized view made as select * from customers
refresh materialized view totals
create index on customers (lower(name)) where id > 1
create unique index made on orders using btree (id, customer) include (total)
create statistics made on id, name from customers
create sequence made start 5
alter sequence app.notes_id_seq restart with 10
create type made as (a int, b text)
create type made as enum ('a')
alter type mood add value 'great'
create type made as range (subtype = int4)
create domain made as text check (value <> '')
create schema made create table t (a int) create view v as select * from t
create function made() returns int language sql as 'select 1'
create function made() returns int return (select count(*) from customers)
create or replace procedure made() language sql as 'select 1'
create trigger made before insert on copied for each row execute function touched()
create rule made as on insert to copied do also delete from orders
create policy made on customers using (id = 1)
create aggregate made (int) (sfunc = int4pl, stype = int)
create operator === (function = int4eq, leftarg = int, rightarg = int)
create cast (mood as int) with inout
create collation made (locale = 'C')
create publication made for table customers
create foreign data wrapper made
create role made
create user made password 'x'
alter role reporter createdb
alter role reporter set work_mem = '1MB'
drop role reporter
grant select on customers to reporter
grant select (name), update (email) on customers to reporter
grant usage on schema app to reporter
grant all on all tables in schema public to reporter
revoke all on customers from public
alter default privileges in schema app grant select on tables to reporter
reassign owned by reporter to postgres
drop owned by reporter
alter table customers add column x int default 1
alter table customers add column x text generated always as (ssn || '') stored
alter table customers drop column email cascade
alter table copied alter column a type varchar(50) using upper(b)
alter table customers rename column ssn to harmless
alter table customers rename to clients
alter table customers set schema app
alter table customers owner to reporter
alter table customers enable row level security
alter table items detach partition items_1
alter table copied add constraint x check (a <> b) not valid
alter table orders replica identity full
alter view rich rename to poor
alter index orders_pkey rename to made
alter function writes() stable
alter schema app rename to made
drop table copied, items
drop table if exists customers cascade
drop view rich
drop materialized view totals
create index made on orders (total) ;; drop index made
drop function writes()
drop type mood cascade
drop schema app cascade
comment on table customers is 'x'
comment on column customers.ssn is 'x'
comment on function writes() is null
analyze
analyze customers (name)
cluster customers using customers_pkey
reindex table customers
checkpoint
alter database postgres set work_mem = '1MB'
update pg_settings set setting = '1MB' where name = 'work_mem'
delete from pg_description where false
"""
STATEMENTS = [line for line in _CORPUS.splitlines() if line.strip()]

_TAG_EFFECTS = {
    "INSERT": Effect.INSERT,
    "UPDATE": Effect.UPDATE,
    "DELETE": Effect.DELETE,
    "TRUNCATE": Effect.TRUNCATE,
    "LOCK": Effect.LOCK,
    "GRANT": Effect.GRANT,
    "REVOKE": Effect.GRANT,
    "CREATE": Effect.DDL,
    "ALTER": Effect.DDL,
    "DROP": Effect.DDL,
    "COMMENT": Effect.DDL,
    "LISTEN": Effect.LISTEN,
    "NOTIFY": Effect.LISTEN,
    "CALL": Effect.CALL,
    "DO": Effect.CALL,
    "ANALYZE": Effect.MAINTENANCE,
    "CLUSTER": Effect.MAINTENANCE,
    "REINDEX": Effect.MAINTENANCE,
    "REFRESH": Effect.MAINTENANCE,
    "CHECKPOINT": Effect.MAINTENANCE,
    "SAVEPOINT": Effect.TRANSACTION,
    "RELEASE": Effect.TRANSACTION,
    "ROLLBACK": Effect.TRANSACTION,
    "PREPARE": Effect.PREPARE,
    "DEALLOCATE": Effect.PREPARE,
    "DECLARE": Effect.PREPARE,
    "FETCH": Effect.PREPARE,
    "MOVE": Effect.PREPARE,
    "CLOSE": Effect.PREPARE,
}
_ROLE_TAGS = ("ROLE", "DEFAULT PRIVILEGES")

_ROWS = """
select schemaname, relname, n_tup_ins, n_tup_upd, n_tup_del from pg_stat_xact_user_tables
where n_tup_ins + n_tup_upd + n_tup_del > 0 and schemaname in ('public', 'app')
"""
_LOCKED = """
select n.nspname, c.relname, c.relkind from pg_locks l join pg_class c on c.oid = l.relation
join pg_namespace n on n.oid = c.relnamespace where l.pid = pg_backend_pid()
and n.nspname in ('public', 'app') and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
"""
_CATALOGS = words(
    "pg_class pg_attribute pg_proc pg_type pg_constraint pg_trigger pg_rewrite pg_index"
    " pg_namespace pg_description pg_policy pg_authid pg_auth_members pg_db_role_setting pg_cast"
    " pg_operator pg_enum pg_statistic_ext pg_publication pg_default_acl pg_collation pg_aggregate"
    " pg_inherits pg_sequence pg_foreign_data_wrapper pg_attrdef pg_largeobject_metadata"
)
_WRITTEN = " union ".join(
    f"select '{name}' from {name} where pg_visible_in_snapshot(pg_current_xact_id(),"
    f" pg_current_snapshot()) is not null and xmin = pg_current_xact_id()::xid"
    for name in sorted(_CATALOGS)
)
# Writing to any of these says that a definition or a right was changed, by a statement or a call.
_DEFINES = {Effect.DDL, Effect.GRANT, Effect.CALL, Effect.MAINTENANCE}
_WRITES = _DEFINES | {
    *(Effect.INSERT, Effect.UPDATE, Effect.DELETE, Effect.TRUNCATE, Effect.LISTEN, Effect.LOCK)
}


@pytest.fixture(scope="module")
def shop(postgres: Postgres) -> Iterator[str]:
    postgres.psql("create database sql_oracle")
    postgres.psql(_SETUP, database="sql_oracle")
    yield postgres.dsn("sql_oracle")
    postgres.psql("drop database sql_oracle with (force)")
    postgres.psql("drop role reporter")


def rows(connection: psycopg.Connection[Any], text: str) -> list[tuple[Any, ...]]:
    return connection.execute(text).fetchall()


def run(connection: psycopg.Connection[Any], text: str) -> str:
    """The tag.  COPY runs as a client would run it, with no rows of its own."""
    cursor = connection.cursor()
    if text.startswith("copy") and ("stdin" in text or "stdout" in text):
        with cursor.copy(text.encode()) as copy:
            if "stdout" in text:
                for _ in copy:
                    pass
    else:
        cursor.execute(text.encode())
    return cursor.statusmessage or ""


@pytest.mark.parametrize("line", STATEMENTS)
def test_reading_says_no_less_than_the_server_did(shop: str, line: str) -> None:
    *before, text = line.split(" ;; ")
    reading = read(text.encode())
    assert Effect.UNKNOWN not in reading.effects, reading.why
    with psycopg.connect(shop) as connection:
        for first in before:
            if first != "begin":
                run(connection, first)
        done = {(s, r): tuple(n) for s, r, *n in rows(connection, _ROWS)}
        locked = set(rows(connection, _LOCKED))
        tag = run(connection, text)
        if not text.startswith(("set session", "set local role")) and "'role'" not in text:
            _compare(connection, reading, done, locked)
        connection.rollback()
    _compare_tag(reading, tag)


def _compare(
    connection: psycopg.Connection[Any],
    reading: Reading,
    done: dict[tuple[str, str], tuple[Any, ...]],
    locked: set[tuple[Any, ...]],
) -> None:
    (assigned,) = rows(connection, "select pg_current_xact_id_if_assigned()")[0]
    opaque = any(s.opaque for s in reading.statements)
    touches = {(t.relation.name, t.effect) for s in reading.statements for t in s.touches}
    names = {name for name, _ in touches}
    if assigned is not None:
        assert reading.effects & (_WRITES | {Effect.PREPARE, Effect.SET}), "it wrote"
    if not opaque and not reading.effects & _DEFINES:
        for schema, name, *counts in rows(connection, _ROWS):
            new = [a - b for a, b in zip(counts, done.get((schema, name), (0, 0, 0)), strict=True)]
            kinds = (Effect.INSERT, Effect.UPDATE, Effect.DELETE)
            for count, effect in zip(new, kinds, strict=True):
                cascades = (name, effect) == ("orders", Effect.DELETE) and names & {
                    "customers",
                    "rich",
                }
                inside = {"items_1": "items", "customers": "rich"}.get(name, name)
                wanted = {(name, effect), (inside, effect)}
                assert not count or cascades or wanted & touches, (name, effect)
        seen_through = {"rich": {"customers"}, "items": {"items_1"}}
        for name in set(names):
            names |= seen_through.get(name, set())
        if Effect.DELETE in reading.effects:
            names |= {"orders"}  # the cascade, by the foreign key
        if reading.effects & {Effect.INSERT, Effect.UPDATE, Effect.TRUNCATE}:
            names |= {"customers", "notes_id_seq"}  # foreign keys and defaults
        assert {row[1] for row in set(rows(connection, _LOCKED)) - locked} <= names
    if assigned is not None and rows(connection, _WRITTEN):
        assert reading.effects & (_DEFINES | {Effect.PREPARE, Effect.TRUNCATE}), "it defined"


def _compare_tag(reading: Reading, tag: str) -> None:
    word = tag.split(" ")[0]
    wanted = _TAG_EFFECTS.get(word)
    if reading.statements[0].tag == "EXECUTE":
        return  # what it ran was judged when it was prepared
    if wanted is not None and not any(part in tag for part in _ROLE_TAGS):
        assert wanted in reading.effects or (word == "CREATE" and "ROLE" in tag)
    if word == "SELECT":
        assert reading.effects & {Effect.READ, Effect.DDL}
    if word == "COPY":
        outside = {Effect.SERVER_FILE, Effect.PROGRAM}
        assert reading.effects & {Effect.COPY_IN, Effect.COPY_OUT, *outside}
    if word in ("SET", "RESET"):
        assert reading.effects & {Effect.SET, Effect.TRANSACTION}
    if any(part in tag for part in _ROLE_TAGS):
        assert Effect.GRANT in reading.effects


def test_corpus_is_large_and_has_no_statement_twice() -> None:
    assert len(STATEMENTS) >= 150
    assert len(set(STATEMENTS)) == len(STATEMENTS)


def test_sjis_hides_a_delete_from_who_reads_it_as_latin_1(shop: str) -> None:
    # In SJIS 0x95 0x5C is one character, so the quote behind it ends the string.
    text = b"select E'\x95\x5c'; delete from orders; --'"
    with psycopg.connect(shop) as connection:
        connection.execute("set client_encoding = 'SJIS'")
        connection.pgconn.exec_(text)
        connection.execute("set client_encoding = 'UTF8'")
        assert rows(connection, "select count(*) from orders") == [(0,)]
        connection.rollback()
    assert Effect.DELETE not in read(text, encoding="LATIN1").effects
    assert read(text, encoding="SJIS").effects == {Effect.UNKNOWN}


def test_strings_that_are_not_standard_hide_a_delete_from_who_reads_on(shop: str) -> None:
    text = rb"select 'a\', $$' ; delete from orders; --$$, 'b'"
    with psycopg.connect(shop) as connection:
        connection.execute("set standard_conforming_strings = off")
        connection.execute("set escape_string_warning = off")
        connection.pgconn.exec_(text)
        assert rows(connection, "select count(*) from orders") == [(0,)]
        connection.rollback()
    assert Effect.DELETE not in read(text).effects
    assert read(text, standard_strings=False).effects == {Effect.UNKNOWN}
    assert read(text, trusted=False).effects == {Effect.UNKNOWN}
