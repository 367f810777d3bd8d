"""What a trial says of each column: the mask it will have, and why that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hoopcore.masking import Bound, Masking
from hoopcore.masks_told import Told, explain
from hoopcore.sql.catalog import Catalog
from hoopcore.sql.postgres import read
from tests.unit.test_masking import CATALOG, INT8, MASKS, ORDERS

PHONES = replace(
    ORDERS, oid=20_101, name="phones", columns=((1, "id", INT8), (2, "number", INT8), (3, "t", 25))
)
CONTENTS = Catalog((*CATALOG.tables, PHONES), CATALOG.texts)
MORE = '\n[[mask]]\ncolumn = "public.phones.number"\nstyle = "keep-last-4"\n'


def bound(masks: str = MASKS + MORE, catalog: Catalog | None = CONTENTS) -> Bound:
    return Masking.load(masks).bind(catalog)


def told(text: str) -> dict[str, Told]:
    found = explain(bound(), read(text.encode()))
    assert not isinstance(found, str), found
    return {one.name: one for one in found}


def test_the_column_itself_has_its_style_and_what_is_computed_from_it_is_null() -> None:
    found = told("select c.email as contact, upper(c.email), id from public.customers c")
    assert found["contact"] == Told(
        "contact", ("public.customers.email",), "keep-domain",
        "the column itself: public.customers.email",
    )  # fmt: skip
    assert found["upper"].mask == "null"
    assert found["upper"].why == "computed from public.customers.email"
    assert (found["id"].mask, found["id"].why) == ("", "no masked column in it")


def test_a_style_that_the_type_cannot_hold_is_null_and_says_so() -> None:
    found = told("select number from public.phones")["number"]
    assert found.mask == "null"
    assert found.why == (
        "the column itself, of a type that keep-last-4 does not fit: public.phones.number"
    )


def test_of_what_nobody_knows_it_is_said_so() -> None:
    found = told("select most_common_vals from pg_catalog.pg_stats")["most_common_vals"]
    assert (found.mask, found.why.partition(":")[0]) == ("null", "nobody knows what is in it")


def test_detectors_look_at_texts_that_pass_and_at_what_has_no_type_here() -> None:
    found = told("select t, id, number, t || 'x' as more from public.phones")
    watched = {name: one.watched for name, one in found.items()}
    assert watched == {"t": True, "id": True, "number": False, "more": True}
    without = bound(MORE)
    plain = explain(without, read(b"select t, number from public.phones"))
    assert not isinstance(plain, str)
    assert not any(one.watched for one in plain)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("create table x as select ssn from public.customers", "refused by rule"),
        ("select 1", "comes near no masked column"),
        ("select id frm frm", "cannot be read"),
        ("select nope(ssn) from public.customers", "refused by rule"),
        ("execute something", "what its text does not show"),
    ],
)
def test_where_there_is_no_telling_of_columns_it_is_said_why(text: str, said: str) -> None:
    found = explain(bound(), read(text.encode()))
    assert isinstance(found, str)
    assert said in found


def test_without_a_catalog_every_column_is_null() -> None:
    found = explain(bound(catalog=None), read(b"select 1 from t"))
    assert isinstance(found, str)
    assert "could not be read" in found
    assert explain(bound(), read(b"")) == ()
