"""A door that has a certificate for its clients: TLS at the client's side of a login."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest

from hoopagent.config import Tls
from hoopagent.connect import Place
from hoopagent.doors.login import Caller, Identified, greet
from hoopagent.lane import Lane
from hoopcli.demo.postgres import Postgres
from hoopcore.protocols.postgres import wire
from tests.certificates import Authority
from tests.servers import private_folder
from tests.wire.pass_through import ANN, LOOPS, PassThrough, RunningDoor, running_door


@pytest.fixture
def folder() -> Iterator[Path]:
    with private_folder() as path:
        yield path


@pytest.fixture(params=list(LOOPS))
def door(postgres: Postgres, folder: Path, request: pytest.FixtureRequest) -> Iterator[RunningDoor]:
    place = Place("appdb", f"127.0.0.1:{postgres.port}", Tls(mode="off"))
    with running_door(folder, PassThrough(place), request.param) as running:
        yield running


@pytest.fixture
def port(door: RunningDoor, folder: Path) -> int:
    """A port with TLS, on the loop of the other door."""
    certificate, key = Authority(folder).issue("door", names=("localhost",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    caller = Caller(ANN, "appdb", "local", "somewhere")

    def met(lane: Lane) -> None:
        group = door.door._group
        assert group is not None
        found = Identified(caller, None)
        group.create_task(greet(lane, lambda _: found, door.sessions, client_tls=context))

    async def listen() -> int:
        server = await asyncio.get_running_loop().create_server(partial(Lane, met), "127.0.0.1", 0)
        door.door._servers.append(server)
        name: tuple[str, int] = server.sockets[0].getsockname()
        return name[1]

    return door.wait_for(listen())


def test_a_client_verifies_the_door_and_talks_under_tls(port: int, folder: Path) -> None:
    with psycopg.connect(
        host="localhost",
        hostaddr="127.0.0.1",
        port=port,
        user="anybody",
        sslmode="verify-full",
        sslrootcert=str(folder / "ca.pem"),
    ) as connection:
        assert connection.pgconn.ssl_in_use
        found = connection.execute("select repeat('x', 3000000)").fetchone()
        assert found is not None
        assert len(found[0]) == 3_000_000


def test_a_client_without_tls_is_let_in_too(port: int) -> None:
    with psycopg.connect(
        host="127.0.0.1", port=port, user="anybody", sslmode="disable"
    ) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_bytes_in_clear_behind_the_request_are_never_taken_as_tls(
    door: RunningDoor, port: int
) -> None:
    with socket.create_connection(("127.0.0.1", port), 10) as raw:
        raw.sendall(wire.ssl_request() + wire.startup_message({"user": "anybody"}))
        heard = b""
        while piece := raw.recv(1_000):
            heard += piece
    assert heard.startswith(b"S")
    assert b"08P01" in heard
    assert not door.sessions.admitted


def test_a_handshake_that_is_none_closes_the_connection(door: RunningDoor, port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 10) as raw:
        raw.sendall(wire.ssl_request())
        assert raw.recv(1) == b"S"
        raw.sendall(wire.startup_message({"user": "anybody"}))
        while raw.recv(1_000):
            pass
    assert not door.sessions.admitted
