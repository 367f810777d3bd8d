"""Recordings in an archive that speaks S3, and with rows in them: the real agent and commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import obstore
import psycopg
import pytest

from hoopcli.demo.world import World
from tests.depots import S3, s3
from tests.e2e.test_clients import listening
from tests.e2e.test_recordings_read import audited, done, eventually
from tests.e2e.world import Person
from tests.worlds import asking, signed_in, started


class Archiving(World):
    """An agent that gives recordings up as soon as the archive has them."""

    server: ClassVar[S3]

    def start_agent(self) -> None:
        agent = self.folder / "agent"
        settings = agent / "agent.toml"
        if "archive" not in settings.read_text():
            self.depot = self.server.depot("hoop-recordings", agent)
            more = (
                "[agent.archive]\n"
                'url = "s3://hoop-recordings/hoop"\n'
                f'options = {{ endpoint = "{self.server.url}", region = "us-east-1" }}\n'
                'secrets = { access_key_id = "file:s3.id", '
                'secret_access_key = "file:s3.secret" }\n'
                'keep_local = "0s"\n'
            )
            settings.write_text(settings.read_text() + more)
            targets = agent / "targets.toml"
            targets.write_text(targets.read_text() + 'record_results = "all"\n')
        super().start_agent()

    def here(self, session: str) -> list[Path]:
        return list((self.folder / "agent" / "data" / "recordings").glob(f"**/{session}*"))


@pytest.fixture(scope="module")
def own() -> Iterator[Archiving]:
    with s3() as server:
        Archiving.server = server
        with started(Archiving) as world:
            yield world


@pytest.fixture(scope="module")
def owner(own: World) -> Person:
    return signed_in(own, "ben")


@pytest.fixture(scope="module")
def asker(own: World, owner: Person) -> Person:
    return asking(own, owner, "1h")


def archive_line(person: Person) -> dict[str, Any]:
    line: dict[str, Any] = next(one for one in person.json("doctor") if one["check"] == "archive")
    return line


def test_a_recording_is_read_from_the_archive_as_if_it_were_here(
    own: Archiving, asker: Person, owner: Person, tmp_path: Path
) -> None:
    """First the bucket is not there: nothing is lost, sessions go on, and doctor says so."""
    early = done(asker, "select name from customers where id = 1")
    told = eventually(lambda: (one := archive_line(owner))["state"] == "warn" and one)
    assert "NoSuchBucket" in told["said"]
    assert "NoSuchBucket" not in archive_line(asker)["said"]
    session = done(asker, "select email from customers where id = 1", "delete from orders")
    assert own.here(early)
    assert own.here(session)
    own.server.bucket("hoop-recordings")
    eventually(lambda: not own.here(session) and not own.here(early), within=90)
    assert archive_line(owner)["state"] == "ok"

    assert "select email" in asker.hoop("replay", session, "-o", "text").stdout
    assert own.here(session)  # it came back to be read
    assert asker.json("verify", session)["state"] == "complete and unchanged"
    asker.hoop("evidence", early, "--to", str(tmp_path / "case.zip"))
    wish = ("sessions", "--touching", "customers.email", "-o", "names")
    eventually(lambda: session in asker.hoop(*wish).stdout)
    (row,) = [one for one in asker.json("sessions", "--mine") if one["id"] == session]
    assert (row["kept"], row["held"]) == ("archived", None)

    # What is in the bucket is the recording: anybody can check it without an agent.
    name = next(
        one["path"] for page in obstore.list(own.depot._open()) for one in page
        if session in one["path"]
    )  # fmt: skip
    file, key = tmp_path / f"{session}.jsonl.zst", tmp_path / "agent.pub"
    file.write_bytes(bytes(obstore.get(own.depot._open(), name).bytes()))
    key.write_text(asker.json("status")["keys"]["recording_public"])
    asker.hoop("verify", str(file), "--key", str(key))


def test_a_legal_hold_is_for_auditors_and_on_the_audit(asker: Person, owner: Person) -> None:
    session = done(asker, "select 1")
    asker.hoop("sessions", "hold", session, "--reason", "case 7", status=4)
    held = owner.json("sessions", "hold", session, "--reason", "case 7")
    assert held[0]["held"]["reason"] == "case 7"
    assert "held" in asker.hoop("sessions", "--mine").stdout
    again = owner.hoop("sessions", "hold", session, "--reason", "case 8", status=None)
    assert "held already: case 7" in again.stderr
    owner.hoop("sessions", "release", session, "--reason", "closed")
    assert audited(owner, "recording.held", session)
    assert audited(owner, "recording.released", session)
    owner.hoop("sessions", "release", session, "--reason", "closed", status=1)
    owner.hoop("sessions", "hold", "nonsense", "--reason", "x", status=2)


def test_rows_are_kept_as_the_client_got_them(asker: Person) -> None:
    with listening(asker) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        ssn = connection.execute("select id, ssn from customers order by id").fetchall()
        for _ in range(7):  # psycopg prepares it on the way
            connection.execute("select id from orders where id = %s", [4711])
        with connection.pipeline():
            for number in range(3):
                connection.execute("select %s::text", [f"piped {number}"])
        connection.execute("select 'first'; select 'second', null::int")
        with connection.cursor(binary=True) as cursor:
            cursor.execute("select 42::int4, 'text'")
        large = connection.execute("select repeat('x', 10000)").fetchone()
    assert large is not None
    session = eventually(lambda: [s for s in asker.json("sessions", "--mine") if s["ended"]])[0]
    events = asker.json("replay", session["id"])
    rows: dict[int, list[Any]] = {}
    for event in events:
        if event["type"] == "rows":
            rows.setdefault(event["seq"], []).extend(event["rows"])
    results = {e["seq"]: e for e in events if e["type"] == "finished" and e["rows"]}
    assert {seq: len(found) for seq, found in rows.items()} == {
        seq: event["rows"] for seq, event in results.items()
    }
    kept = [one for found in rows.values() for one in found]
    assert kept[: len(ssn)] == [[str(id), text] for id, text in ssn]
    assert all(text is None or "*" in text for _, text in ssn)
    assert [one for one in kept if "piped" in str(one)] == [["piped 0"], ["piped 1"], ["piped 2"]]
    assert ["\\x0000002a", "text"] in kept
    assert ["second", None] in kept
    cuts = [cut for event in events if event["type"] == "rows" for cut in event["cuts"]]
    assert [cut[1:3] for cut in cuts] == [[1, 10_000]]
    text = asker.hoop("replay", session["id"], "-o", "text").stdout
    assert f"{ssn[0][0]} │ {ssn[0][1]}" in text
    assert asker.json("verify", session["id"])["state"] == "complete and unchanged"
