"""Masks that come off for a grant: what a scope may say of it, who gets it, and what it means."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopcore.access import Eligibility, Refusal, Wish, access, ask
from hoopcore.access.glass import break_glass
from hoopcore.access.offers import Auto
from hoopcore.masking import Bound, Column, Masking
from hoopcore.model import (
    EVERYTHING,
    READS,
    SECOND,
    Atom,
    Grant,
    Kind,
    Principal,
    Scope,
    Target,
)
from hoopcore.sql.catalog import Catalog, Table
from hoopcore.sql.postgres import read
from hoopcore.styles import Style
from hoopcore.voters import Limits
from hoopcore.watches import Watch

ANA = Principal("p-0123456789", Kind.HUMAN, "i", "ana", "ana@x.example", frozenset({"eng"}))
BEN = Principal("p-0123456788", Kind.HUMAN, "i", "ben", "ben@x.example", frozenset({"dba"}))
SHOP = Target("prod-db", "postgres", ("shop",))
EMAIL = Scope.parse("app.customers.email:unmask")
OFFER = Eligibility(
    "support", frozenset({"eng"}), ("prod-*",), EVERYTHING.join(EMAIL), 3600,
    frozenset({"dba"}), 1, 3600,
)  # fmt: skip
NOW = 1_000 * SECOND


# --- scopes ---------------------------------------------------------------------------------------


def test_everything_is_with_masks_on() -> None:
    assert not EVERYTHING.covers(EMAIL)
    assert not Scope.parse("*:*").covers(EMAIL)
    assert not Scope.parse("app.customers.email").covers(EMAIL)
    assert not EMAIL.covers(READS)
    assert EVERYTHING.meet(EMAIL).atoms == frozenset()
    assert EVERYTHING.join(EMAIL).unmasks == EMAIL.atoms
    assert EVERYTHING.join(EMAIL).with_masks == EVERYTHING


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        ("*.*.*:unmask", "app.customers.email:unmask", True),
        ("*:unmask", "app.customers.email:unmask", True),
        ("app.*.email:unmask", "app.customers.email:unmask", True),
        ("app.customers.*:unmask", "app.customers.email:unmask", True),
        ("customers.email:unmask", "app.customers.email:unmask", True),
        ("email:unmask", "app.customers.email:unmask", True),
        ("app.customers.email:unmask", "*.customers.email:unmask", False),
        ("app.customers.ssn:unmask", "app.customers.email:unmask", False),
        ("crm.customers.email:unmask", "app.customers.email:unmask", False),
    ],
)
def test_columns_cover_each_other_part_by_part(wide: str, narrow: str, covers: bool) -> None:
    assert Scope.parse(wide).covers(Scope.parse(narrow)) is covers


parts = st.sampled_from(["*", "a", "b"])
atoms = st.builds(lambda s, t, c: Atom(f"{s}.{t}", c, "unmask"), parts, parts, parts)
columns = st.tuples(*[st.sampled_from(["a", "b"])] * 3)


@given(atoms, atoms, columns)
def test_what_two_atoms_meet_in_is_what_both_show(one: Atom, two: Atom, column: tuple[str]) -> None:
    both = one.meet(two)
    shown = both is not None and both.unmasks(*column)
    assert shown is (one.unmasks(*column) and two.unmasks(*column))
    if one.covers(two) and two.unmasks(*column):
        assert one.unmasks(*column)
    assert Scope.parse(str(one)).atoms == {one}


# --- asking ---------------------------------------------------------------------------------------


def asked(scope: str | None, offer: Eligibility = OFFER) -> object:
    wanted = None if scope is None else Scope.parse(scope)
    wish = Wish("prod-db", "to write to them", 600, wanted)
    return ask(wish, ANA, SHOP, (offer,), (ANA, BEN), now=NOW, id="req-1", policy_version="v")


def scope_of(made: object) -> Scope:
    assert not isinstance(made, Refusal), made
    scope = made.scope  # type: ignore[attr-defined] # a Request
    assert isinstance(scope, Scope)
    return scope


def test_who_does_not_ask_for_it_does_not_get_it() -> None:
    assert scope_of(asked(None)) == EVERYTHING
    assert scope_of(asked("*.*:read")) == READS


def test_what_is_asked_for_alone_comes_with_what_is_offered() -> None:
    assert scope_of(asked("app.customers.email:unmask")) == EVERYTHING.join(EMAIL)
    assert scope_of(asked("*:read app.customers.email:unmask")) == READS.join(EMAIL)


def test_what_is_not_offered_is_refused() -> None:
    for scope in ("app.customers.ssn:unmask", "*:unmask", "*.*:* app.*.email:unmask"):
        made = asked(scope)
        assert isinstance(made, Refusal)
        assert made.error == "scope_too_wide"
    assert isinstance(
        asked("app.customers.email:unmask", replace(OFFER, scope=EVERYTHING)), Refusal
    )


def test_the_policy_alone_never_takes_a_mask_off() -> None:
    auto = replace(OFFER, auto=(Auto("always"), Auto("scoped", scope=EVERYTHING.join(EMAIL))))
    for scope, votes in ((None, 0), ("*:read", 0), ("app.customers.email:unmask", 1)):
        made = asked(scope, auto)
        assert not isinstance(made, Refusal)
        assert made.rule.votes == votes  # type: ignore[attr-defined] # a Request


def test_broken_glass_shows_nothing_in_clear() -> None:
    offer = replace(OFFER, break_glass=True)
    for scope in (None, "app.customers.email:unmask"):
        wanted = None if scope is None else Scope.parse(scope)
        wish = Wish("prod-db", "it is down", 600, wanted)
        made = break_glass(
            wish, "INC-1", ANA, SHOP, (offer,), now=NOW, id="req-1", policy_version="v"
        )
        assert isinstance(made, Refusal) if scope else not scope_of(made).unmasks


# --- holding --------------------------------------------------------------------------------------


def grant(name: str, scope: Scope, *, masked: bool = False) -> Grant:
    return Grant(
        name, "req", ANA.id, "prod-db", scope, NOW, NOW + 600 * SECOND, limits=Limits(masked=masked)
    )


def test_grants_add_up_but_one_with_masks_on_shows_nothing() -> None:
    plain, clear = grant("g-1", READS), grant("g-2", EMAIL)
    broken = grant("g-3", READS.join(EMAIL), masked=True)
    for grants, unmasks, masked in (
        ((plain,), False, False),
        ((plain, clear), True, False),
        ((broken,), False, True),
        ((broken, plain), False, False),
        ((broken, clear), True, False),
    ):
        found = access(grants, ANA.id, SHOP, NOW, NOW + 9_000 * SECOND)
        assert found is not None
        assert bool(found.scope.unmasks) is unmasks
        assert found.masked is masked


# --- masks ----------------------------------------------------------------------------------------

CATALOG = Catalog(
    (
        Table(20001, "app", "customers", "r", ((1, "id", 23), (2, "email", 25), (3, "ssn", 25)),
              derived=((4, 2),)),
        Table(20002, "app", "staff", "r", ((1, "id", 23), (2, "email", 25))),
    )
)  # fmt: skip
MASKS = """
detectors = ["email"]
[[mask]]
column = "app.*.email"
style = "keep-domain"
[[mask]]
column = "app.customers.ssn"
style = "full"
"""


def bound(scope: Scope = EMAIL, catalog: Catalog | None = CATALOG) -> Bound:
    return Masking.load(MASKS).bind(catalog, unmasks=scope.unmasks)


def cell(masks: Bound, table: int, attnum: int) -> Style | Watch | None:
    plan = masks.plan([Column("c", table, attnum, 25, 0)], True, "UTF8")
    return None if plan is None or plan.cells is None else plan.cells[0]


def test_only_the_named_column_is_shown_and_no_detector_looks_at_it() -> None:
    masks = bound()
    assert cell(masks, 20001, 2) is None
    assert cell(masks, 20001, 3) is Style.FULL
    assert cell(masks, 20002, 2) is Style.KEEP_DOMAIN
    assert cell(masks, 0, 0) is Style.NULL
    assert masks.shown == ("app.customers.email",)
    assert "email" in masks.names  # of the other table


def test_what_stands_beside_it_is_left_out_of_recordings_all_the_same() -> None:
    shown = Masking.load(MASKS).bind(CATALOG, unmasks=Scope.parse("*:unmask").unmasks)
    assert not shown.covers(read(b"select id from app.customers where ssn = '1'"))
    assert shown.clear_names == shown.names == {"email", "ssn"}
    assert bound(Scope(frozenset())).clear_names == frozenset()


def test_what_is_computed_from_it_stays_masked_unless_it_is_named() -> None:
    assert cell(bound(), 20001, 4) is Style.NULL


def test_without_a_catalog_nothing_is_shown() -> None:
    masks = bound(catalog=None)
    assert masks.shown == ()
    assert cell(masks, 20001, 2) is Style.NULL


def test_masks_of_other_scopes_are_other_masks() -> None:
    masking = Masking.load(MASKS)
    masked, clear = masking.bind(CATALOG), masking.bind(CATALOG, unmasks=EMAIL.unmasks)
    assert masked is masking.bind(CATALOG)
    assert clear is masking.bind(CATALOG, unmasks=EMAIL.unmasks)
    assert cell(masked, 20001, 2) is Style.KEEP_DOMAIN
    assert cell(clear, 20001, 2) is None
