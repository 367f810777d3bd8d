"""Ways a statement escapes policy, each through the real agent, by a client that plays by no rule.

What is forbidden here is a DELETE or UPDATE of everything, on a table that counts its rows behind
each test; and code that is not known, on the target whose rules say so.  What one function alone
tells apart (startup options, lengths, malformed proofs) has more tests in unit/test_postgres_login
and wire/test_local_door; what stands here wants the whole agent.
"""

from __future__ import annotations

import re
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from hoopcore.protocols.postgres import wire
from hoopcore.recording import EndCause
from tests.bypass.evidence import cause_of, recorded, session_of, verdicts
from tests.bypass.raw import Gone, Raw, codes, connected, kinds, run, said, values
from tests.bypass.world import Doorway, Vault

SYNC = wire.frame(wire.SYNC)
EXECUTE = wire.frame(wire.EXECUTE, b"\0" + b"\0" * 4)
NO = b"delete from app.pub"


def bind(name: bytes = b"") -> bytes:
    return wire.frame(wire.BIND, b"\0" + name + b"\0" + b"\0\0" * 3)


def state(vault: Vault) -> str:
    assert vault.postgres is not None
    return vault.postgres.psql("select count(*), min(id) from app.pub", "vault")


@pytest.fixture(autouse=True)
def nothing_is_lost(vault: Vault) -> Iterator[None]:
    before = state(vault)
    yield
    assert state(vault) == before


# --- the text -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "delete/**/from/* where id = 1 */app.pub",
        "delete from app.pub -- where id = 1",
        "/* /* nested */ where */ delete from app.pub",
        'DeLeTe\tFROM\n"app"."pub"',
        'delete from U&"\\0061pp"."pub"',
        "select 'it''s'; delete from app.pub",
        "select E'\\'; --'; delete from app.pub",
        "select $a$ $b$ $a$; delete from app.pub; select $a$ $a$",
        'select 1 as "; --"; delete from app.pub',
        ";;; delete from app.pub;;",
        "select 1; delete from app.pub; select 2",
        "begin; delete from app.pub; commit",
        "with x as (delete from app.pub returning *) select count(*) from x",
        "with x as (select 1) delete from app.pub",
        "with recursive r as (select 1), x as (delete from app.pub) select * from r",
        "explain analyze delete from app.pub",
        "explain (analyze true, timing off) delete from app.pub",
        "delete from app.pub where true",
        "delete from app.pub where 1 = 1",
        "delete from app.pub where not false or null",
        "delete from app.pub using app.owners",
        "delete from only app.pub",
        "delete from app.pub p",
        "update app.pub set id = id + 1000",
        "update app.pub set (id, n) = row(id + 1000, 1) where true",
        "merge into app.pub p using (select 1) x on true when matched then delete",
        "insert into app.pub (id) select 9000 + id from app.pub on conflict do nothing;"
        " delete from app.pub",
        "prepare p as delete from app.pub",
        "prepare p as delete from app.pub; execute p",
        "prepare p as with x as (delete from app.pub) select 1",
        "copy (delete from app.pub returning id) to stdout",
        "copy (with x as (delete from app.pub returning id) select * from x) to stdout",
        "declare c cursor for with x as (delete from app.pub returning id) select * from x",
        "do $$ begin delete from app.pub; end $$",
        "do 'begin execute ''del'' || ''ete from app.pub''; end'",
        "create function app.gone() returns void language sql as 'delete from app.pub'",
        "create rule gone as on insert to app.owners do also delete from app.pub",
        "create table app.gone as with x as (delete from app.pub returning *) select * from x",
        "create view app.gone as with x as (delete from app.pub returning *) select * from x",
        "copy app.pub from program 'echo 1'",
        "copy app.pub from '/etc/hostname'",
        "copy (select 1) to program 'true'",
        "select pg_read_file('/etc/hostname')",
        "select * from pg_ls_dir('/')",
        "select lo_import('/etc/hostname')",
        "select lo_export(1, '/dev/null')",
        "select t.pg_read_file from unnest(array['/etc/hostname'::text]) t",
        "alter system set archive_command = 'true'",
        "load 'auto_explain'",
    ],
)
def test_a_forbidden_statement_is_refused_however_it_is_dressed(door: Doorway, text: str) -> None:
    with door.connect() as raw:
        raw.send(wire.query(text.encode()))
        got = raw.until_ready()
        assert codes(got) == ["42501"], said(got)
        assert "D" not in kinds(got)
        assert values(raw.query("select 1")) == [[b"1"]]
        assert codes(raw.ask(run(text.encode()))) == ["42501"]


