"""A database role per grant: imposed on the session, no way out of it; users of a session's own.

Each on PostgreSQL 18 and 15, through the whole agent.  The first half asks the servers themselves,
since the whole rests on what they make of ``role`` in a startup packet.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from hoopagent.ephemeral import creation
from hoopcli.demo.postgres import Postgres
from hoopcore.protocols.postgres import scram
from tests.bypass.world import Doorway, eventually
from tests.e2e.targets import Targets, granted
from tests.e2e.world import Person

VERSIONS = ["18", "15"]
WHO = "select current_user, session_user"


# --- what the servers make of it ------------------------------------------------------------------


@pytest.mark.parametrize("server", ["postgres", "postgres15"])
def test_a_role_of_the_startup_packet_is_what_reset_goes_back_to(
    request: pytest.FixtureRequest, server: str
) -> None:
    """DISCARD ALL too, which drivers send; what does not go back to it is refused by hoop."""
    found: Postgres = request.getfixturevalue(server)
    found.psql("create role start_reader; create role start_gate login in role start_reader;")
    try:
        dsn = f"host={found.socket_dir} port={found.port} user=start_gate dbname=postgres"
        with psycopg.connect(f"{dsn} options='-c role=start_reader'", autocommit=True) as client:

            def now() -> str:
                [(user, session)] = client.execute(WHO).fetchall()
                assert session == "start_gate"
                return str(user)

            assert now() == "start_reader"
            for harmless in ("reset role", "reset all", "discard all", "set role start_reader"):
                client.execute(harmless)
                assert now() == "start_reader", harmless
            for way in ("set role none", "set session authorization start_gate",
                        "select set_config('role', 'none', false)"):  # fmt: skip
                client.execute("set role start_reader")
                client.execute(way)
                assert now() == "start_gate", way
                client.execute("reset role")
                assert now() == "start_reader"
    finally:
        found.psql("drop role start_gate; drop role start_reader")


# --- imposed --------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=VERSIONS)
def door(guest: Person, request: pytest.FixtureRequest) -> Iterator[Doorway]:
    target = f"role-{request.param}"
    granted(guest, target)
    doorway = Doorway(guest, target)
    yield doorway
    doorway.close()


@pytest.fixture
def client(door: Doorway) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(door.dsn, autocommit=True) as connection:
        yield connection


def test_the_session_is_the_role_of_its_grant(client: psycopg.Connection[Any]) -> None:
    assert client.execute(WHO).fetchone() == ("reader", "gate")
    assert client.execute("select count(*) from public.notes").fetchone() == (2,)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"):
        client.execute("select word from public.secrets")


WAYS_OUT = [
    "set role none",
    "set role writer",
    "set local role none",
    "reset role",
    "SET SESSION ROLE none",
    'set "role" to none',
    "set session authorization default",
    "set session authorization gate",
    "reset session authorization",
    "select set_config('role', 'none', false)",
    "select set_config('ro' || 'le', 'none', false)",
    "select pg_catalog.set_config('session_authorization', 'gate', true)",
    "update pg_settings set setting = 'none' where name = 'role'",
    "do $$ begin perform set_config('role', 'none', false); end $$",
    "do $$ begin execute 'reset role'; end $$",
    "select public.turns()",
    "select turns()",
    "select query_to_xml('select set_config(''role'', ''none'', false)', true, true, '')",
    "alter role reader set role = writer",
    "alter role gate set role = writer",
    "alter role all set role = writer",
    "create function f() returns text language sql as 'select set_config(''role'',''none'',false)'",
    "create aggregate a(text, bool) (sfunc = set_config, stype = text, initcond = 'role')",
    "create view v as select set_config('role', 'none', false)",
    "create view v as select public.turns()",
    "create table t (a text default set_config('role', 'none', false))",
    "create table t (a text default public.turns())",
    "create table t (a text generated always as (public.turns()) stored)",
    "create index i on public.notes (public.turns())",
    "create rule r as on insert to public.notes do also select set_config('role', 'none', false)",
    "create domain d as text check (public.turns() = value)",
    "prepare p as select set_config('role', 'none', false)",
    "explain analyze select set_config('role', 'none', false)",
    "copy (select set_config('role', 'none', false)) to stdout",
    "declare c cursor for select public.turns()",
    "with x as (select public.turns()) select 1",
    "select 1 where public.turns() is null",
    "call public.nothing()",
    "select 1; set role none",
    "begin; set local role writer; select word from public.secrets; commit",
]


@pytest.mark.parametrize("text", WAYS_OUT)
def test_no_statement_takes_the_role_away(client: psycopg.Connection[Any], text: str) -> None:
    done = client.pgconn.exec_(text.encode())
    assert b"refused by rule" in done.error_message, text
    client.pgconn.exec_(b"rollback")
    assert client.execute(WHO).fetchone() == ("reader", "gate")


@pytest.mark.parametrize("text", [way for way in WAYS_OUT if ";" not in way])
def test_no_prepared_statement_takes_the_role_away(
    client: psycopg.Connection[Any], text: str
) -> None:
    done = client.pgconn.prepare(b"way", text.encode())
    assert b"refused by rule" in done.error_message
    assert client.execute(WHO).fetchone() == ("reader", "gate")


def test_parameters_do_not_hide_it(client: psycopg.Connection[Any]) -> None:
    for text in ("select set_config(%s, %s, false)", "select set_config(%s::text, %s::text, true)"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="refused by rule"):
            client.execute(text, ("role", "none"))
    assert client.execute(WHO).fetchone() == ("reader", "gate")


@pytest.mark.parametrize(
    "options", ["-c role=writer", "-c role=none", "--role=none", "-c session_authorization=gate"]
)
def test_no_startup_option_changes_it(door: Doorway, options: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="is not allowed here"):
        psycopg.connect(door.dsn, options=options)
    with pytest.raises(psycopg.OperationalError, match="is not allowed here"):
        psycopg.connect(door.dsn + " options='-crole=none'")


def test_what_a_rollback_or_an_error_takes_back_is_not_the_role(
    client: psycopg.Connection[Any],
) -> None:
    for text in (b"rollback", b"begin; select 1/0", b"rollback", b"reset all", b"discard all"):
        client.pgconn.exec_(text)
    assert client.execute(WHO).fetchone() == ("reader", "gate")


def test_a_role_that_the_credential_may_not_have_opens_nothing(
    targets: Targets, door: Doorway
) -> None:
    for each in (targets.server("role-18"), targets.server("role-15")):
        each.psql("revoke reader from gate")
    try:
        with pytest.raises(psycopg.OperationalError, match='be the role "reader"'):
            psycopg.connect(door.dsn)
    finally:
        for each in (targets.server("role-18"), targets.server("role-15")):
            each.psql("grant reader to gate")


def test_the_record_says_as_whom(guest: Person, client: psycopg.Connection[Any]) -> None:
    shown = guest.json("sessions", "--mine")
    assert any("as reader" in str(one) for one in shown)


# --- users of a session's own ---------------------------------------------------------------------


@pytest.fixture(params=VERSIONS)
def own(guest: Person, request: pytest.FixtureRequest) -> Iterator[tuple[str, Doorway]]:
    target = f"own-{request.param}"
    granted(guest, target)
    doorway = Doorway(guest, target)
    yield target, doorway
    doorway.close()


def users(targets: Targets, target: str) -> set[str]:
    found = targets.server(target).psql("select rolname from pg_roles where rolname ~ '^hoop_'")
    return set(found.split())


def test_a_session_has_a_user_of_its_own_that_ends_with_it(
    own: tuple[str, Doorway], targets: Targets
) -> None:
    target, door = own
    with psycopg.connect(door.dsn, autocommit=True) as client:
        [(current, session)] = client.execute(WHO).fetchall()
        assert current == "reader"
        assert session.startswith("hoop_")
        assert session in users(targets, target)
        assert client.execute("select count(*) from public.notes").fetchone() == (2,)
        for way in ("reset role", "set role none", "set session authorization default",
                    "discard all", "select public.turns()"):  # fmt: skip
            client.pgconn.exec_(way.encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"):
            client.execute("select word from public.secrets")
        ends = "select rolvaliduntil - now() from pg_roles where rolname = session_user"
        [(left,)] = client.execute(ends).fetchall()
        assert 0 < left.total_seconds() <= 1800
    eventually(lambda: session not in users(targets, target))


def test_two_sessions_have_two_users(own: tuple[str, Doorway], targets: Targets) -> None:
    target, door = own
    before = users(targets, target)
    with psycopg.connect(door.dsn) as one, psycopg.connect(door.dsn) as two:
        names = {c.execute("select session_user").fetchone() for c in (one, two)}
        assert len(names) == 2
    eventually(lambda: users(targets, target) <= before)


def test_the_log_holds_a_verifier_and_no_password(
    own: tuple[str, Doorway], targets: Targets
) -> None:
    target, door = own
    server = targets.server(target)
    server.psql("alter system set log_statement = 'all'; select pg_reload_conf()")
    try:
        with psycopg.connect(door.dsn) as client:
            [(user,)] = client.execute("select session_user").fetchall()
        eventually(lambda: f'CREATE ROLE "{user}"' in server.log.read_text(errors="replace"))
        log = server.log.read_text(errors="replace")
        [made] = [line for line in log.splitlines() if f'CREATE ROLE "{user}"' in line]
        assert "PASSWORD 'SCRAM-SHA-256$4096:" in made
    finally:
        server.psql("alter system reset log_statement; select pg_reload_conf()")


def test_what_it_made_is_left_to_the_role_and_the_user_goes(
    own: tuple[str, Doorway], targets: Targets
) -> None:
    target, door = own
    with psycopg.connect(door.dsn, autocommit=True) as client:
        [(user,)] = client.execute("select session_user").fetchall()
        client.execute("create table public.made (a int)")
        client.execute("set role none")
        client.execute("create table public.mine (a int)")
        client.execute("grant select on public.mine to reader")
    eventually(lambda: user not in users(targets, target))
    server = targets.server(target)
    owners = server.psql(
        "select relname, relowner::regrole from pg_class where relname in ('made', 'mine')"
        " order by 1",
        "rooms",
    )
    assert owners.split() == ["made|reader", "mine|reader"]
    server.psql("drop table public.made, public.mine", "rooms")


def test_what_a_session_leaves_behind_never_runs_as_the_credential(
    own: tuple[str, Doorway], targets: Targets
) -> None:
    """The credential may make roles, and here it reads what the grant's role may not."""
    target, door = own
    server = targets.server(target)
    server.psql("grant select on public.secrets to maker", "rooms")
    try:
        with psycopg.connect(door.dsn, autocommit=True) as client:
            [(user,)] = client.execute("select session_user").fetchall()
            # Without masks a client makes these itself.
            server.psql(
                "create view public.peek as select word from public.secrets;"
                "grant select on public.peek to reader;"
                f"alter view public.peek owner to {user};"
                "create function public.who() returns name language sql security definer"
                f" as 'select current_user'; alter function public.who() owner to {user}",
                "rooms",
            )
        eventually(lambda: user not in users(targets, target))
        with psycopg.connect(door.dsn, autocommit=True) as client:
            done = client.pgconn.exec_(b"select word from public.peek")
            assert done.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"42501"
            assert b"refused by rule" not in done.error_message
        owners = "select proowner::regrole from pg_proc where proname = 'who'"
        assert server.psql(owners, "rooms").strip() == "reader"
    finally:
        server.psql("drop view if exists public.peek", "rooms")
        server.psql("drop function if exists public.who()", "rooms")
        server.psql("revoke select on public.secrets from maker", "rooms")


