"""Closes the recordings that an agent left open when it died.

What is there is evidence: nothing that can be read is changed.  A tail that stops inside a line is
cut off and kept beside the recording, an end is added that says so, and all is sealed.  A recording
whose lines do not fit together is left as it is, for people to look at.

Order of the file: what became of each, all of them, one of them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hoopagent.clock import Clock
from hoopagent.recording_keys import RecordingKeys
from hoopagent.recordings import PIECE, SUFFIX
from hoopcore.model import SYSTEM, Time
from hoopcore.recording import End, EndCause, Head, Header, Totals, Verifier, event_of_line
from hoopcore.recording.chain import Chain
from hoopcore.recording.events import FORMAT
from hoopcore.recording.frames import SEAL_TAIL, Packer, Seal, Unpacker, is_closed, write_seal


@dataclass(frozen=True, slots=True)
class Recovered:
    """What became of one recording that nobody had closed."""

    session: str
    path: Path
    closed: bool  # False: left as it is, ``why`` says what is wrong with it
    why: str
    header: Header | None
    lines: int
    head: str  # hash of the last line
    torn: int  # bytes at the end that were no whole line; kept beside it as ``.torn``
    totals: Totals
    ended: Time  # when its last whole event was written


def recover(folder: Path, keys: RecordingKeys, clock: Clock | None = None) -> tuple[Recovered, ...]:
    """Closes every recording that is neither closed nor being written.  Blocks: use a thread.

    Nothing that can be read is changed: an end is added, which says when, and how many bytes of a
    torn tail could not be read.  A recording whose lines do not fit together is left untouched.
    Whatever is wrong with one, the others are looked after.
    """
    clock = clock or Clock()
    found = []
    for path in sorted(folder.glob(f"[0-9]*/[0-9]*/[0-9]*/*{SUFFIX}")):
        try:
            one = _recover(path, keys, clock)
        except OSError as problem:
            why = problem.strerror or type(problem).__name__
            one = Recovered(_session(path), path, False, why, None, 0, "", 0, Totals(), 0)
        if one is not None:
            found.append(one)
    return tuple(found)


def _session(path: Path) -> str:
    return path.name.removesuffix(SUFFIX)


def _recover(path: Path, keys: RecordingKeys, clock: Clock) -> Recovered | None:
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(fd, "r+b") as file:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None  # it is being written
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - SEAL_TAIL, 0))
        if is_closed(file.read()):
            return None
        file.seek(0)
        left = _Left(path, keys)
        left.look(file)
        if not left.why:
            left.close(file, clock)
        return left.told()


class _Left:
    """One recording that an agent left open."""

    def __init__(self, path: Path, keys: RecordingKeys) -> None:
        self.path = path
        self.keys = keys
        self.totals = Totals()
        self.at: Time = 0
        self.t = 0
        self.torn = 0
        self.why = ""
        self.unpacker = Unpacker()
        self.verifier = Verifier(keys.public, session=_session(path))
        self.chain = Chain()
        self.beyond: list[bytes] = []  # whole lines behind the last whole block

    def look(self, file: BinaryIO) -> None:
        """Reads all of it; ``why`` says what forbids closing it."""
        while piece := file.read(PIECE):
            lines = self.unpacker.feed(piece)
            for line in lines:
                if not self.verifier.line(line):
                    self.why = f"line {self.verifier.lines + 1}: {self.verifier.why}"
                    return
                event = event_of_line(line)
                self.totals.count(event)
                self.at, self.t = event.at, event.t
            beyond = self.verifier.lines - self.unpacker.lines_at_good
            self.beyond = (self.beyond + lines)[-beyond:] if beyond else []
        self.chain = Chain(self.verifier.lines, self.verifier.hash)
        if self.verifier.header is None:
            self.why = "it has no header"

    def close(self, file: BinaryIO, clock: Clock) -> None:
        """Cuts what is torn, keeping it beside, and writes the end that is missing."""
        good = self.unpacker.good
        file.seek(good)
        rest = file.read()
        self.torn = len(rest)
        if rest:
            _keep(self.path, rest)
        ending = self._ending(clock, good, self._digest(file, good))
        file.truncate(good)
        file.seek(good)
        file.write(ending)
        file.flush()
        os.fsync(file.fileno())

    def _digest(self, file: BinaryIO, upto: int) -> hashlib._Hash:
        file.seek(0)
        digest = hashlib.sha256()
        while upto > 0 and (piece := file.read(min(PIECE, upto))):
            digest.update(piece)
            upto -= len(piece)
        return digest

    def _ending(self, clock: Clock, good: int, digest: hashlib._Hash) -> bytes:
        """What is to stand behind the last whole block: lines of a torn one, end, head and seal."""
        header = self.verifier.header
        assert header is not None
        first = self.verifier.lines + 1 - len(self.beyond)
        new = b"".join(self.beyond) + self._end(clock, header)
        closing = self.unpacker.closing()
        packer = Packer()
        data = closing + packer.pack(new) + packer.close() if new else closing
        digest.update(data)
        frames = [frame for frame in self.unpacker.frames if frame[0] < good]
        if new:
            frames.append((good + len(closing), first))
        seal = Seal(FORMAT, header.session, self.chain.n, self.head, digest.hexdigest(), frames)
        return data + write_seal(seal, self.keys.signing.sign)

    def _end(self, clock: Clock, header: Header) -> bytes:
        """The lines that are missing."""
        at, t = clock.wall(), max(self.t, clock.boot() - header.boot)
        self.chain = Chain(self.verifier.lines, self.verifier.hash)
        lines = b""
        if self.verifier.end is None:
            end = End(cause=EndCause.RECOVERED, by=SYSTEM, totals=self.totals, torn=self.torn)
            end.at, end.t, end.why = at, t, "its agent died, or could not write"
            lines = self.chain.seal(end)
        if not self.verifier.closed:
            mark = Head(at=at, t=t, key=self.keys.id)
            lines += self.chain.head(mark, header.session, self.keys.signing.sign)
        return lines

    @property
    def head(self) -> str:
        return self.chain.hash.decode()

    def told(self) -> Recovered:
        return Recovered(
            session=_session(self.path),
            path=self.path,
            closed=not self.why,
            why=self.why,
            header=self.verifier.header,
            lines=self.chain.n,
            head=self.head,
            torn=self.torn,
            totals=self.totals,
            ended=self.at,
        )


def _keep(path: Path, torn: bytes) -> None:
    """What cannot be read is evidence too: beside the recording, never over another one."""
    for i in range(100):
        beside = path.with_name(f"{path.name}.torn{i or ''}")
        try:
            fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            continue
        with os.fdopen(fd, "wb") as file:
            file.write(torn)
            file.flush()
            os.fsync(file.fileno())
        return
    raise OSError(17, f"{path.name} has been torn too often")
