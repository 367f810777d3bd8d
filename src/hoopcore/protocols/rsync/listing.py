"""The list of files that rsync's sender tells first, in the order in which both ends count it.

It comes in any order and is sorted by both ends: within a folder files stand before folders, and
what is in a folder behind it; else by bytes, where a folder's name has a slash behind it.  An
index into it is all that is told later, so a name in a wrong place would put a file on another's
account: tests hold the order against rsync itself.

Memory: names, sizes and modes are kept, no more than ``MOST`` of them and ``MOST_BYTES`` of names.
"""

from __future__ import annotations

from array import array
from collections.abc import Generator
from stat import S_ISBLK, S_ISCHR, S_ISDIR, S_ISFIFO, S_ISLNK, S_ISREG, S_ISSOCK
from typing import Final

from hoopcore.calls.rsync_options import RsyncOptions
from hoopcore.protocols.rsync.pulling import Flow, Garbled, Script, bounded, byte, long, number
from hoopcore.protocols.rsync.pulling import text as taken

MOST: Final = 1_000_000
MOST_BYTES: Final = 128 << 20
LONGEST: Final = 4096
"""Bytes of a path, as Linux has them."""

# Bits before an entry.
SAME_MODE = 1 << 1
MORE_BITS = 1 << 2
SAME_OWNER = 1 << 3
SAME_GROUP = 1 << 4
SAME_NAME = 1 << 5
LONG_NAME = 1 << 6
SAME_TIME = 1 << 7
SAME_MAJOR = 1 << 8
HAS_INODE = 1 << 9
SAME_DEVICE = 1 << 10
SHORT_MINOR = 1 << 11
_KNOWN = (1 << 12) - 1

SUM_BYTES: Final = 16  # of MD4, which protocol 29 has


class Listing:
    """All files of one transfer."""

    def __init__(self, options: RsyncOptions) -> None:
        self._options = options
        self._names: list[bytes] = []
        self._sizes = array("q")
        self._modes = array("I")
        self._bytes = 0
        self._order = array("I")
        self._rooted: bool | None = None  # whether names begin with a slash, as with -R
        self.told = False  # all of it has come
        self.alone = False  # there is one name only

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> bytes:
        return self._names[self._order[index]]

    def size(self, index: int) -> int:
        return self._sizes[self._order[index]]

    def mode(self, index: int) -> int:
        return self._modes[self._order[index]]

    # --- reading --------------------------------------------------------------------------------

    def script(self) -> Script:
        """Reads it, the names of owners behind it, and how many errors there were."""
        name, mode = b"", 0
        while bits := (yield from byte()):
            if bits & MORE_BITS:
                bits |= (yield from byte()) << 8
            if bits & ~_KNOWN:
                raise Garbled("a file's entry has bits that protocol 29 does not know")
            name = yield from self._named(bits, name)
            mode = yield from self._told(bits, name, mode)
        yield from self._owners()
        yield from number()
        self._sort()
        self.told = True

    def _named(self, bits: int, before: bytes) -> Generator[int | Flow, bytes, bytes]:
        kept = (yield from byte()) if bits & SAME_NAME else 0
        length = (yield from number()) if bits & LONG_NAME else (yield from byte())
        if kept > len(before):
            raise Garbled("a name goes on where none was")
        bounded(length, LONGEST - kept, "the length of a name")
        name = before[:kept] + (yield from taken(length))
        self._sound(name)
        return name

    def _sound(self, name: bytes) -> None:
        """It stays within the folder that the transfer is about."""
        if name == b".":
            return
        rooted = name.startswith(b"/")
        if rooted != self._rooted and self._options.relative:
            # Both ends sort by the slash and take it off then.
            if self._rooted is not None:
                raise Garbled("some paths begin at the root and some do not, with -R")
            self._rooted = rooted
        parts = name[1:].split(b"/") if self._rooted else name.split(b"/")
        if b"\0" in name or any(part in (b"", b".", b"..") for part in parts):
            raise Garbled("a name in the list is no plain path within its folder")

    def _told(self, bits: int, name: bytes, mode: int) -> Generator[int | Flow, bytes, int]:
        size = yield from long()
        if size < 0:
            raise Garbled("a size is negative")
        if not bits & SAME_TIME:
            yield 4
        if not bits & SAME_MODE:
            mode = (yield from number()) & 0xFFFFFFFF
        if self._options.owners and not bits & SAME_OWNER:
            yield 4
        if self._options.groups and not bits & SAME_GROUP:
            yield 4
        yield from self._device(bits, mode)
        if self._options.links and S_ISLNK(mode):
            length = bounded((yield from number()), LONGEST, "the length of a link")
            yield from taken(length)
        if bits & HAS_INODE:
            if not bits & SAME_DEVICE:
                yield from long()
            yield from long()
        if self._options.sums and S_ISREG(mode):
            yield SUM_BYTES
        self._keep(name, size, mode)
        return mode

    def _device(self, bits: int, mode: int) -> Script:
        device = S_ISCHR(mode) or S_ISBLK(mode)
        special = S_ISFIFO(mode) or S_ISSOCK(mode)
        if (device and self._options.devices) or (special and self._options.specials):
            if not bits & SAME_MAJOR:
                yield 4
            yield 1 if bits & SHORT_MINOR else 4

    def _keep(self, name: bytes, size: int, mode: int) -> None:
        self._bytes += len(name)
        if len(self._names) >= MOST or self._bytes > MOST_BYTES:
            raise Garbled(f"it has more than {MOST} files or {MOST_BYTES >> 20} MiB of names")
        self._names.append(name[1:] if self._rooted and name != b"." else name)
        self._sizes.append(size)
        self._modes.append(mode)

    def _owners(self) -> Script:
        """Names of users and of groups, by their numbers."""
        for told in (self._options.owners, self._options.groups):
            if told and not self._options.numeric:
                while (yield from number()):
                    yield from taken((yield from byte()))

    # --- order ----------------------------------------------------------------------------------

    def _sort(self) -> None:
        keys = [_key(name, mode) for name, mode in zip(self._names, self._modes, strict=True)]
        self.alone = len(set(self._names)) == 1
        self._order = array("I", sorted(range(len(keys)), key=keys.__getitem__))


def _key(name: bytes, mode: int) -> bytes:
    if name == b".":
        return b""
    if S_ISDIR(mode):
        return b"\x02" + name.replace(b"/", b"/\x02") + b"/"
    folder, slash, last = name.rpartition(b"/")
    if not slash:
        return b"\x01" + last
    return b"\x02" + folder.replace(b"/", b"/\x02") + b"/\x01" + last
