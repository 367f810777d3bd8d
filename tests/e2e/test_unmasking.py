"""A mask comes off for a grant that was asked for with it, and is on again when that grant ends."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
import zstandard

from hoopcli.demo.postgres import wheel_programs
from hoopcli.demo.world import World
from tests.e2e.test_clients import listening
from tests.e2e.world import Person
from tests.worlds import signed_in, started

ROLES = """
[roles.support]
groups = ["engineering"]

[[roles.support.may_request]]
targets = ["prod-db"]
scope = "*.*:* public.customers.email:unmask"
max = "1h"
approvers = ["dba"]
"""
LOOK = "select email, ssn from customers order by id limit 1"
MASKED = ("***@example.com", "*******9999")
CLEAR = ("ada@example.com", "*******9999")


class Supported(World):
    """``prod-db``, where e-mail addresses may be asked for in clear."""

    def start_agent(self) -> None:
        roles = self.folder / "agent" / "roles.toml"
        if "support" not in roles.read_text():
            roles.write_text(roles.read_text() + ROLES)
            targets = self.folder / "agent" / "targets.toml"
            targets.write_text(targets.read_text() + 'functions = ["pg_get_sequence_data"]\n')
        super().start_agent()


@pytest.fixture(scope="module")
def supported() -> Iterator[World]:
    with started(Supported) as world:
        yield world


@pytest.fixture(scope="module")
def bea(supported: World) -> Person:
    """Of the dba, who decides."""
    return signed_in(supported, "ben")


@pytest.fixture(scope="module")
def ada(supported: World, bea: Person) -> Person:
    return signed_in(supported, "ana")


def given(asker: Person, decider: Person, *more: str) -> str:
    """A grant that was asked for with this."""
    asked = asker.json("request", "prod-db", "--reason", "write to them", "--for", "30m", *more)
    decider.hoop("approve", asked["id"], "--reason", "a test")
    grants = asker.json("grants", "--mine")
    return str(next(g["id"] for g in grants if g["request"] == asked["id"]))


def until(claim: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)


def looked(dsn: str) -> tuple[str, str]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = connection.execute(LOOK).fetchone()
    assert found is not None
    return found[0], found[1]


def test_what_no_role_offers_in_clear_is_not_shown(ada: Person) -> None:
    words = ("request", "prod-db", "--reason", "curious about it")
    said = ada.hoop(*words, "--unmask", "public.customers.ssn", status=4).stderr
    assert "more than you may ask for" in said
    ada.hoop(*words, "--unmask", "public.customers.ssn:read", status=2)
    said = ada.hoop(
        *words, "--unmask", "public.customers.email", "--break-glass", "--incident", "INC-1",
        status=None,
    ).stderr  # fmt: skip
    assert "masks stay on" in said


def test_a_grant_without_it_shows_nothing_though_the_role_offers_it(
    ada: Person, bea: Person
) -> None:
    grant = given(ada, bea)
    try:
        assert "unmask" not in json.dumps(ada.json("grants", "--mine"))
        with listening(ada) as dsn:
            assert looked(dsn) == MASKED
    finally:
        ada.hoop("relinquish", grant)


def test_the_column_is_shown_while_the_grant_holds_and_all_of_it_is_on_the_record(
    ada: Person, bea: Person
) -> None:
    asked = ada.json(
        "request",
        "prod-db",
        "--reason",
        "write to the twelve",
        "--unmask",
        "public.customers.email",
    )
    assert "public.customers.email:unmask" in json.dumps(bea.json("requests", asked["id"]))
    bea.hoop("approve", asked["id"], "--reason", "a test")
    grants = {g["request"]: g for g in ada.json("grants", "--mine")}
    grant = grants[asked["id"]]
    assert "public.customers.email:unmask" in grant["scope"]
    done = ada.psql("-c", "select 1", "-c", LOOK)
    assert done.stdout.endswith("ada@example.com|*******9999\n")
    assert "shown in clear by your grant, and recorded so: public.customers.email" in done.stderr
    with listening(ada) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.cursor()
        assert cursor.execute(LOOK, prepare=True).fetchone() == CLEAR
        assert cursor.execute("select upper(ssn) from customers limit 1").fetchone() == (None,)
        with cursor.copy("copy customers (email, ssn) to stdout") as copy:
            assert CLEAR in list(copy.rows())
        plain = given(ada, bea)
        try:
            ada.hoop("relinquish", grant["id"])
            until(lambda: connection.execute(LOOK, prepare=True).fetchone() == MASKED)
        finally:
            ada.hoop("relinquish", plain)
    told = [json.loads(line) for line in recorded(ada)]
    shown = [one for one in told if one.get("type") == "unmasked"]
    assert ["public.customers.email"] in [one.get("columns") for one in shown]
    assert [] in [one.get("columns", []) for one in shown]
    said = audited(ada.world)
    assert {"public.customers.email", ""} <= {one["columns"] for one in said}
    assert grant["id"] in said[0]["grants"]


def test_pg_dump_dumps_masked_rows(ada: Person, bea: Person) -> None:
    """Of PostgreSQL 18, whose pg_dump calls what its target's config names as harmless."""
    grant = given(ada, bea)
    tables = [word for name in ("customers", "orders") for word in ("-t", f"public.{name}")]
    program = wheel_programs() / "bin" / "pg_dump"
    with listening(ada) as dsn:
        done = subprocess.run(
            [program, "--data-only", *tables, dsn],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    ada.hoop("relinquish", grant)
    assert done.returncode == 0, done.stderr
    assert "219-09-9999" not in done.stdout
    assert "*******9999" in done.stdout
    assert "COPY public.orders" in done.stdout


def recorded(person: Person) -> Iterator[str]:
    """Every line of every recording there is."""
    folder = person.world.folder / "agent" / "data" / "recordings"
    for path in sorted(folder.rglob("*.zst")):
        unpacked = zstandard.ZstdDecompressor().stream_reader(
            path.read_bytes(), read_across_frames=True
        )
        yield from unpacked.read().decode().splitlines()


def audited(world: World) -> list[dict[str, str]]:
    """Details of what the audit says of masks that came off."""
    with sqlite3.connect(f"file:{world.folder}/agent/data/hoop.sqlite?mode=ro", uri=True) as store:
        query = "select detail from audit where action = 'session.unmasked'"
        return [json.loads(row[0]) for row in store.execute(query)]
