"""Break-glass as values: which offer, for how long, what is refused, who looks back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hoopcore.access import Eligibility, Refusal, Wish
from hoopcore.access.glass import LONGEST, REVIEW_WITHIN, break_glass, item_for, reviews_as
from hoopcore.model import (
    EVERYTHING,
    SECOND,
    Kind,
    Principal,
    Priority,
    Request,
    RequestState,
    Scope,
    Target,
)

NOW = 1_800_000_000 * SECOND
ANA = Principal("p-ana", Kind.HUMAN, "i", "ana", "ana@test", frozenset({"sre", "owners"}))
BEN = Principal("p-ben", Kind.HUMAN, "i", "ben", "ben@test", frozenset({"owners"}))
BOT = Principal("p-bot", Kind.AGENT, "i", "bot", "", frozenset({"sre", "owners"}), "Ben@test")
TARGET = Target("prod-db", "postgres", ("shop",), owners=frozenset({"owners"}))
OFFER = Eligibility(
    "sre", frozenset({"sre"}), ("prod-*",), Scope.parse("public.*:read"), 600,
    frozenset({"dba"}), 2, 3600, break_glass=True,
)  # fmt: skip
WIDE = replace(OFFER, name="wide", scope=EVERYTHING, max_duration=7200)
WISH = Wish("prod-db", "it is down", 7200)


def broken(
    asker: Principal = ANA,
    offers: tuple[Eligibility, ...] = (OFFER, WIDE),
    incident: str = "INC-1",
    **wish: Any,
) -> Request | Refusal:
    asked = replace(WISH, **wish)
    return break_glass(
        asked, incident, asker, TARGET, offers, now=NOW, id="req-00000001", policy_version="v"
    )


def test_the_longest_offer_is_taken_cut_to_half_an_hour_and_masked() -> None:
    made = broken()
    assert isinstance(made, Request)
    assert made.state is RequestState.PENDING
    assert (made.rule.name, made.duration, made.scope) == ("wide", LONGEST, EVERYTHING)
    assert (made.rule.votes, made.rule.needs, made.rule.later) == (0, (), ())
    assert made.rule.limits.masked
    assert made.priority is Priority.INCIDENT
    assert "INC-1" in made.rule.because


def test_a_narrower_wish_stays_narrow_and_a_shorter_one_short() -> None:
    made = broken(scope=Scope.parse("public.orders:read"), duration=60)
    assert isinstance(made, Request)
    assert (str(made.scope), made.duration) == ("public.orders:read", 60)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"reason": " "}, "reason"),
        ({"reason": "x" * 1001}, "reason"),
        ({"incident": " "}, "incident"),
        ({"incident": "a\x1b[2J"}, "incident"),
        ({"task": "x" * 201}, "task"),
        ({"duration": 0}, "duration"),
        ({"scope": Scope(frozenset())}, "scope"),
        ({"scope": Scope.parse("*.*:unmask")}, "scope"),
        ({"asker": BOT}, "not_human"),
        ({"asker": BEN}, "not_eligible"),
        ({"offers": (replace(OFFER, break_glass=False),)}, "not_eligible"),
        ({"offers": (OFFER,), "scope": EVERYTHING}, "scope_too_wide"),
    ],
)
def test_what_is_refused_says_what_is_wrong(change: dict[str, Any], word: str) -> None:
    made = broken(**change)
    assert isinstance(made, Refusal)
    assert made.error == word


def test_somebody_else_looks_back_as_an_owner_or_an_administrator() -> None:
    assert reviews_as(BEN, ANA, TARGET, False) == "owner"
    named = replace(TARGET, owners=frozenset({BEN.id}))
    assert reviews_as(BEN, ANA, named, False) == "owner"
    assert reviews_as(BEN, ANA, None, True) == "administrator"
    assert reviews_as(replace(BEN, groups=frozenset()), ANA, TARGET, False) is None
    for nobody, subject in ((ANA, ANA), (BOT, ANA), (BEN, BOT), (BEN, None)):
        assert reviews_as(nobody, subject, TARGET, True) is None


def test_a_review_is_due_in_a_day() -> None:
    made = broken()
    assert isinstance(made, Request)
    item = item_for("grt-1", made, NOW, "rev-1")
    assert (item.principal, item.target, item.due) == (ANA.id, "prod-db", NOW + REVIEW_WITHIN)
