"""Floods at every door, while somebody works: the session goes on, and others still get in.

What a flood holds open says nothing, or half a word.  Progress is what is asked for, not time: so
many statements are answered while it is held, and who comes then is let in.
"""

from __future__ import annotations

import json
import os
import re
import resource
import select
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hoopcore.protocols.postgres import wire
from tests.bypass.world import Doorway, eventually
from tests.e2e import somebody
from tests.e2e.somebody import ask
from tests.e2e.test_clients import listening
from tests.e2e.test_other_users import Machine
from tests.e2e.test_ssh_lane import forwarded, kept
from tests.e2e.world import Person
from tests.servers import missing
from tests.worlds import signed_in, started

# More than any limit of the agent below, and more than any of its defaults.
FLOOD = 600 if os.environ.get("HOOP_LONG") else 300

Address = str | tuple[str, int]

# Half of a first packet, each the right beginning of its protocol.
HALF = {
    "unix": wire.startup_message({"user": "e-0000000000"})[:9],
    "tcp": wire.ssl_request()[:5],
    "ssh": b"SSH-2.0-slow\r\n\0\0",
    "api": b"POST /v1/requests HTTP/1.1\r\nHost: agent\r\nContent-Le",
}


class Small(Machine):
    """With limits that a flood of hundreds is far above."""

    def _spawn(self, name: str, module: str, *arguments: str, stdout: int | None = None) -> Any:
        toml = self.folder / "agent" / "agent.toml"
        if name == "agent" and "handshakes" not in (text := toml.read_text()):
            limits = "[agent]\nhandshakes = 60\nhandshakes_per_address = 30\n"
            toml.write_text(text.replace("[agent]\n", limits))
        return super()._spawn(name, module, *arguments, stdout=stdout)


@pytest.fixture(scope="module")
def world() -> Iterator[Small]:
    with started(Small) as machine:
        yield machine


@pytest.fixture(scope="module")
def ana(world: Small) -> Person:
    ben = signed_in(world, "ben")
    person = signed_in(world, "ana")
    person.granted(ben, span="1h")
    return person


@pytest.fixture(scope="module")
def doors(ana: Person) -> Iterator[dict[str, Address]]:
    """Where each door is; one endpoint of ana's holds the port open for its name."""
    run = ana.world.run
    host, _, port = json.loads((run / "agent.json").read_text())["ssh"].rpartition(":")
    with listening(ana) as dsn:
        found = re.search(r":(\d+)/", dsn)
        assert found is not None
        yield {
            "unix": str(run / "pg" / ".s.PGSQL.5432"),
            "tcp": ("127.0.0.1", int(found[1])),
            "ssh": (host, int(port)),
            "api": str(run / "api.sock"),
        }


@contextmanager
def flood(address: Address, word: bytes, count: int = FLOOD) -> Iterator[list[socket.socket]]:
    """So many connections, each with half a word; whom the agent closes it closes."""
    held: list[socket.socket] = []
    try:
        for number in range(count):
            family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
            connection = socket.socket(family)
            connection.settimeout(20)
            held.append(connection)
            with suppress(OSError):
                connection.connect(address)
                connection.sendall(word if number % 2 else b"")
        yield held
    finally:
        for connection in held:
            connection.close()


@contextmanager
def flood_of_somebody_else(address: Address, word: bytes) -> Iterator[None]:
    """The same from another account: it is there when this gives way, and until it ends."""
    ready, telling = os.pipe()
    stop, stopping = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresuid(somebody.uid(), somebody.uid(), somebody.uid())
            with flood(address, word):
                os.write(telling, b"x")
                select.select([stop], [], [], 120)
        finally:
            os._exit(0)
    try:
        assert select.select([ready], [], [], 60)[0], "the flood did not come"
        yield
    finally:
        os.write(stopping, b"x")
        os.waitpid(child, 0)
        for one in (ready, telling, stop, stopping):
            os.close(one)


def works(session: Any, times: int = 50) -> None:
    """A session makes progress."""
    for number in range(times):
        assert answers(session, number) == (number + 1,)


def answers(session: Any, number: int = 0) -> Any:
    """The row that one statement gives."""
    return session.execute("select %s::int + 1", (number,)).fetchone()


@contextmanager
def session(doorway: Doorway) -> Iterator[Any]:
    with psycopg.connect(doorway.dsn, autocommit=True) as connection:
        yield connection


