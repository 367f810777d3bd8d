"""``[agent] store``: a URL or a reference to one, and never a password in version control."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoopagent.config_store import problems, store_url
from hoopagent.secrets import SecretUnread

TEXT = '[agent]\nstore = "…"\n'


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://hoop:hunter2@db/hoop",
        "postgresql://hoop:@db/hoop",
        "postgresql://db/hoop?user=hoop&password=hunter2",
        "postgresql://[hoop:hunter2@db/hoop",
    ],
)
def test_a_password_in_the_url_stops_the_start_and_is_not_repeated(
    url: str, tmp_path: Path
) -> None:
    (problem,) = problems(TEXT, url, tmp_path)
    assert (problem.file, problem.line, problem.key) == ("agent.toml", 2, "store")
    assert "hunter2" not in problem.message
    assert "file:store.url" in problem.message


@pytest.mark.parametrize(
    "url", ["", "postgresql://hoop@db/hoop?sslmode=verify-full", "sqlite:////var/hoop.sqlite"]
)
def test_a_url_without_one_is_taken_as_it_is(url: str, tmp_path: Path) -> None:
    assert problems(TEXT, url, tmp_path) == []
    assert store_url(url, tmp_path) == url


def test_a_reference_stands_for_a_url_with_a_password(tmp_path: Path) -> None:
    (tmp_path / "store.url").write_text("postgresql://hoop:hunter2@db/hoop\n")
    assert problems(TEXT, "file:store.url", tmp_path) == []
    assert store_url("file:store.url", tmp_path) == "postgresql://hoop:hunter2@db/hoop"


def test_a_reference_that_stands_for_nothing_stops_the_start(tmp_path: Path) -> None:
    (problem,) = problems(TEXT, "env:HOOP_NO_SUCH_VARIABLE", tmp_path)
    assert "nothing is found at env:HOOP_NO_SUCH_VARIABLE" in problem.message
    with pytest.raises(SecretUnread):
        store_url("env:HOOP_NO_SUCH_VARIABLE", tmp_path)
