"""Where the audit goes as well: a file, or syslog.

The rows in the store count; these are copies for whoever gathers them.  Each line is what
``hoop audit export`` prints, chained, so a copy is evidence of its own.

Order of the file: the file, syslog, which one a section means.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from hoopagent.audit_follow import NotNow, Tells
from hoopagent.config import AuditSink
from hoopcore.audit import Row, line, view
from hoopcore.model import rfc3339

# --- a file ---------------------------------------------------------------------------------------


class FileSink:
    """Appends; the file is opened anew each time, so whoever rotates it just moves it away."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path

    async def tell(self, rows: Sequence[Row]) -> int:
        text = "".join(f"{line(view(row))}\n" for row in rows)
        try:
            await asyncio.to_thread(_append, self._path, text.encode())
        except OSError as problem:
            raise NotNow(f"{self._path}: {problem.strerror}") from problem
        return len(rows)


def _append(path: Path, data: bytes) -> None:
    """All of it, on the disk, or none of it; OSError."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    file = os.open(path, flags, 0o600)
    try:
        before = os.fstat(file).st_size
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(file, rest) :]
            os.fdatasync(file)
        except OSError:
            os.ftruncate(file, before)  # half a line would spoil the next one
            raise
    finally:
        os.close(file)


# --- syslog ---------------------------------------------------------------------------------------

# RFC 5424: facility 13 is the audit's, severity 5 a notice.
_PRIORITY = 13 * 8 + 5
# What a datagram carries at the most; a longer row is told by its number and hash alone.
_LONGEST = 60_000


class SyslogSink:
    """RFC 5424 over a unix socket or UDP; UDP may lose a datagram, and nobody is told."""

    def __init__(self, name: str, where: str, host: str) -> None:
        self.name = name
        self._where = where
        self._host = host

    async def tell(self, rows: Sequence[Row]) -> int:
        done = 0
        try:
            with await asyncio.to_thread(self._connected) as door:
                for row in rows:
                    door.send(_rfc5424(row, self._host))
                    done += 1
        except OSError as problem:
            why = f"{self._where}: {problem.strerror or problem}"
            raise NotNow(why, done=done) from problem
        return done

    def _connected(self) -> socket.socket:
        if self._where.startswith("/"):
            return _unix(self._where)
        host, _, port = self._where.removeprefix("udp:").rpartition(":")
        family, kind, _, _, address = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_DGRAM
        )[0]
        return _met(socket.socket(family, kind), address)


def _unix(path: str) -> socket.socket:
    return _met(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), path)


def _met(door: socket.socket, address: object) -> socket.socket:
    door.settimeout(5)  # a syslog that is full must not stop us for ever
    try:
        door.connect(address)  # type: ignore[arg-type] # its kind is the socket's family
    except BaseException:
        door.close()
        raise
    return door


def _rfc5424(row: Row, host: str) -> bytes:
    at = rfc3339(row.event.at)
    head = f"<{_PRIORITY}>1 {at} {host} hoop-agent - {_message_id(row)} - "
    text = line(view(row))
    if len(text) > _LONGEST:
        text = line({"hash": row.hash, "seq": row.seq, "too_long": True})
    return head.encode() + b"\xef\xbb\xbf" + text.encode()


def _message_id(row: Row) -> str:
    return row.event.action[:32] if row.event.action.isascii() else "-"


# --- which one ------------------------------------------------------------------------------------


def sink_of(section: AuditSink, folder: Path, machine: str) -> Tells:
    """The sink that a section of the config means.  A file is one agent's, a syslog everybody's."""
    if section.file is not None:
        return FileSink(f"audit:{section.name}@{machine}", folder / section.file)
    return SyslogSink(f"audit:{section.name}", section.syslog, socket.gethostname() or "-")
