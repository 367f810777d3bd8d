"""Settings that are imposed: how they are written, and what would undo them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hoopcore.model import EVERYTHING, Kind, Principal, Target
from hoopcore.policy import Facts, Policy, RuleError, decide
from hoopcore.protocols.postgres.startup import _split_options
from hoopcore.sql.imposed import (
    NOTHING_IMPOSED,
    Imposed,
    as_options,
    for_startup,
    for_transaction,
    milliseconds,
)
from hoopcore.sql.postgres import read

ANA = Principal("u-1", Kind.HUMAN, "issuer", "ana", groups=frozenset({"dev"}))
FACTS = Facts(ANA, Target("prod-db", "postgres", ("app",)), EVERYTHING, "s-1")
ALL = Imposed(30_000, 60_000, read_only=True)

RULES = """
[[impose]]
name = "short"
reason = "nobody waits for long here"
statement_timeout = "1m30s"
idle_in_transaction_session_timeout = "5m"

[[impose]]
name = "reading"
reason = "changes are made by migrations"
read_only = true
statement_timeout = "30s"

[impose.unless]
groups = ["dba"]
"""


def told(text: str, imposed: Imposed = ALL, *, pooled: bool = False) -> str:
    facts = replace(FACTS, imposed=imposed, pooled=pooled)
    verdict = decide(Policy.load(""), facts, read(text.encode()))
    return "" if verdict.allowed else verdict.rule


def test_of_all_that_apply_the_strictest_is_imposed() -> None:
    policy = Policy.load(RULES)
    assert policy.imposed(FACTS) == Imposed(30_000, 300_000, read_only=True)
    dba = replace(FACTS, principal=replace(ANA, groups=frozenset({"dba"})))
    assert policy.imposed(dba) == Imposed(90_000, 300_000)
    assert Policy.load("").imposed(FACTS) is NOTHING_IMPOSED
    assert not NOTHING_IMPOSED


@pytest.mark.parametrize(
    "text",
    [
        "set statement_timeout = 0",
        "set statement_timeout to '31s'",
        "SET Session STATEMENT_TIMEOUT = '1min'",
        "set local statement_timeout = '1h'",
        "set statement_timeout = '0.5min'",
        "set statement_timeout = '0x10'",
        "set statement_timeout = '400us'",
        "set statement_timeout = -1",
        "select set_config('statement_timeout', '0', false)",
        "select set_config('Statement_Timeout', '0', true)",
        "select set_config('statement_' || 'timeout', '0', false)",
        "update pg_settings set setting = '0' where name = 'statement_timeout'",
        "update pg_catalog.pg_settings set setting = '0'",
        "set idle_in_transaction_session_timeout = '2min'",
        "begin read write",
        "start transaction isolation level serializable, read write",
        "set transaction read write",
        "set session characteristics as transaction read write",
        "set transaction_read_only = off",
        "set transaction_read_only to default",
        "reset transaction_read_only",
        "set default_transaction_read_only = 'off'",
        "set default_transaction_read_only to 'o'",
        "select set_config('transaction_read_only', 'f', true)",
        "do $$ begin set statement_timeout = 0; end $$",
        "select f()",
        "call p()",
        "create function f() returns int language sql as 'select 1'",
        "create function f() returns int language sql set statement_timeout = 0 as 'select 1'",
        "load 'x'",
        "select 1; set statement_timeout = 0; select 2",
        "prepare p as select set_config('statement_timeout', '0', false)",
    ],
)
def test_what_would_undo_an_imposed_setting_is_refused(text: str) -> None:
    assert told(text) in ("imposed-setting", "server-file")
    assert told(text, NOTHING_IMPOSED) != "imposed-setting"


@pytest.mark.parametrize(
    "text",
    [
        "set statement_timeout = '5s'",
        "set statement_timeout = 30000",
        "set local statement_timeout = '30 s'",
        "select set_config('statement_timeout', '100', false)",
        "reset statement_timeout",
        "set statement_timeout to default",
        "set local idle_in_transaction_session_timeout to default",
        "reset all",
        "discard all",
        "begin",
        "begin read only",
        "set transaction read only",
        "set default_transaction_read_only = on",
        "reset default_transaction_read_only",
        "commit and chain",
        "set lock_timeout = 0",
        "show statement_timeout",
        "select current_setting('statement_timeout')",
        "alter role ana set statement_timeout = 0",  # what a startup packet says wins over it
        "select count(*) from orders",
    ],
)
def test_what_goes_back_to_the_startup_packet_or_is_stricter_passes(text: str) -> None:
    assert told(text) == ""


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("set local statement_timeout = '5s'", ""),
        ("set local statement_timeout to default", "imposed-setting"),
        ("reset statement_timeout", "pooler"),
        ("discard all", "pooler"),
        ("commit and chain", "imposed-setting"),
        ("rollback and chain", "imposed-setting"),
        ("commit", ""),
        ("begin; select 1; commit", ""),
        ("begin; commit; select 1", "imposed-setting"),
        ("rollback; begin", "imposed-setting"),
        ("prepare transaction 'a'; select 1", "imposed-setting"),
        ("savepoint a; rollback to a; select 1", ""),
        ("do $$ begin commit; delete from t where a = 1; end $$", "imposed-setting"),
        ("do $$ begin rollback; end $$", "imposed-setting"),
        ("do $$ begin delete from t where a = 1; end $$", ""),
        ("start transaction; set transaction read only; release a; commit", ""),
        ("set local work_mem to default", ""),
    ],
)
def test_behind_a_pooler_nothing_may_go_back_to_the_pooler_s_own(text: str, rule: str) -> None:
    assert told(text, pooled=True) == rule


def test_only_what_is_imposed_is_guarded() -> None:
    assert told("set statement_timeout = 0", Imposed(read_only=True)) == ""
    assert told("begin read write", Imposed(5000)) == ""


def test_the_startup_packet_has_the_stricter_of_both_wishes() -> None:
    wished = {"statement_timeout": "5s", "TimeZone": "UTC", "default_transaction_read_only": "off"}
    assert for_startup(ALL, wished) == {
        "statement_timeout": "5000",
        "TimeZone": "UTC",
        "default_transaction_read_only": "on",
        "idle_in_transaction_session_timeout": "60000",
    }
    for weaker in ("0", "1h", "nonsense", "-1", ""):
        assert for_startup(ALL, {"statement_timeout": weaker})["statement_timeout"] == "30000"
    assert for_startup(NOTHING_IMPOSED, wished) == wished


@pytest.mark.parametrize("value", ["plain", "two words", "back\\slash", "tab\there", "", "a\\ b"])
def test_options_are_read_back_as_they_were_written(value: str) -> None:
    written = as_options({"a.b": value, "c": "1"})
    assert _split_options(written) == ["-c", f"a.b={value}", "-c", "c=1"]


def test_a_transaction_behind_a_pooler_begins_with_them() -> None:
    text = "; ".join(for_transaction(ALL))
    assert text == (
        "SET LOCAL statement_timeout = 30000; "
        "SET LOCAL idle_in_transaction_session_timeout = 60000; "
        "SET LOCAL transaction_read_only = on"
    )
    assert [one.tag for one in read(text.encode()).statements] == ["SET", "SET", "SET"]
    assert for_transaction(NOTHING_IMPOSED) == ()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        *(("5000", 5000), (" 5 s ", 5000), ("2min", 120_000), ("1d", 86_400_000), ("25d", None)),
        *(("1.5s", None), ("10us", None), ("", None), ("5 sec", None), ("99999999999999", None)),
    ],
)
def test_times_are_read_as_postgresql_reads_them_or_not_at_all(
    value: str, told: int | None
) -> None:
    assert milliseconds(value) == told


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "message"),
    [
        ('"1m30s"', '"0s"', 5, "statement_timeout", "from 1ms"),
        ('"1m30s"', "30", 5, "statement_timeout", "a duration"),
        ('"1m30s"', '"30d"', 5, "statement_timeout", "24 days"),
        ("read_only = true", 'read_only = "yes"', 11, "read_only", "true or false"),
        ('groups = ["dba"]', 'times = ["sat UTC"]', 15, "times", "unknown key"),
        ('reason = "nobody', 'times = ["sat UTC"]\nreason = "nobody', 4, "times", "unknown key"),
        ('name = "reading"', 'name = "short"', 9, "name", "two rules named"),
        ('read_only = true\nstatement_timeout = "30s"', "", 8, "", "nothing is imposed"),
    ],
)
def test_what_is_wrong_with_an_imposition_is_said(
    old: str, new: str, line: int, key: str, message: str
) -> None:
    assert old in RULES
    with pytest.raises(RuleError) as caught:
        Policy.load(RULES.replace(old, new, 1))
    assert (caught.value.line, caught.value.key) == (line, key)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("told", "holds"),
    [
        *(("30s|1min|on", True), ("5s|1ms|on", True), ("31s|1min|on", False)),
        *(("0|1min|on", False), ("30s|0|on", False), ("30s|1min|off", False)),
        *(("", False), ("30s", False), ("30s|1min|on|x", True), ("x|1min|on", False)),
    ],
)
def test_what_a_server_says_shows_whether_they_hold(told: str, holds: bool) -> None:
    assert ALL.holds(told) is holds
    assert NOTHING_IMPOSED.holds(told)


def test_settings_are_within_others_that_are_as_strict() -> None:
    assert Imposed(30_000).is_within(ALL)
    assert Imposed(40_000).is_within(ALL)
    assert NOTHING_IMPOSED.is_within(ALL)
    for stricter in (Imposed(20_000), Imposed(0, 50_000), Imposed(read_only=True)):
        assert not stricter.is_within(Imposed(30_000, 60_000))
