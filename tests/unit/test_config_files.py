"""The agent's folder: what is right starts, what is wrong is named by file, line and key."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from hoopagent.config_files import FILES, check, load, seconds
from hoopcore.places import ConfigError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example folder, as ``hoop-agent init`` writes it."""
    monkeypatch.setenv("PROD_DB_PASSWORD", "x")
    for name in FILES:
        example = resources.files("hoopagent").joinpath("example", name)
        (tmp_path / name).write_text(example.read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


def edit(folder: Path, file: str, old: str, new: str) -> None:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))


def problems(folder: Path) -> list[str]:
    return [str(problem) for problem in check(folder)[1]]


def test_the_example_folder_is_right(folder: Path) -> None:
    config = load(folder)
    assert list(config.targets) == ["prod-db"]
    assert config.roles["dba"].administer


def test_an_unknown_key_is_named_with_its_line_and_the_nearest_known_one(folder: Path) -> None:
    edit(folder, "agent.toml", "drain =", "drian =")
    assert problems(folder) == [
        'agent.toml:10: unknown key "drian" in [agent]; did you mean "drain"?'
    ]


def test_every_problem_of_every_file_is_reported_at_once(folder: Path) -> None:
    edit(folder, "agent.toml", "[identity]", "[identiy]")
    edit(folder, "targets.toml", 'tier = "high"', 'tier = "hihg"')
    edit(folder, "roles.toml", "votes = 1", "votes = -1")
    edit(folder, "rules.toml", 'verdict = "refuse"', 'verdikt = "refuse"')
    found = problems(folder)
    assert any(p.startswith("agent.toml:") and '"identiy"' in p for p in found)
    assert any(p.startswith("targets.toml:10:") and '"tier"' in p for p in found)
    assert any(p.startswith("roles.toml:11:") and '"votes"' in p for p in found)
    assert any(p.startswith("rules.toml:") and "verdikt" in p for p in found)


def test_a_missing_file_is_a_problem_and_not_a_default(folder: Path) -> None:
    (folder / "masks.toml").unlink()
    assert problems(folder) == ["masks.toml: cannot be read: No such file or directory"]


def test_a_file_that_is_no_toml_is_named_with_the_line(folder: Path) -> None:
    edit(folder, "roles.toml", "[roles.dba]", "[roles.dba")
    assert any(p.startswith("roles.toml:13:") for p in problems(folder))


def test_a_secret_reference_that_stands_for_nothing_stops_the_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROD_DB_PASSWORD")
    (found,) = check(folder)[1]
    assert found.file == "targets.toml"
    assert "env:PROD_DB_PASSWORD" in found.message


def test_a_secret_written_out_is_refused_and_not_repeated(folder: Path) -> None:
    edit(folder, "targets.toml", '"env:PROD_DB_PASSWORD"', '"hunter2"')
    found = problems(folder)
    assert len(found) == 1
    assert "hunter2" not in found[0]


def test_a_scope_that_cannot_be_read_is_named(folder: Path) -> None:
    edit(folder, "roles.toml", '"*.*:*"', '".x:read"')
    assert any(p.startswith("roles.toml:6:") and "schema.table" in p for p in problems(folder))


def test_votes_without_approvers_can_never_be_given(folder: Path) -> None:
    edit(folder, "roles.toml", 'approvers = ["dba"]', "approvers = []")
    assert any("nobody may vote" in p for p in problems(folder))


def test_load_raises_the_first_problem(folder: Path) -> None:
    edit(folder, "agent.toml", "drain =", "drian =")
    with pytest.raises(ConfigError, match="drian"):
        load(folder)


def test_the_version_changes_with_any_file(folder: Path) -> None:
    before = load(folder).version
    edit(folder, "rules.toml", "by hand", "by  hand")
    assert load(folder).version != before


def test_durations_add_up() -> None:
    assert seconds("1h30m") == 5400
    assert seconds("2d") == 172_800
    assert seconds("90s") == 90
