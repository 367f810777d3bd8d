"""What stands behind a name, where no mask is declared and no rule names a schema.

Then nothing but the rule itself asks for the catalog: that it is read, and read again, shows here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hoopcli.demo.postgres import Postgres
from tests.bypass.inside import Inside
from tests.bypass.raw import Raw, codes, run, said
from tests.servers import private_folder

_RULES = """
[[rule]]
name = "no-salaries"
verdict = "refuse"
effects = ["read", "update"]
columns = ["salaries.amount"]
reason = "nobody reads what others earn"

[[rule]]
name = "no-calls"
verdict = "refuse"
effects = ["call"]
reason = "code that is not known is not run here"
"""
_SCHEMA = """
create schema pay;
create table pay.salaries (id int, name text, amount int);
insert into pay.salaries values (1, 'ana', 100);
create view pay.names as select id, name from pay.salaries;
create view pay.rich as select id, name as called, amount as a from pay.salaries;
create view pay.richer as select called, a from pay.rich;
create function pay.made() returns int language sql as 'select 1';
create table pay.notes (id int default pay.made(), body text);
create view pay.counted as select name, pay.made() as n from pay.names;
"""


@pytest.fixture(scope="module")
def inside(postgres: Postgres) -> Iterator[Inside]:
    postgres.psql("create database vault")
    postgres.psql(_SCHEMA, "vault")
    with private_folder() as folder, pytest.MonkeyPatch.context() as patch:
        Path(folder).chmod(0o700)
        patch.setenv("HOOP_TEST_PASSWORD", postgres.password)
        agent = Inside(folder, f"127.0.0.1:{postgres.port}", "")
        agent.config = agent.config.model_copy(update={"rules": _RULES})
        agent.start()
        try:
            yield agent
        finally:
            agent.stop()
            postgres.psql("drop database vault with (force)")


def ruled(raw: Raw, text: str) -> str:
    """The rule that refuses it in both protocols, or nothing."""
    simple, extended = raw.query(text), raw.ask(run(text.encode()))
    assert codes(simple) == codes(extended), said(simple) + said(extended)
    return said(simple).partition('rule "')[2].partition('"')[0]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("select name from pay.salaries", ""),
        ("select amount from pay.salaries", "no-salaries"),
        ("select id from pay.names", ""),
        ("select a from pay.rich", "no-salaries"),
        ("select called from pay.richer", "no-salaries"),
        ("update pay.richer set called = 'x'", "no-salaries"),
        ("with x as (select * from pay.richer) select 1 from x", "no-salaries"),
        ("do $$ begin perform a from pay.richer; end $$", "no-salaries"),
        ("select name from pay.counted", "no-calls"),
        ("insert into pay.notes (body) values ('x')", "no-calls"),
    ],
)
def test_a_rule_sees_what_stands_behind_a_name(inside: Inside, text: str, rule: str) -> None:
    with inside.connect() as raw:
        assert ruled(raw, text) == rule


def test_a_name_that_the_session_itself_gives_a_view_is_seen_through_at_once(
    inside: Inside,
) -> None:
    with inside.connect() as raw:
        assert codes(raw.query("alter view pay.richer rename to poorer")) == []
        try:
            assert ruled(raw, "select called from pay.poorer") == "no-salaries"
        finally:
            assert codes(raw.query("alter view pay.poorer rename to richer")) == []


@pytest.mark.parametrize(
    "text",
    [
        "create view pay.sly as select amount as a from pay.salaries",
        "create view pay.sly as select a from pay.richer",
        "create table pay.kept as table pay.richer",
    ],
)
def test_a_definition_over_it_is_refused_by_the_rule_itself(inside: Inside, text: str) -> None:
    with inside.connect() as raw:
        assert ruled(raw, text) == "no-salaries"
