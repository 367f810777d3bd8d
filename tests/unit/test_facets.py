"""What sessions are found by: counted from events, asked in a person's words."""

from __future__ import annotations

import pytest

from hoopcore.recording import Finished, Known, Said
from hoopcore.recording.facets import ANY, MOST, Count, Facet, Facets, conditions, facets, meets


def met(events: list[Known], **wish: object) -> bool:
    return meets(facets(events), conditions(**wish))  # type: ignore[arg-type]  # words to values


READS = Said(
    seq=1,
    text="…",
    effects=("read",),
    touches=("public.customers:read",),
    columns=("email", "id"),
)
REFUSED = Said(seq=2, text="…", effects=("delete",), touches=("*.orders:delete",), verdict="refuse")


def test_a_table_is_found_with_and_without_its_schema() -> None:
    assert met([READS], touching="customers")
    assert met([READS], touching="public.customers")
    assert not met([READS], touching="audit.customers")
    assert not met([READS], touching="customer")
    # A text that names no schema may mean any.
    assert met([REFUSED], touching="shop.orders")


def test_a_column_is_found_by_its_name_and_by_a_star() -> None:
    assert met([READS], touching="customers.email")
    assert met([READS], touching="public.customers.email")
    assert not met([READS], touching="customers.ssn")
    assert not met([READS], touching="audit.customers.email")
    star = Said(seq=1, text="…", touches=("public.customers:read",), columns=("*",))
    assert met([star], touching="customers.ssn")


def test_effect_and_refusal_are_those_of_what_is_touched() -> None:
    both: list[Known] = [READS, REFUSED]
    assert met(both, touching="orders", effect="delete", refused=True)
    assert not met(both, touching="customers", effect="delete")
    assert not met(both, touching="customers", refused=True)
    assert met(both, refused=True)
    assert met(both, effect="read")
    assert not met([READS], refused=True)


def test_a_run_touches_the_columns_that_were_prepared() -> None:
    prepared = Said(seq=1, text="…", prepared=True, touches=("p.t:read",), columns=("card",))
    run = Said(seq=2, kind="run", origin=1, touches=("p.t:read",))
    assert not met([prepared], touching="t.card")
    assert met([prepared, run], touching="t.card")


def test_what_could_not_be_read_may_have_touched_anything() -> None:
    unread = Said(seq=1, text="…", effects=("unknown",), unread="it is too deep")
    assert met([unread], touching="customers.email", effect="delete")


def test_masked_values_are_found_by_kind_and_by_column() -> None:
    done = Finished(seq=1, masked={"card": 2}, by_column={'public.payments."number"': {"card": 2}})
    assert met([done], masked="card")
    assert met([done], masked="number")
    assert not met([done], masked="ssn")
    assert facets([done])[Facet("masked", "card")] == Count(2)


def test_a_session_of_a_thousand_tables_stays_bounded_and_is_still_found() -> None:
    many: list[Known] = [Said(seq=i, text="…", touches=(f"public.t{i}:read",)) for i in range(MOST)]
    found: Facets = facets(many)
    assert len(found) <= MOST + 1
    assert Facet("relation", ANY, f"{ANY}.{ANY}") in found
    assert meets(found, conditions(touching=f"t{MOST - 1}"))


@pytest.mark.parametrize("wrong", ["a.b.c.d", ".", "a.", ".a", "a..b"])
def test_what_is_no_table_is_said_so(wrong: str) -> None:
    with pytest.raises(ValueError, match="no table"):
        conditions(touching=wrong)
