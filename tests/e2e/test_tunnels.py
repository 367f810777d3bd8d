"""Addresses that stay: the same from day to day, for this account alone, whatever the network does.

Order of the file: one agent here, one elsewhere behind a network that fails, other programs.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from hoopcli.demo.world import World
from tests.e2e.remote import Machine, Network, eventually
from tests.e2e.test_remote_agent import told
from tests.e2e.world import Person

QUERY = "select name, ssn from customers order by id limit 1"


def address(machine: Machine, *arguments: str) -> str:
    """What ``connect -d`` prints: the address and its password."""
    return machine.hoop("connect", "-d", "prod-db", *arguments).stdout.strip()


def port_of(dsn: str) -> int:
    found = re.search(r":(\d+)/", dsn)
    assert found is not None
    return int(found[1])


def grant(machine: Machine, ben: Person) -> None:
    asked = machine.json("request", "prod-db", "--reason", "an address", "--for", "30m")
    ben.hoop("approve", asked["id"], "--reason", "a test")


# --- an agent here --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def here(world: World, ben: Person) -> Iterator[Machine]:
    """Ana on the agent's own machine."""
    machine = Machine(world, "ana", world.folder / "near")
    machine.sign_in("--agent", str(world.run))
    grant(machine, ben)
    yield machine
    machine.hoop("tunnels", "stop", "--all")


def test_address_and_password_are_the_same_after_a_stop_and_after_a_power_cut(
    here: Machine,
) -> None:
    before = address(here)
    assert "Ada Lindgren" in here.psql(before, QUERY).stdout
    here.hoop("tunnels", "stop", "prod-db")
    assert here.psql(before, QUERY).returncode == 2
    assert address(here) == before
    here.kill_tunnels()
    assert address(here) == before
    assert "Ada Lindgren" in here.psql(before, QUERY).stdout


def test_psycopg_and_asyncpg_are_masked_through_it(here: Machine) -> None:
    dsn = address(here)

    async def ask() -> Any:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchrow(QUERY)
        finally:
            await connection.close()

    with psycopg.connect(dsn) as connection:
        found = [connection.execute(QUERY).fetchone(), asyncio.run(ask())]
    for row in found:
        assert row is not None
        assert row[0] == "Ada Lindgren"
        assert row[1].endswith("9999")
        assert "219" not in row[1]


def test_a_statement_is_cancelled_through_it(here: Machine) -> None:
    with psycopg.connect(address(here), autocommit=True) as connection:
        timer = threading.Timer(0.5, connection.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("select pg_sleep(30)")
        timer.join()


def test_it_is_listed_with_its_clients_and_no_password(here: Machine) -> None:
    dsn = address(here)
    password = dsn.split(":")[2].split("@")[0]
    with psycopg.connect(dsn):
        (one,) = here.json("tunnels")
    assert (one["target"], one["state"], one["connections"]) == ("prod-db", "open", 1)
    assert one["port"] == port_of(dsn)
    shown = here.hoop("tunnels").stdout
    assert f"127.0.0.1:{one['port']}" in shown
    for path in (here.home / "hoop").rglob("*"):
        assert not path.is_file() or password.encode() not in path.read_bytes()


def test_its_sockets_are_for_this_account_alone(here: Machine) -> None:
    address(here)
    folder = here.home / "hoop" / "tunnels"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())


def test_a_wrong_password_and_a_wrong_name_are_answered_alike(here: Machine) -> None:
    dsn = address(here)
    password = dsn.split(":")[2].split("@")[0]
    said = here.psql(dsn.replace(password, "x" * 22), QUERY)
    assert said.returncode == 2
    assert "no such user here, or a wrong password" in said.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another account")
def test_another_account_is_not_answered_even_with_the_password(here: Machine) -> None:
    port = port_of(address(here))
    ask = f"""if True:
        import os, socket
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
        with socket.socket() as s:
            s.connect(("127.0.0.1", {port}))
            try:
                s.sendall(bytes.fromhex("0000000804d2162f"))
                print(s.recv(1))
            except ConnectionResetError:
                print(b"")"""
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "b''"


def test_who_sits_on_its_port_is_named_and_hears_nothing(here: Machine) -> None:
    dsn = address(here)
    here.hoop("config", "pg-service", "--write")
    here.hoop("tunnels", "stop", "prod-db")
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", port_of(dsn))) as squatter:
        squatter.settimeout(0.5)
        refused = here.hoop("connect", "-d", "prod-db", status=1).stderr
        assert f"port {port_of(dsn)} is taken" in refused
        assert "--new-port" in refused
        assert here.psql("service=prod-db", QUERY).returncode == 2
        try:
            connection, _ = squatter.accept()
            heard.append(connection.recv(100))
        except TimeoutError:
            pass
        assert heard == []
        (one,) = here.json("tunnels")
        assert one["state"] == "closed"
        moved = address(here, "--new-port")
        assert "Ada Lindgren" in here.psql("service=prod-db", QUERY).stdout  # it went along
    assert port_of(moved) != port_of(dsn)
    assert moved.split("@")[0] != dsn.split("@")[0]
    assert "Ada Lindgren" in here.psql(moved, QUERY).stdout


