"""What a statement may not do to its session: behind a pooler, and under an imposed role."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hoopcore.masking import Masking
from hoopcore.model import EVERYTHING, Kind, Principal, Target
from hoopcore.policy import Facts, Policy, decide
from hoopcore.protocols.postgres import wire
from hoopcore.protocols.postgres.stream import PostgresStream
from hoopcore.sql.imposed import Imposed
from hoopcore.sql.names import Viewer
from hoopcore.sql.postgres import read
from hoopcore.sql.session import discard_keeps_role
from hoopcore.statement import Effect
from hoopcore.stream import Side
from tests.unit.test_names import CATALOG, USABLE

ANN = Principal("p-ann", Kind.HUMAN, "https://idp", "ann")
DB = Target("db", "postgres", ("shop",))
POOLED = Facts(ANN, DB, EVERYTHING, "s-1", pooled=True)
READER = Facts(ANN, DB, EVERYTHING, "s-1", role="reader")

KEPT = {
    "set x.y = 1": "setting",
    "set session characteristics as transaction read only": "setting",
    "reset x.y": "setting",
    "discard temp": "setting",
    "select set_config('a.b', 'c', false)": "setting",
    "select set_config('a.b', 'c', $1)": "setting",
    "select set_config('a.b', 'c')": "setting",
    "load 'x'": "setting",
    "prepare p as select 1": "prepared",
    "execute p": "prepared",
    "explain execute p": "prepared",
    "deallocate p": "prepared",
    "listen a": "listen",
    "unlisten *": "listen",
    "create temp table t ()": "temporary",
    "create table pg_temp.t ()": "temporary",
    "create temp table t as select 1": "temporary",
    "create temp view v as select 1": "temporary",
    "create function pg_temp.f() returns int language sql as 'select 1'": "temporary",
    "select pg_try_advisory_lock(1)": "lock",
    "declare c cursor with hold for select 1": "cursor",
}
FREE = [
    "set local x.y = 1",
    "set transaction read only",
    "select set_config('a.b', 'c', true)",
    "select set_config('a.b', 'c', 'on'::bool)",
    "create temp table t () on commit drop",
    "create temp table t on commit drop as select 1",
    "create table t ()",
    "create function f() returns int language sql as 'select 1'",
    "notify a",
    "declare c cursor for select 1",
    "select pg_advisory_xact_lock(1)",
]


@pytest.mark.parametrize("text", KEPT)
def test_what_outlives_its_transaction_is_refused_behind_a_pooler(text: str) -> None:
    reading = read(text.encode())
    assert {kept for one in reading.statements for kept in one.keeps} == {KEPT[text]}
    if not reading.effects & {Effect.SERVER_FILE}:
        verdict = decide(Policy(), POOLED, reading)
        assert (verdict.allowed, verdict.rule) == (False, "pooler")
        assert verdict.hint


SLIPPED = {
    "select x.pg_advisory_lock from generate_series(1, 1) x": "lock",
    "set local search_path = pg_temp": "temporary",
    "set local search_path = nowhere, 'PG_TEMP'": "temporary",
    "select set_config('search_path', 'pg_temp, public', true)": "temporary",
    "create table pg_temp_3.t (a int)": "temporary",
    "select 1 as a into pg_temp_3.t": "temporary",
    "create type pg_temp.t as enum ('a')": "temporary",
    "create domain pg_temp.t as int": "temporary",
    "create aggregate pg_temp.a (int) (sfunc = int4pl, stype = int)": "temporary",
    "create function pg_temp_3.f() returns int language sql as 'select 1'": "temporary",
    "update pg_settings set setting = '1MB' where name = 'work_mem'": "setting",
}


@pytest.mark.parametrize("text", SLIPPED)
def test_no_other_spelling_leaves_something_behind_a_pooler(text: str) -> None:
    reading = read(text.encode())
    assert {kept for one in reading.statements for kept in one.keeps} == {SLIPPED[text]}
    assert decide(Policy(), POOLED, reading).rule == "pooler"


@pytest.mark.parametrize("text", FREE)
def test_what_ends_with_its_transaction_is_free(text: str) -> None:
    assert decide(Policy(), POOLED, read(text.encode())).allowed


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("select 1", True),
        ("set statement_timeout = 1", True),
        ("discard all", True),
        ("reset all", True),
        ("create table t (a int)", True),
        ("set role none", False),
        ("alter role ann set role = none", False),
        ("select f()", False),
        ("do $$ begin end $$", True),
        ("do $$ begin perform f(); end $$", False),
        ("do $$ begin set role none; end $$", False),
        ("create trigger t before insert on o execute function f()", False),
        ("create function f() returns int language sql as 'select 1'", False),
    ],
)
def test_the_way_out_of_a_role_is_refused(text: str, allowed: bool) -> None:
    verdict = decide(Policy(), READER, read(text.encode()))
    assert (verdict.allowed, verdict.rule) == (allowed, "" if allowed else "database-role")


def test_what_cannot_be_read_is_no_way_out_though_a_rule_allows_it() -> None:
    rule = '[[rule]]\nname = "a"\nverdict = "allow"\nreason = "r"\neffects = ["unknown"]\n'
    reading = read(b"set role none; \\ what")
    assert reading.effects == {Effect.UNKNOWN}
    free = Facts(ANN, DB, EVERYTHING, "s-1")
    limited = replace(free, imposed=Imposed(statement_timeout=1000))
    rules = [
        decide(Policy.load(rule), facts, reading).rule for facts in (free, READER, POOLED, limited)
    ]
    assert rules == ["a", "database-role", "pooler", "imposed-setting"]


@pytest.mark.parametrize(
    ("version", "keeps"),
    [
        ("18.0", True), ("17.2", True), ("17.1", False), ("16.6 (Debian 16.6-1.pgdg120+1)", True),
        ("15.8", False), ("15.10", True), ("14.14", False), ("11.22", False), ("19beta1", True),
        ("17rc1", False), ("", False), ("Postgres", False),
    ],
)  # fmt: skip
def test_discard_all_is_a_way_out_on_servers_that_forget_the_role(
    version: str, keeps: bool
) -> None:
    facts = replace(READER, discards=discard_keeps_role(version))
    assert decide(Policy(), facts, read(b"discard all")).allowed is keeps
    assert decide(Policy(), facts, read(b"discard plans")).allowed
    assert decide(Policy(), facts, read(b"reset all")).allowed


@pytest.mark.parametrize("name", ["pg_settings", "pg_catalog.pg_settings"])
def test_no_view_of_the_settings_is_made(name: str) -> None:
    """Changing its rows calls set_config, unseen: search_path, or what a text means."""
    free = Facts(ANN, DB, EVERYTHING, "s-1")
    for view in ("create view v as", "create temp view v as select a.setting from", "table"):
        text = f"{view} select * from {name}" if view.endswith("as") else f"{view} {name} a"
        allowed = not view.startswith("create")
        verdict = decide(Policy(), free, read(text.removesuffix(" a" * allowed).encode()))
        assert (verdict.allowed, verdict.rule) == (allowed, "" if allowed else "unreadable")


def test_verdicts_rest_on_what_names_are_known_to_mean() -> None:
    policy = Policy.load(
        '[[rule]]\nname = "pay"\nverdict = "refuse"\nreason = "no"\nrelations = ["payroll.*"]\n'
    )
    names = Viewer("ben", "public, payroll", USABLE).names(CATALOG)
    known = Facts(ANN, DB, EVERYTHING, "s-1", names=names)
    unknown = Facts(ANN, DB, EVERYTHING, "s-1")
    assert decide(policy, known, read(b"select * from orders")).allowed
    assert not decide(policy, unknown, read(b"select * from orders")).allowed
    for facts in (known, unknown):
        assert not decide(policy, facts, read(b"select * from pay")).allowed


def test_rules_and_scopes_say_whether_schemas_matter() -> None:
    rule = '[[rule]]\nname = "a"\nverdict = "refuse"\nreason = "no"\nrelations = ["{}"]\n'
    assert Policy.load(rule.format("payroll.*")).speaks_of_schemas(EVERYTHING)
    assert not Policy.load(rule.format("orders")).speaks_of_schemas(EVERYTHING)
    assert not Policy().speaks_of_schemas(EVERYTHING)
    assert Policy().speaks_of_schemas(EVERYTHING.parse("public.orders:read"))


# --- the stream -----------------------------------------------------------------------------------


def stream(*, pooled: bool) -> PostgresStream:
    return PostgresStream({"client_encoding": "UTF8"}, Masking().bind(None), "s-1", pooled=pooled)


def bind() -> bytes:
    return wire.frame(wire.BIND, b"\0\0" + b"\0\0" * 3)


SYNC = wire.frame(wire.SYNC)


def run_in_the_next_batch(it: PostgresStream, status: bytes) -> bool:
    """Prepares the unnamed statement, and binds it a batch later; whether it is known then."""
    it.feed(Side.CLIENT, wire.parse(b"", b"select 1") + SYNC)
    ask = it.next_ask()
    assert ask is not None
    it.forward(ask, read(ask.text))
    it.pump()
    it.feed(Side.TARGET, wire.frame(wire.PARSE_COMPLETE) + wire.ready_for_query(status))
    it.from_target()
    it.feed(Side.CLIENT, bind())
    ask = it.next_ask()
    assert ask is not None
    assert ask.reading is not None
    return not any("prepared" in one.keeps for one in ask.reading.statements)


def test_an_unnamed_statement_is_known_as_long_as_the_server_connection_stays() -> None:
    assert run_in_the_next_batch(stream(pooled=False), b"I")
    assert run_in_the_next_batch(stream(pooled=True), b"T")
    assert not run_in_the_next_batch(stream(pooled=True), b"I")


def test_a_session_is_settled_when_it_is_idle_and_in_no_transaction() -> None:
    it = stream(pooled=False)
    assert it.settled
    it.feed(Side.CLIENT, wire.query(b"begin"))
    ask = it.next_ask()
    assert ask is not None
    it.forward(ask, read(b"begin"))
    assert not it.settled
    it.feed(Side.TARGET, wire.frame(wire.COMMAND_COMPLETE, b"BEGIN\0") + wire.ready_for_query(b"T"))
    it.from_target()
    assert it.idle
    assert not it.settled


def test_a_goodbye_is_said_between_messages_only() -> None:
    whole = wire.query(b"select 1") + wire.query(b"select 2")
    for cut in range(len(whole) + 1):
        it = stream(pooled=False)
        it.feed(Side.CLIENT, whole[:cut])
        between = cut in (0, len(whole) // 2, len(whole))
        assert it.goodbye() == (wire.frame(wire.TERMINATE) if between else b"")
