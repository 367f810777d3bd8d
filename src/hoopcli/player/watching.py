"""What a terminal of a session showed, played on the terminal of whoever looks.

The player steps aside for it.  Only what paints is shown (``hoopcore.showable``).  Of a session
that runs, what comes is shown as it comes.

Order of the file: what is played, the terminal it is played on, keys and time.
"""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hoopcli import view
from hoopcli.player.reel import Reel
from hoopcore.recording import Finished, Terminal, event_of_line
from hoopcore.showable import Showable

_TERMINAL = b'{"type":"terminal"'
_FINISHED = b'{"type":"finished"'
_TICK = 0.05
# The other screen, emptied; and back, with whatever was left switched on switched off.
_BEGIN = "\x1b[?1049h\x1b[2J\x1b[H"
_RESET = "\x1b[0m\x1b(B\x0f\x1b[r\x1b[4l\x1b[?5l\x1b[?6l\x1b[?7h\x1b[?25h"
_END = f"{_RESET}\x1b[?1049l"


def shown(reel: Reel, seq: int, row: int) -> Iterator[Terminal | None]:
    """What that statement's terminal showed, from the frame of a row on; None: no more yet.

    It ends with the statement.
    """
    at, taken = reel.frame_of(row), 0
    while True:
        if at >= len(reel):
            yield None
            continue
        closed = reel.is_closed(at)
        lines = reel.lines(at).split(b"\n")[:-1]
        for line in lines[taken:]:
            if line.startswith((_TERMINAL, _FINISHED)):
                try:
                    event = event_of_line(line)
                except ValueError:
                    continue  # what cannot be read is told by the timeline
                if isinstance(event, Finished) and event.seq == seq:
                    return
                if isinstance(event, Terminal) and event.seq == seq:
                    yield event
        taken = len(lines)
        if closed or at + 1 < len(reel):
            at, taken = at + 1, 0
        else:
            yield None


@dataclass
class Watching:
    """Plays one terminal until it ends, or the person has seen enough."""

    reel: Reel
    seq: int
    row: int
    runs: Callable[[], bool]
    speed: float = 1.0
    max_idle: float = 2.0
    paused: bool = False

    def play(self) -> None:
        """On stdout; ``q``, Escape and Ctrl-C end it, space pauses, + and - change the speed."""
        with _keys() as pressed:
            self._write(_BEGIN)
            try:
                if self._all(pressed):
                    self._write(f"{_RESET}\r\n\r\n--- its terminal ends here; any key ---")
                    pressed(None)
            finally:
                self._write(_END)

    def _all(self, pressed: Callable[[float | None], str]) -> bool:
        """False where the person has left before the end."""
        showable = Showable()
        before: int | None = None
        for event in shown(self.reel, self.seq, self.row):
            if event is None:
                if not self.runs():
                    return True
                if not self._wait(2 * _TICK, pressed):
                    return False
                continue
            gap = 0.0 if before is None else max(event.t - before, 0) / 1e6
            before = event.t
            if not self._wait(min(gap, self.max_idle) / self.speed, pressed):
                return False
            if event.columns:
                self._size(event)
            else:
                self._write(showable.feed(event.out))
        return True

    def _size(self, event: Terminal) -> None:
        columns, lines = os.get_terminal_size()
        if event.columns > columns or event.lines > lines:
            told = f"recorded at {event.columns}x{event.lines}, yours is {columns}x{lines}"
            self._write(f"\x1b7\x1b[{lines};1H\x1b[7m {view.clean(told)} \x1b[0m\x1b8")

    def _wait(self, seconds: float, pressed: Callable[[float | None], str]) -> bool:
        """Waits so long, and longer while it pauses; False where the person wants to leave."""
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            key = pressed(None if self.paused else max(left, 0))
            match key:
                case "q" | "\x1b" | "\x03" | "eof":
                    return False
                case " ":
                    self.paused = not self.paused
                case "+" | "=" | "]":
                    self.speed = min(self.speed * 2, 64.0)
                    end = min(end, time.monotonic() + seconds / 2)
                case "-" | "[":
                    self.speed = max(self.speed / 2, 1 / 16)
            if not self.paused and time.monotonic() >= end:
                return True

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


@contextmanager
def _keys() -> Iterator[Callable[[float | None], str]]:
    """Asks for a key, for so many seconds (None: as long as it takes); "" where none came."""
    fd = sys.stdin.fileno()
    kept = termios.tcgetattr(fd)

    def pressed(seconds: float | None) -> str:
        if not select.select([fd], [], [], seconds)[0]:
            return ""
        got = os.read(fd, 64)
        if not got:
            return "eof"
        return "\x1b" if got == b"\x1b" else "" if got[:1] == b"\x1b" else chr(got[0])

    try:
        tty.setraw(fd, termios.TCSAFLUSH)
        yield pressed
    finally:
        termios.tcsetattr(fd, termios.TCSAFLUSH, kept)
