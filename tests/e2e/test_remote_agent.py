"""Agents elsewhere: one is reached by its SSH door alone, several are used as if they were one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from hoopcli import at_hand
from hoopcli.credentials import Credentials, FileVault
from hoopcli.demo.postgres import free_port
from hoopcli.demo.world import World
from tests.e2e.remote import Machine, SecondAgent, eventually
from tests.e2e.test_ssh_lane import listens
from tests.e2e.world import Person
from tests.servers import missing

QUERY = "select name, ssn from customers order by id limit 1"


def told(world: World) -> dict[str, str]:
    import json

    found: dict[str, str] = json.loads((world.run / "agent.json").read_text())
    return found


@pytest.fixture(scope="module")
def second(world: World) -> Iterator[SecondAgent]:
    agent = SecondAgent(world)
    agent.start()
    yield agent
    agent.stop()


@pytest.fixture(scope="module")
def away(world: World, ben: Person) -> Iterator[Machine]:
    """Ana's laptop: it knows the first agent by host and port."""
    machine = Machine(world, "ana", world.folder / "laptop")
    first = told(world)
    machine.sign_in("--agent", first["ssh"], "--fingerprint", first["host_key"])
    yield machine
    machine.hoop("tunnels", "stop", "--all")


@pytest.fixture(scope="module")
def both(world: World, second: SecondAgent, ben: Person) -> Iterator[Machine]:
    """Ana's other machine: it knows both agents."""
    machine = Machine(world, "ana", world.folder / "desk")
    for agent in (told(world), second.told()):
        machine.sign_in("--agent", agent["ssh"], "--fingerprint", agent["host_key"])
    yield machine
    machine.hoop("tunnels", "stop", "--all")


@pytest.fixture(scope="module")
def granted(away: Machine, ben: Person) -> None:
    """From the first test that wants it to the end of this file."""
    asked = away.json("request", "prod-db", "--reason", "from afar", "--for", "30m")
    ben.hoop("approve", asked["id"], "--reason", "a test")


# --- one agent ------------------------------------------------------------------------------------


def test_a_key_nobody_vouches_for_is_shown_and_not_believed(world: World) -> None:
    first = told(world)
    stranger = Machine(world, "ana", world.folder / "new")
    said = stranger.hoop("login", "--agent", first["ssh"], status=1).stderr
    assert first["host_key"] in said
    assert f"hoop login --agent {first['ssh']} --fingerprint {first['host_key']}" in said
    assert not (stranger.home / "hoop" / "profile.toml").exists()


def test_another_host_key_than_the_pinned_one_ends_everything(away: Machine, world: World) -> None:
    other = Machine(world, "ana", world.folder / "fooled")
    shutil.copytree(
        away.home / "hoop", other.home / "hoop", ignore=shutil.ignore_patterns("tunnels")
    )
    profile = other.home / "hoop" / "profile.toml"
    pinned = told(world)["host_key"]
    wrong = "SHA256:" + "A" * 43
    # Its credentials are kept under the pin, so they move with it.
    vault = FileVault(other.home / "hoop" / "credentials")
    vault._passphrase = other.environment()["HOOP_PASSPHRASE"]
    vault.save(wrong, vault.load(pinned) or "")
    profile.write_text(profile.read_text().replace(pinned, wrong))
    said = other.hoop("targets", status=1).stderr
    assert "shows another host key than before" in said
    assert pinned in said
    other.hoop("tunnels", "stop", "--all")


def test_without_a_grant_the_way_ends_here_with_the_command_to_type(away: Machine) -> None:
    for grant in away.json("grants", "--mine"):
        away.hoop("relinquish", grant["id"], status=None)
    done = away.hoop("connect", "prod-db", "--", "-l", status=4)
    assert "hoop request prod-db" in done.stderr


def test_psql_through_a_remote_agent_is_masked(away: Machine, granted: None) -> None:
    done = away.hoop("connect", "prod-db", "--", "-XAt", "-c", QUERY)
    assert "Ada Lindgren" in done.stdout
    assert "219-09" not in done.stdout


