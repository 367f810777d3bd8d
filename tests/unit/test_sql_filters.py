"""On which columns it hangs which rows a statement gives: what a reading says of texts."""

from __future__ import annotations

import pytest

from hoopcore.sql.postgres import read

# A text, and the columns on which its rows hang.
CASES: list[tuple[str, set[str]]] = [
    ("select ssn, upper(ssn), length(name) from customers", set()),
    ("select ssn from customers where id = 1", {"id"}),
    ("select id from customers c where c.ssn like '2%' and (name is null or email = 'a')",
     {"ssn", "name", "email"}),
    ("select id from customers order by ssn", {"ssn"}),
    ("select id, ssn from customers order by 2", {"id", "ssn"}),  # whichever number it is
    ("select * from customers order by 3", {"*"}),
    ("select id, ssn as s from customers order by s", {"s", "ssn"}),
    ("select id, upper(ssn) from customers order by upper", {"upper", "ssn"}),
    ("select id, ssn::date from customers order by date", {"date", "ssn"}),
    ("select count(*) from customers group by ssn", {"ssn"}),
    ("select left(ssn, 1), count(*) from customers group by 1", {"ssn"}),
    ("select name, ssn from customers group by rollup (1)", {"name", "ssn"}),
    ("select count(*) from customers group by rollup (ssn, name)", {"ssn", "name"}),
    ("select count(*) from customers group by id having max(ssn) > '2'", {"id", "ssn"}),
    ("select distinct ssn from customers", {"ssn"}),
    ("select distinct on (ssn) id from customers", {"ssn"}),
    ("select count(distinct ssn), max(name) from customers", {"ssn"}),
    ("select count(*) filter (where ssn > '2') from customers", {"ssn"}),
    ("select array_agg(id order by ssn) from customers", {"ssn"}),
    ("select percentile_disc(0.5) within group (order by ssn) from customers", {"ssn"}),
    ("select rank() over (partition by name order by ssn) from customers", {"name", "ssn"}),
    ("select rank() over w from customers window w as (order by ssn)", {"ssn"}),
    ("select 1 from orders o join customers c on o.customer_id = c.id", {"customer_id", "id"}),
    ("select 1 from orders join customers using (ssn)", {"ssn"}),
    ("select 1 from orders natural join customers", {"*"}),
    ("select id from orders where customer_id in (select id from customers where ssn = 'a')",
     {"customer_id", "id", "ssn"}),
    ("select id from orders where exists (select ssn from customers)", {"ssn"}),
    ("select id from (select id, ssn as s from customers) t where s > '2'", {"s", "ssn"}),
    ("select a from (select id, ssn from customers) t (a, b) where b > '2'", {"b", "*"}),
    ("with c as (select ssn as s from customers) select 1 from c where s = 'a'", {"s", "ssn"}),
    ("with c (s) as (select ssn from customers) select 1 from c where s = 'a'", {"s", "*"}),
    ("select id from customers c where c = row(1)", {"c", "*"}),
    ("select id from customers c where c.* is not null", {"*"}),
    ("select id from customers limit (select length(ssn) from customers)", {"ssn"}),
    ("select 1 from customers, generate_series(1, length(ssn))", {"ssn"}),
    ("select generate_series(1, ascii(ssn)) from customers", {"ssn"}),
    ("select ssn from customers union select note from orders", {"ssn", "note"}),
    ("select ssn from customers union all select note from orders", set()),
    ("select ssn from customers intersect values ('2')", {"ssn"}),
    ("values ('2') intersect select ssn from customers", {"ssn"}),
    ("select id, ssn from customers union all select id, note from orders order by 2",
     {"id", "ssn", "note"}),
    ("select ssn from customers union all select note from orders order by ssn", {"ssn"}),
    ("update customers set ssn = 'a' where email = 'b' returning name", {"email"}),
    ("delete from customers where ssn = 'a'", {"ssn"}),
    ("insert into customers (id, ssn) values (1, 'a') on conflict (ssn) do nothing", {"ssn"}),
    ("merge into orders o using customers c on o.id = c.id when matched and c.ssn > '2'"
     " then delete", {"id", "ssn"}),
    ("explain select id from customers order by ssn", {"ssn"}),
    ("prepare p as select id from customers where ssn = $1", {"ssn"}),
    ("declare c cursor for select id from customers order by ssn", {"ssn"}),
    ("copy (select id from customers order by ssn) to stdout", {"ssn"}),
    ("select (select id from customers order by ssn limit 1)", {"ssn"}),
    ("select xmlelement(name a, ssn) from customers", {"ssn"}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_what_rows_hang_on_is_told_apart_from_what_is_shown(text: str, expected: set[str]) -> None:
    (statement,) = read(text.encode()).statements
    assert statement.filters == expected
    assert statement.filters <= statement.columns | {"*", "s", "b", "c", "upper", "date"}
