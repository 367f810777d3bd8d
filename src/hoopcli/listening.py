"""``connect --listen``: an endpoint stays open for as long as this process is there.

The agent forgets an endpoint that nobody keeps, so whatever ends this process ends the endpoint
too; an ordinary end only does it at once.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

KEEP_EVERY = 20.0  # seconds between two signs of life

_ENDS = ("SIGINT", "SIGTERM", "SIGHUP")


@contextmanager
def signals() -> Iterator[int]:
    """A descriptor that becomes readable with the first Ctrl-C, SIGTERM or SIGHUP.

    It is opened before anybody is told that something is open: who was told may send one at once.
    """
    reader, writer = os.pipe()

    def wake(number: int, frame: FrameType | None) -> None:
        os.write(writer, b"!")

    before = {name: signal.signal(getattr(signal, name), wake) for name in _ENDS}
    try:
        yield reader
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
        os.close(reader)
        os.close(writer)


def until_ended(woken: int, keep: Callable[[], None], every: float = KEEP_EVERY) -> bool:
    """Waits until ``woken`` is readable or stdin is at its end, and calls ``keep`` meanwhile.

    True if it was stdin.  What ``keep`` raises ends it too.
    """
    next_keep = time.monotonic() + every
    while True:
        stdin = _stdin()
        watched = [woken] if stdin is None else [woken, stdin]
        left = max(next_keep - time.monotonic(), 0)
        # A terminal may come to the foreground at any time, which nothing wakes us for.
        ready, _, _ = select.select(watched, [], [], min(left, 1.0))
        if woken in ready:
            return False
        if stdin is not None and stdin in ready and _at_end(stdin):
            return True
        if time.monotonic() >= next_keep:
            keep()
            next_keep = time.monotonic() + every


def _stdin() -> int | None:
    """Stdin, where its end means that whoever started us is gone.

    /dev/null and files are at their end from the start, and mean nothing.  A terminal is left
    alone while another program has it: reading would stop us.
    """
    if sys.stdin is None:
        return None
    try:
        fd = sys.stdin.fileno()
        if os.isatty(fd):
            return fd if os.tcgetpgrp(fd) == os.getpgrp() else None
        mode = os.fstat(fd).st_mode
    except (OSError, ValueError):
        return None
    return fd if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else None


def _at_end(fd: int) -> bool:
    """Reads what there is, which nobody wants; whether there will be no more."""
    try:
        return os.read(fd, 4096) == b""
    except OSError:
        return True
