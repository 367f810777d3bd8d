"""The traps that were met on real servers (the marks *(run)* of the design), each a named test.

fence: a pipelined SET hides a DELETE            here, and wire/test_stream_traps
streams cost half the throughput                 bench/, no trap
refusals: psql, asyncpg, psycopg, portals, …     here; wire/test_stream_traps; e2e/test_clients
… the target's log shows only our text           test_the_targets_log_shows_no_word_of_a_refused_…
… pgbouncer                                      not here: no pooler on this machine
libpq's COPY: one ReadyForQuery for two Syncs    here, and wire/test_stream_traps
DEALLOCATE s1; PREPARE s1 …, then Bind s1        here, and wire/test_stream_traps
65 KB of || is a segmentation fault              here, and wire/test_reader
a 16 MB INSERT blocks for 8 s                    here, and wire/test_reader
more than 45 nested operators                    here, and unit/test_sql_traps
SJIS trail bytes hide a DELETE                   here, and wire/test_sql_oracle
a STABLE wrapper of a VOLATILE function writes   here, and wire/test_sql_functions
IMMUTABLE functions run at Bind                  here
table_to_xml reads what is not in the text       here, on a server with libxml
uvloop keeps a reference while a client is slow  here
a prefilter over raw rows, a swallowed hit       unit/test_rows (two tests), here with real rows
durability "disk" costs ten times                here, that it works; bench/ for the rest
"""

from __future__ import annotations

import asyncio
import base64
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial

import asyncpg
import psycopg
import pytest

from hoopcli.demo.postgres import Postgres, wheel_programs
from hoopcore.masking import Masking
from hoopcore.protocols.postgres import wire
from hoopcore.recording import EndCause
from hoopcore.statement import Effect
from tests.bypass.canaries import MASKS, SCHEMA, TAIL, TEXT, shown
from tests.bypass.evidence import cause_of, recorded, recording_of, session_of, verdicts
from tests.bypass.raw import codes, kinds, run, said, values
from tests.bypass.world import Doorway, Vault, eventually
from tests.wire.gate import Gate, Server, catalog, read_ask

MASKED = b"*" * (len(TEXT) + 1)
SYNC = wire.frame(wire.SYNC)
HIDDEN = rb"select 'a\''; delete from app.pub; --'"


def bind(name: bytes) -> bytes:
    return wire.frame(wire.BIND, b"\0" + name + b"\0" + b"\0\0" * 3)


EXECUTE = wire.frame(wire.EXECUTE, b"\0" + b"\0" * 4)


def count(vault: Vault) -> int:
    """Rows of the table that nothing here may delete from."""
    assert vault.postgres is not None
    return int(vault.postgres.psql("select count(*) from app.pub", "vault"))


@pytest.fixture(autouse=True)
def nothing_is_lost(vault: Vault) -> Iterator[None]:
    """Whatever is tried here, no row is deleted."""
    before = count(vault)
    yield
    assert count(vault) >= before >= 5


# --- what a text means ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "off",
    [
        "set standard_conforming_strings = off",
        "select set_config('standard_conforming_strings', 'off', false)",
        "begin; set local standard_conforming_strings = off",
    ],
)
def test_a_pipelined_setting_does_not_hide_a_delete(door: Doorway, off: str) -> None:
    """In one packet, by simple queries."""
    with door.connect() as raw:
        got = raw.ask(wire.query(off.encode()) + wire.query(HIDDEN), 2)
        assert codes(got) == ["42501"]
        assert 'rule "unreadable"' in said(got)


def test_a_trigger_that_changes_what_texts_mean_ends_the_session(
    vault: Vault, door: Doorway
) -> None:
    assert vault.postgres is not None
    vault.postgres.psql(
        """create table app.sly (id int);
        create function app.sly() returns trigger language plpgsql as $$ begin
          perform set_config('standard_conforming_strings', 'off', false); return new; end $$;
        create trigger sly before insert on app.sly for each row execute function app.sly()""",
        "vault",
    )
    try:
        with door.connect() as raw:
            raw.send(wire.query(b"insert into app.sly values (1)"))
            assert "standard_conforming_strings changed" in said(raw.until_gone())
    finally:
        vault.postgres.psql("drop table app.sly; drop function app.sly()", "vault")


