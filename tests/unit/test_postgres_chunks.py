"""Where the target's bytes are split never shows, under every style and with every detector."""

from __future__ import annotations

import itertools
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from hoopcore.detectors import KINDS
from hoopcore.masking import Masking
from hoopcore.protocols.postgres import wire
from hoopcore.protocols.postgres.stream import PostgresStream
from hoopcore.sql.catalog import Catalog, Table
from hoopcore.statement import Effect, Reading, Relation, Statement, Touch
from hoopcore.stream import Side

NAMES = {"ssn": "keep-last-4", "mail": "hash", "born": "year-only", "pay": "round", "memo": "null"}
MASKS = f"detectors = {list(KINDS)}\n" + "".join(
    f'[[mask]]\ncolumn = "public.people.{name}"\nstyle = "{style}"\n'
    for name, style in NAMES.items()
)
# name, type, format
COLUMNS = [
    *(("id", 23, 0), ("ssn", 25, 0), ("mail", 25, 0), ("born", 1082, 0), ("pay", 1700, 0)),
    *(("memo", 25, 0), ("note", 25, 0), ("doc", 3802, 0), ("number", 20, 1)),
]
TABLE = Table(
    20000, "public", "people", "r", tuple((n, c[0], c[1]) for n, c in enumerate(COLUMNS, 1))
)
BOUND = Masking.load(MASKS, b"a key").bind(Catalog((TABLE,)))
PEOPLE = Touch(Relation("public", "people"), Effect.READ)
COVERED = Reading((Statement(frozenset({Effect.READ}), frozenset({PEOPLE})),))
CARD = b"4111111111111111"
SECRETS = [b"ADA-SECRET", b"BO-SECRET", b"1980-05-17", b"84312.55", CARD, b"ada@host.example"]
DESCRIBED = wire.frame(
    wire.ROW_DESCRIPTION,
    struct.pack(">H", len(COLUMNS))
    + b"".join(
        name.encode() + b"\0" + struct.pack(">IhIhih", 20000, number, kind, -1, -1, format_)
        for number, (name, kind, format_) in enumerate(COLUMNS, 1)
    ),
)


def row(number: int, *, hit: bool) -> bytes:
    note = b"pay with " + CARD + b" or ada@host.example" if hit else b"nothing to see"
    cells = [
        *(b"%d" % number, b"ADA-SECRET", b"BO-SECRET", b"1980-05-17", b"84312.55", b"ADA-SECRET"),
        *(note, b'{"card": %b}' % (CARD if hit else b"7")),
        struct.pack(">q", int(CARD) if hit else number),
    ]
    body = b"".join(struct.pack(">i", len(cell)) + cell for cell in cells)
    return wire.frame(wire.DATA_ROW, struct.pack(">H", len(cells)) + body)


def stream() -> PostgresStream:
    opened = PostgresStream({"client_encoding": "UTF8"}, BOUND, "s-1")
    opened.feed(Side.CLIENT, wire.query(b"select * from public.people"))
    ask = opened.next_ask()
    assert ask is not None
    opened.forward(ask, COVERED)
    return opened


def answer(rows: list[bool]) -> bytes:
    body = b"".join(row(number, hit=hit) for number, hit in enumerate(rows))
    done = wire.frame(wire.COMMAND_COMPLETE, b"SELECT 1\0")
    return DESCRIBED + body + done + wire.ready_for_query()


def told(rows: list[bool], cuts: list[int]) -> bytes:
    """What the client reads, of the answer in these pieces; nothing that leaves holds a secret."""
    opened, data, client = stream(), answer(rows), b""
    bounds = [0, *sorted({cut % len(data) for cut in cuts}), len(data)]
    for start, stop in itertools.pairwise(bounds):
        opened.feed(Side.TARGET, data[start:stop])
        client += b"".join(opened.from_target().to_client)
        assert not any(secret in client for secret in SECRETS)
    return client


@settings(max_examples=100, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=150), st.lists(st.integers(0), max_size=9))
def test_any_split_of_an_answer_gives_the_client_the_same_bytes(
    rows: list[bool], cuts: list[int]
) -> None:
    assert told(rows, cuts) == told(rows, [])


def test_every_byte_by_itself_gives_the_client_the_same_bytes() -> None:
    rows = [True, False]
    client = told(rows, list(range(len(answer(rows)))))
    assert client == told(rows, [])
    assert client.count(b"1980-01-01") == client.count(b"84000.00") == 2
    assert client.count(b"pay with ************1111 or ***@host.example") == 1
    assert b'{"card": null            }' in client


@given(st.integers(1, 10_000))
def test_no_byte_of_a_row_leaves_before_the_whole_row_is_masked(size: int) -> None:
    opened, one = stream(), row(1, hit=True)
    opened.feed(Side.TARGET, DESCRIBED)
    opened.from_target()
    opened.feed(Side.TARGET, one[: size % len(one)])
    assert not b"".join(opened.from_target().to_client)