def test_a_password_is_taken_as_its_verifier(postgres: Postgres, postgres15: Postgres) -> None:
    verifier = scram.make_verifier("s3cret", b"salt" * 4).text
    for server in (postgres, postgres15):
        text = creation('odd "name"', verifier, 4_000_000_000_000_000, ())
        assert "s3cret" not in text
        server.psql(text)
        dsn = f"host=127.0.0.1 port={server.port} dbname=postgres password=s3cret"
        with psycopg.connect(dsn, user='odd "name"') as client:
            assert client.execute("select 1").fetchone() == (1,)
        server.psql('drop role "odd ""name"""')


def test_users_of_an_agent_that_died_are_swept(
    guest: Person, targets: Targets, own: tuple[str, Doorway]
) -> None:
    """Old ones without a connection go; young ones, used ones and those of others stay."""
    target, door = own
    server = targets.server(target)
    old, young = int(time.time()) - 3600, int(time.time())
    with closing(psycopg.connect(door.dsn)) as client:
        [(used,)] = client.execute("select session_user").fetchall()
        names = {f"hoop_{old}_aaaaaaaaaa", f"hoop_{young}_bbbbbbbbbb", "hoop_of_somebody"}
        for name in names:
            server.psql(f"create role {name}")
        server.psql(f"grant {', '.join(names)} to maker with admin option")
        agent = targets.processes[-1]
        os.kill(agent.pid, signal.SIGKILL)
        agent.wait()
        (targets.run / "agent.json").unlink()
        targets.start_agent()
        eventually(lambda: f"hoop_{old}_aaaaaaaaaa" not in users(targets, target))
        assert {f"hoop_{young}_bbbbbbbbbb", "hoop_of_somebody"} <= users(targets, target)
        assert used in users(targets, target), "it is not old enough: its login may be under way"
    server.psql(f"drop role hoop_{young}_bbbbbbbbbb; drop role hoop_of_somebody; drop role {used}")