@pytest.mark.parametrize("synced", [True, False])
def test_a_pipelined_setting_does_not_hide_a_delete_in_the_extended_protocol(
    door: Doorway, synced: bool
) -> None:
    with door.connect() as raw:
        off = run(b"set standard_conforming_strings = off")
        if not synced:
            off = off.removesuffix(SYNC)
        got = raw.ask(off + run(HIDDEN), 2 if synced else 1)
        assert codes(got) == ["42501"]
        assert values(raw.query("show standard_conforming_strings")) == [
            [b"off" if synced else b"on"]
        ]


def test_sjis_trail_bytes_hide_no_delete(door: Doorway) -> None:
    r"""0x95 0x5c is one letter in SJIS, and a letter and a backslash to who reads on in Latin 1."""
    text = b"select E'\x95\x5c'; delete from app.pub; --'"
    with door.connect() as raw:
        got = raw.ask(wire.query(b"set client_encoding = 'SJIS'") + wire.query(text), 2)
        assert codes(got) == ["42501", "42501"]
    for encoding in ("LATIN1", "WIN1252"):
        with door.connect(client_encoding=encoding) as raw:
            raw.ask(wire.query(b"set client_encoding = 'SJIS'"))
            raw.ask(wire.query(text))


@pytest.mark.parametrize(
    "text",
    [
        "select 'a'" + "||'a'" * 13_000,
        "select 1" + "+1" * 33_000,
        "select " + "(" * 300_000,
        "select 1" + "::int" * 60_000,
        "select " + " or ".join(["true and false"] * 1000),
        "select " + "not " * 75_000 + "true",
        "select 1" + "+(1" * 50 + ")" * 50,
    ],
    ids=["concat", "plus", "parentheses", "casts", "and-or", "not", "nested-50"],
)
def test_a_text_that_kills_or_defeats_the_parser_is_refused_and_the_session_goes_on(
    door: Doorway, text: str
) -> None:
    """A flat list of a thousand conditions is no harm, and may be read."""
    with door.connect() as raw:
        got = raw.query(text)
        assert codes(got) in (["42501"], []) if "and" in text else codes(got) == ["42501"]
        assert values(raw.query("select 1")) == [[b"1"]]


