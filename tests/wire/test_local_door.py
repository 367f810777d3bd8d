"""Real clients at the local door, in front of a real server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from hoopagent.config import Tls
from hoopagent.connect import Place
from hoopagent.doors.endpoints import Issued, Via
from hoopagent.doors.local import DoorTaken
from hoopcli.demo.postgres import Postgres, wheel_programs
from hoopcore.model import SECOND
from hoopcore.protocols.postgres import wire
from hoopcore.stream import LoginRefused
from tests.servers import missing, private_folder
from tests.wire.pass_through import ANN, LOOPS, PassThrough, RunningDoor, running_door

OFF = Tls(mode="off")


def tcp(postgres: Postgres) -> Place:
    return Place("appdb", f"127.0.0.1:{postgres.port}", OFF)


@pytest.fixture(params=list(LOOPS))
def door(postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[RunningDoor]:
    with private_folder() as folder:
        folder.chmod(0o755)
        with running_door(folder, PassThrough(tcp(postgres)), request.param) as running:
            yield running


def issue(door: RunningDoor, via: Via = "unix", uid: int | None = None) -> Issued:
    owner = os.getuid() if uid is None else uid
    return door.do(lambda it: it.add(ANN, "appdb", uid=owner, via=via))


def dsn(door: RunningDoor, issued: Issued) -> dict[str, Any]:
    unix = issued.endpoint.via == "unix"
    found = {
        "host": str(door.door.socket_dir) if unix else "127.0.0.1",
        "port": "5432" if unix else str(door.door.port),
        "user": issued.endpoint.id,
    }
    return found if unix else {**found, "password": issued.password}


def psqls() -> list[Path]:
    found = [wheel_programs() / "bin" / "psql"]
    debian = Path("/usr/lib/postgresql/15/bin/psql")
    return [*found, debian] if debian.exists() else found


def psql(
    door: RunningDoor,
    issued: Issued,
    *arguments: str,
    program: Path | None = None,
    user: int | None = None,
    **environment: Any,
) -> subprocess.CompletedProcess[str]:
    names = {f"PG{name.upper()}": value for name, value in dsn(door, issued).items()}
    return subprocess.run(
        [str(program or psqls()[0]), "-XwqAt", *arguments],
        env={"PATH": os.environ["PATH"], **names, **environment},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        cwd="/",
        user=user,
    )


def eventually(claim: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)


# --- who is let in --------------------------------------------------------------------------------


@pytest.mark.parametrize("program", psqls(), ids=str)
@pytest.mark.parametrize("via", ["unix", "tcp"])
@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"PGSSLMODE": "prefer", "PGGSSENCMODE": "prefer"},
        {"PGSSLMODE": "disable", "PGGSSENCMODE": "disable"},
        {"PGCHANNELBINDING": "disable", "PGREQUIREAUTH": ""},
    ],
)
def test_psql_works_with_nothing_to_type(
    door: RunningDoor, program: Path, via: Via, wish: dict[str, str]
) -> None:
    done = psql(
        door,
        issue(door, via),
        "-c",
        "select current_user, current_database(), current_setting('application_name')",
        program=program,
        user=None,
        **{name: value for name, value in wish.items() if value},
    )
    assert (done.stdout, done.stderr) == ("postgres|postgres|hoop:ann:s-1 psql\n", "")


def test_a_client_that_wants_protocol_3_2_is_negotiated_down(door: RunningDoor) -> None:
    done = psql(
        door, issue(door), "-c", "select 1", "-d", "dbname=postgres max_protocol_version=latest"
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


@pytest.mark.parametrize("via", ["unix", "tcp"])
def test_psycopg_and_asyncpg_work(door: RunningDoor, via: Via) -> None:
    issued = issue(door, via)
    with psycopg.connect(**dsn(door, issued), options="-c statement_timeout=5s") as connection:
        assert connection.execute("show statement_timeout").fetchone() == ("5s",)
        assert connection.execute("select %s::int + 1", (41,)).fetchone() == (42,)

    async def ask() -> object:
        names = dsn(door, issued)
        connection = await asyncpg.connect(
            **{**names, "port": int(names["port"])}, database="postgres"
        )
        try:
            return await connection.fetchval("select $1::int + 1", 41)
        finally:
            await connection.close()

    assert asyncio.run(ask()) == 42
    caller, step = door.sessions.admitted[-1]
    assert caller.principal is ANN
    assert (caller.target, caller.door, caller.uid) == ("appdb", "local", os.getuid())
    assert caller.endpoint == step.user == issued.endpoint.id
    assert caller.origin.startswith("unix uid" if via == "unix" else "127.0.0.1:")


def test_a_client_that_insists_on_tls_or_gss_is_told_no(door: RunningDoor) -> None:
    done = psql(door, issue(door, "tcp"), "-c", "select 1", PGSSLMODE="require")
    assert done.returncode == 2
    assert "SSL" in done.stderr


def test_who_is_not_let_in_hears_the_same_whatever_the_reason(door: RunningDoor) -> None:
    unix, plain = issue(door), issue(door, "tcp")
    other = issue(door, uid=os.getuid() + 1)
    stranger = replace(plain.endpoint, id="e-0000000000")
    heard = set()
    for issued in (
        other,
        Issued(plain.endpoint, "wrong"),
        Issued(stranger, plain.password),
        Issued(replace(stranger, via="unix"), ""),
        Issued(replace(unix.endpoint, via="tcp"), "x"),
        Issued(replace(plain.endpoint, via="unix"), ""),
    ):
        done = psql(door, issued, "-c", "select 1")
        assert done.returncode == 2
        heard.add(done.stderr.partition("FATAL:")[2])
    assert len(heard) == 1, heard
    assert "no such endpoint for you, or a wrong password" in heard.pop()
    assert not door.sessions.admitted


def test_another_account_is_not_let_in_on_the_unix_socket(door: RunningDoor) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can run a client as somebody else")
    nobody = pwd.getpwnam("nobody").pw_uid
    program = Path(shutil.which("psql") or "")
    if not program.is_file():
        missing("psql", "apt-get install postgresql-client")
    mine, theirs = issue(door), issue(door, uid=nobody)
    refused = psql(door, mine, "-c", "select 1", program=program, user=nobody)
    assert "no such endpoint for you" in refused.stderr
    let_in = psql(door, theirs, "-c", "select 1", program=program, user=nobody)
    assert (let_in.stdout, let_in.stderr) == ("1\n", "")
    assert psql(door, theirs, "-c", "select 1").returncode == 2


# --- what they may ask for ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ("replication=database", "replication is not available"),
        ("options='-c role=postgres'", 'the startup option "role" is not allowed'),
        ("dbname=template1", 'database "template1" is not one of target "appdb"'),
        ("dbname=shop", "has no such database"),
        ("client_encoding=SJIS", 'client_encoding "SJIS" cannot be read safely'),
        ("options='-c datestyle=nonsense'", "does not take a startup option of the client"),
    ],
)
def test_a_refusal_says_what_was_asked_for(door: RunningDoor, wish: str, words: str) -> None:
    done = psql(door, issue(door), "-c", "select 1", "-d", wish)
    assert done.returncode == 2
    assert "FATAL:  hoop: " in done.stderr
    assert words in done.stderr


def test_a_refused_admission_is_shown_with_its_hint(door: RunningDoor) -> None:
    door.sessions.refusal = LoginRefused("28000", "you have no grant", "Ask: hoop request appdb")
    done = psql(door, issue(door, "tcp"), "-c", "select 1")
    assert "FATAL:  hoop: you have no grant\nHINT:  Ask: hoop request appdb" in done.stderr
    assert door.sessions.abandoned == []


def test_an_unreachable_target_is_named(door: RunningDoor) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        door.sessions.place = Place("appdb", f"localhost:{port}", OFF)
        done = psql(door, issue(door), "-c", "select 1")
    assert f'could not reach target "appdb" at localhost:{port}: connection refused' in done.stderr
    assert "127.0.0.1)" in done.stderr
    eventually(lambda: len(door.sessions.abandoned) == 1)


# --- cancel ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("via", ["unix", "tcp"])
def test_a_cancel_reaches_the_statement(door: RunningDoor, via: Via) -> None:
    with psycopg.connect(**dsn(door, issue(door, via)), autocommit=True) as connection:
        timer = threading.Timer(0.3, connection.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("select pg_sleep(20)")
        timer.join()
        assert connection.execute("select 1").fetchone() == (1,)
    ((cancel, uid),) = door.sessions.cancels
    assert uid == os.getuid(), "the kernel tells it on the loopback too"
    assert cancel.secret == (1).to_bytes(4, "big"), "the client was given our secret"


def test_a_wrong_cancel_is_answered_by_silence(door: RunningDoor) -> None:
    with socket.create_connection(("127.0.0.1", door.door.port), 10) as raw:
        raw.sendall(wire.cancel_request(1, b"nope"))
        assert raw.recv(100) == b""


# --- what a login may hold ------------------------------------------------------------------------


def test_statements_sent_behind_the_startup_packet_are_not_lost(door: RunningDoor) -> None:
    issued = issue(door)
    packet = wire.startup_message({"user": issued.endpoint.id, "database": "postgres"})
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(10)
        raw.connect(str(door.door.socket_dir / ".s.PGSQL.5432"))
        raw.sendall(packet + wire.query(b"select 'pipelined'") + wire.frame(wire.TERMINATE))
        heard = b""
        while piece := raw.recv(65_536):
            heard += piece
    assert b"pipelined" in heard


def test_a_flood_behind_a_startup_packet_is_bounded(door: RunningDoor) -> None:
    packet = wire.startup_message({"user": issue(door).endpoint.id})
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket(socket.AF_UNIX) as raw:
        door.sessions.place = Place("appdb", f"127.0.0.1:{silent.getsockname()[1]}", OFF)
        raw.connect(str(door.door.socket_dir / ".s.PGSQL.5432"))
        raw.settimeout(1)
        raw.sendall(packet)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 16 << 20:
                sent += raw.send(b"Q" * 65_536)
    assert sent < 4 << 20, "what the kernel holds, and 64 KiB"


@pytest.mark.parametrize("loop", list(LOOPS))
def test_a_stalled_handshake_is_closed_and_holds_nobody_up(postgres: Postgres, loop: str) -> None:
    with (
        private_folder() as folder,
        running_door(folder, PassThrough(tcp(postgres)), loop, limit=2.0) as door,
        socket.create_connection(("127.0.0.1", door.door.port), 10) as raw,
    ):
        raw.sendall(b"\0\0")
        assert psql(door, issue(door), "-c", "select 1").stdout == "1\n"
        assert raw.recv(10) == b"", "the time limit closes it"


@pytest.mark.parametrize("loop", list(LOOPS))
def test_of_too_many_strangers_the_oldest_goes(postgres: Postgres, loop: str) -> None:
    with (
        private_folder() as folder,
        running_door(folder, PassThrough(tcp(postgres)), loop, unproved=3) as door,
    ):
        raws = [socket.create_connection(("127.0.0.1", door.door.port), 10) for _ in range(8)]
        for raw in raws[:5]:
            assert b"C53300\0" in raw.recv(1_000)
        assert psql(door, issue(door), "-c", "select 1").stdout == "1\n"
        assert b"C53300\0" in raws[5].recv(1_000), "who had the most places lost one"
        raws[7].sendall(wire.ssl_request())
        assert raws[7].recv(10) == b"N"
        for raw in raws:
            raw.close()


def test_a_client_that_leaves_while_the_target_is_slow_leaves_nothing(
    door: RunningDoor,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        door.sessions.place = Place("appdb", f"127.0.0.1:{silent.getsockname()[1]}", OFF)
        packet = wire.startup_message({"user": issue(door).endpoint.id})
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(door.door.socket_dir / ".s.PGSQL.5432"))
            raw.sendall(packet)
            silent.settimeout(10)
            target, _ = silent.accept()
            target.settimeout(10)
            with target:
                assert target.recv(1_000)
                raw.close()
                assert target.recv(1_000) == b"", "the target's connection was closed too"
    eventually(lambda: door.sessions.abandoned == ["the client left"])


def test_a_target_that_hangs_up_is_said_to_the_client(door: RunningDoor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        door.sessions.place = Place("appdb", f"127.0.0.1:{silent.getsockname()[1]}", OFF)
        threading.Thread(target=lambda: silent.accept()[0].close(), daemon=True).start()
        done = psql(door, issue(door), "-c", "select 1")
    assert "closed the connection" in done.stderr


# --- leases ---------------------------------------------------------------------------------------


def test_an_endpoint_lives_by_use_and_by_signs_of_life(door: RunningDoor) -> None:
    issued = issue(door)
    id = issued.endpoint.id

    def sweep(seconds: int) -> list[str]:
        door.now += seconds * SECOND
        return [endpoint.id for endpoint in door.do(lambda it: it.sweep(door.now))]

    assert sweep(59) == []
    assert door.do(lambda it: it.keep(id))
    assert sweep(59) == []
    with psycopg.connect(**dsn(door, issued)):
        assert sweep(600) == [], "a connection keeps it"
    eventually(lambda: door.sessions.ended == 1)
    eventually(lambda: not door.do(lambda it: it._endpoints._leases[id].connections))
    assert sweep(59) == []
    assert sweep(1) == [id]
    assert not door.do(lambda it: it.keep(id))
    assert "no such endpoint" in psql(door, issued, "-c", "select 1").stderr


def test_a_removed_endpoint_lets_nobody_in_and_nobody_out(door: RunningDoor) -> None:
    issued = issue(door, "tcp")
    with psycopg.connect(**dsn(door, issued)) as connection:
        assert door.do(lambda it: it.remove(issued.endpoint.id)) == issued.endpoint
        assert door.do(lambda it: it.remove(issued.endpoint.id)) is None
        assert connection.execute("select 1").fetchone() == (1,)
        assert "no such endpoint" in psql(door, issued, "-c", "select 1").stderr


def test_passwords_are_never_the_same_and_safe_anywhere(door: RunningDoor) -> None:
    passwords = {issue(door, "tcp").password for _ in range(5)}
    assert len(passwords) == 5
    assert all(len(word) == 22 and word.isascii() and word.isalnum() for word in passwords)
    issued = issue(door, "tcp")
    assert issued.password not in repr(issued)


# --- the sockets themselves -----------------------------------------------------------------------


def test_the_socket_is_there_for_all_and_its_folder_is_ours(door: RunningDoor) -> None:
    folder = door.door.socket_dir
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert stat.S_IMODE((folder / ".s.PGSQL.5432").stat().st_mode) == 0o666
    assert sorted(path.name for path in folder.iterdir()) == [
        ".s.PGSQL.5432",
        ".s.PGSQL.5432.lock",
    ]


def test_a_second_agent_in_the_same_folder_is_told_so(postgres: Postgres) -> None:
    with private_folder() as folder, running_door(folder, PassThrough(tcp(postgres))) as first:
        with pytest.raises(DoorTaken, match="another hoop-agent listens"):
            RunningDoor(folder, PassThrough(tcp(postgres)), "uvloop").start()
        assert psql(first, issue(first), "-c", "select 1").stdout == "1\n"


def test_a_socket_left_behind_is_replaced_and_one_in_use_is_not(postgres: Postgres) -> None:
    with private_folder() as folder:
        (folder / "pg").mkdir()
        path = folder / "pg" / ".s.PGSQL.5432"
        with socket.socket(socket.AF_UNIX) as foreign:
            foreign.bind(str(path))
            foreign.listen()
            with pytest.raises(DoorTaken, match="somebody else listens"):
                RunningDoor(folder, PassThrough(tcp(postgres)), "uvloop").start()
        assert path.exists(), "nobody removed it"
        with running_door(folder, PassThrough(tcp(postgres))) as door:
            assert psql(door, issue(door), "-c", "select 1").stdout == "1\n"
        assert not path.exists()


def test_a_folder_that_others_may_replace_is_refused(postgres: Postgres) -> None:
    with private_folder() as folder:
        (folder / "run").mkdir()
        (folder / "run").chmod(0o777)
        with pytest.raises(DoorTaken, match="others may replace"):
            RunningDoor(folder / "run", PassThrough(tcp(postgres)), "uvloop").start()
        (folder / "run").chmod(0o755)
        (folder / "run" / "pg").symlink_to(folder)
        with pytest.raises(DoorTaken, match="not a folder of the agent's own"):
            RunningDoor(folder / "run", PassThrough(tcp(postgres)), "uvloop").start()


def test_a_path_too_long_for_a_socket_is_said(postgres: Postgres) -> None:
    with private_folder() as folder:
        deep = folder / ("x" * 90)
        deep.mkdir()
        with pytest.raises(DoorTaken, match="too long for a unix socket"):
            RunningDoor(deep, PassThrough(tcp(postgres)), "uvloop").start()


def test_a_taken_port_is_said_and_leaves_no_socket(postgres: Postgres) -> None:
    with private_folder() as folder, socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(DoorTaken, match="is taken"):
            RunningDoor(folder, PassThrough(tcp(postgres)), "uvloop", tcp=address).start()
        assert not (folder / "pg" / ".s.PGSQL.5432").exists()


@pytest.mark.parametrize("address", ["0.0.0.0:0", "example.test:1", "127.0.0.1", "127.0.0.1:x"])
def test_the_port_is_on_the_loopback_only(postgres: Postgres, address: str) -> None:
    with private_folder() as folder, pytest.raises(DoorTaken, match="loopback"):
        RunningDoor(folder, PassThrough(tcp(postgres)), "uvloop", tcp=address).start()


@pytest.mark.parametrize("loop", list(LOOPS))
def test_a_closed_door_drops_handshakes_and_keeps_sessions(postgres: Postgres, loop: str) -> None:
    with (
        private_folder() as folder,
        running_door(folder, PassThrough(tcp(postgres)), loop) as door,
        socket.create_connection(("127.0.0.1", door.door.port), 10) as raw,
        psycopg.connect(**dsn(door, issue(door))) as connection,
    ):
        asyncio.run_coroutine_threadsafe(door.door.close(), door.loop).result(10)
        assert raw.recv(10) == b""
        assert connection.execute("select 1").fetchone() == (1,)
