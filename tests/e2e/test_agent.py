"""The agent as a program: its start, its stop, and what is left when it is killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

import psycopg
import pytest

from hoopagent.config_files import FILES
from hoopcli.demo.world import World
from tests.e2e.test_clients import listening
from tests.e2e.world import Person


def agent(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hoopagent", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PROD_DB_PASSWORD": "x"},
    )


@pytest.fixture
def small() -> Iterator[World]:
    """A world of its own, whose agent may be ended."""
    with World() as world:
        yield world


def wait_until(path: Path, there: bool) -> None:
    end = time.monotonic() + 30
    while path.exists() is not there:
        assert time.monotonic() < end, f"{path.name} is {'not ' if there else ''}there"
        time.sleep(0.05)


def test_init_writes_a_folder_that_check_finds_right(tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    done = agent("init", "--config", str(folder))
    assert done.returncode == 0
    assert done.stdout.startswith("SHA256:")
    assert {path.name for path in folder.iterdir()} == {*FILES, "data"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.rglob("*"))
    assert agent("check", "--config", str(folder)).returncode == 0


def test_init_again_keeps_what_is_there(tmp_path: Path) -> None:
    first = agent("init", "--config", str(tmp_path))
    (tmp_path / "rules.toml").write_text("# mine\n")
    second = agent("init", "--config", str(tmp_path))
    assert second.stdout == first.stdout
    assert (tmp_path / "rules.toml").read_text() == "# mine\n"


def test_check_names_every_problem_by_file_line_and_key(tmp_path: Path) -> None:
    agent("init", "--config", str(tmp_path))
    for name, old, new in (
        ("agent.toml", "drain =", "drian ="),
        ("masks.toml", "keep-domain", "keep-domian"),
    ):
        text = (tmp_path / name).read_text()
        (tmp_path / name).write_text(text.replace(old, new, 1))
    done = agent("check", "--config", str(tmp_path))
    assert done.returncode == 1
    assert f"{tmp_path}/agent.toml:10: unknown key" in done.stdout
    assert f"{tmp_path}/masks.toml:" in done.stdout
    assert agent("run", "--config", str(tmp_path)).returncode == 1


def test_a_second_agent_on_the_same_data_does_not_start(world: World) -> None:
    done = agent("run", "--config", str(world.folder / "agent"))
    assert done.returncode == 1
    assert "another agent runs on" in done.stderr


def test_sigterm_ends_running_sessions_recorded(small: World) -> None:
    ben, ana = Person(small, "ben"), Person(small, "ana")
    ben.sign_in()
    ana.sign_in()
    ana.granted(ben)
    process = small.processes[-1]
    with listening(ana) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select 1")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        with pytest.raises(psycopg.OperationalError, match="agent was stopped"):
            connection.execute("select 1")
    assert not (small.run / "agent.json").exists()
    small.start_agent()
    session = ana.json("sessions", "--mine")[0]
    assert session["end_cause"] == "agent stopped"
    ana.hoop("verify", session["id"])


def test_sigkill_loses_no_statement_and_the_next_start_closes_the_recording(small: World) -> None:
    ben, ana = Person(small, "ben"), Person(small, "ana")
    ben.sign_in()
    ana.sign_in()
    ana.granted(ben)
    process = small.processes[-1]
    with listening(ana) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        for number in range(20):
            connection.execute(f"select {number} as said from orders")
        process.kill()
        process.wait()
    (small.run / "agent.json").unlink()
    small.start_agent()
    session = ana.json("sessions", "--mine")[0]
    assert session["end_cause"] == "recovered"
    ana.hoop("verify", session["id"])
    told = ana.hoop("replay", session["id"], "--no-wait", "-o", "sql").stdout
    assert all(f"select {number} as said" in told for number in range(20))


def test_the_log_holds_no_statement_and_no_value(ana: Person, grant: str) -> None:
    ana.psql("-c", "select 'a text of mine', ssn from customers")
    log = (ana.world.folder / "agent.log").read_text()
    assert "session.opened" in log
    assert all(json.loads(line)["event"] for line in log.splitlines())
    assert "a text of mine" not in log
    assert "219-09" not in log


def test_a_folder_that_is_not_there_is_said_with_how_to_make_one(tmp_path: Path) -> None:
    for command in ("run", "check"):
        done = agent(command, "--config", str(tmp_path / "nowhere"))
        assert done.returncode == 1
        assert f"hoop-agent init --config {tmp_path}/nowhere" in done.stderr


@contextmanager
def started(folder: Path, errors: IO[bytes] | int) -> Iterator[subprocess.Popen[bytes]]:
    """An agent with a folder of its own, which nobody waits for."""
    agent("init", "--config", str(folder))
    text = (folder / "agent.toml").read_text()
    (folder / "agent.toml").write_text(text.replace("127.0.0.1:7722", "127.0.0.1:0"))
    with subprocess.Popen(
        [sys.executable, "-m", "hoopagent", "run", "--config", str(folder)],
        stderr=errors,
        env={**os.environ, "PROD_DB_PASSWORD": "x"},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_port_that_is_taken_is_named_by_its_key(tmp_path: Path) -> None:
    agent("init", "--config", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        text = (tmp_path / "agent.toml").read_text()
        (tmp_path / "agent.toml").write_text(text.replace("127.0.0.1:7722", address))
        done = agent("run", "--config", str(tmp_path))
    assert done.returncode == 1
    assert (
        done.stderr == f'hoop-agent: [agent] ssh = "{address}": the port is taken; '
        "port 0 takes any\n"
    )
    assert not (tmp_path / "run" / "agent.json").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_start_that_is_interrupted_ends_in_order(tmp_path: Path, number: int) -> None:
    with started(tmp_path / "agent", subprocess.PIPE) as process:
        wait_until(tmp_path / "agent" / "data" / "hoop.sqlite", there=True)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert b"Traceback" not in said
    assert not (tmp_path / "agent" / "run" / "agent.json").exists()


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full, started(tmp_path / "agent", full) as process:
        announced = tmp_path / "agent" / "run" / "agent.json"
        wait_until(announced, there=True)
        process.terminate()
        wait_until(announced, there=False)
        process.wait(30)


def test_a_second_agent_says_which_folder_is_taken(tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    with started(folder, subprocess.DEVNULL):
        wait_until(folder / "run" / "agent.json", there=True)
        done = agent("run", "--config", str(folder))
        assert done.returncode == 1
        assert str(folder / "data") in done.stderr
        assert (folder / "run" / "agent.json").exists()


def test_strangers_cannot_fill_the_api(tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    with started(folder, subprocess.DEVNULL), ExitStack() as stack:
        wait_until(folder / "run" / "agent.json", there=True)

        def connect() -> socket.socket:
            connection = stack.enter_context(socket.socket(socket.AF_UNIX))
            connection.settimeout(20)
            connection.connect(str(folder / "run" / "api.sock"))
            return connection

        long = connect()
        head = b"POST /v1/requests HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n"
        long.sendall(head + bytes(100_000))
        assert long.recv(100).startswith(b"HTTP/1.1 413 ")
        many = [connect() for _ in range(200)]
        # Those that are let in get an answer; the others are closed, which some see as a reset.
        answered = 0
        for connection in many:
            with suppress(ConnectionError):
                connection.sendall(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
                answered += connection.recv(100).startswith(b"HTTP/1.1 401 ")
        assert 100 < answered < 130


def test_a_second_signal_ends_running_sessions_at_once(small: World) -> None:
    process = small.processes[-1]
    process.terminate()
    process.wait(20)
    config = small.folder / "agent" / "agent.toml"
    config.write_text(config.read_text().replace('drain = "1s"', 'drain = "1h"'))
    small.start_agent()
    process = small.processes[-1]
    ben, ana = Person(small, "ben"), Person(small, "ana")
    ben.sign_in()
    ana.sign_in()
    ana.granted(ben)
    with listening(ana) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        process.terminate()
        wait_until(small.run / "agent.json", there=False)
        assert connection.execute("select 1").fetchone() == (1,)
        process.terminate()
        assert process.wait(20) == 0


def test_revoking_does_not_wait_for_a_client_that_reads_nothing(ana: Person, ben: Person) -> None:
    id = ana.granted(ben)
    with listening(ana) as dsn:
        connection = psycopg.pq.PGconn.connect(dsn.encode())
        connection.send_query(b"select repeat('x', 1000) from generate_series(1, 1000000)")
        ben.hoop("revoke", id, "--reason", "enough")
        assert ana.json("sessions", "--mine")[0]["end_cause"] == "grant revoked"
        connection.finish()


def test_the_store_learns_from_the_recording_how_a_session_ended(small: World) -> None:
    ben, ana = Person(small, "ben"), Person(small, "ana")
    ben.sign_in()
    ana.sign_in()
    ana.granted(ben)
    ana.psql("-c", "select 1")
    process = small.processes[-1]
    process.terminate()
    process.wait(20)
    before = "UPDATE sessions SET ended = NULL, end_cause = '', head = '', statements = 0"
    with sqlite3.connect(small.folder / "agent" / "data" / "hoop.sqlite") as store:
        store.execute(before)
    store.close()
    small.start_agent()
    session = ana.json("sessions", "--mine")[0]
    assert session["end_cause"] == "client left"
    assert session["statements"] == 1
    ana.hoop("verify", session["id"])
