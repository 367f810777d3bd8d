"""The battery's shop: reports are asked of it, and values that nobody may see stand among the others.

The definitions are one text; the masked columns are filled afterwards, once with canaries and once
with other values of the same nullness.  What a statement answers alike for both fillings tells
nothing of them: that is the oracle which needs no list of forms.

``EVERY`` is a table of all built-in types: for each a masked column and a clean one beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from tests.bypass import canaries

# ruff: noqa: E501 - statements are read best as they are


class Kind(NamedTuple):
    """A type and three values of it, as SQL: a canary, another one, and one for the clean column."""

    name: str
    type: str
    canary: str
    other: str
    clean: str


_T, _O = canaries.EVERY, "quitedifferent"

KINDS: Final = (
    Kind("int2", "smallint", "27193", "11", "3"),
    Kind("int4", "integer", "1830274659", "222", "4"),
    Kind("int8", "bigint", f"{canaries.NUMBER}", "3333", "5"),
    Kind("numeric", "numeric", "918273645.5463", "44.5", "6.5"),
    Kind("money", "money", "'7391846.25'", "'55.5'", "'1.5'"),
    Kind("float4", "real", "583.9174", "6.5", "1.25"),
    Kind("float8", "double precision", "7264.918350273", "7.5", "2.25"),
    Kind("text", "text", f"'{_T}'", f"'{_O}'", "'a'"),
    Kind("varchar", "varchar(40)", f"'{_T}'", f"'{_O}'", "'b'"),
    Kind("char", "char(20)", f"'{_T}'", f"'{_O}'", "'c'"),
    Kind("name", "name", f"'{_T}'", f"'{_O}'", "'d'"),
    Kind("onechar", '"char"', "'x'", "'y'", "'e'"),
    Kind("bytea", "bytea", f"'{_T}'", f"'{_O}'", "'f'"),
    Kind("bool", "boolean", "true", "false", "true"),
    Kind("date", "date", f"'{canaries.DAY}'", "'2003-02-01'", "'2020-01-01'"),
    Kind("time", "time", "'17:43:29.518372'", "'01:02:03'", "'04:05'"),
    Kind("timetz", "timetz", "'17:43:29.518372+05:30'", "'01:02:03+00'", "'04:05+00'"),
    Kind("timestamp", "timestamp", f"'{canaries.DAY} 17:43:29.518372'", "'2003-02-01 01:02'", "'2020-01-01 00:00'"),
    Kind("timestamptz", "timestamptz", f"'{canaries.DAY} 17:43:29.518372+00'", "'2003-02-01 01:02+00'", "'2020-01-01 00:00+00'"),
    Kind("interval", "interval", "'37 years 5 mons 23 days 17:43:29.518372'", "'3 days'", "'1 day'"),
    Kind("uuid", "uuid", "'7c3f9e1d-52b8-4a06-8d71-e94b3c6a5f20'", "'00000000-0000-4000-8000-000000000001'", "'00000000-0000-4000-8000-000000000002'"),
    Kind("inet", "inet", "'173.94.218.57'", "'10.0.0.1'", "'127.0.0.1'"),
    Kind("cidr", "cidr", "'173.94.218.0/24'", "'10.0.0.0/8'", "'127.0.0.0/8'"),
    Kind("macaddr", "macaddr", "'7c:3f:9e:1d:52:b8'", "'00:00:00:00:00:01'", "'00:00:00:00:00:02'"),
    Kind("macaddr8", "macaddr8", "'7c:3f:9e:1d:52:b8:4a:06'", "'00:00:00:00:00:00:00:01'", "'00:00:00:00:00:00:00:02'"),
    Kind("bit", "bit(24)", "b'110100111000101101001110'", "b'000000000000000000000001'", "b'000000000000000000000011'"),
    Kind("varbit", "bit varying(40)", "b'110100111000101101001110'", "b'101'", "b'1'"),
    Kind("tsvector", "tsvector", f"'{_T}:1'", f"'{_O}:1'", "'g:1'"),
    Kind("tsquery", "tsquery", f"'{_T}'", f"'{_O}'", "'h'"),
    Kind("json", "json", f"'{{\"k\": \"{_T}\"}}'", f"'{{\"j\": [\"{_O}\"]}}'", "'{\"k\": 1}'"),
    Kind("jsonb", "jsonb", f"'{{\"k\": \"{_T}\"}}'", f"'{{\"j\": [\"{_O}\"]}}'", "'{\"k\": 1}'"),
    Kind("jsonpath", "jsonpath", f"'$.\"{_T}\"'", f"'$.\"{_O}\"'", "'$.k'"),
    Kind("xml", "xml", f"'<a>{_T}</a>'", f"'<b>{_O}</b>'", "'<c/>'"),
    Kind("point", "point", "'(583.9174,264.9183)'", "'(1,2)'", "'(0,1)'"),
    Kind("line", "line", "'{583.9174,264.9183,1}'", "'{1,2,3}'", "'{1,1,1}'"),
    Kind("lseg", "lseg", "'[(583.9174,264.9183),(1,1)]'", "'[(1,2),(3,4)]'", "'[(0,0),(1,1)]'"),
    Kind("box", "box", "'(583.9174,264.9183),(1,1)'", "'(2,2),(1,1)'", "'(1,1),(0,0)'"),
    Kind("path", "path", "'[(583.9174,264.9183),(1,1)]'", "'[(1,2),(3,4)]'", "'[(0,0),(1,1)]'"),
    Kind("polygon", "polygon", "'((583.9174,264.9183),(1,1))'", "'((1,2),(3,4))'", "'((0,0),(1,1))'"),
    Kind("circle", "circle", "'<(583.9174,264.9183),9>'", "'<(1,2),3>'", "'<(0,0),1>'"),
    Kind("oid", "oid", "1830274659", "222", "4"),
    Kind("xid", "xid", "'1830274659'", "'222'", "'4'"),
    Kind("xid8", "xid8", f"'{canaries.NUMBER}'", "'3333'", "'5'"),
    Kind("cid", "cid", "'1830274659'", "'222'", "'4'"),
    Kind("tid", "tid", "'(18302746,591)'", "'(2,2)'", "'(0,1)'"),
    Kind("pg_lsn", "pg_lsn", "'7C3F9E1D/52B84A06'", "'0/1'", "'0/2'"),
    Kind("snapshot", "pg_snapshot", "'1830274:1830276:1830275'", "'10:20:10'", "'1:1:'"),
    Kind("old_snapshot", "txid_snapshot", "'1830274:1830276:1830275'", "'10:20:10'", "'1:1:'"),
    Kind("regclass", "regclass", "'1830274659'", "'222222222'", "'pg_class'"),
    Kind("regtype", "regtype", "'1830274659'", "'222222222'", "'text'"),
    Kind("refcursor", "refcursor", f"'{_T}'", f"'{_O}'", "'i'"),
    Kind("int2vector", "int2vector", "'27193 18364'", "'1 2'", "'1'"),
    Kind("oidvector", "oidvector", "'1830274659 7'", "'1 2'", "'1'"),
    Kind("aclitem", "aclitem", "'postgres=r/postgres'", "'postgres=w/postgres'", "'postgres=a/postgres'"),
    Kind("int4range", "int4range", "'[18302746,18302759)'", "'[1,2)'", "'[0,1)'"),
    Kind("int8range", "int8range", f"'[{canaries.NUMBER},{canaries.NUMBER + 9})'", "'[1,2)'", "'[0,1)'"),
    Kind("numrange", "numrange", "'[918273645.5463,918273646)'", "'[1,2)'", "'[0,1)'"),
    Kind("daterange", "daterange", f"'[{canaries.DAY},1987-11-29)'", "'[2003-02-01,2003-02-03)'", "'[2020-01-01,2020-01-02)'"),
    Kind("tsrange", "tsrange", f"'[{canaries.DAY} 17:43:29.518372,)'", "'[2003-02-01,)'", "'[2020-01-01,)'"),
    Kind("tstzrange", "tstzrange", f"'[{canaries.DAY} 17:43:29.518372+00,)'", "'[2003-02-01,)'", "'[2020-01-01,)'"),
    Kind("int4multirange", "int4multirange", "'{[18302746,18302759)}'", "'{[1,2)}'", "'{[0,1)}'"),
    Kind("int8multirange", "int8multirange", f"'{{[{canaries.NUMBER},{canaries.NUMBER + 9})}}'", "'{[1,2)}'", "'{[0,1)}'"),
    Kind("nummultirange", "nummultirange", "'{[918273645.5463,918273646)}'", "'{[1,2)}'", "'{[0,1)}'"),
    Kind("datemultirange", "datemultirange", f"'{{[{canaries.DAY},1987-11-29)}}'", "'{[2003-02-01,2003-02-03)}'", "'{}'"),
    Kind("texts", "text[]", f"array['a', '{_T}']", f"array['{_O}']", "array['j']"),
    Kind("numbers", "bigint[]", f"array[1, {canaries.NUMBER}]", "array[3333]", "array[5]"),
    Kind("grid", "text[][]", f"array[array['{_T}', 'b']]", f"array[array['{_O}', 'c']]", "array[array['k']]"),
    Kind("days", "date[]", f"array['{canaries.DAY}'::date]", "array['2003-02-01'::date]", "array['2020-01-01'::date]"),
    Kind("citext", "public.citext", f"'{_T}'", f"'{_O}'", "'l'"),
    Kind("hstore", "public.hstore", f"'k => {_T}'", f"'j => {_O}'", "'k => 1'"),
    Kind("pair", "shop.pair", f"row('{_T}', {canaries.NUMBER})::shop.pair", f"row('{_O}', 3333)::shop.pair", "row('m', 5)::shop.pair"),
    Kind("pairs", "shop.pair[]", f"array[row('{_T}', {canaries.NUMBER})::shop.pair]", f"array[row('{_O}', 3333)::shop.pair]", "array[row('m', 5)::shop.pair]"),
    Kind("word", "shop.word", f"'{_T}'", f"'{_O}'", "'n'"),
    Kind("amount", "shop.amount", f"{canaries.NUMBER}", "3333", "5"),
    Kind("mood", "shop.mood", f"'{_T}'", f"'{_O}'", "'o'"),
)  # fmt: skip

_EVERY = ",\n".join(f"  x_{kind.name} {kind.type}, c_{kind.name} {kind.type}" for kind in KINDS)

SCHEMA = f"""
create schema shop; grant usage on schema shop to public; set search_path = shop, public;
create type pair as (a text, b int8);
create type mood as enum ('{_T}', '{_O}', 'o');
create domain word as text check (length(value) < 40);
create domain amount as int8 check (value > 0);
create table customers (
  id int primary key, name text not null, city text, country char(2), tier text, joined date,
  score numeric(6, 2), active bool, boss int references customers,
  email text, ssn text, card int8, born date, phone varchar(40), income numeric, prefs jsonb,
  tags text[], photo bytea);
