"""The traps of the wire, each against a real server, with the bytes of a client or its driver."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator

import asyncpg
import psycopg
import pytest

from hoopcli.demo.postgres import Postgres
from hoopcore.masking import Bound, Masking
from hoopcore.protocols.postgres import wire
from hoopcore.protocols.postgres.incoming import Incoming
from hoopcore.statement import Effect, Reading
from hoopcore.stream import Ask, Finished, Refusal
from tests.wire.gate import NO_MASKS, Gate, Server, catalog, serve
from tests.wire.sequences import COPY_DONE, SYNC, bind, close, copy_data, describe, execute

MASKS = """
[[mask]]
column = "public.people.ssn"
style = "full"
"""
SSN = b"123-45-6789"
REFUSAL = Refusal("no-delete", "a DELETE is not for you", "hoop request people", "s-1")


@pytest.fixture(scope="module")
def people(postgres: Postgres) -> Iterator[str]:
    """A database with a masked column."""
    postgres.psql("create database people")
    postgres.psql(
        "create table people (id int primary key, name text, ssn text);"
        f"insert into people select n, 'name ' || n, '{SSN.decode()}'"
        " from generate_series(1, 50) n;"
        "create table notes (id int, note text)",
        "people",
    )
    yield "people"
    postgres.psql("drop database people with (force)")


@pytest.fixture
def open_gate(postgres: Postgres, people: str) -> Iterator[Callable[..., Gate]]:
    opened: list[Server] = []
    seen_by = catalog(postgres, people)

    def make(*, masked: bool = False, no: Callable[[Ask, Reading], bool] | None = None) -> Gate:
        server = Server(postgres, people)
        opened.append(server)
        bound: Bound = Masking.load(MASKS).bind(seen_by) if masked else NO_MASKS
        return Gate(
            server, bound, lambda ask, reading: REFUSAL if no and no(ask, reading) else None
        )

    yield make
    for server in opened:
        server.close()


def kinds(got: list[tuple[int, bytes]]) -> str:
    return "".join(chr(kind) for kind, _ in got)


def codes(got: list[tuple[int, bytes]]) -> list[str]:
    return [wire.sqlstate(wire.error_fields(body)) for kind, body in got if kind == wire.ERROR]


def values(got: list[tuple[int, bytes]]) -> list[list[bytes | None]]:
    rows = []
    for kind, body in got:
        if kind == wire.DATA_ROW:
            reader = wire.Body(body)
            rows.append([reader.value() for _ in range(reader.uint16())])
    return rows


def deletes(ask: Ask, reading: Reading) -> bool:
    return Effect.DELETE in reading.effects


def deletes_or_unreadable(ask: Ask, reading: Reading) -> bool:
    return bool({Effect.DELETE, Effect.UNKNOWN} & reading.effects)


# --- the fence ------------------------------------------------------------------------------------


def test_pipelined_setting_does_not_hide_a_delete(open_gate: Callable[..., Gate]) -> None:
    """With standard_conforming_strings off a backslash hides a quote, and so a DELETE."""
    gate = open_gate(no=deletes_or_unreadable)
    # On: one SELECT of a string.  Off: the string ends before the semicolon, and a DELETE follows.
    hidden = rb"select 'a\''; delete from people; --'"
    gate.say(wire.query(b"set standard_conforming_strings = off") + wire.query(hidden))
    assert len(gate.asks) == 1
    assert b"delete from" not in gate.sent
    got = gate.until_ready(2)
    assert kinds(got) == "CSZEZ"
    assert codes(got) == ["42501"]
    assert values(gate.ask(wire.query(b"select count(*) from people"))) == [[b"50"]]


def test_setting_in_the_same_batch_makes_what_follows_untrusted(
    open_gate: Callable[..., Gate],
) -> None:
    gate = open_gate(no=deletes_or_unreadable)
    batch = wire.parse(b"", b"set standard_conforming_strings = off") + bind(b"", b"")
    batch += execute(b"")
    gate.say(batch + wire.parse(b"", rb"select 'a\''; delete from people; --'") + SYNC)
    got = gate.until_ready()
    assert [ask.trusted for ask in gate.asks] == [True, True, False]
    assert codes(got) == ["42501"]
    assert b"delete from" not in gate.sent


def test_begin_pipelined_without_sync_does_not_hang(open_gate: Callable[..., Gate]) -> None:
    gate = open_gate(masked=True)
    run = bind(b"", b"") + describe(b"P", b"") + execute(b"")
    got = gate.ask(
        wire.parse(b"", b"begin") + run + wire.parse(b"", b"select name, 1 from people limit 1")
        + run + SYNC
    )  # fmt: skip
    assert kinds(got) == "12nC12TDCZ"
    # Behind no more than a BEGIN the text means what it says: the literal is of no masked column.
    assert values(got) == [[b"name 1", b"1"]]


def test_fence_falls_when_the_target_skips_the_fencing_query(
    open_gate: Callable[..., Gate],
) -> None:
    gate = open_gate()
    wrong = wire.parse(b"", b"selekt")
    got = gate.ask(wrong + wire.query(b"set role none") + wire.parse(b"", b"select 1") + SYNC)
    assert kinds(got) == "EZ"
    assert [seen.tag for seen in gate.seen if isinstance(seen, Finished)] == [
        "", "skipped", "skipped",
    ]  # fmt: skip


# --- refusals -------------------------------------------------------------------------------------


def test_refused_query_leaves_the_session_alive(open_gate: Callable[..., Gate]) -> None:
    gate = open_gate(no=deletes)
    got = gate.ask(wire.query(b"delete from people"))
    assert kinds(got) == "EZ"
    fields = wire.error_fields(got[0][1])
    assert fields["C"] == b"42501"
    assert fields["M"] == b'refused by rule "no-delete": a DELETE is not for you'
    assert fields["H"] == b"hoop request people"
    assert b"delete from" not in gate.sent
    assert values(gate.ask(wire.query(b"select count(*) from people"))) == [[b"50"]]


def test_refusal_inside_a_transaction_fails_the_transaction(open_gate: Callable[..., Gate]) -> None:
    gate = open_gate(no=deletes)
    gate.ask(wire.query(b"begin"))
    gate.ask(wire.query(b"insert into notes values (1, 'lost')"))
    assert gate.ask(wire.query(b"delete from people"))[-1] == (wire.READY, b"E")
    assert codes(gate.ask(wire.query(b"select 1"))) == ["25P02"]
    assert gate.ask(wire.query(b"rollback"))[-1] == (wire.READY, b"I")
    assert values(gate.ask(wire.query(b"select count(*) from notes"))) == [[b"0"]]


def test_refusal_inside_a_pipeline_keeps_nothing_of_the_batch(
    open_gate: Callable[..., Gate],
) -> None:
    gate = open_gate(no=deletes)
    run = bind(b"", b"") + execute(b"")
    batch = wire.parse(b"", b"insert into notes values (2, 'lost')") + run
    batch += wire.parse(b"", b"delete from people") + run
    batch += wire.parse(b"", b"insert into notes values (3, 'skipped')") + run
    got = gate.ask(batch + SYNC)
    assert kinds(got) == "12CEZ"
    assert codes(got) == ["42501"]
    assert values(gate.ask(wire.query(b"select count(*) from notes"))) == [[b"0"]]


def test_several_refusals_in_one_batch_give_the_errors_that_a_server_gives(
    open_gate: Callable[..., Gate],
) -> None:
    gate = open_gate(no=deletes)
    no, yes = wire.query(b"delete from people"), wire.query(b"select 1")
    got = gate.ask(no + yes + no + no + yes, 5)
    assert kinds(got) == "EZTDCZEZEZTDCZ"


def test_refused_bind_runs_nothing_and_spoils_no_name(open_gate: Callable[..., Gate]) -> None:
    asked = iter([False, True, False])
    gate = open_gate(no=lambda ask, reading: next(asked))
    run = bind(b"", b"s1") + execute(b"") + SYNC
    got = gate.ask(wire.parse(b"s1", b"select 7") + run)
    assert kinds(got) == "1EZ"
    assert codes(got) == ["42501"]
    assert values(gate.ask(run)) == [[b"7"]]


def test_client_that_uses_the_reserved_name_is_refused(open_gate: Callable[..., Gate]) -> None:
    gate = open_gate()
    got = gate.ask(wire.parse(b"hoop_refused", b"select 1") + SYNC)
    assert codes(got) == ["42501"]
    assert b"select 1" not in gate.sent


def test_other_error_in_place_of_the_refused_statement_passes_as_it_is(
    open_gate: Callable[..., Gate],
) -> None:
    gate = open_gate(no=deletes)
    got = gate.ask(wire.parse(b"", b"selekt") + wire.query(b"delete from people") + SYNC)
    assert codes(got) == ["42601"]
    fields = wire.error_fields(got[0][1])
    assert b"selekt" in fields["M"]


def _two_in_a_pipeline(connection: psycopg.Connection) -> None:
    with connection.pipeline():
        connection.execute("insert into notes values (5, 'lost')")
        connection.execute("delete from people")


def test_psycopg_pipeline_with_a_refusal_goes_on(postgres: Postgres, people: str) -> None:
    def make() -> Gate:
        verdict = lambda ask, reading: REFUSAL if deletes(ask, reading) else None  # noqa: E731
        return Gate(Server(postgres, people), NO_MASKS, verdict)

    with (
        serve(make) as port,
        psycopg.connect(f"host=127.0.0.1 port={port} user=x dbname=people") as connection,
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            _two_in_a_pipeline(connection)
        connection.rollback()
        cursor = connection.execute("select count(*) from notes")
        assert cursor.fetchone() == (0,)


# --- masks ----------------------------------------------------------------------------------------


def test_prepared_statement_described_once_is_masked_on_every_run(
    open_gate: Callable[..., Gate],
) -> None:
    gate = open_gate(masked=True)
    gate.ask(wire.parse(b"s1", b"select id, ssn from people where id < 3") + SYNC)
    gate.ask(describe(b"S", b"s1") + SYNC)
    for _ in range(3):
        got = gate.ask(bind(b"", b"s1") + execute(b"") + SYNC)
        assert kinds(got) == "2DDCZ"
        assert [row[1] for row in values(got)] == [b"*" * len(SSN)] * 2


def test_statement_replaced_by_sql_is_masked(open_gate: Callable[..., Gate]) -> None:
    """DEALLOCATE and PREPARE reach the names of the protocol."""
    gate = open_gate(masked=True)
    gate.ask(wire.parse(b"s1", b"select id, note from notes") + SYNC)
    gate.ask(wire.query(b"deallocate s1; prepare s1 as select id, upper(ssn) from people"))
    got = gate.ask(bind(b"", b"s1") + execute(b"") + SYNC)
    assert gate.asks[-1].reading is not None
    assert all(statement.opaque for statement in gate.asks[-1].reading.statements)
    assert {row[1] for row in values(got)} == {None}
    assert len(values(got)) == 50


def test_cursor_of_sql_run_by_protocol_is_asked_and_masked(open_gate: Callable[..., Gate]) -> None:
    gate = open_gate(masked=True)
    gate.ask(wire.query(b"begin; declare c cursor for select id, ssn, lower(ssn) from people"))
    got = gate.ask(execute(b"c", 2) + SYNC)
    assert gate.asks[-1].name == "c"
    assert values(got) == [[b"1", b"*" * 11, None], [b"2", b"*" * 11, None]]


def test_failed_parse_leaves_the_name_what_it_was(open_gate: Callable[..., Gate]) -> None:
    gate = open_gate(masked=True)
    gate.ask(wire.parse(b"s1", b"select upper(ssn) from people limit 1") + SYNC)
    got = gate.ask(
        wire.parse(b"s1", b"select 'harmless'") + SYNC + bind(b"", b"s1") + execute(b"") + SYNC, 2
    )
    assert codes(got) == ["42P05"]
    assert values(got) == [[None]]


def test_failed_bind_leaves_the_portal_what_it_was(open_gate: Callable[..., Gate]) -> None:
    gate = open_gate(masked=True)
    gate.ask(wire.parse(b"s1", b"select upper(ssn) from people") + SYNC)
    gate.ask(wire.parse(b"s2", b"select 'harmless'") + SYNC)
    gate.ask(wire.query(b"begin"))
    gate.ask(bind(b"p", b"s1") + SYNC)
    gate.ask(wire.query(b"savepoint a"))
    gate.ask(bind(b"p", b"s2") + describe(b"P", b"p") + SYNC)
    gate.ask(wire.query(b"rollback to a"))
    got = gate.ask(describe(b"P", b"p") + execute(b"p", 1) + SYNC)
    assert values(got) == [[None]]


def test_asyncpg_cached_statement_is_masked_on_every_run(postgres: Postgres, people: str) -> None:
    bound = Masking.load(MASKS).bind(catalog(postgres, people))

    async def talk(port: int) -> None:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=port, user="x", database="people", ssl=False
        )
        for number in range(1, 8):
            row = await connection.fetchrow("select id, ssn from people where id = $1", number)
            assert row["id"] == number
            assert row["ssn"] == "*" * len(SSN)
        async with connection.transaction():
            numbers = [row async for row in connection.cursor("select ssn from people", prefetch=7)]
        assert {row["ssn"] for row in numbers} == {"*" * len(SSN)}
        assert len(numbers) == 50
        await connection.close()

    with serve(lambda: Gate(Server(postgres, people), bound)) as port:
        asyncio.run(asyncio.wait_for(talk(port), 30))  # noqa: TID251 - a hang is a failure


def test_texts_of_covered_statements_are_withheld(open_gate: Callable[..., Gate]) -> None:
    gate = open_gate(masked=True)
    got = gate.ask(wire.query(b"select cast(ssn as int) from people"))
    assert codes(got) == ["22P02"]
    assert SSN not in b"".join(body for _, body in got)
    raised = b"do $$ begin raise notice '%', (select min(ssn) from people); end $$"
    got = gate.ask(wire.query(raised))
    assert kinds(got) == "CZ"  # where a notice stands tells at which row it was raised
    got = gate.ask(wire.query(b"select 1 from nowhere_1; selekt"))
    assert b"selekt" in b"".join(body for _, body in got) or codes(got) == ["42601"]


def test_free_texts_that_the_target_reports_are_blank(open_gate: Callable[..., Gate]) -> None:
    gate = open_gate(masked=True)
    got = gate.ask(
        wire.query(b"select set_config('application_name', min(ssn), false) from people")
    )
    assert SSN not in b"".join(body for _, body in got)
    gate.ask(wire.query(b"listen ch"))
    got = gate.ask(wire.query(b"select pg_notify('ch', min(ssn)) from people"))
    assert "A" in kinds(got)
    assert SSN not in b"".join(body for _, body in got)


def test_rows_never_leave_before_they_are_masked(open_gate: Callable[..., Gate]) -> None:
    """Byte by byte: nothing of a row is out before the whole row was in."""
    gate = open_gate(masked=True)
    gate.say(wire.query(b"select ssn, id from people"))
    received = bytearray()
    while b"Z" not in received[-6:]:
        received += gate.server.receive()
    for at in range(len(received)):
        gate.take(bytes(received[at : at + 1]))
        assert SSN not in gate.client
    assert kinds(gate.until_ready()) == "T" + "D" * 50 + "CZ"


# --- COPY, chunks, and the order of things --------------------------------------------------------


def test_copy_the_way_of_libpq_gets_one_ready_for_two_syncs(open_gate: Callable[..., Gate]) -> None:
    gate = open_gate(masked=True)
    gate.say(wire.parse(b"", b"copy notes from stdin") + bind(b"", b"") + describe(b"P", b""))
    gate.say(execute(b"") + SYNC)
    gate.say(copy_data(b"1\tone\n") + COPY_DONE + SYNC)
    assert kinds(gate.until_ready()) == "12nGCZ"
    got = gate.ask(wire.query(b"select ssn from people limit 1"))
    assert values(got) == [[b"*" * 11]]
    gate.ask(wire.query(b"truncate notes"))


def test_chunking_never_changes_what_the_client_reads(open_gate: Callable[..., Gate]) -> None:
    gate = open_gate(masked=True)
    talk = wire.query(b"select id, name, ssn from people") + wire.query(b"select 1/0")
    talk += wire.parse(b"s", b"select ssn from people") + bind(b"", b"s") + execute(b"", 9) + SYNC
    talk += close(b"S", b"s") + SYNC
    expected = gate.ask(talk, 4)
    for seed in range(20):
        choice = random.Random(seed)
        at = 0
        while at < len(talk):
            size = choice.randint(1, 9)
            gate.say(talk[at : at + size])
            at += size
        got = bytearray()
        while sum(kind == wire.READY for kind, _ in got_so_far(gate)) < 4:
            data = gate.server.receive()
            place = 0
            while place < len(data):
                size = choice.randint(1, 60)
                gate.take(data[place : place + size])
                place += size
        assert gate.until_ready(4) == expected
        assert not got


def got_so_far(gate: Gate) -> list[tuple[int, bytes]]:
    """The whole messages the client has, without those that are cut short."""
    incoming = Incoming()
    incoming.feed(bytes(gate.client))
    found = []
    while (header := incoming.header()) is not None and incoming.has(header[1]):
        found.append((header[0], bytes(incoming.piece(header[1]))[5:]))
    return found


def test_nothing_is_forwarded_before_its_verdict(open_gate: Callable[..., Gate]) -> None:
    gate = open_gate()
    stream = gate.stream
    from hoopcore.stream import Side

    stream.feed(Side.CLIENT, SYNC + wire.query(b"select 1") + SYNC + wire.query(b"select 2"))
    ask = stream.next_ask()
    assert ask is not None
    assert stream.next_ask() is None
    assert b"".join(stream.pump().to_target) == SYNC
    assert not stream.pump().to_target
    out = stream.forward(ask, Reading(()))
    assert b"".join(out.to_target) == wire.query(b"select 1")
    assert b"".join(stream.pump().to_target) == SYNC
    assert stream.next_ask() is not None
