"""Which reply answers which message.

The target reads messages in order and answers them in order, so a queue of what was sent is all
that is needed, were it not that some messages are never answered:

* After an error in the extended protocol the target **skips** everything but Sync and Terminate
  until the next Sync: Query and FunctionCall too.
* In COPY IN it **ignores** Sync and Flush until CopyDone or CopyFail.  So libpq's ordinary extended
  COPY (Parse Bind Describe Execute Sync, then CopyData … CopyDone Sync) gets one ReadyForQuery
  for its two Syncs.
* Outside COPY IN it ignores CopyData, CopyDone and CopyFail: the late ones of a failed COPY.

The target is a deterministic reader of one sequence, so what it skipped is known from the replies,
with one exception: when a COPY IN fails, it is unknown whether the Syncs sent before its CopyDone
were still ignored.  Those are kept as *maybe* answered.  Nothing but a Sync is ever answered by a
bare ReadyForQuery, so the next reply of another kind settles it.  In the extended protocol it
also decides whether the target is skipping; a client that sends on without a Sync before that is
known (no driver does) gets a ProtocolError.

Order of the file: what a message goes through, the table, the queue.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import IntEnum, auto
from typing import Generic, TypeVar

from hoopcore.protocols.postgres import wire
from hoopcore.stream import ProtocolError

# PostgreSQL flushes its replies at Sync, or when 8 KiB of them have gathered, which takes at most
# 1,639 of the shortest kind.  So a client that waits for us never waits for itself.
MOST_DUE = 10_000


class State(IntEnum):
    """How far the reply to one message has come.  A number, since it is a key at every reply."""

    START = auto()
    STATEMENT = auto()  # Describe of a statement, nothing answered yet
    DESCRIBED = auto()  # its parameters came, its columns not yet
    ROWS = auto()
    COPYING_IN = auto()
    COPYING_OUT = auto()
    COPIED = auto()  # the target's CopyDone came, its CommandComplete not yet
    ANSWERED = auto()  # a Query of which at least one statement is complete
    FAILED = auto()  # the error came, ReadyForQuery not yet
    DONE = auto()


@dataclass(eq=False)
class Message:
    """One message that the target has been sent, and how far its reply has come."""

    kind: int
    state: State = State.START
    serial: int = 0  # 1, 2, 3 … in the order they were sent
    maybe: bool = False  # a Sync that may have been ignored


_S = State
_DONE, _COPYING_IN = State.DONE, State.COPYING_IN
_STATEMENT_OF_QUERY = {
    wire.ROW_DESCRIPTION: _S.ROWS,
    wire.COMMAND_COMPLETE: _S.ANSWERED,
    wire.EMPTY_QUERY: _S.ANSWERED,
    wire.COPY_IN: _S.COPYING_IN,
    wire.COPY_OUT: _S.COPYING_OUT,
}

# (kind of message, state) → reply → state.  Errors are not in the table: any message may fail in
# any state but FAILED.  Neither are notices, notifications and parameters, which answer nothing.
TABLE: dict[tuple[int, State], dict[int, State]] = {
    (wire.PARSE, _S.START): {wire.PARSE_COMPLETE: _S.DONE},
    (wire.BIND, _S.START): {wire.BIND_COMPLETE: _S.DONE},
    (wire.CLOSE, _S.START): {wire.CLOSE_COMPLETE: _S.DONE},
    (wire.DESCRIBE, _S.START): {wire.ROW_DESCRIPTION: _S.DONE, wire.NO_DATA: _S.DONE},
    (wire.DESCRIBE, _S.STATEMENT): {wire.PARAMETER_DESCRIPTION: _S.DESCRIBED},
    (wire.DESCRIBE, _S.DESCRIBED): {wire.ROW_DESCRIPTION: _S.DONE, wire.NO_DATA: _S.DONE},
    (wire.EXECUTE, _S.START): {
        wire.DATA_ROW: _S.ROWS,
        wire.COMMAND_COMPLETE: _S.DONE,
        wire.EMPTY_QUERY: _S.DONE,
        wire.PORTAL_SUSPENDED: _S.DONE,
        wire.COPY_IN: _S.COPYING_IN,
        wire.COPY_OUT: _S.COPYING_OUT,
    },
    (wire.EXECUTE, _S.ROWS): {
        wire.DATA_ROW: _S.ROWS,
        wire.COMMAND_COMPLETE: _S.DONE,
        wire.PORTAL_SUSPENDED: _S.DONE,
    },
    (wire.EXECUTE, _S.COPYING_IN): {wire.COMMAND_COMPLETE: _S.DONE},
    (wire.EXECUTE, _S.COPYING_OUT): {
        wire.COPY_DATA: _S.COPYING_OUT,
        wire.COPY_DONE: _S.COPIED,
    },
    (wire.EXECUTE, _S.COPIED): {wire.COMMAND_COMPLETE: _S.DONE},
    (wire.QUERY, _S.START): _STATEMENT_OF_QUERY,
    (wire.QUERY, _S.ANSWERED): {**_STATEMENT_OF_QUERY, wire.READY: _S.DONE},
    (wire.QUERY, _S.ROWS): {wire.DATA_ROW: _S.ROWS, wire.COMMAND_COMPLETE: _S.ANSWERED},
    (wire.QUERY, _S.COPYING_IN): {wire.COMMAND_COMPLETE: _S.ANSWERED},
    (wire.QUERY, _S.COPYING_OUT): {
        wire.COPY_DATA: _S.COPYING_OUT,
        wire.COPY_DONE: _S.COPIED,
    },
    (wire.QUERY, _S.COPIED): {wire.COMMAND_COMPLETE: _S.ANSWERED},
    (wire.QUERY, _S.FAILED): {wire.READY: _S.DONE},
    (wire.FUNCTION_CALL, _S.START): {wire.FUNCTION_RESULT: _S.ANSWERED},
    (wire.FUNCTION_CALL, _S.ANSWERED): {wire.READY: _S.DONE},
    (wire.FUNCTION_CALL, _S.FAILED): {wire.READY: _S.DONE},
    (wire.SYNC, _S.START): {wire.READY: _S.DONE},
    (wire.SYNC, _S.FAILED): {wire.READY: _S.DONE},
}

_NO_MOVES: dict[int, State] = {}
_COPIES = frozenset((wire.COPY_DATA, wire.COPY_DONE, wire.COPY_FAIL))
_COPY_ENDS = frozenset((wire.COPY_DONE, wire.COPY_FAIL))
_MAKES_READY = frozenset((wire.QUERY, wire.FUNCTION_CALL, wire.SYNC))
_NEVER_ANSWERED = frozenset((wire.FLUSH, wire.TERMINATE))

M = TypeVar("M", bound=Message)


class Due(Generic[M]):
    """The messages that wait for their reply, oldest first."""

    def __init__(self) -> None:
        self._queue: deque[M] = deque()
        self._serial = 0
        self._newest_ready = 0  # serial of the newest message that ReadyForQuery will answer
        self._maybes = 0
        self.skipping = False  # the target skips what it is sent now
        self._unsure = False  # … or it does not: a Sync may have ended that
        self.terminated = False
        self._lost = False  # only the end of the connection may come now

    # --- what the client's side asks and says --------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether so many replies are due that nothing more should be sent for now."""
        # In COPY IN only the client's CopyDone brings a reply.
        return len(self._queue) >= MOST_DUE and self._queue[0].state is not State.COPYING_IN

    @property
    def empty(self) -> bool:
        """Whether no reply is due for certain."""
        return all(message.maybe or message.kind in _COPIES for message in self._queue)

    def ready_follows(self, serial: int) -> bool:
        """Whether a ReadyForQuery will come, from this message on, without a word of the client."""
        if self._newest_ready < serial:
            return False
        head = self._queue[0] if self._queue else None
        if head is None or head.state is not State.COPYING_IN:
            return True
        return any(message.kind in _COPY_ENDS for message in self._queue)

    def send(self, message: M) -> bool:
        """Takes note of a message on its way; False where the target will skip it unanswered.

        Consecutive CopyData count as one.
        """
        if self.terminated:
            raise ProtocolError("a message after Terminate")
        if len(self._queue) > 10 * MOST_DUE:
            raise ProtocolError("far too many messages inside one COPY")
        kind = message.kind
        self._serial += 1
        message.serial = self._serial
        if kind == wire.QUERY and not (self.skipping or self._unsure):
            self._queue.append(message)
            self._newest_ready = self._serial
            return True
        if kind in _NEVER_ANSWERED:
            self.terminated = kind == wire.TERMINATE
            return True
        if kind in _COPIES:
            # With nothing due, or once more behind its like, it changes nothing.
            if self._queue and not (kind == wire.COPY_DATA == self._queue[-1].kind):
                self._queue.append(message)
            return True
        if kind == wire.SYNC:
            self.skipping = self._unsure = False
        elif self._unsure:
            raise ProtocolError("a COPY failed, and the client goes on without Sync")
        elif self.skipping:
            return False
        self._queue.append(message)
        if kind in _MAKES_READY:
            self._newest_ready = self._serial
        return True

    def put_before(self, serial: int, message: M) -> bool:
        """Another message goes before the one of this serial, which has not been sent after all.

        False where that one is skipped anyway.
        """
        for place, one in enumerate(self._queue):
            if one.serial == serial:
                message.serial = serial
                self._queue.insert(place, message)
                return True
        return False

    # --- what the target's side asks and says ---------------------------------------------------

    @property
    def head(self) -> M | None:
        """The message the target is at, as far as its replies tell."""
        for message in self._queue:
            if not message.maybe and message.kind not in _COPIES:
                return message
        return None

    @property
    def copying_in(self) -> bool:
        """Whether that message waits for the client's CopyDone."""
        head = self.head
        return head is not None and head.state == _COPYING_IN

    def reply(self, kind: int) -> M:
        """The message that a reply of this kind answers; its state is what comes after it."""
        queue = self._queue
        # Nothing is in doubt, nearly always: the oldest message it is.
        if queue and not self._maybes and not self._lost and queue[0].kind not in _COPIES:
            message = queue[0]
        else:
            message = self._front(kind)
        state = TABLE.get((message.kind, message.state), _NO_MOVES).get(kind)
        if state is None:
            raise ProtocolError("the target's reply fits no message it was sent")
        if message.state == _COPYING_IN:
            self._copied_in()
        message.state = state
        if state == _DONE:
            if queue[0] is message and not message.maybe:
                queue.popleft()
            else:
                self._remove(message)
        return message

    def error(self, code: str) -> tuple[M, list[M]]:
        """The message that failed with this SQLSTATE, and those skipped for it."""
        message = self._front(wire.ERROR)
        if message.state is State.FAILED:
            raise ProtocolError("the target reports a second error for one message")
        copying = message.state is State.COPYING_IN
        message.state = State.FAILED
        if message.kind in _MAKES_READY:
            if copying:
                self._queue.popleft()
                doubtful = self._doubtful_syncs()
                self._queue.extendleft(reversed([message, *doubtful]))
                self._find_newest_ready()
            return message, []
        self._queue.popleft()
        skipped = self._skip(code, self._doubtful_syncs() if copying else [])
        self._find_newest_ready()
        return message, skipped

    def _front(self, kind: int) -> M:
        """The oldest message that a reply of this kind may belong to."""
        if self._lost:
            raise ProtocolError("a COPY failed, and the target goes on")
        queue = self._queue
        while queue and queue[0].kind in _COPIES:
            queue.popleft()  # ignored by the target: no COPY is on
        if self._maybes and queue and queue[0].kind == wire.SYNC:
            run = self._leading_syncs()
            certain = next((sync for sync in run if not sync.maybe), None)
            if certain is not None:
                return certain
            if kind != wire.READY:  # so they had been ignored
                for sync in run:
                    self._remove(sync)
                return self._front(kind)
        if not queue:
            raise ProtocolError("the target replies although nothing is due")
        return queue[0]

    def _leading_syncs(self) -> list[M]:
        """The Syncs that nothing but late copy messages stands before or between."""
        run = []
        for message in self._queue:
            if message.kind == wire.SYNC:
                run.append(message)
            elif message.kind not in _COPIES:
                break
        return run

    def _remove(self, message: M) -> None:
        if self._queue[0] is message:
            self._queue.popleft()
        else:
            self._queue.remove(message)
        if message.maybe:
            self._maybes -= 1
            if message.state is State.DONE and self._unsure:
                # That Sync was answered, so it was not ignored, and it ended the skipping.
                self.skipping = self._unsure = False

    def _copied_in(self) -> None:
        """A COPY IN is complete: what was sent up to its CopyDone has been read by it."""
        head = self._queue.popleft()
        while self._queue:
            message = self._queue.popleft()
            if message.kind == wire.COPY_DONE:
                self._queue.appendleft(head)
                self._find_newest_ready()
                return
            if message.kind not in (wire.SYNC, wire.COPY_DATA):
                break
        raise ProtocolError("the target ends a COPY that the client has not ended")

    def _doubtful_syncs(self) -> list[M]:
        """Takes the Syncs from the queue's front that a failed COPY may have ignored."""
        doubtful = []
        while self._queue and self._queue[0].kind in (wire.SYNC, wire.COPY_DATA):
            message = self._queue.popleft()
            if message.kind == wire.SYNC:
                message.maybe = True
                self._maybes += 1
                doubtful.append(message)
        return doubtful

    def _skip(self, code: str, doubtful: list[M]) -> list[M]:
        """What the target skips after an error in the extended protocol, up to the next Sync."""
        skipped = []
        while self._queue and self._queue[0].kind != wire.SYNC:
            message = self._queue.popleft()
            if message.kind not in _COPIES:
                skipped.append(message)
        if doubtful and skipped:
            # 08P01: the COPY read what is not of a COPY, and next the target ends the connection.
            # Anything else it says then would have no message that is known for certain.
            if code != "08P01":
                raise ProtocolError("a COPY failed, and the client went on without Sync")
            self._lost = True
        if not self._queue:
            self.skipping = True
            self._unsure = bool(doubtful)
        self._queue.extendleft(reversed(doubtful))
        return skipped

    def _find_newest_ready(self) -> None:
        self._newest_ready = 0
        for message in reversed(self._queue):
            if message.kind in _MAKES_READY and not message.maybe:
                self._newest_ready = message.serial
                return
