"""The straight line of one session: read, judge, record, then forward.

Both directions run inside ``data_received``: plain calls, no task and no queue per message.  Only
three things wait: a long text that the reader process reads, a recording that must be on the disk
first, and a catalog that must be read again behind DDL.  The client is then not read from; its
bytes stay in the stream, and a future's callback goes on.

What it is given is ``line.py``, and ``half.py`` what tells it of either side.  Order of the file:
what the two sides report, the client's turn, the target's turn, and the end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

from hoopagent.half import Half
from hoopagent.lane import HALF, Lane, gone
from hoopagent.line import OURS, Line, ending_of
from hoopagent.logs import places
from hoopagent.recorder import RecorderFailed
from hoopcore.policy import Verdict
from hoopcore.recording import EndCause, Event
from hoopcore.statement import Reading
from hoopcore.stream import Ask, Out, Refusal, Side

log = structlog.get_logger()

# A stream that holds less than this is not worth asking the agent-wide budget about, and it
# cannot have come to hold more before so many bytes have come.
_WORTH_COUNTING = 1 << 20
_COUNT_EVERY = 1 << 18

# A member of an Enum is looked up by Python, each time.
_CLIENT, _TARGET = Side.CLIENT, Side.TARGET

# What a client may send on while its statement is held, before it is not read from any more.
_READ_ON = 1 << 18

# What a side gets to take the last bytes, and the target to say what became of its statement.
_GRACE = 2.0
# What a client gets to listen that has closed its own direction.
_HALF_OPEN = 10.0


class Relay:
    """Runs one session until one side leaves or ``end`` is called.

    ``ended`` is done when both connections are closed, with the cause and a detail; the recording
    is then complete but for its last event.
    """

    def __init__(self, line: Line, client: Lane, target: Lane) -> None:
        self.line = line
        self.lanes = {_CLIENT: client, _TARGET: target}
        self.transports = {side: lane.transport for side, lane in self.lanes.items()}
        self._client, self._target = client.transport, target.transport
        self.loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[tuple[EndCause, str]] = self.loop.create_future()
        self.cause: tuple[EndCause, str] | None = None
        self._open = {_CLIENT, _TARGET}
        self._blocks = 0  # futures that the client's turn waits for
        self._holds = False  # one of them is a person's answer
        self._full: set[Side] = set()  # sides whose write buffer is full
        self._uncounted = 0  # bytes that came since the budget was asked about
        self._events: list[Event] = []
        self._outs: list[Out] = []

    def start(self) -> None:
        """Takes both connections over, with what was read past the login."""
        read = {side: lane.hand_over(Half(self, side)) for side, lane in self.lanes.items()}
        for side in (_TARGET, _CLIENT):
            if read[side]:
                self.received(side, read[side])
        for side in self.transports:
            self._set_reading(side)

    # --- what the two sides report --------------------------------------------------------------

    def received(self, side: Side, data: bytes) -> None:
        if self.cause is not None and side is _CLIENT:
            return
        try:
            self.line.stream.feed(side, data)
            if side is _CLIENT:
                self._client_turn()
                if self._holds:
                    self._set_reading(side)
            else:
                self._target_turn()
            # A side that takes no more has what the stream has let go piling up before it.
            self._uncounted += len(data)
            if self._full or self._uncounted > _COUNT_EVERY:
                self._count_held()
        except Exception as problem:  # noqa: BLE001 - the border: it ends the session
            self._failed(problem)

    def _count_held(self) -> None:
        self._uncounted = 0
        if (self._full or self.line.stream.held > _WORTH_COUNTING) and self.line.over_budget():
            self.end_as_largest()

    @property
    def held(self) -> int:
        """Bytes that this session holds: messages that wait, and what a side has not taken yet."""
        size = self.line.stream.held
        for side in self._open:
            size += self.transports[side].get_write_buffer_size()
        return size

    def end_as_largest(self) -> None:
        """Ends the session, as the one that holds most where all together hold too much."""
        self.end("53200", "the agent holds too much for its sessions", EndCause.HELD_TOO_MUCH)

    def _guarded(self, act: Callable[..., object], *arguments: Any) -> None:
        """Runs one turn; whatever goes wrong in it ends the session."""
        try:
            act(*arguments)
        except Exception as problem:  # noqa: BLE001 - the border: it ends the session
            self._failed(problem)

    def _failed(self, problem: Exception) -> None:
        """Ends the session for what went wrong in a turn; our own bug lets nothing pass."""
        code, text, cause = ending_of(problem)
        if cause in OURS:
            log.error("session.failed", problem=type(problem).__name__, where=places(problem))
        self.end(code, text, cause)

    def said_all(self) -> bool:
        """The client will say no more; whether its connection stays open for what it asked.

        Closed on its other side too it has left.  Over TCP that cannot be told from a client that
        still listens, so it gets a while and not for ever.
        """
        if self._holds:  # nobody is to approve what nobody may be waiting for
            return False
        if self.cause is not None or not self._in_flight() or gone(self._client):
            return False
        goodbye = self.line.stream.goodbye()
        if not goodbye:
            return False
        self.received(_CLIENT, goodbye)
        self.loop.call_later(_HALF_OPEN, self._leave)
        return not self._has_ended()  # the goodbye may have ended it

    def _has_ended(self) -> bool:
        return self.cause is not None

    def _leave(self) -> None:
        if self.cause is None:
            self._finish(EndCause.CLIENT_LEFT, "")
            self._settle()

    def lost(self, side: Side) -> None:
        self._open.discard(side)
        if self.cause is None:
            # A client that says goodbye may be slower to close than the target is to answer.
            gone = side is _CLIENT or self.line.stream.leaving
            self._finish(EndCause.CLIENT_LEFT if gone else EndCause.TARGET_LEFT, "")
        self._settle()

    def pause(self, side: Side) -> None:
        """This side takes no more for now, so the other one is not read from."""
        self._full.add(side)
        self._set_reading(_other(side))

    def resume(self, side: Side) -> None:
        self._full.discard(side)
        self._set_reading(_other(side))

    def _set_reading(self, side: Side) -> None:
        transport = self.transports[side]
        if transport.is_closing():
            return
        stopped = _other(side) in self._full or (side is _CLIENT and self._stopped)
        if stopped and transport.is_reading():
            transport.pause_reading()
        elif not stopped and not transport.is_reading():
            transport.resume_reading()

    @property
    def _stopped(self) -> bool:
        """Whether the client is not read from; while a person decides, a client may leave."""
        if not self._blocks:
            return False
        return not self._holds or self.line.stream.held >= _READ_ON

    def client_gone(self) -> bool:
        """Whether a client that is not read from has closed its connection, or half of it."""
        return gone(self._client, HALF)

    # --- the client's turn: judge, record, then forward -------------------------------------------

    def _client_turn(self) -> None:
        """Judges all that can be judged now; records it in one write; then forwards it."""
        if self._blocks or self.cause is not None:
            return
        while (ask := self.line.stream.next_ask()) is not None:
            reading = ask.reading
            if reading is None:
                found = self.line.read(ask)
                if isinstance(found, asyncio.Future):
                    # What was judged before it goes on its way; the rest waits for the reader.
                    self._commit()
                    self._wait(found, partial(self._answer, ask))
                    return
                reading = found
            self._answer(ask, reading)
        out = self.line.stream.pump()
        if out.to_target or out.to_client or out.seen:
            self._outs.append(out)
        if self._outs or self._events:
            self._commit()

    def _answer(self, ask: Ask, reading: Reading) -> None:
        verdict = self.line.judge(ask, reading)
        if verdict.held and self.line.hold is not None:
            found = self.line.hold(self, ask, reading, verdict)
            if found is None:
                return
            verdict = found
        self.act(ask, reading, verdict)

    def act(self, ask: Ask, reading: Reading, verdict: Verdict) -> None:
        """Does what the verdict says, once the turn is recorded."""
        self._events.append(self.line.said(ask, reading, verdict))
        if verdict.allowed:
            self._outs.append(self.line.stream.forward(ask, reading))
        else:
            refusal = Refusal(verdict.rule, verdict.reason, verdict.hint, code=verdict.code)
            self._outs.append(self.line.stream.refuse(ask, reading, refusal))

    def _commit(self) -> None:
        """Records what was judged, and only then lets it go."""
        outs, self._outs = self._outs, []
        events, self._events = self._events, []
        durable = self.line.recorder.append(*events) if events else None
        if durable is None:
            self._send_all(outs)
        elif durable.done():
            durable.result()
            self._send_all(outs)
        else:
            self._wait(durable, lambda _: self._send_all(outs))

    def hold(self, told: Event, until: asyncio.Future[Any], then: Callable[[Any], object]) -> None:
        """Records that an ask waits, and goes on with ``then`` when that is over."""
        self._events.append(told)
        self._holds = True

        def decided(result: Any) -> None:
            self._holds = False
            then(result)

        self._wait(until, decided)
        self._commit()

    def wait(self, future: asyncio.Future[Any], then: Callable[[Any], object]) -> None:
        """Stops the client's turn until the future is done, then goes on with it."""
        self._wait(future, then)

    def _wait(self, future: asyncio.Future[Any], then: Callable[[Any], object]) -> None:
        self._blocks += 1
        self._set_reading(_CLIENT)

        def go_on(done: asyncio.Future[Any]) -> None:
            if self.cause is not None:
                if not done.cancelled():
                    done.exception()  # nobody waits for it any more
                return
            self._blocks -= 1
            then(done.result())
            self._client_turn()
            self._set_reading(_CLIENT)

        future.add_done_callback(lambda done: self._guarded(go_on, done))

    # --- the target's turn ---------------------------------------------------------------------

    def _target_turn(self) -> None:
        out = self.line.stream.from_target()
        if self.line.flowed is not None:
            self.line.flowed(out)  # which may end the session: then nothing of it goes
        self._send(out)
        for seen in out.seen:
            first = self.line.behind(seen)
            if first is not None:
                self._wait(first, lambda _: None)
        if self.cause is not None:
            self._settle()
        elif self.line.stream.ready_again:
            self._client_turn()

    def _send_all(self, outs: list[Out]) -> None:
        """All of one turn as one, so that each side is written to once."""
        if len(outs) == 1:
            self._send(outs[0])
            return
        together = Out()
        for out in outs:
            together.add(out)
        self._send(together)

    def _send(self, out: Out) -> None:
        # What the client is told about is sealed first; a statement's own line was written before
        # it was forwarded, and what became of it may follow with the next one.
        if out.seen:
            self.line.recorder.append_later(*[self.line.saw(seen) for seen in out.seen])
        if out.to_target:
            self._target.writelines(out.to_target)
        if out.to_client and self.cause is None:
            self._client.writelines(out.to_client)

    # --- said by the agent itself, and the end -------------------------------------------------

    def say(self, text: str, hint: str = "") -> None:
        """A NOTICE to the client, at the next place between two messages."""
        if self.cause is None:
            self._guarded(lambda: self._send(self.line.stream.say(text, hint)))

    def end(self, code: str, text: str, cause: EndCause, detail: str = "") -> None:
        """Ends the session now: the client is told why, then both connections close.

        A statement in flight is cancelled, and the target gets a moment to say what became of it,
        for the record; nothing of that reaches the client.
        """
        if self.cause is not None:
            return
        client = self._client
        last = self.line.stream.end(code, text)
        with contextlib.suppress(RecorderFailed):
            if last.seen:
                self.line.recorder.append_later(*[self.line.saw(seen) for seen in last.seen])
        if not client.is_closing():
            client.writelines(last.to_client)
        self._finish(cause, detail)
        self._settle()

    def _finish(self, cause: EndCause, detail: str) -> None:
        self.cause = (cause, detail)
        # What was judged in this turn is not forwarded any more, but it was asked for.
        events, self._events = self._events, []
        unheld = self.line.unhold(cause) if self.line.unhold is not None else None
        if unheld is not None:
            events.append(unheld)
        self._outs.clear()
        with contextlib.suppress(RecorderFailed):
            if events:
                self.line.recorder.append(*events)
        self._client.close()
        if self._at_work() and cause is not EndCause.CLIENT_LEFT:
            self.line.cancel()
        target = self._target
        if not target.is_closing() and not target.is_reading():
            target.resume_reading()
        self.loop.call_later(_GRACE, self._abort)

    def _in_flight(self) -> bool:
        return _TARGET in self._open and not self.line.stream.idle

    def _at_work(self) -> bool:
        """Whether the target has still something to say about what it was sent."""
        return _TARGET in self._open and self.line.stream.in_flight

    def _settle(self) -> None:
        """Closes what is left to close; done when both connections are gone."""
        if self.cause is None:
            return
        # After a protocol error the stream cannot say any more what a reply belongs to.
        if not self._at_work() or self.cause[0] in (
            EndCause.PROTOCOL_ERROR,
            EndCause.INTERNAL_ERROR,
        ):
            self._target.close()
        if not self._open and not self.ended.done():
            self.ended.set_result(self.cause)

    def _abort(self) -> None:
        for side in tuple(self._open):
            self.transports[side].abort()
            # A channel of SSH is lost when its peer agrees, and that peer may never do.
            self.loop.call_soon(self.lost, side)


def _other(side: Side) -> Side:
    return _TARGET if side is _CLIENT else _CLIENT
