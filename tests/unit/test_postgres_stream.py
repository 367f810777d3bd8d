"""PostgresStream, scripted: a client's bytes, a target's bytes, and what leaves on either side."""

from __future__ import annotations

import struct

import pytest

from hoopcore.masking import Bound, Masking
from hoopcore.protocols.postgres import refuse, wire
from hoopcore.protocols.postgres.names import MOST_NAMES, WAIT, Names
from hoopcore.protocols.postgres.replies import TooLarge
from hoopcore.protocols.postgres.stream import PostgresStream
from hoopcore.sql.catalog import Catalog, Table
from hoopcore.statement import Effect, Reading, Relation, Statement, Touch
from hoopcore.stream import Ask, AskKind, Copied, Fatal, Finished, Out, ProtocolError, Refusal, Side
from tests.wire.sequences import COPY_DONE, INT4ABS, SYNC, bind, copy_data, describe, execute

MASKS = """
[[mask]]
column = "public.people.ssn"
style = "full"
"""
PEOPLE = Relation("", "people")
CATALOG = Catalog((Table(20000, "public", "people", "r", ((1, "id", 23), (2, "ssn", 25))),))
PARAMETERS = {"client_encoding": "UTF8", "standard_conforming_strings": "on"}

READS = Reading((Statement(frozenset({Effect.READ})),))
COVERED = Reading((Statement(frozenset({Effect.READ}), frozenset({Touch(PEOPLE, Effect.READ)})),))
SETS = Reading((Statement(frozenset({Effect.SET})),))
READY = wire.ready_for_query()


def test_what_came_before_a_broken_frame_still_reaches_the_client_masked() -> None:
    bound = Masking.load(MASKS).bind(CATALOG)
    script = Script(bound)
    script.client(wire.query(b"select id, ssn from people"), COVERED)
    row = wire.frame(wire.DATA_ROW, b"\0\2\0\0\0\1" + b"7" + b"\0\0\0\4" + b"1234")
    described = wire.frame(
        wire.ROW_DESCRIPTION,
        b"\0\2"
        + b"id\0" + struct.pack(">IhIhih", 20000, 1, 23, 4, -1, 0)
        + b"ssn\0" + struct.pack(">IhIhih", 20000, 2, 25, -1, -1, 0),
    )  # fmt: skip
    with pytest.raises(ProtocolError):
        script.target(described + row + row + b"?\0\0\0\4")
    last = script.take(script.stream.end("08P01", "no"))
    assert script.to_client.startswith(described + row.replace(b"1234", b"****") * 2 + b"E")
    assert b"1234" not in script.to_client
    assert not script.take(script.stream.end("08P01", "no")).to_client
    assert last.to_client


class Script:
    """A stream and everything that has left it."""

    def __init__(self, bound: Bound | None = None, **parameters: str) -> None:
        bound = bound or Masking().bind(None)
        self.stream = PostgresStream(PARAMETERS | parameters, bound, "s-1")
        self.to_client = b""
        self.to_target = b""
        self.seen: list[object] = []

    def take(self, out: Out) -> Out:
        self.to_client += b"".join(out.to_client)
        self.to_target += b"".join(out.to_target)
        self.seen += out.seen
        return out

    def client(self, data: bytes, reading: Reading = READS) -> list[Ask]:
        """Sends it and forwards every ask as what it is said to be."""
        self.stream.feed(Side.CLIENT, data)
        asks = []
        while (ask := self.stream.next_ask()) is not None:
            asks.append(ask)
            self.take(self.stream.forward(ask, ask.reading or reading))
        self.take(self.stream.pump())
        return asks

    def target(self, data: bytes) -> Out:
        self.stream.feed(Side.TARGET, data)
        return self.take(self.stream.from_target())


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def masked() -> Script:
    return Script(Masking.load(MASKS).bind(CATALOG))


def described(*columns: tuple[int, int]) -> bytes:
    body = wire.UINT16.pack(len(columns))
    for table, attnum in columns:
        body += b"c\0" + wire.UINT32.pack(table) + wire.INT16.pack(attnum)
        body += wire.UINT32.pack(25) + b"\xff" * 6 + b"\0\0"
    return wire.frame(wire.ROW_DESCRIPTION, body)


