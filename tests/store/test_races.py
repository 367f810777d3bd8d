"""Two writers at once: exactly one wins, on both stores, within one agent and between two."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace

import pytest

from hoopagent.errors import Refused
from hoopagent.store.sql import SqlStore
from hoopcore.model import Answer, RequestState
from tests.store.conftest import opened
from tests.store.world import START, World

ROUNDS = 8


@pytest.fixture
async def twin(world: World, url: str) -> object:
    """A second agent on the same store, with connections of its own."""
    store = await opened(url)
    yield World(store, dice=type(world.dice)(8))
    await store.close()


async def outcome(use: object) -> str:
    try:
        shown = await use  # type: ignore[misc] # any use case
    except Refused as refused:
        return refused.error
    return str(shown["state"])


async def test_two_votes_at_once_fulfil_only_once(world: World, twin: World) -> None:
    for _ in range(ROUNDS):
        asked = await world.ask(world.ana, "prod-vault")
        await world.approve(world.ada, asked["id"])
        outcomes = await asyncio.gather(
            outcome(world.approve(world.ben, asked["id"])),
            outcome(twin.approve(twin.cat, asked["id"])),
        )
        assert sorted(outcomes) in (["fulfilled", "not_pending"], ["fulfilled", "fulfilled"])
        grants = await world.store.grants(requests=[asked["id"]])
        votes = await world.store.votes(asked["id"])
        assert len(grants) == 1
        assert len(votes) == 2
        made = [e for e in await world.audited() if e.detail.get("request") == asked["id"]]
        assert [event.action for event in made] == ["grant.made"]


async def test_the_two_last_votes_at_once_are_never_both_overlooked(
    world: World, twin: World
) -> None:
    # Each of two voters sees only their own vote, nobody fulfils, and the request stays pending.
    for _ in range(ROUNDS):
        asked = await world.ask(world.ana, "prod-vault")
        await asyncio.gather(
            world.approve(world.ben, asked["id"]), twin.approve(twin.cat, asked["id"])
        )
        assert (await world.requests.show(world.ana, asked["id"]))["state"] == "fulfilled"
        assert len(await world.store.grants(requests=[asked["id"]])) == 1


async def test_a_denial_and_an_approval_at_once_have_one_outcome(world: World, twin: World) -> None:
    for _ in range(ROUNDS):
        asked = await world.ask(world.ana)
        await asyncio.gather(
            outcome(world.approve(world.ben, asked["id"])),
            outcome(twin.deny(twin.cat, asked["id"])),
        )
        state = (await world.requests.show(world.ana, asked["id"]))["state"]
        votes = await world.store.votes(asked["id"])
        grants = await world.store.grants(requests=[asked["id"]])
        # The one that lost is not on the record as a vote.
        assert len(votes) == 1
        approved = votes[0].answer is Answer.APPROVE
        assert (state, len(grants)) == (("fulfilled", 1) if approved else ("denied", 0))


async def test_a_cancel_and_an_approval_at_once_have_one_outcome(world: World, twin: World) -> None:
    for _ in range(ROUNDS):
        asked = await world.ask(world.ana)
        outcomes = await asyncio.gather(
            outcome(world.requests.cancel(world.ana, asked["id"])),
            outcome(twin.approve(twin.ben, asked["id"])),
        )
        assert sorted(outcomes) in (["cancelled", "not_pending"], ["fulfilled", "not_pending"])
        grants = await world.store.grants(requests=[asked["id"]])
        assert len(grants) == outcomes.count("fulfilled")


async def test_an_expiry_and_an_approval_at_once_have_one_outcome(
    world: World, twin: World
) -> None:
    for _ in range(ROUNDS):
        asked = await world.ask(world.ana)
        request = await world.store.request(asked["id"])
        assert request is not None
        world.time, twin.time = request.expires, request.expires - 1
        (expired, _), voted = await asyncio.gather(
            world.grants.sweep(world.time), outcome(twin.approve(twin.ben, asked["id"]))
        )
        assert (expired == [asked["id"]]) is (voted != "fulfilled")


async def test_a_grant_revoked_and_given_back_at_once_ends_once(world: World, twin: World) -> None:
    for _ in range(ROUNDS):
        grant = await world.granted(world.ana)
        outcomes = await asyncio.gather(
            outcome(world.grants.revoke(world.ben, grant, "enough")),
            outcome(twin.grants.relinquish(twin.ana, grant)),
        )
        assert sorted(outcomes) in (["ended", "revoked"], ["ended", "relinquished"])
        ends = {"grant.revoked", "grant.relinquished"}
        ended = [e for e in await world.audited() if e.subject == grant and e.action in ends]
        assert len(ended) == 1


# What each of several agents does in a process of its own, as fast as it can.
AGENT = """
import asyncio, json, sys
from hoopagent.store.sql import open_store
from hoopcore.model import (
    EVERYTHING, Answer, AuditEvent, Grant, GrantState, RequestState, Vote
)

async def main(url, number, start, requests):
    store = await open_store(url, start)
    print("ready", flush=True)
    sys.stdin.readline()
    said = AuditEvent(start, "p-ben", "test.race", number)
    won = []
    for request in requests:
        grant = Grant(f"grt-{number}-{request}", request, "p-ana", "prod-db", EVERYTHING,
                      start, start + 10**9)
        won.append([
            await store.use_id_token(f"token-{request}", start + 10**9, start),
            await store.add_vote(
                Vote(f"vote-{number}-{request}", request, "p-ben", Answer.APPROVE, "", start), said
            ),
            await store.fulfil(request, RequestState.PENDING, grant, said),
            await store.end_grant(
                f"grt-0-{request}", GrantState.REVOKED, "p-ben", "", start + 1, said
            ),
        ])
        await store.highest_time(start)
        await store.expire(start)
    await store.close()
    print(json.dumps(won))

url, number, start, *requests = sys.argv[1:]
asyncio.run(main(url, number, int(start), requests))
"""


async def test_agents_in_processes_of_their_own_never_both_win(world: World, url: str) -> None:
    asked = [(await world.ask(world.ana))["id"] for _ in range(10)]
    arguments = (url, START)
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", AGENT, str(arguments[0]), str(number), str(START), *asked,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )
        for number in range(4)
    ]  # fmt: skip
    try:
        async with asyncio.timeout(60):
            for process in processes:
                assert process.stdout is not None
                assert await process.stdout.readline() == b"ready\n"
            answers = await asyncio.gather(*(process.communicate(b"\n") for process in processes))
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
                await process.wait()
    results = [json.loads(out) for out, _ in answers]
    for number in range(len(asked)):
        token, vote, fulfilled, ended = (
            sum(agent[number][kind] for agent in results) for kind in range(4)
        )
        assert (token, fulfilled) == (1, 1)
        assert vote <= 1  # none where it was fulfilled before anybody had voted
        assert ended <= 1
    states = {request.state for request in await world.store.requests()}
    assert states == {RequestState.FULFILLED}
    assert len(await world.store.grants()) == len(asked)


async def test_many_writers_on_one_store_wait_for_each_other(store: SqlStore, url: str) -> None:
    world = World(store)
    for person in world.people:
        await world.sign_in(person)
    others = [World(await opened(url), dice=type(world.dice)(9 + n)) for n in range(3)]
    try:
        asked = await asyncio.gather(
            *(
                agent.ask(replace(agent.ana), "dev-db", key=f"{number}-{place}")
                for number, agent in enumerate((world, *others))
                for place in range(10)
            )
        )
    finally:
        for other in others:
            await other.store.close()
    assert {one["state"] for one in asked} == {"fulfilled"}
    assert len(await store.grants()) == 40