@pytest.mark.parametrize(
    "text",
    [
        "select app.secret()",
        "select app.keep('x')",
        "select * from app.secrets()",
        "select pub.leak from app.pub",
        "select (p).leak from app.pub p",
        "select age(p) from app.pub p",
        "select 1 from app.pub p where p.leak is null",
        "select 1 from app.pub p order by p.leak",
        "update app.pub p set note = note where p.leak is null and id = 1",
        "select 'a' ### 'b'",
        "select app.glue(note) from app.pub",
        "call app.says()",
        "do 'begin perform app.frozen(); end'",
        "do 'declare x app.short; begin end'",
        "do language plperl 'x'",
        "select 'x'::app.short",
        "select nextval('app.seq')",
        "select pg_terminate_backend(1)",
        "select pg_catalog.pg_sleep(0), app.secret()",
        "explain select app.frozen()",
        "select 1 limit (select length(app.frozen()))",
        "table app.pub, lateral app.secrets()",
        "select * from app.pub tablesample bernoulli (length(app.frozen()))",
    ],
)
def test_unknown_code_is_refused_wherever_it_stands(strict: Doorway, text: str) -> None:
    with strict.connect() as raw:
        for message in (wire.query(text.encode()), run(text.encode())):
            got = raw.ask(message)
            assert codes(got) == ["42501"], said(got)


def test_shadowing_by_search_path_makes_no_function_harmless(strict: Doorway) -> None:
    with strict.connect() as raw:
        for text in (
            "set search_path = app, pg_catalog",
            "select set_config('search_path', 'app, pg_catalog', false)",
            "set search_path = pg_temp, pg_catalog",
        ):
            got = raw.ask(wire.query(text.encode()) + wire.query(b"select length('x')"), 2)
            assert codes(got)[:1] == ["42501"], text


# --- the messages ---------------------------------------------------------------------------------


def test_a_statement_that_is_parsed_once_was_judged_for_all_its_runs(door: Doorway) -> None:
    with door.connect() as raw:
        assert codes(raw.ask(wire.parse(b"s", NO) + SYNC)) == ["42501"]
        for _ in range(2):
            assert codes(raw.ask(bind(b"s") + EXECUTE + SYNC)) == ["26000"]
        # Prepared under a name, replaced under the same name, run by its old Bind.
        raw.ask(wire.parse(b"t", b"select 1") + SYNC)
        got = raw.ask(
            wire.frame(wire.CLOSE, b"St\0") + wire.parse(b"t", NO) + bind(b"t") + EXECUTE + SYNC
        )
        assert codes(got) == ["42501"]
        assert "D" not in kinds(got)
        raw.query("deallocate all")
        assert codes(raw.ask(bind(b"t") + EXECUTE + SYNC)) == ["26000"]


def test_two_statements_in_one_packet_have_a_verdict_each(vault: Vault, door: Doorway) -> None:
    with door.connect() as raw:
        got = raw.ask(wire.query(b"select 1") + wire.query(NO) + wire.query(b"select 2"), 3)
        assert kinds(got) == "TDCZEZTDCZ"
    assert [verdict for verdict, _ in verdicts(recorded(vault, session_of(raw)))] == [
        "allow", "refuse", "allow",
    ]  # fmt: skip


def test_a_pipeline_without_sync_is_judged_message_by_message(door: Doorway) -> None:
    with door.connect() as raw:
        raw.send(wire.parse(b"", b"select 1") + bind() + EXECUTE + wire.frame(wire.FLUSH))
        assert kinds(raw.until(wire.COMMAND_COMPLETE)) == "12DC"
        raw.send(wire.parse(b"", NO) + bind() + EXECUTE + wire.frame(wire.FLUSH))
        assert codes(raw.until(wire.ERROR)) == ["42501"]
        raw.send(wire.parse(b"", b"select 3") + bind() + EXECUTE + wire.query(NO) + SYNC)
        assert kinds(raw.until_ready()) == "Z"


@pytest.mark.parametrize("at", range(1, 24, 2))
def test_a_message_in_pieces_is_judged_whole(door: Doorway, at: int) -> None:
    message = wire.query(NO)
    with door.connect() as raw:
        raw.send(message[:at])
        raw.send(message[at:])
        assert codes(raw.until_ready()) == ["42501"]


def test_nothing_is_done_behind_a_terminate(vault: Vault, door: Doorway) -> None:
    with door.connect() as raw:
        raw.send(wire.frame(wire.TERMINATE) + wire.query(b"insert into app.pub (id) values (-1)"))
        raw.until_gone()
    events = recorded(vault, session_of(raw))
    assert cause_of(events) in (
        EndCause.PROTOCOL_ERROR, EndCause.TARGET_LEFT, EndCause.CLIENT_LEFT,
    )  # fmt: skip


