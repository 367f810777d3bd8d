"""The straight line: judge, record, then forward.  Fakes at both ends, the real stream between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from hoopagent import relay
from hoopagent.lane import Lane
from hoopagent.line import Line
from hoopagent.recorder import RecorderFailed, event_of
from hoopagent.relay import Relay
from hoopcore.masking import Masking
from hoopcore.policy import Verdict
from hoopcore.protocols.postgres.stream import PostgresStream
from hoopcore.recording import EndCause, Event, Said
from hoopcore.sql.postgres import read
from hoopcore.statement import Reading
from hoopcore.stream import Ask, Side

SETTINGS = {"client_encoding": "UTF8", "standard_conforming_strings": "on"}


def frame(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4, "big") + body


def query(text: bytes) -> bytes:
    return frame(b"Q", text + b"\0")


@dataclass
class FakeTransport:
    """Keeps what it is given, in the order that the whole test sees."""

    side: str
    log: list[str]
    written: bytearray = field(default_factory=bytearray)
    reading: bool = True
    closed: bool = False
    stubborn: bool = False  # never says that it is lost
    unsent: int = 0
    writes: int = 0
    protocol: Any = None

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def writelines(self, parts: list[bytes]) -> None:
        self.writes += 1
        for part in parts:
            self.write(bytes(part))

    def write(self, data: bytes) -> None:
        self.log.append(f"{self.side} {data[:1].decode()}")
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        if not self.closed and self.protocol is not None and not self.stubborn:
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)
        self.closed = True

    abort = close


class FakeLane:
    """A lane whose login has read nothing too far."""

    def __init__(self, transport: FakeTransport) -> None:
        self.transport = transport

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def hand_over(self, protocol: Any) -> bytes:
        self.transport.set_protocol(protocol)
        if self.transport.closed:
            asyncio.get_running_loop().call_soon(protocol.connection_lost, None)
        return b""


@dataclass
class FakeRecorder:
    log: list[str]
    fails: bool = False
    waits: asyncio.Future[None] | None = None
    events: list[Event] = field(default_factory=list)

    def append(self, *events: Event) -> asyncio.Future[None] | None:
        if self.fails:
            raise RecorderFailed("no room")
        for event in events:
            self.log.append(f"recorded {type(event).__name__}")
        self.events += events
        return self.waits

    def append_later(self, *events: Event) -> None:
        self.append(*events)


@dataclass
class Bench:
    """A relay between two fakes, and everything that happened in order."""

    verdict: Callable[[Ask, Reading], Verdict] = lambda ask, reading: Verdict(True)
    reads: Callable[[Ask], Any] = lambda ask: read(ask.text)
    log: list[str] = field(default_factory=list)
    gone: bool = False  # both sides, before the relay began

    def __post_init__(self) -> None:
        self.client = FakeTransport("client", self.log)
        self.target = FakeTransport("target", self.log)
        self.recorder = FakeRecorder(self.log)
        self.stream = PostgresStream(dict(SETTINGS), Masking().bind(None), "s-1234567890")
        line = Line(
            stream=self.stream,
            recorder=self.recorder,
            read=self.reads,
            judge=self.verdict,
            said=lambda ask, reading, verdict: Said(seq=ask.seq),
            saw=event_of,
            behind=lambda seen: None,
            over_budget=lambda: False,
            cancel=lambda: self.log.append("cancelled"),
        )
        lanes = [cast(Lane, FakeLane(side)) for side in (self.client, self.target)]
        if self.gone:
            self.client.close()
            self.target.close()
        self.relay = Relay(line, *lanes)
        self.relay.start()

    def types(self, data: str) -> bytes:
        """Sends a Query as the client."""
        self.relay.received(Side.CLIENT, query(data.encode()))
        return bytes(self.target.written)


async def test_a_statement_is_on_the_record_before_it_is_forwarded() -> None:
    bench = Bench()
    bench.types("select 1")
    assert bench.log == ["recorded Said", "target Q"]


async def test_nothing_is_forwarded_when_the_recorder_cannot_append() -> None:
    bench = Bench()
    bench.recorder.fails = True
    assert bench.types("select 1") == b""
    assert bench.relay.cause is not None
    assert bench.relay.cause[0] is EndCause.RECORDING_FAILED
    assert b"58030" in bench.client.written


async def test_with_disk_durability_the_statement_waits_and_the_client_is_not_read() -> None:
    bench = Bench()
    bench.recorder.waits = asyncio.get_running_loop().create_future()
    assert bench.types("select 1") == b""
    assert not bench.client.reading
    bench.recorder.waits.set_result(None)
    await asyncio.sleep(0)
    assert bench.target.written == query(b"select 1")
    assert bench.client.reading


async def test_a_disk_that_fails_while_a_statement_waits_ends_the_session() -> None:
    bench = Bench()
    bench.recorder.waits = asyncio.get_running_loop().create_future()
    bench.types("select 1")
    bench.recorder.waits.set_exception(RecorderFailed("gone"))
    await asyncio.sleep(0)
    assert bench.target.written == b""
    assert bench.relay.cause is not None


async def test_a_long_text_waits_for_its_reader_and_keeps_its_place() -> None:
    reading: asyncio.Future[Reading] = asyncio.get_running_loop().create_future()
    bench = Bench(reads=lambda ask: reading if b"long" in ask.text else read(ask.text))
    bench.types("select 'long'")
    bench.relay.received(Side.CLIENT, query(b"select 2"))
    assert bench.target.written == b""
    reading.set_result(read(b"select 'long'"))
    await asyncio.sleep(0)
    assert bench.target.written == query(b"select 'long'") + query(b"select 2")


async def test_a_judge_that_raises_lets_nothing_pass() -> None:
    def broken(ask: Ask, reading: Reading) -> Verdict:
        raise ZeroDivisionError

    bench = Bench(verdict=broken)
    assert bench.types("select 1") == b""
    assert bench.relay.cause is not None
    assert bench.relay.cause[0] is EndCause.INTERNAL_ERROR


async def test_a_refused_statement_is_recorded_and_never_forwarded() -> None:
    bench = Bench(verdict=lambda ask, reading: Verdict(False, "no", "because"))
    sent = bench.types("delete from orders")
    assert b"delete" not in sent
    assert sent.startswith(b"Q")
    assert bench.log[0] == "recorded Said"


async def test_bytes_that_are_not_of_the_protocol_end_the_session() -> None:
    bench = Bench()
    bench.relay.received(Side.CLIENT, b"\xff\x00\x00\x00\x04")
    assert bench.relay.cause is not None
    assert bench.relay.cause[0] is EndCause.PROTOCOL_ERROR
    assert bench.target.written == b""


async def test_a_client_that_takes_nothing_stops_the_target_from_being_read() -> None:
    bench = Bench()
    bench.client.protocol.pause_writing()
    assert not bench.target.reading
    assert bench.client.reading
    bench.client.protocol.resume_writing()
    assert bench.target.reading


async def test_ending_tells_the_client_why_and_cancels_what_is_in_flight() -> None:
    bench = Bench()
    bench.types("select pg_sleep(100)")
    bench.relay.end("57P01", "your grant has ended", EndCause.GRANT_ENDED)
    assert b"your grant has ended" in bench.client.written
    assert bench.client.closed
    assert "cancelled" in bench.log
    assert not bench.target.closed  # a moment for the outcome
    complaint = b"SERROR\0VERROR\0C57014\0Mcanceled\0\0"
    error = b"E" + (len(complaint) + 4).to_bytes(4, "big") + complaint
    bench.relay.received(Side.TARGET, error + b"Z\0\0\0\5I")
    assert [e for e in bench.recorder.events if getattr(e, "error", "") == "57014"]
    assert bench.target.closed
    assert b"canceled" not in bench.client.written
    cause, _ = await asyncio.wait_for(bench.relay.ended, 5)  # noqa: TID251 - a bound, in a test
    assert cause is EndCause.GRANT_ENDED


@pytest.mark.parametrize("side", [Side.CLIENT, Side.TARGET])
async def test_when_one_side_leaves_the_other_is_closed(side: Side) -> None:
    bench = Bench()
    leaver = bench.client if side is Side.CLIENT else bench.target
    leaver.close()
    for _ in range(3):
        await asyncio.sleep(0)
    assert bench.client.closed
    assert bench.target.closed
    assert bench.relay.ended.done()


async def until_ended(bench: Bench) -> EndCause:
    async with asyncio.timeout(5):
        cause, _ = await bench.relay.ended
        return cause


async def test_both_sides_gone_before_it_began_is_an_end() -> None:
    assert await until_ended(Bench(gone=True)) in (EndCause.CLIENT_LEFT, EndCause.TARGET_LEFT)


async def test_a_peer_that_never_agrees_to_the_end_does_not_hold_the_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay, "_GRACE", 0)
    bench = Bench()
    bench.client.stubborn = bench.target.stubborn = True
    bench.relay.end("57P01", "your grant has ended", EndCause.GRANT_ENDED)
    assert await until_ended(bench) is EndCause.GRANT_ENDED


async def test_what_was_judged_before_a_malformed_message_is_on_the_record_and_not_forwarded() -> (
    None
):
    bench = Bench(verdict=lambda ask, reading: Verdict(False, "no", "because"))
    parse = frame(b"P", b"\0drop table orders\0\0\0")
    bench.relay.received(Side.CLIENT, parse + b"\xff\0\0\0\4")
    assert bench.relay.cause is not None
    assert bench.relay.cause[0] is EndCause.PROTOCOL_ERROR
    assert [type(event) for event in bench.recorder.events] == [Said]
    assert bench.target.written == b""


async def test_one_turn_of_many_statements_is_one_record_and_then_one_write() -> None:
    bench = Bench()
    parse = frame(b"P", b"\0select 1\0\0\0")
    bind, execute, sync = frame(b"B", bytes(8)), frame(b"E", bytes(5)), frame(b"S", b"")
    bench.relay.received(Side.CLIENT, parse + bind + execute + sync)
    assert bench.target.writes == 1
    assert bench.target.written.startswith(parse + bind)
    assert bench.target.written.endswith(execute + sync)
    assert bench.log[:2] == ["recorded Said", "recorded Said"]


async def test_what_a_side_has_not_taken_counts_as_held() -> None:
    bench = Bench()
    bench.client.unsent, bench.target.unsent = 5, 7
    assert bench.relay.held == 12


async def test_a_full_side_asks_whether_all_sessions_hold_too_much() -> None:
    bench = Bench()
    bench.relay.line.over_budget = lambda: True
    bench.types("select 1")
    assert bench.relay.cause is None
    bench.target.protocol.pause_writing()
    bench.types("select 2")
    assert bench.relay.cause is not None
    assert bench.relay.cause[0] is EndCause.HELD_TOO_MUCH


async def test_a_client_that_said_goodbye_has_left_whoever_closes_first() -> None:
    bench = Bench()
    bench.relay.received(Side.CLIENT, frame(b"X", b""))
    bench.target.close()
    assert await until_ended(bench) is EndCause.CLIENT_LEFT
