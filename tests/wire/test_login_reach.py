"""Reaching real targets: protocol 3.2 and its keys, the agent's certificate, several hosts."""

from __future__ import annotations

import os
import pwd
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hoopagent.config import Tls
from hoopagent.connect import Place
from hoopcli.demo.postgres import Postgres
from tests.certificates import Authority
from tests.servers import DEBIAN_POSTGRES, private_folder, running_postgres
from tests.wire.pass_through import ANN, PassThrough, RunningDoor, running_door
from tests.wire.test_login_targets import OFF, logged_in, outer

__all__ = ["outer"]


@pytest.fixture(scope="module")
def door(postgres: Postgres) -> Iterator[RunningDoor]:
    place = Place("appdb", f"127.0.0.1:{postgres.port}", OFF)
    with private_folder() as folder, running_door(folder, PassThrough(place)) as running:
        yield running


def cancels(door: RunningDoor, **wish: Any) -> None:
    """A cancel of the client's own reaches what it runs."""
    with logged_in(door, **wish) as connection:
        connection.autocommit = True
        timer = threading.Timer(0.3, connection.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("select pg_sleep(20)")
        timer.join()


# --- the protocol ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["3.0", "3.2", "latest"])
@pytest.mark.parametrize("server", ["postgres", "postgres15"])
def test_both_sides_speak_the_newest_protocol_they_know(
    door: RunningDoor, request: pytest.FixtureRequest, server: str, version: str
) -> None:
    target: Postgres = request.getfixturevalue(server)
    door.sessions.place = Place("appdb", f"127.0.0.1:{target.port}", OFF)
    wish = {"max_protocol_version": version, "min_protocol_version": "3.0"}
    with logged_in(door, **wish) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
        [login] = door.sessions.open
        assert len(login.opened.secret) == (32 if server == "postgres" else 4)
        assert len(login.opened.client_secret) == (4 if version == "3.0" else 32)
        assert login.opened.secret != login.opened.client_secret
    cancels(door, **wish)


def test_psql_18_speaks_3_2(door: RunningDoor, postgres: Postgres) -> None:
    door.sessions.place = Place("appdb", f"127.0.0.1:{postgres.port}", OFF)
    issued = door.do(lambda it: it.add(ANN, "appdb", uid=os.getuid(), via="unix"))
    where = f"host={door.door.socket_dir} port=5432 user={issued.endpoint.id}"
    done = subprocess.run(
        [str(postgres.reachable_install() / "bin" / "psql"), "-XAt",
         f"{where} max_protocol_version=3.2 min_protocol_version=3.2 dbname=postgres",
         "-c", r"\conninfo", "-c", "select 'in'"],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "in" in done.stdout
    assert "3.2" in done.stdout


def test_a_target_may_be_asked_for_3_0_only(door: RunningDoor, postgres: Postgres) -> None:
    door.sessions.place = Place("appdb", f"127.0.0.1:{postgres.port}", OFF)
    door.sessions.more = {"newest": 196_608}
    try:
        with logged_in(door):
            [login] = door.sessions.open
            assert len(login.opened.secret) == 4
    finally:
        door.sessions.more = {}


# --- the agent's own certificate ------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(outer: Path) -> Authority:
    return Authority(outer, "clients")


@pytest.fixture(scope="module")
def asking(outer: Path, authority: Authority) -> Iterator[Postgres]:
    """A server that lets in who has a certificate of its authority, and asks for nothing else."""
    owner = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    outer.chmod(0o711)
    certificate, key = authority.issue("db2", names=("localhost",), owner=owner)
    settings = {
        "ssl": "on",
        "ssl_cert_file": str(certificate),
        "ssl_key_file": str(key),
        "ssl_ca_file": str(authority.file),
    }
    hba = "local all postgres trust\nhostssl all all 127.0.0.1/32 cert\n"
    with running_postgres(install=DEBIAN_POSTGRES, settings=settings, hba=hba) as server:
        server.psql("create role gate login")
        yield server


def certified(door: RunningDoor, server: Postgres, **files: Any) -> str:
    tls = Tls(mode="verify-full", **files)
    door.sessions.place = Place("appdb", f"localhost:{server.port}", tls)
    door.sessions.user, door.sessions.password = "gate", None
    try:
        with logged_in(door) as connection:
            found = connection.execute("select current_user").fetchone()
            assert found is not None
            return str(found[0])
    finally:
        door.sessions.user, door.sessions.password = "postgres", "postgres"


def test_a_certificate_of_the_agents_own_lets_it_in(
    door: RunningDoor, asking: Postgres, authority: Authority
) -> None:
    cert, key = authority.issue("gate", names=("gate",))
    assert certified(door, asking, ca_file=authority.file, cert_file=cert, key_file=key) == "gate"
    with pytest.raises(psycopg.OperationalError, match=r"the agent's credential|TLS failed"):
        certified(door, asking, ca_file=authority.file)


def test_a_key_that_others_can_read_is_not_used(
    door: RunningDoor, asking: Postgres, authority: Authority
) -> None:
    cert, key = authority.issue("loose", names=("gate",))
    key.chmod(0o644)
    with pytest.raises(psycopg.OperationalError, match="can be read by others"):
        certified(door, asking, ca_file=authority.file, cert_file=cert, key_file=key)


# --- several hosts --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def standby() -> Iterator[Postgres]:
    """A server that recovers for ever: there is no primary that it hears of."""
    with running_postgres(install=DEBIAN_POSTGRES) as server:
        assert server.process is not None
        server.process.send_signal(2)  # fast shutdown: the next start finds it clean
        server.process.wait(20)
        signal = server.folder / "data" / "standby.signal"
        signal.touch()
        server._own(signal)
        assert server._try_start(server.install, server.folder / "data", 20)
        yield server


def where(door: RunningDoor, servers: list[Postgres | int], attrs: str) -> int:
    """Which of the hosts the session is on; the target says it itself."""
    ports = [server if isinstance(server, int) else server.port for server in servers]
    first, *others = (f"127.0.0.1:{port}" for port in ports)
    door.sessions.place = Place("appdb", first, OFF, tuple(others))
    door.sessions.more = {"attrs": attrs}
    try:
        with logged_in(door) as connection:
            found = connection.execute("select inet_server_port()").fetchone()
            assert found is not None
            assert door.sessions.open[0].admitted.place.address == f"127.0.0.1:{found[0]}"
            cancels(door)
            return ports.index(found[0])
    finally:
        door.sessions.more = {}


@pytest.mark.parametrize(
    ("attrs", "found"),
    [("any", 1), ("read-write", 2), ("primary", 2), ("standby", 1), ("read-only", 1),
     ("prefer-standby", 1)],
)  # fmt: skip
def test_the_session_is_on_the_host_that_is_wanted_and_so_is_its_cancel(
    door: RunningDoor, standby: Postgres, postgres15: Postgres, attrs: str, found: int
) -> None:
    assert where(door, [1, standby, postgres15], attrs) == found


def test_where_no_host_is_of_the_kind_nobody_gets_in(door: RunningDoor, standby: Postgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="none of its 2 hosts is"):
        where(door, [standby, standby], "primary")
    with pytest.raises(psycopg.OperationalError, match="connection refused"):
        where(door, [1, 2], "any")
