"""What each transaction begins with behind a pooler: the client sees nothing of it."""

from __future__ import annotations

import pytest

from hoopcore.masking import Masking
from hoopcore.protocols.postgres import wire
from hoopcore.protocols.postgres.stream import PostgresStream
from hoopcore.statement import Effect, Reading, Statement
from hoopcore.stream import Out, Refusal, Side
from tests.unit.test_postgres_stream import PARAMETERS, complete, described, row
from tests.wire.sequences import SYNC, bind, execute

SETS = (b"SET LOCAL a = 1", b"SET LOCAL b = 2")
PREFIX = b"SET LOCAL a = 1; SET LOCAL b = 2; "
READS = Reading((Statement(frozenset({Effect.READ})),))
BEGINS = Reading((Statement(frozenset({Effect.TRANSACTION}), tag="BEGIN"),))
IDLE, INSIDE = wire.ready_for_query(), wire.ready_for_query(b"T")
PARSED, BOUND = wire.frame(wire.PARSE_COMPLETE), wire.frame(wire.BIND_COMPLETE)
SET = complete(b"SET")
WARNING = wire.notice_response("SET LOCAL can only be used in transaction blocks")
OURS = (PARSED + BOUND + WARNING + SET) * 2
RESULT = described((0, 0)) + row(b"1") + complete(b"SELECT 1")


class Pooled:
    """A stream that begins transactions, and what has left it."""

    def __init__(self, statements: tuple[bytes, ...] = SETS) -> None:
        self.stream = PostgresStream(PARAMETERS, Masking().bind(None), "s-1", pooled=True)
        self.stream.begin_with(statements)
        self.to_client = b""
        self.to_target = b""

    def take(self, out: Out) -> None:
        self.to_client += b"".join(out.to_client)
        self.to_target += b"".join(out.to_target)

    def client(self, data: bytes, *readings: Reading, refuse: bool = False) -> None:
        """Each ask is what the next reading says it is, and goes or is refused."""
        self.to_target = b""
        self.stream.feed(Side.CLIENT, data)
        coming = iter(readings)
        while (ask := self.stream.next_ask()) is not None:
            reading = ask.reading or next(coming, READS)
            if refuse:
                self.take(self.stream.refuse(ask, reading, Refusal("r", "no")))
            else:
                self.take(self.stream.forward(ask, reading))
        self.take(self.stream.pump())

    def target(self, data: bytes, chunk: int = 1 << 20) -> bytes:
        self.to_client = b""
        for start in range(0, len(data), chunk):
            self.stream.feed(Side.TARGET, data[start : start + chunk])
            self.take(self.stream.from_target())
        return self.to_client


CHUNKS = pytest.mark.parametrize("chunk", [1, 3, 7, 1 << 20])


@CHUNKS
def test_a_query_outside_a_transaction_has_them_in_front(chunk: int) -> None:
    pooled = Pooled()
    for _ in range(2):
        pooled.client(wire.query(b"select 1"))
        assert pooled.to_target == wire.query(PREFIX + b"select 1")
        told = pooled.target(SET + WARNING + SET + RESULT + IDLE, chunk)
        assert told == RESULT + IDLE


def test_a_query_inside_a_transaction_goes_as_it_is() -> None:
    pooled = Pooled()
    pooled.client(wire.query(b"begin"), BEGINS)
    assert pooled.to_target == wire.query(PREFIX + b"begin")
    assert pooled.target(SET * 2 + complete(b"BEGIN") + INSIDE) == complete(b"BEGIN") + INSIDE
    pooled.client(wire.query(b"select 1"))
    assert pooled.to_target == wire.query(b"select 1")
    assert pooled.target(WARNING + RESULT + INSIDE) == WARNING + RESULT + INSIDE


def test_an_empty_query_begins_nothing() -> None:
    pooled = Pooled()
    pooled.client(wire.query(b""), Reading(()))
    assert pooled.to_target == wire.query(b"")


@CHUNKS
def test_a_batch_has_them_before_its_first_parse(chunk: int) -> None:
    pooled = Pooled()
    one = wire.parse(b"", b"select 1") + bind(b"", b"") + execute(b"")
    pooled.client(one + one + SYNC)
    ours, _, rest = pooled.to_target.partition(one)
    assert ours.count(b"SET LOCAL") == 2
    assert rest == one + SYNC
    reply = (PARSED + BOUND + row(b"1") + complete(b"SELECT 1")) * 2 + IDLE
    assert pooled.target(OURS + reply, chunk) == reply
    pooled.client(one + SYNC)
    assert pooled.to_target == ours + one + SYNC


def test_behind_what_may_end_the_transaction_they_are_set_again() -> None:
    pooled = Pooled()
    one = wire.parse(b"", b"x") + bind(b"", b"") + execute(b"")
    pooled.client(one + one + SYNC, BEGINS, READS)
    assert pooled.to_target.count(b"SET LOCAL a") == 2
    reply = PARSED + BOUND + complete(b"BEGIN")
    assert pooled.target(OURS + reply + OURS + reply + INSIDE) == reply + reply + INSIDE
    pooled.client(one + SYNC, READS)
    assert b"SET LOCAL" not in pooled.to_target


def error(code: str, position: int | None) -> bytes:
    fields = {"S": "ERROR", "V": "ERROR", "C": code, "M": "no"}
    fields |= {} if position is None else {"P": str(position)}
    body = b"".join(key.encode() + wire.cstring(text) for key, text in fields.items())
    return wire.frame(wire.ERROR, body + b"\0")


@pytest.mark.parametrize("position", [None, 5])
def test_an_errors_position_is_the_one_in_the_clients_text(position: int | None) -> None:
    pooled = Pooled()
    pooled.client(wire.query(b"sele 1"))
    moved = None if position is None else position + len(PREFIX)
    assert pooled.target(error("42601", moved) + IDLE) == error("42601", position) + IDLE


def test_if_they_cannot_be_set_nothing_behind_them_runs() -> None:
    pooled = Pooled()
    one = wire.parse(b"", b"select 1") + bind(b"", b"") + execute(b"")
    pooled.client(one + SYNC)
    # The target skips the rest of the batch by itself; a reply to it would be a ProtocolError.
    assert pooled.target(error("42704", None) + IDLE) == error("42704", None) + IDLE
    assert pooled.stream.idle


def test_a_refused_query_begins_nothing() -> None:
    pooled = Pooled()
    pooled.client(wire.query(b"delete from t"), refuse=True)
    assert b"SET LOCAL" not in pooled.to_target
    assert b"hoop refused r" in pooled.to_target


def test_with_nothing_imposed_everything_goes_as_it_is() -> None:
    pooled = Pooled(())
    pooled.client(wire.query(b"select 1"))
    assert pooled.to_target == wire.query(b"select 1")
    pooled.stream.begin_with(SETS)
    pooled.target(RESULT + IDLE)
    pooled.client(wire.query(b"select 1"))
    assert pooled.to_target == wire.query(PREFIX + b"select 1")
