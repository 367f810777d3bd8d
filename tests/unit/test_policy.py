"""Verdicts: rules by strength, the scope of a grant, and what needs an allowance."""

from __future__ import annotations

import pytest

from hoopcore.model import EVERYTHING, NOTHING, Kind, Principal, Scope, Target
from hoopcore.policy import Facts, Policy, Verdict, decide
from hoopcore.sql.postgres import read

ANA = Principal("u-1", Kind.HUMAN, "issuer", "ana", groups=frozenset({"dev", "oncall"}))
PROD = Target("prod-db", "postgres", ("app",))


def rule(name: str = "r", verdict: str = "refuse", **keys: str) -> str:
    lines = [f'name = "{name}"', f'verdict = "{verdict}"', 'reason = "because"']
    lines += [f"{key} = {value}" for key, value in keys.items()]
    return "[[rule]]\n" + "\n".join(lines) + "\n"


def judge(text: str, rules: str = "", *, scope: Scope = EVERYTHING) -> Verdict:
    facts = Facts(ANA, PROD, scope, "s-1")
    return decide(Policy.load(rules), facts, read(text.encode()))


def scoped(text: str, scope: str, rules: str = "") -> Verdict:
    return judge(text, rules, scope=Scope.parse(scope))


# --- with no rule ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["", "select 1", "delete from t", "drop table t", "select f()", "begin", "set role x"]
)
def test_what_no_rule_speaks_of_is_allowed(text: str) -> None:
    assert judge(text) == Verdict(True, "", "", "")


@pytest.mark.parametrize(
    ("text", "name", "effect"),
    [
        ("selec 1", "unreadable", "unknown"),
        ("set search_path = public, pg_catalog", "unreadable", "unknown"),
        ("copy t from '/etc/passwd'", "server-file", "server_file"),
        ("copy t to program 'x'", "program", "program"),
        ("create function f() returns int language c as 'x'", "server-file", "server_file"),
    ],
)
def test_what_needs_an_allowance_is_refused_without_one(text: str, name: str, effect: str) -> None:
    verdict = judge(text)
    assert not verdict.allowed
    assert verdict.rule == name
    assert verdict.reason
    assert judge(text, rule("ok", "allow", effects=f'["{effect}"]')) == Verdict(True, "ok", "", "")
    assert not judge(text, rule("ok", "allow", effects='["read", "insert", "ddl"]')).allowed


def test_unreadable_statement_says_what_stood_in_the_way() -> None:
    assert judge("select (").reason == (
        "the statement cannot be read: it is not in PostgreSQL's grammar"
    )


def test_allowance_for_some_relations_holds_only_where_all_of_them_are_certain() -> None:
    allow = rule("ok", "allow", effects='["server_file"]', relations='["stage.*"]')
    assert judge("copy stage.t from '/x'", allow).allowed
    assert not judge("copy t from '/x'", allow).allowed
    assert not judge("copy stage.t from '/x'", allow.replace("stage.*", "stage.u")).allowed
    assert not judge("copy stage.t from '/x' where a = 1; copy u from '/x'", allow).allowed
    assert not judge("copy (select * from stage.t, u) to '/x'", allow).allowed
    assert not judge("copy (select f() from stage.t) to '/x'", allow).allowed
    assert not judge("load 'x'", allow).allowed
    anywhere = rule("ok", "allow", effects='["server_file"]', relations='["*.t"]')
    assert judge("copy t from '/x'", anywhere).allowed


def test_one_effect_s_allowance_is_not_another_s() -> None:
    text = "alter system set archive_command = 'x'"
    both = rule("ok", "allow", effects='["server_file", "program"]')
    assert not judge(text, rule("ok", "allow", effects='["program"]')).allowed
    assert judge(text, both).allowed


# --- refusals -------------------------------------------------------------------------------------


def test_refusal_gives_its_name_and_reason_and_what_to_do() -> None:
    verdict = judge("drop table t", rule("no-ddl", effects='["ddl"]'))
    assert (verdict.allowed, verdict.rule, verdict.reason) == (False, "no-ddl", "because")
    assert "prod-db" in verdict.hint


@pytest.mark.parametrize("order", [1, -1])
def test_refusal_beats_hold_beats_allowance_in_any_order(order: int) -> None:
    rules = [rule("a", "allow", effects='["ddl"]'), rule("h", "hold"), rule("n", effects='["ddl"]')]
    assert judge("drop table t", "".join(rules[::order])).rule == "n"
    verdict = judge("select 1", "".join(rules[::order]))
    assert (verdict.allowed, verdict.rule) == (False, "h")
    assert "approved" in verdict.hint


