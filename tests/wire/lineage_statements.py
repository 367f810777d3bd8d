"""The schema and the statements of the lineage oracle (``test_lineage_servers.py``).

Masked columns: staff.email, staff.ssn, staff.born, leads.email, staff_notes.secret.  Each statement
stands on one line; none filters by a masked column at its outside, since that tells by inference.
"""

from __future__ import annotations

SCHEMA = """
create schema app;
create table staff (id int primary key, name text, email text, ssn text, born date, team int, pay numeric,
  tags text[], doc jsonb);
create table leads (id int primary key, email text, source text, owner int);
create table app.teams (id int primary key, title text, boss int);
create table orders (id int primary key, customer int, total numeric, note text, at date, tags text[], doc jsonb);
create table copies (id int, a text, b text, n numeric);
create table staff_notes (staff int, secret text, open text) partition by list (staff);
create table staff_notes_1 partition of staff_notes for values in (1, 2, 3);
create table staff_notes_rest partition of staff_notes default;
create table made (id int, base text, shown text generated always as (upper(base)) stored);
create view people as select id, name, email from staff;
create view vips as select p.name as who, p.email as mail, upper(p.email) as loud, count(o.id) as n
  from people p left join orders o on o.customer = p.id group by p.name, p.email;
create view busy as select customer, count(*) as n, sum(total) as total from orders group by customer;
create view titles as select t.title, b.n from app.teams t join busy b on b.customer = t.boss;
create materialized view sums as select team, count(email) as mails, sum(pay) as pay, max(ssn) as top from staff group by team;
create view mixed as select email from staff union all select email from leads union all select note from orders;
create view tree as with recursive r(id, path) as (select id, name from staff where id = 1 union all
  select s.id, r.path || '/' || s.name from staff s join r on s.id = r.id + 1) select * from r;
create view guarded with (security_barrier) as select id, name from staff where id > 0;
create function shout(text) returns text language sql immutable as 'select upper($1)';
create view shouted as select id, shout(name) as n from staff;
"""  # noqa: E501

# Of one filling and of the other: {s} is a letter of its own, {k} what a masked value is made of;
# the second goes through the rows the other way.  Both have NULL in the same rows.
ROWS = """
insert into staff select i, 'name ' || i, case when i % 4 = 0 then null else chr(97 + {k}) || '{s}' || repeat('z', {k}) || '@ex{s}.example' end,
  ({k} % 3) || '{s}' || ({k} * 7) || '-55-' || (1000 + {k}), date '1970-01-01' + {k} * 400, i % 3, i * 10, array['t' || i, 'u'], jsonb_build_object('k', i)
  from (select i, {k} as k from generate_series(1, 12) i) g;
insert into leads select i, chr(110 - {k}) || '{s}' || repeat('y', {k}) || '@lead.example', 'src ' || i % 2, i % 5 from generate_series(1, 8) i;
insert into app.teams select i, 'team ' || i, i + 1 from generate_series(0, 2) i;
insert into orders select i, 1 + i % 6, i * 3.5, 'note ' || i, date '2024-03-01' + i, array['a', 'b' || i], '{{"k": [1, 2], "t": "x"}}' from generate_series(1, 20) i;
insert into staff_notes select i, chr(97 + {k}) || 'sec{s}' || {k}, 'open ' || i from generate_series(1, 6) i;
insert into made (id, base) select i, 'b' || i from generate_series(1, 3) i;
refresh materialized view sums;
"""  # noqa: E501

MASKS = "\n".join(
    f'[[mask]]\ncolumn = "{column}"\nstyle = "{style}"'
    for column, style in [
        ("public.staff.email", "keep-domain"),
        ("public.staff.ssn", "keep-last 4"),
        ("public.staff.born", "null"),
        ("public.leads.email", "keep-domain"),
        ("public.staff_notes.secret", "full"),
    ]
)
MASKED = {
    ("staff", "email"),
    ("staff", "ssn"),
    ("staff", "born"),
    ("leads", "email"),
    *((name, "secret") for name in ("staff_notes", "staff_notes_1", "staff_notes_rest")),
}

