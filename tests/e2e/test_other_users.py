"""Other accounts of the same machine: they cannot ride along, list, guess or take a place.

The agent, ana and her client are one account here, the somebody else another.  The run folder is
where a system's agent has it: others may enter, and nothing else is theirs.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hoopcli import psql
from hoopcli.answering import listener_of
from hoopcli.demo.world import World
from hoopcli.profile import pin_of
from hoopcore.protocols.postgres import wire
from tests.bypass.raw import connected
from tests.bypass.world import Doorway, children, command_of, eventually
from tests.e2e import somebody
from tests.e2e.somebody import as_somebody_else, ask, denied
from tests.e2e.test_clients import listening
from tests.e2e.test_ssh_lane import kept
from tests.e2e.world import Person
from tests.servers import missing
from tests.worlds import asking, signed_in, started


class Machine(World):
    """The demo's world; others may enter the folder of the sockets."""

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def _spawn(self, name: str, module: str, *arguments: str, stdout: int | None = None) -> Any:
        if name == "agent":
            toml = self.folder / "agent" / "agent.toml"
            text = toml.read_text()
            if "run =" not in text:
                limits = f'[agent]\nrun = "{self.run}"\nsign_ins_per_minute = 1000\n'
                toml.write_text(text.replace("[agent]\n", limits))
        return super()._spawn(name, module, *arguments, stdout=stdout)

    def stop(self) -> None:
        folder = self.folder
        super().stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def world() -> Iterator[Machine]:
    if os.getuid() != 0:
        missing("a second user", "run the tests as root on Linux")
    with started(Machine) as machine:
        yield machine


@pytest.fixture(scope="module")
def ben(world: Machine) -> Person:
    return signed_in(world, "ben")


@pytest.fixture(scope="module")
def ana(world: Machine, ben: Person) -> Person:
    return asking(world, ben, "1h")


@pytest.fixture(scope="module")
def door(ana: Person) -> Iterator[Doorway]:
    """ana's endpoint on the unix socket."""
    doorway = Doorway(ana, "prod-db")
    yield doorway
    doorway.close()


def refusal(heard: bytes) -> str:
    """SQLSTATE and text of the first error in what a door has said."""
    found = re.search(rb"C(\w{5})\0M([^\0]*)\0", heard)
    assert found is not None, heard
    return f"{found[1].decode()} {found[2].decode()}"


def events(ana: Person, action: str) -> list[dict[str, str]]:
    import sqlite3

    with sqlite3.connect(ana.world.folder / "agent" / "data" / "hoop.sqlite") as store:
        columns = [row[1] for row in store.execute("pragma table_info(audit)")]
        rows = store.execute("select * from audit").fetchall()
    store.close()
    told = [dict(zip(columns, map(str, row), strict=True)) for row in rows]
    return [event for event in told if event["action"] == action]


# --- the sockets ----------------------------------------------------------------------------------


def test_another_user_is_not_let_in_by_the_name_of_an_endpoint(door: Doorway, ana: Person) -> None:
    path = f"{door.host}/.s.PGSQL.5432"
    packet = wire.startup_message({"user": door.user, "database": door.database})
    packet += wire.query(b"select ssn from customers")
    invented = wire.startup_message({"user": "e-0000000000", "database": door.database})

    def tries() -> list[str]:
        return [somebody.said(path, one).decode("latin-1") for one in (packet, invented)]

    heard = as_somebody_else(tries)
    first, second = (refusal(one.encode("latin-1")) for one in heard)
    assert first.startswith("28P01 hoop: no such endpoint for you")
    assert first == second, "whether it exists is not told"
    with door.connect() as raw:
        assert raw.query("select 1")

    def told() -> bool:
        return any(
            str(somebody.uid()) in event["detail"] for event in events(ana, "sign-in.refused")
        )

    eventually(told)


