"""Which statements would tell a masked value by the rows that come, whatever is in their cells."""

from __future__ import annotations

import pytest

from hoopcore.masking import Bound, Masking
from hoopcore.sql.catalog import Catalog, Table
from hoopcore.sql.postgres import read

CUSTOMERS = ((1, "id", 23), (2, "ssn", 25), (3, "card", 20), (4, "name", 25), (5, "email", 25))
CATALOG = Catalog(
    (
        Table(20000, "shop", "customers", "r", CUSTOMERS),
        Table(20001, "shop", "orders", "r", ((1, "id", 23), (2, "customer", 23), (3, "note", 25))),
    )
)
MASKS = "\n".join(
    f'[[mask]]\ncolumn = "shop.customers.{name}"\nstyle = "full"'
    for name in ("ssn", "card", "email")
)

TELLING = """
select g, 1 / (g - (select card - 7 from customers where id = 1)) from generate_series(1, 9) g
with x as materialized (select g, 1 / (g - (select card from customers where id = 1)) as z from generate_series(1, 9) g) select g from x
select o.id, 1 / (o.id - c.card) from orders o, customers c where c.id = 1
select c.id, d from customers c, generate_series(0, 9) d where substr(c.card::text, 1, 1) = d::text
select c.id, count(*) from customers c, generate_series(1, c.card - 77301982) g group by c.id
select count(*) from generate_series(1, (select card from customers where id = 1))
select count(*) from (select generate_series(1, length(ssn)) from customers where id = 1) x
select count(*) from (select 1 from orders limit (select length(ssn) from customers where id = 1)) x
select id from orders offset (select length(ssn) from customers limit 1)
select id from orders tablesample system ((select length(ssn) from customers limit 1))
select max(g) from generate_series(1, 99) g where g <= (select card % 100 from customers where id = 1)
select v.x from customers c join (values ('1'), ('2'), ('3')) v (x) on substr(c.ssn, 1, 1) = v.x
select v.x from (values ('1'), ('2')) v (x) where x in (select substr(ssn, 1, 1) from customers)
select v.x from (values ('1'), ('2')) v (x) where not x = any (select ssn from customers)
select x from generate_series(1, 9) x where exists (select from customers where length(ssn) = x)
select x from generate_series(1, 9) x, customers c where c.ssn like '1%' and x = 1 or c.ssn like '2%' and x = 2
select x from generate_series(1, 9) x, customers c where not (c.ssn like '1%' and x = 1) and not (c.ssn like '2%' and x = 2)
select x from generate_series(1, 9) x, customers c where (c.ssn like '1%' or x = 1) and (c.ssn like '2%' or x = 2)
select x from generate_series(1, 9) x, customers c where not (c.ssn not like '1%' and x = 1 or c.ssn like '2%') and not (c.card = 2 and x = 2)
select (select count(*) from generate_series(1, length(ssn))) from customers
select id, exists (select from customers c where c.email = o.note) from orders o
explain select x from generate_series(1, 9) x, customers c where ascii(c.ssn) = x
set jit = off; select o.id from customers c, orders o where c.card - 7 = o.id
select o.id from customers c, orders o where (c.to_jsonb->>'card')::int8 - 7 = o.id
insert into customers (id, ssn) select g, g::text from generate_series(1, 9) g on conflict (ssn) do update set name = 'x' returning id
insert into customers (id, ssn) values (1, '1'), (2, '2') on conflict do nothing
select x from generate_series(1, 9) x, customers c order by x - ascii(c.ssn) limit 1
select x, ascii(c.ssn) - x as near from generate_series(1, 9) x, customers c order by near limit 1
select x, ascii(c.ssn) - x from generate_series(1, 9) x, customers c order by 2 limit 1
select distinct x, c.ssn < x::text from generate_series(1, 9) x, customers c
select distinct on (c.ssn < x::text) x from generate_series(1, 9) x, customers c
select x, count(*) from generate_series(1, 9) x, customers c group by x, (c.ssn < x::text)
select x, count(*) from generate_series(1, 9) x, customers c group by grouping sets ((x), (c.ssn < x::text))
select x, max(c.ssn) from generate_series(1, 9) x, customers c group by x having max(c.ssn) < x::text
select x from generate_series(1, 9) x union select length(ssn) from customers
select x from generate_series(1, 9) x intersect select length(ssn) from customers
with x as (select 'x' as n, card as k from customers union all select g::text, g from generate_series(1, 9) g) select string_agg(n, ',') as k from x group by k having count(*) > 1
select n from (select distinct * from (select c.card as k, g as n from customers c, generate_series(1, 9) g union all select g, g from generate_series(1, 9) g) x) y group by n having count(*) = 1
select g, abs(g - (select min(card) from customers)) from generate_series(1, 9) g, (select 1 as abs) z order by abs limit 1
with x as (select 'x' as n, card as k from customers union all select g::text, g from generate_series(1, 9) g) select string_agg(n, ','), k from x group by (2, 2) having count(*) > 1
with x as (select 'x' as n, card as k from customers union all select g::text, g from generate_series(1, 9) g) select string_agg(n, ','), k from x group by grouping sets ((2, 2)) having count(*) > 1
select g from (select generate_series(1, 9) as g, card - generate_series(1, 9) as d from customers where id = 1) x where d = 0
select n from (select row_number() over () + 7 as n, card - 7 - row_number() over () as d from customers c, generate_series(1, 100) g) x where d = 0
select g from customers c, generate_series(1, 9) g, generate_series(1, 9) h where h <= g group by g, c.card having c.card - 7 = count(*)
select g from customers c, generate_series(1, 9) g, generate_series(1, 9) h where h <= g group by g, c.card having c.card - 7 = sum(1)
select g from customers c, generate_series(1, 9) g, generate_series(1, 9) h where h <= g group by g, c.card having c.card = array_length(array_agg(c.card), 1)
select 7 + grouping(a, b) from customers, (values (1, 1)) v (a, b) group by card, cube (a, b) having card - 7 = grouping(a, b)
select json_agg(1)::text from customers c, generate_series(1, 9) g group by c.card, g having c.card = length(json_arrayagg(1)::text)
values ('a', 6), ('?', (select card from customers where id = 1)), ('b', 8) order by 2
with recursive r (k, n) as (select c.card, g from customers c, generate_series(1, 9) g union select n, n from r) select n from r group by n having count(*) = 1
with recursive r (k, n) as (select card, 7 from customers where id = 1 union all select n + 1, n + 1 from r where n < 9) cycle k set c using p select max(n) from r
select card as k, 0 as n from customers where id = 1 intersect select id, id from orders
select card as k, 0 as n from customers where id = 1 union all select id, id from orders order by 1
select email from customers union select note from orders
select email from customers except select note from orders
select a from (select 6 as a, card - 6 as b from customers where id = 1 union all select 7, card - 7 from customers where id = 1) x where b = 0
with recursive r (n, d) as (select 7, card - 7 from customers where id = 1 union all select n + 1, d - 1 from r where n < 9) select n from r where d = 0
with recursive r (n, d) as (select 7, card - 7 from customers where id = 1 union all select n + 1, d - 1 from r where d > 0) select max(n), count(*) from r
update orders o set note = 'found' from (select row_number() over () as g, card - 7 - row_number() over () as k from customers, orders) c where c.k = 0 and o.id = c.g
delete from orders o using (select row_number() over () as g, card - row_number() over () as k from customers, orders) c where c.k = 0 and o.id = c.g
select id from customers c where card = (select count(*) from orders o where o.customer = c.id)
with recursive t (n) as (select 1 union all select n + 1 from t, customers c where n < length(c.ssn)) select count(*) from t
with t as (select x from generate_series(1, 9) x, customers c where ascii(c.ssn) = x) select count(*) from t
select s.n from customers c, lateral (select n from generate_series(1, 99) n where n = ascii(c.ssn)) s
select o.id from orders o join customers c on c.email = o.note
select o.id from orders o join (select email as note from customers) c using (note)
select o.id from orders o natural join (select email as note from customers) c
select regexp_split_to_table(ssn, '') from customers
delete from orders using customers c where ascii(c.ssn) = orders.id
update orders set note = 'x' from customers c where ascii(c.ssn) = orders.id
select g from (select g, abs(g - (select min(card) from customers)) as r from generate_series(1, 9) g) x where r = 0
select g from (select g, rank() over (order by abs(g - (select min(card) from customers))) from generate_series(1, 9) g) x (g, r) where r = 1
with x as (select 'x' as n, card as k from customers union all select g::text, g from generate_series(1, 9) g) select string_agg(n, ',') from x group by k having count(*) > 1
with x as (select 'x' as n, card as k from customers union all select g::text, g from generate_series(1, 9) g) select b.n from x a join x b using (k) where a.n = 'x' and b.n <> 'x'
with x as (select 'x' as n, card as k from customers union all select g::text, g from generate_series(1, 9) g) select distinct on (k) n from x order by k, n
with x as (select 'x' as n, card as k from customers union all select g::text, g from generate_series(1, 9) g) select n from x order by k offset 17 limit 2
with x as (select 'x' as n, card as k from customers union all select '1', 1 union all select '2', 2) select string_agg(n, ',') from x group by k
with recursive r (n, k) as (select 'x', card from customers union all select g::text, g::int8 from r, generate_series(1, 9) g where n = 'x') select string_agg(n, ',') from r group by k
select g from generate_series(1, 9) g where (select count(*) from customers where card < g) = 1
select g from generate_series(1, 9) g join lateral (select card from customers where card = g) x on true
select id from customers where ascii(ssn) = (ctid::text::point)[1]
declare c cursor for select o.id from orders o, customers c where ascii(c.ssn) = o.id
prepare p as select o.id from orders o, customers c where ascii(c.ssn) = o.id
copy (select o.id from orders o, customers c where ascii(c.ssn) = o.id) to stdout
insert into orders (id) select o.id from orders o, customers c where ascii(c.ssn) = o.id
merge into orders o using customers c on ascii(c.ssn) = o.id when matched then do nothing
merge into orders o using customers c on c.id = o.id when matched and length(c.ssn) = o.id then delete
"""  # noqa: E501 - a statement a line