def test_one_refused_statement_refuses_the_message() -> None:
    no_delete = rule(effects='["delete"]')
    assert not judge("select 1; delete from t; select 2", no_delete).allowed
    assert not judge("with x as (delete from t returning 1) select 1", no_delete).allowed
    assert not judge("prepare p as delete from t", no_delete).allowed


@pytest.mark.parametrize(
    ("keys", "matches"),
    [
        ({"targets": '["prod-*"]'}, True),
        ({"targets": '["prod-d?"]'}, True),
        ({"targets": '["test", "stage-*"]'}, False),
        ({"targets": '["prod"]'}, False),
        ({"groups": '["oncall"]'}, True),
        ({"groups": '["dba"]'}, False),
        ({"targets": '["*"]', "groups": '["dba"]'}, False),
        ({}, True),
    ],
)
def test_rule_speaks_of_its_targets_and_groups(keys: dict[str, str], matches: bool) -> None:
    assert judge("select 1", rule(**keys)).allowed is not matches


@pytest.mark.parametrize(
    ("relations", "text", "matches"),
    [
        ("public.orders", "select * from public.orders", True),
        ("public.orders", "select * from orders", True),  # search_path may find it
        ("public.orders", "select * from app.orders", False),
        ("orders", "select * from app.orders", True),
        ("*.orders", "select * from app.orders", True),
        ("public.ord*", "select * from public.orders", True),
        ("public.o?d*", "select * from public.orders", True),
        ("public.order", "select * from public.orders", False),
        ("public.[o]rders", "select * from public.orders", False),
        ("public.orders", 'select * from "public"."Orders"', False),
        ("public.orders", "select * from x where a in (select b from public.orders)", True),
        ("public.orders", "insert into x select * from orders", True),
        ("public.orders", "with orders as (select 1) select * from orders", False),
        ("public.orders", "select 'orders'", False),
        ("café", 'select * from "CAFÉ"', True),
        ("cafÉ", 'select * from "cafÉ"', True),
        ("é", 'select * from "É"', True),  # a LATIN1 server folds it
    ],
)
def test_refusal_takes_a_relation_that_may_be_meant(
    relations: str, text: str, matches: bool
) -> None:
    assert judge(text, rule(relations=f'["{relations}"]')).allowed is not matches


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("delete from orders", True),
        ("delete from notes where id in (select id from orders)", False),
        ("insert into orders select * from notes", False),
        ("with x as (delete from orders returning 1) insert into notes select * from x", True),
    ],
)
def test_effect_and_relation_belong_together(text: str, matches: bool) -> None:
    found = judge(text, rule(effects='["delete"]', relations='["orders"]'))
    assert found.allowed is not matches


@pytest.mark.parametrize(
    ("effect", "text", "matches"),
    [
        ("read", "select f()", True),  # f may read anything
        ("truncate", "truncate notes cascade", True),
        ("truncate", "truncate notes", False),
        ("ddl", "drop table notes cascade", True),
        ("delete", "select f()", False),  # a rule about delete says nothing about code
        ("call", "select f() from orders", True),
        ("call", "select f()", True),
        ("copy_out", "copy orders to stdout", True),
        ("copy_out", "copy (select * from notes, orders) to stdout", True),
        ("copy_out", "copy notes to stdout", False),
        ("server_file", "copy orders to '/x'", True),
        ("lock", "select * from orders for update", True),
        ("grant", "grant select on all tables in schema public to x", True),
    ],
)
def test_statement_that_may_reach_further_may_be_the_rule_s(
    effect: str, text: str, matches: bool
) -> None:
    found = judge(text, rule(effects=f'["{effect}"]', relations='["orders"]'))
    assert (found.rule == "r") is matches


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("delete from orders", True),
        ("delete from orders where true", True),
        ("delete from orders where id = 1", False),
        ("update orders set a = 1", True),
        ("update orders set a = 1 where id = 1", False),
        ("select * from orders", False),
        ("with x as (update orders set a = 1 returning 1) select 1", True),
        ("delete from notes", False),
        ("delete from orders where id = 1; delete from notes", False),
    ],
)
def test_missing_where_is_seen(text: str, matches: bool) -> None:
    rules = rule(missing_where="true", relations='["orders"]')
    assert judge(text, rules).allowed is not matches


def test_missing_where_of_one_effect_only() -> None:
    rules = rule(missing_where="true", effects='["delete"]')
    assert judge("update t set a = 1", rules).allowed
    assert not judge("delete from t", rules).allowed


