"""The measures, each a function of a way: one number, taken once per round.

``MEASURES`` is the list in the order of the report.  Speed is taken by clients that do as little
as they can: pgbench, and for many rows a socket that only looks for the end of the answer.

Order: small statements, many rows, sessions, what the agent uses, the commands, the table.
"""

from __future__ import annotations

import os
import re
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

import psycopg

from bench.accounting import cpu_seconds, memory_mib
from bench.world import DATABASE, DETECTORS, MASKS, TARGET, Way, World, many_rules

ALL = ("direct", "relay", "pgbouncer", "local", "ssh")
BETWEEN = ALL[1:]  # those where a process of ours, or pgbouncer's, stands between
_READY = b"Z\0\0\0\x05I"
COLUMNS = "t.id, t.name, t.mail, t.filler, t.at, t.price, t.words, t.city, t.state, t.phone"


@dataclass(frozen=True, slots=True)
class Bench:
    """What a measure is given."""

    world: World
    quick: bool

    @property
    def seconds(self) -> int:
        """How long one pgbench run takes."""
        return 1 if self.quick else 4


Run = Callable[[Bench, Way], float]


@dataclass(frozen=True, slots=True)
class Measure:
    """``run`` gives one number of this unit; ``ways`` are those it makes sense for."""

    name: str
    unit: str
    run: Run
    ways: Sequence[str] = ALL
    masks: str = MASKS
    rules: str = ""  # beside those of the demo
    rounds: int = 7
    quick_rounds: int = 3


# --- small statements -----------------------------------------------------------------------------


def _pgbench(bench: Bench, way: Way, *options: str) -> str:
    """pgbench's report; it fails where a statement did."""
    done = subprocess.run(
        [bench.world.program("pgbench"), "-S", "-n", *options],
        env=way.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"bench: pgbench by {way.name}: {done.stderr.strip()[-400:]}")
    return done.stdout


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    if found is None:
        raise SystemExit("bench: pgbench's report has another form")
    return float(found[1])


def _latency(mode: str) -> Run:
    def run(bench: Bench, way: Way) -> float:
        options = ("-M", mode, "-c", "1", "-j", "1", "-T", str(bench.seconds))
        return 1e6 / _number(r"tps = ([0-9.]+)", _pgbench(bench, way, *options))

    return run


def _throughput(mode: str) -> Run:
    def run(bench: Bench, way: Way) -> float:
        options = ("-M", mode, "-c", "8", "-j", "1", "-T", str(bench.seconds))
        return _number(r"tps = ([0-9.]+)", _pgbench(bench, way, *options))

    return run


def _statement_cpu(mode: str) -> Run:
    def run(bench: Bench, way: Way) -> float:
        count = 3_000 if bench.quick else 20_000
        before = cpu_seconds(way.pids)
        _pgbench(bench, way, "-M", mode, "-c", "1", "-j", "1", "-t", str(count))
        return (cpu_seconds(way.pids) - before) / count * 1e6

    return run


HELD = 50


def _held_beside_idle(bench: Bench, way: Way) -> float:
    """Latency while so many statements of three people are held, over that beside as many idle.

    The two are taken one behind the other, three times, in the same world; the middle counts.
    """
    ways = [way, *bench.world.others]
    ratios = []
    for _ in range(3):
        with ExitStack() as stack:
            waiting = [
                stack.enter_context(closing(_connect(ways[number % len(ways)]))).pgconn
                for number in range(HELD)
            ]
            idle = _latency("simple")(bench, way)
            for one in waiting:
                one.send_query(b"delete from plain where id = -1")
            for one in waiting:
                _until_told(one)
            ratios.append(_latency("simple")(bench, way) / idle)
    return sorted(ratios)[1]


