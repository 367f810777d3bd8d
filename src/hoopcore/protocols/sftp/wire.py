"""Packets of SFTP version 3, as draft-ietf-secsh-filexfer-02 has them and OpenSSH speaks them.

Order of the file: numbers, reading fields, making packets.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final

VERSION_SPOKEN: Final = 3

LARGEST: Final = (256 << 10) + 1024
"""Bytes of a packet: OpenSSH takes 256 KiB, and some servers give a little more."""

LONGEST_HANDLE: Final = 256
LONGEST_PATH: Final = 4096


class Type(IntEnum):
    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    LSTAT = 7
    FSTAT = 8
    SETSTAT = 9
    FSETSTAT = 10
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    MKDIR = 14
    RMDIR = 15
    REALPATH = 16
    STAT = 17
    RENAME = 18
    READLINK = 19
    SYMLINK = 20
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 200
    EXTENDED_REPLY = 201


class Code(IntEnum):
    """What a STATUS says."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3
    FAILURE = 4
    BAD_MESSAGE = 5
    NO_CONNECTION = 6
    CONNECTION_LOST = 7
    OP_UNSUPPORTED = 8


class Flag(IntEnum):
    """How a file is opened.  Neither READ nor WRITE is READ for OpenSSH."""

    READ = 1
    WRITE = 2
    APPEND = 4
    CREAT = 8
    TRUNC = 16
    EXCL = 32


FLAGS: Final = 63

_SIZE, _OWNER, _MODE, _TIMES, _MORE = 1, 2, 4, 8, 0x80000000

_DIRECTORY: Final = 0o040000
_KINDS: Final = 0o170000


class Unreadable(Exception):
    """In a few words what cannot be read; nothing of what was sent."""


# --- reading --------------------------------------------------------------------------------------


class Fields:
    """The fields of one packet, one after the other."""

    __slots__ = ("_data", "at")

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self.at = at

    def u32(self) -> int:
        return int.from_bytes(self._take(4))

    def u64(self) -> int:
        return int.from_bytes(self._take(8))

    def string(self) -> bytes:
        return self._take(self.u32())

    def handle(self) -> bytes:
        handle = self.string()
        if len(handle) > LONGEST_HANDLE:
            raise Unreadable("a handle is too long")
        return handle

    def path(self) -> bytes:
        path = self.string()
        if len(path) > LONGEST_PATH or b"\0" in path:
            raise Unreadable("a path is too long, or has a zero in it")
        return path

    def attributes(self) -> Attributes:
        flags = self.u32()
        if flags & ~(_SIZE | _OWNER | _MODE | _TIMES | _MORE):
            raise Unreadable("attributes have flags that version 3 does not know")
        size = self.u64() if flags & _SIZE else None
        self._take(8 if flags & _OWNER else 0)
        mode = self.u32() if flags & _MODE else None
        self._take(8 if flags & _TIMES else 0)
        if flags & _MORE:
            for _ in range(min(self.u32(), LARGEST)):
                self.string()
                self.string()
        return Attributes(size, mode)

    def end(self) -> None:
        """There is nothing more: what we did not look at is not passed on."""
        if self.at != len(self._data):
            raise Unreadable("a packet is longer than what it says")

    def rest(self) -> bytes:
        return self._take(len(self._data) - self.at)

    def _take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self._data):
            raise Unreadable("a packet is shorter than what it says")
        found = self._data[self.at : end]
        self.at = end
        return found


class Attributes:
    """As far as anybody asks for them."""

    __slots__ = ("mode", "size")

    def __init__(self, size: int | None, mode: int | None) -> None:
        self.size = size
        self.mode = mode

    @property
    def may_be_folder(self) -> bool:
        return self.mode is None or self.mode & _KINDS == _DIRECTORY

    @property
    def permissions(self) -> str:
        """Octal; empty where they are not told."""
        return "" if self.mode is None else f"{self.mode & 0o7777:04o}"


# --- making ---------------------------------------------------------------------------------------


def packet(kind: int, id: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">IBI", len(body) + 5, kind, id) + body


def u32(value: int) -> bytes:
    return value.to_bytes(4)


def u64(value: int) -> bytes:
    return value.to_bytes(8)


def string(value: bytes) -> bytes:
    return len(value).to_bytes(4) + value


def status(id: int, code: int, words: str) -> bytes:
    return packet(Type.STATUS, id, u32(code), string(words.encode()[:1024]), string(b"en"))