ORDINARY = """
select id, name || ssn, upper(ssn), 1 / (card - 7) from customers
select name, string_agg(ssn, ','), count(*) filter (where ssn like '1%') from customers group by name
select id from customers where name ilike '%a%' or email ilike '%a%'
select x from generate_series(1, 9) x, customers c where not (c.ssn like '1%' and x = 1)
select id from customers where email = 'a' or ssn = 'b'
explain select id from customers where ssn = 'x'
set jit = off; select id from customers where ssn = 'x'
insert into customers (id, ssn) values (1, '1') on conflict (ssn) do nothing
insert into customers (id, ssn) values (1, '1'), (2, '2') on conflict (id) do nothing
select id from customers where card > (select avg(card) from customers)
select count(*), name from customers group by name having count(*) > 2 order by count(*) desc
select name, row_number() over (order by name) from customers where ssn = 'x'
select id, (select count(*) from orders o where o.customer = c.id) as n from customers c where ssn = 'x' order by n
with recursive t (n) as (select 1 union all select n + 1 from t where n < 9) select n from t, customers c where c.id = n and c.ssn = 'x'
select id, name from customers where ssn = '123'
select count(*) from customers where email like '%@x.org' and id > 5
select o.id from orders o join customers c on c.id = o.customer where c.email = 'a' and o.id = 4
select o.id from orders o where exists (select 1 from customers c where c.id = o.customer and c.email = 'x')
select o.id from orders o where not exists (select 1 from customers c where c.id = o.customer and c.ssn = 'x')
select o.id from orders o where o.customer in (select c.id from customers c where c.email = 'x')
select a.id, b.id from customers a join customers b on a.email = b.email and a.id < b.id
select a.id from customers a join customers b using (email)
select lower(email), count(*) from customers group by 1 order by 1 limit 10
select split_part(email, '@', 2) as at, count(*) from customers group by at order by at
select id, name from customers order by ssn limit 5
select distinct name from customers
select distinct email from customers
with c as (select id from customers where card > 5) select o.id, (select count(*) from c) from orders o
select name from customers where ssn is null or email is not null
select email from customers union all select note from orders
select c.id, (select count(*) from orders o where o.customer = c.id) from customers c where lower(c.email) in ('a', 'b')
select name from customers where ssn between $1 and $2 limit $3
select id from customers where (ssn = 'a' or ssn = 'b') and name = 'x'
select c.name, x from customers c, generate_series(1, c.id) x
select c.id, l.id from customers c, lateral (select id from orders o where o.customer = c.id limit 3) l
select name, rank() over (order by card) from customers
select id from customers where card > (select avg(card) from customers)
update orders set note = 'x' from customers c where c.id = orders.customer and c.email = 'x'
delete from customers where email = 'x'
declare c cursor for select id, name from customers where ssn = '123'
prepare p as select id, name from customers where ssn = $1
select c.name, count(*) from customers c join orders o on o.customer = c.id group by 1 having count(*) > 2 order by 2 desc, 1
select c.name, v.n from customers c join (values (1), (2)) v (n) on c.id = v.n where c.ssn = 'x'
"""  # noqa: E501 - a statement a line


@pytest.fixture(scope="module")
def bound() -> Bound:
    return Masking.load(MASKS).bind(CATALOG)


def lines(texts: str) -> list[str]:
    return texts.strip().splitlines()


@pytest.mark.parametrize("text", lines(TELLING))
def test_rows_that_would_tell_a_masked_value_are_refused(bound: Bound, text: str) -> None:
    reading = read(text.encode())
    assert bound.lineage(reading.statements[-1]).traced
    found = bound.refusal(reading)
    assert found is not None
    assert found[0] == "mask-tells"


@pytest.mark.parametrize("text", lines(ORDINARY))
def test_ordinary_questions_are_not(bound: Bound, text: str) -> None:
    reading = read(text.encode())
    assert bound.lineage(reading.statements[-1]).traced
    assert bound.refusal(reading) is None


def test_many_questions_at_once_are_one_too_many(bound: Bound) -> None:
    one = "select {0} from orders where exists (select from customers where card::text like '{0}%')"
    texts = [" union all ".join(one.format(n) for n in range(count)) for count in (10, 20)]
    assert [bound.refusal(read(text.encode())) is None for text in texts] == [True, False]
