"""What an agent says that nobody should believe: it is shown as words, and becomes nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hoopcli import (
    checks,
    completion_values,
    errors,
    marked,
    pg_service,
    profile,
    signin,
    stock_ssh,
    whole_files,
)
from hoopcli.door import Exchanged
from hoopcli.errors import Exit, Failure
from hoopcli.profile import Place
from hoopcli.tunnels import calls, daemon, front, records
from hoopcli.tunnels.link import Patience
from tests.unit.test_agents import Fake, together

ESCAPE = "\x1b]52;c;ZXZpbA==\x07"


def test_talk_holds_nothing_that_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    errors.say(f"one\n{ESCAPE}two")
    assert capsys.readouterr().err == "one\n\\x1b]52;c;ZXZpbA==\\x07two\n"


def test_a_check_that_the_agent_names_is_shown_as_words() -> None:
    shown = checks.shown(checks.Line(ESCAPE, checks.FAIL, ESCAPE, ESCAPE))
    assert "\x1b" not in "".join(shown)


@pytest.mark.parametrize("id", ["p-1\n    ProxyCommand touch /tmp/x", "root", "p-1 %h", ""])
def test_an_id_is_no_line_of_ssh_settings(id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = SimpleNamespace(
        place=Place("eu:22", "eu", 22, "", None, None),
        credentials=lambda: SimpleNamespace(principal=id),
    )
    monkeypatch.setattr(signin, "session", lambda name: here)
    with pytest.raises(Failure, match="an id that is none"):
        stock_ssh.hosts(["eu:22"], own_agent=False)


def tunnel(**more: Any) -> dict[str, Any]:
    return {
        "agent": "eu",
        "target": "prod-db",
        "socket_dir": "/run/x",
        "port": 1,
        "user": "hoop",
        "database": "shop",
        "host": "127.0.0.1",
        "password": "secret",
    } | more


@pytest.mark.parametrize(
    "wrong",
    [{"database": "x\nhost=evil"}, {"target": "x]\n[other"}, {"database": "x\r"}, {"target": "x]"}],
)
def test_a_name_is_no_line_of_a_service_file(wrong: dict[str, str]) -> None:
    tunnels = [tunnel(**wrong)]
    with pytest.raises(Failure, match="service file"):
        pg_service.services(tunnels, pg_service.names(tunnels, frozenset()))


def test_no_target_takes_the_service_of_another_agents() -> None:
    tunnels = [
        tunnel(agent="evil", target="eu.prod-db"),
        tunnel(agent="eu"),
        tunnel(agent="evil"),
    ]
    names = pg_service.names(tunnels, frozenset())
    assert names == ["evil.eu.prod-db", "eu.prod-db", "evil.prod-db"]


def test_passwords_are_never_in_a_file_that_others_may_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pass"))
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "service"))
    (tmp_path / "pass").write_bytes(b"")
    (tmp_path / "pass").chmod(0o644)
    replaced = whole_files.replace

    def watched(path: Path, content: bytes, mode: int) -> None:
        assert b"secret" not in content or mode == 0o600
        replaced(path, content, mode)

    monkeypatch.setattr(whole_files, "replace", watched)
    pg_service.write([tunnel()], ["prod-db"])
    assert (tmp_path / "pass").stat().st_mode & 0o777 == 0o600


def test_our_part_with_other_line_ends_is_not_written_twice(tmp_path: Path) -> None:
    path = tmp_path / "file"
    marked.write(path, b"[x]\n")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    before = path.read_bytes()
    with pytest.raises(Failure, match="line ends"):
        marked.write(path, b"[y]\n")
    assert path.read_bytes() == before


def test_a_word_that_a_shell_would_act_on_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [{"name": name} for name in ("prod-db", "$(touch x)", "a b", "-x", "a;b", ESCAPE)]
    client = contextlib.nullcontext(SimpleNamespace(get=lambda path: told))
    monkeypatch.setattr("hoopcli.client.connected", lambda timeout: client)
    assert [word for word, _ in completion_values.targets("")] == ["prod-db"]


def test_an_answer_that_is_no_list_hides_no_other_agent() -> None:
    for answer in ({"x": 1}, 5, ["x"], None):
        agents = together(
            eu=Fake({"/v1/targets": answer}), us=Fake({"/v1/targets": [{"name": "a"}]})
        )
        assert [one["name"] for one in agents.get("/v1/targets")] == ["a"]


def test_no_agent_takes_what_is_meant_for_another() -> None:
    mine = {"id": "s-1", "target": "prod-db", "started": "2026-11-23T03:00:00Z"}
    made_up = {"id": "s-1", "target": "prod-db", "started": ""}
    evil = Fake({"/v1/sessions/s-1": made_up, "/v1/sessions": [made_up]})
    good = Fake({"/v1/sessions/s-1": mine, "/v1/sessions": [mine]})
    agents = together(evil=evil, good=good)
    assert len(agents.get("/v1/sessions")) == 2
    with pytest.raises(Failure, match="each tells of something else") as told:
        agents.post("/v1/sessions/s-1/kill")
    assert told.value.code == Exit.USAGE
    assert not [asked for asked in (*evil.asked, *good.asked) if asked.startswith("POST")]


ANSWER = Exchanged("t", "2026-11-23T04:00:00Z", "2026-11-23T04:00:00Z", "c", {"id": "p-1"})


@pytest.mark.parametrize(
    "answer",
    [
        replace(ANSWER, expires="tomorrow"),
        replace(ANSWER, principal={}),
        replace(ANSWER, principal={"id": "p-1", "groups": 5}),
    ],
)
def test_a_sign_in_that_cannot_be_read_is_told_as_one(answer: Exchanged) -> None:
    with pytest.raises(Failure, match="cannot be read"):
        signin.made(answer, "key")


async def test_no_answer_of_an_agent_ends_the_tunnels_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "_RENEW", 0.001)
    held = daemon.Daemon(tmp_path, Patience())
    asked: list[str] = []

    async def session(agent: str) -> None:
        asked.append(agent)
        if len(asked) > 6:
            held._stop.set()
        if agent == "evil":
            raise RecursionError

    monkeypatch.setattr(held._signs, "known", lambda: {"evil", "good"})
    monkeypatch.setattr(held._signs, "session", session)
    async with asyncio.timeout(5):
        await held._renew()
    assert asked.count("good") > 2


# --- this machine ---------------------------------------------------------------------------------


def test_a_control_socket_of_somebody_elses_hears_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOP_HOME", str(tmp_path))
    records.made_folder()
    monkeypatch.setattr(calls, "listener_of", lambda connection: os.geteuid() + 1)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(records.folder() / calls.CONTROL))
        listening.listen()
        with pytest.raises(Failure, match="somebody else's"):
            calls.call("list", passphrase="secret")
        connection, _ = listening.accept()
        with connection:
            assert connection.recv(64) == b""


def test_settings_named_from_here_are_the_same_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOOP_HOME", "my settings")
    assert profile.home() == tmp_path / "my settings"
    assert calls._environment()["HOOP_HOME"] == str(tmp_path / "my settings")


def test_any_version_may_list_and_stop_what_another_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOP_HOME", str(tmp_path))

    async def answers() -> list[Any]:
        held = daemon.Daemon(tmp_path, Patience())
        other = {"protocol": calls.PROTOCOL + 1, "tunnels": [], "all": True}
        return [(await held._answered({"op": op} | other))[0] for op in ("list", "stop", "open")]

    listed, stopped, opened = asyncio.run(answers())
    assert (listed, stopped) == ({"tunnels": []}, {})
    assert "hoop tunnels stop --all" in opened["hint"]


@pytest.mark.parametrize("port", ["0", "65536", "99999"])
def test_no_port_wraps_around(port: str) -> None:
    with pytest.raises(Failure, match="from 1 to 65535") as told:
        profile.locate(f"localhost:{port}")
    assert told.value.code == Exit.USAGE


def test_a_full_disk_says_for_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    tmp_path.chmod(0o700)
    with pytest.raises(OSError, match="No space left") as told:
        profile.write_private(tmp_path / "file", b"x")
    assert told.value.filename == str(tmp_path / "file")
    assert not list(tmp_path.iterdir())


def test_a_strangers_client_is_known_on_a_socket_of_ipv6_too() -> None:
    v4 = f"{front._in_hex('127.0.0.1', 40000)} {front._in_hex('127.0.0.1', 5000)}"
    v6 = " ".join(f"{front._MAPPED}{end}" for end in v4.split())
    for ends in (v4, v6):
        table = f"head\n 0: {ends} 01 0:0 0:0 0 1234 0 1\n"
        assert front.uid_of_tcp(("127.0.0.1", 40000), ("127.0.0.1", 5000), table) == 1234
