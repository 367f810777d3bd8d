"""The agent's own login to real servers: every kind of password, and TLS."""

from __future__ import annotations

import os
import pwd
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hoopagent import connect
from hoopagent.config import Tls
from hoopagent.connect import Place, TargetUnreachable
from hoopcli.demo.postgres import Postgres
from hoopcore.protocols.postgres import scram
from tests.certificates import Authority
from tests.servers import DEBIAN_POSTGRES, private_folder, running_postgres
from tests.wire.pass_through import ANN, LOOPS, PassThrough, RunningDoor, running_door

OFF = Tls(mode="off")

HBA = """
local all postgres trust
host all md5 127.0.0.1/32 md5
host all clear 127.0.0.1/32 password
host all trusted 127.0.0.1/32 trust
host all nologin 127.0.0.1/32 trust
host all locked 127.0.0.1/32 reject
host all all 127.0.0.1/32 scram-sha-256
"""

USERS = """
set password_encryption = 'md5';
create role md5 login password 's3cret';
set password_encryption = 'scram-sha-256';
create role clear login password 's3cret';
create role trusted login;
create role nologin nologin;
create role locked login;
create role scram login password 's3cret';
create role "Ünïcode" login password 'pä\u00adß\u2168';
set scram_iterations = 1;
create role quick login password 's3cret';
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with running_postgres(hba=HBA) as postgres:
        postgres.psql(USERS)
        postgres.psql("create database euc encoding 'EUC_JP' template "
                      "template0 locale 'C'; create database plain encoding 'SQL_ASCII' "
                      "template template0 locale 'C'")  # fmt: skip
        yield postgres


@pytest.fixture(scope="module")
def outer() -> Iterator[Path]:
    with private_folder() as folder:
        yield folder


@pytest.fixture(scope="module", params=list(LOOPS))
def door(server: Postgres, request: pytest.FixtureRequest) -> Iterator[RunningDoor]:
    place = Place("appdb", f"127.0.0.1:{server.port}", OFF)
    with (
        private_folder() as folder,
        running_door(folder, PassThrough(place), request.param) as running,
    ):
        yield running


@contextmanager
def logged_in(door: RunningDoor, **wish: Any) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    issued = door.do(lambda it: it.add(ANN, "appdb", uid=os.getuid(), via="unix"))
    names = {"host": str(door.door.socket_dir), "port": 5432, "user": issued.endpoint.id}
    with psycopg.connect(**{**names, **wish}, connect_timeout=10) as connection:
        yield connection


def as_user(door: RunningDoor, user: str, password: str | None = "s3cret", **wish: Any) -> str:
    """Who the target says we are, through the door."""
    door.sessions.user, door.sessions.password = user, password
    # Without TLS md5 is for who has said so.
    allowed = {"md5", "none", "scram-sha-256"} if user == "md5" else set[str]()
    door.sessions.more = {"require_auth": frozenset(allowed)}
    with logged_in(door, **wish) as connection:
        found = connection.execute("select current_user").fetchone()
        assert found is not None
        return str(found[0])


# --- passwords ------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["md5", "scram", "trusted", "quick"])
def test_the_agent_signs_in_by_itself(door: RunningDoor, user: str) -> None:
    assert as_user(door, user) == user


def test_md5_in_clear_is_for_who_allows_it(door: RunningDoor) -> None:
    door.sessions.user, door.sessions.password, door.sessions.more = "md5", "s3cret", {}
    with pytest.raises(psycopg.OperationalError, match="where require_auth allows it"):
        logged_in(door).__enter__()


def test_names_and_passwords_are_not_only_ascii(door: RunningDoor) -> None:
    assert as_user(door, "Ünïcode", "pä\u00adß\u2168") == "Ünïcode"
    assert as_user(door, "Ünïcode", "päßIX") == "Ünïcode", "SASLprep makes them equal"


def test_no_password_is_needed_where_the_target_asks_for_none(door: RunningDoor) -> None:
    assert as_user(door, "trusted", None) == "trusted"


@pytest.mark.parametrize(
    ("user", "password", "words"),
    [
        ("scram", "wrong", "does not take the agent's own password"),
        ("md5", "wrong", "does not take the agent's own password"),
        ("nobody-here", "x", "does not take the agent's own password"),
        ("scram", None, "asks for a password, and its credential has none"),
        ("clear", "s3cret", "asks for a password in clear on a connection in clear"),
        ("locked", "x", "does not let the agent's credential in"),
        ("nologin", "x", "does not let the agent's credential in"),
    ],
)
def test_a_failed_sign_in_says_so_without_the_credential(
    door: RunningDoor, user: str, password: str | None, words: str
) -> None:
    with pytest.raises(psycopg.OperationalError) as raised:
        as_user(door, user, password)
    text = str(raised.value)
    assert words in text
    assert f'"{user}"' not in text
    assert "tell whoever runs hoop-agent" in text


def test_a_database_that_hides_ascii_needs_a_safe_client_encoding(door: RunningDoor) -> None:
    door.sessions.databases = ("euc", "plain", "postgres")
    try:
        assert "trusted" in as_user(door, "trusted", dbname="plain")  # bytes, in SQL_ASCII
        assert as_user(door, "trusted", dbname="euc", client_encoding="UTF8") == "trusted"
        with pytest.raises(psycopg.OperationalError, match="cannot be read safely"):
            as_user(door, "trusted", dbname="plain", client_encoding="BIG5")
    finally:
        door.sessions.databases = ("postgres",)


# --- reaching -------------------------------------------------------------------------------------


def test_a_target_is_reached_by_its_socket_too(door: RunningDoor, server: Postgres) -> None:
    before = door.sessions.place
    door.sessions.place = Place("appdb", f"{server.socket_dir}:{server.port}", Tls())
    try:
        assert as_user(door, "postgres", None) == "postgres"
    finally:
        door.sessions.place = before


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1:1", "connection refused (tried 127.0.0.1)"),
        ("[::1]:1", "(tried ::1)"),
        ("no-such-host.invalid:5432", "its name does not resolve"),
        ("/no/such/folder", "no such file or socket (tried /no/such/folder/.s.PGSQL.5432)"),
        ("", "this is no address"),
        ("a b:c:d", "this is no address"),
        ("host:99999999", "this is no address"),
    ],
)
def test_an_unreachable_target_says_what_was_tried(
    door: RunningDoor, address: str, why: str
) -> None:
    with pytest.raises(TargetUnreachable) as raised:
        door.wait_for(connect.reach(Place("appdb", address, OFF), 5))
    assert str(raised.value).startswith(f'could not reach target "appdb" at {address}: ')
    assert why in str(raised.value)


def test_the_second_address_is_tried_when_the_first_fails(
    door: RunningDoor, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(*_: object) -> list[str]:
        return ["127.0.0.9", "127.0.0.1"]

    monkeypatch.setattr(connect, "_resolve", resolve)
    lane = door.wait_for(connect.reach(Place("appdb", f"two.test:{server.port}", OFF), 5))
    assert not lane.lost
    door.loop.call_soon_threadsafe(lane.close)


def test_an_address_that_never_answers_ends_in_time(door: RunningDoor) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:  # the queue of the listener is full from here on
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        with pytest.raises(TargetUnreachable, match="no answer within 1 s"):
            door.wait_for(connect.reach(Place("appdb", f"127.0.0.1:{port}", OFF), 1))
        for one in waiting:
            one.close()


# --- TLS ------------------------------------------------------------------------------------------

TLS_HBA = """
local all postgres trust
hostssl all clear 127.0.0.1/32 password
hostssl all all 127.0.0.1/32 scram-sha-256
"""


@pytest.fixture(scope="module")
def authority(outer: Path) -> Authority:
    return Authority(outer)


@pytest.fixture(scope="module")
def secured(outer: Path, authority: Authority) -> Iterator[Postgres]:
    owner = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    outer.chmod(0o711)
    certificate, key = authority.issue("db", names=("localhost",), owner=owner)
    settings = {
        "ssl": "on",
        "ssl_cert_file": str(certificate),
        "ssl_key_file": str(key),
        "password_encryption": "scram-sha-256",
    }
    with running_postgres(install=DEBIAN_POSTGRES, settings=settings, hba=TLS_HBA) as postgres:
        postgres.psql("create role clear login password 's3cret'")
        yield postgres


@pytest.fixture(params=list(LOOPS))
def tls_door(
    secured: Postgres, authority: Authority, request: pytest.FixtureRequest
) -> Iterator[RunningDoor]:
    tls = Tls(mode="verify-full", ca_file=authority.file)
    place = Place("appdb", f"localhost:{secured.port}", tls)
    with (
        private_folder() as folder,
        running_door(folder, PassThrough(place), request.param) as running,
    ):
        yield running


def protected(door: RunningDoor, **changes: Any) -> bool:
    """Whether the target says that the agent's connection is under TLS."""
    place = door.sessions.place
    tls = place.tls.model_copy(update={k: v for k, v in changes.items() if k != "address"})
    door.sessions.place = Place("appdb", changes.get("address", place.address), tls)
    with logged_in(door) as connection:
        found = connection.execute(
            "select ssl from pg_stat_ssl where pid = pg_backend_pid()"
        ).fetchone()
        assert found is not None
        return bool(found[0])


