"""Break-glass, suspending, leavers and the audit, with the real commands, agent and PostgreSQL.

A world of its own: people leave in it.
"""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hoopcli.demo.world import World
from tests.e2e.test_clients import listening
from tests.e2e.test_life import eventually_gone
from tests.e2e.world import Person
from tests.worlds import signed_in, started


class Told(World):
    """An agent that copies its audit into a file, and tells two programs; one is not there."""

    def start_agent(self) -> None:
        settings = self.folder / "agent" / "agent.toml"
        if "notify" not in settings.read_text():
            tell = self.folder / "agent" / "tell"
            tell.write_text("#!/bin/sh\ncat >> told.jsonl\n")
            tell.chmod(0o700)
            more = (
                '[[agent.audit]]\nname = "copy"\nfile = "copy.jsonl"\n'
                '[[agent.notify]]\nname = "works"\ncommand = ["./tell"]\n'
                'events = ["request.made", "break_glass", "grant.ended"]\n'
                '[[agent.notify]]\nname = "gone"\ncommand = ["./nothing"]\n'
            )
            settings.write_text(settings.read_text() + more)
        super().start_agent()

    def lines(self, name: str) -> list[Any]:
        path = self.folder / "agent" / name
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]


def soon(found: Callable[[], Any]) -> Any:
    """What it finds, as soon as that is something."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.1)
    pytest.fail("it never came")


@pytest.fixture(scope="module")
def own() -> Iterator[Told]:
    with started(Told) as world:
        yield world


@pytest.fixture(scope="module")
def owner(own: World) -> Person:
    return signed_in(own, "ben")


@pytest.fixture(scope="module")
def asker(own: World, owner: Person) -> Person:
    return signed_in(own, "ana")


def operator(world: World, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``hoop-agent`` of the account that runs the agent."""
    return subprocess.run(
        [sys.executable, "-m", "hoopagent", *arguments, "--config", str(world.folder / "agent")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_broken_glass_opens_at_once_with_masks_and_waits_for_the_owner(
    asker: Person, owner: Person
) -> None:
    asker.hoop("request", "prod-db", "--break-glass", "--reason", "x", status=2)
    words = ("request", "prod-db", "--break-glass", "--incident", "INC-1", "--reason", "it is down")
    made = asker.json(*words)
    shown = asker.psql("-c", "select ssn from customers order by id limit 1").stdout
    assert shown == "*******9999\n"
    refused = asker.hoop(*words, status=4)
    assert made["review"] in refused.stderr
    assert made["review"] in owner.hoop("review", "break-glass").stdout
    answer = ("review", "break-glass", made["review"], "--justified", "--reason", "it was down")
    asker.hoop(*answer, status=4)
    decided = owner.json(*answer)
    assert (decided["state"], decided["statements"]) == ("justified", 1)
    asker.hoop("relinquish", made["grant"])
    again = asker.json(*words)
    asker.hoop("relinquish", again["grant"])
    owner.hoop("review", "break-glass", again["review"], "--unjustified", "--reason", "no")


def test_suspending_closes_the_session_and_says_why(asker: Person, owner: Person) -> None:
    grant = asker.granted(owner)
    with listening(asker) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select 1")
        owner.hoop("suspend", grant, "--reason", "is this load yours?")
        with pytest.raises(psycopg.OperationalError, match="is this load yours"):
            connection.execute("select 1")
    assert asker.json("sessions", "--mine")[0]["end_cause"] == "grant suspended"
    refused = asker.hoop("connect", "prod-db", "--", "-c", "select 1", status=4)
    assert 'your grant for "prod-db" is suspended: is this load yours?' in refused.stderr
    asker.hoop("resume", grant, status=4)
    owner.hoop("resume", grant)
    assert asker.psql("-c", "select 1").stdout == "1\n"
    asker.hoop("relinquish", grant)


def test_who_has_left_is_out_within_seconds_and_stays_out(
    own: World, asker: Person, owner: Person
) -> None:
    asker.granted(owner)
    with listening(asker) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select 1")
        done = operator(own, "leaver", "ana@shop.example", "--reason", "left the company")
        assert done.returncode == 0, done.stderr
        assert "1 grant" in done.stdout
        eventually_gone(connection, within=5)
    asker.hoop("grants", status=3)
    nobody = operator(own, "leaver", "nobody@shop.example", "--reason", "x")
    assert nobody.returncode == 1
    assert "nobody called" in nobody.stderr
    asker.hoop("logout", status=None)
    with pytest.raises(AssertionError, match="you have left"):
        asker.sign_in()
    back = operator(own, "leaver", "ana@shop.example", "--back", "--reason", "another Ana")
    assert "may sign in again" in back.stdout
    asker.sign_in()
    assert asker.json("grants") == []


def test_people_and_a_sink_are_told_and_doctor_names_the_way_that_is_closed(
    own: Told, asker: Person, owner: Person
) -> None:
    told = soon(lambda: [one for one in own.lines("told.jsonl") if one["event"] == "break_glass"])
    assert told[0]["command"] == "hoop review break-glass"
    assert told[0]["owners"] == ["dba"]
    assert "INC-1" in told[0]["text"]
    soon(lambda: [one for one in own.lines("told.jsonl") if one["event"] == "grant.ended"])
    last = owner.json("audit", "--limit", "1")[0]["seq"]
    copied = soon(lambda: [row for row in own.lines("copy.jsonl") if row["seq"] == last])
    assert copied[0]["hash"]
    (gone,) = soon(lambda: [one for one in owner.json("doctor") if "gone" in one["check"]
                            and one["state"] == "warn"])  # fmt: skip
    assert "does not start" in gone["said"]
    assert not [one for one in asker.json("doctor") if "does not start" in one["said"]]


def test_the_audit_tells_it_all_and_is_whole(
    own: World, asker: Person, owner: Person, tmp_path: Path
) -> None:
    actions = {row["action"] for row in owner.json("audit", "--limit", "1000")}
    assert actions >= {
        "glass.broken", "review.decided", "grant.suspended", "grant.resumed", "principal.left",
        "principal.came-back", "grant.revoked", "sign-in.done", "sign-in.refused", "vote.cast",
    }  # fmt: skip
    mine = asker.hoop("audit")
    assert "auditors see all of it" in mine.stderr
    asker.hoop("audit", "verify", status=4)
    whole = owner.json("audit", "verify")
    assert whole["state"] == "whole and unchanged"
    assert whole["signed"] > 0
    rows = owner.hoop("audit", "export", "--format", "csv", "--action", "glass").stdout
    assert {row["name"] for row in csv.DictReader(io.StringIO(rows))} == {"ana@shop.example"}

    out, key = tmp_path / "audit.jsonl", tmp_path / "agent.pub"
    key.write_text(owner.json("status")["keys"]["recording_public"])
    owner.hoop("audit", "export", "--out", str(out))
    assert out.stat().st_mode & 0o777 == 0o600
    owner.hoop("audit", "verify", str(out), "--key", str(key))
    lines = out.read_text().splitlines()
    row = json.loads(lines[3])
    for spoiled, found in (
        ([*lines[:3], json.dumps(row | {"actor": "p-x"}), *lines[4:]], "row 4: it was changed"),
        ([*lines[:3], *lines[4:]], "row 5: it does not follow row 3"),
        ([line for line in lines if '"head"' in line or json.loads(line)["seq"] < 9], "was cut"),
    ):
        out.write_text("\n".join(spoiled) + "\n")
        done = owner.hoop("audit", "verify", str(out), "--key", str(key), status=6)
        assert found in done.stderr


def test_what_was_changed_in_the_store_is_found_and_told_by_doctor(
    own: World, owner: Person
) -> None:
    with sqlite3.connect(own.folder / "agent" / "data" / "hoop.sqlite") as store:
        store.execute("DROP TRIGGER audit_no_update")
        store.execute("UPDATE audit SET actor = 'p-nobody' WHERE seq = 3")
        store.execute(
            "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit "
            "BEGIN SELECT RAISE(ABORT, 'audit is only added to'); END"
        )
    done = owner.hoop("audit", "verify", status=6)
    assert "row 3: it was changed" in done.stderr
