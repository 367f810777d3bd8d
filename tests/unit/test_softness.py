"""Softly narrowed: a scope's refusal becomes a hold, and nothing else becomes anything."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hoopcore.access import answers_oneself, has_all, learner, soft_scope, softened, taught
from hoopcore.model import (
    EVERYTHING,
    NOTHING,
    SECOND,
    Atom,
    Grant,
    Kind,
    Principal,
    Scope,
    Soft,
    Target,
    Tier,
)
from hoopcore.policy import Facts, Policy, Verdict
from hoopcore.policy.scope import NARROWED, SCOPE
from hoopcore.sql.postgres import read

ANA = Principal("p-0123456789", Kind.HUMAN, "issuer", "ana", "ana@example.com")
SHOP = Target("prod-db", "postgres", ("shop",))
NOW, DAY = 1_000 * SECOND, 86_400
ORDERS = Scope.parse("public.orders:read")
PUBLIC = Scope.parse("public.*:read+update+delete")
RULE = '[[rule]]\nname = "mine"\nverdict = "{}"\nreason = "no"\nrelations = ["cards"]\n'


def verdict(text: str, scope: Scope = ORDERS, soft: Scope = PUBLIC, rules: str = "") -> Verdict:
    facts = Facts(ANA, SHOP, scope, "s-0123456789", soft=soft)
    return Policy.load(rules).bind(facts).decide(read(text.encode()))


def learned(text: str, soft: Scope = PUBLIC) -> str:
    facts = Facts(ANA, SHOP, ORDERS, "s-0123456789", soft=soft)
    return str(Scope(Policy().bind(facts).stepping(read(text.encode()))))


# --- the verdict ----------------------------------------------------------------------------------


def test_what_the_scope_covers_is_not_held() -> None:
    assert verdict("select 1 from public.orders").allowed


def test_what_was_narrowed_away_is_held_and_what_was_never_had_is_refused() -> None:
    held = verdict("select 1 from public.cards")
    assert (held.held, held.allowed, held.rule) == (True, False, NARROWED)
    never = verdict("select 1 from audit.cards")
    assert (never.held, never.allowed, never.rule) == (False, False, SCOPE)
    both = verdict("select 1 from public.cards; select 1 from audit.cards")
    assert (both.held, both.rule) == (False, SCOPE)


def test_a_rule_that_refuses_is_stronger_and_one_that_holds_changes_nothing_about_it() -> None:
    text = "select 1 from public.cards"
    assert verdict(text, rules=RULE.format("refuse")).rule == "mine"
    assert not verdict(text, rules=RULE.format("refuse")).held
    assert verdict(text, rules=RULE.format("hold")).held


def test_what_could_not_be_read_is_within_nothing() -> None:
    allows = '[[rule]]\nname = "dark"\nverdict = "allow"\nreason = "x"\neffects = ["unknown"]\n'
    unread = verdict("alter nonsense", soft=EVERYTHING, rules=allows)
    assert (unread.held, unread.allowed) == (False, False)


def test_without_anything_soft_a_scope_refuses_as_ever() -> None:
    assert verdict("select 1 from public.cards", soft=NOTHING).rule == SCOPE


# --- what is learned ------------------------------------------------------------------------------


def test_a_table_is_learned_and_not_its_schema() -> None:
    text = "select 1 from public.cards c join public.orders o on true; delete from public.t"
    assert learned(text) == "public.cards:read public.t:delete"


def test_of_what_would_do_the_least_is_learned() -> None:
    every = Scope.parse("public.*:*")
    assert learned("copy public.cards to stdout", every) == "public.cards:read"
    assert learned("copy public.orders from stdin", every) == "public.orders:insert"
    assert learned("lock table public.cards", every) == "public.cards:lock"
    assert learned("lock table public.cards") == "public.cards:update"


@pytest.mark.parametrize(
    "name", ['"a *.*:* b"', '"*"', '"x;y"', '"x,y"', '"x:read"', '"a.b"', '"a+b"', '""""']
)
def test_a_name_that_reads_as_more_in_a_scope_s_text_is_never_learned(name: str) -> None:
    text = f"select 1 from public.{name}"
    assert learned(text, EVERYTHING) == ""
    found = verdict(text, soft=EVERYTHING)
    assert (found.held, found.allowed) == (False, False)