def _until_told(connection: psycopg.pq.abc.PGconn) -> None:
    """Until the agent has said that the statement waits."""
    told: list[object] = []
    connection.notice_handler = told.append
    end = time.monotonic() + 30
    while True:
        ended = not connection.is_busy()  # this is where a notice is taken out
        if told:
            return
        if ended or time.monotonic() > end:
            raise SystemExit("bench: a statement that was to be held was not")
        select.select([connection.socket], [], [], 1)
        connection.consume_input()


# --- many rows ------------------------------------------------------------------------------------


class Reader:
    """A connection that psycopg has logged in and nobody parses."""

    def __init__(self, way: Way) -> None:
        self._connection = _connect(way)
        self.socket = socket.socket(fileno=os.dup(self._connection.fileno()))
        self.socket.setblocking(True)
        self.socket.settimeout(120)
        self._buffer = bytearray(1 << 20)

    def ask(self, text: str) -> None:
        body = text.encode() + b"\0"
        self.socket.sendall(b"Q" + struct.pack("!I", len(body) + 4) + body)

    def first(self) -> None:
        """Until a row has begun to come."""
        seen = b""
        while (at := _behind_description(seen)) is None or len(seen) <= at:
            data = self.socket.recv(65536)
            if not data:
                raise SystemExit("bench: the connection ended")
            seen += data
        if seen[at : at + 1] != b"D":
            raise SystemExit(f"bench: no row came, but {seen[at:][:200]!r}")

    def rest(self) -> None:
        """Until the answer is complete."""
        tail = b""
        while tail != _READY:
            count = self.socket.recv_into(self._buffer)
            if not count:
                raise SystemExit("bench: the connection ended")
            tail = (tail + bytes(self._buffer[max(0, count - 6) : count]))[-6:]

    def close(self) -> None:
        self.socket.close()
        self._connection.close()


def _behind_description(data: bytes) -> int | None:
    if len(data) < 5:
        return None
    if data[:1] != b"T":
        raise SystemExit(f"bench: no result came, but {data[:200]!r}")
    size: int = struct.unpack_from("!I", data, 1)[0]
    return size + 1


def _connect(way: Way) -> psycopg.Connection:
    return psycopg.connect(
        host="127.0.0.1",
        port=way.port,
        user=way.user,
        password=way.password,
        dbname=DATABASE,
        sslmode="disable",
        autocommit=True,
    )


def _query(table: str) -> str:
    return f"select {COLUMNS} from {table} t cross join generate_series(1, 10)"


def _rows(table: str) -> Run:
    def run(bench: Bench, way: Way) -> float:
        with closing(Reader(way)) as client:
            began = time.perf_counter()
            client.ask(_query(table))
            client.first()
            client.rest()
            return bench.world.rows / (time.perf_counter() - began)

    return run


def _first_row(bench: Bench, way: Way) -> float:
    with closing(Reader(way)) as client:
        began = time.perf_counter()
        client.ask(_query("masked"))
        client.first()
        return (time.perf_counter() - began) * 1e3


# --- sessions -------------------------------------------------------------------------------------


def _sessions(bench: Bench, way: Way) -> float:
    """Opened, used once and closed, four at a time."""
    options = ("-C", "-c", "4", "-j", "1", "-T", str(bench.seconds))
    return _number(r"tps = ([0-9.]+)", _pgbench(bench, way, *options))


def _idle(bench: Bench, way: Way) -> float:
    """What one more session that has said something, and waits, takes of memory."""
    count = 10 if bench.quick else 30
    with ExitStack() as stack:
        # The first ones fill what all sessions share.
        for _ in range(5):
            stack.enter_context(_connect(way)).execute("select 1")
        before = memory_mib(way.pids)
        for _ in range(count):
            stack.enter_context(_connect(way)).execute("select 1")
        return (memory_mib(way.pids) - before) / count


def _session_cpu(bench: Bench, way: Way) -> float:
    count = 20 if bench.quick else 100
    before = cpu_seconds(way.pids)
    for _ in range(count):
        _connect(way).close()
    return (cpu_seconds(way.pids) - before) / count * 1e3


# --- the commands ---------------------------------------------------------------------------------


