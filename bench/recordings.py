"""``python -m bench.recordings [cost|events|day …] [--quick]``: what recording costs.

``cost``: statements a second through a real agent that records (``kernel``, ``disk``) and through
the same agent with the recording taken out, in turn.  ``events``: a million events written and read
back, beside plain JSON lines in gzip.  ``day``: a session of 24 simulated hours and 10 GB of lines;
each hour's memory and time an event.

Order of the file: the three, each with what it prints, and the command.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.accounting import memory_mib
from bench.measures import Bench, _latency, _statement_cpu, _throughput
from bench.world import MASKS, World
from hoopagent import recordings
from hoopagent.clock import Clock
from hoopagent.recorder import Recorder
from hoopagent.recording_keys import RecordingKeys
from hoopcli.demo.world import World as Demo
from hoopcore.recording import Finished, Header, Said, verify_file

SESSION = "s-0123456789"
KINDS = ("off", "kernel", "disk")
HOURS = 24


def say(text: str) -> None:
    print(text, flush=True)


# --- cost -----------------------------------------------------------------------------------------


def cost(quick: bool) -> None:
    """The same agent, started anew for each kind in each round.

    Beside the speed stands the agent's processor time a statement, which a busy machine changes
    less.
    """
    speed: dict[str, list[float]] = {kind: [] for kind in KINDS}
    agent: dict[str, list[float]] = {kind: [] for kind in KINDS}
    world = EitherWorld()
    with world:
        targets = world.demo.folder / "agent" / "targets.toml"
        text = targets.read_text()
        for number in range(3 if quick else 7):
            for kind in KINDS[number % 3 :] + KINDS[: number % 3]:
                durability = "disk" if kind == "disk" else "kernel"
                targets.write_text(f'{text}durability = "{durability}"\n')
                world.demo.program = "bench.unrecorded" if kind == "off" else "hoopagent"
                world.settings(MASKS, f"# {number} {kind}\n")  # another text: another agent
                bench, way = Bench(world, quick=False), world.ways["local"]
                _latency("simple")(bench, way)  # the first statements warm up
                speed[kind].append(_throughput("simple")(bench, way))
                agent[kind].append(_statement_cpu("simple")(Bench(world, quick=True), way))
            said = (f"{one} {speed[one][-1]:,.0f}/s {agent[one][-1]:.0f} µs" for one in KINDS)
            say("   ".join(said))
    for kind in KINDS:
        share = statistics.median(a / b for a, b in zip(speed[kind], speed["off"], strict=True))
        say(
            f"recording {kind:<6} {statistics.median(speed[kind]):>8,.0f} statements/s, "
            f"{share:.2f} of off; agent {statistics.median(agent[kind]):.0f} µs a statement"
        )


class Either(Demo):
    """A demo whose agent may be the one without recordings."""

    program = "hoopagent"

    def _spawn(self, name: str, module: str, *arguments: str, stdout: int | None = None) -> Any:
        program = self.program if name == "agent" else module
        return super()._spawn(name, program, *arguments, stdout=stdout)


class EitherWorld(World):
    demo: Either

    def __init__(self) -> None:
        super().__init__(1_000, 1)
        self.demo = Either()


# --- events ---------------------------------------------------------------------------------------


def statements(count: int, size: int = 0) -> Iterator[tuple[Said, Finished]]:
    """What a client of a shop says; ``size`` more characters that hardly pack."""
    dice = random.Random(1)
    for seq in range(1, count + 1):
        number = dice.randrange(100_000)
        more = f" /* {dice.randbytes(size // 2).hex()} */" if size else ""
        yield (
            Said(
                seq=seq,
                text=f"select id, name, email from customers where id = {number}{more}",
                effects=("read",),
                touches=("*.customers:read",),
                columns=("email", "id", "name"),
                tag="SELECT",
                rule="reads",
            ),
            Finished(
                seq=seq,
                tag="SELECT 1",
                rows=1,
                bytes=60 + number % 40,
                columns=("id", "name", "email"),
                masked={"email": 1},
                by_column={"public.customers.email": {"email": 1}},
            ),
        )


async def recorded(folder: Path, pairs: Iterator[tuple[Said, Finished]]) -> Path:
    keys = RecordingKeys.open(folder / "keys")
    header = Header(session=SESSION, principal="p-0123456789", target="prod-db")
    recorder = await Recorder.create(folder / "recordings", header, keys)
    for number, (said, finished) in enumerate(pairs):
        durable = recorder.append(said)
        if durable is not None:
            await durable
        recorder.append_later(finished)
        if number % 64 == 0:
            await asyncio.sleep(0)
    await recorder.close("client left")
    return recorder.path


def events(quick: bool) -> None:
    count = 50_000 if quick else 500_000  # pairs: two events each
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        said, path = timed(lambda: asyncio.run(recorded(folder, statements(count))))
        keys = RecordingKeys.open(folder / "keys")
        read, _ = timed(lambda: sum(1 for _ in recordings.read(path)))
        verified, report = timed(lambda: verify_file(recordings.pieces(path), keys.public))
        assert report.ok
        plain = folder / "plain.jsonl.gz"
        written, _ = timed(lambda: _plain(plain, count))
        back, _ = timed(lambda: _read_plain(plain))
        made, _ = timed(lambda: sum(1 for _ in statements(count)))
        say(f"{2 * count:,} events; making them took {made:.1f} s of each writing")
        mib = 1 << 20
        say(f"recording   write {said:6.1f} s  read {read:5.1f} s  verify {verified:5.1f} s"
            f"  {path.stat().st_size / mib:6.1f} MiB")  # fmt: skip
        say(f"json+gzip   write {written:6.1f} s  read {back:5.1f} s  verify     -  "
            f"  {plain.stat().st_size / mib:6.1f} MiB")  # fmt: skip


def _plain(path: Path, count: int) -> None:
    with gzip.open(path, "wt") as file:
        n = 0
        for pair in statements(count):
            for event in pair:
                n += 1
                event.n, event.at, event.t = n, time.time_ns() // 1000, n * 40
                fields = {name: getattr(event, name) for name in event.__struct_fields__}
                file.write(json.dumps({k: v for k, v in fields.items() if v}) + "\n")


def _read_plain(path: Path) -> int:
    with gzip.open(path) as file:
        return sum(1 for line in file if json.loads(line))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


# --- a day ----------------------------------------------------------------------------------------


class Simulated(Clock):
    """A clock that a day passes on while minutes do."""

    now = 0

    def wall(self) -> int:
        return 1_800_000_000_000_000 + self.now

    def boot(self) -> int:
        return self.now


async def hours(
    folder: Path, lines: int, size: int, after: Callable[[], None] = lambda: None
) -> list[tuple[float, float]]:
    """(µs an event, MiB of this process) of each hour of a session of so many bytes of lines."""
    keys, clock = RecordingKeys.open(folder / "keys"), Simulated()
    header = Header(session=SESSION, principal="p-0123456789", target="prod-db")
    recorder = await Recorder.create(folder / "recordings", header, keys, clock=clock)
    found = []
    pairs = statements(HOURS * lines, size)
    for _ in range(HOURS):
        began = time.process_time()
        for number in range(lines):
            said, finished = next(pairs)
            clock.now += 3_600_000_000 // lines
            durable = recorder.append(said)
            if durable is not None:
                await durable
            recorder.append_later(finished)
            if number % 64 == 0:
                await asyncio.sleep(0)
        took = time.process_time() - began
        after()
        found.append((took / lines / 2 * 1e6, memory_mib([os.getpid()])))
    assert await recorder.close("client left")
    report = verify_file(recordings.pieces(recorder.path), keys.public)
    assert report.ok, report.why
    return found


def day(quick: bool) -> None:
    """10 GB of lines: 24 times 100,000 statements of some 4 KiB."""
    lines, size = (2_000, 3_500) if quick else (100_000, 3_500)
    with tempfile.TemporaryDirectory() as name:
        found = asyncio.run(hours(Path(name), lines, size))
        file = next(Path(name).glob("recordings/**/*.zst")).stat().st_size
    for hour, (cost, memory) in enumerate(found, 1):
        say(f"hour {hour:>2}  {cost:6.1f} µs an event  {memory:6.1f} MiB")
    say(f"{2 * HOURS * lines:,} events, a file of {file / (1 << 20):,.0f} MiB; it verifies")
    first, last = found[1:4], found[-3:]
    for name, index in (("time an event", 0), ("memory", 1)):
        ratio = statistics.mean(one[index] for one in last) / statistics.mean(
            one[index] for one in first
        )
        say(f"{name}: the last three hours are {ratio:.2f} of hours 2 to 4")


# --- the command ----------------------------------------------------------------------------------

PARTS = {"cost": cost, "events": events, "day": day}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.recordings", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART")
    parser.add_argument("--quick", action="store_true")
    chosen = parser.parse_args()
    for name in chosen.parts or PARTS:
        say(f"--- {name}")
        PARTS[name](chosen.quick)
    return 0


if __name__ == "__main__":
    sys.exit(main())
