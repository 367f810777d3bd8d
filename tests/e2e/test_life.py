"""From asking to giving back: the real commands of two people."""

from __future__ import annotations

import time

import psycopg
import pytest

from tests.e2e.test_clients import listening
from tests.e2e.world import Person


def eventually_gone(connection: psycopg.Connection[tuple[object, ...]], within: float) -> float:
    """How many seconds until the session is closed under the client."""
    began = time.monotonic()
    while time.monotonic() - began < within:
        try:
            connection.execute("select 1")
        except psycopg.OperationalError:
            return time.monotonic() - began
        time.sleep(0.1)
    pytest.fail(f"the session was still alive after {within} s")


def test_without_a_grant_there_is_no_way_in(ana: Person) -> None:
    done = ana.hoop("connect", "prod-db", "--", "-c", "select 1", status=4)
    assert "hoop request prod-db" in done.stderr
    assert done.stdout == ""


def test_asker_cannot_approve_their_own_request(ana: Person, ben: Person) -> None:
    id = ana.json("request", "prod-db", "--reason", "my own", "--for", "5m")["id"]
    ana.hoop("approve", id, "--reason", "it is me", status=4)
    ben.hoop("deny", id, "--reason", "a test")
    assert ana.json("requests", "--mine")[0]["state"] == "denied"


def test_revoking_ends_the_live_session(ana: Person, ben: Person) -> None:
    id = ana.granted(ben)
    with listening(ana) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select 1")
        ben.hoop("revoke", id, "--reason", "the incident is over")
        eventually_gone(connection, within=5)
    session = ana.json("sessions", "--mine")[0]
    assert session["end_cause"] == "grant revoked"
    ana.hoop("verify", session["id"])


def test_a_session_ends_when_its_grant_does(ana: Person, ben: Person) -> None:
    ana.granted(ben, span="12s")  # long enough to connect on a machine that is busy
    with listening(ana) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        eventually_gone(connection, within=25)
    assert ana.json("sessions", "--mine")[0]["end_cause"] == "grant ended"


def test_another_live_grant_keeps_the_session_open(ana: Person, ben: Person) -> None:
    first, second = ana.granted(ben), ana.granted(ben)
    with listening(ana) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        ana.hoop("relinquish", second)
        assert connection.execute("select 1").fetchone() == (1,)
        ana.hoop("relinquish", first)
        eventually_gone(connection, within=5)


def test_the_outcome_of_the_statement_in_flight_is_recorded(ana: Person, ben: Person) -> None:
    id = ana.granted(ben)
    with listening(ana) as dsn:
        connection = psycopg.pq.PGconn.connect(dsn.encode())
        connection.send_query(b"select count(*) from generate_series(1, 10000000000)")
        ben.hoop("revoke", id, "--reason", "stop it")
        connection.finish()
    session = ana.json("sessions", "--mine")[0]["id"]
    events = ana.json("replay", session, "--no-wait")
    finished = [event for event in events if event.get("type") == "finished"]
    assert finished
    assert finished[-1]["error"] == "57014"


def test_killing_a_session_says_why(ana: Person, ben: Person, grant: str) -> None:
    with listening(ana) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select 1")
        live = ben.json("sessions", "--live")[0]["id"]
        ben.hoop("kill", live, "--reason", "maintenance")
        with pytest.raises(psycopg.OperationalError, match="maintenance"):
            connection.execute("select 1")
    assert ana.json("sessions", "--mine")[0]["end_cause"] == "killed"


def test_a_recording_tells_all_and_holds_no_masked_value(
    ana: Person, ben: Person, grant: str
) -> None:
    ana.psql("-c", "select name from customers where ssn = '219-09-9999'")
    ana.psql("-c", "delete from orders", status=None)
    sessions = ana.json("sessions", "--mine")[:2]
    for session in sessions:
        ana.hoop("verify", session["id"])
    told = "".join(ana.hoop("replay", s["id"], "--no-wait", "-o", "sql").stdout for s in sessions)
    assert "select name from customers where ssn = ⟦" in told
    assert "219-09-9999" not in told
    assert "delete from orders" in told


def test_the_review_shows_my_usage_and_giving_back_ends_it(ana: Person, ben: Person) -> None:
    id = ana.granted(ben)
    ana.psql("-c", "select id from orders")
    (mine,) = [r for r in ana.json("review", "mine") if r["grant"] == id]
    assert mine["sessions"] == 1
    assert any(used.endswith("orders:read") for used in mine["used"])
    assert mine["why"]["reason"] == "a test of the whole"
    ana.hoop("review", "mine", "--give-back", id)
    ana.hoop("connect", "prod-db", "--", "-c", "select 1", status=4)
