"""Faults of the line, of clients and of targets, through the whole agent.

Each ends one session, recorded, and touches no other.  ``HOOP_LONG=1`` tries every place a message
can be cut at, and 500 idle sessions in place of 100.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from hoopcore.protocols.postgres import wire
from hoopcore.recording import EndCause
from tests.bypass.evidence import cause_of, recorded, session_of
from tests.bypass.raw import Gone, Raw, run, values
from tests.bypass.world import Doorway, eventually
from tests.e2e.targets import Targets, granted
from tests.e2e.world import Person
from tests.faults import Faults

log = logging.getLogger(__name__)

LONG = bool(os.environ.get("HOOP_LONG"))
SSN = b"219-09-9999"


@pytest.fixture(scope="module")
def door(guest: Person) -> Iterator[Doorway]:
    granted(guest, "far-db")
    doorway = Doorway(guest, "far-db")
    yield doorway
    doorway.close()


@pytest.fixture
def line(targets: Targets) -> Iterator[Faults]:
    targets.line.heal()
    yield targets.line
    targets.line.heal()


@pytest.fixture
def fresh(door: Doorway, line: Faults) -> Iterator[Callable[[], Raw]]:
    """Makes connections that are closed behind the test."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(door.connect()))


def works(door: Doorway) -> None:
    """Others are served, and promptly."""
    began = time.monotonic()
    with closing(door.connect()) as raw:
        assert values(raw.query("select count(*) from orders")) == [[b"5"]]
    assert time.monotonic() - began < 20


def ended(targets: Targets, session: str) -> EndCause:
    return cause_of(recorded(targets, session))  # type: ignore[arg-type]  # any World has it


# --- half-closed ----------------------------------------------------------------------------------


def test_a_client_that_closes_its_direction_behind_its_goodbye_is_done(
    fresh: Callable[[], Raw], targets: Targets
) -> None:
    raw = fresh()
    raw.send(wire.frame(wire.TERMINATE))
    raw.socket.shutdown(socket.SHUT_WR)
    assert raw.until_gone() == []
    assert ended(targets, session_of(raw)) is EndCause.CLIENT_LEFT


def test_a_client_that_closes_its_direction_still_gets_its_answer(
    fresh: Callable[[], Raw], targets: Targets
) -> None:
    raw = fresh()
    raw.send(wire.query(b"select id from orders, pg_sleep(0.3) order by id"))
    raw.send(run(b"select 'and this'"))
    raw.socket.shutdown(socket.SHUT_WR)
    found = values(raw.until_gone())
    assert found == [[b"1"], [b"2"], [b"3"], [b"4"], [b"5"], [b"and this"]]
    assert ended(targets, session_of(raw)) is EndCause.CLIENT_LEFT


def test_a_message_that_was_cut_by_closing_is_not_made_whole(
    fresh: Callable[[], Raw], targets: Targets
) -> None:
    raw = fresh()
    raw.send(wire.query(b"select pg_sleep(0.3)"))
    raw.send(wire.query(b"update orders set note = 'cut' where id = 1")[:-4])
    raw.socket.shutdown(socket.SHUT_WR)
    raw.until_gone()
    assert ended(targets, session_of(raw)) is EndCause.CLIENT_LEFT
    assert targets.far.psql("select count(*) from orders where note = 'cut'", "shop") == "0\n"


def test_an_idle_client_that_closes_its_direction_has_left(
    fresh: Callable[[], Raw], targets: Targets
) -> None:
    raw = fresh()
    raw.socket.shutdown(socket.SHUT_WR)
    assert raw.until_gone() == []
    assert ended(targets, session_of(raw)) is EndCause.CLIENT_LEFT


def test_a_client_that_dies_in_the_middle_is_noticed_at_once(
    fresh: Callable[[], Raw], targets: Targets
) -> None:
    raw = fresh()
    raw.send(wire.query(b"select pg_sleep(60)"))
    eventually(lambda: "pg_sleep(60)" in targets.far.psql("select query from pg_stat_activity"))
    began = time.monotonic()
    raw.close()
    assert ended(targets, session_of(raw)) is EndCause.CLIENT_LEFT
    assert time.monotonic() - began < 30


# --- targets that die -----------------------------------------------------------------------------

BIG = "select i, repeat('x', 1000) from generate_series(1, 200000) i"


