"""Access on the spot, as two people at two terminals have it: asked for, given, longer, taken."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pexpect
import psycopg
import pytest

from tests.e2e.test_clients import listening
from tests.e2e.test_life import eventually_gone
from tests.e2e.world import Person

_PATIENCE = 60


@pytest.fixture
def terminal(ana: Person) -> Iterator[pexpect.spawn]:
    """``hoop connect prod-db`` at a terminal of 80 columns."""
    child = spawned(ana, "connect", "prod-db")
    yield child
    child.close(force=True)


def spawned(person: Person, *arguments: str, rows: int = 24, columns: int = 80) -> pexpect.spawn:
    """``hoop`` at a terminal."""
    return pexpect.spawn(
        sys.executable,
        ["-m", "hoopcli", *arguments],
        env={**person.world.environment(person.name), "TERM": "dumb", "PAGER": "cat"},
        dimensions=(rows, columns),
        encoding="utf-8",
        timeout=_PATIENCE,
    )


def pending(person: Person) -> str:
    """The id of their request that waits, once there is one."""
    for _ in range(300):
        found = person.json("requests", "--mine", "--state", "pending")
        if found:
            return str(found[0]["id"])
        time.sleep(0.1)
    pytest.fail("nothing was asked for")


def test_asked_on_the_spot_approved_beside_extended_and_revoked(
    ana: Person, ben: Person, terminal: pexpect.spawn
) -> None:
    terminal.expect("you have (no grant|given your grant)")  # as other tests here may have
    terminal.expect("why do you need it")
    terminal.sendline("orders 4 and 5 are stuck, OPS-214")
    terminal.expect("For how long")
    terminal.sendline("10m")
    terminal.expect("waits for 1 vote from")
    ben.hoop("approve", pending(ana), "--reason", "known incident")
    terminal.expect("You have access to prod-db")
    terminal.expect("=>")
    terminal.sendline("select count(*) as orders from orders;")
    terminal.expect(r"\(1 row\)")

    (grant,) = ana.json("grants")
    asked = ana.json("extend", grant["id"], "--for", "20m", "--reason", "it takes longer")
    assert asked["extends"] == grant["id"]
    ben.hoop("approve", asked["id"], "--reason", "go on")
    grants = {one["id"]: one for one in ana.json("grants")}
    later = next(one for one in grants.values() if one["extends"] == grant["id"])
    assert later["not_before"] == grant["not_after"]
    terminal.sendline("select 1 as still_here;")
    terminal.expect("still_here")
    terminal.expect(r"\(1 row\)")

    ben.hoop("revoke", grant["id"], "--reason", "the incident is over")
    for _ in range(50):
        terminal.sendline("select 2;")
        if terminal.expect(["your access to .* has ended: the incident is over", "=>"]) == 0:
            break
        time.sleep(0.1)
    else:
        pytest.fail("the session was still open")
    assert ana.json("grants") == []


def granted(ana: Person, ben: Person, seconds: int, *more: str) -> str:
    """The id of a grant for so long."""
    asked = ana.json("request", "prod-db", "--reason", "a test", "--for", f"{seconds}s", *more)
    return str(ben.json("approve", asked["id"], "--reason", "a test")["grant"])


def left(person: Person, grant: str) -> float:
    """Seconds until it ends; 0 where it has ended."""
    ends = [one["not_after"] for one in person.json("grants") if one["id"] == grant]
    now = datetime.now(UTC)
    return max((datetime.fromisoformat(ends[0]) - now).total_seconds(), 0) if ends else 0


def test_a_session_goes_on_into_its_extension_without_connecting_again(
    ana: Person, ben: Person
) -> None:
    for span in (7, 15, 40):  # on a busy machine people take longer to type
        first = granted(ana, ben, span)
        with listening(ana) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
            session = ana.json("sessions", "--live")[0]["id"]
            if left(ana, first) < span / 2:
                continue
            asked = ana.json("extend", first, "--for", "5s", "--reason", "a moment more")
            more = ben.json("approve", asked["id"], "--reason", "go on")["grant"]
            if left(ana, first) == 0:
                continue
            while any(one["id"] == first for one in ana.json("grants")):
                assert connection.execute("select 1").fetchone() == (1,)
            assert connection.execute("select 2").fetchone() == (2,)
            assert ana.json("sessions", "--live")[0]["id"] == session
            eventually_gone(connection, within=40)
        assert ana.json("grants") == []
        assert more != first
        return
    pytest.fail("it was never fast enough to extend")


def test_waiting_follows_live_and_says_what_became_of_it(ana: Person, ben: Person) -> None:
    for answer, status in (("deny", 4), ("approve", 0)):
        arguments = ["request", "prod-db", "--reason", "to wait for", "--for", "5m", "--wait"]
        child = spawned(ana, *arguments)
        child.expect("1 vote from")
        ben.hoop(answer, pending(ana), "--reason", "so it is")
        child.expect("denied your request" if answer == "deny" else "You have access")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == status


def test_ctrl_c_stops_waiting_and_leaves_the_request(ana: Person) -> None:
    child = spawned(ana, "request", "prod-db", "--reason", "to leave", "--for", "5m", "--wait")
    child.expect("Ctrl-C stops waiting")
    child.sendintr()
    child.expect(r"The request stands:  hoop requests (req-\w+)")
    id = re.search(r"req-\w+", child.after)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert id is not None
    assert ana.json("requests", id[0])["state"] == "pending"
    done = ana.hoop(
        *("request", "prod-db", "--reason", "in vain", "--wait", "--timeout", "1s"), status=5
    )
    assert "It still stands" in done.stderr
    for one in ana.json("requests", "--mine", "--state", "pending"):
        ana.hoop("cancel", one["id"])


def test_the_queue_takes_one_key_for_each(ana: Person, ben: Person) -> None:
    asked = [
        ana.json("request", "prod-db", "--reason", f"number {n}", "--for", "5m")["id"]
        for n in range(3)
    ]
    queue = spawned(ben, "requests", "--to-decide", "--follow", rows=40, columns=100)
    for id, pressed, says in zip(asked, "ads", ("fulfilled", "denied", ""), strict=True):
        queue.expect(id)
        queue.expect("risk")
        queue.expect("a approve, d deny")
        queue.send(pressed)
        if says:
            queue.expect("Why do you")
            queue.sendline("by one key")
            queue.expect(f"is {says}")
    queue.expect("Nothing waits for you now")
    queue.sendintr()
    queue.expect(pexpect.EOF)
    queue.close()
    states = [ana.json("requests", id)["state"] for id in asked]
    assert states == ["fulfilled", "denied", "pending"]
    ana.hoop("cancel", asked[2])


def test_an_approver_narrows_and_the_gate_holds_it(ana: Person, ben: Person) -> None:
    for one in ana.json("grants"):
        ana.hoop("relinquish", one["id"])
    asked = ana.json("request", "prod-db", "--reason", "to look", "--for", "5m")
    wider = ben.hoop(*("approve", asked["id"], "--for", "2h", "--reason", "more"), status=1)
    assert "may only shorten" in wider.stderr
    ben.hoop("approve", asked["id"], "--scope", "orders:read", "--reason", "that is enough")
    assert ana.psql("-c", "select count(*) > 0 from orders").stdout.strip() == "t"
    refused = ana.psql("-c", "select count(*) from customers", status=None)
    assert "orders" not in refused.stdout
    assert 'refused by rule "scope"' in refused.stderr
    assert "hoop request prod-db --scope" in refused.stderr
    asks = spawned(ana, "request", "prod-db")
    asks.expect("Why do you need prod-db")
    asks.sendline("the customers too")
    asks.expect("What you were refused last wants this much")
    asks.expect(r"Scope\? \[([^]]*customers:read)\]")
    wanted = asks.match[1]
    asks.sendline("")
    asks.expect("For how long")
    asks.sendline("5m")
    asks.expect("It waits for")
    asks.close(force=True)
    assert ana.json("requests", pending(ana))["scope"] == wanted
    ana.hoop("cancel", pending(ana))


def heard(told: list[tuple[str, str]], notice: psycopg.errors.Diagnostic) -> None:
    told.append((str(notice.message_primary), str(notice.message_hint)))


def test_the_client_is_told_two_minutes_before_the_end_what_to_type(
    ana: Person, ben: Person
) -> None:
    for one in ana.json("grants"):
        ana.hoop("relinquish", one["id"])
    for span in (126, 140, 180):  # the mark is passed while somebody is connected
        grant = granted(ana, ben, span)
        told: list[tuple[str, str]] = []
        with listening(ana) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
            connection.add_notice_handler(partial(heard, told))
            if left(ana, grant) < 121:
                ana.hoop("relinquish", grant)
                continue
            for _ in range(650):
                connection.execute("select 1")
                if told:
                    break
                time.sleep(0.1)
        ((said, hint),) = told
        assert said.startswith('your access to "prod-db" ends in 2 minutes')
        assert f"hoop extend {grant} --for 1h" in hint
        return
    pytest.fail("it was never fast enough to connect")


def test_access_for_later_is_no_access_now(ana: Person, ben: Person) -> None:
    for one in ana.json("grants"):
        ana.hoop("relinquish", one["id"])
    clock = (datetime.now() + timedelta(hours=2)).strftime("%H:%M")  # noqa: DTZ005 - of the wall here
    asked = ana.json(
        *("request", "prod-db", "--reason", "the import", "--for", "5m", "--starts", clock)
    )
    ben.hoop("approve", asked["id"], "--reason", "tonight")
    (grant,) = ana.json("grants")
    assert (grant["state"], grant["not_before"]) == ("scheduled", asked["starts"])
    done = ana.hoop("connect", "prod-db", "--", "-c", "select 1", status=4)
    assert 'your access to "prod-db" begins at' in done.stderr
    ana.hoop("relinquish", grant["id"])
