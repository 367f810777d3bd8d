"""Random sequences through the gate give what the same sequences give at a server directly.

Two databases with the same contents: one behind a gate, one without.  A refused message is, at the
one without, the text that the gate puts in its place; all that the client gets must be the same,
modulo our error for the server's.  ``HOOP_LONG=1`` runs 20,000 sequences, CI a few hundred.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

import pytest

from hoopcli.demo.postgres import Postgres
from hoopcore.masking import Bound, Masking
from hoopcore.protocols.postgres import refuse, wire
from hoopcore.statement import Reading
from hoopcore.stream import Ask, AskKind, ProtocolError, Refusal
from tests.wire import sequences
from tests.wire.gate import NO_MASKS, Gate, Hang, Server, catalog, messages
from tests.wire.sequences import JUDGED, REFUSAL, SECRET, Step

LONG = bool(os.environ.get("HOOP_LONG"))
COUNT = 20_000 if LONG else 300
SEED = int(os.environ.get("HOOP_SEED", "0"))

# Ends whatever a sequence has left open, and says so: COPY IN, skipping, a transaction, settings.
END = b"".join(
    (
        sequences.COPY_FAIL,
        sequences.SYNC,
        wire.query(b"rollback"),
        wire.query(b"discard all"),
        wire.query(b"truncate c; delete from t where id > 20; select 'that was all'"),
    )
)

# Where the gate ends a session that a server would go on with, and how often it may.
GIVEN_UP = {
    "a COPY failed, and the client goes on without Sync": "failed COPY without Sync",
    "a COPY failed, and the client went on without Sync": "failed COPY without Sync",
    "a COPY out of relations with masked columns": "COPY out behind SET without Sync",
    # Prepared by Parse, run by an EXECUTE in SQL: nobody's driver does, and masks are not guessed.
    "a COPY out that was not foretold": "COPY out run by its name in SQL",
}
_SAID_ALL = b"that was all"

MASKS = """
detectors = ["card"]
[[mask]]
column = "public.secrets.secret"
style = "full"
"""


@dataclass
class Pair:
    """The same database twice."""

    postgres: Postgres
    bound: Bound
    masked: bool
    gated: Server = field(init=False)
    direct: Server = field(init=False)

    def __post_init__(self) -> None:
        self.reconnect()

    def reconnect(self) -> None:
        self.gated = Server(self.postgres, "gated")
        self.direct = Server(self.postgres, "direct")

    def close(self) -> None:
        self.gated.close()
        self.direct.close()

    def renew(self) -> None:
        """Both as new: a session that the gate has ended has done less than the other."""
        self.close()
        self.reconnect()
        for server in (self.gated, self.direct):
            run_direct(server, wire.query(sequences.QUIET) + wire.query(sequences.RESET) + END)


@pytest.fixture(scope="module", params=["postgres", "postgres15"])
def databases(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    postgres: Postgres = request.getfixturevalue(request.param)
    postgres.psql("create database direct")
    postgres.psql(sequences.SCHEMA, "direct")
    postgres.psql("create database gated template direct")  # the same oids
    yield postgres
    for name in ("gated", "direct"):
        postgres.psql(f"drop database {name} with (force)")


class Refusing:
    """Refuses the asks whose message is marked, and what masks cannot let run."""

    def __init__(self, steps: list[Step], bound: Bound) -> None:
        self.marks = iter([step for step in steps if step.kind in JUDGED])
        self.bound = bound
        self.at_end = False

    def __call__(self, ask: Ask, reading: Reading) -> Refusal | None:
        if ask.detail.kind not in JUDGED:
            return None
        mark = next(self.marks, None)
        # The gate answers the client's own use of its name by itself.
        while mark is not None and b"hoop_refused" in mark.data:
            mark = next(self.marks, None)
        if mark is None:
            return None
        if self.bound.active and (self.bound.refusal(reading) or ask.kind is AskKind.CALL):
            mark.refused = True
        return REFUSAL if mark.refused else None


def direct_bytes(steps: list[Step]) -> bytes:
    sent = []
    for step in steps:
        if b"hoop_refused" in step.data:
            step.refused = True
        sent.append(step.direct())
    return b"".join(sent) + END


def run_direct(server: Server, data: bytes) -> bytes:
    got = bytearray()
    server.send(data)
    while not got.endswith(b"I") or _SAID_ALL not in got:
        more = server.receive()
        if not more:
            break
        got += more
    return bytes(got)


def run_gated(gate: Gate, data: bytes, choice: random.Random) -> bytes:
    """Feeds the client's bytes in random pieces, between what the server says."""
    at = 0
    step = choice.choice([1 << 20, 200, 40, 7])
    while at < len(data) and not gate.gone:
        size = choice.randint(1, step)
        gate.say(data[at : at + size])
        at += size
        while choice.random() < 0.3 and gate.hear(wait=False):
            pass
    while not gate.gone and not (gate.client.endswith(b"I") and _SAID_ALL in gate.client):
        gate.hear()
    return bytes(gate.client)


