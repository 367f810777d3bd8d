-- Our own corpus for tests/conformance/test_effects.py.  Above the mark are definitions; below it each line
-- is a statement that runs in a transaction of its own and is rolled back.  What stands before ` ;; ` runs
-- first, in the same transaction.
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
create table people (id int generated always as identity primary key, name varchar(40) not null, born date, score numeric(6, 2) default 0, note text, tags jsonb default '{}', at timestamptz default now());
create table app.audit (id bigserial primary key, what text, by_whom text default current_user, at timestamptz default clock_timestamp());
create table wide (a int, b int, c int, d text, e text[], f jsonb, g int4range, h bytea, i uuid, j inet, k box, l tsvector, m xml, n money, o interval, p bit(8));
create table part_list (k text, v int) partition by list (k);
create table part_a partition of part_list for values in ('a');
create table part_rest partition of part_list default;
create table mother (id int, word text);
create table child (extra int) inherits (mother);
create table "Odd ""Name" ("Some Column" int, "select" text);
create type pair as (x int, y text);
create table pairs (id int primary key, p pair, ps pair[]);
create domain short as text check (length(value) < 20);
create view poor as select id, name from customers where id < 3;
create view joined as select c.id, c.name, o.total from customers c join orders o on o.customer = c.id;
create view secure with (security_barrier) as select * from people where id > 0;
create function twice(int) returns int immutable language sql as 'select $1 * 2';
create function age(people) returns int stable language sql as 'select 1';
create function tables() returns table (t text) stable language sql as 'select relname::text from pg_class limit 2';
create operator === (function = int4eq, leftarg = int, rightarg = int);
create function same(text, text) returns bool immutable language plpgsql as 'begin return $1 = $2; end';
create operator ~== (function = same, leftarg = text, rightarg = text);
create aggregate total (int) (sfunc = int4pl, stype = int, initcond = '0');
create sequence counter;
create procedure moves(n int) language plpgsql as 'begin update people set score = n where id = 1; end';
insert into people (name, born, note) select 'p' || i, date '2000-01-01' + i, repeat('x', i) from generate_series(1, 12) i;
insert into wide (a, b, c, d, e, f) select i, i % 3, i * 2, 'd' || i, array['x', 'y'], '{"k": [1, 2]}' from generate_series(1, 9) i;
insert into part_list values ('a', 1), ('b', 2), ('c', 3);
insert into child values (1, 'w', 2), (2, 'v', 3);
insert into mother values (3, 'u');
insert into pairs values (1, row(1, 'a'), array[row(2, 'b')::pair]);
insert into "Odd ""Name" values (1, 'x');
create function checked(text) returns bool immutable language plpgsql as 'begin return $1 <> ''bad''; end';
create function pair_same(pair, pair) returns bool immutable language plpgsql as 'begin return ($1).x = ($2).x; end';
create function pair_text(pair) returns text immutable language plpgsql as 'begin return ($1).y; end';
create domain coded as text check (checked(value));
create table numbered (id int default twice(1), word short);
create table coded_rows (c coded);
create operator = (function = pair_same, leftarg = pair, rightarg = pair);
create cast (pair as text) with function pair_text(pair);
create view deep as select name as called from poor;
create view coding as select id, twice(id) as t from people;
create view voice as select id from people;
create rule says as on insert to voice do instead insert into app.notes (body) values (new.id::text);
create rule unsays as on delete to voice do instead (delete from mother where id = old.id; update copied set b = 'gone');
create rule resays as on update to voice do instead nothing;