def test_verify_full_lets_the_right_server_in(tls_door: RunningDoor) -> None:
    assert protected(tls_door)


def test_the_password_is_bound_to_the_tls_of_the_connection(
    tls_door: RunningDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    bindings: list[bytes | None] = []

    class Watched(scram.ClientExchange):
        def __init__(self, *arguments: Any, binding: bytes | None, over_tls: bool) -> None:
            bindings.append(binding)
            super().__init__(*arguments, binding=binding, over_tls=over_tls)

    monkeypatch.setattr(scram, "ClientExchange", Watched)
    assert protected(tls_door, mode="require", ca_file=None)
    assert bindings
    assert bindings[0], "the server offers channel binding"


@pytest.mark.parametrize(
    ("changes", "works"),
    [
        ({"address": "127.0.0.1:{port}"}, False),
        ({"address": "127.0.0.1:{port}", "server_name": "localhost"}, True),
        ({"address": "127.0.0.1:{port}", "mode": "verify-ca"}, True),
        ({"server_name": "other.test"}, False),
        ({"server_name": "other.test", "mode": "verify-ca"}, True),
        ({"ca_file": None}, False),
        ({"ca_file": None, "mode": "verify-ca"}, False),
        ({"ca_file": None, "mode": "require"}, True),
    ],
)
def test_the_mode_says_what_the_server_must_prove(
    tls_door: RunningDoor, secured: Postgres, changes: dict[str, Any], works: bool
) -> None:
    if "address" in changes:
        changes = {**changes, "address": changes["address"].format(port=secured.port)}
    if works:
        assert protected(tls_door, **changes)
        return
    with pytest.raises(psycopg.OperationalError, match="its certificate is not valid"):
        protected(tls_door, **changes)


def test_an_authority_of_somebody_else_is_not_trusted(tls_door: RunningDoor, outer: Path) -> None:
    with pytest.raises(psycopg.OperationalError, match="its certificate is not valid"):
        protected(tls_door, ca_file=Authority(outer, "other").file)


def test_a_missing_ca_file_is_said(tls_door: RunningDoor, outer: Path) -> None:
    with pytest.raises(psycopg.OperationalError, match="TLS failed: no such file"):
        protected(tls_door, ca_file=outer / "none.pem")


def test_without_tls_a_server_that_wants_it_refuses(tls_door: RunningDoor) -> None:
    with pytest.raises(psycopg.OperationalError, match="does not let the agent's credential in"):
        protected(tls_door, mode="off")


def test_a_server_without_tls_hears_nothing(door: RunningDoor, server: Postgres) -> None:
    before = door.sessions.place
    door.sessions.place = Place("appdb", f"127.0.0.1:{server.port}", Tls(mode="require"))
    try:
        with pytest.raises(psycopg.OperationalError, match="does not offer TLS"):
            as_user(door, "scram")
        with pytest.raises(TargetUnreachable, match="does not offer TLS"):
            door.wait_for(connect.cancel(door.sessions.place, 1, b"1234"))
    finally:
        door.sessions.place = before


def test_a_password_in_clear_goes_over_verified_tls_only(tls_door: RunningDoor) -> None:
    assert as_user(tls_door, "clear") == "clear"
    place = tls_door.sessions.place
    unproved = place.tls.model_copy(update={"mode": "require"})
    tls_door.sessions.place = Place("appdb", place.address, unproved)
    with pytest.raises(psycopg.OperationalError, match="over TLS that proves nothing"):
        as_user(tls_door, "clear")


def test_a_cancel_goes_over_tls_where_the_target_has_it(tls_door: RunningDoor) -> None:
    with logged_in(tls_door) as connection:
        connection.autocommit = True
        timer = threading.Timer(0.3, connection.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("select pg_sleep(20)")
        timer.join()


def test_large_results_pass_under_tls(tls_door: RunningDoor) -> None:
    with logged_in(tls_door) as connection:
        found = connection.execute("select repeat('x', 5000000)").fetchone()
        assert found is not None
        assert len(found[0]) == 5_000_000
