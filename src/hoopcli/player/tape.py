"""The bytes of a recording, in a file of this machine: all of them, or those that have come so far.

A recording of an agent is fetched piece by piece into a file that has no name, so that its
beginning is shown while its end is on the way, and a running session is followed.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from hoopcli.errors import Failure
from hoopcli.view import clean

# One question to the agent.  A first piece that is small shows its rows at once.
FIRST = 256 << 10
PIECE = 4 << 20
# Seconds between two questions for what a running session has written.
EVERY = 0.5


class Tape:
    """``size`` bytes that can be read anywhere; ``whole`` once no more will come."""

    def __init__(self, fd: int, *, whole: bool) -> None:
        self._fd = fd
        self.size = os.fstat(fd).st_size
        self.whole = whole
        self.problem = ""  # why no more came, where there would have been more

    @classmethod
    def of_file(cls, path: Path, *, grows: bool = False) -> Tape:
        """A file at hand; Failure where it cannot be read."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            os.pread(fd, 1, 0)  # a folder can be opened, and not read
        except OSError as problem:
            raise Failure(f"cannot read {clean(path)}: {problem.strerror}") from problem
        return cls(fd, whole=not grows)

    @classmethod
    def empty(cls) -> Tape:
        """A file without a name, for what will come."""
        with tempfile.TemporaryFile(prefix="hoop-") as file:
            return cls(os.dup(file.fileno()), whole=False)

    def read(self, offset: int, size: int) -> bytes:
        """What is there of these bytes."""
        parts = []
        size = min(size, self.size - offset)
        while size > 0 and (part := os.pread(self._fd, size, offset)):
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return b"".join(parts)

    def add(self, data: bytes) -> None:
        """More has come."""
        at = self.size
        while at < self.size + len(data):
            at += os.pwrite(self._fd, data[at - self.size :], at)
        self.size = at

    def look(self) -> None:
        """Somebody else may have written on."""
        self.size = max(self.size, os.fstat(self._fd).st_size)

    def close(self) -> None:
        os.close(self._fd)


Ask = Callable[[int, int], bytes]
"""(where to begin, how many bytes at the most) → what the agent has from there."""


class Fetching:
    """Fills a tape in a thread of its own; ``ended`` says whether the session has."""

    def __init__(self, tape: Tape, ask: Ask, ended: Callable[[], bool], *, follow: bool) -> None:
        self._tape = tape
        self._ask = ask
        self._ended = ended
        self._follow = follow
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fetching", daemon=True)

    def first(self) -> None:
        """The first piece, in the caller's thread: its failure is the caller's."""
        if not self._take(FIRST) and not self._follow:
            self._tape.whole = True

    def start(self) -> None:
        if not self._tape.whole:
            self._thread.start()

    def stop(self) -> None:
        """No more is asked for; what is under way is not waited for."""
        self._stop.set()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                ended = not self._follow or self._ended()
                if self._take(PIECE):
                    continue
                if ended:
                    break
                self._stop.wait(EVERY)
        except Failure as problem:
            self._tape.problem = problem.message
        except Exception as problem:  # noqa: BLE001 - a thread's border: the header tells it
            self._tape.problem = f"{type(problem).__name__}: {problem}"
        self._tape.whole = True

    def _take(self, most: int) -> bool:
        """Whether there may be more at once.  An agent that knows no pieces gives all of it."""
        data = self._ask(self._tape.size, most)
        self._tape.add(data)
        return len(data) == most
