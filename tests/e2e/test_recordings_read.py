"""Reading what was recorded, at a real agent: the player, the index, evidence, and who may."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import psycopg
import pytest

from hoopcli.demo.world import World
from tests.e2e.test_clients import listening
from tests.e2e.world import Person


@pytest.fixture(scope="module")
def grant(ana: Person, ben: Person) -> Iterator[str]:
    """One for all tests of this file, which only read."""
    id = ana.granted(ben, span="1h")
    yield id
    ana.hoop("relinquish", id, status=None)


def eventually(what: Callable[[], Any], within: float = 20.0) -> Any:
    """What it gives once it is true of something."""
    end = time.monotonic() + within
    while not (found := what()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.2)
    return found


def player(person: Person, *arguments: str, **changes: str) -> pexpect.spawn:
    environ = person.world.environment(person.name) | {"TERM": "xterm", "LC_ALL": "C.UTF-8"}
    return pexpect.spawn(
        sys.executable,
        ["-m", "hoopcli", "replay", *arguments],
        env=environ | changes,
        timeout=30,
        encoding="utf-8",
        dimensions=(24, 80),
    )


def done(person: Person, *statements: str) -> str:
    """The id of a session in which they were said, and which has ended."""
    person.psql(*(part for statement in statements for part in ("-c", statement)), status=None)

    def fresh() -> list[str]:
        """The newest, which is the one that was just over."""
        found = person.json("sessions", "--mine", "--limit", "1")
        return [one["id"] for one in found if one["ended"]]

    return str(eventually(fresh)[0])


def audited(person: Person, action: str, session: str) -> list[Any]:
    rows = person.json("audit", "--action", action)
    return [row for row in rows if row["subject"] == session]


def test_a_session_that_runs_is_followed_in_the_player(
    ana: Person, ben: Person, grant: str
) -> None:
    with listening(ana) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select 41 as first_of_all")
        live = ana.json("sessions", "--mine", "--live")[0]["id"]
        child = player(ana, live, "--follow")
        child.expect_exact("first_of_all")
        child.expect_exact("running")
        connection.execute("select 42 as another_one")
        child.expect_exact("another_one")
        child.send("q")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 0
        refused = ana.hoop("evidence", live, status=1)
        assert "still runs" in refused.stderr


def test_what_sessions_touched_finds_them(ana: Person, ben: Person, grant: str) -> None:
    session = done(
        ana,
        "select name, email from customers where id = 1",
        "delete from orders",
    )

    def found(*wish: str) -> bool:
        return session in ana.hoop("sessions", *wish, "-o", "names").stdout.split()

    eventually(lambda: found("--touching", "customers"))
    assert found("--touching", "customers.email")
    assert found("--touching", "orders", "--effect", "delete", "--refused")
    assert found("--refused", "--mine", "--since", "1h", "--masked", "email")
    assert not found("--touching", "customers", "--effect", "delete")
    assert not found("--touching", "customers", "--until", "2020-01-01")
    assert "is not one of" in ana.hoop("sessions", "--effect", "drop", status=2).stderr
    wrong = ana.hoop("sessions", "--touching", "a.b.c.d", status=None)
    assert "is no table" in wrong.stderr


def test_a_session_that_runs_is_found_by_what_it_touched_so_far(
    ana: Person, ben: Person, grant: str
) -> None:
    with listening(ana) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select status from orders where id = 1")
        wish = ("--live", "--touching", "orders.status", "-o", "names")
        assert eventually(lambda: ana.hoop("sessions", *wish).stdout.split())
        assert ana.hoop("sessions", "--live", "--touching", "customers", "-o", "names").stdout == ""


def test_evidence_is_one_file_that_anybody_can_check(
    ana: Person, ben: Person, grant: str, world: World, tmp_path: Path
) -> None:
    session = done(ana, "select ssn from customers", "delete from orders")
    file = tmp_path / "case.zip"
    told = ana.json("evidence", session, "--to", str(file))
    assert told["state"] == "complete and unchanged"
    assert file.stat().st_mode & 0o777 == 0o600
    key = tmp_path / "agent.pub"
    key.write_text(ana.json("status")["keys"]["recording_public"])
    ana.hoop("verify", str(file), "--key", str(key))
    with zipfile.ZipFile(file) as archive:
        report = archive.read("report.html").decode()
        requests = json.loads(archive.read("requests.json"))
        assert "219-09-9999" not in "".join(
            archive.read(name).decode("utf-8", "replace") for name in archive.namelist()
        )
    assert "no-unbounded-delete" in report
    assert "The recording is complete and unchanged" in report
    assert "<script" not in report
    assert requests[0]["votes"][0]["answer"] == "approve"
    assert "there already" in ana.hoop("evidence", session, "--to", str(file), status=2).stderr
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 1
    file.write_bytes(data)
    assert "does not verify" in ana.hoop("verify", str(file), "--key", str(key), status=6).stderr


def test_who_approved_may_read_and_every_reading_is_on_the_audit(
    ana: Person, ben: Person, grant: str
) -> None:
    session = done(ana, "select 1")
    assert "select 1" in ben.hoop("replay", session, "-o", "sql").stdout
    rows = eventually(lambda: audited(ben, "recording.read", session))
    assert rows[0]["detail"]["capacity"] in ("owner", "auditor", "administrator", "approver")


def test_the_index_is_made_anew_from_recordings(
    ana: Person, ben: Person, grant: str, world: World
) -> None:
    session = done(ana, "select id from orders where id = 4711")
    wish = ("sessions", "--touching", "orders", "-o", "names")
    eventually(lambda: session in ana.hoop(*wish).stdout)
    made = subprocess.run(
        [
            sys.executable,
            "-m",
            "hoopagent",
            "index",
            "--rebuild",
            "--config",
            str(world.folder / "agent"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert "in the index" in made.stdout
    assert session in ana.hoop(*wish).stdout


@pytest.mark.parametrize("wrong", ["s-zzzzzzzzzz", "not an id", "req-7h2vd9xk4p"])
def test_a_session_that_is_not_there_is_said_so(ana: Person, wrong: str) -> None:
    assert ana.hoop("replay", wrong, status=None).returncode in (1, 2)
    assert ana.hoop("evidence", wrong, status=None).returncode in (1, 2)
