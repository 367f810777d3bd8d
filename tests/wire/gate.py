"""A gate in one thread: a PostgresStream between a client's bytes and a real server's socket.

What the agent's relay does with callbacks stands here in straight lines, so that a test decides
what is fed when.  ``serve`` puts it behind a port, for drivers.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hoopcli.demo.postgres import Postgres
from hoopcore.masking import Bound, Masking
from hoopcore.protocols.postgres import wire
from hoopcore.protocols.postgres.incoming import Incoming
from hoopcore.protocols.postgres.stream import PostgresStream
from hoopcore.sql.catalog import CATALOG_QUERY, TEXTS_QUERY, Catalog, catalog_of
from hoopcore.sql.postgres import read
from hoopcore.statement import Reading
from hoopcore.stream import Ask, Out, ProtocolError, Refusal, Seen, Side

PATIENCE = 10.0  # seconds without a byte: a hang
NO_MASKS = Masking().bind(None)

Verdict = Callable[[Ask, Reading], Refusal | None]


def allow(ask: Ask, reading: Reading) -> Refusal | None:
    return None


class Hang(AssertionError):
    """Nobody says anything any more."""


class Server:
    """A raw, logged-in connection to a real server."""

    def __init__(self, postgres: Postgres, database: str = "postgres", **startup: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(postgres.socket_dir / f".s.PGSQL.{postgres.port}"))
        self.socket.settimeout(PATIENCE)
        names = {"user": "postgres", "database": database, **startup}
        self.socket.sendall(wire.startup_message(names))
        self.parameters: dict[str, str] = {}
        self.pid = 0
        self.secret = b""
        self.greeting = b""  # all that came up to the first ReadyForQuery
        incoming = Incoming()
        while True:
            header = incoming.header()
            if header is None or not incoming.has(header[1]):
                incoming.feed(self.receive())
                continue
            kind, size = header
            message = bytes(incoming.piece(size))
            self.greeting += message
            if kind == wire.PARAMETER_STATUS:
                name, value = wire.parameter(message[5:])
                self.parameters[name] = value
            elif kind == wire.BACKEND_KEY_DATA:
                self.pid, self.secret = wire.Body(message, 5).uint32(), message[9:]
            elif kind == wire.READY:
                return
            elif kind == wire.ERROR:
                raise AssertionError(message)

    def receive(self) -> bytes:
        """Some bytes; none where the server has gone."""
        try:
            return self.socket.recv(1 << 16)
        except ConnectionResetError:
            return b""
        except TimeoutError:
            raise Hang("the server says nothing") from None

    def send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has said why, in what is still to be read
        except TimeoutError:
            raise Hang("the server takes nothing") from None

    def close(self) -> None:
        self.socket.close()


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The kinds and bodies of whole messages."""
    incoming = Incoming()
    incoming.feed(data)
    while (header := incoming.header()) is not None:
        assert incoming.has(header[1]), "a message is cut short"
        yield header[0], bytes(incoming.piece(header[1]))[5:]
    assert not len(incoming)


def read_ask(ask: Ask, settings: dict[str, str]) -> Reading:
    """What the relay's reader would find."""
    return read(
        ask.text,
        encoding=settings.get("client_encoding", "UTF8"),
        standard_strings=settings.get("standard_conforming_strings") == "on",
        trusted=ask.trusted,
    )


class Gate:
    """One stream, driven step by step; ``client`` gathers what the client gets."""

    def __init__(self, server: Server, bound: Bound = NO_MASKS, verdict: Verdict = allow) -> None:
        self.server = server
        self.stream = PostgresStream(server.parameters, bound, "s-0123456789")
        self.verdict = verdict
        self.reader: Callable[[Ask, dict[str, str]], Reading] = read_ask
        self.client = bytearray()
        self.sent = bytearray()  # to the server
        self.asks: list[Ask] = []
        self.seen: list[Seen] = []
        self.gone = False  # the server has closed

    def say(self, data: bytes) -> None:
        """The client sends this."""
        self.stream.feed(Side.CLIENT, data)
        self._client_turn()

    def hear(self, *, wait: bool = True) -> bool:
        """Takes what the server says; False where it says nothing (now) or has gone."""
        if not wait and not select.select([self.server.socket], [], [], 0)[0]:
            return False
        data = self.server.receive()
        if not data:
            self.gone = True
            return False
        self.take(data)
        return True

    def take(self, data: bytes) -> None:
        """The server has said this."""
        self.stream.feed(Side.TARGET, data)
        self._do(self.stream.from_target())
        if self.stream.ready_again:
            self._client_turn()

    def until_ready(self, times: int = 1) -> list[tuple[int, bytes]]:
        """Runs until so many ReadyForQuery have reached the client; what it got, cleared."""
        while True:
            got = list(messages(bytes(self.client)))
            if sum(kind == wire.READY for kind, _ in got) >= times:
                self.client.clear()
                return got
            assert self.hear(), "the server has gone"

    def ask(self, data: bytes, times: int = 1) -> list[tuple[int, bytes]]:
        """Says it and runs until the server is ready."""
        self.say(data)
        return self.until_ready(times)

    def _client_turn(self) -> None:
        while (ask := self.stream.next_ask()) is not None:
            self.asks.append(ask)
            reading = ask.reading
            if reading is None:
                reading = self.reader(ask, self.stream.settings)
            refusal = self.verdict(ask, reading)
            if refusal is None:
                self._do(self.stream.forward(ask, reading))
            else:
                self._do(self.stream.refuse(ask, reading, refusal))
        self._do(self.stream.pump())

    def _do(self, out: Out) -> None:
        data = b"".join(out.to_target)
        self.sent += data
        if data:
            self.server.send(data)
        for piece in out.to_client:
            self.client += piece
        self.seen += out.seen


# --- for drivers --------------------------------------------------------------------------------


def _serve_one(client: socket.socket, make: Callable[[], Gate]) -> None:
    """Plain trust login, then a gate until either side leaves.  Cancel and TLS are answered no."""
    with client:
        while True:
            (size,) = wire.UINT32.unpack(client.recv(4, socket.MSG_WAITALL))
            body = client.recv(size - 4, socket.MSG_WAITALL)
            if wire.UINT32.unpack(body[:4])[0] not in (wire.SSL_REQUEST, wire.GSSENC_REQUEST):
                break
            client.sendall(b"N")
        gate = make()
        client.sendall(gate.server.greeting)
        try:
            while not gate.gone:
                ready, _, _ = select.select([client, gate.server.socket], [], [], PATIENCE)
                if client in ready:
                    data = client.recv(1 << 16)
                    if not data:
                        return
                    gate.say(data)
                if gate.server.socket in ready:
                    gate.hear()
                if gate.client:
                    client.sendall(gate.client)
                    gate.client.clear()
        except ProtocolError as problem:
            client.sendall(b"".join(gate.stream.end("08P01", str(problem)).to_client))
        except OSError:
            pass  # the client has gone
        finally:
            gate.server.close()


@contextmanager
def serve(make: Callable[[], Gate]) -> Iterator[int]:
    """A loopback port on which each connection gets a gate of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=_serve_one, args=(client, make), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE)


def catalog(postgres: Postgres, database: str = "postgres") -> Catalog:
    """The database's catalog, as the agent reads it."""
    import psycopg

    with psycopg.connect(postgres.dsn(database)) as connection:
        relations = connection.execute(CATALOG_QUERY.encode()).fetchall()
        texts = connection.execute(TEXTS_QUERY.encode()).fetchall()
    return catalog_of(relations, texts)
