"""``hoop policy``: what is wrong with the rules, what they would say, and why they said it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hoopcli import rules_at_hand
from hoopcli.app import run
from hoopcli.errors import Failure
from hoopcli.policy_view import past, recorded
from hoopcore.recording import Finished, Header, Known, Said
from tests.cli.agent import FakeAgent
from tests.cli.conftest import Hoop
from tests.cli.test_replay import SESSION, recording, serve

RULES = """
[[rule]]
name = "no-night"
reason = "nobody is awake"
verdict = "refuse"
effects = ["delete"]
times = ["22:00-06:00 UTC"]
example = "delete from t"
counter_example = "select 1"

[[rule]]
name = "ask-first"
reason = "orders are somebody's"
verdict = "hold"
effects = ["update"]
relations = ["public.orders"]
unless = { groups = ["dba"] }
example = "update orders set a = 1"
counter_example = "update notes set a = 1"

[[rule]]
name = "office"
reason = "from the office only"
verdict = "refuse"
effects = ["ddl"]
unless = { addresses = ["10.0.0.0/8"] }
example = "drop table t"
counter_example = "select 1"
"""
MORE = """
[[budget]]
name = "an-hour"
reason = "exports go another way"
rows = 1000
on_reaching = "warn"

[[impose]]
name = "short"
reason = "nobody waits here"
statement_timeout = "30s"
"""
TARGETS = """
[targets.prod-db]
address = "127.0.0.1:1"
labels = { env = "prod" }
functions = ["shop.price"]
"""
ROLES = """
[roles.dba]
groups = ["dba"]
"""


def here(*words: str) -> tuple[int, str]:
    """The exit code of ``hoop WORDS`` in this process, which is quicker, and what was wrong."""
    try:
        return run(list(words)), ""
    except Failure as failure:
        return failure.code, f"{failure.message} {failure.hint}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("rules", RULES), ("targets", TARGETS), ("roles", ROLES)):
        (tmp_path / f"{name}.toml").write_text(text)
    return tmp_path


# --- check ----------------------------------------------------------------------------------------


def test_rules_that_are_right_are_said_to_be(hoop: Hoop, folder: Path) -> None:
    done = hoop("policy", "check", str(folder))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "rules.toml is right: 3 rules, no doubts.\n"
    assert hoop("policy", "check", str(folder / "rules.toml"), "--strict").returncode == 0
    there = hoop("policy", "check", "-o", "json", HOOP_AGENT_CONFIG=str(folder))
    assert json.loads(there.stdout) == []


def test_budgets_and_imposed_settings_are_right_without_an_example(
    hoop: Hoop, folder: Path
) -> None:
    (folder / "rules.toml").write_text(RULES + MORE)
    assert json.loads(hoop("policy", "check", str(folder), "-o", "json").stdout) == []


def test_every_error_is_told_with_line_key_and_rule(hoop: Hoop, folder: Path) -> None:
    wrong = RULES.replace('["delete"]', '["delet"]').replace("UTC", "Europe/Berlni")
    wrong = wrong.replace('"drop table t"', '"drop tabel t"')
    (folder / "rules.toml").write_text(wrong)
    done = hoop("policy", "check", str(folder), "-o", "json")
    assert done.returncode == 1
    assert "rules.toml has 3 errors" in done.stderr
    assert [(one["line"], one["rule"], one["key"]) for one in json.loads(done.stdout)] == [
        (6, "no-night", "effects"),
        (7, "no-night", "times"),
        (27, "office", "example"),
    ]
    shown = hoop("policy", "check", str(folder)).stdout
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert 'did you mean "delete"' in shown
    assert hoop("policy", "check", str(folder), "-o", "names").stdout.split() == [
        "no-night",
        "no-night",
        "office",
    ]


def test_a_file_that_is_no_toml_is_told_by_line(hoop: Hoop, folder: Path) -> None:
    (folder / "rules.toml").write_text("[[rule]]\nname = \n")
    (told,) = json.loads(hoop("policy", "check", str(folder), "-o", "json").stdout)
    assert (told["level"], told["line"]) == ("error", 2)


DOUBTFUL = """
[[rule]]
name = "everything"
reason = "r"
verdict = "refuse"
effects = ["ddl", "truncate"]
example = "drop table t"
counter_example = "select 1"

[[rule]]
name = "behind"
reason = "r"
verdict = "hold"
effects = ["ddl"]
targets = ["prod-*", "stage-*"]
groups = ["dbas"]
roles = ["dbb"]
labels = { env = "test" }
example = "drop table t"
counter_example = "select 1"

