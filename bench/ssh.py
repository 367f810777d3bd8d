"""SSH targets through hoop beside ``ssh -J`` through a plain OpenSSH bastion.

    python -m bench.ssh [--quick] [--rounds N] [NAME…]

The same sshd is the host behind both.  Each round takes both ways in turn; what is told is the
median.  ``ratio`` is hoop over the bastion; of times, the bastion's must stand below.  Linux only.

Order of the file: the world, what is measured, the report.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncssh

from bench.accounting import cpu_seconds, family, memory_mib
from bench.memory import highest
from tests.conformance.ssh_matrix import Place
from tests.conformance.test_ssh_matrix import gate
from tests.e2e.ssh_world import SshWorld, options
from tests.e2e.world import Person
from tests.sshd import Sshd, running_sshd
from tests.worlds import signed_in, started

TARGET = "web-ca"


@dataclass(frozen=True)
class Way:
    """One way to the host, as OpenSSH is told of it."""

    name: str
    config: Path
    place: Place
    pids: tuple[int, ...] = ()  # of hoop's agent


@contextmanager
def world(ciphers: str) -> Iterator[tuple[Way, Way]]:
    """The bastion's way, which speaks these ciphers first, and hoop's."""
    with started(SshWorld) as world, TemporaryDirectory(dir=_fast()) as name:
        folder = Path(name)
        signed_in(world, "ben")
        ana = signed_in(world, "ana")
        ana.hoop("request", TARGET, "--reason", "a bench", "--for", "1h")
        options(ana)
        with running_sshd(folder / "jump") as jump:
            pids = tuple(family(world.processes[-1].pid))
            yield _bastion(world, jump, folder, ciphers), _hoop(ana, folder, pids)


def _fast() -> str | None:
    """Where files are not on a disk, whose speed is not asked for."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _bastion(world: SshWorld, jump: Sshd, folder: Path, ciphers: str) -> Way:
    at = folder / "bastion"
    at.mkdir()
    sshd = world.sshd
    place = Place("bastion", sshd.port, sshd.account, sshd.key_file, sshd.host_key, at)
    config = place.config
    known = at / "jump_known"
    known.write_text(f"[127.0.0.1]:{jump.port} {jump.host_key}\n")
    lines = [
        "Host jump",
        "HostName 127.0.0.1",
        f"Port {jump.port}",
        f"User {jump.account}",
        f"IdentityFile {jump.key_file}",
        "IdentitiesOnly yes",
        f"UserKnownHostsFile {known}",
        "BatchMode yes",
    ]
    if ciphers:
        lines.append(f"Ciphers {ciphers}")
    own = f"    Ciphers {ciphers}\n" if ciphers else ""
    text = config.read_text() + own + "    ProxyJump jump\n" + "\n    ".join(lines) + "\n"
    path = at / "jumping"
    path.write_text(text)
    return Way("bastion", path, place)


def _hoop(ana: Person, folder: Path, pids: tuple[int, ...]) -> Way:
    at = folder / "hoop"
    at.mkdir()
    place = gate(ana, at)
    return Way("hoop", place.config, place, pids)


# --- what is measured -----------------------------------------------------------------------------

Told = dict[str, float]


@dataclass(frozen=True)
class Bench:
    """What a measure is given: how much is to be copied, and of what."""

    mib: int
    source: Path


def _timed(words: Sequence[str]) -> float:
    began = time.perf_counter()
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    took = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"bench: {words[:4]}: {done.stderr.decode()[-400:]}")
    return took


def _copied(words: Callable[[Way, Path, Path], Sequence[str]]) -> Callable[[Bench, Way], Told]:
    def run(bench: Bench, way: Way) -> Told:
        there = way.place.there / "copy"
        there.unlink(missing_ok=True)
        before = cpu_seconds(way.pids)
        took = _timed(words(way, bench.source, there))
        if there.stat().st_size != bench.mib << 20:
            raise SystemExit(f"bench: {there} is not whole")
        there.unlink()
        told = {"MiB/s": bench.mib / took}
        if way.pids:
            told["cpu s/GB"] = (cpu_seconds(way.pids) - before) / (bench.mib / 1024)
        return told

    return run


def _scp(*more: str) -> Callable[[Way, Path, Path], Sequence[str]]:
    return lambda way, source, there: (
        *("scp", "-q", *more, "-F", str(way.config)),
        *(str(source), f"web:{there}"),
    )


def _down(*more: str) -> Callable[[Way, Path, Path], Sequence[str]]:
    """The file is on the same machine, so where it comes from is where it went to."""
    return lambda way, source, there: (
        *("scp", "-q", *more, "-F", str(way.config)),
        *(f"web:{source}", str(there)),
    )


def _rsync(way: Way, source: Path, there: Path) -> Sequence[str]:
    return ("rsync", "-W", "-e", f"ssh -F {way.config}", str(source), f"web:{there}")


def _cat(way: Way, source: Path, there: Path) -> Sequence[str]:
    return ("sh", "-c", f"ssh -F {way.config} web cat {source} > {there}")


