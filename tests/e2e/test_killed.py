"""``kill -9`` of the agent at random moments under load: what the target got is on record.

The target's own log says what reached it.  Half of the sessions wait for every answer, half send
statements in batches.  3 kills in CI; ``HOOP_LONG=1`` makes 300 and prints what results were lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from hoopagent.recording_keys import RecordingKeys
from hoopagent.recordings import pieces, read
from hoopcli.demo.world import World
from hoopcore.recording import Finished, Said, State, verify_file
from tests.e2e.test_clients import listening
from tests.e2e.world import Person
from tests.worlds import asking, signed_in, started

KILLS = 300 if os.environ.get("HOOP_LONG") else 3
WAITING, BATCHING = 3, 3  # sessions
BATCH = 7
_MARK = re.compile(rb"select '(k\d+_\d+_\d+)'")


class Logging(World):
    """Its PostgreSQL writes down every statement when it gets it."""

    def start_agent(self) -> None:
        assert self.postgres is not None
        self.postgres.psql("alter role shop_app set log_statement = 'all'")
        super().start_agent()

    def reached(self, since: int) -> set[str]:
        """The marked statements that the target got behind that place of its log."""
        assert self.postgres is not None
        end = time.monotonic() + 30
        gone = "select count(*) from pg_stat_activity where usename = 'shop_app'"
        while self.postgres.psql(gone).strip() != "0":
            assert time.monotonic() < end, "a connection of the killed agent stays"
            time.sleep(0.02)
        with self.postgres.log.open("rb") as log:
            log.seek(since)
            return {mark.decode() for mark in _MARK.findall(log.read())}

    def recordings(self) -> set[Path]:
        return set((self.folder / "agent/data/recordings").glob("**/*.zst"))


@pytest.fixture(scope="module")
def own() -> Iterator[Logging]:
    with started(Logging) as world:
        yield world


@pytest.fixture(scope="module")
def asker(own: Logging) -> Person:
    return asking(own, signed_in(own, "ben"), "2h")


@dataclass
class Load:
    """Sessions that say one marked statement after the other, until they are cut off."""

    dsn: str
    round: int
    answered: set[str] = field(default_factory=set)

    async def run(self, kill: asyncio.Event) -> None:
        ready = asyncio.Semaphore(0)
        async with asyncio.TaskGroup() as group:
            for number in range(WAITING + BATCHING):
                group.create_task(self._session(number, ready))
            for _ in range(WAITING + BATCHING):
                async with asyncio.timeout(30):
                    await ready.acquire()
            kill.set()

    async def _session(self, number: int, ready: asyncio.Semaphore) -> None:
        with contextlib.suppress(psycopg.Error):
            async with await psycopg.AsyncConnection.connect(self.dsn, autocommit=True) as one:
                ready.release()
                count = 0
                while True:
                    marks = [f"k{self.round}_{number}_{count + i}" for i in range(BATCH)]
                    count += BATCH
                    if number < WAITING:
                        for mark in marks:
                            await one.execute(f"select '{mark}'")
                            self.answered.add(mark)
                        continue
                    async with one.pipeline():
                        for mark in marks:
                            await one.execute(f"select '{mark}'")
                    self.answered.update(marks)


async def killed(own: Logging, dsn: str, round: int, dice: random.Random) -> Load:
    """Load, and in the middle of it the agent dies."""
    load, ready = Load(dsn, round), asyncio.Event()
    agent = own.processes[-1]

    async def kill() -> None:
        await ready.wait()
        await asyncio.sleep(dice.random() ** 2 * 0.5)
        agent.kill()

    async with asyncio.TaskGroup() as group:
        group.create_task(kill())
        group.create_task(load.run(ready))
    agent.wait()
    own.processes.remove(agent)
    return load


@pytest.mark.timeout(300 if KILLS < 100 else 3600)
def test_what_reached_the_target_is_in_the_recordings_of_an_agent_that_was_killed(
    own: Logging, asker: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    assert own.postgres is not None
    keys = RecordingKeys.open(own.folder / "agent/data/keys")
    reached_in_all, lost = 0, Counter[int]()
    for round in range(KILLS):
        before, since = own.recordings(), own.postgres.log.stat().st_size
        with listening(asker) as dsn:
            load = asyncio.run(killed(own, dsn, round, random.Random(round)))
        reached = own.reached(since)
        assert load.answered <= reached, "the target's log is not all of it"
        fresh = own.recordings() - before
        assert len(fresh) == WAITING + BATCHING
        for path in fresh:
            cut = verify_file(pieces(path), keys.public)
            assert cut.state is State.UNFINISHED, cut.why
            evidence_ends = cut.lines
            told = [event for event in read(path) if isinstance(event, Said)]
            recorded = {mark.decode() for one in told for mark in _MARK.findall(one.text.encode())}
            results = {event.seq for event in read(path) if isinstance(event, Finished)}
            mine = next(iter(recorded), "").rpartition("_")[0]
            lost_here = [
                one.seq for one in told
                if one.seq not in results and any(m in load.answered for m in marks_of(one))
            ]  # fmt: skip
            if mine and int(mine.partition("_")[2]) < WAITING:
                assert len(lost_here) <= 1, "more than the results since the last statement"
            lost[len(lost_here)] += 1
            reached -= recorded
            assert evidence_ends >= len(told)
        assert not reached, f"{len(reached)} statements reached the target unrecorded"
        reached_in_all += len(load.answered)
        (own.run / "agent.json").unlink()
        own.start_agent()
        for path in fresh:
            closed = verify_file(pieces(path), keys.public)
            assert closed.ok, closed.why
    assert reached_in_all > 10 * KILLS, "there was no load"
    with capsys.disabled():
        if KILLS > 100:
            sys.stdout.write(
                f"\n{KILLS} kills, {reached_in_all} statements answered, 0 unrecorded; "
                f"results lost of a session: {dict(sorted(lost.items()))}\n"
            )


def marks_of(one: Said) -> list[str]:
    return [mark.decode() for mark in _MARK.findall(one.text.encode())]
