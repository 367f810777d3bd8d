"""Writes one session's recording: append-only, with the kernel before ``append`` returns.

``append`` is a plain call on the hot path: seal, compress, one write().  What is then only in the
kernel (no SIGKILL loses it) is brought to the disk by a thread at most 50 ms or 64 KiB later.  For
a target that wants ``disk``, ``append`` gives a future that is done when the disk has it; many
appends share one fdatasync.  The same future comes when a slow disk is too far behind.

``append_later`` is for what became of a statement: it is sealed at once, and rides with the next
write, or is written by itself 50 ms later.

Nothing is tried twice: after one failing write or sync the recorder has failed for good, and the
session it records has to end.  All calls come from the event loop's thread.

Order of the file: making one, appending, committing, failing and closing.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from hoopagent.clock import Clock
from hoopagent.evidence import event_of, said
from hoopagent.recording_disk import Disk, Waiting, threads, writing
from hoopagent.recording_keys import RecordingKeys
from hoopagent.recordings import new_file, sync_with_entry
from hoopcore.model import SECOND, SYSTEM, Durability
from hoopcore.recording.chain import Chain
from hoopcore.recording.events import End, EndCause, Event, Finished, Head, Header, Said, Totals
from hoopcore.recording.frames import Packer, Seal, write_seal

# What a power cut may take, at the most.
COMMIT_AFTER = 0.05
COMMIT_BYTES = 64 << 10
# A head costs 50 µs of signing; the lines behind the last one are chained, but not signed.
HEAD_EVERY = SECOND
# Further behind than this, the session waits for its disk.
FAR_BEHIND = 4 << 20
# Statements in flight whose beginning is remembered; older ones are told without a duration.
IN_FLIGHT = 4096
# New sessions are refused while the disk has less than this, so that running ones can end in order.
RESERVE = 64 << 20


__all__ = ["Recorder", "RecorderFailed", "event_of", "said"]


class RecorderFailed(Exception):
    """This recording cannot be written; what was asked to be recorded must not happen."""


class Recorder:
    """One session's recording, open."""

    def __init__(
        self,
        fd: int,
        path: Path,
        header: Header,
        keys: RecordingKeys,
        failed: Callable[[RecorderFailed], None] | None,
        clock: Clock,
    ) -> None:
        """Use ``create``."""
        self.path = path
        self.totals = Totals()
        self.failure: RecorderFailed | None = None
        self._fd = fd
        self._session = header.session
        self._to_disk = header.durability == Durability.DISK
        self._keys = keys
        self._failed = failed
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._began_at = clock.boot()
        self._began: dict[int, int] = {}  # seq → t, of statements in flight
        self._chain = Chain()
        self._packer = Packer()
        self._frames: list[tuple[int, int]] = []
        self._digest = hashlib.sha256()
        self._written = 0
        self._synced = 0
        self._head_n = 0  # line of the last head
        self._head_t = 0
        self._disk = Disk(fd, self._committed)
        self._timer: asyncio.TimerHandle | None = None
        self._soon = False  # the timer is one of 50 ms
        self._later: list[bytes] = []  # lines that ride with the next write
        self._waiting = Waiting()
        self._closed: asyncio.Future[bool] | None = None
        writing.add(self)

    @classmethod
    async def create(
        cls,
        folder: Path,
        header: Header,
        keys: RecordingKeys,
        *,
        failed: Callable[[RecorderFailed], None] | None = None,
        reserve: int = RESERVE,
        clock: Clock | None = None,
    ) -> Recorder:
        """A new recording with its header and first head, on the disk, its folder's entry too.

        ``failed`` is called on the loop when the recording fails behind an ``append`` that went
        well.  RecorderFailed where there is no room, no right, or a recording of that id.
        """
        clock = clock or Clock()
        at = clock.wall()
        loop = asyncio.get_running_loop()
        try:
            fd, path = await loop.run_in_executor(
                threads(), new_file, folder, header.session, at, reserve
            )
        except OSError as problem:
            raise RecorderFailed(f"cannot record in {folder}: {problem.strerror}") from problem
        recorder = cls(fd, path, header, keys, failed, clock)
        try:
            header.key = keys.id
            header.boot = recorder._began_at
            recorder._write([header], head=True)
            await loop.run_in_executor(threads(), sync_with_entry, fd, path, folder)
        except BaseException as problem:
            recorder.disown()
            os.close(fd)
            path.unlink(missing_ok=True)  # no session took place
            if isinstance(problem, OSError):
                raise RecorderFailed(f"cannot record in {folder}: {problem.strerror}") from problem
            raise
        recorder._synced = recorder._written
        return recorder

    @property
    def head(self) -> str:
        """The hash of the last line, hex."""
        return self._chain.hash.decode()

    @property
    def lines(self) -> int:
        return self._chain.n

    # --- appending ------------------------------------------------------------------------------

    def append(self, *events: Event) -> asyncio.Future[None] | None:
        """Durable when it returns None, or when the future is done; RecorderFailed where it is not.

        Where ``disk`` is wanted only statements are waited for: what became of them is on the disk
        at most 50 ms later.  The events are stamped and numbered in this order, and written in one
        piece.
        """
        if self.failure is not None or self._closed is not None:
            self._must_be_open()
        try:
            wanted = self._write(events) and self._to_disk
        except Exception as problem:  # whatever it is: what is not recorded does not happen
            self._fail(problem)
            raise self._failure() from problem
        behind = self._written - self._synced
        if wanted or behind > FAR_BEHIND:
            future = self._waiting.until(self._written)
            self._commit()
            return future
        if behind >= COMMIT_BYTES:
            self._commit()
        elif not self._soon and not self._disk.busy:
            self._commit_soon()
        return None

    def append_later(self, *events: Event) -> None:
        """What became of statements: stamped and chained now, written with the next ``append``.

        Without one it is with the kernel 50 ms later at most, and before the recording ends.
        RecorderFailed where nothing can be recorded any more.
        """
        if self.failure is not None or self._closed is not None:
            self._must_be_open()
        try:
            _, lines = self._seal_all(events)
        except Exception as problem:  # as in append
            self._fail(problem)
            raise self._failure() from problem
        self._later += lines
        if not self._soon:
            self._commit_soon()

    def _must_be_open(self) -> None:
        if self.failure is not None:
            raise self.failure
        if self._closed is not None:
            raise RecorderFailed("the recording is closed")

    def _seal_all(self, events: Sequence[Event]) -> tuple[bool, list[bytes]]:
        """The lines of events, numbered in this order; whether a statement is among them."""
        at = self._clock.wall()
        t = self._clock.boot() - self._began_at
        statements = False
        lines = []
        for event in events:
            event.at, event.t = at, t
            if isinstance(event, Said):
                statements = True
                if len(self._began) >= IN_FLIGHT:
                    self._began.pop(next(iter(self._began)))
                self._began[event.seq] = t
            elif isinstance(event, Finished):
                event.took = t - self._began.pop(event.seq, t)
            self.totals.count(event)
            lines.append(self._chain.seal(event))
        return statements, lines

    def _write(self, events: Sequence[Event], head: bool = False, last: bool = False) -> bool:
        """Seals the events and gives them to the kernel; whether a statement was among them.

        What was to be written later goes first.
        """
        n = self._chain.n + 1 - len(self._later)
        statements, lines = self._seal_all(events)
        if self._later:
            lines, self._later = self._later + lines, []
        if head:
            t = self._clock.boot() - self._began_at
            mark = Head(at=self._clock.wall(), t=t, key=self._keys.id)
            lines.append(self._chain.head(mark, self._session, self._keys.signing.sign))
            self._head_n, self._head_t = mark.n, t
        data = self._packer.pack(b"".join(lines))
        if self._packer.frame_began:
            self._frames.append((self._written, n))
        if last:
            data += self._packer.close()
        self._digest.update(data)
        self._give(data + self._seal() if last else data)
        return statements

    def _seal(self) -> bytes:
        seal = Seal(
            format=1,
            session=self._session,
            lines=self._chain.n,
            head=self.head,
            file=self._digest.hexdigest(),
            frames=self._frames,
        )
        return write_seal(seal, self._keys.signing.sign)

    def _give(self, data: bytes) -> None:
        """All of it to the kernel; of what it does not take whole, nothing stays in the file."""
        try:
            taken = os.write(self._fd, data)
            while taken < len(data):
                taken += os.write(self._fd, memoryview(data)[taken:])
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._written)
            raise
        self._written += len(data)

    # --- committing -----------------------------------------------------------------------------

    def _commit(self) -> None:
        """Starts bringing to the disk what the kernel has; one at a time.

        What waits to be written is written in any case: a slow disk holds up no line.
        """
        self._stop_timer()
        if self.failure is not None or self._closed is not None:
            return
        try:
            if not self._disk.busy and self._head_due() <= 0:
                self._write([], head=True)
            elif self._later:
                self._write([])
        except Exception as problem:  # noqa: BLE001 - as in append
            self._fail(problem)
            self._tell()
            return
        if not self._disk.busy:
            self._disk.sync(self._written)

    def _head_due(self) -> int:
        """Microseconds until a head is due; where nothing is unsigned, far away."""
        if self._head_n == self._chain.n:
            return 1 << 62
        return self._head_t + HEAD_EVERY - (self._clock.boot() - self._began_at)

    def _committed(self, upto: int, problem: BaseException | None) -> None:
        if problem is not None and self.failure is None:
            self._fail(problem)
            self._tell()
        if self.failure is None:
            self._synced = upto
            self._waiting.reached(upto)
        if self._disk.busy:
            return  # it is silent, and may still answer
        if self._closed is not None:
            self._let_go()
        elif self.failure is None:
            self._again()

    def _again(self) -> None:
        """What came meanwhile, or a head that is due later."""
        behind = self._written - self._synced
        if self._waiting or behind >= COMMIT_BYTES:
            self._commit()
        elif self._soon:
            return
        elif behind:
            self._commit_soon()
        elif (due := self._head_due()) < 1 << 62:
            self._timer = self._loop.call_later(max(due, 0) / SECOND, self._commit)

    def _commit_soon(self) -> None:
        self._stop_timer()  # it may be one for a head that is due much later
        self._timer = self._loop.call_later(COMMIT_AFTER, self._commit)
        self._soon = True

    def _stop_timer(self) -> None:
        self._soon = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- failing and closing ---------------------------------------------------------------------

    def _fail(self, problem: BaseException) -> None:
        if self.failure is None:
            why = problem.strerror if isinstance(problem, OSError) and problem.strerror else problem
            self.failure = RecorderFailed(f"the recording {self.path.name} failed: {why}")
        self._stop_timer()
        self._waiting.fail(self.failure)

    def _failure(self) -> RecorderFailed:
        assert self.failure is not None
        return self.failure

    def _tell(self) -> None:
        if self._failed is not None:
            self._failed(self._failure())

    def disown(self) -> None:
        """The file is not ours to write any more (after a fork, or where creating it failed)."""
        self.failure = self.failure or RecorderFailed("the recording belongs to another process")
        writing.discard(self)

    def close(
        self, cause: EndCause | str, *, by: str = SYSTEM, why: str = ""
    ) -> asyncio.Future[bool]:
        """Ends the recording; its end is with the kernel when this returns.  Never raises.

        The future is done when the disk has it and the file is closed: True, or False where the
        recording is not whole (``failure`` says why).  A second close changes nothing.
        """
        if self._closed is not None:
            return self._closed
        if self.failure is None:
            end = End(cause=str(cause), by=by, why=why, totals=self.totals)
            try:
                self._write([end], head=True, last=True)
            except Exception as problem:  # noqa: BLE001 - told by the future
                self._fail(problem)
        self._stop_timer()
        self._closed = self._loop.create_future()
        if not self._disk.busy:
            self._let_go()
        return self._closed

    def _let_go(self) -> None:
        """The last sync, and the file is closed, whatever comes of it."""
        writing.discard(self)
        self._disk.close().add_done_callback(self._let_gone)

    def _let_gone(self, done: asyncio.Future[None]) -> None:
        assert self._closed is not None
        problem = done.exception()
        if problem is not None:
            self._fail(problem)
        self._waiting.reached(self._written)
        if not self._closed.done():
            self._closed.set_result(self.failure is None)
