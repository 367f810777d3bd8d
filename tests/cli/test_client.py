"""The control API's client against agents that say too much, nothing, or not what they should."""

from __future__ import annotations

import fcntl
import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hoopcli import client as client_module
from hoopcli import pg_service, speaking
from hoopcli.client import Client
from hoopcli.commands import status
from hoopcli.errors import AgentUnreachable, Exit, Failure
from hoopcli.tunnels import calls, records
from hoopcli.tunnels.records import Record
from hoopcore import versions
from tests.cli.agent import TOKEN, FakeAgent, target
from tests.cli.conftest import ROOT, Hoop
from tests.servers import private_folder

OK = f"HTTP/1.1 200 OK\r\n{versions.HEADER}: {versions.ours()}\r\n"


def client_of(path: Path, timeout: float = 20) -> Client:
    return Client(SimpleNamespace(socket=path, token=lambda: TOKEN), timeout)


@contextmanager
def answering(answer: Callable[[str, socketserver.StreamRequestHandler], None]) -> Iterator[Path]:
    """A server on a unix socket; ``answer`` gets the first line of each connection's request."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            first = self.rfile.readline().decode()
            while self.rfile.readline() not in (b"\r\n", b""):
                pass
            answer(first, self)

    with private_folder() as folder:
        path = folder / "api.sock"
        with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
            server.daemon_threads = True
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            try:
                yield path
            finally:
                server.shutdown()
                thread.join()


def test_an_answer_without_an_end_is_not_read_to_it(
    agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "LARGEST", 1000)
    agent.broken["/v1/targets"] = (200, "application/json", b'["' + b"x" * 2000 + b'"]')
    with client_of(agent.socket) as client, pytest.raises(Failure, match="has no end"):
        client.get("/v1/targets")


def test_an_endless_stream_of_chunks_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "LARGEST", 100_000)

    def endless(first: str, handler: socketserver.StreamRequestHandler) -> None:
        handler.wfile.write(f"{OK}Transfer-Encoding: chunked\r\n\r\n".encode())
        try:
            while True:
                handler.wfile.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        except OSError:
            return

    with (
        answering(endless) as path,
        client_of(path) as client,
        pytest.raises(Failure, match="has no end"),
    ):
        client.get("/v1/targets")


@pytest.mark.parametrize("status_code", [200, 403])
def test_json_too_deep_to_read_is_no_answer(agent: FakeAgent, status_code: int) -> None:
    agent.broken["/v1/targets"] = (status_code, "application/json", b"[" * 200_000)
    with client_of(agent.socket) as client, pytest.raises(Failure):
        client.get("/v1/targets")


@pytest.mark.parametrize(
    "garbage", ["SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"]
)
def test_what_is_no_http_or_ends_early_is_an_agent_out_of_reach(garbage: str) -> None:
    def say(first: str, handler: socketserver.StreamRequestHandler) -> None:
        handler.wfile.write(garbage.encode())

    with answering(say) as path, client_of(path) as client, pytest.raises(AgentUnreachable):
        client.get("/v1/targets")


def test_a_connection_that_was_closed_in_between_is_made_again() -> None:
    def once(first: str, handler: socketserver.StreamRequestHandler) -> None:
        handler.wfile.write(f"{OK}Content-Length: 2\r\n\r\n[]".encode())

    with answering(once) as path, client_of(path) as client:
        for _ in range(3):
            assert client.get("/v1/targets") == []


def test_who_says_nothing_at_all_is_left_after_a_few_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(speaking, "LOOK", 0.05)
    over = threading.Event()

    def wait(first: str, handler: socketserver.StreamRequestHandler) -> None:
        over.wait(20)

    try:
        with (
            answering(wait) as path,
            client_of(path, 20) as client,
            pytest.raises(AgentUnreachable, match="does not answer at all") as told,
        ):
            client.get("/v1/targets")
    finally:
        over.set()
    assert "hoop-agent run" in told.value.hint


def test_who_is_busy_but_lives_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speaking, "LOOK", 0.05)
    looked = threading.Semaphore(0)

    def busy(first: str, handler: socketserver.StreamRequestHandler) -> None:
        if first.startswith("GET / "):
            looked.release()
            handler.wfile.write(b"HTTP/1.1 404 Not Found\r\n\r\n")
        else:
            for _ in range(3):
                looked.acquire(timeout=20)
            handler.wfile.write(f"{OK}Content-Length: 4\r\n\r\ntrue".encode())

    with answering(busy) as path, client_of(path) as client:
        assert client.get("/v1/targets") is True


def test_a_sign_of_life_is_asked_for_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speaking, "LOOK", 0.05)
    heard: list[str] = []

    def listen(first: str, handler: socketserver.StreamRequestHandler) -> None:
        if first:
            heard.append(first)

    with answering(listen) as path:
        other = speaking.Conversation(path, os.geteuid() + 1, 5, looks=True)
        with pytest.raises(Failure, match="is not the agent's"):
            other.ask("GET", "/v1/targets", {"Authorization": "Bearer x"}, None, 100)
        assert not speaking.Conversation(path, os.geteuid(), 5, looks=True)._lives()
    assert heard == ["GET / HTTP/1.1\r\n"]


# --- status ---------------------------------------------------------------------------------------

GOOD: dict[str, Any] = {
    "principal": {"id": "p-1", "name": "ana", "kind": "human", "groups": []},
    "where": "here",
    "version": "1",
    "host_key": "k",
    "issuer": "i",
    "kept_in": "file",
    "identity_until": "2026-11-23T04:00:00Z",
    "grants": [],
    "sessions": [],
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"principal": None},
        {"principal": {"id": "p-1"}},
        {"principal": []},
        {"grants": 5},
        {"grants": [{}]},
        {"sessions": ["x"]},
        {"identity_until": ["x"]},
    ],
)
def test_a_status_that_cannot_be_read_hides_no_other_agent(
    wrong: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {"good": GOOD, "evil": GOOD | wrong}
    monkeypatch.setattr(status, "_known", lambda name: told[name] | {"where": name})
    monkeypatch.setattr("hoopcli.profile.wanted", lambda agent: "evil")
    monkeypatch.setattr("hoopcli.profile.agents", lambda: ["good", "evil"])
    with pytest.raises(Failure, match="cannot be read"):
        status.status()
    shown = capsys.readouterr().out
    assert "good (hoop 1)" in shown
    assert "what the agent at evil says of you cannot be read" in shown


def test_a_status_that_is_no_object_is_told_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "_known", lambda name: {**json.loads("[]")})
    known, problem = status._tried("evil")
    assert problem is not None
    assert known["where"] == "evil"


# --- addresses that stay --------------------------------------------------------------------------

_ADDS = """
import sys
from hoopcli.tunnels import calls, records
from hoopcli.tunnels.records import Record
for number in range(15):
    new = Record("here", f"{sys.argv[1]}-{number}", "shop", 1 + number)
    records.changed(lambda known: records.with_record(known, new))