def test_the_passphrase_is_asked_for_once_and_not_by_each_command(
    away: Machine, granted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("connect", "prod-db", "--", "-XAtc", "select 40 + 2")
    away.hoop("targets")
    monkeypatch.setenv("HOOP_HOME", away.environment()["HOOP_HOME"])
    if at_hand.find("") is None:
        pytest.skip("this kernel has no keyring for us, and so nothing is at hand")
    assert away.hoop("targets", HOOP_PASSPHRASE="").stdout
    assert away.hoop(*words, HOOP_PASSPHRASE="").stdout == "42\n"
    # Who holds the tunnels now has never heard it, and is told.
    away.hoop("tunnels", "stop", "--all")
    asked = away.hoop(*words, status=3, HOOP_PASSPHRASE="")
    assert "no passphrase" in asked.stderr
    assert away.hoop(*words).stdout == "42\n"
    assert away.hoop(*words, HOOP_PASSPHRASE="").stdout == "42\n"


def test_psqls_exit_status_is_hoops_from_afar_too(away: Machine, granted: None) -> None:
    arguments = ("-XAt", "-v", "ON_ERROR_STOP=1", "-f", "-")
    assert away.hoop("connect", "prod-db", "--", *arguments).returncode == 0
    away.hoop("connect", "prod-db", "--", "-XAt", "-f", "/nowhere", status=1)


def test_the_address_of_listen_ends_with_hoop(away: Machine, granted: None) -> None:
    import sys

    with subprocess.Popen(
        [sys.executable, "-m", "hoopcli", "connect", "prod-db", "--listen"],
        env=away.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        dsn = process.stdout.readline().strip()
        with psycopg.connect(dsn) as connection:
            assert connection.execute("select count(*) from orders").fetchone() is not None
        process.communicate("")
    found = re.search(r":(\d+)/", dsn)
    assert found is not None
    eventually(lambda: not listens(int(found[1])))


# --- several agents -------------------------------------------------------------------------------


def test_targets_of_all_agents_are_one_list(both: Machine, second: SecondAgent) -> None:
    seen = {(one["agent"], one["name"]) for one in both.json("targets")}
    assert len(seen) == 3
    assert {name for _, name in seen} == {"prod-db", "prod-other"}
    names = both.hoop("targets", "-o", "names").stdout.split()
    assert "prod-other" in names
    assert f"{second.told()['ssh']}/prod-db" in names


def test_a_name_that_two_agents_have_is_asked_about(both: Machine, second: SecondAgent) -> None:
    said = both.hoop("connect", "prod-db", "--", "-l", status=2).stderr
    assert second.told()["ssh"] in said
    assert "--agent" in said
    done = both.hoop("connect", f"{second.told()['ssh']}/prod-db", "--", "-l", status=4)
    assert "you have no grant" in done.stderr
    both.hoop("connect", "prod-db", "--agent", second.told()["ssh"], "--", "-l", status=4)


def test_a_target_is_found_and_an_id_looked_for_at_all_agents(
    both: Machine, world: World, second: SecondAgent
) -> None:
    boss = Machine(world, "ben", world.folder / "bens-desk")
    for agent in (told(world), second.told()):
        boss.sign_in("--agent", agent["ssh"], "--fingerprint", agent["host_key"])
    asked = both.json("request", "prod-other", "--reason", "two of them", "--for", "30m")
    assert asked["id"] in boss.hoop("requests", "--to-decide", "-o", "names").stdout.split()
    boss.hoop("approve", asked["id"], "--reason", "a test")
    done = both.hoop("connect", "prod-other", "--", "-XAt", "-c", QUERY)
    assert "Ada Lindgren" in done.stdout
    session = both.json("sessions", "--mine", "--target", "prod-other")[0]
    assert "select name" in boss.hoop("replay", session["id"]).stdout
    (grant,) = [one for one in both.json("grants", "--mine") if one["target"] == "prod-other"]
    both.hoop("relinquish", grant["id"])
    boss.hoop("tunnels", "stop", "--all")


def test_an_agent_that_does_not_answer_is_named_and_hides_no_other(
    both: Machine, second: SecondAgent
) -> None:
    where = second.told()["ssh"]
    second.stop()
    try:
        done = both.hoop("targets", "-o", "names")
        assert done.stdout.split() == ["prod-db"]
        assert where in done.stderr
        lost = both.hoop("connect", "prod-other", "--", "-l", status=7).stderr
        assert where in lost
        both.hoop("targets", "--agent", where, status=7)
    finally:
        second.start(where)


def test_who_signed_out_of_one_agent_is_not_asked_about_it_again(
    both: Machine, second: SecondAgent
) -> None:
    both.hoop("logout", "--agent", second.told()["ssh"])
    done = both.hoop("targets", "-o", "names")
    assert (done.stdout.split(), done.stderr) == (["prod-db"], "")


# --- stock ssh ------------------------------------------------------------------------------------


@contextmanager
def forwarded(machine: Machine, alias: str, **changes: str) -> Iterator[int]:
    """A port that leads to prod-db by the system's ssh and what ``hoop config ssh`` wrote."""
    program = shutil.which("ssh")
    if program is None:
        missing("ssh", "apt-get install openssh-client")
    port = free_port()
    config = machine.home / ".ssh" / "config"  # ssh itself looks in the home of the account
    with subprocess.Popen(
        [
            *(str(program), "-F", str(config), "-o", "BatchMode=yes", "-N"),
            *("-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:{port}:prod-db:5432", alias),
        ],
        env=machine.environment() | changes,
        stdin=subprocess.DEVNULL,
    ) as process:
        try:
            eventually(lambda: listens(port) or process.poll() is not None)
            assert process.poll() is None
            yield port
        finally:
            process.terminate()


def through(machine: Machine, port: int) -> str:
    where = f"host=127.0.0.1 port={port} user=anybody dbname=shop sslmode=disable"
    return machine.psql(where, QUERY).stdout


def alias_of(machine: Machine) -> str:
    said = machine.hoop("config", "ssh", "--write").stderr
    found = re.search(r"5432 (hoop-\S+)", said)
    assert found is not None, said
    return found[1]


def test_stock_ssh_works_with_hoops_own_agent_and_again_when_the_certificate_has_ended(
    away: Machine, world: World, granted: None
) -> None:
    config = away.home / ".ssh" / "config"
    config.parent.mkdir(mode=0o700, exist_ok=True)
    config.write_text("Host elsewhere\n  User me\n")
    alias = alias_of(away)
    with forwarded(away, alias) as port:
        assert "Ada Lindgren" in through(away, port)
    away.hoop("tunnels", "stop", "--all")  # the machine was switched off
    end_sign_in_of(away, told(world)["host_key"])
    with forwarded(away, alias) as port:
        assert "Ada Lindgren" in through(away, port)
    away.hoop("config", "ssh", "--remove")
    assert config.read_text() == "Host elsewhere\n  User me\n"


def end_sign_in_of(machine: Machine, host_key: str) -> None:
    """What is kept is as old as the next morning finds it."""
    vault = FileVault(machine.home / "hoop" / "credentials")
    vault._passphrase = machine.environment()["HOOP_PASSPHRASE"]
    kept = Credentials.from_text(vault.load(host_key) or "")
    vault.save(host_key, replace(kept, expires=time.time() - 1, certificate="gone").to_text())


def test_a_persons_own_ssh_agent_has_the_key_while_the_certificate_holds_and_until_logout(
    world: World, ben: Person, tmp_path: Path
) -> None:
    program = shutil.which("ssh-agent")
    if program is None:
        missing("ssh-agent", "apt-get install openssh-client")
    machine = Machine(world, "ana", world.folder / "m")
    first = told(world)
    machine.sign_in("--agent", first["ssh"], "--fingerprint", first["host_key"])
    asked = machine.json("request", "prod-db", "--reason", "by ssh", "--for", "30m")
    ben.hoop("approve", asked["id"], "--reason", "a test")
    socket = str(tmp_path / "agent")
    with subprocess.Popen([str(program), "-D", "-a", socket], stdout=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: os.path.exists(socket))
            said = machine.hoop("config", "ssh", "--write", SSH_AUTH_SOCK=socket).stderr
            alias = said.split()[-1]
            with forwarded(machine, alias, SSH_AUTH_SOCK=socket) as port:
                assert "Ada Lindgren" in through(machine, port)
            listed = ["ssh-add", "-l"]
            environ = os.environ | {"SSH_AUTH_SOCK": socket}
            before = subprocess.run(listed, env=environ, capture_output=True, text=True).stdout
            assert "ED25519-CERT" in before
            machine.hoop("logout", SSH_AUTH_SOCK=socket)
            after = subprocess.run(listed, env=environ, capture_output=True, text=True).stdout
            assert "ED25519" not in after
        finally:
            process.terminate()
    machine.hoop("tunnels", "stop", "--all")


def test_a_host_key_that_is_not_the_agents_is_refused_by_stock_ssh(
    away: Machine, tmp_path: Path
) -> None:
    alias = alias_of(away)
    known = away.home / "hoop" / "ssh" / "known_hosts"
    key = subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True
    )
    assert key.returncode == 0
    kind, blob = (tmp_path / "other.pub").read_text().split()[:2]
    known.write_text(f"{alias} {kind} {blob}\n")
    config = str(away.home / ".ssh" / "config")
    done = subprocess.run(
        ["ssh", "-F", config, "-o", "BatchMode=yes", "-W", "prod-db:5432", alias],
        env=away.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr
    away.hoop("config", "ssh", "--remove")
