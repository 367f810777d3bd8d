"""Fifty approvals, denials and cancels of one request at once: one outcome, and one grant at most.

They come from processes of their own; HOOP_LONG=1 gives each of the fifty its own process.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from pathlib import Path

from hoopcore.model import RequestState
from tests.store.crowd import ACTS
from tests.store.world import World, principal

LONG = bool(os.environ.get("HOOP_LONG"))
CROWD = 50
PROCESSES = 50 if LONG else 10
ROUNDS = 20 if LONG else 2


async def test_fifty_at_once_have_one_outcome_and_one_grant(world: World, url: str) -> None:
    for person in range(CROWD):
        await world.sign_in(principal(f"voter{person}", "dba"))
    asked = [(await world.ask(world.ana))["id"] for _ in range(ROUNDS)]
    told = await crowd(url, asked)
    states = []
    for round, id in enumerate(asked):
        answers = [tuple(answer) for process in told for answer in process[round]]
        assert len(answers) == CROWD
        states.append(await one_outcome(world, id, Counter(answers)))
    assert len(states) == ROUNDS


async def crowd(url: str, asked: list[str]) -> list[list[list[list[str]]]]:
    """What everybody was answered: by process, request and person."""
    each = str(CROWD // PROCESSES)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.store.crowd", url, str(PROCESSES), each, *asked),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    try:
        async with asyncio.timeout(240):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    told: list[list[list[list[str]]]] = json.loads(out)
    return told


async def one_outcome(world: World, id: str, told: Counter[tuple[str, ...]]) -> RequestState:
    """The state it came to; everything that is on the record says the same."""
    request = await world.store.request(id)
    assert request is not None
    grants = await world.store.grants(requests=[id])
    votes = await world.store.votes(id)
    ends = {RequestState.FULFILLED: "approve", RequestState.DENIED: "deny"}
    assert request.state in (*ends, RequestState.CANCELLED), told
    assert len(grants) == (request.state is RequestState.FULFILLED)
    assert [vote.answer.value for vote in votes] == [
        act for state, act in ends.items() if state is request.state
    ]
    won = sum(told[act, request.state.value] for act in set(ACTS) - {"cancel"})
    losers = Counter(state for _, state in told.elements() if state != request.state.value)
    assert won == len(votes)  # who won was told so, and nobody else
    assert losers.keys() <= {"not_pending"}, told
    made = [event for event in await world.audited() if event.detail.get("request") == id]
    assert [event.action for event in made if event.action == "grant.made"] == (
        ["grant.made"] * len(grants)
    )
    return request.state
