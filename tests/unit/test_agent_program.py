"""``hoop-agent`` as a program: where it puts its keys, and what it tells who starts it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from hoopagent import listening
from hoopagent.__main__ import main
from hoopagent.keys import Keys


def test_init_makes_the_keys_where_the_agent_will_look_for_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "agent.d"
    folder.mkdir()
    (folder / "agent.toml").write_text(f'[agent]\ndata = "{tmp_path}/state"\n')
    assert main(["init", "--config", str(folder)]) == 0
    shown = capsys.readouterr().out.strip()
    assert shown == Keys.load_or_create(tmp_path / "state" / "keys").fingerprint
    assert not (folder / "data").exists()


def test_init_makes_no_keys_where_it_cannot_know_their_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "agent.toml").write_text("[agent\n")
    assert main(["init", "--config", str(tmp_path)]) == 1
    assert "agent.toml" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_restart_without_an_agent_says_how_to_start_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["init", "--config", str(tmp_path)])
    for name in ("targets.toml", "roles.toml", "rules.toml", "masks.toml"):
        (tmp_path / name).write_text("")
    text = '[identity]\nissuer = "https://id.test"\nclient_id = "hoop"\n'
    (tmp_path / "agent.toml").write_text(text)
    capsys.readouterr()
    assert main(["restart", "--config", str(tmp_path)]) == 1
    assert "start one:  hoop-agent run" in capsys.readouterr().err


def test_systemd_is_told_which_process_is_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(path))
        heard.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        listening._tell_systemd("READY=1\nMAINPID=42")
        assert heard.recv(100) == b"READY=1\nMAINPID=42"


def test_a_systemd_that_does_not_listen_keeps_nobody_from_serving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    listening._tell_systemd("READY=1")
