"""From what was typed to what is played: a file at hand, or a recording at an agent.

Nothing is waited for but the first piece, so that a recording of any size is on the screen at once.
"""

from __future__ import annotations

import base64
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hoopcli import evidence
from hoopcli.client import Client, connected, path
from hoopcli.errors import Failure, fail
from hoopcli.options import id_of
from hoopcli.player.app import Played, Player
from hoopcli.player.checking import Checking
from hoopcli.player.pace import Pace
from hoopcli.player.reel import Reel
from hoopcli.player.tape import Fetching, Tape
from hoopcore.recording.frames import SEAL_TAIL, is_closed


def play(
    text: str,
    key_file: Path | None,
    *,
    speed: float | None,
    max_idle: float,
    first: int,
    last: int | None,
    follow: bool,
) -> int:
    """Plays until it is left; an exit code."""
    key = None if key_file is None else evidence.read_key(key_file)
    opened = _file if evidence.is_file(text) else _session
    with opened(text, key, follow) as played:
        played.begin, played.stop, played.plays = first, last, speed is not None
        played.checking.first()
        played.checking.start()
        if played.reel.stuck and not played.reel.rows:
            fail(f"{text} is no recording: {played.reel.stuck}")
        try:
            code = Player(played, Pace(speed or 1.0, max_idle)).run(mouse=False)
        finally:
            played.checking.stop()
        if played.checking.report is not None:
            runs, report = played.runs(), played.checking.report
            evidence.tell(report, text, runs=runs, has_key=played.has_key)
        return code or 0


@contextlib.contextmanager
def _file(text: str, key: bytes | None, follow: bool) -> Iterator[Played]:
    tape = Tape.of_file(Path(text), grows=follow)
    reel = Reel(tape)
    checking = Checking(tape, reel, key, "", lambda: "")
    stop = threading.Event()
    if follow:
        _watch(tape, stop)
    try:
        yield Played(
            reel, checking, lambda: follow and not tape.whole, key is not None, follow=follow
        )
    finally:
        stop.set()


def _watch(tape: Tape, stop: threading.Event) -> None:
    """Looks at a file that is being written, until it is closed."""

    def run() -> None:
        while not stop.wait(0.2):
            tape.look()
            if is_closed(tape.read(max(tape.size - SEAL_TAIL, 0), SEAL_TAIL)):
                tape.whole = True
                return

    threading.Thread(target=run, name="watching", daemon=True).start()


@contextlib.contextmanager
def _session(id: str, key: bytes | None, follow: bool) -> Iterator[Played]:
    id_of("session", id, "hoop sessions")
    with connected() as client:
        agent = _Agent(client, id)
        if key is None:
            key = base64.b64decode(client.get("/v1/status")["keys"]["recording_public"])
        tape = Tape.empty()
        fetching = Fetching(tape, agent.ask, agent.ended, follow=follow and agent.runs)
        fetching.first()
        fetching.start()
        reel = Reel(tape)
        checking = Checking(tape, reel, key, id, agent.head)
        try:
            yield Played(
                reel, checking, lambda: agent.runs, True, agent.votes, agent.runs and follow
            )
        finally:
            fetching.stop()


class _Agent:
    """What is asked of the agent while a recording plays; by one thread at a time."""

    def __init__(self, client: Client, id: str) -> None:
        self._client = client
        self._id = id
        self._lock = threading.Lock()
        self._told: dict[str, Any] = client.get(path("sessions", id))

    @property
    def runs(self) -> bool:
        return not self._told.get("ended")

    def ended(self) -> bool:
        """Whether it has ended, asked anew."""
        if self.runs:
            with self._lock:
                self._told = self._client.get(path("sessions", self._id))
        return not self.runs

    def head(self) -> str:
        """The hash that the agent's store keeps of a recording that has ended."""
        return self._told.get("head") or "" if not self.runs else ""

    def ask(self, begin: int, most: int) -> bytes:
        with self._lock:
            return self._client.raw(
                path("sessions", self._id, "recording"), begin=begin or None, most=most
            )

    def votes(self, hold: str) -> Any:
        """The request of that id; None where it is not this person's to see."""
        try:
            with self._lock:
                return self._client.get(path("requests", hold))
        except Failure:
            return None
