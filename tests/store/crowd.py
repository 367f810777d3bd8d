"""A process in which several people decide on the same requests at once, as fast as they can.

``python -m tests.store.crowd URL NUMBER EACH REQUEST…`` says ``ready``, waits for a line, and then
prints what each of its people was answered: a list for each request.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys

from hoopagent.errors import Refused
from hoopagent.store import StoreAway
from hoopcore.model import Answer
from tests.store.conftest import opened
from tests.store.world import World, principal

ACTS = ("approve", "deny", "cancel", "approve", "approve")


async def outcome(world: World, person: int, request: str) -> list[str]:
    act = ACTS[person % len(ACTS)]
    who = world.ana if act == "cancel" else principal(f"voter{person}", "dba")
    try:
        if act == "cancel":
            shown = await world.requests.cancel(who, request)
        else:
            answer = Answer.APPROVE if act == "approve" else Answer.DENY
            shown = await world.requests.vote(who, request, answer, "so it is")
    except Refused as refused:
        return [act, refused.error]
    except StoreAway:
        return [act, "away"]
    return [act, str(shown["state"])]


async def main(url: str, number: int, each: int, requests: list[str]) -> None:
    store = await opened(url)
    world = World(store, dice=random.Random(f"crowd {number}"))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    people = range(number * each, (number + 1) * each)
    told = [
        await asyncio.gather(*(outcome(world, person, request) for person in people))
        for request in requests
    ]
    await store.close()
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    url, number, each, *requests = sys.argv[1:]
    asyncio.run(main(url, int(number), int(each), requests))