def _command(*arguments: str) -> Run:
    """Milliseconds of ``hoop …``, from start to exit."""

    def run(bench: Bench, way: Way) -> float:
        return _timed(bench, [sys.executable, "-m", "hoopcli", *arguments])

    return run


def _connect_to_first_row(at_hand: str) -> Run:
    """``psql -c 'select 1'``: straight, or behind ``hoop connect``; see ``hoopcli.at_hand``."""

    def run(bench: Bench, way: Way) -> float:
        last = ["-X", "-c", "select 1"]
        if way.name == "local":
            hoop = [sys.executable, "-m", "hoopcli", "connect", TARGET]
            environ = bench.world.demo.environment("ana") | {"HOOP_AT_HAND": at_hand}
            return _timed(bench, [*hoop, "--", *last], environ)
        return _timed(bench, [bench.world.program("psql"), *last], way.environment())

    return run


def _timed(bench: Bench, words: list[str], environ: dict[str, str] | None = None) -> float:
    environ = environ or bench.world.demo.environment("ana")
    began = time.perf_counter()
    done = subprocess.run(
        words, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
    )
    took = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"bench: {words[-3:]}: {done.stderr.decode().strip()[-400:]}")
    return took * 1e3


# --- the table ------------------------------------------------------------------------------------

RULES = many_rules(200)
MEASURES = (
    Measure("simple_c1_latency", "µs", _latency("simple")),
    Measure("simple_c8_tps", "1/s", _throughput("simple")),
    Measure("prepared_c1_latency", "µs", _latency("prepared")),
    Measure("prepared_c8_tps", "1/s", _throughput("prepared")),
    Measure("rules_200_c1_latency", "µs", _latency("simple"), rules=RULES),
    Measure("rules_200_c8_tps", "1/s", _throughput("simple"), rules=RULES),
    Measure("rules_200_cpu_us", "µs", _statement_cpu("simple"), BETWEEN, rules=RULES),
    Measure("held_50_beside_idle", "×", _held_beside_idle, ("local",), rules=RULES),
    Measure("bulk_plain", "rows/s", _rows("plain"), rounds=5),
    Measure("bulk_masked_column", "rows/s", _rows("masked"), rounds=5),
    Measure("bulk_masked_null", "rows/s", _rows("nulled"), rounds=5),
    Measure("bulk_detect_1", "rows/s", _rows("detect_1"), masks=DETECTORS, rounds=5),
    Measure("bulk_detect_20", "rows/s", _rows("detect_20"), masks=DETECTORS, rounds=5),
    Measure("first_row_ms", "ms", _first_row, rounds=20, quick_rounds=5),
    Measure("sessions_per_s", "1/s", _sessions, rounds=5),
    Measure("idle_session_mib", "MiB", _idle, BETWEEN, rounds=3, quick_rounds=1),
    Measure("statement_cpu_us", "µs", _statement_cpu("simple"), BETWEEN),
    Measure("prepared_cpu_us", "µs", _statement_cpu("prepared"), BETWEEN),
    Measure("session_cpu_ms", "ms", _session_cpu, BETWEEN, rounds=5),
    Measure("cli_version", "ms", _command("--version"), ("local",), rounds=15, quick_rounds=5),
    Measure("cli_help", "ms", _command("--help"), ("local",), rounds=15, quick_rounds=5),
    Measure(
        "cli_complete",
        "ms",
        _command("__complete", "connect", ""),
        ("local",),
        rounds=15,
        quick_rounds=5,
    ),
    Measure(
        "connect_to_first_row_ms",
        "ms",
        _connect_to_first_row("on"),
        ("direct", "local"),
        rounds=15,
        quick_rounds=5,
    ),
    Measure(
        "connect_by_vault_ms",
        "ms",
        _connect_to_first_row("off"),
        ("direct", "local"),
        rounds=15,
        quick_rounds=5,
    ),
)
NAMES = {measure.name: measure for measure in MEASURES}