def row(*cells: bytes | None) -> bytes:
    body = wire.UINT16.pack(len(cells))
    for cell in cells:
        body += wire.INT32.pack(-1) if cell is None else wire.INT32.pack(len(cell)) + cell
    return wire.frame(wire.DATA_ROW, body)


def complete(tag: bytes) -> bytes:
    return wire.frame(wire.COMMAND_COMPLETE, wire.cstring(tag))


# --- what is passed on ----------------------------------------------------------------------------


def test_result_without_masks_leaves_as_one_slice_of_what_came(script: Script) -> None:
    script.client(wire.query(b"select 1"))
    reply = described((0, 0)) + row(b"1") + complete(b"SELECT 1") + READY
    out = script.target(reply)
    assert len(out.to_client) == 1
    piece = out.to_client[0]
    assert isinstance(piece, memoryview)
    assert piece.obj is reply


def test_row_of_any_size_passes_where_nothing_is_masked(script: Script) -> None:
    script.client(wire.query(b"select 1"))
    script.target(described((0, 0)))
    huge = wire.HEADER.pack(wire.DATA_ROW, wire.MAX_FRAME * 2)
    assert b"".join(script.target(huge + b"x" * 10).to_client) == huge + b"x" * 10
    assert script.stream.held == 0


def test_masked_row_over_64_mib_ends_the_session(masked: Script) -> None:
    masked.client(wire.query(b"select ssn from people"), COVERED)
    masked.target(described((20000, 2)))
    with pytest.raises(TooLarge) as raised:
        masked.target(wire.HEADER.pack(wire.DATA_ROW, wire.MAX_FRAME + 1))
    assert raised.value.code == "54000"


def test_what_was_received_is_not_written_into(masked: Script) -> None:
    masked.client(wire.query(b"select ssn from people"), COVERED)
    received = bytearray(described((20000, 2)) + row(b"123-45-6789"))
    before = bytes(received)
    masked.stream.feed(Side.TARGET, received)
    masked.take(masked.stream.from_target())
    assert received == before
    assert row(b"*" * 11) in masked.to_client


def test_finished_tells_what_became_of_an_ask(masked: Script) -> None:
    (ask,) = masked.client(wire.query(b"select ssn from people"), COVERED)
    masked.target(described((20000, 2)) + row(b"123-45-6789") * 3 + complete(b"SELECT 3") + READY)
    (seen,) = masked.seen
    assert isinstance(seen, Finished)
    assert (seen.seq, seen.tag, seen.rows, seen.columns) == (ask.seq, "SELECT 3", 3, ("c",))
    assert seen.bytes == 3 * len(row(b"123-45-6789"))
    assert sum(seen.masked.values()) == 3


def test_copy_tells_its_bytes(script: Script) -> None:
    script.client(wire.query(b"copy t from stdin") + copy_data(b"1\n") * 3 + COPY_DONE)
    script.target(wire.frame(wire.COPY_IN, b"\0\0\0") + complete(b"COPY 3") + READY)
    assert script.seen[0] == Copied(1, Side.CLIENT, 6)
    script.client(wire.query(b"copy t to stdout"))
    script.target(wire.frame(wire.COPY_OUT, b"\0\0\0") + copy_data(b"1\n") + COPY_DONE)
    assert script.seen[2] == Copied(2, Side.TARGET, len(copy_data(b"1\n")))


def test_run_of_copy_data_leaves_as_one_slice(script: Script) -> None:
    script.client(wire.query(b"copy t from stdin"))
    script.stream.feed(Side.CLIENT, copy_data(b"x" * 10) * 1000)
    assert len(script.stream.pump().to_target) == 1


def test_fatal_is_told_and_nothing_may_follow_it(script: Script) -> None:
    script.target(wire.error_response("FATAL", "57P01", "shutting down"))
    assert script.seen == [Fatal("57P01")]
    with pytest.raises(ProtocolError):
        script.target(READY)


# --- asks -----------------------------------------------------------------------------------------


def test_bind_gets_the_reading_parameters_and_formats_of_its_statement(script: Script) -> None:
    first, second = script.client(
        wire.parse(b"s", b"select $1") + bind(b"p", b"s", (b"1", b"2")), COVERED
    )
    assert first.prepared
    assert second.kind is AskKind.RUN
    assert (second.reading, second.origin, second.name) == (COVERED, first.seq, "s")
    assert (second.parameters, second.formats) == ((b"1", b"2"), (0, 0))