@pytest.mark.parametrize("how", ["kill", "reset", "cut"])
def test_a_target_that_dies_within_a_result_ends_the_session_and_no_other(
    fresh: Callable[[], Raw], door: Doorway, targets: Targets, line: Faults, how: str
) -> None:
    if how == "cut":
        line.cut = 1_000_000
    raw = fresh()
    raw.send(wire.query(BIG.encode()))
    for _ in range(20):
        raw.message()
    if how == "kill":
        # The server ends all its other backends too: they might share what this one broke.
        os.kill(int(targets.far.psql(
            "select pid from pg_stat_activity where query like 'select i, repeat%'"
        )), 9)  # fmt: skip
    elif how == "reset":
        line.break_all()
    rest = raw.until_gone()
    assert sum(kind == wire.DATA_ROW for kind, _ in rest) < 200_000
    assert all(len(body) > 1000 for kind, body in rest if kind == wire.DATA_ROW)
    events = recorded(targets, session_of(raw))  # type: ignore[arg-type]
    assert cause_of(events) is EndCause.TARGET_LEFT
    line.heal()

    def answers() -> bool:
        try:
            works(door)
        except (Gone, OSError, AssertionError):
            return False
        return True

    eventually(answers, 90)  # it looks through its files first, which a busy disk makes long


# --- COPY -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["closes", "resets", "closes its direction"])
def test_what_a_client_copied_that_died_meanwhile_is_rolled_back_and_recorded(
    fresh: Callable[[], Raw], targets: Targets, how: str
) -> None:
    raw = fresh()
    raw.send(wire.query(b"copy cards (id, customer_id, number, expires) from stdin"))
    assert raw.until(wire.COPY_IN)
    row = b"9%03d\t1\t4111111111111111\t2030-01-01\n"
    for number in range(500):
        raw.send(wire.frame(wire.COPY_DATA, row % number))
    if how == "resets":
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if how == "closes its direction":
        raw.socket.shutdown(socket.SHUT_WR)
        raw.until_gone()
    raw.close()
    events = recorded(targets, session_of(raw))  # type: ignore[arg-type]
    assert cause_of(events) is EndCause.CLIENT_LEFT
    [copy] = [event for event in events if type(event).__name__ == "Said"]
    assert copy.verdict == "allow"
    done = [event for event in events if type(event).__name__ == "Done"]
    assert not any(event.tag.startswith("COPY") for event in done), "it never came to its end"
    eventually(lambda: targets.far.psql("select count(*) from cards", "shop") == "3\n")


# --- slow readers ---------------------------------------------------------------------------------


def memory(targets: Targets) -> int:
    """Resident bytes of the agent's process."""
    pid = targets.processes[-1].pid
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def files(targets: Targets) -> int:
    return len(list(Path(f"/proc/{targets.processes[-1].pid}/fd").iterdir()))


def test_clients_that_do_not_read_a_large_result_cost_little_memory(
    door: Doorway, targets: Targets, line: Faults
) -> None:
    works(door)
    before = memory(targets)
    with ExitStack() as stack:
        slow = [stack.enter_context(closing(door.connect())) for _ in range(20)]
        for number, raw in enumerate(slow):
            masked = "ssn, " if number % 2 else ""
            text = f"select {masked}repeat('x', 1000) from customers, generate_series(1, 250000)"
            raw.send(wire.query(text.encode()))
        # All that the system takes is on its way when every server process waits for us.
        waiting = "select count(*) from pg_stat_activity where wait_event = 'ClientWrite'"
        eventually(lambda: int(targets.far.psql(waiting)) >= len(slow), 60)
        grown = memory(targets) - before
        log.info("20 clients that do not read: %.1f MiB", grown / 2**20)
        assert grown < 60 << 20
        works(door)


def test_many_idle_sessions_cost_little_and_others_are_served(
    door: Doorway, targets: Targets, line: Faults
) -> None:
    count = 500 if LONG else 100
    works(door)
    before, files_before = memory(targets), files(targets)
    with ExitStack() as stack:
        idle = [stack.enter_context(closing(door.connect())) for _ in range(count)]
        works(door)
        each = (memory(targets) - before) / count
        handles = (files(targets) - files_before) / count
        log.info("%d idle sessions: %.0f KiB, %.1f files each", count, each / 1024, handles)
        assert each < 2 << 20
        assert handles < 5
        assert values(idle[-1].query("select 1")) == [[b"1"]]
    eventually(lambda: files(targets) < files_before + count / 2)


# --- small pieces ---------------------------------------------------------------------------------

ROWS = "select id, name, email, ssn from customers order by id"


