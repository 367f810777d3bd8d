"""A client that keeps every byte it is sent, and sends whatever it is told to."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from hoopcore.protocols.postgres import wire
from hoopcore.protocols.postgres.incoming import Incoming

PATIENCE = 30.0  # seconds without a byte: a hang


class Gone(Exception):
    """The other side has closed the connection."""


class Raw:
    """One connection; ``received`` is all that came behind the login."""

    def __init__(
        self, address: str | tuple[str, int], startup: Mapping[str, str], *, small: int = 0
    ) -> None:
        self.socket = connected(address, small=small)
        self.received = bytearray()
        self.parameters: dict[str, str] = {}
        self.user = startup.get("user", "")
        self.pid, self.secret = 0, b""
        self.socket.sendall(wire.startup_message(dict(startup)))
        self._incoming = Incoming()
        try:
            self.greeting = self.until_ready()
        except BaseException:
            self.socket.close()
            raise
        for kind, body in self.greeting:
            if kind == wire.PARAMETER_STATUS:
                name, value = wire.parameter(body)
                self.parameters[name] = value
            elif kind == wire.BACKEND_KEY_DATA:
                self.pid, self.secret = wire.UINT32.unpack(body[:4])[0], body[4:]
        self.received.clear()

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Sends it; a connection that is closed under it says so in what is read next."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def message(self) -> tuple[int, bytes]:
        """The next message; Gone where there is none any more."""
        incoming = self._incoming
        while (header := incoming.header()) is None or not incoming.has(header[1]):
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            if not data:
                raise Gone
            self.received += data
            incoming.feed(data)
        piece = bytes(incoming.piece(header[1]))
        return header[0], piece[5:]

    def until(self, stop: int, times: int = 1) -> list[tuple[int, bytes]]:
        """Messages up to so many of that kind."""
        got: list[tuple[int, bytes]] = []
        while times:
            got.append(self.message())
            times -= got[-1][0] == stop
        return got

    def until_ready(self, times: int = 1) -> list[tuple[int, bytes]]:
        return self.until(wire.READY, times)

    def ask(self, data: bytes, times: int = 1) -> list[tuple[int, bytes]]:
        """Sends it and reads until the server is ready."""
        self.send(data)
        return self.until_ready(times)

    def query(self, text: str) -> list[tuple[int, bytes]]:
        """One Query."""
        return self.ask(wire.query(text.encode()))

    def until_gone(self) -> list[tuple[int, bytes]]:
        """Everything up to the end of the connection."""
        got = []
        while True:
            try:
                got.append(self.message())
            except Gone:
                return got


def connected(address: str | tuple[str, int], *, small: int = 0) -> socket.socket:
    """A plain connection, with a small receive buffer where one is asked for."""
    made = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    if small:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, small)
    made.settimeout(PATIENCE)
    made.connect(address)
    return made


def kinds(got: list[tuple[int, bytes]]) -> str:
    return "".join(chr(kind) for kind, _ in got)


def codes(got: list[tuple[int, bytes]]) -> list[str]:
    """SQLSTATEs of the errors."""
    return [wire.sqlstate(wire.error_fields(body)) for kind, body in got if kind == wire.ERROR]


def said(got: list[tuple[int, bytes]]) -> str:
    """Texts of the errors."""
    return " ".join(
        wire.error_fields(body).get("M", b"").decode() for kind, body in got if kind == wire.ERROR
    )


def values(got: list[tuple[int, bytes]]) -> list[list[bytes | None]]:
    """The rows."""
    rows = []
    for kind, body in got:
        if kind == wire.DATA_ROW:
            reader = wire.Body(body)
            rows.append([reader.value() for _ in range(reader.uint16())])
    return rows


def run(text: bytes, *, binary: bool = False, name: bytes = b"") -> bytes:
    """Parse, Bind, Describe, Execute and Sync of a text without parameters."""
    form = wire.UINT16.pack(1) + wire.UINT16.pack(int(binary))
    bound = wire.cstring(b"") + wire.cstring(name) + wire.UINT16.pack(0) * 2 + form
    return (
        wire.parse(name, text)
        + wire.frame(wire.BIND, bound)
        + wire.describe_portal(b"")
        + wire.frame(wire.EXECUTE, wire.cstring(b"") + wire.INT32.pack(0))
        + wire.frame(wire.SYNC)
    )
