"""Where the battery is run: a server, two fillings of the same tables, and two agents before them.

``vault`` holds canaries and ``other`` other values, in databases copied from one template, so that
even their oids are alike.  The agent ``styled`` has the masks as people write them; the agent
``nulled`` has them all as ``null``: behind that one both fillings must read the same to the byte.

``Player`` runs cases on a connection, many one after the other, and starts a new one where the old
one was closed; every byte that came is kept by case.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import zstandard

from hoopcli.demo.postgres import Postgres
from hoopcore.protocols.postgres import wire
from tests.bypass import battery_schema, canaries
from tests.bypass.inside import Inside, running_inside
from tests.bypass.raw import Gone, Raw, run
from tests.servers import DEBIAN_POSTGRES, private_folder, running_postgres

MODES = ("simple", "text", "binary")
DATABASES = ("vault", "other")
BEGIN = "set search_path = shop, app, public"


class Arena:
    """Both agents, and the way past them."""

    def __init__(self, major: int, postgres: Postgres, styled: Inside, nulled: Inside) -> None:
        self.major = major
        self.postgres = postgres
        self.styled = styled
        self.nulled = nulled

    def direct(self, database: str = "vault") -> Raw:
        """Without hoop."""
        path = f"{self.postgres.socket_dir}/.s.PGSQL.{self.postgres.port}"
        return Raw(path, {"user": "postgres", "database": database})

    def recordings(self) -> bytes:
        """All that both agents have written down, decompressed."""
        unpacked = zstandard.ZstdDecompressor()
        found = [
            unpacked.stream_reader(path.read_bytes(), read_across_frames=True).read()
            for agent in (self.styled, self.nulled)
            for path in Path(agent.folder).rglob("*.zst")
        ]
        assert found
        return b"".join(found)


@contextmanager
def arena(major: int) -> Iterator[Arena]:
    """The server of that major, 18 or 15, its databases, and the agents."""
    install = None if major == 18 else DEBIAN_POSTGRES
    with ExitStack() as stack:
        postgres = stack.enter_context(running_postgres(install=install))
        fill(postgres)
        agents = [
            stack.enter_context(
                running_inside(
                    stack.enter_context(private_folder()),
                    postgres,
                    masks=masks,
                    databases=DATABASES,
                )
            )
            for masks in (battery_schema.masks(), battery_schema.masks("null"))
        ]
        yield Arena(major, postgres, *agents)


def fill(postgres: Postgres) -> None:
    """The template, and the two databases."""
    postgres.psql("create database template_shop")
    postgres.psql(canaries.SCHEMA, "template_shop")
    postgres.psql(battery_schema.SCHEMA + battery_schema.ROWS, "template_shop")
    for name, filling in zip(
        DATABASES, (battery_schema.CANARIES, battery_schema.OTHERS), strict=True
    ):
        postgres.psql(f"create database {name} template template_shop strategy file_copy")
        postgres.psql(battery_schema.filled(filling) + "analyze", name)


class Player:
    """Runs cases on a connection that ``connect`` makes, and again where one was closed."""

    def __init__(self, connect: Callable[[], Raw]) -> None:
        self._connect = connect
        self._raw: Raw | None = None
        self.closed = 0  # connections that the other side has closed

    def __enter__(self) -> Player:
        return self

    def __exit__(self, *_: object) -> None:
        if self._raw is not None:
            self._raw.close()

    def play(self, texts: Sequence[str], mode: str) -> bytes:
        """Every byte that these texts brought, in a transaction that is rolled back.

        What fails leaves the transaction as it was, so that the next text is tried all the same.
        """
        raw = self._fresh()
        raw.received.clear()
        try:
            tell(raw, "begin", "simple")
            for text in texts:
                tell(raw, "savepoint here", "simple")
                if any(kind == wire.ERROR for kind, _ in tell(raw, text, mode)):
                    tell(raw, "rollback to savepoint here", "simple")
            received = bytes(raw.received)
            tell(raw, "rollback; reset all; close all; unlisten *; deallocate all", "simple")
            tell(raw, BEGIN, "simple")
        except Gone:
            received = bytes(raw.received)
            self._raw = None
            self.closed += 1
        return received

    def batch(self, texts: Sequence[str], mode: str) -> list[bytes]:
        """What each of many brought, sent at once: each in a transaction that is rolled back."""
        raw = self._fresh()
        out = bytearray()
        for text in texts:
            data = text.encode()
            out += wire.query(b"begin")
            out += wire.query(data) if mode == "simple" else run(data, binary=mode == "binary")
            out += wire.query(b"rollback")
        answers: list[bytes] = []
        try:
            sending = threading.Thread(target=raw.send, args=(bytes(out),))
            sending.start()
            for _ in texts:
                raw.until_ready()
                raw.received.clear()
                got = raw.until_ready()
                answers.append(b"".join(wire.frame(kind, body) for kind, body in got))
                raw.until_ready()
            sending.join()
        except Gone:
            self._raw = None
            self.closed += 1
        return answers + [b""] * (len(texts) - len(answers))

    def alone(self, texts: Sequence[str], mode: str) -> bytes:
        """The same on a connection of its own, with no transaction around it."""
        with self._connect() as raw:
            tell(raw, BEGIN, "simple")
            tell(raw, "begin; rollback", "simple")
            raw.received.clear()
            try:
                for text in texts:
                    tell(raw, text, mode)
            except Gone:
                self.closed += 1
            return bytes(raw.received)

    def _fresh(self) -> Raw:
        if self._raw is None:
            self._raw = self._connect()
            tell(self._raw, BEGIN, "simple")
        return self._raw


def tell(raw: Raw, text: str, mode: str) -> list[tuple[int, bytes]]:
    """Runs one text; a COPY that wants data is given none."""
    data = text.encode()
    if mode == "simple":
        raw.send(wire.query(data))
    else:
        raw.send(run(data, binary=mode == "binary"))
    got: list[tuple[int, bytes]] = []
    while not got or got[-1][0] != wire.READY:
        got.append(raw.message())
        if got[-1][0] == wire.COPY_IN:
            raw.send(wire.frame(wire.COPY_FAIL, b"no\0"))
            if mode != "simple":
                raw.send(wire.frame(wire.SYNC))
    return got


# What differs from run to run, whoever runs it.
_VARIES = re.compile(rb"s-[0-9a-z]{10,}|duration: [0-9.]+ ms")


def read_alike(one: bytes, other: bytes) -> str:
    """What differs between two answers, in words; empty where nothing does.

    Rows come in no order that is promised.  Where one of them failed only what came before is
    known, and that it failed is published inference: so nothing is said of the two then.
    """
    if _VARIES.sub(b"", one) == _VARIES.sub(b"", other):
        return ""
    ours, theirs = _frames(one), _frames(other)
    if any(frame[:1] == b"E" for frame in (*ours, *theirs)) or ours == theirs:
        return ""
    return f"{_beside(ours, theirs)} against {_beside(theirs, ours)}"


def _beside(ours: Sequence[bytes], theirs: Sequence[bytes]) -> list[bytes]:
    left = list(ours)
    for frame in theirs:
        if frame in left:
            left.remove(frame)
    return [frame[:200] for frame in left[:3]]


def _frames(data: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(data):
        size = 1 + int.from_bytes(data[at + 1 : at + 5], "big")
        found.append(data[at : at + size])
        at += size
    return sorted(_VARIES.sub(b"", frame) for frame in found)