def come_in(ana: Person, doorway: Doorway, dsn: str) -> None:
    """Through each door, anew."""
    with psycopg.connect(doorway.dsn) as local, psycopg.connect(dsn) as plain:
        works(local, 2)
        works(plain, 2)
    assert ask(str(ana.world.run / "api.sock"), "GET", "/v1/status", kept(ana).token)[0] == 200
    with (
        forwarded(ana, "prod-db") as port,
        psycopg.connect(f"host=127.0.0.1 port={port} user=x dbname=shop sslmode=disable") as far,
    ):
        works(far, 2)


@pytest.mark.parametrize("door", ["unix", "tcp", "ssh"])
def test_a_flood_of_one_s_own_stops_no_session_and_keeps_nobody_out(
    ana: Person, doors: dict[str, Address], door: str
) -> None:
    """The same uid as the flood's: its oldest connections make room for who comes."""
    doorway = Doorway(ana, "prod-db")
    with session(doorway) as working, listening(ana) as dsn, flood(doors[door], HALF[door]) as held:
        works(working)
        come_in(ana, doorway, dsn)
        works(working)
        closed = sum(bool(select.select([one], [], [], 0)[0]) for one in held)
        assert closed >= FLOOD - 60
    doorway.close()


@pytest.mark.parametrize("door", ["unix", "tcp", "ssh", "api"])
def test_a_flood_of_another_account_touches_nobody_else(
    ana: Person, doors: dict[str, Address], door: str
) -> None:
    if os.getuid() != 0:
        missing("a second user", "run the tests as root on Linux")
    doorway = Doorway(ana, "prod-db")
    with (
        session(doorway) as working,
        listening(ana) as dsn,
        flood_of_somebody_else(doors[door], HALF[door]),
    ):
        works(working)
        come_in(ana, doorway, dsn)
        works(working)
    doorway.close()


def test_who_is_dropped_is_told_why(ana: Person, doors: dict[str, Address]) -> None:
    with flood(doors["unix"], b"", 40) as held:
        held[0].settimeout(20)
        assert b"C53300\0" in held[0].recv(1 << 10)
    with flood(doors["api"], b"", 200) as held:
        spoken, _, _ = select.select(held, [], [], 20)
        heard = [connection.recv(1 << 10) for connection in spoken]
    assert heard
    assert all(answer.startswith(b"HTTP/1.1 429 ") for answer in heard)


def test_a_flood_fills_neither_the_log_nor_the_audit(
    ana: Person, doors: dict[str, Address]
) -> None:
    """Guesses: each is refused, and a line or two are kept of all of them."""
    packet = wire.startup_message({"user": "e-0000000000"})
    before = len((ana.world.folder / "agent.log").read_bytes())
    for _ in range(FLOOD):
        assert b"C28P01\0" in somebody.said(doors["unix"], packet)
    from tests.e2e.test_other_users import events

    eventually(lambda: events(ana, "sign-in.refused"))
    assert len(events(ana, "sign-in.refused")) < 20
    assert len((ana.world.folder / "agent.log").read_bytes()) - before < FLOOD * 300


def test_without_a_file_left_the_doors_neither_die_nor_spin(
    ana: Person, doors: dict[str, Address]
) -> None:
    """The kernel gives the agent no more files, and a flood asks for hundreds.

    A catalog that cannot be read again meanwhile makes cells NULL, as always; sessions go on.
    """
    if sys.platform != "linux":
        missing("prlimit", "run the tests on Linux")
    agent = ana.world.processes[-1].pid
    doorway = Doorway(ana, "prod-db")
    before = resource.prlimit(agent, resource.RLIMIT_NOFILE)
    files = Path(f"/proc/{agent}/fd")
    with session(doorway) as working:
        works(working, 5)
        few = len(list(files.iterdir())) + 8
        resource.prlimit(agent, resource.RLIMIT_NOFILE, (few, before[1]))
        try:
            with (
                flood(doors["unix"], HALF["unix"], 100),
                flood(doors["tcp"], HALF["tcp"], 100),
                flood(doors["ssh"], HALF["ssh"], 100),
                flood(doors["api"], HALF["api"], 100),
            ):
                eventually(lambda: len(list(files.iterdir())) >= few - 2)
                used = _ticks(agent)
                for _ in range(200):
                    assert answers(working) in ((1,), (None,))
                # 200 statements take some; a loop that spins takes all there is.
                assert select.select([], [], [], 1.0) == ([], [], [])
                spent = (_ticks(agent) - used) / os.sysconf("SC_CLK_TCK")
        finally:
            resource.prlimit(agent, resource.RLIMIT_NOFILE, before)
        assert spent < 0.9
        eventually(lambda: answers(working) == (1,), 60)
    with listening(ana) as dsn:
        come_in(ana, doorway, dsn)
    doorway.close()


def _ticks(pid: int) -> int:
    """Processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
