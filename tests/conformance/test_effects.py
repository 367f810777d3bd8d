"""PostgreSQL as oracle, in short: our own corpus on both servers.

The long form takes psql scripts: ``python -m tests.conformance.effects_oracle FOLDER``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hoopcli.demo.postgres import Postgres
from hoopcore.statement import Effect, Reading, Statement
from tests.conformance.effects_corpus import own, script
from tests.conformance.effects_oracle import Account, Ran, filled, run_line
from tests.conformance.effects_tree import NoTree, tree_of
from tests.conformance.effects_verdict import UNSAFE, findings

SETUP, LINES = own()
DOCS = Path(__file__).parents[2] / "docs" / "reference" / "effects.md"


def _ran(server: Postgres) -> list[Ran]:
    with filled(server, SETUP) as watched:
        return [run_line(watched, line) for line in LINES]


@pytest.fixture(scope="module")
def on_18(postgres: Postgres) -> list[Ran]:
    return _ran(postgres)


@pytest.fixture(scope="module")
def on_15(postgres15: Postgres) -> list[Ran]:
    return _ran(postgres15)


@pytest.fixture(params=["on_18", "on_15"])
def runs(request: pytest.FixtureRequest) -> list[Ran]:
    found: list[Ran] = request.getfixturevalue(request.param)
    return found


def test_no_reading_says_less_than_the_server_did(runs: list[Ran]) -> None:
    less = [(ran.line.text, one) for ran in runs for one in ran.findings if one.kind == UNSAFE]
    assert less == []


def test_the_corpus_has_500_statements_that_a_server_takes_and_none_twice(
    runs: list[Ran],
) -> None:
    assert sum(1 for ran in runs if not ran.seen.failed) >= 500
    assert len({(line.before, line.text) for line in LINES}) == len(LINES)


def test_the_docs_list_every_disagreement_there_is(on_18: list[Ran]) -> None:
    account = Account()
    for ran in on_18:
        account.add(ran.line.text, ran.seen, ran.findings)
    told = DOCS.read_text().partition("<!-- own corpus -->\n")[2].partition("\n<!-- end -->")[0]
    assert told == account.table(), "python -m tests.conformance.effects_oracle prints the table"


# --- that the oracle would notice -----------------------------------------------------------------


def _without_effects(statement: Statement) -> Statement:
    return replace(statement, effects=frozenset({Effect.READ}))


def _without_relations(statement: Statement) -> Statement:
    return replace(statement, touches=frozenset())


def _without_columns(statement: Statement) -> Statement:
    return replace(statement, columns=frozenset(), guises=False)


def _without_functions(statement: Statement) -> Statement:
    return replace(statement, functions=frozenset())


def _bounded(statement: Statement) -> Statement:
    return replace(statement, unbounded=frozenset())


def _limited(statement: Statement) -> Statement:
    return replace(statement, unlimited=False)


_BLINDNESS: list[tuple[Callable[[Statement], Statement], float]] = [
    (_without_effects, 0.95),
    (_without_relations, 0.9),
    (_without_columns, 0.85),
    (_without_functions, 0.95),
    (_bounded, 0.6),
    (_limited, 0.9),
]


@pytest.mark.parametrize(("blind", "share"), _BLINDNESS, ids=[b.__name__ for b, _ in _BLINDNESS])
def test_a_reading_that_says_less_is_found_out(
    on_18: list[Ran], blind: Callable[[Statement], Statement], share: float
) -> None:
    """Of queries and changes of rows that are read in full, and lose something by it."""
    tried = noticed = 0
    for ran in on_18:
        statements = ran.reading.statements
        if len(statements) != 1 or ran.seen.asked is None or statements[0].opaque:
            continue
        whole = replace(statements[0], beneath=None)  # which would make up for it
        less = blind(whole)
        if less == whole or ran.seen.asked.meant.utility:
            continue
        tried += 1
        found = findings(Reading((less,)), ran.seen)
        noticed += any(one.kind == UNSAFE for one in found)
    assert tried >= 10
    assert noticed >= share * tried


def test_one_statement_too_few_is_found_out(on_18: list[Ran]) -> None:
    several = [ran for ran in on_18 if len(ran.reading.statements) > 1]
    assert several
    for ran in several:
        less = replace(ran.reading, statements=ran.reading.statements[1:])
        assert any(one.kind == UNSAFE for one in findings(less, ran.seen))


# --- scripts and trees ----------------------------------------------------------------------------


def _cut() -> Iterator[tuple[str, list[str]]]:
    yield "select 1; select 2;", ["select 1", "select 2"]
    yield "select ';' ; select $$;$$; select $a$;$$;$a$;", [
        "select ';'", "select $$;$$", "select $a$;$$;$a$",
    ]  # fmt: skip
    yield "/* ; /* ; */ ; */ select 1 -- ;\n;", ["/* ; /* ; */ ; */ select 1 -- ;"]
    yield "select \";\", e'\\';';", ["select \";\", e'\\';'"]
    yield "\\set x 1\nselect 1;\n\\echo ;\nselect 2 \\gset\nselect 3;", ["select 1", "select 3"]
    yield (
        "create rule r as on insert to t do (select 1; select 2);",
        ["create rule r as on insert to t do (select 1; select 2)"],
    )
    yield "create function f() begin atomic select case when true then 1 end; select 2; end; x;", [
        "create function f() begin atomic select case when true then 1 end; select 2; end", "x",
    ]  # fmt: skip
    yield "copy t from stdin;\n1;2\n\\.\nselect 1;", ["copy t from stdin", "select 1"]


@pytest.mark.parametrize(("text", "statements"), list(_cut()))
def test_a_script_is_cut_as_psql_cuts_it(text: str, statements: list[str]) -> None:
    assert [statement for statement, _ in script(text)] == statements


def test_data_of_a_copy_goes_with_it() -> None:
    assert list(script("copy t from stdin;\n1;2\n\\.\n")) == [("copy t from stdin", "1;2\n")]


def test_a_tree_is_read_in_its_own_notation() -> None:
    text = r"{QUERY :a (1 {X :b <>}) :name a\ b :c {CONST :constvalue 4 [ 1 0 ]} :d (b 8 9)}"
    assert tree_of(text) == {
        "": "QUERY",
        "a": ["1", {"": "X", "b": None}],
        "name": r"a\ b",
        "c": {"": "CONST", "constvalue": "4"},
        "d": ["b", "8", "9"],
    }
    with pytest.raises(NoTree):
        tree_of("{QUERY :a (1")


def test_the_docs_say_how_the_long_form_is_run() -> None:
    assert re.search(r"tests\.conformance\.effects_oracle", DOCS.read_text())