def test_another_user_is_not_let_in_by_the_port_even_with_the_password(ana: Person) -> None:
    """The password is bound to the uid it was given to, and the kernel tells whose socket it is."""
    with listening(ana) as dsn:
        with psycopg.connect(dsn) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        wrong = re.sub(r":[^:@]+@", ":wrong@", dsn)

        def tries() -> list[str]:
            said = []
            for one in (dsn, wrong):
                connection = psycopg.pq.PGconn.connect(one.encode())
                said.append(connection.error_message.decode())
            return said

        right, guessed = as_somebody_else(tries)
        assert "no such endpoint for you, or a wrong password" in right
        assert right.partition("FATAL:")[2] == guessed.partition("FATAL:")[2]
        with psycopg.connect(dsn) as connection:
            assert connection.execute("select 1").fetchone() == (1,)


def test_the_api_gives_another_user_nothing(ana: Person, door: Doorway) -> None:
    """Not without a token, and not with ana's: it is bound to her uid."""
    api, token = str(ana.world.run / "api.sock"), kept(ana).token
    routes = [
        ("GET", "/v1/status"),
        ("GET", "/v1/targets"),
        ("GET", "/v1/grants?all=1"),
        ("GET", "/v1/sessions"),
        ("GET", "/v1/requests"),
        ("POST", f"/v1/endpoints/{door.user}/keep"),
        ("DELETE", f"/v1/endpoints/{door.user}"),
        ("POST", "/v1/logout"),
    ]

    def tries() -> list[tuple[int, dict[str, Any]]]:
        return [ask(api, *route, held) for route in routes for held in ("", "hoop_guess", token)]

    heard = as_somebody_else(tries)
    assert {status for status, _ in heard} == {401}
    assert {told["error"] for _, told in heard[2::3]} == {"other_user"}
    assert all("prod-db" not in str(told) for _, told in heard)
    assert ask(api, "GET", "/v1/status", token)[0] == 200
    with door.connect() as raw:
        assert raw.query("select 1")


def test_another_user_who_signs_in_has_endpoints_of_their_own_and_no_others(
    ana: Person, door: Doorway
) -> None:
    """ben, signed in by the other account: the same agent, and ana's endpoints stay ana's."""
    api = str(ana.world.run / "api.sock")
    there = Person(ana.world, "ben-elsewhere")
    there.sign_in("ben")
    token = kept(there).token

    def signed_in() -> list[tuple[int, dict[str, Any]]]:
        wish = {"target": "prod-db", "via": "unix"}
        return [
            ask(api, "GET", "/v1/status", token),
            ask(api, "POST", f"/v1/endpoints/{door.user}/keep", token),
            ask(api, "DELETE", f"/v1/endpoints/{door.user}", token),
            ask(api, "POST", "/v1/endpoints", token, wish),
        ]

    status, kept_there, deleted, made = as_somebody_else(signed_in)
    assert status[0] == 200
    assert status[1]["principal"]["name"].startswith("ben")
    assert (kept_there[0], deleted[0]) == (404, 404), "an endpoint of ana's is none of ben's"
    assert made[0] == 403, "ana's grant is none of ben's"
    assert ask(api, "GET", "/v1/status", token)[1]["error"] == "other_user", "bound, also for root"
    with door.connect() as raw:
        assert raw.query("select 1")


# --- cancels --------------------------------------------------------------------------------------


def test_another_user_cannot_cancel_even_with_the_key(ana: Person, door: Doorway) -> None:
    """On the unix socket, and on the port, which is another door for the same sessions."""
    with listening(ana) as dsn, door.connect() as raw:
        port = int(re.search(r":(\d+)/", dsn)[1])  # type: ignore[index] # a DSN has one
        packet = wire.cancel_request(raw.pid, raw.secret)
        raw.send(wire.query(b"select pg_sleep(1.5), 'slept'"))

        def tries() -> list[str]:
            doors: tuple[Any, ...] = (f"{door.host}/.s.PGSQL.5432", ("127.0.0.1", port))
            return [somebody.said(one, packet).decode() for one in doors]

        assert as_somebody_else(tries) == ["", ""]
        assert b"slept" in b"".join(body for _, body in raw.until_ready())


# --- files and processes --------------------------------------------------------------------------


