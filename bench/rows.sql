-- What the bench reads: pgbench's accounts, and five tables of ten columns that differ in how hoop
-- masks them.  A tenth of the rows are stored; queries read the table ten times over.
create role bench login password :'password';
alter role bench set max_parallel_workers_per_gather = 0;
create table pgbench_branches (bid int primary key, bbalance int, filler char(88));
create table pgbench_tellers (tid int primary key, bid int, tbalance int, filler char(84));
create table pgbench_accounts (aid int primary key, bid int, abalance int, filler char(84));
insert into pgbench_branches select n, 0 from generate_series(1, :scale) n;
insert into pgbench_accounts
  select n, (n - 1) / 100000 + 1, 0, '' from generate_series(1, 100000 * :scale) n;
create table plain as
  select n as id, 'Name Surname ' || n as name,
         'user' || n || ' at example' as mail, repeat('x', 20 + n % 40) as filler,
         timestamptz '2026-01-02 03:04:05.123456+00' + n * interval '1 second' as at,
         (n + (n % 100) / 100.0)::numeric(12, 2) as price, 'some words about ' || n || ' and more' as words,
         case when n % 7 > 0 then 'Berlin' end as city, 'active' as state,
         '+1 212 555 ' || to_char(n % 10000, 'FM0000') as phone
  from generate_series(1, :rows / 10) n;
create table masked as table plain;
create table nulled as table plain;
create table detect_1 as table plain;
update detect_1 set mail = 'user' || id || '@example.com' where id % 100 = 0;
create table detect_20 as table plain;
update detect_20 set mail = 'user' || id || '@example.com' where id % 5 = 0;
grant select on all tables in schema public to bench;
vacuum analyze;