[[rule]]
name = "idle"
reason = "r"
verdict = "allow"
effects = ["read"]

[[rule]]
name = "wide"
reason = "r"
verdict = "refuse"
relations = ["payroll.*"]
effects = ["read"]
missing_where = true
"""


def test_what_can_hardly_be_meant_is_a_doubt(hoop: Hoop, folder: Path) -> None:
    (folder / "rules.toml").write_text(DOUBTFUL)
    done = hoop("policy", "check", str(folder), "-o", "json")
    assert done.returncode == 0
    told = {(one["rule"], one["key"]): one for one in json.loads(done.stdout)}
    assert {key: one["line"] for key, one in told.items()} == {
        ("behind", "targets"): 15,
        ("behind", "groups"): 16,
        ("behind", "roles"): 17,
        ("behind", "labels"): 18,
        ("behind", ""): 10,
        ("idle", "effects"): 26,
        ("idle", ""): 22,
        ("wide", "relations"): 32,
        ("wide", "missing_where"): 34,
        ("wide", ""): 28,
    }
    assert '"stage-*"' in told["behind", "targets"]["message"]
    assert 'did you mean "dba"' in told["behind", "groups"]["message"]
    assert '"everything" (refuse) already speaks' in told["behind", ""]["message"]
    assert "allowed anyway" in told["idle", "effects"]["message"]
    assert "not known for certain" in told["wide", "relations"]["message"]
    assert hoop("policy", "check", str(folder), "--strict").returncode == 1


def test_without_the_other_files_names_are_not_doubted(hoop: Hoop, folder: Path) -> None:
    (folder / "rules.toml").write_text(DOUBTFUL)
    (folder / "targets.toml").unlink()
    (folder / "roles.toml").unlink()
    told = json.loads(hoop("policy", "check", str(folder), "-o", "json").stdout)
    assert not {"targets", "groups", "roles", "labels"} & {one["key"] for one in told}


def test_a_folder_that_is_not_there_is_said(hoop: Hoop, tmp_path: Path) -> None:
    done = hoop("policy", "check", str(tmp_path / "none"))
    assert (done.returncode, "there is no folder" in done.stderr) == (2, True)
    done = hoop("policy", "check", str(tmp_path))
    assert (done.returncode, "there is no rules.toml" in done.stderr) == (1, True)


# --- try ------------------------------------------------------------------------------------------

TRIES = [
    (("--at", "2026-11-23T23:00+00:00"), "delete from t", 4, "refused by rule", "no-night"),
    (("--at", "2026-11-23T12:00+00:00"), "delete from t", 0, "allowed", ""),
    (("--group", "dba"), "update orders set a = 1", 0, "allowed", ""),
    (("--group", "dev"), "update orders set a = 1", 5, "held for approval", "ask-first"),
    ((), "update orders set a = 1", 5, "held for approval", "ask-first"),
    (("--from", "10.1.2.3"), "drop table t", 0, "allowed", ""),
    (("--from", "local"), "drop table t", 4, "refused", "office"),
    ((), "drop table t", 4, "refused", "office"),
    ((), "selec 1", 4, "refused", "unreadable"),
    (("--scope", "notes:read"), "select * from orders", 4, "refused", "scope"),
    ((), "set statement_timeout = 0", 4, "refused", "imposed-setting"),
    ((), "select shop.price(1)", 0, "allowed", ""),
]


@pytest.mark.parametrize(("options", "sql", "code", "words", "rule"), TRIES)
def test_a_statement_is_tried_without_an_agent(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    options: tuple[str, ...],
    sql: str,
    code: int,
    words: str,
    rule: str,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    (folder / "rules.toml").write_text(RULES + MORE)
    found = here(
        *("policy", "try", "--as", "ana", "--on", "prod-db", "--config", str(folder)),
        *(*options, sql),
    )
    shown = capsys.readouterr().out
    assert found == (code, "")
    assert shown.splitlines()[0].split(maxsplit=1)[1].startswith(words)
    assert rule in shown
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_what_was_seen_in_the_statement_is_told(hoop: Hoop, folder: Path) -> None:
    (folder / "rules.toml").write_text(RULES + MORE)
    base = ("policy", "try", "--on", "prod-db", "--config", str(folder))
    done = hoop(*base, "select 1; delete from public.t; select f(t) from t", "-o", "json")
    told = json.loads(done.stdout)
    assert told["statements"][0]["verdict"] == "allow"
    delete, call = told["statements"][1:]
    assert (delete["relations"], delete["missing_where"]) == (["public.t:delete"], ["delete"])
    assert (call["functions"], call["whole_rows"], call["reaches_more"]) == (["f"], True, True)
    assert told["not_known"] == ["groups", "roles", "priorities", "address"]
    assert told["imposed"] == {"statement_timeout": "30000"}
    assert told["budgets"] == ["an-hour"]
    piped = hoop(*base, "-o", "names", "-", stdin="drop table t")
    assert (piped.returncode, piped.stdout) == (4, "refuse\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--on", "nowhere", "select 1"), "no target"),
        (("--on", "prod-db", " "), "no statement"),
        (("--on", "prod-db", "--at", "noon", "select 1"), "is no time"),
        (("--on", "prod-db", "--from", "here", "select 1"), "is no IP address"),
        (("--on", "prod-db", "--kind", "robot", "select 1"), "not one of"),
        (("--on", "prod-db", "--priority", "panic", "select 1"), "not one of"),
        (("--on", "prod-db", "--label", "env", "select 1"), "NAME=VALUE"),
        (("--on", "prod-db", "--scope", ":", "select 1"), "--scope"),
        (("--on", "prod-db", "x" * 3000), "at most"),
        (("select 1",), "--on"),
    ],
)
def test_what_cannot_be_tried_is_a_mistake_of_usage(
    folder: Path, arguments: tuple[str, ...], said: str
) -> None:
    code, message = here("policy", "try", "--config", str(folder), *arguments)
    assert (code, said in message) == (2, True), message


def test_rules_that_are_wrong_try_nothing(hoop: Hoop, folder: Path) -> None:
    (folder / "rules.toml").write_text(RULES.replace('"hold"', '"wait"'))
    done = hoop("policy", "try", "--on", "prod-db", "--config", str(folder), "select 1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "rules.toml:14: unknown verdict" in done.stderr


def test_a_base_install_says_what_it_lacks() -> None:
    with pytest.raises(Failure) as caught:
        rules_at_hand.needs_grammar(ModuleNotFoundError("no", name="postgast"))
    assert "hoopcli[agent]" in caught.value.hint


# --- why ------------------------------------------------------------------------------------------


def test_a_past_statement_is_explained_from_its_recording(agent: FakeAgent, hoop: Hoop) -> None:
    serve(agent, recording()[0])
    done = hoop("policy", "why", SESSION, "2")
    assert done.returncode == 0, done.stderr
    assert 'refused by rule "no-where"' in done.stdout
    assert "delete from orders" in done.stdout
    told = json.loads(hoop("policy", "why", SESSION, "2", "-o", "json").stdout)
    assert (told["verdict"], told["rule"]) == ("refuse", "no-where")


def test_a_statement_that_is_not_there_is_said_to_be_none(agent: FakeAgent, hoop: Hoop) -> None:
    serve(agent, recording()[0])
    done = hoop("policy", "why", SESSION, "9")
    assert done.returncode == 1
    assert "there is no statement 9" in done.stderr
    assert f"hoop replay {SESSION}" in done.stderr


def test_a_run_tells_the_text_that_was_prepared_and_what_became_of_it() -> None:
    events: list[Known] = [
        Header(session=SESSION, principal="p", target="t", policy="0123456789abcdef"),
        Said(seq=1, text="select $1", prepared=True),
        Said(seq=2, kind="run", origin=1, parameters=("5",), effects=("read",)),
        Finished(seq=2, tag="SELECT 1", rows=1),
    ]
    told = recorded(events, 2)
    assert told is not None
    assert (told["text"], told["outcome"], told["parameters"]) == (
        "select $1",
        "SELECT 1 · 1 row",
        "$1 = 5",
    )
    lines = dict(past(told))
    assert lines["verdict"] == "let through: no rule spoke of it, and the grant covered it"
    assert lines["policy"] == "0123456789ab"
    assert recorded(events, 3) is None


def test_completion_knows_the_words(hoop: Hoop) -> None:
    def offered(*words: str) -> list[str]:
        return [line.split("\t")[0] for line in hoop("__complete", *words).stdout.splitlines()]

    assert offered("policy", "") == ["check", "try", "why"]
    assert offered("policy", "try", "--kind", "") == ["human", "service", "agent"]
    assert offered("policy", "try", "--priority", "i") == ["incident"]
    assert offered("policy", "try", "--on", "") == ["prod-db"]
