"""Names without a schema, under rules and scopes that name schemas, through the whole agent.

The rule refuses ``payroll.*``; the credential could read it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.bypass.world import Doorway, eventually
from tests.e2e.targets import Targets, granted
from tests.e2e.world import Person

VERSIONS = ["18", "15"]


@pytest.fixture(scope="module", params=VERSIONS)
def door(guest: Person, request: pytest.FixtureRequest) -> Iterator[Doorway]:
    granted(guest, f"name-{request.param}")
    doorway = Doorway(guest, f"name-{request.param}")
    yield doorway
    doorway.close()


@pytest.fixture
def client(door: Doorway) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(door.dsn, autocommit=True) as connection:
        yield connection


def is_refused(client: psycopg.Connection[Any], text: str) -> bool:
    """Whether our rule speaks; else it must have run."""
    done = client.pgconn.exec_(text.encode())
    said = done.error_message
    assert not said or b'rule "no-payroll"' in said, said
    return bool(said)


def test_ordinary_names_are_not_refused_for_a_schema_they_are_not_in(
    client: psycopg.Connection[Any],
) -> None:
    assert client.execute("select word from bonus").fetchone() == ("public",)
    assert client.execute("select item from orders where id = %s", (2,)).fetchone() == ("milk",)
    assert not is_refused(client, "select count(*) from pg_class")
    assert is_refused(client, "select * from payroll.bonus")
    assert is_refused(client, "select * from salaries"), "it might be made there at any moment"


@pytest.mark.parametrize(
    "text",
    [
        "set search_path = payroll; select * from bonus",
        "set search_path = payroll, public; select * from bonus",
        "set schema 'payroll'; select * from bonus",
        "select set_config('search_path', 'payroll', false); select * from bonus",
        "begin; set local search_path = payroll; select * from bonus; commit",
        "select * from bonus, payroll.salaries",
        "prepare p as select * from bonus",
        "declare c cursor with hold for select * from bonus",
        "create temp table t as select * from bonus",
        "copy bonus to stdout; set search_path = payroll",
    ],
)
def test_no_spelling_reaches_the_schema_of_the_rule(
    client: psycopg.Connection[Any], text: str
) -> None:
    assert is_refused(client, text)


def test_a_changed_search_path_counts_from_the_next_statement_on(
    client: psycopg.Connection[Any],
) -> None:
    client.execute("set search_path = payroll, public")
    assert is_refused(client, "select * from bonus")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="no-payroll"):
        client.execute("select * from bonus where word = %s", ("x",))
    client.execute("set search_path = app, public")
    if client.info.server_version >= 180_000:  # which tells of it
        assert client.execute("select word from bonus").fetchone() == ("app",)
    else:
        assert is_refused(client, "select word from bonus")


def test_a_prepared_statement_is_looked_up_when_it_runs(client: psycopg.Connection[Any]) -> None:
    raw = client.pgconn
    raw.prepare(b"p", b"select word from bonus")
    assert raw.exec_prepared(b"p", []).get_value(0, 0) == b"public"
    client.execute("set search_path = payroll")
    done = raw.exec_prepared(b"p", [])
    assert b"no-payroll" in done.error_message
    assert done.ntuples == 0


def test_a_batch_hides_no_change_of_the_search_path(client: psycopg.Connection[Any]) -> None:
    with client.pipeline() as pipeline:
        client.execute("set search_path = payroll")
        found = client.execute("select word from bonus")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            pipeline.sync()
    assert found.pgresult is None or found.pgresult.ntuples == 0


def test_a_search_path_of_the_startup_packet_counts(door: Doorway) -> None:
    with psycopg.connect(door.dsn, options="-c search_path=payroll,public") as client:
        assert is_refused(client, "select * from bonus")
    with psycopg.connect(door.dsn, options="-c search_path=app,payroll") as client:
        assert client.execute("select word from bonus").fetchone() == ("app",)


def test_a_table_dropped_in_a_transaction_gives_its_name_free(
    door: Doorway, targets: Targets
) -> None:
    with psycopg.connect(door.dsn, options="-c search_path=app,payroll") as client:
        assert not is_refused(client, "select word from bonus")
        client.execute("drop table app.bonus")
        assert is_refused(client, "select word from bonus"), "it is payroll.bonus now"
        client.rollback()


def test_names_are_known_again_when_the_catalog_was_read(client: psycopg.Connection[Any]) -> None:
    client.execute("create table app.fresh (a int)")
    eventually(lambda: not is_refused(client, "select word from bonus"), 30)
    client.execute("drop table app.fresh")


def test_a_role_with_a_search_path_of_its_own_is_understood(
    door: Doorway, targets: Targets
) -> None:
    servers = (targets.server("name-18"), targets.server("name-15"))
    for server in servers:
        server.psql("alter role gate set search_path = payroll, public")
    try:
        with psycopg.connect(door.dsn, autocommit=True) as client:
            assert is_refused(client, "select * from bonus")
            assert not is_refused(client, "select * from notes")
    finally:
        for server in servers:
            server.psql("alter role gate reset search_path")


# --- scopes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_a_scope_that_names_a_schema_covers_its_tables_without_it(
    guest: Person, targets: Targets, version: str
) -> None:
    target = f"name-{version}"
    for grant in guest.json("grants", "--mine"):
        if grant["target"] == target and grant["state"] == "active":
            guest.hoop("relinquish", grant["id"])
    granted(guest, target, "public.orders:read")
    doorway = Doorway(guest, target)
    try:
        with psycopg.connect(doorway.dsn, autocommit=True) as client:
            assert client.execute("select item from orders").fetchone() == ("milk",)
            for text in ("select * from bonus", "select * from app.orders", "delete from orders"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="not cover"):
                    client.execute(text)
            client.execute("set search_path = app")
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="refused by rule"):
                client.execute("select item from orders")
    finally:
        doorway.close()


def test_a_view_of_the_settings_does_not_change_search_path_unseen(
    client: psycopg.Connection[Any],
) -> None:
    """On servers before 18, which do not tell of search_path, it would open ``payroll``."""
    made = client.pgconn.exec_(b"create temp view s as select name, setting from pg_settings")
    assert b"refused by rule" in made.error_message
    client.pgconn.exec_(b"update s set setting = 'payroll' where name = 'search_path'")
    assert client.execute("select word from bonus").fetchone() == ("public",)