def test_function_call_is_an_ask_without_text(script: Script) -> None:
    script.stream.feed(Side.CLIENT, INT4ABS)
    ask = script.stream.next_ask()
    assert ask is not None
    assert ask.kind is AskKind.CALL
    out = script.stream.refuse(ask, READS, Refusal("fast-path", "it cannot be read"))
    assert b"".join(out.to_target) == wire.query(b"hoop refused fast-path session s-1")


def test_ask_is_answered_once(script: Script) -> None:
    script.stream.feed(Side.CLIENT, wire.query(b"select 1"))
    ask = script.stream.next_ask()
    assert ask is not None
    script.stream.forward(ask, READS)
    with pytest.raises(ValueError, match="verdict"):
        script.stream.forward(ask, READS)


def test_bind_over_a_sync_waits_until_its_parse_is_answered(script: Script) -> None:
    script.client(wire.parse(b"s", b"select 1") + SYNC + bind(b"", b"s"))
    assert wire.parse(b"s", b"select 1") + SYNC == script.to_target
    script.target(wire.frame(wire.PARSE_COMPLETE))
    assert script.stream.ready_again
    (ask,) = script.client(b"")
    assert ask.origin == 1


def test_ask_behind_a_setting_waits_for_ready(script: Script) -> None:
    asks = script.client(wire.query(b"set x = 1") + wire.query(b"select 1"), SETS)
    assert len(asks) == 1
    script.target(complete(b"SET"))
    assert not script.client(b"")
    script.target(READY)
    assert script.stream.ready_again
    (ask,) = script.client(b"")
    assert ask.trusted


def test_message_over_64_mib_is_a_protocol_error_before_it_is_here(script: Script) -> None:
    script.stream.feed(Side.CLIENT, wire.HEADER.pack(wire.QUERY, wire.MAX_FRAME + 1))
    with pytest.raises(ProtocolError):
        script.stream.next_ask()


