"""The list of ways a statement escapes policy, each by its name, in both protocols.

The rows of ``ways.py`` name these tests and others; the last tests here hold that table, the tests
it names and ``docs/reference/escapes.md`` together.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hoopcore.protocols.postgres import wire
from tests.bypass.raw import codes, kinds, run, said, values
from tests.bypass.test_escapes_policy import EXECUTE, NO, SYNC, bind, state
from tests.bypass.ways import LATER, WAYS
from tests.bypass.world import Doorway, Vault

TESTS = Path(__file__).parents[1]
DOCS = TESTS.parent / "docs" / "reference" / "escapes.md"

# On the target where an unbounded DELETE is refused.
_FORBIDDEN: dict[str, tuple[str, ...]] = {
    "comments": ("delete/**/from app.pub -- where id = 1",),
    "nested comments": ("/* /* a */ */ delete from app.pub /* /* b */ where id = 1 */",),
    "quotes": ('delete from "app"."pub"', "select 'it''s'; delete from app.pub"),
    "escape strings": ("select E'\\''; delete from app.pub; --'",),
    "dollar quotes": ("select $a$ $b$ $a$; delete from app.pub; select $b$ $b$",),
    "Unicode escapes": (
        'delete from U&"\\0061pp"."pub"',
        "select U&'!0027' uescape '!'; delete from app.pub; --'",
    ),
    "several statements": ("select 1; delete from app.pub", "delete from app.pub; select 1"),
    "EXECUTE of a prepared text": (
        "prepare p as delete from app.pub",
        "prepare p as delete from app.pub; execute p",
    ),
    "CTE writes": ("with x as (delete from app.pub returning *) select count(*) from x",),
    "DO": (
        "do $$ begin delete from app.pub; end $$",
        "do 'declare n int; begin select 1 into n; if n = 1 then delete from app.pub; end if; end'",
        "do $$ begin do 'begin delete from app.pub; end'; end $$",
    ),
    "DO with EXECUTE": (
        "do 'begin execute ''del'' || ''ete from app.pub''; end'",
        "do $$ declare t text; begin for t in execute 'select 1' loop null; end loop; end $$",
    ),
    "COPY PROGRAM": (
        "copy app.pub (note) from program 'echo 1'",
        "copy (select 1) to program 'cat'",
    ),
    "server files": (
        "copy app.pub from '/etc/hostname'",
        "copy (select 1) to '/tmp/hoop-listed'",
        "select pg_read_file('/etc/hostname')",
        "select lo_import('/etc/hostname')",
    ),
    "search_path shadowing": ("set search_path = app, pg_catalog",),
    "set_config": ("select set_config('search_path', 'app, pg_catalog', false)",),
    "a rule that deletes": ("insert into app.inbox values (1)",),
}
_NO_UNBOUNDED = {"no-unbounded-delete", "unreadable", "program", "server-file"}
# On the target where calls of unknown code are refused.
_CALLS: dict[str, tuple[str, ...]] = {
    "SELECT of a function that writes": ("select app.keep('x')", "select * from app.writes()"),
    "large objects": (
        "select lo_create(0)",
        "select lo_from_bytea(0, 'x')",
        "select lo_unlink(1)",
        "select lowrite(0, 'x')",
    ),
    "STABLE calls VOLATILE": ("select app.wraps()", "select id from app.pub where n = app.wraps()"),
    "a view that calls": ("select w from app.calling", "table app.calling"),
    "a default that calls": (
        "insert into app.stamped (id) values (1)",
        "insert into app.stamped default values",
    ),
    "a domain that calls": ("insert into app.oddly values ('y')",),
}


@pytest.fixture(autouse=True)
def nothing_is_done(vault: Vault) -> Iterator[None]:
    assert vault.postgres is not None
    written = "select count(*) from app.written"
    before = state(vault), vault.postgres.psql(written, "vault")
    yield
    assert (state(vault), vault.postgres.psql(written, "vault")) == before


def simple(text: str) -> bytes:
    return wire.query(text.encode())


def extended(text: str) -> bytes:
    return run(text.encode())


@pytest.mark.parametrize("protocol", [simple, extended])
@pytest.mark.parametrize("trick", [*_FORBIDDEN, *_CALLS])
def test_a_listed_way_is_closed_in_both_protocols(
    door: Doorway, strict: Doorway, trick: str, protocol: Callable[[str], bytes]
) -> None:
    target = door if trick in _FORBIDDEN else strict
    rules = _NO_UNBOUNDED if trick in _FORBIDDEN else {"no-calls"}
    with target.connect() as raw:
        for text in (_FORBIDDEN | _CALLS)[trick]:
            got = raw.ask(protocol(text))
            assert codes(got) == ["42501"], (text, said(got))
            assert any(f'rule "{rule}"' in said(got) for rule in rules), (text, said(got))
            assert "D" not in kinds(got)
        assert values(raw.query("select 1")) == [[b"1"]]


@pytest.mark.parametrize("protocol", [simple, extended])
def test_strings_that_are_not_standard_hide_nothing(
    door: Doorway, protocol: Callable[[str], bytes]
) -> None:
    with door.connect() as raw:
        assert codes(raw.ask(protocol("set standard_conforming_strings = off"))) == []
        got = raw.ask(protocol("select 'a\\'', $$'; delete from app.pub; --$$"))
        assert codes(got) == ["42501"]


@pytest.mark.parametrize("protocol", [simple, extended])
def test_an_unsafe_encoding_is_refused_in_both_protocols(
    door: Doorway, protocol: Callable[[str], bytes]
) -> None:
    with door.connect() as raw:
        for name in ("SJIS", "BIG5", "GBK", "GB18030", "UHC", "JOHAB"):
            for text in (
                f"set client_encoding = '{name}'",
                f"select set_config('client_encoding', '{name}', false)",
                f"set names '{name}'",
            ):
                assert codes(raw.ask(protocol(text))) == ["42501"], text


def test_prepared_once_and_run_often_is_refused_always(door: Doorway) -> None:
    with door.connect() as raw:
        assert codes(raw.query(f"prepare often as {NO.decode()}")) == ["42501"]
        for _ in range(2):
            assert codes(raw.query("execute often")) == ["26000"]  # there is no such statement
        assert codes(raw.ask(wire.parse(b"often", NO) + SYNC)) == ["42501"]
        for _ in range(2):
            assert codes(raw.ask(bind(b"often") + EXECUTE + SYNC)) == ["26000"]


def test_a_name_that_sql_prepares_runs_nothing_forbidden(door: Doorway) -> None:
    """DEALLOCATE and PREPARE under the name of a protocol statement that was allowed."""
    with door.connect() as raw:
        assert codes(raw.ask(wire.parse(b"same", b"select 1") + SYNC)) == []
        got = raw.query("deallocate same; prepare same as delete from app.pub")
        assert codes(got) == ["42501"]
        assert values(raw.ask(bind(b"same") + EXECUTE + SYNC)) == [[b"1"]]
        assert codes(raw.query("deallocate same")) == []
        assert codes(raw.query("prepare same as delete from app.pub")) == ["42501"]
        assert codes(raw.ask(bind(b"same") + EXECUTE + SYNC)) == ["26000"]


_DEADLY = {
    "concat": "select ''" + "||''" * 75_000,
    "casts": "select 1" + "::int" * 60_000,
    "parentheses": "select " + "(" * 300_000,
    "not": "select " + "not " * 75_000 + "true",
    "body": "do $$ begin perform 1" + "+1" * 150_000 + "; end $$",
    "nested body": "do $$ " + "begin " * 50_000 + "$$",
}


@pytest.mark.parametrize("protocol", [simple, extended])
@pytest.mark.parametrize("shape", _DEADLY)
def test_a_text_that_kills_or_stalls_the_parser_is_refused_in_both_protocols(
    door: Doorway, shape: str, protocol: Callable[[str], bytes]
) -> None:
    with door.connect() as raw:
        assert codes(raw.ask(protocol(_DEADLY[shape]))) == ["42501"]
        assert values(raw.query("select 1")) == [[b"1"]]


@pytest.mark.parametrize("protocol", [simple, extended])
def test_a_thousand_conditions_are_read_or_refused_and_the_session_goes_on(
    door: Doorway, protocol: Callable[[str], bytes]
) -> None:
    text = "delete from app.pub where " + " or ".join(["true and id > 0"] * 1000) + " or true"
    with door.connect() as raw:
        raw.query("begin")
        assert codes(raw.ask(protocol(text))) in (["42501"], [])
        raw.query("rollback")
        assert values(raw.query("select 1")) == [[b"1"]]


# --- the table ------------------------------------------------------------------------------------


def _functions(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize("way", WAYS, ids=[way.name for way in WAYS])
def test_every_way_has_tests_that_are_there(way: tuple[str, str, tuple[str, ...], str]) -> None:
    _, _, tests, _ = way
    assert tests
    for test in tests:
        file, _, rest = test.partition("::")
        name, _, part = rest.partition("[")
        assert name in _functions(TESTS / file), test
        assert not part or part in _FORBIDDEN or part in _CALLS, test


def test_every_trick_here_is_a_way_of_the_table() -> None:
    named = {test.partition("[")[2] for way in WAYS for test in way.tests}
    assert {*_FORBIDDEN, *_CALLS} - named == set()


def test_the_docs_have_every_way_and_what_is_left_open() -> None:
    rows = [f"| {way.name} | {way.answer} | {way.open} |" for way in WAYS]
    told = DOCS.read_text()
    assert "\n".join(rows) in told, (
        "docs/reference/escapes.md is not what tests/bypass/ways.py says"
    )
    for way in LATER:
        assert way in told
