"""Well-framed garbage from either side ends in ProtocolError or is understood; nothing else.

Random bytes find nothing, random frames find crashes.  Each example plays a client, a relay and a
target: frames that fit, frames with mutated bodies, wrong types and wrong lengths, in pieces.
``HOOP_LONG=1`` runs 100,000 examples.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable

import pytest

from hoopcore.masking import Bound, Masking
from hoopcore.protocols.postgres import wire
from hoopcore.protocols.postgres.due import TABLE, State
from hoopcore.protocols.postgres.stream import PostgresStream
from hoopcore.sql.catalog import Catalog, Table
from hoopcore.statement import Effect, Reading, Statement, unreadable
from hoopcore.stream import Ask, Out, ProtocolError, Refusal, Side
from tests.wire import sequences

COUNT = 100_000 if os.environ.get("HOOP_LONG") else 2_000
SEED = int(os.environ.get("HOOP_SEED", "0"))

MASKS = """
detectors = ["card", "email", "ssn"]
[[mask]]
column = "public.secrets.*"
style = "keep-last-4"
"""
CATALOG = Catalog((Table(20000, "public", "secrets", "r", ((1, "id", 23), (2, "secret", 25))),))

READINGS = [
    Reading(()),
    unreadable("a test"),
    *(Reading((Statement(frozenset({effect})),)) for effect in Effect),
    Reading((Statement(frozenset({Effect.READ}), opaque=True),)),
]

NAMES = [b"", b"", b"s1", b"p1", b"hoop_refused", b"\xff\xfe"]
TEXTS = [b"", b"select 1", b"x" * 300, b"\xe9"]


def _number(choice: random.Random) -> int:
    return choice.choice([0, 1, 1, 2, 3, -1, 32767, 65535, 2**31 - 1])


def _column(choice: random.Random) -> bytes:
    table = choice.choice([0, 20000, 20000, 99])
    kind = choice.choice([23, 25, 25, 1043, 17])
    return wire.cstring(choice.choice([b"id", b"\xff"])) + (
        wire.UINT32.pack(table) + wire.INT16.pack(choice.choice([0, 1, 2, 3]))
        + wire.UINT32.pack(kind) + b"\xff\xff\xff\xff\xff\xff"
        + wire.INT16.pack(choice.choice([0, 0, 1]))
    )  # fmt: skip


def _row(choice: random.Random) -> bytes:
    cells = [
        choice.choice([None, b"", b"1", b"4111111111111111", b"a@b.example", b"\xff" * 9])
        for _ in range(choice.choice([0, 1, 2, 2, 3]))
    ]
    body = wire.UINT16.pack(len(cells))
    for cell in cells:
        body += wire.INT32.pack(-1) if cell is None else wire.INT32.pack(len(cell)) + cell
    return body


def _fields(choice: random.Random) -> bytes:
    severity = choice.choice([b"ERROR"] * 30 + [b"FATAL", b"NOTICE", b""])
    code = choice.choice([b"42601", b"42601", b"22012", b"08P01", b"4", b"\xff\xff\xff\xff\xff"])
    letters = {b"S": severity, b"V": severity, b"C": code, b"M": b"text", b"D": b"\xff"}
    kept = {k: v for k, v in letters.items() if choice.random() < 0.9}
    return b"".join(k + wire.cstring(v) for k, v in kept.items()) + b"\0"


def target_body(kind: int, choice: random.Random) -> bytes:
    """A body as a target might send it."""
    if kind == wire.ROW_DESCRIPTION:
        width = choice.choice([0, 1, 2, 2, 3])
        return wire.UINT16.pack(width) + b"".join(_column(choice) for _ in range(width))
    if kind == wire.DATA_ROW:
        return _row(choice)
    if kind in (wire.ERROR, wire.NOTICE):
        return _fields(choice)
    if kind == wire.READY:
        return choice.choice([b"I", b"I", b"T", b"E"])
    if kind == wire.COMMAND_COMPLETE:
        return wire.cstring(choice.choice([b"SELECT 1", b"\xff"]))
    if kind == wire.PARAMETER_STATUS:
        names = [b"client_encoding", b"application_name", b"standard_conforming_strings"]
        name = choice.choice(names)
        values = [b"UTF8", b"SJIS"]
        if name != b"client_encoding" or choice.random() < 0.9:
            values = [b"UTF8", b"LATIN1"] if name == b"client_encoding" else [b"off", b"\xff"]
        return wire.cstring(name) + wire.cstring(choice.choice(values))
    if kind == wire.NOTIFICATION:
        return b"\0\0\0\1" + wire.cstring(b"ch") + wire.cstring(b"payload")
    if kind in (wire.COPY_IN, wire.COPY_OUT):
        return b"\0\0\0"
    if kind == wire.PARAMETER_DESCRIPTION:
        return b"\0\0"
    return b"" if kind != wire.COPY_DATA else b"1\tone\n"


def client_frame(choice: random.Random) -> bytes:
    """A message as a client might send it."""
    portal, statement = choice.choice(NAMES), choice.choice(NAMES)
    makers: list[Callable[[], bytes]] = [
        lambda: wire.query(choice.choice(TEXTS)),
        lambda: wire.parse(statement, choice.choice(TEXTS)),
        lambda: sequences.bind(portal, statement, (b"1",) * choice.randint(0, 2)),
        lambda: sequences.execute(portal, choice.choice([0, 1])),
        lambda: sequences.describe(b"P", portal),
        lambda: sequences.describe(b"S", statement),
        lambda: sequences.close(choice.choice([b"S", b"P"]), portal),
        lambda: sequences.copy_data(b"1\tone\n"),
        lambda: sequences.COPY_DONE,
        lambda: sequences.COPY_FAIL,
        lambda: sequences.FLUSH,
        lambda: sequences.SYNC,
        lambda: sequences.SYNC,
        *[lambda: sequences.INT4ABS] * (choice.random() < 0.1),
    ]
    return choice.choice(makers)()


def mutated(frame: bytes, choice: random.Random) -> bytes:
    """The frame with a broken body, type or length; mostly framed well."""
    how = choice.randrange(6)
    body = bytearray(frame[5:])
    if how == 0:
        return wire.frame(choice.randrange(256), bytes(body))
    if how == 1:
        return bytes([frame[0]]) + wire.INT32.pack(choice.choice([-1, 0, 3, 2**31 - 1])) + body
    if how == 2 and body:
        body[choice.randrange(len(body))] = choice.randrange(256)
    elif how == 3 and body:
        del body[choice.randrange(len(body)) :]
    elif how == 4:
        body += choice.randbytes(choice.randint(1, 9))
    elif len(body) >= 2:
        at = choice.randrange(len(body) - 1)
        body[at : at + 2] = wire.UINT16.pack(_number(choice) & 0xFFFF)
    return wire.frame(frame[0], bytes(body))


class Example:
    """One session of garbage."""

    def __init__(self, seed: int) -> None:
        self.choice = choice = random.Random(seed)
        bounds: list[Bound] = [
            Masking().bind(None),
            Masking.load(MASKS).bind(None),
            Masking.load(MASKS).bind(CATALOG),
        ]
        parameters = {"client_encoding": "UTF8", "standard_conforming_strings": "on"}
        self.stream = PostgresStream(parameters, choice.choice(bounds), "s-1")
        self.wild = choice.choice([0.0, 0.01, 0.05])
        self.open: list[Ask] = []

    def run(self) -> None:
        for _ in range(self.choice.randint(1, 40)):
            turn = self.choice.random()
            if turn < 0.45:
                self._client()
            elif turn < 0.95:
                self._target()
            else:
                self._agent()
            assert self.stream.held >= 0
            assert self.stream.idle in (True, False)

    def _client(self) -> None:
        data = b"".join(self._wild(client_frame(self.choice)) for _ in range(3))
        self._feed(Side.CLIENT, data)
        self._turn()

    def _turn(self) -> None:
        while (ask := self.stream.next_ask()) is not None:
            reading = ask.reading or self.choice.choice(READINGS)
            if self.choice.random() < 0.8:
                self._check(self.stream.forward(ask, reading))
            else:
                self._check(self.stream.refuse(ask, reading, Refusal("r", "because \0 é")))
        self._check(self.stream.pump())

    def _target(self) -> None:
        for _ in range(self.choice.randint(1, 9)):
            self._feed(Side.TARGET, self._reply())
            self._check(self.stream.from_target())
            if self.stream.ready_again:
                self._turn()

    def _reply(self) -> bytes:
        """Mostly one that fits what is due."""
        head = self.stream._lane.due.head
        choice = self.choice
        kinds = list(b"NAS")
        if choice.random() < self.wild:
            kinds = list(wire.FROM_TARGET)
        elif head is not None and head.refusal is not None and head.state is State.START:
            return wire.error_response("ERROR", choice.choice(["42601", "25P02"]), "syntax error")
        elif head is not None:
            fitting = list(TABLE.get((head.kind, head.state), {}))
            kinds += fitting * 8 + [wire.ERROR] * (head.state is not State.FAILED)
        kind = choice.choice(kinds)
        return self._wild(wire.frame(kind, target_body(kind, choice)))

    def _agent(self) -> None:
        if self.choice.random() < 0.9:
            self._check(self.stream.say("a notice \0 ü"))
        else:
            self._check(self.stream.end("57P01", "enough"))

    def _wild(self, frame: bytes) -> bytes:
        return mutated(frame, self.choice) if self.choice.random() < self.wild else frame

    def _feed(self, side: Side, data: bytes) -> None:
        cut = self.choice.randint(0, len(data))
        self.stream.feed(side, data[:cut])
        if side is Side.TARGET and self.choice.random() < 0.5:
            self._check(self.stream.from_target())
        self.stream.feed(side, data[cut:])

    def _check(self, out: Out) -> None:
        for piece in (*out.to_client, *out.to_target):
            assert len(piece) > 0


def test_well_framed_garbage_is_understood_or_a_protocol_error() -> None:
    outcome: Counter[str] = Counter()
    for seed in range(SEED, SEED + COUNT):
        try:
            Example(seed).run()
        except ProtocolError as problem:
            outcome[str(problem)] += 1
        except Exception as problem:  # noqa: BLE001 - what the test is about
            pytest.fail(f"seed {seed}: {problem!r}")
        else:
            outcome["understood"] += 1
    print(f"{COUNT} examples: {dict(outcome.most_common())}")  # noqa: T201
    assert outcome["understood"] > COUNT / 20
    assert outcome["understood"] < COUNT
