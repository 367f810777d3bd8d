"""Reading a recording behind the scenes: first where its rows are, then whether it is unchanged.

A small one is verified before anybody sees it.  A large one is shown at once, and what verifying
finds stands in the header when it is known, and is not claimed before.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from hoopcli.player.reel import Reel
from hoopcli.player.tape import Tape
from hoopcore.recording import FileVerifier, Report

# Some 20 MiB of lines, which take about half a second.
SMALL = 2 << 20
_PIECE = 256 << 10


class Checking:
    """Grows the reel and verifies the tape, in a thread of its own."""

    def __init__(
        self, tape: Tape, reel: Reel, key: bytes | None, session: str, head: Callable[[], str]
    ) -> None:
        """``head`` is asked at the end: what the store says of a session that has ended."""
        self.report: Report | None = None  # once all of it is read
        self.problem = ""
        self._tape = tape
        self._reel = reel
        self._head = head
        self._verifier = FileVerifier(key, session=session)
        self._fits = True
        self._at = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checking", daemon=True)

    def first(self, patience: float = 0.5) -> None:
        """The first rows, and all of a small recording, in the caller's thread."""
        end = time.monotonic() + patience
        self._reel.grow()
        if self._tape.whole and self._tape.size <= SMALL:
            while time.monotonic() < end:
                if not self._step() and self._done():
                    return

    def start(self) -> None:
        if self.report is None:
            self._thread.start()

    def stop(self) -> None:
        """Ends after the piece under way; nobody waits for it."""
        self._stop.set()

    @property
    def share(self) -> float:
        """Which part of what is there has been verified, 0 to 1."""
        return min(self._at / self._tape.size, 1.0) if self._tape.size else 1.0

    @property
    def so_far(self) -> Report:
        return self.report or self._verifier.so_far()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if not self._step() and self._done():
                    return
        except Exception as problem:  # noqa: BLE001 - a thread's border: the header tells it
            self.problem = f"{type(problem).__name__}: {problem}"

    def _step(self) -> bool:
        """One frame, or one piece; False where nothing was left to do."""
        if self._reel.grow():
            return True
        piece = self._tape.read(self._at, _PIECE) if self._fits else b""
        if piece:
            self._fits = self._verifier.feed(piece)
            self._at = self._at + len(piece) if self._fits else self._tape.size
        return bool(piece)

    def _done(self) -> bool:
        """Whether no more will come; else waits a little for more."""
        if self._tape.whole and (self._at >= self._tape.size or not self._fits):
            self.report = self._verifier.report(self._head())
            return True
        self._stop.wait(0.05)
        return False