def test_another_user_can_read_where_the_agent_is_and_nothing_else(
    ana: Person, door: Doorway
) -> None:
    folder, run = ana.world.folder, ana.world.run
    roots = [run, folder / "agent", folder / "ana", folder / "ben", folder / "provider"]
    paths = [str(path) for root in roots for path in (root, *root.rglob("*"))]
    found = as_somebody_else(lambda: somebody.readable(paths))
    assert sorted(found) == sorted(str(path) for path in (run, run / "agent.json", run / "pg"))
    told = (run / "agent.json").read_text()
    assert kept(ana).token not in told
    assert door.user not in told


def test_another_user_can_put_nothing_into_the_run_folder(ana: Person) -> None:
    run = ana.world.run
    sockets = [run / "api.sock", run / "pg" / ".s.PGSQL.5432"]

    def tries() -> list[str]:
        done = []
        handle, own = tempfile.mkstemp(dir=run.parents[1])
        os.close(handle)
        for path in (*sockets, run / "agent.json"):
            done += [f"{name} {path}" for name, way in _ways(path, own) if not denied(way)]
        for path in (run / "agent.json", run / "pg" / ".s.PGSQL.5432.lock"):
            if not denied(partial(path.open, "ab")):
                done.append(f"write {path}")
        os.unlink(own)
        return done

    assert as_somebody_else(tries) == []
    for path in sockets:
        assert stat.S_ISSOCK(path.stat().st_mode)


def _ways(path: Path, own: str) -> list[tuple[str, Callable[[], object]]]:
    """All that puts something else in the place of a file, or beside it."""
    fresh = path.with_name("of-mine")
    return [
        ("create", lambda: fresh.write_text("x")),
        ("unlink", path.unlink),
        ("rename away", lambda: path.rename(fresh)),
        ("rename over", lambda: Path(own).replace(path)),
        ("link", lambda: fresh.symlink_to(path)),
        ("folder", fresh.mkdir),
        ("mode", lambda: path.chmod(0o777)),
        ("bind", lambda: socket.socket(socket.AF_UNIX).bind(str(fresh))),
    ]