@pytest.mark.parametrize(
    "data",
    [
        wire.frame(wire.PASSWORD, b"x\0"),
        wire.frame(0, b""),
        wire.frame(wire.QUERY, b"select 1"),
        wire.frame(wire.QUERY, b"select 1\0; delete from t\0"),
        wire.frame(wire.SYNC, b"x"),
        wire.frame(wire.DESCRIBE, b"X\0"),
        wire.frame(wire.CLOSE, b"P"),
        wire.frame(wire.EXECUTE, b"\0\0\0"),
        wire.frame(wire.BIND, b"\0\0\0\2\0\0\0\0\0\0\0\1\xff\xff\xff\xff\0\0"),
        wire.frame(wire.PARSE, b"\0select 1\0\xff\xff"),
        wire.frame(wire.TERMINATE) + SYNC,
    ],
)
def test_malformed_message_is_a_protocol_error_and_never_forwarded(data: bytes) -> None:
    script = Script()
    with pytest.raises(ProtocolError):
        script.client(data)
    assert script.to_target == b""


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["no-delete", "x'; delete from t; --", "", "a" * 500, "ä\0\n"])
def test_substitute_is_one_line_of_plain_words(rule: str) -> None:
    text = refuse.substitute(Refusal(rule, "reason", session=rule), "s-1")
    assert text.startswith(b"hoop refused ")
    assert len(text) < 160
    assert not set(text) - set(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_- ")
    assert b"--" not in text


def test_substitute_that_is_accepted_ends_the_session(script: Script) -> None:
    script.stream.feed(Side.CLIENT, wire.query(b"select 1"))
    ask = script.stream.next_ask()
    assert ask is not None
    script.take(script.stream.refuse(ask, READS, Refusal("r", "because")))
    with pytest.raises(ProtocolError):
        script.target(complete(b"SELECT 0"))


# --- masks ----------------------------------------------------------------------------------------


def test_bind_without_describe_gets_one_that_the_client_does_not_see(masked: Script) -> None:
    masked.client(wire.parse(b"s", b"select ssn from people") + SYNC, COVERED)
    masked.target(wire.frame(wire.PARSE_COMPLETE) + READY)
    masked.to_client = masked.to_target = b""
    masked.client(bind(b"p", b"s") + execute(b"p") + execute(b"p") + SYNC)
    assert masked.to_target.count(describe(b"P", b"p")) == 1
    masked.target(wire.frame(wire.BIND_COMPLETE) + described((20000, 2)) + row(b"123"))
    assert masked.to_client == wire.frame(wire.BIND_COMPLETE) + row(b"***")


def test_rows_without_a_description_of_their_portal_are_null(masked: Script) -> None:
    masked.client(wire.parse(b"s", b"select 1") + bind(b"p", b"s") + execute(b"p") + SYNC)
    masked.target(wire.frame(wire.PARSE_COMPLETE) + wire.frame(wire.BIND_COMPLETE))
    masked.target(wire.frame(wire.NO_DATA) + row(b"a", None, b"b"))
    assert masked.to_client.endswith(row(None, None, None))


def test_copy_out_of_a_covered_statement_ends_the_session(masked: Script) -> None:
    masked.client(wire.query(b"copy people to stdout"), COVERED)
    with pytest.raises(ProtocolError):
        masked.target(wire.frame(wire.COPY_OUT, b"\0\0\0"))


def test_result_of_a_function_call_ends_the_session_while_masks_apply(masked: Script) -> None:
    masked.client(INT4ABS)
    with pytest.raises(ProtocolError):
        masked.target(wire.frame(wire.FUNCTION_RESULT, b"\0\0\0\1x"))


def test_error_at_commit_of_what_a_covered_statement_wrote_is_withheld(masked: Script) -> None:
    wrote = Reading(
        (Statement(frozenset({Effect.INSERT}), frozenset({Touch(PEOPLE, Effect.INSERT)})),)
    )
    masked.client(wire.query(b"insert"), wrote)
    masked.target(complete(b"INSERT 0 1") + wire.ready_for_query(b"T"))
    masked.client(wire.query(b"commit"))
    masked.target(wire.error_response("ERROR", "23505", "Key (ssn)=(123-45-6789)"))
    assert b"123-45-6789" not in masked.to_client
    masked.target(READY)
    masked.client(wire.query(b"selekt"))
    masked.target(wire.error_response("ERROR", "42601", "at selekt"))
    assert b"at selekt" in masked.to_client


def test_unsafe_client_encoding_ends_the_session(script: Script) -> None:
    with pytest.raises(ProtocolError):
        script.target(wire.parameter_status("client_encoding", "SJIS"))


def test_settings_are_those_last_reported(script: Script) -> None:
    text = b"set standard_conforming_strings = off"
    script.client(wire.query(text), SETS)
    script.target(wire.parameter_status("standard_conforming_strings", "off"))
    assert script.stream.settings["standard_conforming_strings"] == "off"


def test_what_texts_mean_may_not_change_where_no_statement_was_to_change_it(
    script: Script,
) -> None:
    script.client(wire.query(b"insert into t values (1)"))
    with pytest.raises(ProtocolError, match="standard_conforming_strings"):
        script.target(wire.parameter_status("standard_conforming_strings", "off"))


def test_what_texts_mean_goes_back_where_a_transaction_fails(script: Script) -> None:
    script.client(wire.query(b"select 1/0"))
    script.target(wire.error_response("ERROR", "22012", "division by zero"))
    script.target(wire.parameter_status("client_encoding", "LATIN1") + READY)
    assert script.stream.settings["client_encoding"] == "LATIN1"


# --- ourselves ------------------------------------------------------------------------------------


def test_notice_waits_for_the_end_of_a_frame(script: Script) -> None:
    script.client(wire.query(b"select 1"))
    one = row(b"x" * 100)
    script.target(described((0, 0)) + one[:50])
    assert not script.stream.say("two minutes left").to_client
    script.target(one[50:80])
    assert b"two minutes" not in script.to_client
    script.target(one[80:])
    assert script.to_client.endswith(one + wire.notice_response("two minutes left"))


def test_notice_leaves_at_once_between_frames(script: Script) -> None:
    out = script.stream.say("two minutes left")
    assert out.to_client == [wire.notice_response("two minutes left")]


def test_end_says_nothing_inside_a_frame_and_nothing_is_said_after_it(script: Script) -> None:
    script.client(wire.query(b"select 1"))
    script.target(described((0, 0)) + row(b"x" * 100)[:50])
    assert not script.stream.end("57P01", "your grant has ended").to_client
    script.to_client = b""
    script.target(row(b"x" * 100)[50:] + complete(b"SELECT 1") + READY)
    assert script.to_client == b""
    assert isinstance(script.seen[-1], Finished)
    assert script.stream.next_ask() is None


def test_end_is_a_fatal_that_a_driver_understands(script: Script) -> None:
    (said,) = script.stream.end("57P01", "your grant has ended").to_client
    assert wire.is_fatal(wire.error_fields(bytes(said)[5:]))
    assert not script.stream.end("57P01", "again").to_client


def test_idle_means_that_every_ask_has_its_reply(script: Script) -> None:
    assert script.stream.idle
    script.stream.feed(Side.CLIENT, wire.query(b"select 1"))
    ask = script.stream.next_ask()
    assert ask is not None
    assert not script.stream.idle
    assert script.stream.held == len(wire.query(b"select 1"))
    script.stream.forward(ask, READS)
    assert not script.stream.idle
    script.target(complete(b"SELECT 0") + READY)
    assert script.stream.idle


# --- names ----------------------------------------------------------------------------------------


class Value:
    trusted = True


def test_name_means_the_newest_within_a_batch_and_nothing_certain_over_a_sync() -> None:
    names: Names[Value] = Names()
    old, new = Value(), Value()
    names.put(b"s", old)
    change = names.change(b"s", new, batch=1)
    assert names.look(b"s", 1) is new
    assert names.look(b"s", 2) is WAIT
    change.settle(done=False)
    assert names.look(b"s", 2) is old


def test_distrust_reaches_names_on_their_way() -> None:
    names: Names[Value] = Names()
    known, coming = Value(), Value()
    names.put(b"a", known)
    names.change(b"b", coming, batch=0)
    names.distrust_all()
    assert not known.trusted
    assert not coming.trusted


def test_names_are_bounded() -> None:
    names: Names[Value] = Names()
    for number in range(MOST_NAMES + 1):
        names.put(b"%d" % number, Value())
    assert names.look(b"0", 0) is None
    assert names.look(b"1", 0) is not None


# --- bounds and edges -----------------------------------------------------------------------------


def test_client_waits_while_too_many_replies_are_due(script: Script) -> None:
    script.client((wire.parse(b"", b"x") + SYNC) * 6_000)
    sent = len(script.to_target)
    script.client(wire.query(b"select 1") * 3)
    assert len(script.to_target) == sent
    script.target((wire.frame(wire.PARSE_COMPLETE) + READY) * 5_000)
    assert script.stream.ready_again
    script.client(b"")
    assert script.to_target.endswith(wire.query(b"select 1"))


def test_copy_with_endless_syncs_is_a_protocol_error(script: Script) -> None:
    script.client(wire.query(b"copy t from stdin"))
    script.target(wire.frame(wire.COPY_IN, b"\0\0\0"))
    with pytest.raises(ProtocolError):
        script.client((SYNC + copy_data(b"1\n")) * 60_000)


def test_empty_query_is_an_answer(script: Script) -> None:
    script.client(wire.query(b""))
    script.target(wire.frame(wire.EMPTY_QUERY) + READY)
    script.client(wire.parse(b"", b"") + bind(b"", b"") + execute(b"") + SYNC)
    script.target(b"".join(wire.frame(kind) for kind in b"12I") + READY)
    assert [seen.seq for seen in script.seen if isinstance(seen, Finished)] == [1, 2, 3]


@pytest.mark.parametrize("kind", [wire.DATA_ROW, wire.COPY_DATA, wire.NOTICE])
def test_nothing_of_any_kind_may_follow_a_fatal_error(script: Script, kind: int) -> None:
    script.target(wire.error_response("FATAL", "57P01", "shutting down"))
    with pytest.raises(ProtocolError):
        script.target(wire.frame(kind, b"\0\0"))


@pytest.mark.parametrize("bad", [2, 3])
def test_row_shorter_than_its_own_length_is_a_protocol_error(script: Script, bad: int) -> None:
    script.client(wire.query(b"select 1"))
    script.target(described((0, 0)))
    with pytest.raises(ProtocolError):
        script.target(row(b"1") + wire.HEADER.pack(wire.DATA_ROW, bad))


def test_masked_row_shorter_than_its_own_length_is_a_protocol_error(masked: Script) -> None:
    masked.client(wire.query(b"select ssn from people"), COVERED)
    masked.target(described((20000, 2)))
    with pytest.raises(ProtocolError):
        masked.target(row(b"1") + wire.HEADER.pack(wire.DATA_ROW, 2))


def test_masked_row_waits_until_it_is_whole(masked: Script) -> None:
    masked.client(wire.query(b"select ssn from people"), COVERED)
    masked.target(described((20000, 2)))
    masked.to_client = b""
    whole = row(b"123-45-6789")
    masked.target(whole[:-1])
    assert masked.to_client == b""
    assert masked.stream.held == len(whole) - 1
    masked.target(whole[-1:])
    assert masked.to_client == row(b"*" * 11)


def test_nothing_is_forwarded_after_the_end(script: Script) -> None:
    script.stream.feed(Side.CLIENT, wire.query(b"select 1") + SYNC)
    ask = script.stream.next_ask()
    assert ask is not None
    script.stream.end("57P01", "your grant has ended")
    assert not script.stream.forward(ask, READS).to_target
    assert not script.stream.refuse(ask, READS, Refusal("r", "because")).to_target
    assert not script.stream.pump().to_target
    assert not script.stream.say("too late").to_client


def test_portal_that_is_never_run_is_told(script: Script) -> None:
    script.client(wire.parse(b"", b"select 1") + bind(b"", b"") + SYNC)
    script.target(b"".join(wire.frame(kind) for kind in b"12") + READY)
    assert [seen.tag for seen in script.seen if isinstance(seen, Finished)] == ["", "unused"]


def test_refused_bind_lets_the_rest_of_its_batch_be_skipped_without_asking(script: Script) -> None:
    script.client(wire.parse(b"s", b"select 1") + SYNC)
    script.target(wire.frame(wire.PARSE_COMPLETE) + READY)
    script.stream.feed(Side.CLIENT, bind(b"", b"s") + execute(b"") + SYNC)
    ask = script.stream.next_ask()
    assert ask is not None
    script.take(script.stream.refuse(ask, READS, Refusal("r", "because", "ask", "s-9")))
    assert script.stream.next_ask() is None
    script.take(script.stream.pump())
    assert script.to_target.endswith(
        wire.parse(b"hoop_refused", b"hoop refused r session s-9") + execute(b"") + SYNC
    )
    script.target(wire.error_response("ERROR", "42601", "syntax error") + READY)
    finished = script.seen[-1]
    assert isinstance(finished, Finished)
    assert (finished.seq, finished.error) == (ask.seq, "42501")
    assert script.stream.idle


# --- what is withheld ---------------------------------------------------------------------------


@pytest.mark.parametrize("begun", [0, 1, 5, 20])
def test_what_is_cut_ends_with_the_frame_that_was_begun(script: Script, begun: int) -> None:
    """As where a budget is used up in the middle of a result: the last words are understood."""
    script.client(wire.query(b"select 1"))
    first = described((0, 0)) + row(b"x" * 40)
    reply = first + row(b"y" * 40) + row(b"z" * 40)
    script.target(reply[: len(first) + begun])
    assert script.stream.flowed[0] == (2 if begun >= 5 else 1)
    script.stream.feed(Side.TARGET, reply[len(first) + begun :])
    out = script.stream.from_target()
    script.stream.cut(out)
    assert not out.to_client
    script.take(script.stream.end("53400", "enough"))
    whole = first + row(b"y" * 40) if begun >= 5 else first
    assert script.to_client.startswith(whole + b"E")
    assert b"C53400" in script.to_client
    assert b"z" not in script.to_client[len(whole) :].partition(b"C53400")[0]


def test_of_a_frame_that_is_not_whole_nothing_is_cut_and_nothing_said(script: Script) -> None:
    script.client(wire.query(b"select 1"))
    reply = described((0, 0)) + row(b"x" * 100)
    script.target(reply[:-50])
    script.stream.feed(Side.TARGET, reply[-50:-10])
    out = script.stream.from_target()
    script.stream.cut(out)
    assert not script.take(script.stream.end("53400", "enough")).to_client
