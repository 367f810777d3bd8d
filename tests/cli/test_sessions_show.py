"""``hoop sessions show``: what a session came to, counted from its recording."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hoopcli.session_view import UNTOLD, pairs, summed, table
from hoopcore.recording import Copied, End, Finished, Header, Known, Said, Unmasked
from tests.cli.agent import FakeAgent
from tests.cli.conftest import Hoop
from tests.cli.test_replay import PUBLIC, SESSION, recording, serve

EVENTS: list[Known] = [
    Header(session=SESSION, principal="p-ana", name="ana", target="prod-db", database="shop"),
    Said(seq=1, text="select"),
    Finished(
        seq=1,
        rows=4,
        bytes=2048,
        masked={"full": 4, "email": 3},
        by_column={"public.customers.ssn": {"full": 4}, "note": {"email": 2}},
    ),
    Said(seq=2, text="select", verdict="hold"),
    Said(seq=2, text="select"),
    Finished(seq=2, rows=1, bytes=10, masked={"email": 1}, by_column={"note": {"email": 1}}),
    Unmasked(columns=("public.t.b", "public.t.a"), grants=("grt-1",)),
    Unmasked(),
    Said(seq=3, text="delete", verdict="refuse"),
    Said(seq=4, text="copy"),
    Copied(seq=4, to="client", bytes=3000),
    Finished(seq=4, error="57014", t=90_000),
    End(cause="killed", why="it took too long", t=100_000),
]


def test_masked_values_are_counted_by_column_and_kind() -> None:
    told = summed(EVENTS)
    assert told["masked_columns"] == [
        {"column": UNTOLD, "kind": "email", "count": 1},
        {"column": "note", "kind": "email", "count": 3},
        {"column": "public.customers.ssn", "kind": "full", "count": 4},
    ]
    assert (told["statements"], told["refused"], told["held"], told["failed"]) == (4, 1, 1, 1)
    assert (told["rows"], told["bytes"], told["copied_out"], told["masked"]) == (5, 2058, 3000, 8)


def test_the_card_has_what_happened_and_leaves_out_what_did_not() -> None:
    told = summed(EVENTS) | {"recording": "complete and unchanged"}
    card = dict(pairs(told, datetime(2026, 11, 23, tzinfo=UTC)))
    assert card["statements"] == "4, 1 refused, 1 held, 1 failed"
    assert card["gave"] == "5 rows, 2 KiB"
    assert card["in clear"] == "public.t.a, public.t.b", "what was shown once was shown"
    assert card["copied"] == "2 KiB to the client"
    assert card["end"] == "killed: it took too long"
    assert "(not told)" in table(told, 80)
    nothing = summed(EVENTS[:1]) | {"recording": "running"}
    assert dict(pairs(nothing, datetime(2026, 11, 23, tzinfo=UTC)))["masked"] == "nothing"
    assert table(nothing, 80) == ""


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_of_the_table_is_wider_than_the_screen(width: int) -> None:
    name = '"a schema"."Orders"."' + "x" * 63 + '"'
    told = {"masked_columns": [{"column": name, "kind": "keep-last-4", "count": 12_345_678}]}
    assert all(len(line) <= width for line in table(told, width).splitlines())


def test_a_session_is_shown_by_its_id_and_from_a_file(
    agent: FakeAgent, hoop: Hoop, tmp_path: Path
) -> None:
    serve(agent, recording()[0])
    shown = hoop("sessions", "show", SESSION)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "complete and unchanged" in shown.stdout
    assert "2, 1 refused" in shown.stdout
    told = json.loads(hoop("sessions", "show", SESSION, "-o", "json").stdout)
    assert (told["id"], told["rows"], told["masked_columns"]) == (SESSION, 1, [])
    path = tmp_path / "one.jsonl.zst"
    path.write_bytes(recording()[0])
    (tmp_path / "key").write_text(PUBLIC.hex())
    of_file = hoop("sessions", "show", str(path), "--key", str(tmp_path / "key"))
    assert of_file.stdout == shown.stdout
    assert "not verified" in hoop("sessions", "show", str(path)).stderr


def test_what_was_changed_is_shown_and_said_to_be_no_evidence(agent: FakeAgent, hoop: Hoop) -> None:
    serve(agent, recording()[0][:-40])
    shown = hoop("sessions", "show", SESSION)
    assert shown.returncode == 0
    assert "does not verify" in shown.stderr
    assert "unfinished" in shown.stdout
    assert hoop("sessions", "show", "no id").returncode == 2