@pytest.mark.parametrize("where", ["parse", "bind", "describe", "close"])
def test_the_reserved_name_is_refused(door: Doorway, where: str) -> None:
    """Else a client could run what stands in for its own refused statement, or replace it."""
    name = b"hoop_refused"
    with door.connect() as raw:
        raw.ask(run(NO))
        if where == "parse":
            got = raw.ask(wire.parse(name, b"select 1") + bind(name) + EXECUTE + SYNC)
        elif where == "bind":
            got = raw.ask(bind(name) + EXECUTE + SYNC)
        elif where == "describe":
            got = raw.ask(wire.frame(wire.DESCRIBE, b"S" + name + b"\0") + SYNC)
        else:
            got = raw.ask(wire.frame(wire.CLOSE, b"S" + name + b"\0") + SYNC)
        assert "D" not in kinds(got)
        if where in ("parse", "bind"):
            assert codes(got) == ["42501"]
        raw.ask(wire.query(b"prepare hoop_refused as select 'mine'"))
        got = raw.ask(wire.parse(b"s", b"select 1") + SYNC + bind(b"s") + EXECUTE + SYNC, 2)
        assert values(got) == [[b"1"]]
        assert codes(raw.ask(run(NO))) == ["42501"]


def test_a_function_call_by_number_is_refused(vault: Vault, door: Doorway) -> None:
    """``app.keep(text)`` by its oid: it would write."""
    assert vault.postgres is not None
    oid = int(vault.postgres.psql("select 'app.keep(text)'::regprocedure::oid", "vault"))
    body = struct.pack(">IHHHi", oid, 1, 0, 1, 4) + b"fast" + struct.pack(">H", 0)
    with door.connect() as raw:
        for _ in range(2):
            got = raw.ask(wire.frame(wire.FUNCTION_CALL, body))
            assert codes(got) == ["42501"]
            assert 'rule "function-call"' in said(got)
    assert vault.postgres.psql("select 1 from app.pub where note = 'fast'", "vault") == ""


def test_a_copy_that_never_was_leaves_its_data_to_nobody(door: Doorway) -> None:
    """CopyData whose text is a DELETE, when the COPY itself was refused."""
    with door.connect() as raw:
        data = wire.frame(wire.COPY_DATA, wire.query(NO)) + wire.frame(wire.COPY_DONE)
        got = raw.ask(
            wire.query(b"copy app.pub from program 'cat'") + data + wire.query(b"select 1"), 2
        )
        assert kinds(got) == "EZTDCZ"


# --- the start, and cancelling --------------------------------------------------------------------


@pytest.mark.parametrize(
    "startup",
    [
        {"options": "-c session_replication_role=replica"},
        {"options": "-c standard_conforming_strings=off"},
        {"options": "-csearch_path=app,pg_catalog"},
        {"options": "--search_path=app,pg_catalog"},
        {"options": "-c role=postgres"},
        {"options": "-c\\ role=postgres"},
        {"options": "-e"},
        {"session_authorization": "postgres"},
        {"role": "postgres"},
        {"search_path": "app, pg_catalog"},
        {"standard_conforming_strings": "off"},
        {"local_preload_libraries": "auto_explain"},
        {"replication": "on"},
        {"database": "postgres"},
        {"database": "template1"},
        {"user": "postgres"},
        {"user": "vault_admin"},
        {"user": "e-0000000000"},
    ],
    ids=str,
)
def test_a_startup_packet_gets_nobody_further(door: Doorway, startup: dict[str, str]) -> None:
    with pytest.raises(Gone):
        door.connect(**startup)


def greeted(door: Doorway, data: bytes) -> bytes:
    """What the door says to these bytes, until it has closed or waits for more."""
    stranger = connected(f"{door.host}/.s.PGSQL.5432")
    try:
        stranger.settimeout(1)
        stranger.sendall(data)
        told = b""
        try:
            while part := stranger.recv(1 << 16):
                told += part
        except (TimeoutError, ConnectionResetError, BrokenPipeError):
            pass
        return told
    finally:
        stranger.close()


@pytest.mark.parametrize(
    "packet",
    [
        struct.pack(">i", -1),
        struct.pack(">i", 0),
        struct.pack(">i", 7) + b"abc",
        struct.pack(">ii", 1 << 30, 196_608),
        struct.pack(">ii", 10_001, 196_608) + b"x" * 9_993,
        struct.pack(">ii", 8, 2 << 16),
        struct.pack(">ii", 9, 196_608) + b"x",
        wire.query(NO),
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64,
    ],
)
def test_a_first_packet_that_is_none_gets_no_session(door: Doorway, packet: bytes) -> None:
    told = greeted(door, packet)
    assert not told or told[:1] == b"E"
    assert b"R\0\0\0\x08\0\0\0\0" not in told