"""


def test_two_at_once_lose_none_of_each_others_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOP_HOME", str(tmp_path))
    adding = [
        subprocess.Popen([sys.executable, "-c", _ADDS, name], cwd=ROOT) for name in ("a", "b", "c")
    ]
    assert [process.wait(30) for process in adding] == [0, 0, 0]
    assert len(records.remembered()) == 45


def test_what_is_forgotten_or_stopped_is_that_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOP_HOME", str(tmp_path))
    records.stopped([("here", "a")])
    assert not (tmp_path / "tunnels.json").exists()
    kept = [Record("here", name, "shop", 1) for name in ("a", "b")]
    records.changed(lambda known: kept)
    records.stopped([("here", "a")])
    assert [one.stays for one in records.remembered()] == [False, True]
    records.forgotten([("here", "b")])
    assert [one.target for one in records.remembered()] == ["a"]


def test_a_new_port_is_put_into_the_service_and_the_passfile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pass"))
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "service"))
    (tmp_path / "service").write_text("[mine]\nport=5001\n")
    here = {"agent": "local", "socket_dir": "/run/x", "user": "hoop", "database": "shop"}
    here |= {"host": "127.0.0.1"}
    one = here | {"target": "prod-db", "port": 5001, "password": "old"}
    two = here | {"target": "other-db", "port": 5002, "password": "same"}
    assert pg_service.moved(5001, one) == []  # nothing of ours is there
    pg_service.write([one, two], ["prod-db", "other-db"])
    changed = pg_service.moved(5001, one | {"port": 6001, "password": "new"})
    assert [path.name for path in changed] == ["service", "pass"]
    service = (tmp_path / "service").read_text()
    assert "[mine]\nport=5001\n" in service
    assert "[prod-db]\nhost=/run/x\nport=6001\n" in service
    assert "[other-db]\nhost=/run/x\nport=5002\n" in service
    lines = (tmp_path / "pass").read_text().splitlines()
    assert lines[1:-1] == ["127.0.0.1:6001:*:hoop:new", "127.0.0.1:5002:*:hoop:same"]
    assert pg_service.moved(7777, one) == []


def test_services_of_more_than_a_few_targets_are_made_for_those_that_are_named(
    agent: FakeAgent, hoop: Hoop
) -> None:
    agent.targets = [target(name=f"db-{number}") for number in range(21)]
    done = hoop("config", "pg-service")
    assert done.returncode == Exit.USAGE
    assert "21 targets" in done.stderr
    assert "hoop config pg-service TARGET..." in done.stderr


def test_who_comes_while_the_tunnels_end_starts_them_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The process that ends has taken its socket away already, and still has the folder."""
    with private_folder() as home:
        monkeypatch.setenv("HOOP_HOME", str(home))
        folder = records.made_folder()
        lock = (folder / "lock").open("wb")
        fcntl.flock(lock, fcntl.LOCK_EX)
        starts: list[subprocess.Popen[bytes]] = []
        start = calls._start

        def watched(log: Path) -> subprocess.Popen[bytes]:
            if len(starts) == 1:
                lock.close()
            starts.append(start(log))
            return starts[-1]

        monkeypatch.setattr(calls, "_start", watched)
        try:
            assert calls.call("list") == {"tunnels": []}
        finally:
            calls.call_if_running("stop", tunnels=[], all=True)
            assert [process.wait(30) for process in starts] == [0, 0]
