"""What a statement may not do to its session: behind a pooler, and under an imposed role."""

from __future__ import annotations

import pytest

from hoopcore.masking import Masking
from hoopcore.model import EVERYTHING, Kind, Principal, Target
from hoopcore.policy import Facts, Policy, decide
from hoopcore.protocols.postgres import wire
from hoopcore.protocols.postgres.stream import PostgresStream
from hoopcore.sql.names import Viewer
from hoopcore.sql.postgres import read
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
        ("do $$ begin end $$", False),
        ("create trigger t before insert on o execute function f()", False),
        ("create function f() returns int language sql as 'select 1'", False),
    ],
)
def test_the_way_out_of_a_role_is_refused(text: str, allowed: bool) -> None:
    verdict = decide(Policy(), READER, read(text.encode()))
    assert (verdict.allowed, verdict.rule) == (allowed, "" if allowed else "database-role")


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
