"""Answers to reviews: whatever is said about whatever grant, it only ever reduces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopcore.model import (
    SECOND,
    Grant,
    GrantState,
    Kind,
    Principal,
    ReviewAnswer,
    Scope,
    Target,
    Tier,
)
from hoopcore.review import (
    MOVES,
    Fault,
    Item,
    ItemState,
    Said,
    confirms_as,
    may_move,
    most_ended,
    outcome,
    trips,
)
from hoopcore.usage import decoded

NOW = 1_000 * SECOND
ANA = Principal("p-ana", Kind.HUMAN, "i", "ana", groups=frozenset({"dba"}))
BEN = Principal("p-ben", Kind.HUMAN, "i", "ben", groups=frozenset({"dba"}))
SCOPES = st.sampled_from(
    ("*.*:*", "public.*:read", "public.orders:read", "public.orders:update", "audit.*:read")
).map(Scope.parse)
GRANTS = st.builds(
    lambda scope, state, after, lasts, started: Grant(
        "grt-1", "req-1", ANA.id, "db", scope, NOW - SECOND, NOW + after * SECOND, state,
        lasts=lasts, started=NOW - SECOND if started and lasts else None,
    ),
    SCOPES,
    st.sampled_from(GrantState),
    st.integers(-5, 500),
    st.none() | st.integers(1, 400),
    st.booleans(),
)  # fmt: skip
SAID = st.builds(
    Said,
    st.sampled_from(ReviewAnswer),
    st.sampled_from(("", "because", "a\nb")),
    st.none() | SCOPES,
    st.none() | st.integers(-5, 600).map(lambda n: NOW + n * SECOND),
    st.none() | st.sampled_from((ANA, BEN)),
    st.integers(1, 2),
    st.booleans(),
)


@given(SAID, GRANTS, st.sampled_from(Tier), st.sampled_from((ANA, BEN)))
def test_whatever_is_said_only_reduces(
    said: Said, grant: Grant, tier: Tier, who: Principal
) -> None:
    """Invariant 10, and the states of domain.md."""
    item = Item("rev-1", grant.id, ANA.id, "db", ItemState.PENDING, NOW, (ANA.id,))
    found = outcome(said, item, grant, tier, who, NOW, "grt-2")
    if isinstance(found, Fault):
        return
    assert who is ANA
    assert may_move(ItemState.PENDING, found.item.state)
    assert grant.ends > NOW
    if said.answer is ReviewAnswer.KEEP:
        assert found.grant is None
        assert (found.item.state is ItemState.AWAITING) is (tier is Tier.HIGH)
    if tier is Tier.HIGH:
        assert said.attended
        assert said.group == 1
    if found.narrowed is not None:
        less = found.narrowed
        assert grant.scope.covers(less.scope)
        assert less.scope.atoms
        assert NOW < less.ends <= grant.ends
        assert (less.not_before, less.started) == (grant.not_before, grant.started)
        assert not less.scope.covers(grant.scope) or less.ends < grant.ends
        assert found.grant is GrantState.SUPERSEDED


@given(st.integers(0, 100), st.integers(0, 100))
def test_a_run_ends_no_more_than_its_share(ended: int, live: int) -> None:
    """Invariant 14: all that were there when it began are counted, however far it has come."""
    had = ended + live
    assert trips(ended, 1, live) is (ended + 1 > max(3, had // 2))
    assert most_ended(ended, live) == most_ended(0, had)


def test_what_is_over_stays_over() -> None:
    ends = {state for state, then in MOVES.items() if not then}
    assert ItemState.VERIFIED in ends
    assert MOVES[ItemState.FAILED] == {ItemState.VERIFIED}
    assert all(ItemState.PENDING not in then for then in MOVES.values())


def test_who_confirms_is_somebody_else_and_a_person() -> None:
    item = Item("rev-1", "grt-1", ANA.id, "db", ItemState.AWAITING, NOW, (ANA.id,))
    target = Target("db", "postgres", ("db",), owners=frozenset({"dba"}))
    bot = Principal("p-bot", Kind.AGENT, "i", "bot", groups=frozenset({"dba"}), owner="ben")
    assert confirms_as(ANA, ANA, item, target, None, True) is None
    assert confirms_as(bot, ANA, item, target, None, True) is None
    assert confirms_as(BEN, None, item, target, None, True) is None
    assert confirms_as(BEN, bot, item, target, None, True) is None  # he answers for it
    assert confirms_as(BEN, ANA, item, target, None, True) == "administrator"
    assert confirms_as(BEN, ANA, item, target, None, False) is None


def test_what_is_no_use_is_none() -> None:
    with pytest.raises(ValueError, match="no use"):
        decoded("[1")
