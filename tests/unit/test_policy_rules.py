"""What a rule may ask: who, where, when, columns, functions, limits; and its examples."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hoopcore.model import EVERYTHING, Kind, Principal, Priority, Target
from hoopcore.policy import LOCAL, Facts, Policy, RuleError, Verdict, decide, load
from hoopcore.sql.postgres import read

ANA = Principal("u-1", Kind.HUMAN, "issuer", "ana", groups=frozenset({"dev"}))
PROD = Target("prod-db", "postgres", ("app",), labels=(("env", "prod"), ("tier", "gold")))
FACTS = Facts(
    ANA,
    PROD,
    EVERYTHING,
    "s-1",
    roles=frozenset({"engineer"}),
    priorities=frozenset({Priority.NORMAL}),
    address="10.1.2.3",
)
THURSDAY_NOON = 1_779_969_600_000_000  # 2026-05-28T12:00:00Z


def rule(name: str = "r", verdict: str = "refuse", **keys: str) -> str:
    lines = [f'name = "{name}"', f'verdict = "{verdict}"', 'reason = "because"']
    lines += [f"{key} = {value}" for key, value in keys.items()]
    return "[[rule]]\n" + "\n".join(lines) + "\n"


def judge(rules: str, text: str = "select 1", **changes: Any) -> Verdict:
    now = changes.pop("now", THURSDAY_NOON)
    return decide(Policy.load(rules), replace(FACTS, **changes), read(text.encode()), now)


# --- who, where, when -----------------------------------------------------------------------------

CONDITIONS = [
    ("labels", '{ env = "prod" }', {}, True),
    ("labels", '{ env = "pr*", tier = ["gold", "silver"] }', {}, True),
    ("labels", '{ env = "prod", tier = "silver" }', {}, False),
    ("labels", '{ region = "*" }', {}, False),
    ("roles", '["engineer", "dba"]', {}, True),
    ("roles", '["dba"]', {}, False),
    ("kinds", '["human"]', {}, True),
    ("kinds", '["service", "agent"]', {}, False),
    ("priorities", '["normal", "low"]', {}, True),
    ("priorities", '["incident"]', {}, False),
    ("addresses", '["10.0.0.0/8"]', {}, True),
    ("addresses", '["192.168.0.0/16", "10.1.2.3"]', {}, True),
    ("addresses", '["192.168.0.0/16", "local"]', {}, False),
    ("addresses", '["local"]', {"address": LOCAL}, True),
    ("addresses", '["10.0.0.0/8"]', {"address": LOCAL}, False),
    ("addresses", '["10.0.0.0/8"]', {"address": "::ffff:10.9.9.9"}, True),
    ("addresses", '["fe80::/10"]', {"address": "fe80::1%eth0"}, True),
    ("addresses", '["2001:db8::/32"]', {"address": "2001:db9::1"}, False),
    ("times", '["thu 11:00-13:00 UTC"]', {}, True),
    ("times", '["thu 11:00-13:00 America/New_York"]', {}, False),
    ("times", '["mon-wed UTC", "22:00-18:00 UTC"]', {}, True),
]


@pytest.mark.parametrize(("key", "value", "facts", "met"), CONDITIONS)
def test_a_rule_is_about_whom_it_names(key: str, value: str, facts: Any, met: bool) -> None:
    assert judge(rule(**{key: value}), **facts).allowed is not met
    text = "copy t from '/x'"
    allow = rule(verdict="allow", effects='["server_file"]', **{key: value})
    assert judge(allow, text, **facts).allowed is met
    excepting = rule() + f"[rule.unless]\n{key} = {value}\n"
    assert judge(excepting, **facts).allowed is met


@pytest.mark.parametrize(
    ("key", "value", "facts"),
    [
        ("roles", '["dba"]', {"roles": None}),
        ("priorities", '["incident"]', {"priorities": None}),
        ("addresses", '["192.168.0.0/16"]', {"address": None}),
        ("addresses", '["192.168.0.0/16"]', {"address": "unknown"}),
        ("times", '["mon UTC"]', {"now": None}),
    ],
)
def test_what_is_not_known_counts_against_the_person(key: str, value: str, facts: Any) -> None:
    assert not judge(rule(**{key: value}), **facts).allowed
    allow = rule(verdict="allow", effects='["server_file"]', **{key: value})
    assert not judge(allow, "copy t from '/x'", **facts).allowed
    assert not judge(rule() + f"[rule.unless]\n{key} = {value}\n", **facts).allowed
    doubtful = rule(verdict="allow", effects='["server_file"]')
    doubtful += f"[rule.unless]\n{key} = {value}\n"
    assert not judge(doubtful, "copy t from '/x'", **facts).allowed


def test_conditions_are_all_to_be_met_and_so_are_those_of_an_exception() -> None:
    both = rule(kinds='["human"]', groups='["dba"]')
    assert judge(both).allowed
    excepting = rule() + '[rule.unless]\ngroups = ["dev"]\npriorities = ["incident"]\n'
    assert not judge(excepting).allowed
    assert judge(excepting, priorities=frozenset({Priority.INCIDENT, Priority.LOW})).allowed


# --- columns --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("ssn", "select ssn from customers", True),
        ("ssn", "select c.ssn from customers c", True),
        ("ssn", "select id from customers where ssn like '1%'", True),
        ("ssn", "select id from customers order by ssn", True),
        ("ssn", "update customers set ssn = '1' where id = 1", True),
        ("ssn", "insert into customers (id, ssn) values (1, '1')", True),
        ("ssn", "insert into customers values (1, '1')", True),
        ("ssn", "select * from customers", True),
        ("ssn", "select c from customers c", True),
        ("ssn", "select customers from customers", True),
        ("ssn", "select to_jsonb(c) from customers c", True),
        ("ssn", "select x.b from customers as x(a, b)", True),
        ("ssn", "select id from customers natural join persons", True),
        ("ssn", "select j.b from (customers join notes using (id)) as j(a, b)", True),
        ("ssn", "delete from customers where id = 1 returning old", True),
        ("ssn", "delete from customers where id = 1 returning with (old as o) o", True),
        ("ssn", "copy customers to stdout", True),
        (
            "ssn",
            "merge into customers c using notes n on c.id = n.id when matched then "
            "update set ssn = n.a",
            True,
        ),
        (
            "ssn",
            "merge into customers c using notes n on c.id = n.id when not matched then "
            "insert values (1, 'x')",
            True,
        ),
        (
            "ssn",
            "merge into notes n using customers c on c.id = n.id when not matched then "
            "insert (a) values (c.ssn)",
            True,
        ),
        ("ssn", "copy customers (id) to stdout", False),
        ("ssn", "explain select c from customers c", True),
        ("ssn", "create index on customers (ssn)", True),
        ("ssn", "alter table customers drop column ssn", True),
        ("ssn", "select id, name from customers where id = 1", False),
        ("ssn", "delete from customers where id = 1", False),
        ("ssn", "select 'ssn'", False),
        ("ss?", "select ssn from customers", True),
        ("customers.ssn", "select ssn from customers", True),
        ("customers.ssn", "select ssn from persons", False),
        ("customers.ssn", "select * from persons", False),
        ("public.customers.ssn", "select ssn from customers", True),
        ("public.customers.ssn", "select ssn from app.customers", False),
        ("customers.*", "select id from customers", True),
        ("customers.*", "select id from notes", False),
    ],
)
def test_a_column_is_seen_wherever_a_text_may_mean_it(
    pattern: str, text: str, matches: bool
) -> None:
    assert judge(rule(columns=f'["{pattern}"]'), text).allowed is not matches


def test_an_allowance_for_columns_wants_every_one_of_them_named() -> None:
    allow = rule(verdict="allow", effects='["server_file"]', columns='["id", "t.name"]')
    assert judge(allow, "copy t (id, name) to '/x'").allowed
    assert not judge(allow, "copy t (id, ssn) to '/x'").allowed
    assert not judge(allow, "copy u (id, name) to '/x'").allowed
    assert not judge(allow, "copy t to '/x'").allowed
    assert not judge(allow, "copy (select id, t from t) to '/x'").allowed


# --- functions, limits, number --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("pg_sleep*", "select pg_sleep(1)", True),
        ("pg_sleep*", "select pg_catalog.pg_sleep_for('1s')", True),
        ("pg_sleep", "select pg_sleep_for('1s')", False),
        ("app.wipe", "select wipe()", True),
        ("app.wipe", "select public.wipe()", False),
        ("app.*", "call app.wipe()", True),
        ("wipe", "select app.wipe(1) from t", True),
        ("wipe", "select 1 where exists (select wipe())", True),
        ("wipe", "do $$ begin end $$", False),
        ("wipe", "do $$ begin perform wipe(); end $$", True),
        ("wipe", "do $$ begin execute f(); end $$", True),
        ("wipe", "do language plperl 'x'", True),
        ("wipe", "execute p", True),
        ("wipe", "select lower('wipe')", False),
        ("wipe", "selec 1", True),
    ],
)
def test_functions_are_seen_by_name_and_unnamed_code_may_be_any(
    pattern: str, text: str, matches: bool
) -> None:
    found = judge(rule(functions=f'["{pattern}"]'), text)
    assert (found.rule == "r") is matches


def test_a_column_beside_a_call_may_be_a_function_of_that_name() -> None:
    rules = rule(functions='["wipe"]')
    assert not judge(rules, "select c.wipe, f(c) from customers c").allowed
    assert judge(rules, "select c.wipe, lower(c.name) from customers c").allowed  # a column, then


def test_an_allowance_for_functions_wants_every_one_of_them_named() -> None:
    allow = rule(verdict="allow", effects='["server_file"]', functions='["lo_import", "lower"]')
    assert judge(allow, "select lo_import('/x')").allowed
    assert judge(allow, "select lower(lo_import('/x')::text)").allowed
    assert not judge(allow, "select lo_export(1, '/x'), lower('a')").allowed
    assert not judge(allow, "copy t from '/x'").allowed
    own = allow.replace('"lower"', '"app.lo_export"')
    assert not judge(own, "select lo_export(1, '/x')").allowed  # whose it is, search_path decides


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("select * from t", True),
        ("table t", True),
        ("select * from t where id = 1", True),
        ("select * from t limit 10", False),
        ("select * from t limit 10::int", False),
        ("select * from t fetch first 10 rows only", False),
        ("select * from t limit all", True),
        ("select * from t limit null", True),
        ("select * from t limit $1", True),
        ("select * from t limit (select 5)", True),
        ("select * from t order by 1 fetch first 1 rows with ties", True),
        ("select * from (select * from t limit 5) x", True),
        ("(select * from t limit 5) union all select * from u", True),
        ("select * from t union all select * from u limit 5", False),
        ("select count(*), max(id) from t", False),
        ("select count(*) over () from t", True),
        ("select count(*) from t group by id", True),
        ("select count(*), unnest(array_agg(id)) from t", True),
        ("copy t to stdout", True),
        ("copy (select * from t limit 5) to stdout", False),
        ("copy t from stdin", False),
        ("declare c cursor for select * from t", True),
        ("prepare p as select * from t", True),
        ("with x as (select * from t) select * from x", True),
        ("create table u as select * from t", True),
        ("select 1", False),
        ("select generate_series(1, 5)", False),
        ("explain select * from t", False),
        ("explain analyze select * from t", True),
        ("delete from t", False),
        ("select relname from pg_catalog.pg_class", False),
        ("select relname from pg_catalog.pg_class, t", True),
    ],
)
def test_a_missing_limit_is_seen(text: str, matches: bool) -> None:
    assert judge(rule(missing_limit="true"), text).allowed is not matches


@pytest.mark.parametrize(
    ("kinds", "text", "matches"),
    [
        ("drop table", "drop table t", True),
        ("drop table", "drop view v", False),
        ("DROP  *", "drop materialized view v", True),
        ("drop *", "create table t (a int)", False),
        ("drop column", "alter table t drop column a", True),
        ("drop column", "alter table t add column a int", False),
        ("alter table", "alter table t rename column a to b", True),
        ("rename", "alter table t rename to u", True),
        ("alter table", "alter table t owner to ana", True),
        ("create table", "select 1 as a into t", True),
        ("create table", "create table t as select 1 as a", True),
        ("create materialized view", "create materialized view v as select 1", True),
        ("create table", "create schema s create table t (a int)", True),
        ("create schema", "create schema s create table t (a int)", True),
        ("create aggregate", "create aggregate a (int) (sfunc = f, stype = int)", True),
        ("drop *", "do $$ begin drop table t; end $$", True),
        ("drop *", "do $$ begin create table t (a int); end $$", False),
        ("drop *", "explain analyze create table t as select 1", False),
        ("create *", "explain analyze create table t as select 1", True),
        ("drop *", "with x as (delete from pg_class returning 1) select 1", True),
        ("drop *", "discard temp", False),
        ("drop *", "delete from t", False),
    ],
)
def test_a_definition_is_known_by_its_kind(kinds: str, text: str, matches: bool) -> None:
    assert judge(rule(ddl=f'["{kinds}"]'), text).allowed is not matches


def test_a_kind_of_ddl_that_there_is_not_is_told() -> None:
    with pytest.raises(RuleError, match='"DROP TABEL" is no kind of DDL'):
        Policy.load(rule(ddl='["drop tabel"]'))


def test_a_message_of_many_statements_is_seen_and_each_counts() -> None:
    one = rule(statements_above="1", effects='["delete"]')
    assert judge(one, "delete from t").allowed
    verdict = judge(one, "select 1; delete from t")
    assert (verdict.rule, verdict.statement) == ("r", 1)
    assert judge(rule(statements_above="2"), "select 1; select 2").allowed
    assert not judge(rule(statements_above="2"), "select 1; select 2; select 3").allowed


def test_an_allowance_may_be_for_what_has_no_limit_or_no_where() -> None:
    allow = rule(verdict="allow", effects='["server_file"]', missing_limit="true")
    assert judge(allow, "copy (select lo_import('/x') from t) to stdout").allowed
    assert not judge(allow, "copy (select lo_import('/x') from t limit 1) to stdout").allowed
    allow = rule(verdict="allow", effects='["server_file"]', missing_where="true")
    assert judge(allow, "update t set a = lo_import('/x')").allowed
    assert not judge(allow, "update t set a = lo_import('/x') where id = 1").allowed


def test_rules_are_shown_to_whom_they_may_be_about() -> None:
    def shown(**keys: str) -> bool:
        return Policy.load(rule(**keys)).rules[0].concerns(ANA, PROD)

    assert shown(times='["sat UTC"]')
    assert shown(addresses='["10.0.0.0/8"]', priorities='["incident"]')
    assert not shown(groups='["dba"]')
    assert not shown(labels='{ env = "test" }')
    assert not shown(unless='{ groups = ["dev"] }')
    assert shown(unless='{ groups = ["dev"], priorities = ["incident"] }')


def test_labels_nobody_knows_count_against() -> None:
    (one,) = Policy.load(rule(labels='{ env = "prod" }')).rules
    assert one.applies(replace(FACTS.known(None), labels=None))


@pytest.mark.parametrize(
    ("keys", "speaks"),
    [
        ({"relations": '["orders"]'}, False),
        ({"relations": '["public.orders"]'}, True),
        ({"columns": '["ssn"]'}, False),
        ({"columns": '["orders.ssn"]'}, False),
        ({"columns": '["public.orders.ssn"]'}, True),
    ],
)
def test_whether_a_verdict_may_hang_on_a_schema(keys: dict[str, str], speaks: bool) -> None:
    assert Policy.load(rule(**keys)).speaks_of_schemas(EVERYTHING) is speaks


# --- holding --------------------------------------------------------------------------------------


def test_a_held_statement_holds_its_message_and_a_refused_one_refuses_it() -> None:
    rules = rule("h", "hold", effects='["delete"]') + rule("n", effects='["ddl"]')
    held = judge(rules, "select 1; delete from t")
    assert (held.allowed, held.held, held.word, held.statement) == (False, True, "hold", 1)
    refused = judge(rules, "delete from t; drop table t")
    assert (refused.held, refused.word, refused.rule) == (False, "refuse", "n")


def test_nothing_is_held_that_would_be_refused_when_it_is_approved() -> None:
    hold = rule("h", "hold", relations='["orders"]')
    assert judge(hold, "copy orders from '/x'").rule == "server-file"
    assert judge(hold, "select * from orders", pooled=True).word == "hold"
    assert judge(hold, "prepare p as select * from orders", pooled=True).rule == "pooler"


def test_a_hold_that_names_an_effect_lets_a_person_decide() -> None:
    hold = rule("h", "hold", effects='["unknown", "server_file"]')
    assert judge(hold, "selec 1").word == "hold"
    assert judge(hold, "copy t from '/x'").rule == "h"
    assert judge(rule("h", "hold"), "selec 1").rule == "unreadable"
    doubtful = rule("h", "hold", effects='["unknown"]', roles='["dba"]')
    assert judge(doubtful, "selec 1", roles=None).rule == "unreadable"


# --- examples -------------------------------------------------------------------------------------

NIGHT = """
[[rule]]
name = "night"
reason = "nobody is awake"
verdict = "refuse"
effects = ["delete"]
times = ["22:00-06:00 Europe/Berlin"]
addresses = ["10.0.0.0/8"]
unless = { priorities = ["incident"] }
example = [
  "delete from orders",
  { sql = "delete from orders", at = 2026-11-23T23:30:00+01:00, from = "10.1.1.1" },
]
counter_example = [
  { sql = "delete from orders", at = 2026-11-23T12:00:00+01:00 },
  { sql = "delete from orders", from = "192.168.0.1" },
  { sql = "delete from orders", priority = "incident" },
  { sql = "select 1", target = "prod-db", labels = { env = "prod" }, roles = ["dba"] },
  { sql = "select 1", at = "2026-11-23T23:30:00+01:00" },
]
"""


def test_examples_may_state_facts() -> None:
    assert Policy.load(NIGHT).rules[0].about.names == ("addresses", "times")


@pytest.mark.parametrize(
    ("old", "new", "key", "message"),
    [
        ("T12:00:00+01:00", "T23:00:00+01:00", "counter_example", "matches the rule"),
        ("192.168.0.1", "10.2.0.1", "counter_example", "matches the rule"),
        ('"incident" }', '"low" }', "counter_example", "matches the rule"),
        ("T23:30:00+01:00, from", "T12:30:00+01:00, from", "example", "does not match"),
        ('from = "10.1.1.1"', 'kind = "human"', "", ""),
        ('from = "10.1.1.1"', 'kind = "people"', "example", 'unknown kind "people"'),
        ('from = "10.1.1.1"', 'form = "10.1.1.1"', "example", 'unknown key "form"'),
        ('from = "10.1.1.1"', 'from = "10.1.1"', "example", "is no address"),
        ('from = "10.1.1.1"', "labels = 1", "example", "a table of texts"),
        ("at = 2026-11-23T23:30:00+01:00", "at = 2026-11-23T23:30:00", "example", "an offset"),
        ("at = 2026-11-23T23:30:00+01:00", 'at = "soon"', "example", "an offset"),
        ('"delete from orders",\n  {', "1,\n  {", "example", "is a statement, or a table"),
        ('sql = "select 1", ', "", "counter_example", "not empty"),
    ],
)
def test_an_example_is_held_to_what_it_states(old: str, new: str, key: str, message: str) -> None:
    assert old in NIGHT
    _, problems = load(NIGHT.replace(old, new, 1))
    assert [(one.key, one.rule) for one in problems] == ([(key, "night")] if key else [])
    assert not problems or message in problems[0].message


def test_all_that_is_wrong_is_said_at_once() -> None:
    text = rule("a", efects='["ddl"]', groups="[]") + rule("b", "refus", labels='"x"')
    text += rule("c", kinds='["robot"]', addresses='["10.0.0.1/8"]', columns='["a.b.c.d"]')
    text += rule("mask-mine") + "[[budgets]]\nrows = 1\n"
    _, problems = load(text)
    assert [(one.line, one.key, one.rule) for one in problems] == [
        (5, "efects", "a"),
        (6, "groups", "a"),
        (9, "verdict", "b"),
        (11, "labels", "b"),
        (16, "kinds", "c"),
        (17, "addresses", "c"),
        (18, "columns", "c"),
        (20, "name", "mask-mine"),
        (23, "budgets", ""),
    ]
    with pytest.raises(RuleError) as caught:
        Policy.load(text)
    assert caught.value.line == 5


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"functions": '["a.b.c"]'}, "schema.function"),
        ({"columns": '["x."]'}, "schema.table.column"),
        ({"statements_above": "0"}, "from 1 on"),
        ({"unless": "{}"}, "names somebody"),
        ({"unless": "1"}, "is a table"),
        ({"unless": '{ effects = ["ddl"] }'}, 'unknown key "effects" in [rule.unless]'),
        ({"labels": "{ env = [] }"}, "not empty"),
        ({"budget": "1"}, "unknown key"),
    ],
)
def test_what_is_wrong_with_a_new_key_is_said(keys: dict[str, str], message: str) -> None:
    _, problems = load(rule(**keys))
    assert message in problems[0].message
    assert problems[0].rule == "r"
