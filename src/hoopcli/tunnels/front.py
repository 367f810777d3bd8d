"""What a client meets at the near end: who are you, and then nothing but its own bytes.

A client of the unix socket is known by the kernel's word, one of the loopback port by a password,
checked by SCRAM-SHA-256 alone: what is said there is of no use to whoever listens, and a client is
shown that this end knows the password too.  Where the kernel says whose the other end of a
loopback connection is, somebody else's is refused even with the password.

Only when a client has proved itself is the agent asked for a lane.  What goes wrong is told as
PostgreSQL tells it, so that a client shows words and not a connection that was reset.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import sys
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hoopcore.protocols.postgres import scram, wire
from hoopcore.stream import ProtocolError

# No SCRAM message of a client is near it.
_LARGEST_PROOF = 4096


class NotLetIn(Exception):
    """Who does not prove themselves; the text is what everybody hears, whatever the reason."""

    def __init__(self) -> None:
        super().__init__("no such user here, or a wrong password")


@dataclass(frozen=True, slots=True)
class Start:
    """A client that has proved itself, and the packet it began with."""

    packet: bytes  # without its length
    database: str

    def as_user(self, user: str) -> bytes:
        """The packet to begin a lane with; under another name where one is given.

        libpq names the user as the database where it was given none, so that goes too.
        """
        if not user:
            return (len(self.packet) + 4).to_bytes(4, "big") + self.packet
        given = wire.startup_parameters(self.packet[4:])
        before = given.get(b"user", b"")
        given[b"user"] = user.encode()
        if given.get(b"database") == before:
            del given[b"database"]
        pairs = b"".join(name + b"\0" + value + b"\0" for name, value in given.items())
        body = self.packet[:4] + pairs + b"\0"
        return (len(body) + 4).to_bytes(4, "big") + body


@dataclass(frozen=True, slots=True)
class Cancel:
    """A client that only wants a statement of another connection to end."""

    packet: bytes  # with its length


async def meet(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, verifier: scram.Verifier | None
) -> Start | Cancel:
    """What the client wants, once it has proved itself.

    Raises NotLetIn, ProtocolError and EOFError; with no verifier its proof was the kernel's word.
    """
    packet = await _first_packet(reader, writer)
    code = int.from_bytes(packet[:4], "big")
    if code == wire.CANCEL_REQUEST:
        return Cancel((len(packet) + 4).to_bytes(4, "big") + packet)
    if code >> 16 != 3:
        raise ProtocolError(f"protocol {code >> 16}.{code & 0xFFFF} is not supported, only 3")
    given = wire.startup_parameters(packet[4:])
    if verifier is not None:
        await _challenge(reader, writer, verifier)
    return Start(packet, given.get(b"database", b"").decode("utf-8", "replace"))


async def _first_packet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The first packet that is no request for encryption, of which there is none here."""
    asked: set[int] = set()
    while True:
        length = int.from_bytes(await reader.readexactly(4), "big")
        if not 8 <= length <= wire.MAX_STARTUP:
            raise ProtocolError("invalid length of startup packet")
        packet = await reader.readexactly(length - 4)
        code = int.from_bytes(packet[:4], "big")
        if code not in (wire.SSL_REQUEST, wire.GSSENC_REQUEST):
            return packet
        if len(packet) > 4 or code in asked:
            raise ProtocolError("malformed request for encryption")
        asked.add(code)
        writer.write(b"N")


async def _challenge(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, verifier: scram.Verifier
) -> None:
    writer.write(wire.authentication(10, scram.MECHANISM.encode() + b"\0\0"))
    exchange = scram.ServerExchange(verifier, b64encode(os.urandom(18)))
    initial = await _proof(reader)
    mechanism, _, rest = initial.partition(b"\0")
    if mechanism != scram.MECHANISM.encode() or int.from_bytes(rest[:4], "big") != len(rest) - 4:
        raise ProtocolError("malformed SASL message, or a mechanism that was not offered")
    writer.write(wire.authentication(11, exchange.first(rest[4:])))
    try:
        signature = exchange.final(await _proof(reader))
    except scram.WrongPassword:
        raise NotLetIn from None
    writer.write(wire.authentication(12, signature))