# Nothing of them is computed from a masked column: every column keeps its values.
CLEAN = """
select id, name, team, pay from staff order by id
select count(*) from staff
select count(*), count(email), count(distinct email), count(distinct ssn) from staff
select team, count(*), sum(pay), avg(pay), max(name) from staff group by team order by team
select team, count(*) filter (where pay > 30) from staff group by 1 having count(*) > 1
select id + 1, upper(name), 1, 'x', now() is not null from staff
select email is null, ssn is not null, id from staff
select s.name, o.total, o.note from staff s join orders o on o.customer = s.id order by 1, 2
select s.name, coalesce(sum(o.total), 0) as total from staff s left join orders o on o.customer = s.id group by s.name
select name, exists(select 1 from orders o where o.customer = s.id) from staff s
select name, (select count(*) from orders o where o.customer = s.id) as n from staff s
select name, (select count(ssn) from staff x where x.team = s.team) as n from staff s
with t as (select team, count(*) as n from staff group by team) select a.title, t.n from app.teams a join t on t.team = a.id
select x.name from (select * from staff) x
select x.id, x.n from (select id, ssn, name as n from staff) as x
select o.id, s.name from orders o cross join lateral (select name from staff where id = o.customer) s
select row_number() over (order by pay), rank() over (partition by team order by id), name from staff
select sum(pay) over w, name from staff window w as (partition by team order by id)
select name, lag(name) over (order by id) from staff
select case when pay > 50 then 'high' else 'low' end, coalesce(name, '?'), nullif(team, 1), greatest(id, team) from staff
select array_agg(name order by id), string_agg(name, ',' order by id) from staff
select jsonb_build_object('id', id, 'name', name) from staff
select doc->'k', doc->>'k', tags[1], unnest(tags), array_length(tags, 1) from staff
select t, s.id from staff s, unnest(s.tags) as t
select t.x, t.n from staff s, unnest(s.tags) with ordinality as t(x, n) where s.id = 1
select g, s.name from generate_series(1, 3) g left join staff s on s.id = g
select k.key, k.value, s.id from staff s, jsonb_each(s.doc) k
select v.a, s.name from (values (1, 'x'), (2, 'y')) v(a, b) join staff s on s.id = v.a
select id from staff union select id from orders
select name from staff union all select note from orders
select id, name from staff except select id, note from orders
select distinct team from staff
select distinct on (team) team, name from staff order by team, id
select id, name from staff limit 3 offset 1
select id from staff where id in (select customer from orders)
select id, name from staff where exists (select 1 from leads l where l.owner = staff.id)
with recursive r(n) as (select 1 union all select n + 1 from r where n < 5) select r.n, s.name from r join staff s on s.id = r.n
select (s).name, s.id from staff s
select count(s), count(s.*) from staff s
select grouping(team), team, count(*) from staff group by rollup (team)
select title, n from titles
select customer, n, total from busy
select * from busy
select who, n from vips
select id, name from people
select p.name, b.total from people p join busy b on b.customer = p.id
select team, mails, pay from sums
select * from tree
select * from guarded
select id, source, owner from leads
select l.source, s.name from leads l join staff s on s.id = l.owner
select * from orders
select o.* from orders o, staff s where s.id = o.customer
select o, s.id from orders o, staff s where s.id = o.customer
select orders.*::text, s.id from orders, staff s where s.id = orders.customer
select row_to_json(o) from orders o join staff s on s.id = o.customer
select to_char(at, 'YYYY-MM'), count(*) from orders o join staff s on s.id = o.customer group by 1 order by 2 desc
select date_trunc('month', at)::date as m, sum(total), round(avg(total), 2) from orders o join staff s on s.id = o.customer group by m
select percentile_cont(0.5) within group (order by total) from orders o join staff s on s.id = o.customer
select t.title, array(select name from staff s where s.team = t.id order by id) from app.teams t
select staff, open from staff_notes
select count(*), min(open) from staff_notes
select tableoid::regclass, ctid is null, open from staff_notes
select staff.id from staff natural join (select id, note from orders) o
select id, note from staff join orders using (id)
select j.id, j.title from (staff s join app.teams t on t.id = s.team) as j(id, a, b, c, d, e, f, g, h, i)
select u.id from staff join orders using (id) as u
select a.id, b.name from staff a, staff b where a.id = b.team
select id, shown from made
select m.shown, s.name from made m join staff s using (id)
select 1 from staff
select current_user = current_user, s.id from staff s
select x.y from (select 1 as y, ssn from staff) x
select count(*) from (select distinct team from staff) t
select name || ' (' || team || ')' as label from staff
select extract(year from at), s.name from orders o join staff s on s.id = o.customer
select s.name, l.n from staff s left join lateral (select count(*) as n from leads where owner = s.id) l on true
table app.teams
values (1, 'a'), (2, (select count(*)::text from staff))
select v.*, open from (values (1), (2)) v(n), staff_notes
select name from staff where name ilike '%1' and pay between 5 and 500 order by pay desc nulls last
select team, json_agg(json_build_object('n', name) order by id) from staff group by team
with a as materialized (select id, name, ssn from staff), b as (select id, name from a) select * from b
with a(x, y) as (select id, name from staff) select y, x from a
select a.name, a.team = b.id as same from staff a join app.teams b on b.id = a.team
select bool_and(pay > 0), every(team < 5), bit_or(team) from staff
select regexp_replace(name, '[0-9]', '#'), length(name), substring(name from 1 for 3), position('m' in name), trim(name) from staff
select id::text, pay::int, name::varchar(4), cast(team as bigint) from staff
select ntile(3) over (order by id), first_value(name) over (partition by team order by id), name from staff
select string_to_table(name, ' '), id from staff
select x.* from staff s, lateral (values (s.id, s.name)) x(a, b)
select s.name from staff s tablesample bernoulli (100)
select name from only staff
select x.o from (select (at, at) overlaps (at, at) as o from orders, staff where staff.id = orders.id) x
insert into copies select id, name, null, pay from staff returning *
insert into copies (id, a) select s.id, o.note from staff s join orders o on o.customer = s.id returning id, a
insert into copies (id, n) select team, count(ssn) from staff group by team
update orders set note = s.name from staff s where s.id = customer returning orders.id, note, s.team
update staff set name = lower(name) where id < 4 returning id, name
update staff set pay = pay * 2, team = (select max(id) from app.teams)
update staff set name = upper(name), team = team + 1 returning *
delete from orders using staff s where s.id = customer returning orders.id, s.name
delete from leads where owner = 2 returning id, source
with d as (delete from leads where owner = 1 returning id, source) select * from d
with i as (insert into copies select id, name from staff returning id, a) select count(*), max(a) from i
insert into orders (id, note) select id, name from staff on conflict (id) do update set note = excluded.note || orders.note returning id, note
create table extra as select id, name, team from staff
select id, name into extra from staff
create temp table extra as select team, count(*) from staff group by team
""".strip().splitlines()  # noqa: E501

