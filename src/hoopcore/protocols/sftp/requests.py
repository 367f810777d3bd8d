"""What a person can ask for by SFTP: each request, read to its last byte, and what it does.

A request that is not in these tables is answered by the agent, and never passed on.

Order of the file: shapes, extensions, one request, names of files.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from hoopcore.command import Text
from hoopcore.protocols.sftp.wire import FLAGS, Attributes, Fields, Flag, Type, string
from hoopcore.shell.seeing import plain_path


class Way(Enum):
    """How the target reads a path of a request."""

    FOLLOWED = 1  # to wherever its links lead
    ITSELF = 2  # the last part is meant itself, be it a link
    SAID = 3  # only its words matter


@dataclass(frozen=True, slots=True)
class Shape:
    """``action`` is one of ``command.ACTIONS``; empty for OPEN, whose flags tell."""

    action: str
    ways: tuple[Way, ...]
    flags: bool = False
    attributes: bool = False


_FOLLOWED, _ITSELF, _SAID = (Way.FOLLOWED,), (Way.ITSELF,), (Way.SAID,)

Kind: TypeAlias = int | bytes
"""A type of packet, or the name of an extension."""

NAMED: Final[dict[Kind, Shape]] = {
    Type.OPEN: Shape("", _FOLLOWED, flags=True, attributes=True),
    Type.OPENDIR: Shape("list", _FOLLOWED),
    Type.STAT: Shape("look", _FOLLOWED),
    Type.LSTAT: Shape("look", _ITSELF),
    Type.READLINK: Shape("look", _ITSELF),
    Type.REALPATH: Shape("look", _FOLLOWED),
    Type.REMOVE: Shape("remove", _ITSELF),
    Type.RMDIR: Shape("remove", _ITSELF),
    Type.MKDIR: Shape("make", _ITSELF, attributes=True),
    Type.SETSTAT: Shape("change", _FOLLOWED, attributes=True),
    Type.RENAME: Shape("rename", _ITSELF * 2),
    # What it points to stands first: OpenSSH's order, which is not the draft's.
    Type.SYMLINK: Shape("link", _SAID + _ITSELF),
    b"posix-rename@openssh.com": Shape("rename", _ITSELF * 2),
    b"hardlink@openssh.com": Shape("link", _ITSELF * 2),
    b"lsetstat@openssh.com": Shape("change", _ITSELF, attributes=True),
    b"statvfs@openssh.com": Shape("look", _FOLLOWED),
    b"expand-path@openssh.com": Shape("look", _SAID),
}
"""Requests that name files."""

OF_HANDLES: Final[dict[Kind, int]] = {
    Type.CLOSE: 1,
    Type.READ: 1,
    Type.FSTAT: 1,
    Type.FSETSTAT: 1,
    Type.READDIR: 1,
    b"fstatvfs@openssh.com": 1,
    b"fsync@openssh.com": 1,
    b"copy-data": 2,
}
"""Requests about what is open, and how many handles they name."""

FREE: Final[frozenset[Kind]] = frozenset(
    {b"limits@openssh.com", b"home-directory", b"users-groups-by-id@openssh.com"}
)
"""Requests that name no file."""

KNOWN: Final = {
    (b"posix-rename@openssh.com", b"1"),
    (b"hardlink@openssh.com", b"1"),
    (b"lsetstat@openssh.com", b"1"),
    (b"statvfs@openssh.com", b"2"),
    (b"expand-path@openssh.com", b"1"),
    (b"fstatvfs@openssh.com", b"2"),
    (b"fsync@openssh.com", b"1"),
    (b"copy-data", b"1"),
    (b"limits@openssh.com", b"1"),
    (b"home-directory", b"1"),
    (b"users-groups-by-id@openssh.com", b"1"),
}
"""Extensions, with their versions, of which the target may say that it has them."""

_EXTENDED: Final = frozenset({Type.EXTENDED_REPLY})
_NAME: Final = frozenset({Type.NAME})
_ATTRS: Final = frozenset({Type.ATTRS})
_HANDLE: Final = frozenset({Type.HANDLE})

REPLIES: Final[dict[Kind, frozenset[Type]]] = {
    Type.OPEN: _HANDLE,
    Type.OPENDIR: _HANDLE,
    Type.READ: frozenset({Type.DATA}),
    Type.READDIR: _NAME,
    Type.READLINK: _NAME,
    Type.REALPATH: _NAME,
    Type.STAT: _ATTRS,
    Type.LSTAT: _ATTRS,
    Type.FSTAT: _ATTRS,
    b"statvfs@openssh.com": _EXTENDED,
    b"fstatvfs@openssh.com": _EXTENDED,
    b"expand-path@openssh.com": _NAME,
    b"home-directory": _NAME,
    b"limits@openssh.com": _EXTENDED,
    b"users-groups-by-id@openssh.com": _EXTENDED,
}
"""What answers a request, beside a STATUS."""


@dataclass(slots=True)
class Request:
    """One packet of the person's; ``whole`` is all of it, as it came."""

    kind: Kind
    id: int
    whole: bytes
    paths: tuple[bytes, ...] = ()
    handles: tuple[bytes, ...] = ()
    flags: int = 0
    attributes: Attributes | None = None
    tail: bytes = b""  # what stands behind the paths
    numbers: tuple[int, ...] = ()

    def body(self, paths: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """What follows the id, with other paths."""
        name = (string(self.kind),) if isinstance(self.kind, bytes) else ()
        return (*name, *map(string, paths), self.tail)

    @property
    def number(self) -> int:
        """Of its packet."""
        return Type.EXTENDED if isinstance(self.kind, bytes) else self.kind

    @property
    def actions(self) -> tuple[str, ...]:
        """What it does, as rules call it."""
        if self.kind != Type.OPEN:
            return (NAMED[self.kind].action,)
        writes = self.flags & (Flag.WRITE | Flag.APPEND | Flag.CREAT | Flag.TRUNC)
        reads = self.flags & Flag.READ or not self.flags & Flag.WRITE
        return (*(("download",) if reads else ()), *(("upload",) if writes else ()))


def read(whole: bytes) -> Request | None:
    """The request that a packet is; None where it is none that is known.  Unreadable is raised."""
    fields = Fields(whole, 5)
    kind: Kind = whole[4]
    id = fields.u32()
    if kind == Type.EXTENDED:
        kind = fields.string()
    request = Request(kind, id, whole)
    shape = NAMED.get(kind)
    if shape is not None:
        _read_named(request, shape, fields)
    elif kind in OF_HANDLES:
        _read_of_handle(request, fields)
    elif kind in FREE:
        fields.rest()
    else:
        return None
    fields.end()
    return request if request.flags & ~FLAGS == 0 else None


def _read_named(request: Request, shape: Shape, fields: Fields) -> None:
    request.paths = tuple(fields.path() for _ in shape.ways)
    start = fields.at
    if shape.flags:
        request.flags = fields.u32()
    if shape.attributes:
        request.attributes = fields.attributes()
    request.tail = request.whole[start : fields.at]


def _read_of_handle(request: Request, fields: Fields) -> None:
    handle = fields.handle()
    request.handles = (handle,)
    if request.kind == Type.READ:
        request.numbers = (fields.u64(), fields.u32())
    elif request.kind == Type.FSETSTAT:
        request.attributes = fields.attributes()
    elif request.kind == b"copy-data":
        request.numbers = (fields.u64(), fields.u64())
        request.handles = (handle, fields.handle())
        request.numbers = (*request.numbers, fields.u64())


# --- names of files -------------------------------------------------------------------------------


def said(path: bytes) -> str:
    """A path for people and recordings: nothing in it is an order to a terminal."""
    text = path.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def named(path: bytes) -> Text:
    """The same as rules see it: plain, and from the home folder where it is not from the root."""
    text = path.decode("utf-8", "backslashreplace")
    return Text(plain_path(text if text.startswith("/") else f"~/{text}"))


def beneath(path: bytes) -> Text:
    """Whatever is in that folder."""
    return Text(named(path).said.rstrip("/") + "/", whole=False)


def parted(path: bytes) -> tuple[bytes, bytes]:
    """The folder that a path's last part is in, and that part; no part where it is no name."""
    folder, slash, name = path.rpartition(b"/")
    if name in (b"", b".", b".."):
        return path, b""
    return (folder or b"/") if slash else b".", name
