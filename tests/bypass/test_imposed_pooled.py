"""Behind a pooler, ways to begin a transaction that are no Query and no Parse."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hoopcore.protocols.postgres import wire
from tests.bypass.raw import codes, kinds
from tests.bypass.world import Doorway
from tests.e2e.targets import granted
from tests.e2e.world import Person
from tests.wire.sequences import SYNC, bind, execute


@pytest.fixture(scope="module", params=["kept-pool", "kept-pool-15"])
def pool(request: pytest.FixtureRequest, guest: Person) -> Iterator[Doorway]:
    granted(guest, request.param)
    doorway = Doorway(guest, request.param)
    yield doorway
    doorway.close()


WRITE = b"update public.orders set id = id"
TOLD = b"select current_setting('transaction_read_only')"
RUN = bind(b"", b"s1") + execute(b"")


@pytest.mark.parametrize("text", [WRITE, TOLD])
@pytest.mark.parametrize("between", [SYNC, SYNC + SYNC, SYNC + wire.query(b"select 1")])
def test_a_statement_of_an_earlier_batch_runs_with_them(
    pool: Doorway, text: bytes, between: bytes
) -> None:
    with pool.connect() as raw:
        raw.send(wire.parse(b"s1", text) + between + RUN + SYNC)
        got = raw.until(wire.READY, between.count(SYNC) + between.count(b"Q") + 1)
        rows = [body[-2:] for kind, body in got if kind == wire.DATA_ROW and body[-1:] != b"1"]
        assert codes(got) or rows == [b"on"], kinds(got)
        got = raw.ask(RUN + SYNC)
        rows = [body[-2:] for kind, body in got if kind == wire.DATA_ROW]
        assert codes(got) or rows == [b"on"], kinds(got)


def function_call(oid: int, *arguments: bytes) -> bytes:
    body = wire.UINT32.pack(oid) + wire.UINT16.pack(1) + wire.UINT16.pack(0)
    body += wire.UINT16.pack(len(arguments))
    for one in arguments:
        body += wire.INT32.pack(len(one)) + one
    return wire.frame(wire.FUNCTION_CALL, body + wire.UINT16.pack(0))


def test_a_function_call_runs_with_them_or_not_at_all(pool: Doorway) -> None:
    """2077 is current_setting(text), 957 lo_creat(int): it makes a large object."""
    with pool.connect() as raw:
        got = raw.ask(function_call(2077, b"transaction_read_only"))
        told = [body[-2:] for kind, body in got if kind == wire.FUNCTION_RESULT]
        assert codes(got) or told == [b"on"], kinds(got)
        got = raw.ask(function_call(957, b"-1"))
        assert codes(got), kinds(got)