@contextmanager
def at_work(ana: Person) -> Iterator[list[int]]:
    """Every kind of process of ours that lives longer than a moment."""
    with (
        listening(ana),
        subprocess.Popen(
            [sys.executable, "-m", "hoopcli", "connect", "prod-db", "--", "-XAt"],
            env=ana.world.environment("ana"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as client,
    ):
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(b"select 'here';\n")
        client.stdin.flush()
        assert client.stdout.readline() == b"here\n"
        # PostgreSQL is no process of ours, and as it happens somebody else's own.
        found = [pid for pid in children(os.getpid()) if "hoopcli" in command_of(pid)]
        agents = [process.pid for process in ana.world.processes]
        yield [client.pid, *found, *agents, *(one for pid in agents for one in children(pid))]
        client.stdin.close()
        client.wait(20)


def test_processes_of_hoop_show_another_user_no_secret(ana: Person) -> None:
    mine = kept(ana)
    world = ana.world
    password = (world.folder / "agent" / "prod-db.password").read_text()
    secrets = [mine.token, mine.key, mine.refresh_token, password, world.passphrase]
    with at_work(ana) as pids:

        def tries() -> dict[str, list[str]]:
            private, shown = [], []
            for pid in pids:
                proc = Path(f"/proc/{pid}")
                private += somebody.readable([str(proc / n) for n in ("environ", "maps", "mem")])
                private += somebody.readable([str(proc / "fd")])
                shown.append((proc / "cmdline").read_bytes().decode())
            return {"private": private, "shown": shown}

        found = as_somebody_else(tries)
    assert found["private"] == []
    everything = "\n".join(found["shown"])
    assert "hoopagent" in everything
    assert "psql" in everything
    assert not any(secret and secret in everything for secret in secrets)
    assert "password" not in everything.lower()


# --- squatters ------------------------------------------------------------------------------------


def test_a_squatter_of_another_account_on_the_socket_hears_no_token(
    ana: Person, tmp_path: Path
) -> None:
    """As if the folder had been looked at just before its owner changed: the kernel's word on who
    listens comes after it, and before anything is sent."""
    with squatting() as (path, heard):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(path)
            assert listener_of(probe) == somebody.uid()
        program = (
            "import dataclasses, sys, pathlib\n"
            "from hoopcli import signin\n"
            "from hoopcli.client import Client\n"
            "session = signin.session()\n"
            "session.place = dataclasses.replace(session.place, api=pathlib.Path(sys.argv[1]))\n"
            "Client(session).get('/v1/status')\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, path],
            env=ana.world.environment("ana"),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert "is not the agent's" in done.stderr
    assert heard() == b""


def test_psql_says_nothing_to_a_squatter_of_another_account_on_the_socket(ana: Person) -> None:
    """In the environment that `hoop connect` gives it: libpq asks the kernel whose socket it is."""
    environ = ana.world.environment("ana")
    with squatting(".s.PGSQL.5432") as (path, heard):
        endpoint = {
            "host": str(Path(path).parent),
            "port": 5432,
            "user": "e-0000000000",
            "database": "shop",
        }
        done = subprocess.run(
            [environ["HOOP_PSQL"], "-XAt", "-c", "select 'a secret statement'"],
            env=psql.environment(environ, endpoint, os.getuid()),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert "requirepeer" in done.stderr
    assert heard() == b""


@contextmanager
def squatting(name: str = "api.sock") -> Iterator[tuple[str, Any]]:
    """A unix socket on which somebody else listens; what they hear in the end."""
    folder = Path("/tmp") / f"hoop-squat-{os.getpid()}"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    path = folder / name
    ready, telling = os.pipe()
    stop, stopping = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setresgid(65534, 65534, 65534)
            os.setresuid(somebody.uid(), somebody.uid(), somebody.uid())
            heard = _listen(path, telling, stop)
            (folder / "heard").write_bytes(heard)
        finally:
            os._exit(0)
    os.read(ready, 1)
    ended: list[bytes] = []
    try:
        yield str(path), lambda: ended[0]
    finally:
        os.write(stopping, b"x")
        os.waitpid(child, 0)
        ended.append((folder / "heard").read_bytes())
        for one in (ready, telling, stop, stopping):
            os.close(one)
        shutil.rmtree(folder, ignore_errors=True)


def _listen(path: Path, telling: int, stop: int) -> bytes:
    """Takes every connection and keeps what it says, until told to stop."""
    import select

    heard = b""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen()
        os.write(telling, b"x")
        open_ones: list[socket.socket] = []
        while True:
            waiting: list[Any] = [listener, stop, *open_ones]
            found, _, _ = select.select(waiting, [], [], 60)
            if not found or stop in found:
                return heard
            for one in found:
                if one is listener:
                    open_ones.append(listener.accept()[0])
                elif data := one.recv(1 << 16):
                    heard += data
                else:
                    open_ones.remove(one)


def test_what_is_pinned_of_an_agent_of_this_machine_is_its_owner_too(
    ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ana.world.environment("ana").items():
        monkeypatch.setenv(name, value)
    pin = pin_of(str(ana.world.run))
    assert pin is not None
    assert pin.owner == os.getuid()
    os.chown(ana.world.run, somebody.uid(), -1)
    try:
        done = ana.hoop("targets", status=None)
    finally:
        os.chown(ana.world.run, 0, -1)
    assert done.returncode != 0
    assert "another account" in done.stderr


def test_connections_are_of_this_machine_only(ana: Person) -> None:
    """The port is on the loopback, whatever other addresses the machine has."""
    with listening(ana) as dsn:
        port = int(re.search(r":(\d+)/", dsn)[1])  # type: ignore[index] # a DSN has one
        connected(("127.0.0.1", port)).close()
        listeners = Path("/proc/net/tcp").read_text().splitlines()[1:]
        ours = [row.split()[1] for row in listeners if row.split()[1].endswith(f":{port:04X}")]
        assert {address.partition(":")[0] for address in ours} == {"0100007F"}