def test_a_long_insert_is_refused_and_stalls_no_other_session(door: Doorway) -> None:
    """16 MB.  Over 4 MiB a text is not read; up to that another process reads it."""
    value = b"(9, 'a value of sixteen')"
    long = b"insert into app.nowhere values " + b",".join([value] * (16_000_000 // len(value)))
    below = b"insert into app.nowhere values " + b",".join([value] * (3_900_000 // len(value)))
    with door.connect() as other, door.connect() as raw:
        sending = threading.Thread(target=raw.send, args=(wire.query(long) + wire.query(below),))
        began = time.monotonic()
        sending.start()
        asked = 0
        while sending.is_alive() or asked < 20:
            assert values(other.query("select 1")) == [[b"1"]]
            asked += 1
        assert asked / (time.monotonic() - began) > 1  # a stall of 8 s would be one in eight
        sending.join()
        first, second = codes(raw.until_ready(2))
        assert first == "42501"
        assert second in ("42501", "42P01")  # not read in time; or read, and there is no such table
        assert values(raw.query("select 1")) == [[b"1"]]


def test_a_stable_wrapper_of_a_volatile_function_is_a_call(
    vault: Vault, strict: Doorway, door: Doorway
) -> None:
    """``app.wraps`` is declared STABLE and writes; where calls are refused it does not run."""
    with strict.connect() as raw:
        for text in (
            "select app.wraps()",
            "select p.leak from app.pub p",
            "select age(p) from app.pub p",
        ):
            got = raw.query(text)
            assert codes(got) == ["42501"], text
            assert 'rule "no-calls"' in said(got)
    assert vault.postgres is not None
    written = "select count(*) from app.written"
    assert vault.postgres.psql(written, "vault") == "0\n"
    with door.connect() as raw:  # where they are not, it does
        assert codes(raw.query("select app.wraps()")) == []
    (statement,) = [e for e in recorded(vault, session_of(raw)) if getattr(e, "text", "")]
    assert "call" in statement.effects
    assert vault.postgres.psql(written, "vault") == "1\n"


def test_an_immutable_function_that_runs_at_bind_is_judged_at_parse(strict: Doorway) -> None:
    """The server runs it when it plans, which is before the Execute is there to be judged."""
    with strict.connect() as raw:
        got = raw.ask(
            wire.parse(b"", b"select app.frozen()") + bind(b"") + wire.describe_portal(b"") + SYNC
        )
        assert kinds(got) == "EZ"
        assert codes(got) == ["42501"]


def test_what_table_to_xml_reads_is_masked_although_the_text_does_not_name_it(
    postgres15: Postgres,
) -> None:
    postgres15.psql("create database trap_xml")
    try:
        without = SCHEMA.replace("create extension dblink with schema public;", "")
        postgres15.psql(without, "trap_xml")
        bound = Masking.load(MASKS).bind(catalog(postgres15, "trap_xml"))
        server = Server(postgres15, "trap_xml")
        gate = Gate(server, bound)
        for text in (
            b"select table_to_xml('app.people', true, false, '')",
            b"select query_to_xml('select * from app.people', true, false, '')",
            b"select schema_to_xml('app', true, false, '')",
            b"select x.* from app.people, xmltable('/r' passing xmlelement(name r, secret)"
            b" columns note text path '.') x",
            b"select xmlforest(secret, tail) from app.people",
            b"select xmlparse(document secret) from app.people",
        ):
            assert Effect.UNKNOWN not in read_ask_of(text)
            got = gate.ask(wire.query(text))
            assert {cell for row in values(got) for cell in row} <= {None}
            assert shown(b"".join(body for _, body in got)) == []
        direct = postgres15.psql("select table_to_xml('app.people', true, false, '')", "trap_xml")
        assert TEXT in direct
        server.close()
    finally:
        postgres15.psql("drop database trap_xml with (force)")


def read_ask_of(text: bytes) -> frozenset[Effect]:
    from hoopcore.stream import Ask, AskKind

    asked = Ask(AskKind.TEXT, 1, text)
    return read_ask(asked, {"client_encoding": "UTF8", "standard_conforming_strings": "on"}).effects


# --- refusals -------------------------------------------------------------------------------------

NO = b"delete from app.pub"


def test_several_refusals_in_one_batch_are_what_a_server_would_say(door: Doorway) -> None:
    yes = wire.query(b"select 1")
    with door.connect() as raw:
        got = raw.ask(wire.query(NO) + yes + wire.query(NO) + wire.query(NO) + yes, 5)
        assert kinds(got) == "EZTDCZEZEZTDCZ"
        assert codes(got) == ["42501"] * 3
        # Extended: the first one makes the server skip the rest up to Sync.
        batch = run(b"select 1").removesuffix(SYNC)
        no = run(NO).removesuffix(SYNC)
        got = raw.ask(batch + no + no + batch + wire.query(NO) + SYNC + batch + SYNC, 2)
        assert kinds(got) == "12TDCEZ12TDCZ"


def test_a_refusal_in_a_copy_and_of_a_portal_keeps_the_order(door: Doorway) -> None:
    with door.connect() as raw:
        raw.query("create temp table here (id int, note text)")
        raw.send(wire.query(b"copy here from stdin"))
        assert kinds(raw.until(wire.COPY_IN)) == "G"
        # Inside a COPY a Query ends it; the server says so, and reads on.
        raw.send(
            wire.frame(wire.COPY_DATA, b"1\tone\n") + wire.frame(wire.COPY_DONE) + wire.query(NO)
        )
        got = raw.until_ready(2)
        assert kinds(got) == "CZEZ"
        assert codes(got) == ["42501"]
        raw.query("begin")
        raw.ask(wire.parse(b"s", b"select id from app.pub order by id") + SYNC)
        named = wire.frame(wire.BIND, b"p\0s\0" + b"\0\0" * 3)
        part = wire.frame(wire.EXECUTE, b"p\0" + wire.INT32.pack(2))
        got = raw.ask(named + part + SYNC)
        assert kinds(got) == "2DDsZ"
        got = raw.ask(run(NO))
        assert codes(got) == ["42501"]
        assert got[-1] == (wire.READY, b"E")  # as any error in a transaction
        raw.query("rollback")
        got = raw.ask(
            wire.query(b"copy app.people to stdout (format binary)")
            + wire.query(b"copy app.pub to stdout"),
            2,
        )
        assert kinds(got).startswith("EZHd")
        assert codes(got) == ["42501"]


def test_the_targets_log_shows_no_word_of_a_refused_statement(vault: Vault, door: Doorway) -> None:
    assert vault.postgres is not None
    with door.connect() as raw:
        raw.ask(
            wire.query(b"delete from app.pub /* tell-tale-1 */")
            + run(b"delete from app.pub /* tell-tale-2 */"),
            2,
        )
        session = session_of(raw)
    log = vault.postgres.log.read_text(errors="replace")
    assert "tell-tale" not in log
    assert f"hoop refused no-unbounded-delete session {session}" in log


async def test_asyncpg_and_psycopg_and_psql_go_on_behind_a_refusal(door: Doorway) -> None:
    connection = await asyncpg.connect(
        host=door.host, port=5432, user=door.user, database=door.database
    )
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(NO.decode())
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("delete from app.pub returning id")
        for _ in range(6):
            row = await connection.fetchrow("select secret from app.people where id = $1", 1)
            assert row["secret"] == MASKED.decode()
    finally:
        await connection.close()
    done = await asyncio.to_thread(
        psql, door, "-c", NO.decode(), "-c", r"select 1 \; delete from app.pub", "-c", "select 2"
    )
    assert done.stdout.split() == ["2"]
    with psycopg.connect(door.dsn, autocommit=True) as other:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            other.execute(NO)
        assert other.execute("select 2").fetchone() == (2,)


def psql(door: Doorway, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = wheel_programs() / "bin" / "psql"
    return subprocess.run(
        [str(program), "-XwAtq", "-d", door.dsn, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd="/",
    )


# --- masks ----------------------------------------------------------------------------------------


def test_libpqs_ordinary_extended_copy_leaves_masks_in_step(door: Doorway) -> None:
    """Two Syncs, one ReadyForQuery: who counts wrong takes the next rows for another's."""
    with psycopg.connect(door.dsn, autocommit=True) as connection:
        connection.execute("create temp table here (id int, note text)")
        for number in range(3):
            with connection.cursor().copy(f"copy here from stdin where id > {number}") as copy:
                copy.write_row((number + 1, "note"))
            cursor = connection.cursor(binary=bool(number % 2))
            rows = cursor.execute("select id, secret, tail from app.people order by id").fetchall()
            assert rows[0] == (1, MASKED.decode(), "*" * 12 + TAIL[-4:])
    with door.connect() as raw:
        raw.query("create temp table here (id int, note text)")
        raw.send(run(b"copy here from stdin"))
        raw.until(wire.COPY_IN)
        data = wire.frame(wire.COPY_DATA, b"1\tone\n")
        raw.send(data + wire.frame(wire.COPY_DONE) + SYNC + run(b"select secret from app.people"))
        got = raw.until_ready(2)
        assert values(got) == [[MASKED]] * 3
        assert shown(bytes(raw.received)) == []


@pytest.mark.parametrize("described", [True, False])
def test_a_statement_that_sql_has_replaced_shows_no_clear_value(
    door: Doorway, described: bool
) -> None:
    """DEALLOCATE and PREPARE reach the names of the protocol."""
    with door.connect() as raw:
        raw.query("set search_path = app")
        raw.ask(wire.parse(b"s1", b"select id, note from pub") + SYNC)
        describe = wire.frame(wire.DESCRIBE, b"Ss1\0") if described else b""
        raw.ask(describe + bind(b"s1") + EXECUTE + SYNC)
        raw.query("deallocate s1; prepare s1 as select id, secret from people")
        got = raw.ask(bind(b"s1") + EXECUTE + SYNC)
        assert [row[1] for row in values(got)] == [MASKED] * 3
        raw.query("deallocate s1; prepare s1 as select id, upper(secret) from people")
        got = raw.ask(describe + bind(b"s1") + EXECUTE + SYNC)
        assert [row[1] for row in values(got)] == [None] * 3
        # The same, all in one packet.
        batch = wire.parse(b"s2", b"select id, note from pub") + SYNC
        batch += wire.query(b"deallocate s2; prepare s2 as select id, lower(secret) from people")
        got = raw.ask(batch + bind(b"s2") + EXECUTE + SYNC, 3)
        assert [row[1] for row in values(got)] == [None] * 3
        assert shown(bytes(raw.received)) == []


def test_a_slow_client_never_sees_an_unmasked_byte(vault: Vault, door: Doorway) -> None:
    """12 MiB of masked rows for who does not read until every buffer on the way is full: what
    waits to be written is never written into again."""
    rows = 60_000
    text = (
        f"select p.id{', p.secret' * 9}, p.tail, p.name from app.people p,"
        f" generate_series(1, {rows // 3}) g order by g, p.id"
    )
    choice = random.Random(8)
    with door.connect() as raw:
        raw.query("set work_mem = '64MB'")
        raw.send(wire.query(text.encode()))
        stuck = f"select wait_event from pg_stat_activity where pid = {raw.pid}"
        eventually(partial(stands_at, vault, stuck, "ClientWrite"))
        row = (b"\0\0\0\x11" + MASKED) * 9 + b"\0\0\0\x10" + b"*" * 12 + b"4829"
        got = 0
        while True:
            if choice.random() < 0.0005:
                time.sleep(0.005)
            kind, body = raw.message()
            if kind == wire.READY:
                break
            if kind == wire.DATA_ROW:
                assert row in body
                got += 1
        assert got == rows
        assert len(raw.received) > 12 << 20
        assert not any(piece in raw.received for piece in (TEXT.encode(), TAIL.encode()))


def stands_at(vault: Vault, text: str, where: str) -> bool:
    assert vault.postgres is not None
    return vault.postgres.psql(text).strip() == where


def test_detectors_find_hits_in_real_rows_whatever_length_bytes_look_like(door: Doorway) -> None:
    """A length of 48 to 122 looks like a letter or a digit before the value."""
    with door.connect() as raw:
        for size in (11, 48, 57, 65, 97, 110, 122):
            text = (
                f"select rpad('219-09-9999', {size}), rpad('x ada@example.com', {size + 6}),"
                f" 'card 4111111111111112 mail bo@example.com', n from generate_series(1, 200) n"
            )
            for got in (raw.query(text), raw.ask(run(text.encode(), binary=True))):
                rows = values(got)
                assert len(rows) == 200
                assert not any(b"219-09-9999" in cell for row in rows for cell in row if cell)
                assert not any(b"ada@" in cell for row in rows for cell in row if cell)
                assert not any(b"bo@" in cell for row in rows for cell in row if cell)


def test_values_that_are_split_over_packets_are_masked(door: Doorway) -> None:
    """Values of many sizes, so that packets end anywhere in them."""
    with door.connect() as raw:
        got = raw.query(
            "select repeat('x', g % 97), p.secret, repeat('y', g % 1013) from app.people p,"
            " generate_series(1, 2000) g"
        )
        assert {row[1] for row in values(got)} == {MASKED}
        assert shown(bytes(raw.received)) == []
        assert base64.b64encode(TEXT.encode())[:8] not in raw.received


# --- durability -----------------------------------------------------------------------------------


def test_disk_durability_works_for_statements_pipelines_and_copies(
    vault: Vault, disk: Doorway
) -> None:
    with disk.connect() as raw:
        assert values(raw.query("select secret from app.people where id = 1")) == [[MASKED]]
        got = raw.ask(wire.query(b"select 1") * 20 + run(b"select 2") * 20, 40)
        assert len(values(got)) == 40
        assert codes(raw.query(NO.decode())) == ["42501"]
        raw.query("create temp table here (id int)")
        raw.send(wire.query(b"copy here from stdin"))
        raw.until(wire.COPY_IN)
        raw.ask(wire.frame(wire.COPY_DATA, b"1\n") * 1000 + wire.frame(wire.COPY_DONE))
        assert values(raw.query("select count(*) from here")) in ([[b"1000"]], [[None]])
        session = session_of(raw)
    events = recorded(vault, session)
    assert events[0].durability == "disk"
    assert cause_of(events) is EndCause.CLIENT_LEFT
    assert [rule for verdict, rule in verdicts(events) if verdict == "refuse"] == [
        "no-unbounded-delete"
    ]
    assert recording_of(vault, session).stat().st_mode & 0o777 == 0o600