@pytest.mark.parametrize("ask", [wire.ssl_request(), struct.pack(">ii", 8, wire.GSSENC_REQUEST)])
def test_a_request_for_encryption_sent_with_more_is_no_way_around(
    door: Doorway, ask: bytes
) -> None:
    """There is none on this door, so what follows is read as what it is: in clear, and judged."""
    names = {"user": door.user, "database": door.database}
    told = greeted(door, ask + wire.startup_message(names) + wire.query(NO))
    assert told[:1] == b"N"
    assert b"42501" in told
    assert re.search(rb"DELETE \d", told) is None
    told = greeted(door, ask + ask + ask)
    assert told.count(b"N") <= 2


def test_what_is_pipelined_behind_the_startup_packet_is_judged(door: Doorway) -> None:
    names = {"user": door.user, "database": door.database}
    told = greeted(door, wire.startup_message(names) + wire.query(NO) + run(NO))
    assert told.count(b"42501") == 2


@pytest.mark.parametrize(
    ("version", "key"),
    [(wire.PROTOCOL_3_0, 4), (wire.PROTOCOL_3_2, 32), (wire.PROTOCOL_3_2 + 7, 32)],
)
def test_no_version_of_the_protocol_is_a_way_around(door: Doorway, version: int, key: int) -> None:
    """3.2 differs in the length of cancel keys, and what is newer is answered with 3.2."""
    names = {"user": door.user, "database": door.database}
    told = greeted(door, wire.startup_message(names, version) + wire.query(NO))
    assert told.startswith(b"v") is (version > wire.PROTOCOL_3_2)
    assert b"K" + wire.UINT32.pack(8 + key) in told  # its own length, the pid, the secret
    assert b"42501" in told


def cancels(raw: Raw, address: str | tuple[str, int], pid: int, secret: bytes) -> bool:
    """Whether a statement that takes seconds is cancelled by this."""
    raw.send(wire.query(b"select count(*) from generate_series(1, 3000000)"))
    asking = connected(address)
    asking.sendall(wire.cancel_request(pid, secret))
    while True:
        try:
            if not asking.recv(100):
                break
        except ConnectionResetError:
            break
    asking.close()
    return codes(raw.until_ready()) == ["57014"]


def test_a_cancel_wants_the_right_secret_and_the_targets_own_is_never_told(
    vault: Vault, door: Doorway
) -> None:
    assert vault.postgres is not None
    at_hoop = f"{door.host}/.s.PGSQL.5432"
    at_target = ("127.0.0.1", vault.postgres.port)
    with door.connect() as raw, door.connect() as other:
        wrong = bytes([raw.secret[0] ^ 1]) + raw.secret[1:]
        assert not cancels(raw, at_hoop, raw.pid, wrong)
        assert not cancels(raw, at_hoop, raw.pid, other.secret)
        assert not cancels(raw, at_hoop, other.pid, raw.secret)
        assert not cancels(raw, at_hoop, raw.pid, raw.secret + b"\0" * 28)
        assert not cancels(raw, at_target, raw.pid, raw.secret)
        raw.send(wire.query(b"select pg_sleep(60)"))
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():  # the first may come before the statement has begun
                asking = connected(at_hoop)
                asking.sendall(wire.cancel_request(raw.pid, raw.secret))
                asking.close()
                time.sleep(0.2)

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            assert codes(raw.until_ready()) == ["57014"]
        finally:
            stop.set()
            asking.join()


def test_discard_all_undoes_nothing_that_hoop_relies_on(door: Doorway) -> None:
    with door.connect() as raw:
        raw.query("set standard_conforming_strings = off")
        raw.query("prepare p as select 1")
        raw.ask(wire.parse(b"s", b"select secret from app.people where id = 1") + SYNC)
        assert codes(raw.query("discard all")) == []
        got = raw.ask(bind(b"s") + EXECUTE + SYNC)
        assert codes(got) == ["26000"], got
        assert codes(raw.query(NO.decode())) == ["42501"]
        assert values(raw.query("select upper(secret) from app.people where id = 1")) == [[None]]
        assert values(raw.query("show standard_conforming_strings")) == [[b"on"]]


def test_another_role_is_another_role_and_no_way_past_a_mask(door: Doorway) -> None:
    with door.connect() as raw:
        for text in ("set role postgres", "set session authorization postgres"):
            assert codes(raw.query(text)) == []
            row = values(raw.query("select secret from app.people where id = 1"))
            assert row == [[b"*" * 17]]
            assert codes(raw.query(NO.decode())) == ["42501"]


def test_a_hundred_connections_that_say_nothing_keep_nobody_out(door: Doorway) -> None:
    silent = [connected(f"{door.host}/.s.PGSQL.5432") for _ in range(120)]
    try:
        with door.connect() as raw:
            assert values(raw.query("select 1")) == [[b"1"]]
    finally:
        for one in silent:
            one.close()