-- statements

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
-- values and expressions
select null, true, false, 1.5, 1e10, 0x1f, 'a' 'b', e'a\nb', b'101', x'ff', u&'\0041', $$x$$, $a$y$a$
select 1 + 2 * 3 % 4 - 5 / 6, 2 ^ 3, |/ 4.0, @ -5, ~1, 1 # 2, 1 << 2, 1 >> 1, 'a' || 'b'
select a, b as c, a + b, -a, (a) from wide where a > 1 and not b = 2 or c is null
select a.a from wide a, wide b where a.a = b.b
select w.a, w.* from wide w order by w.a desc nulls last, 2 limit 5 offset 1
select * from wide fetch first 3 rows only
select * from wide order by b fetch first 2 rows with ties
select all a from wide limit all
select distinct b from wide limit 4
select b, count(*) filter (where a > 3), array_agg(distinct c order by c) from wide group by b
select b, c, sum(a) from wide group by grouping sets ((b), (c), ())
select b, sum(a) from wide group by rollup (b) having sum(a) > 1
select b, avg(a) over (partition by b order by a rows between 1 preceding and current row exclude ties) from wide
select lag(a, 1, 0) over w, lead(a) over w, ntile(2) over w from wide window w as (order by a), v as (w)
select percentile_cont(0.5) within group (order by a), mode() within group (order by d) from wide
select case b when 1 then 'one' when 2 then 'two' end from wide
select cast(a as text), a::numeric(8, 2), d::varchar(3), '1'::int, int '5', date '2020-01-01', interval '1' day from wide limit 1
select 'abc'::short
select 'x'::text::short::text
select cast('(1,a)' as pair), row(1, 'a')::pair, (row(1, 'a')::pair).y
select (p).x, (p).*, ps[1].y, p from pairs
select pairs.p, pairs from pairs
select e[1], e[1:2], e[:2], array_length(e, 1), cardinality(e), e || 'z'::text, 'x' = any (e), 'x' <> all (e) from wide
select f -> 'k', f ->> 'k', f #> '{k,0}', f @> '{"k": 1}', f ? 'k', f - 'k', f['k'] from wide
select jsonb_path_query(f, '$.k[*]'), jsonb_build_object('a', a), to_jsonb(w), row_to_json(w) from wide w
select json_object('a': 1, 'b': 2), json_array(1, 2), json_arrayagg(a), json_objectagg(d: a) from wide
select g @> 3, g && int4range(1, 5), lower(g), upper(g), isempty(g) from wide
select h || 'x'::bytea, encode(h, 'hex'), md5(d), sha256(d::bytea), length(h) from wide
select j << inet '10.0.0.0/8', host(j), k && box '((0,0),(1,1))', area(k) from wide
select l @@ to_tsquery('x'), ts_rank(l, 'x'), to_tsvector('english', d) from wide
select n * 2, o + interval '1 day', p & b'00000001', extract(epoch from o), to_char(o, 'HH24') from wide
select current_user, session_user, current_role, current_catalog, current_schema, current_date, localtime, current_timestamp(2)
select coalesce(a, b), nullif(a, b), greatest(a, b, c), least(a, b) from wide
select a between 1 and 3, a not between symmetric 5 and 1, a in (1, 2), a not in (select b from wide where b is not null) from wide
select d like 'd%', d ilike 'D_', d not like 'x' escape '!', d similar to 'd[0-9]', d ~ '^d', d !~* 'x' from wide
select a is distinct from b, (a, b) = (1, 2), (a, b) < (2, 3), row(a, b) is null, a is true from (select 1 = 1 as a, true as b) x
select (a, b) in (select a, b from wide), exists (select 1 from people), (select max(a) from wide), array(select a from wide) from wide
select a = any (select b from wide), a > all (select b from wide where b < 0) from wide
select "Some Column", "select" from "Odd ""Name"
select "Odd ""Name"."select" from public."Odd ""Name"
select ctid, xmin, tableoid::regclass, cmin from people where ctid = '(0,1)'
select count(*) from people
select count(*), max(id) from people where name like 'p%'
select max(id) + 1 from people
select min(a), max(b) from wide having count(*) > 1
select name from people where id = 1
select name from people where id = 1 limit 1
select p.name from people as p where p.note is not null
select people.name, age(people) from people
select people.age from people
select p.note, length(p.name), upper(p.name) from people p where lower(p.name) = 'p1'
select twice(2), twice(a) from wide
select public.twice(3)
select * from tables()
select t from tables() as f (t) where t <> 'x'
select 1 === 1
select 1 operator(public.===) 2
select 1 operator(pg_catalog.=) 2
select 'a' ~== 'b'
select * from wide where d ~== 'd1'
select total(a) from wide
select total(a) over (order by a) from wide
select nextval('counter'), currval('counter')
select setval('counter', 5)
select lastval() from (select nextval('counter')) x
select last_value from counter
select random(), gen_random_uuid(), clock_timestamp(), pg_backend_pid(), version()
select pg_typeof(a), pg_column_size(d) from wide
select has_table_privilege('people', 'select'), pg_get_viewdef('poor'::regclass), 'people'::regclass::oid
select pg_relation_size('people'), pg_size_pretty(pg_database_size(current_database()))
select set_config('work_mem', '2MB', true), current_setting('work_mem')
select pg_advisory_lock(1), pg_advisory_unlock(1)
select pg_advisory_xact_lock(7)
select pg_try_advisory_lock(5)
select pg_notify('ch', 'x')
select pg_stat_get_activity(null)
select query_to_xml('select 1', true, false, '')
select pg_ls_dir('.') limit 1
select lo_create(0)
select txid_current()
select pg_current_xact_id()
select pg_logical_emit_message(false, 'a', 'b')
select pg_cancel_backend(0)
select pg_reload_conf()
select pg_sleep(0)
-- what stands in FROM
select * from people p join orders o on o.id = p.id left join customers c using (id)
select * from people natural join mother
select * from people p full join mother m on m.id = p.id right join child c on c.id = m.id
select * from people cross join (values (1), (2)) v (n)
select * from (people p join mother m on m.id = p.id) as pm
select x.id from people as x (id, renamed) where renamed = 'p1'
select * from generate_series(1, 3) as s (n), people where people.id = s.n
select * from people, lateral (select total from orders where orders.id = people.id) o
select * from people, unnest(array[1, 2]) with ordinality u (v, n)
select * from rows from (generate_series(1, 2), unnest(array['a', 'b'])) as r (x, y)
select * from json_to_record('{"a": 1}') as x (a int)
select * from regexp_split_to_table('a,b', ',') r
select * from part_list where k = 'a'
select * from part_a
select * from mother
select * from only mother
select m.word from mother m where m.id > 1
select * from poor
select name from joined where total > 10
select * from secure where note is null
select * from poor p join rich r using (id)
select * from pg_catalog.pg_tables where schemaname = 'public'
select relname from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'app'
select table_name, column_name from information_schema.columns where table_schema = 'public' limit 3
select name, setting from pg_settings where name = 'work_mem'
select usename, state from pg_stat_activity limit 1
select * from pg_stats where tablename = 'people' limit 1
select * from pg_locks limit 1
select body from app.notes
select a.body from app.notes as a where a.id = 1
select * from app.audit limit 1
table people
table only mother
values (1, 2), (3, 4) order by 1 limit 1
values ((select max(id) from people))
select 1 union select 2 union all select 3
select id from people union select id from mother order by 1 limit 3
(select id from people limit 1) intersect (select id from mother)
select id from people except all select id from child
-- WITH
with p as (select * from people where id < 5) select name from p join p q using (id)
with p (x) as (select id from people) select x from p
with recursive t (n) as (values (1) union all select n + 1 from t where n < 4) select sum(n) from t
with recursive tree as (select id, word from mother union select m.id, m.word from mother m join tree t on m.id = t.id + 1) cycle id set is_cycle using path select * from tree
with recursive s as (select 1 as n union all select n + 1 from s where n < 3) search depth first by n set o select * from s
with a as materialized (select 1 as x), b as not materialized (select x from a) select * from b
with people as (select 1 as id, 'n' as name) select name from people
with x as (select * from people), people as (select * from x) select count(*) from people
with w as (insert into copied values ('c', 'd') returning *) insert into app.notes (body) select a from w
with gone as (delete from mother where id = 3 returning id), seen as (select * from people) select gone.id from gone, seen limit 2
with up as (update people set note = 'n' where id = 1 returning *) select name from up
with m as (select id from people) update mother set word = 'w' from m where m.id = mother.id
with m as (select id from people) delete from mother using m where m.id = mother.id
select (with x as (select max(id) as m from people) select m from x) from mother
-- INSERT
insert into people (name) values ('new')
insert into people (name, born) values ('a', '2001-01-01'), ('b', null), ('c', default)
insert into people (name) select name from customers where id = 1
insert into people (name) select 'x' returning id, name as called
insert into people (name) values ('x') returning *
insert into people overriding system value values (100, 'z')
insert into people (name, note) values ((select max(name) from customers), upper('x'))
insert into people (name) values ('x') on conflict (id) do nothing
insert into pairs values (1, null, null) on conflict (id) do update set p = excluded.p where pairs.id > 0 returning pairs.id
insert into pairs as t (id) values (1) on conflict on constraint pairs_pkey do update set (p, ps) = (excluded.p, t.ps)
insert into pairs (id, p.x, p.y) values (7, 1, 'b')
insert into wide (a, e[1]) values (1, 'x')
insert into wide default values
insert into part_list values ('zz', 9)
insert into part_a values ('a', 9)
insert into mother values (9, 'i')
insert into child values (9, 'i', 1)
insert into poor (id, name) values (50, 'v')
insert into secure (name) values ('v')
insert into app.audit (what) values ('done')
insert into copied select 'a', note from people union select name, email from customers
insert into copied (a) values (twice(2)::text)
insert into copied (b) select t from tables() f (t)
insert into "Odd ""Name" ("Some Column") values (2)
insert into public.copied values ('q', 'r')
-- UPDATE
update people set note = 'x'
update people set note = name || 'x', score = score + 1 where id = 1
update people set note = default, born = null where name = 'p1' returning *
update people p set note = c.email from customers c where c.id = p.id
update people set note = (select max(email) from customers) where id = 1
update people set (note, score) = ('a', 1) where id in (1, 2)
update people set (note, score) = (select email, 2 from customers where customers.id = people.id) where true
update people set tags = tags || '{"a": 1}' where tags ? 'b'
update people set tags['k'] = '1' where id = 2
update people set score = twice(1) where id = 3
update pairs set p.x = 5, ps[1].y = 'z' where id = 1
update wide set e[2] = 'q', a = a + 1 where b = any (array[1, 2])
update only mother set word = 'q'
update mother set word = 'q' where id = 1
update part_list set k = 'a' where k = 'b'
update part_list set v = v + 1 where v = 2
update poor set name = 'q' where id = 1
update secure set note = 'q' where id = 1
update people as p set note = 'q' where p.id = 1 and exists (select 1 from orders o where o.id = p.id)
update people set note = 'q' where id = (select min(id) from people)
update people set note = 'q' from orders o join customers c on c.id = o.customer where o.id = people.id
update people set note = 'q' where 1 = 1
update people set note = 'q' where current_date > '2000-01-01'
update public.people set note = null where ctid = '(0,1)'
-- DELETE and MERGE
delete from people
delete from people where id > 5 returning id, upper(name)
delete from people p using orders o, customers c where o.id = p.id and c.id = o.customer
delete from only mother where id = 3
delete from mother
delete from part_list where k = 'a'
delete from poor where id = 1
delete from secure where id = 1
delete from people where name ~== 'p1'
delete from people where id in (with x as (select 1 as id) select id from x)
delete from "Odd ""Name" where "select" = 'x'
delete from app.notes where false
delete from orders o where not exists (select from customers c where c.id = o.customer)
merge into people p using customers c on p.name = c.name when matched then update set note = c.email when not matched then insert (name) values (c.name)
merge into people p using (select 1 as id) s on p.id = s.id when matched then delete
merge into mother m using people p on m.id = p.id when matched and p.note is null then do nothing when matched then update set word = p.name
merge into part_list t using (values ('a', 5)) v (k, n) on t.k = v.k when matched then update set v = v.n when not matched then insert values (v.k, v.n)
with s as (select id, name from customers) merge into copied t using s on t.a = s.name when not matched then insert (a, b) values (s.name, 'm')
-- locks
select * from people for update
select * from people p, mother m where p.id = m.id for update of p nowait
select * from people order by id limit 2 for no key update skip locked
select * from poor for share
with p as (select * from people for update) select id from p
lock table people in exclusive mode
lock only mother in access share mode nowait
-- cursors and prepared statements
prepare q (int) as update people set note = 'x' where id = $1
prepare q (text, int) as select name from people where note = $1 limit $2
prepare q as insert into copied select name, note from people
prepare q as values (1)
prepare q (int) as select $1 ;; execute q (twice(3))
prepare q as update people set note = 'x' ;; execute q
prepare q as select 1 ;; deallocate prepare q
prepare q as select * from people ;; explain (costs off) execute q
declare k no scroll cursor without hold for select name from people
declare k cursor with hold for select name from people
declare k binary insensitive cursor for table mother
declare k cursor for select * from people ;; fetch first from k
declare k scroll cursor for select * from people ;; fetch absolute 3 from k
declare k cursor for select * from people for update ;; fetch k ;; update people set note = 'c' where current of k
declare k cursor for select * from people for update ;; fetch k ;; delete from people where current of k
declare k cursor for select 1 ;; close all
declare k scroll cursor for select * from people ;; move 2 in k
-- COPY
copy people (name) from stdin
copy people to stdout (format csv, header true, force_quote (name))
copy (select name, note from people where id < 3) to stdout with csv
copy (with x as (select 1) select * from x) to stdout
copy (update people set note = 'c' where id = 1 returning id) to stdout
copy (values (1), (2)) to stdout
copy app.notes (body) from stdin with (format text, delimiter ',')
copy copied from stdin where a > 'b'
copy part_list to stdout
copy mother to stdout
copy people to '/dev/null' (format binary)
copy (select 1) to '/dev/null'
-- EXPLAIN
explain (verbose, format yaml) select name from people where id = 1
explain update people set note = 'x'
explain (analyze, costs off, timing off, summary off, buffers off) update people set note = 'x' where id = 1
explain analyze select * from poor
explain analyze insert into copied select name, note from people
explain (analyze false) delete from mother
explain (analyze on) with d as (delete from mother returning *) select * from d
explain merge into people p using customers c on p.id = c.id when matched then delete
explain declare k cursor for select * from people
explain create materialized view made as select * from people
explain select twice(1)
explain (generic_plan) select * from people where id = $1
-- settings and transactions
set local statement_timeout = '5s'
set local datestyle to 'ISO, MDY'
set local role none
set session characteristics as transaction isolation level repeatable read
set transaction isolation level serializable, read only, deferrable
set local search_path to default
set local "app.custom" = 'x'
set application_name = 'x'
set application_name from current
show search_path
show transaction isolation level
reset application_name
reset session authorization
discard sequences
savepoint one ;; rollback to savepoint one
savepoint one ;; release savepoint one
set constraints orders_customer_fkey deferred
listen "Ch"
listen ch ;; unlisten ch
notify ch
do 'begin end' ;; select 1
-- DO
do $$ begin null; end $$
do $$ begin delete from mother where id = 1; end $$
do $$ begin update people set note = 'x'; insert into copied values ('a', 'b'); end $$
do $$ declare n int; begin select count(*) into n from people; raise notice 'n %', n; end $$
do $$ declare r record; begin for r in select id, name from people loop update mother set word = r.name where id = r.id; end loop; end $$
do $$ declare r people; begin select * into r from people limit 1; r.note := 'x'; end $$
do $$ declare r people%rowtype; begin for r in select * from people loop null; end loop; end $$
do $$ declare n people.score%type := 1; begin n := n + (select max(score) from people); end $$
do $$ declare a int[] := array[1, 2]; i int; begin foreach i in array a loop perform twice(i); end loop; end $$
do $$ begin if exists (select 1 from orders where total > 5) then delete from copied; elsif false then truncate copied; else perform 1; end if; end $$
do $$ begin perform nextval('counter'); end $$
do $$ begin execute 'delete from mother'; end $$
do $$ begin execute format('update %I set word = %L where id = $1', 'mother', 'x') using 1; end $$
do $$ declare c cursor for select * from people; r record; begin open c; fetch c into r; close c; end $$
do $$ declare c cursor (k int) for select * from people where id = k; begin for r in c (3) loop delete from mother where id = r.id; end loop; end $$
do $$ declare c refcursor; begin open c for select * from mother; close c; end $$
do $$ begin create temp table scratch (a int) on commit drop; insert into scratch values (1); drop table scratch; end $$
do $$ begin begin insert into pairs values (1, null, null); exception when unique_violation then insert into copied values ('dup', 'x'); end; end $$
do $$ declare x int := 0; begin while x < 3 loop x := x + 1; exit when x = 2; continue when x = 1; end loop; end $$
do $$ declare x int; begin case (select min(id) from people) when 1 then x := 1; else x := 2; end case; end $$
do $$ begin assert (select count(*) from people) > 0, 'none: ' || current_user; end $$
do $$ begin call moves(3); end $$
do $$ begin set local work_mem = '2MB'; perform set_config('work_mem', '3MB', true); end $$
do $$ begin lock table people in share mode; end $$
do $$ begin perform * from people for update; end $$
do $$ begin merge into people p using customers c on p.id = c.id when matched then delete; end $$
do $$ begin grant select on people to reporter; end $$
do $$ begin perform pg_notify('ch', 'x'); notify ch, 'y'; end $$
do $$ <<outer>> declare v text := 'a'; begin declare v text := 'b'; begin outer.v := v || (select max(name) from people); end; end $$
do $$ begin with d as (delete from mother returning *) insert into copied select word, 'x' from d; end $$
do $$ declare v short := 'abc'; begin v := 'def'; end $$
do $$ begin do 'begin delete from child; end'; end $$
do $$ begin raise exception 'stop' using hint = (select max(note) from people); exception when others then null; end $$
do $$ declare x text; begin delete from mother where id = 2 returning word into strict x; get diagnostics x = row_count; end $$
do $$ declare j jsonb := '{}'; begin j['a'] := '1'; j := j || (select tags from people limit 1); end $$
do language plpgsql $$ begin perform 1; end $$
-- calls
call moves(2)
call moves(n => 5)
call fills() ;; select 1
-- definitions
create table made (id bigint generated by default as identity, a text collate "C" not null, b int check (b > 0), foreign key (b) references customers)
create table made (a int default twice(2))
create table made (a text default upper('x'), b text generated always as (upper(a)) stored)
create table made (like people including defaults including indexes)
create table made of pair
create table made partition of part_list for values in ('m')
create table made (a int) partition by hash (a)
create temporary table made (a int)
create table app.made as table people
create table made (a, b) as values (1, 2)
create table made as select twice(1)
create view made as select * from joined
create view app.made (x) as select name from people where note is null with check option
create or replace temp view made as select 1
create view made as select twice(1) as t
create materialized view made as select count(*) from people with no data
create index on people using hash (name)
create index made on people (twice(id))
create index made on people (upper(name)) where note is not null
create unique index on mother (id, word)
create sequence made owned by people.score
create sequence if not exists app.made as smallint minvalue 1 cycle
create type made
create type made as enum ('x', 'y')
create domain made as int default 1 not null
create domain made as int check (twice(value) > 0)
create schema if not exists made
create schema made authorization reporter
create function made(a int, out b int) language plpgsql as 'begin b := a; end'
create function made() returns int language sql begin atomic select max(id) from people; end
create function made() returns setof people language sql stable as 'select * from people'
create trigger made after update of note on people for each row when (old.note is distinct from new.note) execute function touched()
create constraint trigger made after insert on people deferrable for each row execute function touched()
create rule made as on update to copied do instead nothing
create rule made as on delete to copied where old.a = 'x' do also insert into app.notes (body) values (old.a)
create statistics made (ndistinct) on name, note from people
create policy made on people for select to public using (name = current_user)
create operator <=== (function = int4lt, leftarg = int, rightarg = int)
create text search configuration made (copy = english)
create publication made for all tables
create server made foreign data wrapper nothing
create event trigger made on ddl_command_start execute function nothing()
create extension if not exists plpgsql
create cast (text as pair) with inout
create role made nologin
create role made in role reporter
create group made
alter role reporter with nologin
alter role reporter rename to made
alter role all set application_name = 'x'
alter user postgres reset application_name
grant reporter to postgres
revoke reporter from postgres
grant select (name), insert on people, mother to reporter
grant all on schema app to reporter with grant option
grant execute on function twice(int) to public
grant usage, select on sequence counter to reporter
revoke select on all tables in schema public from reporter cascade
alter default privileges grant select on tables to public
alter table people add column extra int, drop column note, alter column name type text
alter table people add column extra int default twice(1)
alter table people alter column score set default 1, alter column born set not null
alter table people add constraint made check (score >= 0)
alter table people add foreign key (id) references customers (id) not valid
alter table people add column made serial
alter table people drop constraint people_pkey
alter table people rename constraint people_pkey to made
alter table people rename to folk
alter table people rename column note to remark
alter table only mother add column more text
alter table mother rename column word to phrase
alter table people force row level security
alter table people disable trigger all
alter table people set (fillfactor = 70)
alter table people set unlogged
alter table people cluster on people_pkey
alter table people replica identity using index people_pkey
alter table part_list detach partition part_a
alter table part_list attach partition mother for values in ('q')
alter table child no inherit mother
alter table pairs inherit mother
alter table if exists nowhere add column a int
alter index people_pkey rename to made
alter view poor alter column name set default 'x'
alter view poor rename column name to called
alter materialized view totals rename to made
alter sequence counter increment 5 restart
alter sequence counter owned by people.id
alter type pair add attribute z int cascade
alter type mood rename value 'ok' to 'fine'
alter type pair rename to couple
alter domain short add check (value <> 'x')
alter domain short drop constraint short_check
alter function twice(int) rename to thrice
alter function twice(int) owner to reporter
alter procedure moves(int) security definer
alter schema app owner to reporter
alter operator === (int, int) owner to reporter
alter trigger nothing on people rename to made
alter policy nothing on people using (true)
alter database postgres rename to made
drop table mother
drop table mother cascade
drop table if exists nowhere, people
drop table part_list
drop view poor, joined
drop view if exists nowhere
drop sequence counter
drop function twice(int)
drop function if exists nowhere()
drop procedure moves
drop aggregate total(int)
drop operator ~== (text, text)
drop type pair cascade
drop domain short
drop schema app
drop index people_pkey
drop trigger if exists made on people
drop rule if exists made on copied
drop policy if exists made on people
drop role if exists nobody_here
drop owned by reporter cascade
drop extension if exists nowhere
comment on schema app is 'x'
comment on view poor is 'x'
comment on index people_pkey is null
comment on constraint people_pkey on people is 'x'
comment on role reporter is 'x'
security label on table people is 'x'
import foreign schema x from server y into public
-- maintenance
analyze people (name, note), mother
analyze verbose
vacuum people
vacuum (analyze, verbose) mother
vacuum full copied
cluster
reindex index people_pkey
reindex (verbose) table people
reindex schema app
refresh materialized view totals with no data
truncate people
truncate mother
truncate only mother, copied continue identity
truncate part_list
-- several statements
select 1; select name from people
update people set note = 'x' where id = 1; delete from mother; select 2
select 1;;; select 2;
begin; select 1; commit
set local work_mem = '1MB'; select * from people
-- odd places for code
select * from people order by twice(id)
select * from people order by id using <
select * from wide order by a using operator(pg_catalog.>)
select count(*) from people group by twice(id)
select * from people limit twice(1)
select * from people offset (select max(id) from mother)
select array_agg(id order by twice(id)) from people
select count(*) filter (where twice(id) > 1) from people
select sum(a) over (partition by twice(b)) from wide
select distinct on (twice(id)) id from people
select * from people where id = any (array[twice(1)])
select * from people where (id, name) = (select twice(1), 'x')
select case when twice(1) = 2 then name end from people
select name from people tablesample system (10)
select xmlelement(name a, name) from people
insert into copied values ('x', 'y') returning twice(1)
insert into pairs (id) values (1) on conflict (id) do update set id = twice(excluded.id)
update people set note = 'x' where twice(id) = 2
delete from people where people.age > 3
select p.tables from (select 1) p
select (people).age from people
select (array[twice(1)])[twice(1)]
select 1 as x where twice(1) = 2
select * from (select twice(1)) x
select coalesce(null, twice(1)), greatest(twice(1), 2), row(twice(1))
select twice(1)::text collate "C"
select mother from mother
select row_to_json(mother) from mother
select m.* from mother m
select m.word, mother_2.word from mother m join mother mother_2 on m.id = mother_2.id
select to_json(r) from (select id, name from people) r
select r from (select id, name from people) r
select count(p) from people p
select people is null from people
select array_agg(p) from people p
select p from people p where p.name = 'p1'
update people set note = people::text where id = 1
-- what stands behind names
insert into numbered (word) values ('x')
insert into numbered default values
insert into coded_rows values ('x')
update coded_rows set c = 'y' where c = 'x'
insert into voice values (3)
delete from voice where id = 1
update voice set id = 4
select called from deep
select * from coding where t > 2
select p1.p = p2.p from pairs p1, pairs p2
select p1.p <> row(1, 'b') from pairs p1 where p1.p = p1.p
select p::text from pairs
with v as (select * from deep) select count(*) from v
update deep set called = 'x' where called = 'n1'
delete from deep where called = 'n1'
copy (select * from deep) to stdout
explain select * from coding
create view made as select * from deep
create table made as select * from coding
merge into deep d using people p on d.called = p.name when matched then update set called = 'x'
