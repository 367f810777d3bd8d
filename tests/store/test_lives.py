"""Random lives of a company, held against the invariants of the domain, on both stores.

A machine of Hypothesis plays people, votes, clocks and two agents, and breaks the store in the
middle: at any write, behind a commit whose answer is lost, on the audit, or all connections at
once.  What it finds it makes short: a failure is a story of a few acts.

HOOP_LONG=1 plays thousands of steps on each store; ``HOOP_LIVES=N`` so many lives.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from hoopcore.access.glass import ItemState
from hoopcore.model import Answer
from tests.store import lives_checks
from tests.store.lives import Lives
from tests.store.lives_ground import ESCALATES, PEOPLE, TARGETS, Ground
from tests.store.lives_model import Act
from tests.store.world import DAY, HOUR

LONG = bool(os.environ.get("HOOP_LONG"))
LIVES, STEPS = (int(os.environ.get("HOOP_LIVES", "200" if LONG else "4"))), (60 if LONG else 40)

pytestmark = pytest.mark.timeout(7200 if LONG else 300)

# --- what there is to do --------------------------------------------------------------------------

_PERSON = st.integers(0, 4 * len(PEOPLE))  # the high ones are who may do it
_WHAT = st.integers(0, 7)
_SCOPES = st.sampled_from([None, None, "public.orders:read", "*.*:read", "public.orders:update"])
_KEYS = st.sampled_from(["", "", "", "k1", "k2"])


def _acts(name: str, *more: st.SearchStrategy[Any]) -> st.SearchStrategy[Act]:
    return st.builds(Act, st.just(name), _PERSON, _WHAT, st.tuples(*more))


_ASK = st.builds(
    Act,
    st.just("ask"),
    _PERSON,
    st.integers(0, 2 * len(TARGETS)),
    st.tuples(
        st.sampled_from([HOUR, 60, 600, HOUR // 2, 3 * HOUR, 9 * HOUR]),
        _SCOPES,
        _KEYS,
        st.sampled_from([None, None, None, HOUR // 4, 3 * HOUR]),
        st.sampled_from(["OPS-1", "", "soon"]),
        st.sampled_from(["orders are stuck", "orders are stuck", "test"]),
    ),
)
_GRANTED = _acts(
    "granted",
    st.sampled_from([HOUR, 600, HOUR // 2]),
    _SCOPES,
    st.integers(0, 4),
    st.sampled_from([None, None, HOUR // 4]),
)
_VOTE = st.one_of(
    _acts("vote", *map(st.just, (Answer.APPROVE, None, None, None))),
    _acts("vote", *map(st.just, (Answer.APPROVE, None, None, None))),
    _acts(
        "vote",
        st.just(Answer.APPROVE),
        st.sampled_from([None, 30, HOUR // 4]),
        _SCOPES,
        st.sampled_from([None, 60, HOUR]),
    ),
    _acts("vote", *map(st.just, (Answer.DENY, None, None, None))),
)
_EVERYDAY = st.one_of(
    _ASK,
    _VOTE,
    _acts("extend", st.sampled_from([600, HOUR // 2, 9 * HOUR])),
    _acts("connect"),
)
_ENDS = st.one_of(
    _acts("cancel"),
    _acts("relinquish"),
    _acts("revoke"),
    _acts("suspend"),
    _acts("resume"),
    _acts("sweep"),
    _acts("disconnect"),
)
_GLASS = st.one_of(
    _acts("break_glass", st.sampled_from([60, HOUR]), _KEYS),
    _acts("decide", st.sampled_from([ItemState.JUSTIFIED, ItemState.UNJUSTIFIED])),
)
_LEAVING = st.one_of(_acts("leave"), _acts("come_back"), _acts("come_back"))
_ANY = st.one_of(_EVERYDAY, _EVERYDAY, _GRANTED, _ENDS, _GLASS, _LEAVING)
_AGENT = st.integers(0, 1)


class Machine(RuleBasedStateMachine):
    """One life; ``ground`` and ``runner`` are of the test.

    A precondition, once true, stays so: who wins a race must not change which rules there are.
    """

    ground: Ground
    runner: asyncio.Runner
    steps = 0
    told: ClassVar[Counter[str]] = Counter()  # what all lives came to, by the audit

    def __init__(self) -> None:
        super().__init__()
        self.record = lives_checks.Record()
        self.lives = self.runner.run(Lives.begin(self.ground, 1))

    def step(self, done: Coroutine[Any, Any, None], broke: str = "") -> None:
        async def both() -> None:
            await done
            await lives_checks.check(self.lives, self.record, broke=broke)

        type(self).steps += 1
        self.runner.run(both())

    @rule(act=_ASK, agent=_AGENT)
    def ask(self, act: Act, agent: int) -> None:
        self.step(self.lives.do(act, agent))

    @rule(act=_GRANTED, agent=_AGENT)
    def granted(self, act: Act, agent: int) -> None:
        self.step(self.lives.do(act, agent))

    @rule(act=_EVERYDAY, agent=_AGENT)
    def everyday(self, act: Act, agent: int) -> None:
        self.step(self.lives.do(act, agent))

    @precondition(lambda self: self.lives.seen.requests)
    @rule(act=_VOTE, agent=_AGENT)
    def decide(self, act: Act, agent: int) -> None:
        self.step(self.lives.do(act, agent))

    @rule(act=_GLASS, agent=_AGENT)
    def glass(self, act: Act, agent: int) -> None:
        self.step(self.lives.do(act, agent))

    @precondition(lambda self: self.lives.seen.grants)
    @rule(act=st.one_of(_acts("suspend"), _acts("resume")), agent=_AGENT)
    def suspend(self, act: Act, agent: int) -> None:
        self.step(self.lives.do(act, agent))

    @precondition(lambda self: self.lives.seen.requests)
    @rule(
        answer=st.sampled_from(Answer),
        agent=_AGENT,
        seconds=st.sampled_from([-ESCALATES // 2, -60, -1, 0, 1]),
    )
    def vote_around_the_escalation(self, answer: Answer, agent: int, seconds: int) -> None:
        self.step(self.lives.vote_at_the_brink(answer, agent, seconds))

    @precondition(lambda self: self.lives.seen.grants)
    @rule(act=_acts("relinquish"), agent=_AGENT)
    def relinquish(self, act: Act, agent: int) -> None:
        self.step(self.lives.do(act, agent))

    @precondition(lambda self: self.lives.seen.grants)
    @rule(act=_acts("ask_again", st.sampled_from([60, HOUR])), agent=_AGENT)
    def ask_again(self, act: Act, agent: int) -> None:
        self.step(self.lives.do(act, agent))

    @precondition(lambda self: self.lives.seen.requests)
    @rule(act=_ENDS, agent=_AGENT)
    def ends(self, act: Act, agent: int) -> None:
        self.step(self.lives.do(act, agent))

    @precondition(lambda self: self.lives.seen.grants)
    @rule(act=_LEAVING, agent=_AGENT)
    def leaving(self, act: Act, agent: int) -> None:
        self.step(self.lives.do(act, agent))

    @rule(one=_ANY, other=_ANY)
    def two_at_once(self, one: Act, other: Act) -> None:
        self.step(self.lives.together(one, other))

    @rule(act=_ANY, how=st.sampled_from(["write", "answer", "audit", "lines"]),
          at=st.integers(1, 9))  # fmt: skip
    def the_store_breaks(self, act: Act, how: str, at: int) -> None:
        self.step(self.lives.broken(act, how, at), how)

    @rule(
        seconds=st.sampled_from(
            [1, 29, 60, 60, 601, 601, HOUR // 4, HOUR // 4, HOUR, 2 * HOUR, DAY, DAY]
        )
    )
    def wait(self, seconds: int) -> None:
        self.step(self.lives.wait(seconds))

    @precondition(lambda self: self.lives.seen.requests)
    @rule(seconds=st.sampled_from([DAY, 601, HOUR // 4]))
    def wait_for_an_answer(self, seconds: int) -> None:
        self.step(self.lives.wait(seconds))

    @precondition(lambda self: self.lives.seen.grants)
    @rule(agent=_AGENT, seconds=st.sampled_from([1, HOUR, DAY]))
    def turn_back(self, agent: int, seconds: int) -> None:
        self.step(self.lives.turn_back(agent, seconds))

    @precondition(lambda self: self.lives.seen.requests)
    @rule(act=st.one_of(_acts("regroup"), _acts("sign_in")), agent=_AGENT)
    def sign_in(self, act: Act, agent: int) -> None:
        self.step(self.lives.do(act, agent))

    @precondition(lambda self: self.lives.seen.requests)
    @rule(act=_acts("change_ceiling", st.sampled_from([60, HOUR // 2, 9 * HOUR])))
    def reload(self, act: Act) -> None:
        self.step(self.lives.do(act))

    @rule(agent=_AGENT)
    def restart(self, agent: int) -> None:
        self.step(self.lives.restart(agent))

    def teardown(self) -> None:
        self.told.update(row.event.action for row in self.record.rows)
        self.runner.run(self.ground.leave())


# What must have happened somewhere in many lives, or they have shown less than they say.
_HAPPENED = (
    "request.made", "request.approved", "request.denied", "request.cancelled", "request.expired",
    "vote.cast", "grant.made", "grant.started", "grant.expired", "grant.revoked",
    "grant.relinquished", "grant.suspended", "grant.resumed", "glass.broken", "review.decided",
    "principal.left", "principal.came-back",
    "vote.cast.refused", "request.made.refused", "request.cancelled.refused",
    "grant.revoked.refused", "grant.relinquished.refused", "grant.suspended.refused",
    "grant.resumed.refused", "glass.broken.refused", "review.decided.refused",
)  # fmt: skip


def test_no_life_breaks_an_invariant(url: str, tmp_path: Path) -> None:
    class Here(Machine):
        """On this store."""

    Here.told = Counter()
    with asyncio.Runner() as Here.runner:
        Here.ground = Ground(url, tmp_path)
        Here.runner.run(Here.ground.prepare())
        run_state_machine_as_test(
            Here,
            settings=settings(
                max_examples=LIVES,
                stateful_step_count=STEPS,
                deadline=None,
                derandomize=not LONG,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    if LONG:
        print(f"{Here.steps} steps", dict(sorted(Here.told.items())))  # noqa: T201 - the figures
        assert [action for action in _HAPPENED if not Here.told[action]] == []
    assert Here.steps >= LIVES * STEPS // 4