insert into customers
  select n, 'Name ' || n, (array['Oslo', 'Lima', 'Kyiv'])[n % 3 + 1], (array['NO', 'PE', 'UA'])[n % 3 + 1],
    (array['gold', 'plain'])[n % 2 + 1], date '2020-01-01' + n * 31, n * 1.5, n % 4 <> 0,
    nullif(n / 2, 0) from generate_series(1, 12) n;
create table orders (
  id int primary key, customer int references customers, placed date, state text, channel text,
  total numeric(10, 2), note text, pay int8, seal bytea);
insert into orders
  select n, n % 12 + 1, date '2024-01-01' + n, (array['new', 'paid', 'sent'])[n % 3 + 1],
    (array['web', 'app'])[n % 2 + 1], n * 10.25 from generate_series(1, 30) n;
create table items (order_id int references orders, sku text, qty int, price numeric(8, 2));
insert into items select n % 30 + 1, 'sku-' || n % 7, n % 5 + 1, n * 0.75 from generate_series(1, 60) n;
create table products (
  sku text primary key, title text, category text, price numeric(8, 2), spec jsonb, cost numeric(20, 4),
  margin numeric generated always as (price - cost) stored);
insert into products
  select 'sku-' || n, 'Title ' || n, (array['tool', 'toy'])[n % 2 + 1], n * 3, jsonb_build_object('w', n)
  from generate_series(0, 6) n;