def told(data: bytes, masked: bool) -> list[tuple[object, ...]]:
    """What the client got, without what may differ: notices, where statements are covered."""
    return [
        (chr(kind), *_content(kind, body, masked))
        for kind, body in messages(data)
        if not (masked and kind == wire.NOTICE)
    ]


def _content(kind: int, body: bytes, masked: bool) -> tuple[object, ...]:
    if kind in (wire.ERROR, wire.NOTICE):
        fields = wire.error_fields(body)
        code, text = fields["C"].decode(), fields["M"]
        if (code == refuse.NOT_ALLOWED and text.startswith(b"refused by rule")) or (
            code == refuse.SYNTAX_ERROR and b'at or near "hoop"' in text
        ):
            return ("refused",)
        if text.startswith((b"resource was not closed", b"buffer refcount leak")):
            text = b""  # PostgreSQL's own bug (18, 15), with the number of a buffer
        return (fields["V"], code) if masked else (fields["V"], code, text)
    if kind == wire.NOTIFICATION:
        return () if masked else (body[4:],)
    if kind == wire.PARAMETER_STATUS and masked:
        return (wire.parameter(body)[0],)
    if kind == wire.DATA_ROW and masked:
        return (body[:2],)
    return (body,)


def assert_alike(
    got: list[tuple[object, ...]], expected: list[tuple[object, ...]], about: str
) -> None:
    """The same, but that a row of a COPY may be as many NULLs: what is not certain is covered."""
    assert len(got) == len(expected), about
    for one, other in zip(got, expected, strict=True):
        assert one == other or one == _null_row(other), about


def _null_row(told: tuple[object, ...]) -> tuple[object, ...] | None:
    kind, *content = told
    if kind != chr(wire.COPY_DATA) or not isinstance(content[0], bytes):
        return None
    fields = content[0].rstrip(b"\n").split(b"\t")
    return (kind, b"\t".join(b"\\N" for _ in fields) + b"\n")


def compare(pair: Pair, seed: int, outcome: Counter[str]) -> None:
    steps = sequences.Maker(seed).sequence()
    choice = random.Random(seed)
    gate = Gate(pair.gated, pair.bound, Refusing(steps, pair.bound))
    data = b"".join(step.data for step in steps) + END
    shown = "\n".join(repr(step) for step in steps)
    try:
        got = run_gated(gate, data, choice)
    except ProtocolError as problem:
        if str(problem) not in GIVEN_UP:
            raise AssertionError(f"seed {seed}: {problem}\n{shown}") from problem
        outcome[GIVEN_UP[str(problem)]] += 1
        pair.renew()
        return
    except Hang as problem:
        raise AssertionError(f"seed {seed}: {problem}; got {told(bytes(gate.client), False)}\n"
                             f"{shown}\n{gate.stream._lane}") from problem  # fmt: skip
    expected = run_direct(pair.direct, direct_bytes(steps))
    about = f"seed {seed}\n{shown}"
    if pair.masked:
        assert_alike(told(got, True), told(expected, True), about)
    else:
        assert told(got, False) == told(expected, False), about
    if pair.masked:
        assert SECRET not in got, f"seed {seed}\n{shown}"
    if _SAID_ALL not in expected:
        outcome["fatal"] += 1
        pair.renew()
    else:
        assert gate.stream.idle, f"seed {seed}: something is still due"
        assert gate.stream.held == 0, f"seed {seed}"
        outcome["compared"] += 1
    outcome["refused"] += sum(step.refused for step in steps)
    outcome["messages"] += len(steps)


@pytest.mark.timeout(3600 if LONG else 300)
@pytest.mark.parametrize("masked", [False, True], ids=["no masks", "masks"])
def test_client_is_never_out_of_step(databases: Postgres, masked: bool) -> None:
    bound = NO_MASKS
    if masked:
        bound = Masking.load(MASKS).bind(catalog(databases, "gated"))
    pair = Pair(databases, bound, masked)
    outcome: Counter[str] = Counter()
    with closing(pair):
        for seed in range(SEED, SEED + COUNT):
            compare(pair, seed, outcome)
            if seed % 1000 == 999:
                print(f"{seed + 1}: {dict(outcome)}", flush=True)  # noqa: T201 - a sign of life
    print(f"{COUNT} sequences: {dict(outcome)}")  # noqa: T201 - what a long run has done
    assert sum(outcome[what] for what in set(GIVEN_UP.values())) < COUNT / 50
    assert outcome["compared"] > COUNT / 2