# Some of their columns are computed from masked ones, under all the disguises there are.
COVERED = """
select (select count(*) from (select 1 from staff where id < 4 group by email > 'cz') q), o.id from orders o
select (select count(*) from (select distinct email > 'cz' from staff where id < 4) q), o.id from orders o
select (select count(*) from (select email > 'cz' from staff where id < 4 union select true) q), o.id from orders o
select array_agg(id order by id) filter (where ssn like '1%'), sum(pay) filter (where ssn > '1z'), count(*) from staff
select 1 from (select s.id from staff s cross join lateral (select 1 from orders where s.ssn like '1%') x) q
with q as (select s.id from staff s cross join lateral (select 1 from orders where s.ssn like '1%') x) select 1, name from q, app.teams t(id, name)
merge into orders o using (select id, upper(ssn) as x, 1 as y from staff) s on s.id = o.id when matched then update set total = 1 returning *
merge into orders o using staff s on s.id = o.id when matched then update set total = 1 returning merge_action(), s.*, o.*, upper(s.ssn)
update orders set total = 1 from (select id as k, upper(ssn) as x, 1 as y from staff) s where s.k = orders.id returning *
delete from orders using (select id as k, upper(ssn) as x, 1 as y from staff) s, generate_series(1, 1) g where s.k = orders.id returning *
update staff set pay = 1 where id = 1 returning old.ssn, new.ssn, old.*, upper(new.email), old.id
update staff set pay = 1 where id = 1 returning with (old as was, new as now) was.ssn, now.*, was.id
insert into orders (id, note) values (1, 'x') on conflict (id) do update set note = excluded.note returning old.note, new.note, orders.id
select s.id from staff s left join lateral (select 1 from orders o where s.ssn like '1%') x on true
select s.id, exists(select 1 from regexp_matches(s.ssn, '^1')), exists(select regexp_matches(s.ssn, '^1')), (select 1 from regexp_matches(s.ssn, '^1')) from staff s
select s.id, (select count(*) from (select regexp_matches(s.ssn, '^1')) q), (select count(*) from unnest(string_to_array(s.email, 'z')) u) from staff s
select s.id, u from staff s, generate_series(1, length(s.email)) u
select s.id, 1, count(*) from staff s, generate_series(1, length(s.email)) group by s.id
select s.id, (with recursive r as (select 1 as n union select n + 1 from r where n < length(s.email)) select count(*) from r) from staff s
select s.id, (with recursive r as (select 1 as n, s.email as e union select n % 3 + 1, left(e, 2) from r) select count(*) from r) from staff s
with x as (select regexp_matches(ssn, '^1'), id from staff) select id from x
select s.id, t.* from staff s, json_table(to_jsonb(repeat(s.ssn, 1)), '$' columns (i for ordinality)) t
select count(nullif(ssn, '1a7-55-1001')), count(distinct left(ssn, 1)) from staff
select count(x), count(y) from (select nullif(ssn, '1a7-55-1001') as x, id as y from staff) q
select x is null, nullif(x, 'a') is null, id from (select nullif(ssn, '1a7-55-1001') as x, id from staff) q
select (select s.id from staff s order by s.ssn limit 1), (select max(id) from staff where ssn like '1%'), (select id from staff where born = (select max(born) from staff))
select (select count(*) from (select distinct left(ssn, 1), id % 2 from staff) q), (select count(*) from (select left(ssn, 1) from staff where id < 7 union select left(ssn, 2) from staff where id < 4) q)
select (select count(*) from (select 1 from staff where id < 5 group by left(ssn, 1)) q), o.id from orders o
select (select sum(id) from (select id from staff order by ssn limit 3) q)
select (select x.n from (select s.name as n, c.ssn as m) x), (select y.m from (select c.ssn as m) y) from staff c, staff s where c.id = 1 and s.id = 2
select (select s.name from orders as c, (select c.id as name) s limit 1) from staff c
select (select s.x from (select 1 as id, 'y' as note) as o, (select o.ssn as x) s) from staff o
select s.id, x.n from staff s cross join lateral (select count(*) as n from staff y where y.ssn < s.ssn) x
select s.id, x.first from staff s cross join lateral (select id as first from staff y order by y.ssn = s.ssn desc limit 1) x
select (select string_agg(name, ',') from (select name from staff where ssn like '1%') q), id from orders
select * from staff
select id, email, ssn from staff
select upper(email), email || '', md5(ssn), reverse(ssn), left(ssn, 3), length(email) from staff
select s from staff s
select s.* from staff s
select (s).*, (s).name from staff s
select row_to_json(s), to_jsonb(s), s::text, row(s.*), array[s] from staff s
select row(id, ssn), array[email, name], jsonb_build_object('e', email) from staff
select min(email), max(ssn), string_agg(email, ','), array_agg(ssn), json_agg(email) from staff
select case when ssn like '1%' then 1 else 0 end, coalesce(email, 'none'), nullif(ssn, 'x'), greatest(email, 'm') from staff
select ssn = '1a7-55-1001', ssn like '1%', ssn > '1', ssn in ('a'), ssn between '1' and '2', born > date '1976-01-01' from staff
select bool_or(ssn like '1%'), count(*) filter (where ssn like '1%'), count(nullif(ssn, '1a7-55-1001')), sum((ssn > '1z')::int) from staff
select row_number() over (order by ssn), rank() over (partition by born), lag(email) over (order by id), count(*) over (order by email rows 1 preceding) from staff
select sum(pay) over w, id from staff window w as (order by born)
select first_value(name) over (order by ssn) from staff
select array_agg(id order by ssn), string_agg(name, ',' order by email), percentile_disc(0.5) within group (order by ssn) from staff
select (select ssn from staff x where x.id = o.customer), (select upper(email) from staff where id = 1), o.id from orders o
select (select count(*) from staff x where x.ssn < s.ssn), s.id from staff s
select exists(select 1 from staff x where x.ssn like '1%' and x.id = o.customer), o.id from orders o
select '1a7-55-1001' in (select ssn from staff), o.id = any(select id from staff where ssn > '1') from orders o
select array(select email from staff order by id), array(select id from staff order by ssn)
select (select id from staff order by ssn limit 1), (select name from staff order by 1 limit 1)
select (select max(n) from (select count(*) n from staff group by left(ssn, 1)) q)
with x as (select ssn as s, id from staff) select s, s || '', id from x
with x(a, b) as (select ssn, upper(email) from staff) select * from x
with recursive r(id, path) as (select id, ssn from staff where id = 1 union all select s.id, r.path from staff s join r on s.id = r.id + 1) select * from r
with recursive r(id, path, name) as (select id, name, name from staff where id = 1 union all select s.id, r.path || s.ssn, s.name from staff s join r on s.id = r.id + 1) select * from r
with recursive r(a, b, c, n) as (select 'x', 'y', ssn, 1 from staff where id = 1 union all select b, c, c, n + 1 from r where n < 5) select * from r
with recursive r(id, boss) as (select id, team from staff union all select r.id, s.team from staff s join r on s.id = r.boss where false) search depth first by id set o select * from r
select x.s from (select ssn as s from staff) x
select x.q, x.id from staff s, lateral (select s.ssn || '' as q, s.id) x
select x.n, s.id from staff s, lateral (select count(*) as n from orders o where o.note > s.ssn) x
select email from staff union select email from leads
select email from staff union all select note from orders
select ssn from staff union select email from leads
select note from orders intersect select email from staff
select x from (select ssn as x from staff union all select upper(ssn) from staff) q
values ((select ssn from staff where id = 1)), ('x')
select v.x from staff s, lateral (values (s.ssn), (s.name)) v(x)
select count(distinct x) from (select ssn as x from staff where id = 1 union all select '1a7-55-1001') q
select u from staff s, unnest(array[s.email, s.name]) u
select u.x from staff s, regexp_split_to_table(s.ssn, '-') u(x)
select k.* from staff s, jsonb_each(to_jsonb(s)) k
select k.key, k.value from staff s, json_each_text(row_to_json(s)) k
select e.* from staff s, json_to_record(row_to_json(s)) e(email text, name text)
select * from staff natural join leads
select email, s.id from staff s join leads l using (email)
select email from staff full join leads using (email)
select u.email from staff join leads using (email) as u
select j.e from (staff s join leads l on l.owner = s.id) j(a, b, e)
select t from (select ssn, id from staff) t
select t.* from (select ssn, id from staff) t
select t::text, (t).* from (select ssn, id from staff) t
select * from people
select mail, loud, who from vips
select upper(mail), v.* from vips v
select v from vips v
select top, team from sums
select email, 1 from mixed
select * from shouted
select secret, staff from staff_notes
select secret from staff_notes_1
select upper(secret), open from staff_notes_rest
select n.* from staff s join staff_notes n on n.staff = s.id
select born, extract(year from born), age(date '2020-01-01', born), born::text, born + 1 from staff
select pg_typeof(ssn), pg_column_size(ssn), ssn::bytea, encode(ssn::bytea, 'hex'), ssn collate "C" from staff
select format('%s', ssn), concat(name, email), concat_ws(',', id, ssn), to_char(born, 'YYYY') from staff
select xmlelement(name a, email), xmlforest(ssn as s, name) from staff
select json_object('a': email), json_array(ssn, name), json_objectagg(id: ssn) over () from staff
select tags || email, doc || jsonb_build_object('e', email), array_position(array[email], email) from staff
select num_nulls(email, ssn), email is distinct from 'baz@exa.example', (email, name) is null, ssn is not distinct from null from staff
select case email when 'baz@exa.example' then 1 end, case id when 1 then email end from staff
select (array[ssn])[1], (row(ssn)::text), ('{}'::jsonb || to_jsonb(ssn)) from staff
select not (ssn > '1'), ssn > '1' and true, (ssn > '1') is true, (ssn > '1') is null from staff
select s.name, x.m from staff s left join lateral (select l.email as m from leads l where l.owner = s.id) x on true
select s.name, q.c from staff s join (select email as c, owner from leads) q on q.owner = s.id
select outer_s.name, (select inner_s.email from staff inner_s where inner_s.id = outer_s.id) from staff outer_s
select (select x from (select s.ssn as x) q), s.id from staff s
select (select (select s.email)), s.id from staff s
select (select c.ssn from (select 1 as one) z) from orders a, staff c where c.id = a.id
select (select string_agg(x.email, ',') from staff x where x.team = t.id), t.title from app.teams t
select sum(length(email)), avg(length(ssn)), stddev(length(email)) from staff
select distinct email from staff
select distinct on (email) email, id from staff where id < 4 order by email
select team, max(email) from staff group by team
select staff from staff
select public.staff.email, staff.* from public.staff
select a.email, b.email, a.id from staff a join leads b on b.owner = a.id
select * from (select * from (select id, ssn from staff) a) b
select x.* from (table staff) x
table staff
select first.e from (select email as e from staff) first
select regexp_matches(email, '.+'), regexp_split_to_array(ssn, '-'), ssn ~ '^1' from staff
select generate_series(1, length(email)), id from staff
select string_to_table(ssn, '-') from staff
select s.ssn from staff s where s.id = 1 for update
select lower(substring(email from 1 for 1)) as initial, count(*) from staff group by 1
select ssn, count(*) from staff group by ssn
select grouping(ssn), ssn, count(*) from staff group by grouping sets ((ssn), ())
update staff set name = 'x' returning email, ssn, upper(ssn), id
update orders set total = 1 from staff s where s.id = customer returning s.email, orders.id, s.*
update staff s set team = 1 from leads l where l.owner = s.id returning *
delete from staff where id = 12 returning *
delete from orders using staff s where s.id = customer returning s.ssn, orders.note, s
insert into staff (id, name) values (99, 'n') returning *
insert into staff (id, email, ssn) values (98, 'a@b', '1') returning email, ssn, upper(ssn)
with d as (delete from leads returning *) select * from d
with u as (update staff set pay = 1 returning ssn as s, id) select s, s || 'x', id from u
select mails, top, upper(top) from sums where team = 1
select x.email, y.email from people x join people y on y.id = x.id
select id, email from people union select id, note from orders
select q.who, q.mail from (select * from vips) q
select json_query('{"a": 1}', '$.a'), s.email from staff s
select t.* from staff s, json_table(to_jsonb(s), '$' columns (e text path '$.email', i for ordinality)) t
select t.* from staff s, xmltable('/a' passing xmlelement(name a, s.email) columns x text path '.') t
""".strip().splitlines()  # noqa: E501

