"""What sampled values and names say of a column."""

from __future__ import annotations

import pytest

from hoopcore.detectors import KINDS, Sweep
from hoopcore.sightings import Looks, Sighting, hint_of, look, sighting, type_of
from hoopcore.styles import Style

SWEEP = Sweep(KINDS)
PLACE = ("public", "people", "contact")


def seen(values: list[str | None], name: str = "contact", form: str = "text") -> Sighting | None:
    looks = look([None if v is None else v.encode() for v in values], SWEEP)
    return sighting((*PLACE[:2], name), form, form, looks)


def test_a_column_of_addresses_is_seen_by_its_values_alone() -> None:
    found = seen(["ada@example.com", "bo@example.com ", None, "not known"])
    assert found is not None
    assert (found.kind, found.style, found.values, found.whole) == ("email", "keep-domain", 3, 2)
    assert (found.named, found.sure) == (False, True)
    named = seen(["ada@example.com"], "email")
    assert named is not None
    assert named.named


def test_a_text_that_now_and_then_holds_an_address_asks_for_no_mask() -> None:
    values = [f"ask ada{i}@example.com about order {i}" for i in range(20)]
    assert seen([*values]) is None
    assert look([v.encode() for v in values], SWEEP).inside["email"] == 20
    few = ["4111111111111111", *("a note of no interest" for _ in range(19))]
    assert seen([*few]) is None


@pytest.mark.parametrize(
    ("name", "form", "kind"),
    [
        ("password_hash", "text", "password"),
        ("userPassword", "text", "password"),
        ("api_key", "text", "secret"),
        ("session_token", "uuid", "secret"),
        ("date_of_birth", "date", "birth"),
        ("birthDate", "date", "birth"),
        ("customer_email", "text", "email"),
        ("ssn", "number", "ssn"),
        ("tax_id", "text", "ssn"),
        ("cvv", "number", "cvv"),
        ("IBAN", "text", "iban"),
        ("client_ip", "address", "ip"),
    ],
)
def test_names_that_say_what_they_hold(name: str, form: str, kind: str) -> None:
    hint = hint_of(name, form)
    assert hint is not None
    assert hint.kind == kind


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("email_verified_at", "date"),
        ("email_verified", "text"),
        ("token_count", "number"),
        ("phone_type", "text"),
        ("card_id", "number"),
        ("shipping", "text"),
        ("company", "text"),
        ("passenger", "text"),
        ("membership", "text"),
        ("password_changed_at", "date"),
        ("token", "number"),
        ("email", "date"),
    ],
)
def test_names_that_are_about_something_else(name: str, form: str) -> None:
    assert hint_of(name, form) is None


def test_a_name_alone_is_doubtful_only_where_values_would_have_told() -> None:
    said = [f"row {i}" for i in range(30)]
    assert (seen([*said], "email") or pytest.fail("nothing")).sure is False
    assert (seen([], "email") or pytest.fail("nothing")).sure is True, (
        "an empty table tells nothing"
    )
    assert (seen([*said], "password") or pytest.fail("nothing")).sure is True


@pytest.mark.parametrize("oid", [20, 25, 114, 869, 1009, 1043, 1082, 1700, 2950, 17])
def test_every_proposed_style_is_one_that_masks_toml_knows(oid: int) -> None:
    _, form = type_of(oid, frozenset()) or pytest.fail("not looked into")
    for kind in KINDS:
        looks = Looks(values=1)
        looks.whole[kind] = 1
        for name in ("x", "password", "birthdate", "ssn", "email"):
            found = sighting((*PLACE[:2], name), "t", form, looks)
            assert found is None or found.style in list(Style)
            if found is not None and form not in ("text", "date"):
                assert found.style == "null"


def test_types_of_the_database_whose_values_are_text_are_looked_into() -> None:
    assert type_of(77_777, frozenset({77_777})) == ("text", "text")
    assert type_of(77_777, frozenset()) is None


def test_inside_of_json_a_detector_does_better_than_a_mask() -> None:
    assert seen(['"ada@example.com"'], form="json") is None
    assert (seen(['{"a": 1}'], "api_key", "json") or pytest.fail("nothing")).style == "null"
