"""``hoop who-can``: of the agent's files, of an agent, and as text."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hoopcli.who_can_view import name, shown
from tests.cli.conftest import Hoop

FILES = {
    "targets.toml": """
[targets.prod-db]
[targets.dev-db]
""",
    "roles.toml": """
[roles.engineer]
groups = ["engineering"]
[[roles.engineer.may_request]]
targets = ["prod-*"]
approvers = ["dba"]
[[roles.engineer.may_request]]
targets = ["dev-*"]
votes = 0
scope = "public.orders:read"
[roles.dba]
groups = ["dba"]
[[roles.dba.may_request]]
targets = ["*"]
votes = 2
approvers = ["dba"]
database_role = "keeper"
""",
    "rules.toml": """
[[rule]]
name = "ask-first"
reason = "x"
verdict = "hold"
effects = ["delete"]
groups = ["engineering"]
[[rule]]
name = "nights"
reason = "x"
verdict = "refuse"
times = ["22:00-06:00 UTC"]
""",
    "masks.toml": """
detectors = ["email"]
[[mask]]
column = "public.customers.ssn"
style = "full"
exempt = ["dba"]
""",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "hoop-agent.d"
    found.mkdir()
    for file, text in FILES.items():
        (found / file).write_text(text)
    return found


def test_the_files_tell_who_may_ask_by_which_role_and_masked_or_not(
    hoop: Hoop, folder: Path
) -> None:
    done = hoop("who-can", "public.customers.ssn", "--config", str(folder), "--on", "prod-db")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "target      prod-db\n"
        "who         group engineering\n"
        "may ask     by engineer: 1 vote of dba\n"
        "read        masked: public.customers.ssn (full)\n"
        "write       insert, update; delete held by ask-first\n"
        "not always  nights (refuse)\n"
        "\n"
        "target      prod-db\n"
        "who         group dba\n"
        "may ask     by dba: 2 votes of dba, as database role keeper\n"
        "read        in clear\n"
        "write       insert, update, delete\n"
        "not always  nights (refuse)\n"
        "\n"
        "Whatever looks like email is masked for all of them, in any column.\n"
    )


def test_names_and_json_are_for_programs(hoop: Hoop, folder: Path) -> None:
    where = ("--config", str(folder))
    found = hoop("who-can", "public.orders", *where, "-o", "names").stdout.split()
    assert found == ["group:engineering", "group:dba", "group:engineering", "group:dba"] or (
        sorted(found) == sorted(["group:engineering", "group:dba"] * 2)
    )
    told = json.loads(hoop("who-can", "public.customers.ssn", *where, "-o", "json").stdout)
    assert told["place"] == "public.customers.ssn"
    assert {(way["target"], way["group"]) for way in told["ways"]} == {
        ("prod-db", "engineering"), ("prod-db", "dba"), ("dev-db", "dba"),
    }  # fmt: skip


def test_nobody_is_an_answer_too(hoop: Hoop, folder: Path) -> None:
    (folder / "roles.toml").write_text("")
    done = hoop("who-can", "public.orders", "--config", str(folder), "--on", "dev-db")
    assert (done.returncode, done.stdout) == (0, "")
    assert "Nobody may reach public.orders" in done.stderr


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("customers",), 2, "is not SCHEMA.TABLE"),
        (("a.b", "--on", "prd-db"), 2, 'no target "prd-db"'),
        (("a.b", "--on", "NO SUCH"), 2, "NO SUCH"),
    ],
)
def test_what_cannot_be_meant_is_said(
    hoop: Hoop, folder: Path, words: tuple[str, ...], status: int, said: str
) -> None:
    done = hoop("who-can", *words, "--config", str(folder))
    assert done.returncode == status
    assert said in done.stderr


def test_files_that_are_wrong_tell_nothing(hoop: Hoop, folder: Path) -> None:
    for file in ("roles.toml", "rules.toml", "masks.toml"):
        before = (folder / file).read_text()
        (folder / file).write_text("[[")
        done = hoop("who-can", "a.b", "--config", str(folder))
        assert done.returncode == 1, file
        assert "hoop-agent check" in done.stderr
        (folder / file).write_text(before)


def way(**changes: Any) -> dict[str, Any]:
    verb = {"verdict": "allow", "rule": "", "sometimes": []}
    return {
        "target": "prod-db",
        "way": "grant",
        "who": {"id": "p-1", "name": "ana@test"},
        "grant": "g-1",
        "until": "2026-11-23T12:00:00Z",
        "role": "engineer",
        "database_role": "",
        "verbs": {"read": verb},
        "masks": [],
    } | changes


def test_a_grant_is_told_with_its_holder_and_its_end() -> None:
    now = datetime(2026, 11, 23, 11, tzinfo=UTC)
    text = shown({"ways": [way()], "detectors": []}, 80, now)
    assert "ana@test" in text
    assert "grant g-1, ends" in text
    assert "read    in clear" in text
    assert "write   no" in text
    assert name(way()) == "ana@test"


def test_an_agents_words_move_no_cursor() -> None:
    now = datetime(2026, 11, 23, 11, tzinfo=UTC)
    nasty = way(way="offer", group="a\x1b[2J", votes=1, approvers=["\x9b1m"], people=[], alone=True)
    text = shown({"ways": [nasty], "detectors": ["\x1b]0;x\x07"]}, 80, now)
    assert not any(ord(letter) < 32 and letter != "\n" for letter in text)
    assert "\x9b" not in text