# --- the scope ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "text"),
    [
        ("public.orders:select", "select * from public.orders"),
        ("orders:select", "select * from orders"),
        ("orders:select", "select * from public.orders"),
        ("public.*:read", "select * from public.orders, public.notes"),
        ("*.*:read", "select * from orders"),
        ("orders:read+update", "update orders set a = 1 where id = 2 returning *"),
        ("orders:update", "update orders set a = 1"),
        ("orders:read", "copy orders to stdout"),
        ("orders:insert", "copy orders from stdin"),
        ("orders:read+update", "select * from orders for update"),
        ("orders:read", "select 1; begin; set a.b = 1; show all; listen x; commit"),
        ("orders:read", "prepare p as select * from orders"),
        ("orders:read", "with x as (select * from orders) select * from x"),
        ("orders:read *.*:call", "select f() from orders"),
        ("orders:read *.*:call", "execute p"),
        ("*.*:ddl", "drop table orders"),
        ("*.*:ddl", "create type x as enum ('a')"),
        ("*.*:grant *.*:call", "create role x"),
        ("*.*:*", "do $$ begin end $$"),
        ("*.*:maintenance", "vacuum"),
    ],
)
def test_statement_within_its_scope_is_allowed(scope: str, text: str) -> None:
    assert scoped(text, scope) == Verdict(True, "", "", "")


@pytest.mark.parametrize(
    ("scope", "text", "missing"),
    [
        ("public.orders:select", "select * from orders", "*.orders:read"),
        ("public.orders:select", "select * from app.orders", "app.orders:read"),
        ("orders:read", "select * from orders, notes", "*.notes:read"),
        ("orders:read", "update orders set a = 1", "*.orders:update"),
        ("orders:update", "update orders set a = 1 returning *", "*.orders:read"),
        ("orders:read", "select * from orders for update", "*.orders:lock"),
        ("orders:insert", "insert into orders select * from notes", "*.notes:read"),
        ("orders:*", "select f() from orders", "*.*:call"),
        ("orders:*", "execute p", "*.*:call"),
        ("orders:*", "fetch c", "*.*:call"),
        ("orders:*", "create type x as enum ('a')", "*.*:ddl"),
        ("orders:*", "set role x", "*.*:role"),
        ("orders:*", "vacuum", "*.*:maintenance"),
        ("orders:*", "do $$ begin perform f(); end $$", "*.*:call"),
        ("orders:*", "truncate orders cascade", "*.*:call"),
        ("*.*:ddl", "drop owned by x", "*.*:call"),
        ("orders:read", "explain analyze delete from orders", "*.orders:delete"),
        ("orders:read", "explain select * from notes", "*.notes:read"),
    ],
)
def test_statement_outside_its_scope_is_refused_and_says_what_to_ask_for(
    scope: str, text: str, missing: str
) -> None:
    verdict = scoped(text, scope)
    assert (verdict.allowed, verdict.rule) == (False, "scope")
    assert missing in verdict.reason
    assert f'hoop request prod-db --scope "{missing}" --reason "…"' in verdict.hint


def test_empty_scope_allows_only_what_touches_nothing() -> None:
    assert judge("select 1", scope=NOTHING).allowed
    assert not judge("select * from t", scope=NOTHING).allowed


def test_rule_is_named_before_the_scope() -> None:
    assert scoped("delete from t", "t:read", rule("n", effects='["delete"]')).rule == "n"


def test_allowance_does_not_widen_the_scope() -> None:
    allow = rule("ok", "allow", effects='["server_file", "read"]')
    assert scoped("copy t to '/x'", "t:read", allow).rule == "scope"
    assert scoped("copy t to '/x'", "t:read *.*:server_file", allow).allowed


def test_hint_holds_nothing_that_a_shell_would_run() -> None:
    verdict = scoped('select * from "$(reboot)"', "t:read")
    assert "reboot" not in verdict.hint
    assert "SCHEMA.TABLE:VERB" in verdict.hint


def test_the_description_of_the_schema_needs_no_scope() -> None:
    assert scoped("select relname from pg_catalog.pg_class", "public.orders:read").allowed
    assert scoped("select table_name from information_schema.tables", "public.orders:read").allowed


@pytest.mark.parametrize("relation", ["pg_stats", "pg_authid", "pg_statistic", "pg_largeobject"])
def test_what_holds_values_of_rows_is_no_description(relation: str) -> None:
    assert not scoped(f"select * from pg_catalog.{relation}", "public.orders:read").allowed


def test_a_name_without_its_schema_is_no_description() -> None:
    assert not scoped("select * from pg_class", "public.orders:read").allowed
