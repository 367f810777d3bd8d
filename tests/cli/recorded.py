"""Recordings to look at: events to the bytes of a file, signed by a key of the tests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hoopcore.recording import Chain, End, Event, Finished, Head, Header, Notice, Said, key_id
from hoopcore.recording.frames import Packer, Seal, write_seal

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()
SESSION = "s-1c9fz4m2qk"
BEGAN = 1_800_000_000_000_000


def told() -> list[Event]:
    """A session that has one of everything that a person jumps to."""
    return [
        Said(seq=1, text="select 1", effects=("read",), t=500_000),
        Finished(
            seq=1, tag="SELECT 1", rows=1, bytes=4, columns=("?column?",), took=400, t=500_400
        ),
        Said(
            seq=2,
            text="delete from orders",
            effects=("delete",),
            touches=("public.orders:delete",),
            verdict="refuse",
            rule="no-unbounded-delete",
            reason="a DELETE or UPDATE needs a WHERE here",
            t=2_000_000,
        ),
        Said(
            seq=3,
            text="select name, ssn\n  from customers\n where ssn = ⟦ssn:3fa9c2d17b40⟧",
            effects=("read",),
            touches=("public.customers:read",),
            t=600_000_000,
        ),
        Finished(
            seq=3,
            tag="SELECT 2",
            rows=2,
            columns=("name", "ssn"),
            masked={"ssn": 2},
            by_column={"public.customers.ssn": {"ssn": 2}},
            took=2_100,
            t=600_002_100,
        ),
        Said(
            seq=4,
            text="update orders set state = 'sent'",
            effects=("update",),
            verdict="hold",
            rule="big-updates",
            reason="somebody looks at it first",
            hold="req-7h2vd9xk4p",
            t=601_000_000,
        ),
        Said(
            seq=4,
            text="update orders set state = 'sent'",
            effects=("update",),
            hold="req-7h2vd9xk4p",
            approved=("p-ben0000000",),
            t=640_000_000,
        ),
        Finished(seq=4, error="23514", took=900, t=640_000_900),
        Said(seq=5, text="select $1::int", prepared=True, effects=("read",), t=641_000_000),
        Said(seq=6, kind="run", origin=5, parameters=("4711",), effects=("read",), t=641_000_100),
        Finished(seq=6, tag="SELECT 1", rows=1, took=300, t=641_000_400),
        Notice(text="your grant ends in 5 minutes\x1b[2J", t=650_000_000),
    ]


def many(count: int) -> Iterable[Event]:
    """Statements and what became of each; every hundredth is refused."""
    for seq in range(1, count + 1):
        t = seq * 1000
        if seq % 100 == 0:
            yield Said(seq=seq, text=f"drop table t{seq}", verdict="refuse", rule="no-ddl", t=t)
        else:
            yield Said(seq=seq, text=f"select * from orders where id = {seq}", t=t)
            yield Finished(seq=seq, tag="SELECT 1", rows=1, took=300, t=t + 300)


def lines(events: Iterable[Event], *, closed: bool = True) -> tuple[list[bytes], Chain]:
    """The sealed lines of a recording, and its chain."""
    chain = Chain()
    header = Header(
        session=SESSION,
        principal="p-ada0000000",
        name="ada@example.com",
        target="prod-db",
        database="shop",
        key=key_id(PUBLIC),
    )
    found = []
    end: list[Event] = [End(cause="client left"), Head(key=key_id(PUBLIC))] if closed else []
    last = 0
    for event in [header, Head(key=key_id(PUBLIC)), *events, *end]:
        last = event.t = max(event.t, last)
        event.at = BEGAN + event.t
        if isinstance(event, Head):
            found.append(chain.head(event, SESSION, KEY.sign))
        else:
            found.append(chain.seal(event))
    return found, chain


def packed(found: Iterable[bytes], chain: Chain | None = None) -> bytes:
    """Lines to the bytes of a file, flushed behind each; sealed where the chain is given."""
    packer, data, frames = Packer(), bytearray(), []
    for n, line in enumerate(found, 1):
        piece = packer.pack(line)
        if packer.frame_began:
            frames.append((len(data), n))
        data += piece
    if chain is None:
        return bytes(data)
    data += packer.close()
    digest = hashlib.sha256(data).hexdigest()
    seal = Seal(1, SESSION, chain.n, chain.hash.decode(), digest, frames)
    return bytes(data) + write_seal(seal, KEY.sign)


def file_of(events: Iterable[Event], *, closed: bool = True) -> bytes:
    """A recording's file, sealed where it is closed."""
    found, chain = lines(events, closed=closed)
    return packed(found, chain if closed else None)
