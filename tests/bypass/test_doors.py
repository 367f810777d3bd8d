"""The local door and whoever pretends to be one: packets before a login, and squatters.

A squatter is a server of our own in the agent's place.  What it hears is kept, and must hold no
password, no token and no statement.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncssh
import psycopg
import pytest

from hoopagent.config import Tls
from hoopagent.connect import Place
from hoopagent.doors.attempts import MINUTE, Attempts
from hoopagent.doors.endpoints import Issued, Via
from hoopcli import door as ssh_door
from hoopcli import profile
from hoopcli.demo.postgres import Postgres
from hoopcli.errors import Failure
from hoopcli.psql import environment
from hoopcore.protocols.postgres import wire
from hoopcore.stream import Cancel
from tests.bypass.canaries import SCHEMA
from tests.bypass.inside import ANN as INSIDE
from tests.bypass.inside import Inside, running_inside
from tests.bypass.raw import codes
from tests.bypass.world import eventually
from tests.servers import private_folder
from tests.wire.pass_through import ANN, PassThrough, RunningDoor, running_door

PASSWORD = "canaryPassword0123456789"
STATEMENT = "select 'canary statement'"
TOKEN = "canary.id.token"


# --- squatters ------------------------------------------------------------------------------------


class Squatter:
    """Answers on a port; ``heard`` is all that any client has said."""

    def __init__(self, answer: Callable[[socket.socket, Squatter], None]) -> None:
        self.heard = b""
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def read(self, connection: socket.socket) -> bytes:
        """What comes next; kept."""
        data = connection.recv(1 << 16)
        self.heard += data
        return data

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.settimeout(20)
                with suppress(OSError, ValueError), connection:
                    self._answer(connection, self)
                    while self.read(connection):
                        pass


@contextmanager
def squatting(answer: Callable[[socket.socket, Squatter], None]) -> Iterator[Squatter]:
    squatter = Squatter(answer)
    try:
        yield squatter
    finally:
        squatter.close()


def asks(*answers: bytes) -> Callable[[socket.socket, Squatter], None]:
    """A PostgreSQL server that answers each thing it hears with the next of these."""

    def answer(connection: socket.socket, squatter: Squatter) -> None:
        for one in answers:
            if not squatter.read(connection):
                return
            connection.sendall(one)

    return answer


IN = wire.authentication(0) + wire.backend_key_data(1, b"abcd") + wire.ready_for_query()
SCRAM = wire.authentication(10, b"SCRAM-SHA-256\0\0")


def scram_that_knows_nothing(connection: socket.socket, squatter: Squatter) -> None:
    """Goes through the exchange without the verifier, and says that all is well."""
    squatter.read(connection)
    connection.sendall(SCRAM)
    nonce = squatter.read(connection).partition(b"r=")[2]
    first = b"r=" + nonce + b"more,s=c2FsdHNhbHQ=,i=1"
    connection.sendall(wire.authentication(11, first))
    squatter.read(connection)
    connection.sendall(wire.authentication(12, b"v=" + b"A" * 43 + b"=") + IN)


@pytest.mark.parametrize(
    "answer",
    [
        asks(wire.authentication(3), IN),
        asks(wire.authentication(5, b"salt"), IN),
        asks(IN),
        scram_that_knows_nothing,
        asks(b"N", IN),
        asks(b"garbage\0\0\0\0"),
    ],
    ids=["in-clear", "md5", "no-password", "scram", "ssl", "garbage"],
)
def test_a_squatter_on_the_port_hears_no_password_and_no_statement(
    postgres: Postgres, answer: Callable[[socket.socket, Squatter], None]
) -> None:
    """psql in the environment that `hoop connect` gives it."""
    program = postgres.reachable_install() / "bin" / "psql"
    with squatting(answer) as squatter:
        endpoint = {
            "host": "127.0.0.1",
            "port": squatter.port,
            "user": "e-0000000000",
            "database": "shop",
            "password": PASSWORD,
        }
        environ = environment({"PATH": os.environ["PATH"]}, endpoint, os.geteuid())
        done = subprocess.run(
            [str(program), "-XwAt", "-c", STATEMENT],
            env=environ,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 2, done.stdout
    assert b"e-0000000000" in squatter.heard
    assert PASSWORD.encode() not in squatter.heard
    assert b"canary" not in squatter.heard
    assert b"md5" not in squatter.heard


def elsewhere(port: int) -> profile.Place:
    return profile.Place(f"127.0.0.1:{port}", "127.0.0.1", port, "", None, None)


@pytest.mark.parametrize(
    "word",
    [b"", b"SSH-2.0-hoop\r\n", b"SSH-2.0-hoop\r\n" + bytes(64), b"HTTP/1.1 200 OK\r\n\r\n{}"],
    ids=["silence", "a version", "zeros", "http"],
)
def test_a_squatter_on_the_ssh_port_hears_no_token(word: bytes) -> None:
    def answer(connection: socket.socket, squatter: Squatter) -> None:
        connection.sendall(word)
        squatter.read(connection)
        connection.shutdown(socket.SHUT_WR)

    with squatting(answer) as squatter, pytest.raises(Failure):
        ssh_door.exchange(elsewhere(squatter.port), "SHA256:pinned", ssh_door.fresh_key(), TOKEN)
    assert squatter.heard.startswith(b"SSH-2.0-")
    assert TOKEN.encode() not in squatter.heard


async def test_a_squatter_with_a_host_key_of_its_own_is_not_even_asked_to_let_in() -> None:
    """A whole SSH server that would take anybody: the client leaves at the host key."""
    names: list[str] = []

    class Welcoming(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            names.append(username)
            return False

    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=Welcoming,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
    )
    port = server.get_port()

    def sign_in() -> None:
        with pytest.raises(Failure, match="another host key"):
            ssh_door.exchange(elsewhere(port), "SHA256:pinned", ssh_door.fresh_key(), TOKEN)

    await asyncio.to_thread(sign_in)
    server.close()
    await server.wait_closed()
    assert names == []


# --- the first packets ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def door(postgres: Postgres) -> Iterator[RunningDoor]:
    place = Place("appdb", f"127.0.0.1:{postgres.port}", Tls(mode="off"))
    with private_folder() as folder, running_door(folder, PassThrough(place)) as running:
        yield running


def issue(door: RunningDoor, via: Via = "unix") -> Issued:
    return door.do(lambda it: it.add(ANN, "appdb", uid=os.getuid(), via=via))


@contextmanager
def raw(door: RunningDoor, via: Via = "unix") -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX if via == "unix" else socket.AF_INET) as connection:
        connection.settimeout(20)
        where: Any = ("127.0.0.1", door.door.port)
        if via == "unix":
            where = str(door.door.socket_dir / ".s.PGSQL.5432")
        connection.connect(where)
        yield connection


def rest(connection: socket.socket) -> bytes:
    """All until the door closes."""
    heard = b""
    with suppress(ConnectionResetError):
        while piece := connection.recv(1 << 16):
            heard += piece
    return heard


def places(door: RunningDoor) -> int:
    return door.do(lambda it: len(it._handshakes))


def gssenc_request() -> bytes:
    return struct.pack("!II", 8, wire.GSSENC_REQUEST)


def startup(door: RunningDoor, **more: str) -> bytes:
    names = {"user": issue(door).endpoint.id, "database": "postgres"}
    return wire.startup_message(names | more)


@pytest.mark.parametrize("before", ["ssl", "gss", "ssl gss", "gss ssl"])
def test_encryption_is_declined_and_what_came_along_is_a_login_in_clear(
    door: RunningDoor, before: str
) -> None:
    """As PostgreSQL has it where it has no TLS: nothing of it was ever taken for encrypted."""
    asked = {"ssl": wire.ssl_request(), "gss": gssenc_request()}
    words = before.split()
    with raw(door) as connection:
        packet = b"".join(asked[word] for word in words) + startup(door)
        connection.sendall(packet + wire.query(b"select 'along'") + wire.frame(wire.TERMINATE))
        heard = rest(connection)
    assert heard.startswith(b"N" * len(words) + b"R")
    assert b"along" in heard


@pytest.mark.parametrize("via", ["unix", "tcp"])
@pytest.mark.parametrize(
    "packet",
    [
        wire.ssl_request() * 2,
        wire.ssl_request() + gssenc_request() * 2,
        struct.pack("!II", 9, wire.SSL_REQUEST) + b"x",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"GET / HTTP/1.1\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\0\0\0\0",
        b"\xff\xff\xff\xff",
        struct.pack("!II", 8, 0x00020000),
        struct.pack("!II", 16, wire.CANCEL_REQUEST) + b"\0\0\0\1" + b"abc",
        struct.pack("!II", 12 + 257, wire.CANCEL_REQUEST) + b"\0\0\0\1" + b"x" * 257,
    ],
    ids=[
        "ssl-twice",
        "gss-twice",
        "ssl-with-more-in-it",
        "tls-at-once",
        "http",
        "ssh",
        "length-0",
        "length-2^32",
        "version-2",
        "cancel-cut",
        "cancel-over-256",
    ],
)
def test_a_first_packet_that_is_none_ends_the_connection(
    door: RunningDoor, packet: bytes, via: Via
) -> None:
    before = len(door.sessions.admitted), len(door.sessions.cancels)
    with raw(door, via) as connection:
        connection.sendall(packet)
        connection.shutdown(socket.SHUT_WR)
        rest(connection)
    eventually(lambda: places(door) == 0)
    assert (len(door.sessions.admitted), len(door.sessions.cancels)) == before


@pytest.mark.parametrize("via", ["unix", "tcp"])
@pytest.mark.parametrize("cut", [0, 3, 4, 9, -1])
def test_a_login_that_is_half_closed_in_the_middle_leaves_nothing(
    door: RunningDoor, via: Via, cut: int
) -> None:
    packet = wire.startup_message({"user": issue(door, via).endpoint.id})
    with raw(door, via) as connection:
        connection.sendall(packet[:cut])
        connection.shutdown(socket.SHUT_WR)
        assert b"Z\0\0\0\5" not in rest(connection), "nobody is in"
    eventually(lambda: places(door) == 0 and door.do(lambda it: it.serving) == 0)


def test_a_client_that_says_no_more_after_its_login_is_let_go(door: RunningDoor) -> None:
    """Half-closed behind a whole startup packet: both sides are closed, and the place is free."""
    with raw(door) as connection:
        connection.sendall(startup(door))
        connection.shutdown(socket.SHUT_WR)
        rest(connection)
    eventually(lambda: places(door) == 0 and door.do(lambda it: it.serving) == 0)


@pytest.mark.parametrize("via", ["unix", "tcp"])
@pytest.mark.parametrize("secret", [b"abcd", b"x" * 32, b"x" * 256])
def test_a_cancel_with_a_key_of_nobody_is_answered_by_silence(
    door: RunningDoor, via: Via, secret: bytes
) -> None:
    """Keys of 4 bytes, and of up to 256 since protocol 3.2."""
    with raw(door, via) as connection:
        connection.sendall(wire.cancel_request(1, secret))
        assert rest(connection) == b""
    cancel, uid = door.sessions.cancels[-1]
    assert (cancel.secret, uid) == (secret, os.getuid())


@pytest.mark.parametrize("mechanism", [b"PLAIN", b"SCRAM-SHA-256-PLUS", b"MD5", b""])
def test_no_other_proof_than_scram_is_taken_on_the_port(
    door: RunningDoor, mechanism: bytes
) -> None:
    issued = issue(door, "tcp")
    packet = wire.startup_message({"user": issued.endpoint.id})
    body = wire.cstring(mechanism) + wire.UINT32.pack(len(issued.password))
    for answer in (
        wire.frame(wire.PASSWORD, body + issued.password.encode()),
        wire.frame(wire.PASSWORD, wire.cstring(issued.password.encode())),
        wire.query(b"select 1"),
    ):
        with raw(door, "tcp") as connection:
            connection.sendall(packet)
            assert connection.recv(100).startswith(b"R")
            connection.sendall(answer)
            assert b"Z\0\0\0\5" not in rest(connection)
    with psycopg.connect(
        host="127.0.0.1", port=door.door.port, user=issued.endpoint.id, password=issued.password
    ) as connection_:
        assert connection_.execute("select 1").fetchone() == (1,)


# --- the slow, and those who guess ----------------------------------------------------------------


@pytest.mark.parametrize("via", ["unix", "tcp"])
def test_a_byte_now_and_then_gains_no_time(postgres: Postgres, via: Via) -> None:
    """The limit is for the whole login; meanwhile a session goes on."""
    place = Place("appdb", f"127.0.0.1:{postgres.port}", Tls(mode="off"))
    with (
        private_folder() as folder,
        running_door(folder, PassThrough(place), limit=1.0) as door,
        raw(door, via) as slow,
    ):
        packet = wire.startup_message({"user": "e-0000000000", "database": "x" * 200})
        issued = issue(door)
        with psycopg.connect(
            host=str(door.door.socket_dir), port=5432, user=issued.endpoint.id, dbname="postgres"
        ) as session:
            ended = False
            for at in range(len(packet) - 1):
                session.execute("select 1")
                try:
                    slow.sendall(packet[at : at + 1])
                    slow.settimeout(0.05)
                    ended = slow.recv(100) == b""
                except TimeoutError:
                    continue
                except OSError:
                    ended = True
                if ended:
                    break
            assert ended, "its time is over before it has said all"
            assert session.execute("select 2").fetchone() == (2,)


def test_who_guesses_has_to_wait_a_minute_and_is_told_so(postgres: Postgres) -> None:
    place = Place("appdb", f"127.0.0.1:{postgres.port}", Tls(mode="off"))
    now = [MINUTE]
    attempts = Attempts(lambda: now[0], 5)
    with (
        private_folder() as folder,
        running_door(folder, PassThrough(place), attempts=attempts) as door,
    ):
        issued = issue(door, "tcp")

        def tried(password: str) -> str:
            where = f"host=127.0.0.1 port={door.door.port} dbname=postgres"
            try:
                psycopg.connect(where, user=issued.endpoint.id, password=password).close()
            except psycopg.OperationalError as refused:
                return str(refused)
            return ""

        for _ in range(5):
            assert tried(issued.password) == "", "who is let in guesses nothing"
        for _ in range(5):
            assert "no such endpoint for you, or a wrong password" in tried("wrong")
        said = tried(issued.password)
        assert "too many sign-ins from here have failed" in said
        assert "HINT:  Wait a minute" in said
        now[0] += MINUTE
        assert tried(issued.password) == ""


# --- sessions that are too many, and cancels ------------------------------------------------------


@pytest.fixture(scope="module")
def inside(postgres: Postgres) -> Iterator[Inside]:
    postgres.psql("create database vault")
    postgres.psql(SCHEMA, "vault")
    with private_folder() as folder, running_inside(folder, postgres) as agent:
        yield agent
    postgres.psql("drop database vault with (force)")


@contextmanager
def limited(inside: Inside, *, agent: int = 100, target: int = 500) -> Iterator[None]:
    before = inside.config
    section = before.targets["vault"].model_copy(update={"max_sessions": target})
    inside.config = before.model_copy(
        update={
            "agent": before.agent.model_copy(update={"sessions_per_principal": agent}),
            "targets": {"vault": section},
        }
    )
    try:
        yield
    finally:
        inside.config = before


@pytest.mark.parametrize(
    ("limits", "words"),
    [({"agent": 2}, "you have 2 sessions open"), ({"target": 2}, "has 2 sessions open")],
)
def test_one_session_too_many_is_refused_with_53300_and_a_hint(
    inside: Inside, limits: dict[str, int], words: str
) -> None:
    with limited(inside, **limits):
        for _ in range(2):  # and again: places come back
            with inside.connect() as first, inside.connect():
                said = refusal(inside)
                assert f"53300 hoop: {words}" in said.replace('target "vault" ', "")
                assert "H" in said
                assert codes(first.query("select 1")) == []
            eventually(lambda: not inside.sessions._room._of)


def refusal(inside: Inside) -> str:
    """What one more client hears."""

    async def add() -> str:
        return inside.door.add(INSIDE, "vault", uid=os.getuid(), via="unix").endpoint.id

    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(f"{inside.door.socket_dir}/.s.PGSQL.5432")
        connection.sendall(wire.startup_message({"user": inside.do(add()), "database": "vault"}))
        fields = wire.error_fields(rest(connection)[5:])
    return " ".join(f"{fields.get(kind, b'').decode()}" for kind in "CMH") + " H" * ("H" in fields)


def test_a_login_that_fails_behind_its_admission_gives_its_place_back(inside: Inside) -> None:
    with limited(inside, agent=1):
        for _ in range(3):

            async def add() -> str:
                return inside.door.add(INSIDE, "vault", uid=os.getuid(), via="unix").endpoint.id

            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(20)
                connection.connect(f"{inside.door.socket_dir}/.s.PGSQL.5432")
                names = {"user": inside.do(add()), "database": "no_such"}
                connection.sendall(wire.startup_message(names))
                assert b"C3D000\0" in rest(connection)
            eventually(lambda: not inside.sessions._room._of)


def test_a_cancel_counts_only_with_the_key_and_from_its_own_side(inside: Inside) -> None:
    """A wrong key, another uid, another principal through the SSH door: nothing, silently."""
    with inside.connect() as client:
        live = inside.live
        key = Cancel(client.pid, client.secret)
        wrong = Cancel(client.pid, bytes(len(client.secret)))
        client.send(wire.query(b"select pg_sleep(30)"))
        cancel = inside.sessions.cancel
        for one, uid, principal in (
            (wrong, os.getuid(), None),
            (wrong, None, live.record.principal),
            (Cancel(client.pid + 1, client.secret), os.getuid(), None),
            (key, os.getuid() + 1, None),
            (key, None, "p-another"),
        ):
            inside.do(cancel(one, uid, principal))
        client.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.message()
        client.socket.settimeout(30)
        begun = time.monotonic()
        inside.do(cancel(key, None, live.record.principal))
        assert codes(client.until_ready()) == ["57014"]
        assert time.monotonic() - begun < 25, "it slept to its end"


def test_the_run_folder_s_sockets_are_for_all_and_its_files_are_not(door: RunningDoor) -> None:
    folder = Path(door.door.socket_dir)
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes == {".s.PGSQL.5432": 0o666, ".s.PGSQL.5432.lock": 0o600}
