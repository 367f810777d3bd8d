"""The judge of one session: what cannot be judged is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from hoopagent.judge import Judge, changes_catalog
from hoopcore.masking import Bound, Masking
from hoopcore.model import EVERYTHING, Kind, Principal, Scope, Target
from hoopcore.policy import Facts, Policy
from hoopcore.sql.catalog import Catalog, Table
from hoopcore.sql.postgres import read
from hoopcore.stream import Ask, AskKind

ANA = Principal("p-0123456789", Kind.HUMAN, "issuer", "ana", "ana@example.com")
SHOP = Target("prod-db", "postgres", ("shop",))
FACTS = Facts(ANA, SHOP, EVERYTHING, "s-0123456789")
MASKS = '[[mask]]\ncolumn = "public.customers.ssn"\nstyle = "full"\n'


def judge(bound: Bound | None = None) -> Judge:
    return Judge(Policy(), FACTS, bound or Masking().bind(None))


def ask(text: str, kind: AskKind = AskKind.TEXT) -> Ask:
    return Ask(kind, 1, text=text.encode())


class Broken:
    """A part that fails whatever it is asked."""

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError


def test_a_policy_that_raises_refuses() -> None:
    broken = replace(judge(), policy=cast(Policy, Broken()))
    verdict = broken.judge(ask("select 1"), read(b"select 1"))
    assert not verdict.allowed
    assert verdict.rule == "policy-error"


def test_masks_that_raise_refuse() -> None:
    broken = replace(judge(), bound=cast(Bound, Broken()))
    assert not broken.judge(ask("select 1"), read(b"select 1")).allowed


def test_a_call_by_number_is_refused_whatever_its_reading_says() -> None:
    verdict = judge().judge(ask("", AskKind.CALL), read(b"select 1"))
    assert not verdict.allowed
    assert verdict.rule == "function-call"


@pytest.mark.parametrize("text", ["copy customers to stdout", "select * into t from customers"])
def test_what_a_mask_cannot_follow_is_refused(text: str) -> None:
    masked = judge(Masking.load(MASKS).bind(None))
    verdict = masked.judge(ask(text), read(text.encode()))
    assert not verdict.allowed
    assert verdict.rule.startswith("mask-")


def test_what_a_mask_cannot_follow_is_refused_though_a_rule_would_hold_it() -> None:
    """An approval takes no mask off: what is held would run once somebody has said yes."""
    holds = '[[rule]]\nname = "four-eyes"\nverdict = "hold"\nreason = "no"\neffects = ["ddl"]\n'
    masked = replace(judge(Masking.load(MASKS).bind(None)), policy=Policy.load(holds))
    text = "select * into t from customers"
    verdict = masked.judge(ask(text), read(text.encode()))
    assert not verdict.held
    assert verdict.rule.startswith("mask-")
    masked.bound = Masking().bind(None)
    assert masked.judge(ask(text), read(text.encode())).held


def test_a_rule_about_filters_knows_the_masks_of_the_session() -> None:
    rules = (
        '[[rule]]\nname = "no-guessing"\nverdict = "refuse"\nreason = "no"\nfilters_masked = true\n'
    )
    columns = ((1, "id", 23), (2, "ssn", 25))
    catalog = Catalog((Table(20001, "public", "customers", "r", columns),))
    masking = Masking.load(MASKS)
    masked = replace(judge(masking.bind(catalog)), policy=Policy.load(rules))
    text = "select id from customers where ssn = '1'"
    verdict = masked.judge(ask(text), read(text.encode()))
    assert (verdict.allowed, verdict.rule) == (False, "no-guessing")
    masked.bound = masking.bind(catalog, unmasks=Scope.parse("customers.ssn:unmask").unmasks)
    assert masked.judge(ask(text), read(text.encode())).allowed
    assert masked.masked(read(text.encode())) == {"ssn"}


def test_the_record_leaves_out_what_is_covered_and_nothing_else() -> None:
    masked = judge(Masking.load(MASKS).bind(None))
    assert judge().masked(read(b"select ssn from customers")) == frozenset()
    assert masked.masked(read(b"select ssn from customers")) == frozenset({"*"})


def test_ddl_calls_and_what_cannot_be_read_may_change_the_catalog() -> None:
    assert changes_catalog(read(b"create table t ()"))
    assert changes_catalog(read(b"select f()"))
    assert changes_catalog(read(b"select '"))
    assert not changes_catalog(read(b"select 1"))