# --- grants ---------------------------------------------------------------------------------------

HAD = Grant("grt-1", "req-1", ANA.id, "prod-db", PUBLIC, 0, NOW + 9 * DAY * SECOND)


def less(scope: Scope = ORDERS, **more: object) -> Grant:
    one = replace(HAD, id="grt-2", scope=scope, **more)  # type: ignore[arg-type]  # members
    return replace(one, soft=softened(one, HAD, DAY, NOW))


def test_it_is_soft_for_the_period_and_never_beyond_the_grant() -> None:
    assert less().soft == Soft(PUBLIC, NOW + DAY * SECOND)
    assert less(not_after=NOW + 5).soft == Soft(PUBLIC, NOW + 5)
    assert soft_scope(less(), NOW + DAY * SECOND - 1) == PUBLIC
    assert soft_scope(less(), NOW + DAY * SECOND) == NOTHING
    assert softened(less(), HAD, 0, NOW) is None


def test_who_narrows_again_gets_no_more_time_for_what_went_before() -> None:
    first = less(Scope.parse("public.orders:read+update"))
    second = replace(first, scope=ORDERS)
    found = softened(second, first, DAY, NOW + 9)
    assert found == Soft(first.scope, NOW + 9 + DAY * SECOND)
    shorter = replace(first, not_after=NOW + 99)  # only its end
    assert softened(shorter, first, DAY, NOW + 9) == Soft(PUBLIC, NOW + 99)


def test_no_mask_comes_off_by_what_is_soft() -> None:
    clear = Scope.parse("public.*:read public.cards.number:unmask")
    had = replace(HAD, scope=clear)
    found = softened(less(), had, DAY, NOW)
    assert found is not None
    assert not found.scope.unmasks
    assert softened(less(clear.with_masks), had, DAY, NOW) is None


CARDS = frozenset({Atom("public", "cards", "read")})


def test_a_grant_learns_what_was_asked_and_the_period_begins_anew() -> None:
    old = less()
    later = NOW + 5 * SECOND
    assert learner([old], CARDS, later) == old
    new = taught(old, CARDS, DAY, later, "grt-3")
    assert str(new.scope) == "public.cards:read public.orders:read"
    assert (new.not_before, new.not_after, new.ends) == (old.not_before, old.not_after, old.ends)
    assert (new.request, new.supersedes) == (old.request, old.id)
    assert new.soft == Soft(PUBLIC, later + DAY * SECOND)
    assert has_all([new], CARDS)
    assert taught(old, PUBLIC.atoms, DAY, later, "grt-3").soft is None  # all of it is there again


def test_nobody_learns_where_it_is_too_late_or_was_never_had() -> None:
    assert learner([less()], CARDS, NOW + DAY * SECOND) is None
    assert learner([less()], frozenset({Atom("audit", "x", "read")}), NOW) is None
    assert learner([HAD], CARDS, NOW) is None  # it has all of it
    assert not has_all([], CARDS)


def test_only_a_person_on_a_low_tier_answers_by_themselves() -> None:
    low = replace(SHOP, tier=Tier.LOW)
    assert answers_oneself(Kind.HUMAN, low, held_too=False)
    assert not answers_oneself(Kind.HUMAN, low, held_too=True)
    assert not answers_oneself(Kind.SERVICE, low, held_too=False)
    for tier in (Tier.MEDIUM, Tier.HIGH):
        assert not answers_oneself(Kind.HUMAN, replace(SHOP, tier=tier), held_too=False)
