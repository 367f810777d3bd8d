"""``hoop mask try`` and ``hoop mask scan``: what is asked, what is shown, the exit codes."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest

from hoopcli import mask_view, scan_view
from hoopcore.masks_file import read_masks
from hoopcore.sql.spelling import spelled
from tests.cli.agent import ADA, FakeAgent
from tests.cli.conftest import Hoop, Terminal, ended

ODD = ["plain", "Mixed Case", 'quo"te', "a.b", "*", "new\nline", "tab\t", "del\x7f", "naïve", "#x"]


def output(name: str, source: str, mask: str, why: str, *, watched: bool = False) -> dict[str, Any]:
    return {"name": name, "sources": [source], "mask": mask, "why": why, "watched": watched}


def trial(**changes: Any) -> dict[str, Any]:
    return {
        "who": ADA,
        "way": "grant",
        "target": "prod-db",
        "database": "shop",
        "verdict": "allow",
        "rule": "",
        "reason": "",
        "hint": "",
        "fault": None,
        "unread": "",
        "catalog": True,
        "active": True,
        "statements": ["SELECT"],
        "not_there": [],
        "columns": [
            output("id", "public.t.id", "", "no masked column in it"),
            output("note", "public.t.note", "", "no masked column in it", watched=True),
            output("upper", "public.t.ssn", "null", "computed from public.t.ssn"),
        ],
        "instead": "",
        "detectors": ["card"],
        "in_clear": [],
        "unmatched": [],
        "pooled": False,
    } | changes


def column(name: str = "public.t.mail", **changes: Any) -> dict[str, Any]:
    return {
        "column": name,
        "pattern": "",
        "type": "text",
        "style": "keep-domain",
        "kind": "email",
        "values": 40,
        "whole": 38,
        "named": True,
        "sure": True,
    } | changes


def scan(**changes: Any) -> dict[str, Any]:
    return {
        "id": "scn-4k7mq2zt9x",
        "target": "prod-db",
        "database": "shop",
        "state": "done",
        "why": "",
        "tables": 3,
        "done": 3,
        "at": "",
        "rows": 120,
        "declared": 1,
        "columns": [column()],
        "inside": {"iban": ["public.t.note"]},
        "skipped": [{"table": "public.x", "why": "somebody has it locked"}],
        "detectors": ["card"],
    } | changes


def serve(agent: FakeAgent, path: str, value: dict[str, Any]) -> None:
    agent.broken[path] = (200, "application/json", json.dumps(value).encode())


# --- try ------------------------------------------------------------------------------------------


def test_each_column_is_shown_with_what_becomes_of_it_and_why(agent: FakeAgent, hoop: Hoop) -> None:
    serve(agent, "/v1/masks/try", trial(unmatched=["public.gone.x"], in_clear=["public.t.x"]))
    done = hoop("mask", "try", "-", "--on", "prod-db", stdin="select 1")
    assert done.returncode == 0
    assert done.stdout == (
        "COLUMN  FROM           SHOWN      WHY\n"
        "id      public.t.id    as it is   no masked column in it\n"
        "note    public.t.note  as it is*  no masked column in it\n"
        "upper   public.t.ssn   NULL       computed from it\n"
    )
    assert "* But for what looks like one of: card." in done.stderr
    assert "For ada@example.com on prod-db, database shop" in done.stderr
    assert 'masks.toml: "public.gone.x" matches no column here' in done.stderr
    assert "The grant shows in clear: public.t.x." in done.stderr
    (asked,) = agent.asked("POST", "/v1/masks/try")
    assert asked.body == {"target": "prod-db", "database": "", "statement": "select 1", "as": ""}


@pytest.mark.parametrize(("verdict", "status"), [("allow", 0), ("refuse", 4), ("hold", 5)])
def test_the_exit_status_is_the_verdict(
    agent: FakeAgent, hoop: Hoop, verdict: str, status: int
) -> None:
    serve(agent, "/v1/masks/try", trial(verdict=verdict, rule="r", reason="why", columns=[]))
    for output in ("table", "json", "names"):
        done = hoop("mask", "try", "select 1", "--on", "prod-db", "-o", output)
        assert done.returncode == status
    assert done.stdout == f"{verdict}\n"


def test_no_line_is_wider_than_the_screen(agent: FakeAgent, hoop: Hoop) -> None:
    long = ["public." + "x" * 63 + "." + "y" * 63] * 3
    wide = output("n" * 63, "", "keep-last-4", "a word " * 20) | {"sources": long}
    serve(agent, "/v1/masks/try", trial(columns=[wide]))
    for width in ("40", "80"):
        done = hoop("mask", "try", "select 1", "--on", "prod-db", COLUMNS=width)
        assert max(map(len, done.stdout.splitlines())) <= int(width)


@pytest.mark.parametrize(
    ("text", "at", "lines"),
    [
        ("select 1 frm x", 10, ["select 1 frm x", "         ^"]),
        ("select 1,\n\tfrm x", 12, ["\\tfrm x", "  ^"]),
        ("x" * 300 + " frm", 302, None),
        ("select", 0, ["select", "^"]),
        ("\x1b[2Jfrm", 5, None),
    ],
)
def test_the_place_of_a_fault_is_shown_and_nothing_else_is_done(
    text: str, at: int, lines: list[str] | None
) -> None:
    told = {"fault": {"message": "syntax error", "at": at}}
    message, hint = mask_view.fault(told, text)
    assert message.startswith("this is not SQL: syntax error, at ")
    shown, mark = hint.split("\n")
    assert "\x1b" not in shown
    assert len(shown) < 120
    assert mark.strip() == "^"
    if lines is not None:
        assert [shown, mark] == lines


# --- scan -----------------------------------------------------------------------------------------


def test_what_is_printed_is_a_masks_toml(agent: FakeAgent, hoop: Hoop) -> None:
    doubtful = column("public.t.fax", kind="phone", whole=0, sure=False, style="keep-last-4")
    serve(agent, "/v1/masks/scans", scan(columns=[column(), doubtful]))
    done = hoop("mask", "scan", "prod-db", "--rows", "50", "-d", "shop")
    assert done.returncode == 0
    masks, *_ = read_masks(done.stdout)
    assert [(mask.column, mask.style) for mask in masks] == [("public.t.mail", "keep-domain")]
    assert "# 38 of 40 values (text) look like email; its name says so too" in done.stdout
    assert "# by its name alone: phone; none of 40 values (text) looks like it" in done.stdout
    assert '#   detectors = ["card", "iban"]' in done.stdout
    assert "1 column to mask, 1 more by name alone (as comments); 1 column declared already" in (
        done.stderr
    )
    assert "Not looked into: public.x: somebody has it locked" in done.stderr
    (asked,) = agent.asked("POST", "/v1/masks/scans")
    assert asked.body == {"target": "prod-db", "database": "shop", "rows": 50}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("sure", [True, False])
def test_columns_of_any_name_are_spelled_so_that_only_they_are_meant(name: str, sure: bool) -> None:
    one = column(spelled("sch", name, name), sure=sure)
    text = scan_view.toml(scan(columns=[one, column()]), "2026-11-23")
    masks, *_ = read_masks(text)
    assert len(masks) == 1 + sure
    if sure:
        assert masks[0].table.fullmatch(name)
        assert masks[0].name.fullmatch(name)
        assert not masks[0].name.fullmatch("other")
    for block in text.split("\n\n"):
        assert tomllib.loads(block) is not None


def test_columns_that_are_alike_in_all_tables_get_one_mask() -> None:
    many = [column(f"app.t{i}.mail", pattern="app.*.mail") for i in range(400)]
    text = scan_view.toml(scan(columns=[*many, column()]), "2026-11-23")
    masks, *_ = read_masks(text)
    assert [mask.column for mask in masks] == ["app.*.mail", "public.t.mail"]
    assert (
        "# in 400 tables, all that have it: 15,200 of 16,000 values (text) look like email" in text
    )
    assert "401 columns to mask (2 masks)" in next(scan_view.foot(scan(columns=[*many, column()])))


def test_where_nothing_is_found_nothing_is_printed(agent: FakeAgent, hoop: Hoop) -> None:
    serve(agent, "/v1/masks/scans", scan(columns=[], inside={}, skipped=[]))
    done = hoop("mask", "scan", "prod-db")
    assert (done.returncode, done.stdout) == (0, "")
    assert "No column looks sensitive" in done.stderr
    assert hoop("mask", "scan", "prod-db", "-o", "names").stdout == ""
    assert json.loads(hoop("mask", "scan", "prod-db", "-o", "json").stdout)["state"] == "done"


def test_a_scan_that_failed_says_why(agent: FakeAgent, hoop: Hoop) -> None:
    serve(agent, "/v1/masks/scans", scan(state="failed", why="the catalog could not be read"))
    done = hoop("mask", "scan", "prod-db", "-o", "json")
    assert (done.returncode, done.stdout) == (1, "")
    assert "prod-db was not scanned: the catalog could not be read" in done.stderr


def test_ctrl_c_ends_the_scan_at_the_agent(agent: FakeAgent, terminal: Terminal) -> None:
    running = scan(state="running", at="public.t")
    serve(agent, "/v1/masks/scans", running)
    serve(agent, "/v1/masks/scans/scn-4k7mq2zt9x", running)
    child = terminal("mask", "scan", "prod-db")
    child.expect("Sampling: 3 of 3 tables")
    child.sendintr()
    child.expect("Stopped, on the target too.")
    assert ended(child) == 130
    assert agent.asked("DELETE", "/v1/masks/scans/scn-4k7mq2zt9x")


def test_what_is_typed_wrong_is_told(hoop: Hoop) -> None:
    assert hoop("mask").returncode == 2
    assert hoop("mask", "try", " ", "--on", "prod-db").returncode == 2
    assert hoop("mask", "try", "select 1").returncode == 2
    assert hoop("mask", "scan", "NO DB").returncode == 2
    assert hoop("mask", "scan", "prod-db", "--rows", "5000").returncode == 2
