"""Who may reach what: what the gate lets pass is never told as refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopcore.masking import Masking
from hoopcore.model import EVERYTHING, SECOND, Scope, Target
from hoopcore.policy import Policy
from hoopcore.reach import Place, facts_in, member_of, offers_in, reach
from hoopcore.sql.postgres import read
from hoopcore.statement import Relation

TARGET = Target("prod-db", "postgres", ("shop",), labels=(("env", "prod"),))
MASKS = """
[[mask]]
column = "public.customers.ssn"
style = "full"
exempt = ["dba"]

[[mask]]
column = "*.*.email"
style = "keep-domain"
"""


def told(
    rules: str, place: str = "public.customers.ssn", group: str = "dev", scope: str = "*.*:*"
) -> dict[str, Any] | None:
    facts = facts_in(TARGET, Scope.parse(scope), member_of(group), frozenset({"engineer"}))
    return reach(Place.parse(place), facts, Policy.load(rules), Masking.load(MASKS))


def rule(verdict: str, **conditions: str) -> str:
    lines = "".join(f"{key} = {value}\n" for key, value in conditions.items())
    return f'[[rule]]\nname = "r-{verdict}"\nreason = "x"\nverdict = "{verdict}"\n{lines}'


def verdicts(rules: str, **how: str) -> dict[str, str]:
    found = told(rules, **how)
    return {} if found is None else {verb: one["verdict"] for verb, one in found["verbs"].items()}


@pytest.mark.parametrize(
    ("text", "relation", "column"),
    [
        ("public.customers", ("public", "customers"), ""),
        ("Public.Customers.SSN", ("public", "customers"), "ssn"),
        ('public."Odd.Name"."Co""l"', ("public", "Odd.Name"), 'Co"l'),
    ],
)
def test_a_place_is_read_as_the_database_reads_names(
    text: str, relation: tuple[str, str], column: str
) -> None:
    assert Place.parse(text) == Place(Relation(*relation), column)
    assert Place.parse(str(Place.parse("a.b.c"))) == Place.parse("a.b.c")


@pytest.mark.parametrize("text", ["", "customers", "a.b.c.d", "a..b", 'a."b', "."])
def test_what_is_no_place_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not SCHEMA\.TABLE"):
        Place.parse(text)


def test_a_verb_outside_the_scope_is_left_out_and_nothing_is_none() -> None:
    assert verdicts("", scope="public.*:select") == {"read": "allow"}
    assert verdicts("", scope="public.customers:update") == {"update": "allow"}
    assert told("", scope="audit.*:*") is None


def test_the_strongest_rule_that_surely_stands_there_is_told() -> None:
    rules = rule("refuse", effects='["delete"]') + rule("hold", effects='["delete", "update"]')
    assert verdicts(rules) == {
        "read": "allow", "insert": "allow", "update": "hold", "delete": "refuse",
    }  # fmt: skip
    assert verdicts(rule("refuse", groups='["ops"]'))["read"] == "allow"
    assert verdicts(rule("refuse", unless='{ groups = ["dev"] }'))["read"] == "allow"
    assert verdicts(rule("allow", effects='["unknown"]'))["read"] == "allow"


@pytest.mark.parametrize(
    "conditions",
    [
        {"times": '["22:00-06:00 UTC"]'},
        {"addresses": '["10.0.0.0/8"]'},
        {"priorities": '["low"]'},
        {"effects": '["update"]', "missing_where": "true"},
        {"missing_limit": "true"},
        {"filters_masked": "true"},
        {"statements_above": "3"},
        {"unless": '{ times = ["22:00-06:00 UTC"] }'},
    ],
)
def test_what_stands_there_only_sometimes_hides_nothing_and_is_told(
    conditions: dict[str, str],
) -> None:
    found = told(rule("refuse", **conditions))
    assert found is not None
    assert {one["verdict"] for one in found["verbs"].values()} == {"allow"}
    assert any(one["sometimes"] == ["r-refuse (refuse)"] for one in found["verbs"].values())


def test_a_rule_on_another_column_is_told_for_the_table_and_not_for_the_column() -> None:
    rules = rule("refuse", columns='["public.customers.ssn"]')
    assert verdicts(rules)["read"] == "refuse"
    assert verdicts(rules, place="public.customers.name")["read"] == "allow"
    table = told(rules, place="public.customers")
    assert table is not None
    assert table["verbs"]["read"]["verdict"] == "allow"
    assert table["verbs"]["read"]["sometimes"] == ["r-refuse (refuse)"]


def test_masks_are_those_that_these_groups_meet() -> None:
    def masks(place: str, group: str) -> list[str]:
        found = told("", place=place, group=group)
        assert found is not None
        return [mask["column"] for mask in found["masks"]]

    assert masks("public.customers.ssn", "dev") == ["public.customers.ssn"]
    assert masks("public.customers.ssn", "dba") == []
    assert masks("public.customers.email", "dba") == ["*.*.email"]
    assert masks("public.customers", "dev") == ["public.customers.ssn", "*.*.email"]
    assert masks("audit.log", "dev") == ["*.*.email"]


def test_read_only_sessions_write_nothing() -> None:
    impose = '[[impose]]\nname = "i"\nreason = "x"\nread_only = true\n'
    assert verdicts(impose) == {
        "read": "allow", "insert": "refuse", "update": "refuse", "delete": "refuse",
    }  # fmt: skip
    perhaps = impose + 'addresses = ["10.0.0.0/8"]\n'
    assert verdicts(perhaps)["insert"] == "allow"


STATEMENTS = {
    "read": "select ssn from public.customers where id = 1 limit 1",
    "insert": "insert into public.customers (ssn) values ('1')",
    "update": "update public.customers set ssn = '1' where id = 2",
    "delete": "delete from public.customers where ssn = '1'",
}
CONDITIONS = (
    'effects = ["read"]', 'effects = ["update", "delete"]', 'relations = ["public.customers"]',
    'relations = ["audit.*"]', 'columns = ["ssn"]', 'columns = ["public.orders.id"]',
    'groups = ["dev"]', 'groups = ["ops"]', 'roles = ["engineer"]', 'times = ["09:00-17:00 UTC"]',
    'kinds = ["service"]', 'addresses = ["local"]', "missing_where = true", "missing_limit = true",
    'labels = { env = "prod" }', 'targets = ["dev-*"]', 'unless = { groups = ["dev"] }',
)  # fmt: skip


@settings(deadline=None, max_examples=120)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(("refuse", "hold")),
            st.lists(st.sampled_from(CONDITIONS), max_size=3, unique_by=lambda c: c.split()[0]),
        ),
        max_size=4,
    ),
    st.integers(0, 86_399),
    st.sampled_from(["local", "10.1.1.1"]),
)
def test_what_the_gate_lets_pass_is_never_told_as_refused(
    drawn: list[tuple[str, list[str]]], second: int, address: str
) -> None:
    rules = "".join(
        f'[[rule]]\nname = "r{n}"\nreason = "x"\nverdict = "{verdict}"\n' + "\n".join(of) + "\n"
        for n, (verdict, of) in enumerate(drawn)
    )
    policy = Policy.load(rules)
    facts = facts_in(TARGET, EVERYTHING, member_of("dev"), frozenset({"engineer"}))
    found = reach(Place.parse("public.customers.ssn"), facts, policy, Masking())
    assert found is not None
    bound = policy.bind(replace(facts, address=address), second * SECOND)
    strength = {"refuse": 0, "hold": 1, "allow": 2}
    for verb, text in STATEMENTS.items():
        gate = bound.decide(read(text.encode())).word
        assert strength[found["verbs"][verb]["verdict"]] >= strength[gate], (verb, gate)


def test_offers_are_read_from_roles_toml() -> None:
    offers = offers_in(
        '[roles.dev]\ngroups = ["a", "b"]\n[[roles.dev.may_request]]\ntargets = ["prod-*"]\n'
        'approvers = ["c"]\n[[roles.dev.may_request]]\ntargets = ["x"]\nvotes = 0\n'
        'scope = "public.*:read"\ndatabase_role = "reader"\n[roles.idle]\ngroups = ["d"]\n'
    )
    first, second = offers
    assert (first.role, sorted(first.groups), first.votes) == ("dev", ["a", "b"], 1)
    assert (first.covers("prod-db"), first.covers("dev-db")) == (True, False)
    assert (second.role, str(second.scope), second.database_role) == (
        "dev#2", "public.*:read", "reader",
    )  # fmt: skip
