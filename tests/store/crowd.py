"""Processes in which many people decide on the same requests at once, as fast as they can.

``python -m tests.store.crowd URL PROCESSES EACH REQUEST…`` prints what each of its people was
answered: a list by process, request and person.  The processes are forks of this one, which has
imported everything; each opens a store of its own, says so, and goes on when all of them are there.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import traceback

from hoopagent.errors import Refused
from hoopagent.store import StoreAway
from hoopcore.model import Answer
from tests.store.conftest import joined
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


async def decide(
    url: str, number: int, each: int, requests: list[str], ready: int, go: int
) -> list[list[list[str]]]:
    """By request and person; ``ready`` and ``go`` are pipes."""
    store = joined(url)
    world = World(store, dice=random.Random(f"crowd {number}"))
    os.write(ready, b".")
    await asyncio.to_thread(os.read, go, 1)  # ends when all are there: the other end is closed
    people = range(number * each, (number + 1) * each)
    told = [
        await asyncio.gather(*(outcome(world, person, request) for person in people))
        for request in requests
    ]
    await store.close()
    return told


def main(url: str, processes: int, each: int, requests: list[str]) -> None:
    ready, go = os.pipe(), os.pipe()
    answers = [os.pipe() for _ in range(processes)]
    children = []
    for number, (_, answer) in enumerate(answers):
        child = os.fork()
        if child == 0:
            os.close(go[1])
            status = 1
            try:
                told = asyncio.run(decide(url, number, each, requests, ready[1], go[0]))
                with os.fdopen(answer, "w") as out:
                    json.dump(told, out)
                status = 0
            except Exception:  # noqa: BLE001 - a fork must not go on as its parent would
                traceback.print_exc()
            finally:
                os._exit(status)
        children.append(child)
        os.close(answer)
    os.close(ready[1])
    _wait_for_all(ready[0], processes)
    os.close(go[1])
    found = []
    for readable, _ in answers:
        with os.fdopen(readable) as text:
            found.append(json.load(text))
    for child in children:
        os.waitpid(child, 0)
    sys.stdout.write(json.dumps(found))


def _wait_for_all(ready: int, processes: int) -> None:
    there = 0
    while there < processes:
        said = os.read(ready, processes)
        if not said:
            sys.exit("a process ended before it had begun")
        there += len(said)


if __name__ == "__main__":
    url, processes, each, *requests = sys.argv[1:]
    main(url, int(processes), int(each), requests)