create table staff (
  id int primary key, name text, dept text, boss int, hired date, pay numeric, contact pair, note text);
insert into staff select n, 'Staff ' || n, (array['ops', 'dev'])[n % 2 + 1], nullif(n / 2, 0),
  date '2019-05-01' + n * 40 from generate_series(1, 8) n;
create table visits (id int, at timestamp, kind text, data jsonb, secret jsonb) partition by range (id);
create table visits_old partition of visits for values from (0) to (10);
create table visits_new partition of visits for values from (10) to (1000);
insert into visits select n, timestamp '2024-03-01' + n * interval '1 hour', (array['view', 'buy'])[n % 2 + 1],
  jsonb_build_object('n', n) from generate_series(1, 20) n;
create table calendar (day date primary key, weekday text, holiday bool);
insert into calendar select d::date, to_char(d, 'Dy'), false
  from generate_series(timestamp '2024-01-01', timestamp '2024-02-10', interval '1 day') d;
create table every (id int primary key,
{_EVERY});
create view totals as select c.id, c.name, count(o.id) as orders, sum(o.total) as total
  from customers c left join orders o on o.customer = c.id group by c.id, c.name;
create view contacts as select id, name, email, ssn, born as birthday from customers;
create view shouts as select id, upper(k.email) as mail, name || ' ' || k.ssn as who, city from contacts k join customers using (id, name);
create view open_orders as select id, customer, placed, total from orders where state <> 'sent';
create view people_all as select id, name, ssn as key from customers union all select id, name, note from staff;
create view order_lines as select o.id, o.placed, i.sku, i.qty * i.price as amount, p.category
  from orders o join items i on i.order_id = o.id join products p using (sku);
