"""The rule key ``filters_masked``: who may not see a column may be kept from asking it, too."""

from __future__ import annotations

import pytest

from hoopcore.masking import Bound, Masking
from hoopcore.model import EVERYTHING, Kind, Principal, Target
from hoopcore.policy import Facts, Policy
from hoopcore.sql.catalog import Catalog, Table
from hoopcore.sql.postgres import read

ANA = Principal("p-0123456789", Kind.HUMAN, "issuer", "ana", "ana@example.com")
FACTS = Facts(ANA, Target("prod-db", "postgres", ("shop",)), EVERYTHING, "s-0123456789")
MASKS = """
[[mask]]
column = "public.customers.ssn"
style = "full"
exempt = ["fraud"]
[[mask]]
column = "public.staff.email"
style = "null"
"""
RULES = """
[[rule]]
name = "no-guessing"
verdict = "VERDICT"
filters_masked = true
reason = "filter by another column"
example = "select name from customers where ssn like '2%'"
counter_example = "select ssn from customers"
"""


def table(oid: int, name: str, *columns: str, kind: str = "r") -> Table:
    return Table(oid, "public", name, kind, tuple((n, c, 25) for n, c in enumerate(columns, 1)))


CATALOG = Catalog(
    (
        table(20001, "customers", "id", "name", "email", "ssn"),
        table(20002, "orders", "id", "customer", "ssn"),
        table(20003, "staff", "id", "email"),
        table(20004, "folk", "id", "who", kind="v"),
    )
)


def bound(groups: tuple[str, ...] = (), catalog: Catalog | None = CATALOG) -> Bound:
    return Masking.load(MASKS).bind(catalog, groups)


def word(text: str, masks: Bound | None, verdict: str = "refuse") -> str:
    policy = Policy.load(RULES.replace("VERDICT", verdict))
    told = policy.bind(FACTS, None, None if masks is None else masks.filters_masked)
    return told.decide(read(text.encode())).word


@pytest.mark.parametrize(
    "text",
    [
        "select name from customers where ssn like '219%'",
        "select name from public.customers c order by c.ssn",
        "select name from customers order by (select 1 from staff where email > 'm')",
        "select s from (select ssn as s from customers) t where s > '2'",
        "select * from customers order by 4",
        "select * from orders join customers using (ssn)",
        "select id from customers c where c = row(1, 'a', 'b', 'c')",
        "select id from folk where who = 'a'",
        "select id from brand_new where who = 'a'",
        "delete from customers where ssn = '1'",
        "select distinct ssn from customers",
        "select count(distinct ssn) from customers",
        "copy (select id from customers order by ssn) to stdout",
    ],
)
def test_what_asks_a_masked_column_which_rows_to_give_is_refused(text: str) -> None:
    assert word(text, bound()) == "refuse"
    assert word(text, None) == "refuse"
    assert word(text, bound(), "hold") == "hold"


@pytest.mark.parametrize(
    "text",
    [
        "select ssn, upper(ssn) from customers",
        "select ssn from customers where id = 1 order by name",
        "select id from orders where ssn = '1'",  # of another table, where it is not masked
        "select email from customers order by email",
        "select id from staff where id = 1",
        "insert into customers values (1, 'a', 'b', 'c')",
        "update customers set ssn = '1' where id = 1",
        "select count(*), count(ssn) from customers",
        "select id from folk",
    ],
)
def test_what_only_shows_it_or_asks_other_columns_passes(text: str) -> None:
    assert word(text, bound()) == "allow"


def test_whoever_is_exempt_may_ask() -> None:
    text = "select name from customers where ssn like '219%'"
    assert word(text, bound(("fraud",))) == "allow"
    assert word("select id from staff where email = 'a'", bound(("fraud",))) == "refuse"


def test_without_a_catalog_any_condition_may_be_one() -> None:
    assert word("select id from orders where id = 1", bound(catalog=None)) == "refuse"
    assert word("select id from orders", bound(catalog=None)) == "allow"
    assert word("select id from orders where id = 1", Masking().bind(None)) == "allow"
