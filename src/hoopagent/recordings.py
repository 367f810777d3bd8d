"""Where recordings are, and what can be read out of them.

One file a session, ``YYYY/MM/DD/<session id>.jsonl.zst`` below the folder of recordings, by the day
(UTC) on which the session began.  An id that is none never becomes a path.

Order of the file: making a file, finding one, reading it, what was used in it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from hoopcore.model import SECOND, Time, is_id
from hoopcore.recording import Known, Said, Totals, events
from hoopcore.recording.frames import Unpacker

SUFFIX = ".jsonl.zst"
# What is read at once.
PIECE = 256 << 10


def day(folder: Path, at: Time) -> Path:
    """The folder of recordings that began on that day (UTC)."""
    return folder / datetime.fromtimestamp(at // SECOND, UTC).strftime("%Y/%m/%d")


def new_file(folder: Path, session: str, at: Time, reserve: int) -> tuple[int, Path]:
    """A new empty file, locked for as long as it is open; OSError where there can be none."""
    if not is_id(session):
        raise OSError(22, "this is no session's id")
    place = day(folder, at)
    for part in (folder, place.parent.parent, place.parent, place):
        part.mkdir(mode=0o700, parents=part == folder, exist_ok=True)
    space = os.statvfs(place)
    if space.f_bavail * space.f_frsize < reserve:
        raise OSError(28, f"less than {reserve >> 20} MiB are free, the reserve for open sessions")
    path = place / f"{session}{SUFFIX}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_APPEND | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # recover() leaves it alone
    except OSError:
        os.close(fd)
        path.unlink()
        raise
    return fd, path


def sync_with_entry(fd: int, path: Path, folder: Path) -> None:
    """The file, and its name in every folder that may be as new as it is."""
    os.fsync(fd)
    for parent in path.parents:
        handle = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        if parent == folder:
            break


def find(folder: Path, session: str, started: Time | None = None) -> Path | None:
    """The recording of that session; with ``started`` its day is looked at first."""
    if not is_id(session):
        return None
    name = f"{session}{SUFFIX}"
    likely = [] if started is None else [day(folder, started)]
    for place in chain(likely, folder.glob("[0-9]*/[0-9]*/[0-9]*")):
        path = place / name
        if path.is_file() and not path.is_symlink():
            return path
    return None


def is_written(path: Path) -> bool:
    """Whether somebody has this recording open to write it."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False


def pieces(path: Path, begin: int = 0, most: int | None = None) -> Iterator[bytes]:
    """The bytes of a file, piece by piece; from there on, and at the most so many."""
    with path.open("rb") as file:
        file.seek(begin)
        while piece := file.read(PIECE if most is None else min(PIECE, most)):
            yield piece
            most = None if most is None else most - len(piece)


def lines(path: Path) -> Iterator[bytes]:
    """Every whole line, in order, up to where the file ends or is damaged."""
    unpacker = Unpacker()
    for piece in pieces(path):
        yield from unpacker.feed(piece)


def read(path: Path) -> Iterator[Known]:
    """Every event, in order, up to where the file ends or is damaged; nothing is verified."""
    return events(lines(path))


@dataclass(frozen=True, slots=True)
class Usage:
    """What a session did."""

    totals: Totals
    touched: frozenset[str]  # "schema.table:verb" of statements that went through
    unread: int  # statements that went through unread: each may have touched anything
    last: Time | None  # of the last statement that went through

    @property
    def statements(self) -> int:
        return self.totals.statements

    @property
    def refused(self) -> int:
        return self.totals.refused

    @property
    def rows(self) -> int:
        return self.totals.rows

    @property
    def masked(self) -> int:
        return self.totals.masked


def usage(path: Path) -> Usage:
    """What a recording tells of use.  A prepared statement counts for what its runs touch."""
    totals = Totals()
    touched: set[str] = set()
    unread = 0
    last: Time | None = None
    for event in read(path):
        totals.count(event)
        if isinstance(event, Said) and event.verdict == "allow" and not event.prepared:
            touched.update(event.touches)
            unread += bool(event.unread)
            last = event.at
    return Usage(totals, frozenset(touched), unread, last)