create view v_using as select id, city, email, staff.note from customers join staff using (id);
create view v_lateral as select c.id, x.label, x.mail from customers c, lateral (select c.name as label, c.email as mail) x;
create view v_recursive as with recursive r(n, path, key) as (
  select id, name, ssn from customers where boss is null union all
  select c.id, r.path || '/' || c.name, r.key from customers c join r on c.boss = r.n) select * from r;
create view v_row as select c.id, c as whole, row_to_json(c) as doc from customers c;
create view v_values as select v.a, v.b, c.phone from (values (1, 'x'), (2, 'y')) v (a, b) left join customers c on c.id = v.a;
create view v_window as select id, row_number() over (order by joined) as n, lag(ssn) over (order by id) as s, max(name) over () as m from customers;
create view v_case as select id, case when active then email else name end as one, coalesce(tier, 'x') as two, length(ssn) as three from customers;
create view v_agg as select city, count(*) as n, count(ssn) as m, string_agg(name, ',' order by id) as names, max(income) as top from customers group by city;
create view v_names (ssn, name) as select name, ssn from customers;
create view v_alias as select j.a, j.b, j.x as c from (customers c (a, b) join (select id as y, note as x from orders) o on o.y = c.a) j;
create view v_exists as select o.id, exists (select from customers c where c.id = o.customer and c.ssn like '1%') as hit from orders o;
create view v_scalar as select o.id, (select c.ssn from customers c where c.id = o.customer) as s, (select c.name from customers c where c.id = o.customer) as n from orders o;
create view v_star as select v_names.*, v_names as again from v_names;
create view v_distinct as select distinct on (city) city, id, email from customers order by city, id;
create view v_sets as (select id, name from staff intersect select id, name from staff) union all (select id, ssn from customers except select id, 'x' from customers);
create view v_srf as select id, unnest(tags) as tag, generate_series(1, 2) as g from customers;
create view v_long as select id, {", ".join(f"name || '{n}' as n{n}" for n in range(120))}, ssn from customers;
create materialized view monthly as select date_trunc('month', placed) as month, sum(total) as total from orders group by 1;
create function ssn_of(int) returns text language sql stable as 'select ssn from shop.customers where id = $1';
create function taxed(numeric) returns numeric language sql immutable as 'select $1 * 1.25';
create function cards() returns table (a int, b int8) language sql stable as 'select id, card from shop.customers';
create function complain() returns text language plpgsql as
  'begin raise notice ''%'', shop.ssn_of(1); raise exception using message = shop.ssn_of(1), detail = shop.ssn_of(2),
   hint = shop.ssn_of(3), column = shop.ssn_of(4); end';
