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
    assert any(p.startswith("roles.toml:27:") for p in problems(folder))


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


# --- targets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('address = "db.internal:5432"', 'address = ["a:1", "/run"]', "no folders of sockets"),
        ('address = "db.internal:5432"', 'address = ["a:1", "b"]', '"b" is not host:port'),
        ('address = "db.internal:5432"', "address = []", "address"),
        ('"env:PROD_DB_PASSWORD"', '"keyring:only-service"', "keyring:SERVICE/ACCOUNT"),
        ('"env:PROD_DB_PASSWORD"', '"env:PROD_DB_PASSWORD", command = ["x"]', "not both"),
        ('"env:PROD_DB_PASSWORD"', '"env:PROD_DB_PASSWORD", in_roles = ["x"]', "in_roles is for"),
        ('"env:PROD_DB_PASSWORD"', '"env:PROD_DB_PASSWORD", require_auth = ["x"]', "require_auth"),
        ('mode = "verify-full"', 'mode = "verify-full", cert_file = "a"', "belong together"),
        (
            'mode = "verify-full"',
            'mode = "verify-full", cert_file = "a", key_file = "no.key"',
            "no.key: No such file",
        ),
        ('tier = "high"', 'pooler = "session"', "pooler"),
        ('tier = "high"', 'pooler = "transaction"\ntarget_session_attrs = "primary"', "which host"),
        (
            '"env:PROD_DB_PASSWORD" }',
            '"env:PROD_DB_PASSWORD", ephemeral = true }\npooler = "transaction"',
            "a pooler does not know users",
        ),
    ],
)
def test_a_target_that_cannot_be_meant_is_refused(
    folder: Path, old: str, new: str, said: str
) -> None:
    edit(folder, "targets.toml", old, new)
    found = problems(folder)
    assert any(said in problem for problem in found), found


def test_a_key_file_that_others_can_read_stops_the_start(folder: Path) -> None:
    (folder / "gate.crt").touch()
    (folder / "gate.key").touch(mode=0o600)
    edit(
        folder, "targets.toml", "verify-full", 'verify-full", cert_file = "gate.crt", '
        'key_file = "gate.key'
    )  # fmt: skip
    assert problems(folder) == []
    assert load(folder).targets["prod-db"].tls.key_file == folder.resolve() / "gate.key"
    (folder / "gate.key").chmod(0o644)
    assert "chmod 0600" in problems(folder)[0]


@pytest.mark.parametrize("role", ["none", "public", "pg_monitor", ""])
def test_a_database_role_is_one_that_somebody_made(folder: Path, role: str) -> None:
    edit(folder, "roles.toml", "votes = 1", f'votes = 1\ndatabase_role = "{role}"')
    assert "database_role" in problems(folder)[0]


def test_a_role_cannot_be_imposed_behind_a_pooler(folder: Path) -> None:
    edit(folder, "roles.toml", "votes = 1", 'votes = 1\ndatabase_role = "reader"')
    assert problems(folder) == []
    edit(folder, "targets.toml", 'tier = "high"', 'pooler = "transaction"')
    assert "keeps no role" in problems(folder)[0]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("needs = [{ votes = 1 }]", "1 votes are needed of nobody"),
        ('later = [{ after = "48h", approvers = ["x"] }]', "the request has lapsed"),
        ('later = [{ after = "1h" }]', "nobody is added"),
        ('reasons = { ticket = "OPS-[" }', "is no pattern (RE2)"),
        ('auto = [{ name = "a", hours = ["mon 9-18"] }]', "no time zone"),
        ('auto = [{ name = "a", scope = ".x:read" }]', "schema.table"),
        ('auto = [{ name = "a", scope = "*.*:update", read_only = true }]', "grants nothing"),
        ('auto = [{ name = "a" }, { name = "a" }]', "two automatic approvals"),
        ('auto = [{ name = "a", max_rows = 0 }]', "max_rows"),
        ('auto = [{ name = "a", max_rowss = 5 }]', 'did you mean "max_rows"'),
        ('starts = "never"', "starts"),
    ],
)
def test_a_policy_of_approvals_that_makes_no_sense_is_named(
    folder: Path, lines: str, said: str
) -> None:
    edit(folder, "roles.toml", "votes = 1  ", f"votes = 1\n{lines}\n#")
    (problem,) = [one for one in problems(folder) if one.startswith("roles.toml")]
    assert said in problem


SSH = """
[targets.web]
protocol = "ssh"
address = "web:22"
"""
GOOD_SSH = {
    "credential": '{ user = "deploy", certificate = true }',
    "host": '{ known_hosts = "known" }',
}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ""),
        ({"host": "{}"}, "no host key is pinned"),
        ({"host": '{ keys = ["ssh-ed25519 nonsense"] }'}, "no public key"),
        ({"credential": '{ user = "deploy" }'}, "is one of key_file, certificate"),
        ({"credential": '{ user = "d", certificate = true, password = "env:X" }'}, "is one of"),
        ({"credential": '{ user = "d", key_file = "nowhere" }'}, "key_file"),
        ({"databases": '["x"]'}, '"databases" means nothing where protocol = "ssh"'),
        ({"channels": '["scp"]'}, "channels"),
        ({"channels": '["sftp"]'}, ""),
        ({"output": '"masked"'}, ""),
        ({"output": '"clear"'}, ""),
        ({"output": '"none"'}, "output"),
        ({"clear_output": '["tar", "git-upload-archive"]'}, ""),
        ({"clear_output": '["tar x"]'}, "clear_output"),
    ],
)
def test_an_ssh_target_pins_its_host_and_has_one_proof(
    folder: Path, changed: dict[str, str], said: str
) -> None:
    (folder / "known").touch()
    lines = [f"{key} = {value}" for key, value in (GOOD_SSH | changed).items()]
    targets = folder / "targets.toml"
    targets.write_text(targets.read_text() + SSH + "\n".join(lines) + "\n")
    found = problems(folder)
    assert (not found) if not said else any(said in one for one in found), found