async def _proof(reader: asyncio.StreamReader) -> bytes:
    kind, length = wire.HEADER.unpack(await reader.readexactly(5))
    if kind != wire.PASSWORD or not 4 < length <= _LARGEST_PROOF:
        raise ProtocolError("expected an answer to the password challenge")
    return await reader.readexactly(length - 4)


class Frames:
    """Whether a stream of messages stands between two of them, told from its bytes alone.

    A word of ours may only go to a client there: anywhere else it would be read as part of a row.
    """

    def __init__(self) -> None:
        self._left = 0  # bytes of the frame under way
        self._head = b""  # a header that is not whole
        self.fatal = False  # the last whole header seen was an error's

    def feed(self, data: bytes) -> None:
        place, end = 0, len(data)
        if self._head:
            need = 5 - len(self._head)
            self._head += data[:need]
            place = need
            if len(self._head) < 5:
                return
            self._left = self._begin(self._head, 0)
            self._head = b""
        while True:
            if self._left > end - place:
                self._left -= end - place
                return
            place += self._left
            self._left = 0
            if end - place < 5:
                self._head = data[place:]
                return
            self._left = self._begin(data, place)
            place += 5

    def _begin(self, data: bytes, place: int) -> int:
        kind, length = wire.HEADER.unpack_from(data, place)
        self.fatal = kind == wire.ERROR
        return max(int(length) - 4, 0)

    @property
    def between(self) -> bool:
        return not self._left and not self._head


# --- the kernel's word ----------------------------------------------------------------------------


def uid_of_unix(connection: socket.socket) -> int | None:
    """Whose process is at the other end of a unix socket; None where the kernel does not say."""
    try:
        if sys.platform == "darwin":
            # SOL_LOCAL 0, LOCAL_PEERCRED 1: struct xucred is version, uid, groups.
            version, uid = struct.unpack("=II", connection.getsockopt(0, 1, 76)[:8])
            return int(uid) if version == 0 else None
        found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int(struct.unpack("=iII", found)[1])
    except (OSError, struct.error):
        return None


def uid_of_tcp(peer: tuple[str, int], here: tuple[str, int], table: str = "") -> int | None:
    """Whose socket the other end of a loopback connection is; None where nobody says.

    Linux lists them all, with their owners: local and remote address in hex, and the uid.  A
    client's socket may be one of IPv6, which has the same addresses behind a prefix of its own.
    """
    ends = [_in_hex(*peer), _in_hex(*here)]
    wanted = (ends, [_MAPPED + end for end in ends])
    for text in [table] if table else _tables():
        for line in text.splitlines()[1:]:
            fields = line.split()
            if fields[1:3] in wanted:
                return int(fields[7])
    return None


_MAPPED = "0000000000000000FFFF0000"  # ::ffff:0:0/96, as Linux writes it


def _tables() -> Iterator[str]:
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError, ValueError):
            yield Path("/proc/net", name).read_text("ascii")


def _in_hex(host: str, port: int) -> str:
    (number,) = struct.unpack("=I", socket.inet_aton(host))
    return f"{number:08X}:{port:04X}"


def uid_of_listener(port: int, table: str = "") -> int | None:
    """Who listens on a port of the loopback or of all addresses; None where nobody says."""
    if not table:
        try:
            table = Path("/proc/net/tcp").read_text("ascii")
        except (OSError, ValueError):
            return None
    wanted = (_in_hex("127.0.0.1", port), _in_hex("0.0.0.0", port))  # noqa: S104 - only compared
    for line in table.splitlines()[1:]:
        fields = line.split()
        if fields[1] in wanted and fields[3] == "0A":  # LISTEN
            return int(fields[7])
    return None