create function whole(shop.customers) returns text language sql stable as 'select $1.ssn';
create view v_func as select id, shop.taxed(score) as t, name from customers;
create sequence tickets;
"""


class Filling(NamedTuple):
    """What the masked columns hold: texts by role, numbers, a day."""

    texts: Mapping[str, str]
    number: int
    money: str
    day: str
    kind: int  # which value of Kind


CANARIES: Final = Filling(
    {
        name: getattr(canaries, name)
        for name in ("TEXT", "TAIL", "ITEM", "DOC", "MAIL", "PHONE", "NOTE")
    },
    canaries.NUMBER,
    str(canaries.MONEY),
    canaries.DAY,
    2,
)
# Other lengths, another order, other first letters: alike in what is NULL and in what is equal.
OTHERS: Final = Filling(
    {"TEXT": "b", "TAIL": "aaaaaaaaaaaaaaaaaaaaaaaaa", "ITEM": "cc", "DOC": "d", "MAIL": "zz.zz",
     "PHONE": "+1", "NOTE": "what is written here is longer by far "},
    17,
    "99.5",
    "2003-02-01",
    3,
)  # fmt: skip


def filled(filling: Filling) -> str:
    """SQL that gives the masked columns these values, foreign keys and all."""
    t, n, d = filling.texts, filling.number, filling.day
    every = ", ".join(f"x_{k.name} = {k[filling.kind]}" for k in KINDS if k.name != "xml")
    xml = next(kind for kind in KINDS if kind.name == "xml")[filling.kind]
    return f"""
set session_replication_role = replica; set search_path = shop, app, public;
update customers set email = '{t["MAIL"]}' || id || '@example.com', ssn = id || '{t["TAIL"]}',
  card = {n} + id, born = date '{d}', phone = '{t["PHONE"]}' || id, income = {filling.money} + id,
  prefs = jsonb_build_object('k', '{t["DOC"]}'), tags = array['{t["ITEM"]}' || id, 'x'], photo = '{t["TEXT"]}'
  where id % 5 <> 0; -- where nothing is, the rows are moved behind the others, below
update orders set note = '{t["NOTE"]}' || id % 4, pay = {n} + id % 3, seal = '{t["TEXT"]}' where id % 7 <> 0;
update products set cost = {filling.money};
update staff set pay = {filling.money} + id, contact = row('{t["TEXT"]}', {n})::pair, note = '{t["NOTE"]}' where id % 4 <> 0;
update visits set secret = jsonb_build_object('k', '{t["DOC"]}', 'l', array[{n}]);
update every set {every} where id < 3;
do $$ begin update shop.every set x_xml = {xml}; exception when feature_not_supported then null; end $$;
update people set secret = '{t["TEXT"]}' || id, tail = '{t["TAIL"]}', pin = {n}, amount = {n}, raw = '{t["TEXT"]}',
  items = array['{t["ITEM"]}'], doc = jsonb_build_object('k', '{t["DOC"]}'), mail = '{t["TEXT"]}',
  both_ = row('{t["TEXT"]}', '{t["TAIL"]}')::app.pair;
update parts set secret = '{t["TEXT"]}'; update base set secret = '{t["TEXT"]}';
update pets set secret = case id when 1 then '{t["TEXT"]}' else '{t["TAIL"]}' end;
update toys set pet = '{t["TEXT"]}'; update games set pet = '{t["TAIL"]}';
update customers set city = city where id % 5 = 0; update orders set state = state where id % 7 = 0;
update staff set name = name where id % 4 = 0; update every set id = id where id = 3;
refresh materialized view app.mv;
reset session_replication_role;
"""


_CLEAN = ", ".join(f"c_{kind.name}" for kind in KINDS if kind.name != "xml")
_VALUES = ", ".join(kind.clean for kind in KINDS if kind.name != "xml")
ROWS = f"insert into shop.every (id, {_CLEAN}) select n, {_VALUES} from generate_series(1, 3) n;"

STYLES: Final = {
    "shop.customers.email": "keep-domain",
    "shop.customers.ssn": "keep-last-4",
    "shop.customers.card": "full",
    "shop.customers.born": "null",
    "shop.customers.phone": "full",
    "shop.customers.income": "full",
    "shop.customers.prefs": "full",
    "shop.customers.tags": "full",
    "shop.customers.photo": "full",
    "shop.orders.note": "full",
    "shop.orders.pay": "null",
    "shop.orders.seal": "full",
    "shop.products.cost": "full",
    "shop.staff.pay": "full",
    "shop.staff.contact": "full",
    "shop.staff.note": "full",
    "shop.visits.secret": "full",
    "shop.every.x_*": "full",
}


def masks(style: str = "") -> str:
    """masks.toml of the battery; with every mask of this style, where one is given."""
    own = "\n".join(
        f'[[mask]]\ncolumn = "{column}"\nstyle = "{style or kept}"'
        for column, kept in STYLES.items()
    )
    listed = canaries.MASKS
    if style:
        for kept in ("full", "keep-last-4", "null"):
            listed = listed.replace(f'style = "{kept}"', f'style = "{style}"')
    return f"{own}\n{listed}"