def test_psql_psycopg_and_asyncpg_find_it_by_its_service(here: Machine) -> None:
    home = here.home
    own = b"# mine\n[elsewhere]\nhost=db.example.com\n"
    (home / ".pg_service.conf").write_bytes(own)
    (home / ".pgpass").write_bytes(b"db.example.com:5432:*:me:secret")
    here.hoop("config", "pg-service", "--write")
    first = (home / ".pg_service.conf").read_bytes()
    said = here.hoop("config", "pg-service", "--write").stderr
    assert "Nothing changed" in said
    assert (home / ".pg_service.conf").read_bytes() == first
    assert (home / ".pgpass").stat().st_mode & 0o777 == 0o600
    assert "Ada Lindgren" in here.psql("service=prod-db", QUERY).stdout
    port = port_of(address(here))
    by_password = f"host=127.0.0.1 port={port} user=hoop dbname=shop"
    assert "Ada Lindgren" in here.psql(by_password, QUERY).stdout
    program = f"""if True:
        import asyncio, asyncpg, psycopg
        with psycopg.connect("service=prod-db") as connection:
            print(connection.execute({QUERY!r}).fetchone())
        async def ask():
            where = dict(host="127.0.0.1", port={port}, user="hoop", database="shop")
            found = await asyncpg.connect(**where)
            print(await found.fetchrow({QUERY!r}))
            await found.close()
        asyncio.run(ask())"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=here.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.count("Ada Lindgren") == 2, done.stderr
    here.hoop("config", "pg-service", "--remove")
    assert (home / ".pg_service.conf").read_bytes() == own
    assert (home / ".pgpass").read_bytes() == b"db.example.com:5432:*:me:secret"


def test_the_address_outlives_the_agent_and_waits_for_it(here: Machine, world: World) -> None:
    with here.quick_tunnels():
        dsn = address(here)
        process = world.processes[-1]
        process.terminate()
        process.wait(30)
        refused = here.psql(dsn, QUERY)
        assert "it is being tried again" in refused.stderr
        assert (refused.returncode, refused.stderr.count("FATAL")) == (2, 1)
        world.start_agent()
        assert "Ada Lindgren" in here.psql(dsn, QUERY).stdout


# --- an agent elsewhere ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network(world: World) -> Iterator[Network]:
    host, _, port = told(world)["ssh"].rpartition(":")
    with Network((host, int(port))) as network:
        yield network


@pytest.fixture(scope="module")
def far(world: World, network: Network, ben: Person) -> Iterator[Machine]:
    machine = Machine(world, "ana", world.folder / "train")
    key = told(world)["host_key"]
    machine.sign_in("--agent", f"127.0.0.1:{network.port}", "--fingerprint", key)
    grant(machine, ben)
    with machine.quick_tunnels():
        yield machine


@pytest.fixture(scope="module")
def dsn(far: Machine) -> str:
    return address(far)


def test_a_session_in_flight_is_told_and_the_next_one_finds_the_same_address(
    far: Machine, network: Network, dsn: str
) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select 1")
        timer = threading.Timer(0.5, network.cut)
        timer.start()
        with pytest.raises(psycopg.OperationalError, match="lost; what became of the last"):
            connection.execute("select pg_sleep(30)")
        timer.join()
    assert "Ada Lindgren" in far.psql(dsn, QUERY).stdout
    assert address(far) == dsn


def test_a_connection_that_died_in_silence_is_noticed_and_made_again(
    far: Machine, network: Network, dsn: str
) -> None:
    network.silent()
    network.another()
    assert "Ada Lindgren" in far.psql(dsn, QUERY).stdout


def test_while_the_agent_cannot_be_reached_a_client_hears_why(
    far: Machine, network: Network, dsn: str
) -> None:
    network.down()
    try:
        refused = far.psql(dsn, QUERY)
        assert refused.returncode == 2
        assert f"agent at 127.0.0.1:{network.port}" in refused.stderr
        assert "it is being tried again" in refused.stderr
        (one,) = far.json("tunnels")
        assert one["state"] == "away"
        far.hoop("targets", status=7)
    finally:
        network.up()
    assert "Ada Lindgren" in far.psql(dsn, QUERY).stdout
    assert far.json("tunnels")[0]["state"] == "open"


def test_a_client_that_comes_a_moment_too_early_waits(
    far: Machine, network: Network, dsn: str
) -> None:
    network.down()
    timer = threading.Timer(1.0, network.up)
    timer.start()
    done = far.psql(dsn, QUERY)
    timer.join()
    assert "Ada Lindgren" in done.stdout, done.stderr


def test_after_signing_out_the_address_says_so_and_after_signing_in_it_works_again(
    far: Machine, network: Network, dsn: str
) -> None:
    where = f"127.0.0.1:{network.port}"
    far.hoop("logout", "--agent", where)
    refused = far.psql(dsn, QUERY)
    assert "you are not signed in" in refused.stderr
    far.sign_in("--agent", where)
    assert "Ada Lindgren" in far.psql(dsn, QUERY).stdout


# --- other programs -------------------------------------------------------------------------------


def test_the_passphrase_and_the_password_are_in_nobodys_arguments(far: Machine, dsn: str) -> None:
    secrets = [dsn.split(":")[2].split("@")[0], far.environment()["HOOP_PASSPHRASE"]]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            said = path.read_bytes()
        except OSError:
            continue
        assert not any(secret.encode() in said for secret in secrets)


def test_many_clients_at_once_share_one_connection(far: Machine, dsn: str) -> None:

    async def ask() -> list[Any]:
        async def one() -> Any:
            connection = await asyncpg.connect(dsn)
            try:
                return await connection.fetchval("select count(*) from orders")
            finally:
                await connection.close()

        async with asyncio.timeout(60):
            return list(await asyncio.gather(*(one() for _ in range(20))))

    assert len(set(asyncio.run(ask()))) == 1
    eventually(lambda: far.json("tunnels")[0]["connections"] == 0)