# A masked value would be written where there is no mask.
REFUSED = """
insert into copies select id, email from staff
insert into copies (a) select upper(ssn) from staff
insert into copies (a) select (select email from leads limit 1)
insert into copies (id, a) values (1, (select ssn from staff where id = 1))
insert into copies select id, case when ssn > '1' then 'x' end from staff
update orders set note = s.email from staff s where s.id = customer
update orders set note = (select ssn from staff where id = 1)
update orders set (note, total) = (select email, 1 from staff where id = 1)
update staff set name = email
update staff set ssn = email
update staff set name = name || ssn
create table extra as select * from staff
create temp table extra as select id, upper(email) as e from staff
select ssn into extra from staff
with i as (insert into copies (a) select ssn from staff returning 1) select 1
with i as (insert into copies (a) select ssn from staff returning a) select 1 from orders
insert into copies select row_number() over (order by ssn), name from staff
insert into orders (id, note) select id, name from staff on conflict (id) do update set note = (select ssn from staff limit 1)
merge into copies c using staff s on s.id = c.id when not matched then insert values (s.id, s.ssn)
create view leak as select ssn from staff
create materialized view leak as select name from staff
insert into copies select n, who from (select 1, mail from vips) v(n, who)
insert into copies (a) select u from staff s, unnest(array[s.ssn]) u
do $$ begin insert into copies select id, ssn from staff; end $$
""".strip().splitlines()  # noqa: E501