def _keys(bench: Bench, way: Way) -> Told:
    """From a key to its echo, by a shell's terminal that gives every byte back at once."""
    text = "stty raw -echo; echo ready; exec cat"
    words = ("ssh", "-F", str(way.config), "-tt", "web", text)
    taken = []
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        heard = b""
        while not heard.endswith(b"ready\n"):
            heard += os.read(process.stdout.fileno(), 1)
        for number in range(500 if bench.mib > 256 else 200):
            began = time.perf_counter()
            os.write(process.stdin.fileno(), b"x")
            os.read(process.stdout.fileno(), 1)
            taken.append(time.perf_counter() - began)
            time.sleep(0.002)
            del number
        process.terminate()
    taken.sort()
    return {"p50 ms": taken[len(taken) // 2] * 1e3, "p99 ms": taken[len(taken) * 99 // 100] * 1e3}


def _opened(bench: Bench, way: Way) -> Told:
    """From ``ssh`` to the first byte of its command, and its end."""
    return {
        "ms": min(_timed(("ssh", "-F", str(way.config), "web", "true")) for _ in range(3)) * 1e3
    }


def _shells(connections: int, each: int) -> Callable[[Bench, Way], Told]:
    """What one more shell takes of the agent, with so many of them on so many connections."""

    async def run(way: Way) -> float:
        place = way.place
        key = asyncssh.read_private_key(str(place.key))
        assert place.certificate is not None
        pairs = [
            asyncssh.load_keypairs([(key, asyncssh.read_certificate(str(place.certificate)))])[0]
        ]
        held = []

        async def one() -> None:
            connection = await asyncssh.connect(
                "127.0.0.1", place.port, username=place.user, client_keys=pairs, known_hosts=None,
                config=None, agent_path=None,
            )  # fmt: skip
            held.append(connection)
            for _ in range(each):
                process = await connection.create_process(term_type="xterm")
                process.stdin.write("echo re''ady\n")
                await process.stdout.readuntil("ready")

        try:
            await one()  # the first one fills what all share
            before = memory_mib(way.pids)
            for _ in range(connections):
                await one()
            return (memory_mib(way.pids) - before) / (connections * each)
        finally:
            for connection in held:
                connection.abort()

    def measured(bench: Bench, way: Way) -> Told:
        return {"MiB each": asyncio.run(run(way))} if way.pids else {}

    return measured


def _memory(bench: Bench, way: Way) -> Told:
    """How much higher the agent's memory ever was than before a copy each way."""
    if not way.pids:
        return {}
    pid = way.pids[0]
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # so that the highest begins anew
    before = highest(pid)
    _copied(_scp())(bench, way)
    _copied(_cat)(bench, way)
    return {"MiB more": highest(pid) - before}


MEASURES: dict[str, Callable[[Bench, Way], Told]] = {
    "scp_up": _copied(_scp()),
    "scp_down": _copied(_down()),
    "scp_O_up": _copied(_scp("-O")),
    "rsync_up": _copied(_rsync),
    "cat_down": _copied(_cat),
    "key": _keys,
    "command": _opened,
    "memory": _memory,
    "shells_60_on_60": _shells(60, 1),
    "shells_200_on_50": _shells(50, 4),
}


# --- the report -----------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.ssh", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *MEASURES], metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="128 MiB instead of a gigabyte")
    parser.add_argument("--ciphers", default="", help="of the bastion; OpenSSH's own otherwise")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    mib = 128 if chosen.quick else 1024
    with world(chosen.ciphers) as ways, TemporaryDirectory(dir=_fast()) as folder:
        source = Path(folder) / "source"
        block = os.urandom(1 << 20)
        with source.open("wb") as out:
            for _ in range(mib):
                out.write(block)
        bench = Bench(mib, source)
        print(f"{'measure':18}{'':10}{'bastion':>10}{'hoop':>10}{'ratio':>8}")
        for name in chosen.names or MEASURES:
            rounds = 1 if name.startswith(("shells", "memory")) else chosen.rounds
            _report(name, [_round(bench, ways, MEASURES[name], n) for n in range(rounds)])
    return 0


def _round(
    bench: Bench, ways: Sequence[Way], measure: Callable[[Bench, Way], Told], number: int
) -> dict[str, Told]:
    shift = number % len(ways)
    return {way.name: measure(bench, way) for way in [*ways[shift:], *ways[:shift]]}


def _report(name: str, rounds: Sequence[dict[str, Told]]) -> None:
    for unit in rounds[0]["hoop"]:
        hoop = statistics.median(one["hoop"][unit] for one in rounds)
        line = f"{name:18}{unit:10}"
        if unit in rounds[0]["bastion"]:
            bastion = statistics.median(one["bastion"][unit] for one in rounds)
            line += f"{bastion:10.2f}{hoop:10.2f}{hoop / bastion:8.2f}"
        else:
            line += f"{'':10}{hoop:10.2f}"
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