def conversation(raw: Raw, one_by_one: bool) -> bytes:
    """What the client reads in a session that has a little of everything in it."""

    def ask(data: bytes, times: int = 1) -> None:
        for piece in (data[i : i + 1] for i in range(len(data))) if one_by_one else (data,):
            raw.send(piece)
        raw.until_ready(times)

    ask(wire.query(ROWS.encode()))
    ask(run(ROWS.encode()))
    ask(run(b"select ssn from customers", binary=True))
    ask(wire.query(b"select 1/0; select 2"))
    ask(wire.query(b"delete from payroll.salaries; select 'x'"))
    ask(wire.query(b"select 'one'; select 'two'"))
    copied = wire.frame(wire.COPY_DATA, b"77\t1\t4111111111111111\t2030-01-01\n")
    ask(wire.query(b"begin; copy cards from stdin") + copied + wire.frame(wire.COPY_DONE))
    ask(wire.query(b"rollback"))
    return bytes(raw.received)


def test_bytes_one_by_one_both_ways_change_nothing(door: Doorway, line: Faults) -> None:
    with closing(door.connect()) as raw:
        expected = conversation(raw, False)
    assert SSN not in expected
    line.chunk = 1
    with closing(door.connect()) as raw:
        assert conversation(raw, True) == expected


# --- cut anywhere ---------------------------------------------------------------------------------


def places(size: int) -> list[int]:
    """Where to cut: everywhere, or at some twenty places spread over it."""
    step = 1 if LONG else max(1, size // 20)
    return [*range(0, size, step), size - 1]


def port_of(targets: Targets, session: str) -> int:
    """Where the target sees this session's connection come from."""
    query = f"select client_port from pg_stat_activity where application_name like '%{session}%'"
    return int(targets.far.psql(query, "shop"))


def test_a_target_cut_off_anywhere_gives_whole_messages_or_nothing(
    door: Doorway, targets: Targets, line: Faults
) -> None:
    with closing(door.connect()) as raw:
        raw.query(ROWS)
        expected = bytes(raw.received)
        # Its own, and not those of the agent's, which reads the catalog when it likes.
        size = line.passed[port_of(targets, session_of(raw))]
    for at in places(size):
        line.cut, line.rst = at, bool(at % 2)
        try:
            raw = door.connect()
        except Gone:
            continue
        with closing(raw):
            raw.send(wire.query(ROWS.encode()))
            raw.until_gone()
            got = bytes(raw.received)
            assert SSN not in got
            whole = got[: whole_frames(got)]
            last = got[len(whole) :]
            assert last == b"", "a message that was cut"
            known = whole if whole in expected[: len(whole)] else b""
            # Where the cut took the catalog, every column is covered.
            assert known == whole or b"FATAL" in whole or every_cell_is_null(whole)
    line.heal()
    works(door)


def every_cell_is_null(data: bytes) -> bool:
    """Whether there are rows in these whole messages, and nothing in any of them."""
    at, rows = 0, []
    while at < len(data):
        kind, length = wire.HEADER.unpack_from(data, at)
        if kind == wire.DATA_ROW:
            rows.append(data[at + 7 : at + 1 + length])
        at += length + 1
    return bool(rows) and all(row == b"\xff" * len(row) for row in rows)


def whole_frames(data: bytes) -> int:
    at = 0
    while len(data) - at >= 5:
        size = wire.HEADER.unpack_from(data, at)[1] + 1
        if at + size > len(data):
            break
        at += size
    return at


FRAMES = {
    "query": wire.query(b"insert into cards values (88, 1, '4111111111111111', '2030-01-01')"),
    "extended": run(b"insert into cards values (88, 1, '4111111111111111', '2030-01-01')"),
    "copy": wire.query(b"copy cards from stdin")
    + wire.frame(wire.COPY_DATA, b"88\t1\t4111111111111111\t2030-01-01\n")
    + wire.frame(wire.COPY_DONE),
}


@pytest.mark.parametrize("what", list(FRAMES))
def test_a_client_cut_off_anywhere_has_done_nothing_in_part(
    door: Doorway, targets: Targets, line: Faults, what: str
) -> None:
    data = FRAMES[what]
    sessions = []
    for at in places(len(data) - 1):
        raw = door.connect()
        raw.send(data[:at])
        if at % 2:
            raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()
        sessions.append(session_of(raw))
    for session in sessions:
        assert ended(targets, session) is EndCause.CLIENT_LEFT
    works(door)
    assert targets.far.psql("select count(*) from cards where id = 88", "shop") == "0\n"
