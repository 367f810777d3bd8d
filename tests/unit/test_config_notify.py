"""``hoop-agent check`` looks whether anybody would be told."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoopagent.config import Notify
from hoopagent.config_notify import unread

TEXT = """[agent]

[[agent.notify]]
name = "pager"
url = "https://pager.example"
secret = "env:PAGER_SECRET"

[[agent.notify]]
name = "chat"
url = "file:chat.url"
"""
SECTIONS = (
    Notify.model_validate(
        {"name": "pager", "url": "https://pager.example", "secret": "env:PAGER_SECRET"}
    ),
    Notify.model_validate({"name": "chat", "url": "file:chat.url"}),
)


def test_a_reference_that_stands_for_nothing_is_told_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "agent.toml").write_text(TEXT)
    monkeypatch.delenv("PAGER_SECRET", raising=False)
    found = unread(tmp_path, SECTIONS)
    assert [(one.line, one.key) for one in found] == [(6, "secret"), (10, "url")]
    assert 'notify "pager": nothing is found at env:PAGER_SECRET' in found[0].message
    assert "nobody would be told" in found[1].message


def test_what_is_there_is_not_repeated_and_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "agent.toml").write_text(TEXT)
    (tmp_path / "chat.url").write_text("https://chat.example/hook/hunter2\n")
    monkeypatch.setenv("PAGER_SECRET", "hunter3")
    assert unread(tmp_path, SECTIONS) == []
