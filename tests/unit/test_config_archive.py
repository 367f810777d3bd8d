"""``[agent.archive]``: what is wrong is said, nothing is sent, no secret is shown."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from hoopagent.config_archive import kept_for
from hoopagent.config_files import FILES, check


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example folder, as ``hoop-agent init`` writes it."""
    monkeypatch.setenv("PROD_DB_PASSWORD", "x")
    for name in FILES:
        example = resources.files("hoopagent").joinpath("example", name)
        (tmp_path / name).write_text(example.read_text(encoding="utf-8"))
    return tmp_path


def told(folder: Path, archive: str) -> list[str]:
    """What ``hoop-agent check`` says of it."""
    path = folder / "agent.toml"
    path.write_text(path.read_text() + f"\n[agent.archive]\n{archive}\n")
    _, problems = check(folder)
    assert all(problem.file == "agent.toml" and problem.line for problem in problems)
    return [problem.message for problem in problems]


GOOD = 'url = "s3://bucket/prod"\noptions = { region = "eu-central-1" }'


@pytest.mark.parametrize(
    "archive",
    [
        GOOD,
        'url = "file:///mnt/archive that is not mounted now"',
        'url = "gs://bucket"',
        'url = "abfss://box@account.dfs.core.windows.net/prod"',
        'url = "s3://b"\noptions = { endpoint = "http://127.0.0.1:9000", region = "x" }',
    ],
)
def test_an_archive_that_may_be_right_is_not_asked(folder: Path, archive: str) -> None:
    assert told(folder, archive) == []


@pytest.mark.parametrize(
    ("archive", "said"),
    [
        ('url = "ftp://host/x"', '"url" begins with one of s3://'),
        ('url = "/mnt/archive"', '"url" begins with one of s3://'),
        ('url = "file://mnt/archive"', "file:///WHOLE/PATH"),
        ('url = "s3:///prod"', "names no bucket"),
        ('url = "s3://me:hunter2@bucket"', "holds a secret"),
        (GOOD.replace("region", "regoin"), '"regoin" is no setting of such an archive'),
        (GOOD.replace("region", "conditional_put"), "not for changing"),
        (GOOD.replace("region", "secret_access_key"), '"secret_access_key" is a secret'),
        ('url = "s3://b"\noptions = { endpoint = "http://minio:9000" }', "has no TLS"),
        (GOOD + '\nsecrets = { region = "env:HOME" }', "under options and under secrets"),
        (GOOD + '\nsecrets = { token = "env:HOOP_NOTHING_HERE" }', "nothing is found at env:"),
        (GOOD + '\nsecrets = { token = "hunter2" }', "secrets"),
        (GOOD + '\nca_file = "not-there.pem"', "no such file"),
        (GOOD + '\nkeep_locally = "1d"', 'did you mean "keep_local"?'),
        (GOOD + '\nkeep_local = "a week"', "keep_local"),
    ],
)
def test_what_is_wrong_with_an_archive_is_said(folder: Path, archive: str, said: str) -> None:
    (problem,) = told(folder, archive)
    assert said in problem
    assert "hunter2" not in problem


def test_a_target_keeps_its_recordings_as_long_as_it_says(folder: Path) -> None:
    path = folder / "targets.toml"
    for own, wanted in ((None, 86_400), ("30d", 30 * 86_400), ("for ever", None)):
        text = path.read_text()
        line = "" if own is None else f'keep_recordings = "{own}"\n'
        path.write_text(text.replace("[targets.prod-db]\n", f"[targets.prod-db]\n{line}"))
        config, problems = check(folder)
        assert config is not None, problems
        agent = config.agent.model_copy(update={"keep_recordings": "1d"})
        changed = config.model_copy(update={"agent": agent})
        assert kept_for(changed, "prod-db") == wanted
        assert kept_for(changed, "gone") == 86_400
        assert kept_for(config, "gone") is None
        path.write_text(text)
