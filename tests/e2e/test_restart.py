"""An agent is replaced while people work: nobody is turned away, and nothing runs unwatched."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from hoopcli import door
from hoopcli.demo.world import World
from hoopcli.profile import locate
from tests.e2e.test_clients import listening
from tests.e2e.test_life import eventually_gone
from tests.e2e.test_ssh_lane import forwarded
from tests.e2e.world import Person
from tests.servers import missing
from tests.worlds import signed_in, started

PATIENCE = 30.0


def eventually(holds: Callable[[], object], within: float = PATIENCE) -> None:
    end = time.monotonic() + within
    while not holds():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.05)


class Replaceable(World):
    """A world whose agent gives its sessions a minute."""

    def start_agent(self) -> None:
        path = self.folder / "agent" / "agent.toml"
        more = 'drain = "60s"\nsign_ins_per_minute = 100000'  # somebody insists, below
        path.write_text(path.read_text().replace('drain = "1s"', more))
        super().start_agent()

    @property
    def lock(self) -> Path:
        return self.folder / "agent" / "data" / "agent.lock"

    def pid(self) -> int:
        """Of the agent that serves now."""
        return int(json.loads(self.lock.read_text())["pid"])

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``hoop-agent`` on this world's folder."""
        return subprocess.run(
            [sys.executable, "-m", "hoopagent", *arguments, "--config", str(self.folder / "agent")],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def restart(self) -> tuple[int, int]:
        """The pids of the agent before and of the one now."""
        before = self.pid()
        done = self.command("restart")
        assert done.returncode == 0, (done.stderr, self.log())
        assert self.pid() != before
        return before, self.pid()

    def take_over(self) -> None:
        """``hoop-agent run --take-over``, started by us."""
        process = self._spawn(
            "agent",
            "hoopagent",
            *("run", "--take-over", "--config", str(self.folder / "agent")),
        )
        self._wait_for(self.run / "agent.json", process)

    def log(self) -> str:
        return (self.folder / "agent.log").read_text()

    def stop(self) -> None:
        """A successor is the agent's child, not ours."""
        with contextlib.suppress(OSError, ValueError, ProcessLookupError):
            os.kill(self.pid(), signal.SIGTERM)
            os.kill(self.pid(), signal.SIGTERM)  # and at once
            eventually(lambda: not is_alive(self.pid()))
        super().stop()


def is_alive(pid: int) -> bool:
    """Whether that process still runs; one that is dead and not yet reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(scope="module")
def world() -> Iterator[Replaceable]:
    with started(Replaceable) as world:
        yield world


@pytest.fixture(scope="module")
def ben(world: Replaceable) -> Person:
    return signed_in(world, "ben")


@pytest.fixture(scope="module")
def ana(world: Replaceable, ben: Person) -> Person:
    return signed_in(world, "ana")


@pytest.fixture(scope="module")
def grant(ana: Person, ben: Person) -> str:
    """One for all tests; the last one revokes it."""
    return ana.granted(ben)


class Insisting:
    """Does something over and over in a thread, and keeps what went wrong."""

    def __init__(self, act: Callable[[], object], pause: float = 0.0) -> None:
        self._pause = pause  # seconds between two
        self.times = 0
        self.problems: list[str] = []
        self._act = act
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._insist)

    def _insist(self) -> None:
        while not self._enough.wait(self._pause):
            try:
                self._act()
                self.times += 1
            except Exception as problem:  # noqa: BLE001 - whatever it is, it is a finding
                self.problems.append(f"{type(problem).__name__}: {problem}")

    def __enter__(self) -> Insisting:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join(60)


def connects(dsn: str) -> Callable[[], object]:
    def act() -> None:
        with psycopg.connect(dsn, connect_timeout=20) as connection:
            assert connection.execute("select 1").fetchone() == (1,)

    return act


def test_nobody_is_turned_away_while_the_agent_is_replaced_three_times(
    world: Replaceable, ana: Person, grant: str
) -> None:
    place = locate(str(world.run))

    def asks_the_ssh_door() -> object:
        return door.welcome(place, place.host_key)

    def asks_the_api() -> object:
        return ana.json("status")

    with (
        listening(ana) as dsn,
        psycopg.connect(dsn, autocommit=True) as connection,
        Insisting(connects(dsn)) as local,
        Insisting(asks_the_ssh_door, pause=0.2) as ssh,
        Insisting(asks_the_api, pause=0.2) as api,
    ):
        first = world.pid()
        for _ in range(3):
            world.restart()
            had = local.times, ssh.times, api.times
            eventually(
                lambda had=had: (
                    all(  # type: ignore[misc]  # bound now, on purpose
                        now > then
                        for now, then in zip((local.times, ssh.times, api.times), had, strict=True)
                    )
                    or local.problems
                    or ssh.problems
                    or api.problems
                )
            )
        # The session of the first agent is still there, three agents later.
        assert connection.execute("select 1").fetchone() == (1,)
        assert is_alive(first)
    assert local.problems == []
    assert ssh.problems == []
    assert api.problems == []
    eventually(lambda: not is_alive(first))
    assert all(one["end_cause"] == "client left" for one in ana.json("sessions", "--mine")[:5])


def test_a_kill_and_a_cancel_reach_the_agent_two_before(
    world: Replaceable, ana: Person, ben: Person, grant: str
) -> None:
    with listening(ana) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select 1")
        before, _ = world.restart()
        world.restart()
        canceller = threading.Timer(0.5, connection.cancel)
        canceller.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("select count(*) from generate_series(1, 10000000000)")
        canceller.join()
        live = next(one for one in ben.json("sessions", "--live") if one["target"] == "prod-db")
        ben.hoop("kill", live["id"], "--reason", "maintenance")
        with pytest.raises(psycopg.OperationalError, match="maintenance"):
            connection.execute("select 1")
    eventually(lambda: not is_alive(before))


def test_a_second_agent_is_told_how_to_replace_the_first(world: Replaceable) -> None:
    done = world.command("run")
    assert done.returncode == 1
    assert "hoop-agent restart" in done.stderr


def as_nobody(act: Callable[[], bytes]) -> bytes:
    """What it gives when another account of this machine does it; an OSError is its number."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            os.write(writing, act())
        except OSError as problem:
            os.write(writing, str(problem.errno).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as told:
        return told.read()


def test_another_account_gets_nothing_from_the_hand_over_socket(world: Replaceable) -> None:
    if os.geteuid() != 0:
        missing("a second account", "run this test as root")
    path = world.run / "handoff.sock"
    hello = json.dumps({"hello": 1, "version": "0", "wants": "take-over"}).encode()

    def says_hello() -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(PATIENCE)
            asking.connect(str(path))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                asking.sendall(len(hello).to_bytes(4, "big") + hello)
                return b"heard: " + asking.recv(100)
            return b"heard: "

    assert path.stat().st_mode & 0o777 == 0o600
    folder = world.folder / "agent"
    folder.chmod(0o711)
    try:
        assert as_nobody(says_hello) == str(errno.EACCES).encode()
        path.chmod(0o666)  # even then the kernel says whose process it is
        assert as_nobody(says_hello) == b"heard: "
    finally:
        path.chmod(0o600)
        folder.chmod(0o700)


def test_a_broken_configuration_replaces_nobody(world: Replaceable, ana: Person) -> None:
    roles = world.folder / "agent" / "roles.toml"
    kept, before = roles.read_text(), world.pid()
    try:
        roles.write_text(kept + "[roles.engineer]\n")
        done = world.command("restart")
    finally:
        roles.write_text(kept)
    assert done.returncode == 1
    assert "roles.toml:" in done.stderr
    assert "goes on as it is" in done.stderr
    assert world.pid() == before
    ana.hoop("status")


def test_a_successor_that_cannot_serve_leaves_the_old_agent_in_its_place(
    world: Replaceable, ana: Person, grant: str
) -> None:
    """It has taken the sockets already when it finds that a port of its own is taken."""
    path, before = world.folder / "agent" / "agent.toml", world.pid()
    kept = path.read_text()
    with socket.create_server(("127.0.0.1", 0)) as taken, listening(ana) as dsn:
        try:
            port = taken.getsockname()[1]
            path.write_text(kept.replace("127.0.0.1:0", f"127.0.0.1:{port}"))
            with Insisting(connects(dsn)) as local:
                done = world.command("restart")
        finally:
            path.write_text(kept)
        assert done.returncode == 1
        assert "the port is taken" in done.stderr
        assert world.pid() == before
        connects(dsn)()
    assert local.problems == []
    world.restart()  # and it can still be replaced


# A successor that is killed the moment it holds the sockets, or the moment it serves.
_CRASHES = """
import asyncio, os, signal, sys
from pathlib import Path
from hoopagent.predecessor import Predecessor

async def main():
    predecessor = await Predecessor.take_over(Path(sys.argv[1]), "0")
    await predecessor.take()
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def test_a_successor_that_crashes_leaves_the_old_agent_in_its_place(
    world: Replaceable, ana: Person, grant: str
) -> None:
    before = world.pid()
    with listening(ana) as dsn:
        with Insisting(connects(dsn)) as local:
            died = subprocess.run(
                [sys.executable, "-c", _CRASHES, str(world.lock.parent)], check=False, timeout=60
            )
            had = local.times
            eventually(lambda: local.times > had or local.problems)
        assert died.returncode == -signal.SIGKILL
        assert local.problems == []
        assert world.pid() == before
        ana.hoop("status")


def test_a_session_of_an_agent_that_is_killed_while_it_drains_is_closed_in_the_records(
    world: Replaceable, ana: Person, grant: str
) -> None:
    with listening(ana) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select 1")
        before, _ = world.restart()
        (live,) = ana.json("sessions", "--mine", "--live")
        os.kill(before, signal.SIGKILL)
        eventually(lambda: not ana.json("sessions", "--mine", "--live"))
        connects(dsn)()
    ana.hoop("verify", live["id"])
    session = next(one for one in ana.json("sessions", "--mine") if one["id"] == live["id"])
    assert session["end_cause"] == "recovered"


def test_who_came_by_ssh_goes_on_at_the_agent_before(
    world: Replaceable, ana: Person, grant: str
) -> None:
    """New channels too, until its last session has ended; then the next ``ssh`` finds the new."""
    words = "host=127.0.0.1 port={} user=anybody dbname=shop sslmode=disable"
    with forwarded(ana, "prod-db") as port:
        where = words.format(port)
        with psycopg.connect(where, autocommit=True) as connection:
            before, _ = world.restart()
            assert connection.execute("select 1").fetchone() == (1,)
            connects(where)()
            assert is_alive(before)
        eventually(lambda: not is_alive(before))
    with forwarded(ana, "prod-db") as port:
        connects(words.format(port))()


# An agent that is killed the moment somebody wants its sockets, or has them.
_DIES = """
import asyncio, fcntl, os, signal, socket, sys
from pathlib import Path
from hoopagent.doors.sockets import listen_tcp, listen_unix
from hoopagent.handoff import Held, write_place
from hoopagent.offer import Offer

data, run, moment = Path(sys.argv[1]), Path(sys.argv[1]).parent / "run", sys.argv[2]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

class Dying:
    version = "0"

    async def pause(self, tell):
        if moment == "asked":
            die()
        unix = [listen_unix(folder, name, os.urandom(16))
                for folder, name in ((run / "pg", ".s.PGSQL.5432"), (run, "api.sock"))]
        tcp = [listen_tcp("127.0.0.1:0") for _ in range(2)]
        any_port = "127.0.0.1:0"
        held = Held(str(run), any_port, any_port, lock, tcp[0], *unix, [tcp[1]])
        return held, b'{"leases": {}, "mock_key": ""}'

class Offering(Offer):
    async def _pass_on(self, wire, held, endpoints):
        send = wire.send_descriptors
        async def and_die(descriptors):
            await send(descriptors)
            die()
        wire.send_descriptors = and_die
        await super()._pass_on(wire, held, endpoints)

lock = os.open(data / "agent.lock", os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

async def main():
    async with asyncio.TaskGroup() as group:
        offer = Offering(run, Dying(), os.urandom)
        offer.listen(group)
        write_place(lock, offer.path)
        print("ready", flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "moment", ["asked", "passed on"] if os.environ.get("HOOP_LONG") else ["passed on"]
)
def test_an_agent_that_dies_while_it_hands_over_is_replaced_all_the_same(
    world: Replaceable, ana: Person, grant: str, moment: str
) -> None:
    before = world.pid()
    os.kill(before, signal.SIGTERM)
    eventually(lambda: not is_alive(before))
    assert "no agent runs" in world.command("restart").stderr
    with subprocess.Popen(
        [sys.executable, "-c", _DIES, str(world.lock.parent), moment],
        stdout=subprocess.PIPE,
        text=True,
    ) as dying:
        assert dying.stdout is not None
        assert dying.stdout.readline() == "ready\n"
        world.take_over()
        assert dying.wait(PATIENCE) == -signal.SIGKILL
    with listening(ana) as dsn:
        connects(dsn)()


def test_a_revoke_during_the_drain_ends_the_session_of_the_agent_before(
    world: Replaceable, ana: Person, ben: Person, grant: str
) -> None:
    """The last test of the module: it ends the grant they share."""
    with listening(ana) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select 1")
        before, _ = world.restart()
        assert is_alive(before)
        told = ben.json("revoke", grant, "--reason", "the incident is over")
        assert len(told["closed"]) == 1, "it is said to be closed before anybody is told"
        eventually_gone(connection, within=5)
        session = ana.json("sessions", "--mine")[0]
    assert session["end_cause"] == "grant revoked"
    ana.hoop("verify", session["id"])
    eventually(lambda: not is_alive(before))
