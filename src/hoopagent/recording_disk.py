"""How what the kernel has of a recording gets to its disk, and who waits for that.

Threads wait for disks, never the loop.  A child of a fork has our files and none of our threads,
so everything of ours that writes files is told there to stop.

Order of the file: the threads, one file's disk, those who wait for it.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

# A disk that is silent for so long is taken for dead.
DISK_SILENT = 30.0


class Writes(Protocol):
    """Something with a file that only this process may write."""

    def disown(self) -> None: ...


@functools.cache
def threads() -> ThreadPoolExecutor:
    """Those that wait for disks, shared by all recorders."""
    return ThreadPoolExecutor(4, thread_name_prefix="hoop-disk")


writing: set[Writes] = set()
"""All that are disowned in a child of a fork; who has closed its file takes itself out."""


def _after_fork() -> None:
    threads.cache_clear()
    for one in list(writing):
        one.disown()


os.register_at_fork(after_in_child=_after_fork)


class Disk:
    """Syncs one file, one sync at a time."""

    def __init__(self, fd: int, synced: Callable[[int, BaseException | None], None]) -> None:
        """``synced`` is called on the loop with the size that is on the disk, or with the failure.

        A disk that does not answer has failed; it may answer later all the same.
        """
        self.busy = False
        self._fd = fd
        self._synced = synced
        self._loop = asyncio.get_running_loop()
        self._silence: asyncio.TimerHandle | None = None

    def sync(self, upto: int) -> None:
        """Begins to bring ``upto`` bytes to the disk; only when it is not busy."""
        self.busy = True
        self._silence = self._loop.call_later(DISK_SILENT, self._silent, upto)
        done = self._loop.run_in_executor(threads(), _sync, self._fd)
        done.add_done_callback(functools.partial(self._done, upto))

    def _done(self, upto: int, done: asyncio.Future[None]) -> None:
        self.busy = False
        if self._silence is not None:
            self._silence.cancel()
        self._synced(upto, done.exception())

    def _silent(self, upto: int) -> None:
        why = f"the disk has not answered for {DISK_SILENT:.0f} s"
        self._synced(upto, TimeoutError(why))

    def close(self) -> asyncio.Future[None]:
        """One more sync, and the file is closed whatever comes of it."""
        return self._loop.run_in_executor(threads(), _sync_and_close, self._fd)


class Waiting:
    """Who waits until the disk has so many bytes."""

    def __init__(self) -> None:
        self._futures: deque[tuple[int, asyncio.Future[None]]] = deque()

    def __bool__(self) -> bool:
        return bool(self._futures)

    def until(self, upto: int) -> asyncio.Future[None]:
        """Done when the disk has ``upto`` bytes; never less than the one before asked for."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._futures.append((upto, future))
        return future

    def reached(self, upto: int) -> None:
        while self._futures and self._futures[0][0] <= upto:
            _, future = self._futures.popleft()
            if not future.done():
                future.set_result(None)

    def fail(self, problem: Exception) -> None:
        """Everybody who still waits gets the problem."""
        for _, future in self._futures:
            if not future.done():
                future.set_exception(problem)
                future.exception()  # nobody has to ask
        self._futures.clear()


def _sync(fd: int) -> None:
    os.fdatasync(fd)
    if os.fstat(fd).st_nlink == 0:
        raise OSError(errno.ENOENT, "the file was removed")


def _sync_and_close(fd: int) -> None:
    try:
        _sync(fd)
    finally:
        os.close(fd)
