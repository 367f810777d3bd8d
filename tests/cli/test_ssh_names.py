"""What SSH targets are called behind ssh: free names only, and no line of an agent's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hoopcli import ssh_names, stock_ssh
from hoopcli.errors import Failure
from hoopcli.stock_ssh import Host


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HOOP_HOME", str(tmp_path / "hoop"))
    (tmp_path / ".ssh").mkdir()
    return tmp_path


def host(nick: str = "eu") -> Host:
    return Host(nick, f"hoop-{nick}", f"{nick}.example", 7722, "p-0123456789bcdfgh", "k b", "/s")


def target(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "protocol": "ssh", "grant": None, "may_request": True} | more


def names(*seen: tuple[str, dict[str, Any]], prefix: str = "") -> ssh_names.Named:
    hosts = [host(nick) for nick in dict.fromkeys(nick for nick, _ in seen)]
    return ssh_names.named(hosts, list(seen), prefix)


def typed(found: ssh_names.Named) -> list[str]:
    return [name for one in found.hosts for name, _ in one.targets]


def test_only_ssh_targets_that_one_may_have_get_a_name() -> None:
    found = names(
        ("eu", target("web")),
        ("eu", target("db", protocol="postgres")),
        ("eu", target("seen", may_request=False)),
        ("eu", target("held", may_request=False, grant={"id": "g-1"})),
    )
    assert typed(found) == ["web", "held"]


@pytest.mark.parametrize(
    "name",
    [
        "web\n    ProxyCommand touch /tmp/x",
        "web other",
        "*",
        "!web",
        "-oProxyCommand=x",
        "%h",
        'we"b',
        "Web",
        "web\x00",
        "web\x1b[2J",
        "",
        "a" * 64,
        None,
        7,
    ],
)
def test_a_name_that_is_none_becomes_no_line(name: Any) -> None:
    found = names(("eu", target(name)))
    assert typed(found) == [] or name == 7  # the text "7" is a name
    for shown, _ in found.without:
        assert shown.isprintable()
    for line in stock_ssh.block(found.hosts).splitlines():
        assert "touch" not in line


def test_one_name_at_two_agents_is_told_apart() -> None:
    found = names(("eu", target("web")), ("us", target("web")), ("us", target("two")))
    assert typed(found) == ["eu-web", "us-web", "two"]


def test_no_name_is_given_twice() -> None:
    found = names(("eu", target("web")), ("us", target("web")), ("us", target("eu-web")))
    assert typed(found) == ["eu-web", "us-web"]
    assert found.without == [("eu-web", "another target is called so")]


def test_a_target_is_not_called_as_an_agent() -> None:
    assert names(("eu", target("hoop-eu"))).without == [("hoop-eu", "an agent is called so")]


@pytest.mark.parametrize(
    "line",
    [
        "Host web",
        "host other WEB",
        "Host=web",
        'Host "web"',
        "  HOST  we*",
        "Host ?eb",
        "Match originalhost other,web",
        'Match user x host web exec "true"',
        "Include more",
        "Include ~/.ssh/mo*",
    ],
)
def test_what_is_spoken_of_already_stays_the_persons(home: Path, line: str) -> None:
    (home / ".ssh" / "config").write_text(f"{line}\n    User me\n")
    (home / ".ssh" / "more").write_text("Host web\n    User me\n")
    found = names(("eu", target("web")))
    assert typed(found) == []
    assert "speaks of it" in found.without[0][1]
    assert typed(names(("eu", target("web")), prefix="h-")) == ["h-web"] or "*" in line


@pytest.mark.parametrize(
    "line", ["Host *", "# Host web", "Host webs", "Host * !web", "Host we* !web", "User web"]
)
def test_what_is_for_every_host_is_in_nobodys_way(home: Path, line: str) -> None:
    (home / ".ssh" / "config").write_text(f"{line}\n    User me\n")
    assert typed(names(("eu", target("web")))) == ["web"]


def test_files_that_include_each_other_end(home: Path) -> None:
    (home / ".ssh" / "config").write_text("Include config\nInclude other\nHost web\n")
    (home / ".ssh" / "other").write_text("Include config /nowhere/* ~nobody/x\n\xff\n")
    assert typed(names(("eu", target("web")))) == []


def test_what_hoop_itself_has_written_is_in_nobodys_way(home: Path) -> None:
    found = names(("eu", target("web")))
    stock_ssh.write(found.hosts)
    assert "Include" in (home / ".ssh" / "config").read_text()
    assert typed(names(("eu", target("web")))) == ["web"]


@pytest.mark.parametrize("prefix", ["-o", "a b", "x\n", "*", "a" * 40, "%h"])
def test_a_prefix_is_no_setting(prefix: str) -> None:
    with pytest.raises(Failure, match="cannot begin a name"):
        names(("eu", target("web")), prefix=prefix)
