"""A held ask in the relay: it waits where it stands, is judged again, and goes on or fails."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hoopagent.hold import Ending, Hold
from hoopagent.holding import Holding
from hoopagent.holds import Holds
from hoopagent.judge import Judge
from hoopagent.live import Live
from hoopagent.secrets import Secrets
from hoopcore.masking import Masking
from hoopcore.model import EVERYTHING, Kind, Principal, Target
from hoopcore.policy import Facts, Policy, Verdict
from hoopcore.protocols.postgres import wire
from hoopcore.recording import EndCause, Event, Said
from hoopcore.statement import Reading
from hoopcore.stream import Ask, Side
from tests.unit.test_relay import Bench, query
from tests.wire.sequences import SYNC, bind, describe, execute

ANA = Principal("p-0123456789", Kind.HUMAN, "issuer", "ana", "ana@example.com")
SHOP = Target("prod-db", "postgres", ("shop",))
FACTS = Facts(ANA, SHOP, EVERYTHING, "s-0123456789")

HOLD = """
[[rule]]
name = "four-eyes"
verdict = "hold"
effects = ["delete"]
reason = "gone is gone"
approvers = ["dba"]
"""
SECOND = HOLD.replace("four-eyes", "more-eyes").replace('["dba"]', '["security"]')
NO_INSERT = """
[[rule]]
name = "frozen"
verdict = "refuse"
effects = ["{effect}"]
reason = "not now"
"""
MASKS = '[[mask]]\ncolumn = "public.customers.ssn"\nstyle = "full"\n'
YES = Ending(True, by=("p-ben",))


@dataclass
class FakeHolds:
    """Nobody is asked; a test decides."""

    begun: list[Hold] = field(default_factory=list)
    is_full: bool = False

    def begin(self, hold: Hold) -> None:
        self.begun.append(hold)

    def full(self, principal: str) -> bool:
        return self.is_full

    def new_id(self) -> str:
        return f"hold-{len(self.begun) + 1:08}"

    def now(self) -> int:
        return 0


class HoldBench(Bench):
    """A relay whose judge has rules that hold, and what came of it."""

    def __init__(self, rules: str = HOLD) -> None:
        super().__init__()
        self.judge = Judge(Policy.load(rules), FACTS, Masking().bind(None))
        self.judge.told = lambda standing: self.stream.keep(standing.may_hold)
        self.holds = FakeHolds()
        live = SimpleNamespace(
            stream=self.stream,
            judge=self.judge,
            naming=None,
            record=SimpleNamespace(id="s-0123456789", principal=ANA.id, database="shop"),
            prepared=SimpleNamespace(principal=ANA, target=SHOP),
            access=SimpleNamespace(grants=("grt-1",)),
        )
        line = self.relay.line
        line.judge = self.judge.judge
        line.said = told
        self.holding = Holding(
            cast(Live, live), cast(Holds, self.holds), cast(Secrets, None), learned, told,
            line.read, line.judge,
        )  # fmt: skip
        line.hold, line.unhold = self.holding.answer, self.holding.session_ends

    def says(self, *messages: bytes) -> None:
        """Each in a packet of its own."""
        for message in messages:
            self.relay.received(Side.CLIENT, message)

    @property
    def sent(self) -> list[str]:
        """What the target got: kinds of messages, and the texts of queries that are refused."""
        incoming = bytes(self.target.written)
        found = []
        while incoming:
            size = 1 + int.from_bytes(incoming[1:5], "big")
            refused = b"hoop refused" in incoming[:size]
            found.append("refused" if refused else chr(incoming[0]))
            incoming = incoming[size:]
        return found

    @property
    def verdicts(self) -> list[tuple[str, str]]:
        said = [event for event in self.recorder.events if isinstance(event, Said)]
        return [(event.verdict, event.rule) for event in said]

    async def decide(self, ending: Ending = YES) -> None:
        self.holds.begun[-1].end(ending)
        await asyncio.sleep(0)


async def learned() -> None:
    """Nothing is to be looked at again."""


def told(ask: Ask, reading: Reading, verdict: Verdict) -> Event:
    return Said(
        seq=ask.seq,
        verdict=verdict.word,
        rule=verdict.rule,
        text=ask.text.decode(),
        hold=verdict.hold,
        approved=verdict.approved,
    )


def run(text: bytes) -> tuple[bytes, ...]:
    return (wire.parse(b"", text), bind(b"", b""), describe(b"P", b""), execute(b""))


async def test_a_held_query_waits_and_what_is_behind_it_too() -> None:
    bench = HoldBench()
    bench.says(query(b"delete from t where id = 1"), query(b"select 1"))
    assert bench.sent == []
    assert bench.verdicts == [("hold", "four-eyes")]
    await bench.decide()
    assert bench.sent == ["Q", "Q"]
    assert bench.verdicts[1] == ("allow", "four-eyes")
    assert bench.recorder.events[1].approved == ("p-ben",)  # type: ignore[attr-defined] # a Said


async def test_nothing_of_a_batch_leaves_before_what_is_held_in_it() -> None:
    bench = HoldBench()
    bench.says(query(b"select 1"), *run(b"insert into t values (1)"), *run(b"delete from t"))
    assert bench.sent == ["Q"]
    assert len(bench.holds.begun) == 1
    await bench.decide()
    assert bench.sent == ["Q"]  # and not before the end of the batch is here
    bench.says(SYNC)
    assert "".join(bench.sent) == "QPBDEPBDES"


async def test_a_batch_without_a_rule_that_holds_is_not_kept() -> None:
    bench = HoldBench(NO_INSERT.format(effect="insert"))
    bench.says(*run(b"select 1"))
    assert "".join(bench.sent) == "PBDE"


async def test_preparing_is_not_held_and_each_run_is() -> None:
    bench = HoldBench()
    bench.says(wire.parse(b"s", b"delete from t where id = $1"), SYNC)
    assert "".join(bench.sent) == "PS"
    bench.relay.received(Side.TARGET, b"1\0\0\0\4Z\0\0\0\5I")
    for number in (1, 2):
        bench.says(bind(b"", b"s", (b"7",)), execute(b""), SYNC)
        assert len(bench.holds.begun) == number
        await bench.decide()
    assert bench.holds.begun[0].case.held.text == "delete from t where id = $1"
    assert "".join(bench.sent) == "PSBESBES"


async def test_an_approval_does_not_help_where_the_policy_refuses_now() -> None:
    bench = HoldBench()
    bench.says(query(b"delete from t where id = 1"))
    bench.judge.policy = Policy.load(HOLD + NO_INSERT.format(effect="delete"))
    assert 'rule "frozen"' in bench.holds.begun[0].still()
    await bench.decide()
    assert bench.sent == ["refused"]
    assert bench.verdicts[-1] == ("refuse", "frozen")


async def test_two_rules_want_an_approval_each() -> None:
    bench = HoldBench(HOLD + SECOND)
    bench.says(query(b"delete from t where id = 1"))
    await bench.decide()
    assert bench.sent == []
    assert [hold.case.terms.rule for hold in bench.holds.begun] == ["four-eyes", "more-eyes"]
    await bench.decide()
    assert bench.sent == ["Q"]


async def test_a_rule_that_wants_more_since_then_is_asked_again() -> None:
    bench = HoldBench()
    bench.says(query(b"delete from t where id = 1"))
    bench.judge.policy = Policy.load(HOLD + "votes = 2\n")
    await bench.decide()
    assert bench.sent == []
    assert bench.holds.begun[1].case.terms.votes == 2


async def test_what_stands_before_it_in_its_batch_is_judged_again_too() -> None:
    bench = HoldBench()
    bench.says(*run(b"insert into t values (1)"), *run(b"delete from t"))
    bench.judge.policy = Policy.load(HOLD + NO_INSERT.format(effect="insert"))
    await bench.decide()
    bench.says(SYNC)
    assert bench.sent[0] == "refused"  # the target skips the rest
    assert bench.verdicts[-1][0] == "refuse"


async def test_an_approval_before_it_in_its_batch_still_counts_when_it_is_judged_again() -> None:
    bench = HoldBench()
    bench.says(*run(b"delete from t"), *run(b"delete from u"))
    await bench.decide()
    bench.judge.policy = Policy.load(HOLD)  # read again, and the same
    await bench.decide()
    bench.says(SYNC)
    assert "refused" not in bench.sent


async def test_masks_that_are_new_spoil_a_batch_that_they_do_not_cover_yet() -> None:
    bench = HoldBench()
    bench.says(*run(b"select upper(ssn) from customers"), *run(b"delete from t"))
    bench.judge.bound = Masking.load(MASKS).bind(None)
    bench.stream.rebind(bench.judge.bound)
    await bench.decide()
    bench.says(SYNC)
    assert bench.sent[0] == "refused"


async def test_a_cancel_takes_it_back_and_does_not_go_to_the_target() -> None:
    bench = HoldBench()
    assert not bench.holding.cancel()
    bench.says(query(b"delete from t where id = 1"))
    assert bench.holding.cancel()
    await asyncio.sleep(0)
    assert bench.sent == ["refused"]
    assert "cancelled" not in bench.log
    error = b"SERROR\0VERROR\0C42601\0Msyntax error\0\0"
    reply = b"E" + (len(error) + 4).to_bytes(4, "big") + error + b"Z\0\0\0\5I"
    bench.relay.received(Side.TARGET, reply)
    assert b"C57014\0Mcanceling statement due to user request\0" in bench.client.written


async def test_a_client_that_closes_its_side_is_not_waited_for() -> None:
    bench = HoldBench()
    bench.says(query(b"delete from t where id = 1"))
    assert not bench.relay.said_all()
    bench.client.close()
    for _ in range(3):
        await asyncio.sleep(0)
    assert bench.holds.begun[0].ended.done()
    assert bench.verdicts == [("hold", "four-eyes"), ("refuse", "four-eyes")]
    assert bench.relay.cause == (EndCause.CLIENT_LEFT, "")
    assert bench.sent == []
    assert bench.target.closed


async def test_a_session_that_ends_while_it_holds_leaves_the_target_at_once() -> None:
    bench = HoldBench()
    bench.says(*run(b"insert into t values (1)"), *run(b"delete from t"))
    bench.relay.end("57P01", "your grant has ended", EndCause.GRANT_ENDED)
    assert bench.target.closed
    assert "cancelled" not in bench.log
    assert bench.sent == []
    assert not bench.holds.begun[0].ended.result().approved


async def test_a_client_is_read_on_for_a_while_and_then_not() -> None:
    bench = HoldBench()
    bench.says(query(b"delete from t where id = 1"))
    assert bench.client.reading
    bench.says(query(b"select '" + b"x" * (1 << 18) + b"'"))
    assert not bench.client.reading
    await bench.decide(Ending(False, "no"))
    assert bench.client.reading
    assert bench.sent == ["refused", "Q"]


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ((query(b"delete from t where x = '" + b"x" * 17000 + b"'"),), "its text is long"),
        ((query(b"prepare p as delete from t where id = 1"),), "run the statement itself"),
        (
            (wire.parse(b"", b"delete from t where x = $1"), bind(b"", b"", (b"x" * 17000,))),
            "parameters are too long",
        ),
        ((execute(b"unknown"),), "not certain"),
    ],
    ids=["long text", "SQL PREPARE", "long parameter", "a portal nobody saw"],
)
async def test_what_nobody_could_approve_with_open_eyes_is_refused(
    messages: tuple[bytes, ...], why: str
) -> None:
    bench = HoldBench(HOLD.replace('["delete"]', '["delete", "prepare"]'))
    reasons: list[str] = []
    said = bench.relay.line.said

    def listen(ask: Ask, reading: Reading, verdict: Verdict) -> Event:
        reasons.append(verdict.reason)
        return said(ask, reading, verdict)

    bench.relay.line.said = listen
    bench.says(*messages)
    assert why in reasons[-1]
    assert not bench.holds.begun


async def test_a_run_of_a_name_that_may_stand_for_something_else_is_refused() -> None:
    bench = HoldBench()
    bench.says(wire.parse(b"s", b"delete from t"), SYNC)
    bench.relay.received(Side.TARGET, b"1\0\0\0\4Z\0\0\0\5I")
    bench.says(query(b"select a_function()"))
    bench.relay.received(Side.TARGET, b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\5I")
    bench.says(bind(b"", b"s"), execute(b""), SYNC)
    assert not bench.holds.begun
    assert bench.verdicts[-1][0] == "refuse"


async def test_nobody_fills_the_house_with_what_waits() -> None:
    bench = HoldBench()
    bench.holds.is_full = True
    bench.says(query(b"delete from t where id = 1"))
    assert bench.sent == ["refused"]


async def test_a_verdict_of_a_budget_is_held_once() -> None:
    bench = HoldBench("")
    held = Verdict(False, "hourly", "1,000 rows in an hour are used up", held=True)
    bench.relay.line.judge = lambda ask, reading: replace(held)
    bench.holding._judge = bench.relay.line.judge
    bench.says(query(b"select 1"))
    assert bench.holds.begun[0].case.terms.rule == "hourly"
    await bench.decide()
    assert bench.sent == ["Q"]


def test_an_event_of_what_is_held_says_so() -> None:
    held: Any = told(Ask(cast(Any, None), 1), cast(Reading, None), Verdict(False, held=True))
    assert held.verdict == "hold"
