"""Forwards on SSH targets: what is listed is opened by the target, anything else is refused.

Each is a statement, ``forward to HOST:PORT``, judged and recorded before it opens; rules see it as
the command ``forward HOST:PORT``.  What goes through is counted and not read: no mask looks at it,
so only what targets.toml lists may be opened at all.

Listening on the target (-R), unix sockets, X11 and agents are refused, and recorded too: where no
session is open yet, one opens for it.

Order of the file: opening, the two ends, what is never forwarded.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import asyncssh
import structlog

from hoopagent.doors.ssh_packets import keep_little
from hoopagent.errors import Refused
from hoopagent.hold import Ending, Hold
from hoopagent.recorder import RecorderFailed
from hoopagent.shells.client import OPENING
from hoopagent.shells.judging import Asked, judged
from hoopagent.shells.live import ShellLive
from hoopagent.shells.target import NotReached
from hoopagent.store import StoreAway
from hoopcore.policy import Amount
from hoopcore.recording import EndCause, Finished

log = structlog.get_logger()

_PROHIBITED = asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED
_FAILED = asyncssh.OPEN_CONNECT_FAILED


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person's client asks for."""

    host: str
    port: int
    live: Callable[[], Awaitable[ShellLive]]  # its session
    closed: Callable[[], None]  # called once, however it ends


async def opened(wish: Wish) -> PersonForward:
    """A forward whose far end is open; ChannelOpenError says why there is none."""
    try:
        return await _opened(wish)
    except BaseException as problem:
        wish.closed()
        told = _told(problem)
        if told is problem:
            raise
        raise told from problem


async def _opened(wish: Wish) -> PersonForward:
    live = await wish.live()
    forward = PersonForward(live, wish.closed)
    try:
        place = f"[{wish.host}]" if ":" in wish.host else wish.host
        asked = Asked("forward", f"{place}:{wish.port}", to=(wish.host, wish.port))
        told = await judged(live, asked, forward)
        if not told.verdict.allowed:
            words = f'hoop: refused by rule "{told.verdict.rule}": {told.verdict.reason}'
            raise asyncssh.ChannelOpenError(_PROHIBITED, words)
        forward.seq = told.seq
        if live.cause is not None:
            raise asyncssh.ChannelOpenError(_PROHIBITED, "hoop: its session has ended")
        async with asyncio.timeout(OPENING):
            channel, _ = await live.target.create_connection(
                lambda: forward.far, wish.host, wish.port, encoding=None
            )
    except BaseException as problem:
        forward.finish(f"not opened: {type(problem).__name__}")
        raise
    forward.begin(channel)
    if forward.gone:
        raise asyncssh.ChannelOpenError(_FAILED, "hoop: the target closed it")
    return forward


def _told(problem: BaseException) -> BaseException:
    """The same as an answer to the client; what is no answer stays what it is."""
    match problem:
        case asyncssh.ChannelOpenError():
            words = "".join(c if c.isprintable() else "?" for c in problem.reason[:300])
            return asyncssh.ChannelOpenError(problem.code, words)
        case Refused():
            hint = f" {problem.hint}" if problem.hint else ""
            return asyncssh.ChannelOpenError(_PROHIBITED, f"hoop: {problem.message}.{hint}")
        case NotReached():
            return asyncssh.ChannelOpenError(_FAILED, f"hoop: {problem}")
        case StoreAway():
            return asyncssh.ChannelOpenError(_FAILED, "hoop: the agent cannot reach its store")
        case RecorderFailed():
            return asyncssh.ChannelOpenError(_FAILED, "hoop: this could not be recorded")
        case TimeoutError():
            words = f"hoop: the target did not open it within {OPENING:.0f} s"
            return asyncssh.ChannelOpenError(_FAILED, words)
        case asyncssh.Error() | OSError():
            return asyncssh.ChannelOpenError(_FAILED, "hoop: the target did not open it")
    return problem


# --- the two ends ---------------------------------------------------------------------------------


class PersonForward(asyncssh.SSHTCPSession[bytes]):
    """The person's end.  It begins when the target's end is open."""

    def __init__(self, live: ShellLive, closed: Callable[[], None]) -> None:
        self.hold: Hold | None = None  # while it waits for an approval
        self.seq = 0
        self.far = _TargetForward(self)
        self._live = live
        self._closed = closed
        self._near: Any = None
        self._target: Any = None
        self._down = self._up = 0  # bytes, to the person and to the target
        self._early: (
            list[bytes | None] | None
        ) = []  # of the target, before the person's end is there
        self._lost = self._over = False
        live.channels.add(self)

    def begin(self, target: Any) -> None:
        """That is the target's end."""
        self._target = target
        if self._over:
            target.abort()

    def connection_made(self, chan: Any) -> None:
        self._near = chan
        keep_little(chan)

    def session_started(self) -> None:
        early, self._early = self._early or [], None
        for data in early:
            self.from_target(data)
        if self._lost:
            self.finish("")
        elif self._over:
            self.to_person("abort")

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._up += len(data)
        self._to_target("write", data)

    def eof_received(self) -> bool:
        self._to_target("write_eof")
        return True

    def pause_writing(self) -> None:
        self._to_target("pause_reading")

    def resume_writing(self) -> None:
        self._to_target("resume_reading")

    def connection_lost(self, exc: Exception | None) -> None:
        self.finish("")
        self._closed()

    def from_target(self, data: bytes | None) -> None:
        """Bytes, or their end."""
        if self._early is not None:
            self._early.append(data)  # what fits in the channel's window
        elif data is None:
            self.to_person("write_eof")
        elif self._live.meter.charge(Amount(bytes=len(data))):
            self._down += len(data)
            self.to_person("write", data)

    def target_lost(self) -> None:
        self._lost = True
        if self._early is None or not self._early:
            self.finish("")

    def to_person(self, do: str, *arguments: Any) -> None:
        """One call of their channel; nothing where it is over."""
        _call(self._near, do, *arguments)

    def _to_target(self, do: str, *arguments: Any) -> None:
        _call(self._target, do, *arguments)

    @property
    def runs(self) -> bool:
        """What is forwarded may be at rest for as long as a lid is closed."""
        return False

    @property
    def gone(self) -> bool:
        """Whether nobody waits for it any more."""
        return self._over or self._live.cause is not None

    def say(self, text: str, hint: str = "") -> None:
        """Told on the session's other channels: a forward has no place for words."""
        for channel in list(self._live.channels):
            if not isinstance(channel, PersonForward):
                channel.say(text, hint)

    def end(self, text: str) -> None:
        """It ends now."""
        self.finish("ended")

    def finish(self, error: str) -> None:
        """Both ends close, and what went through is recorded, once.

        With an error nothing that is still on its way arrives.
        """
        if self._over:
            return
        self._over = True
        self._live.channels.discard(self)
        if self.hold is not None:
            self.hold.end(Ending(False, "its session ended"))
        for do in (self.to_person, self._to_target):
            do("abort" if error else "close")
        if not self.seq:
            return
        tag = f"{self._up} bytes sent"
        event = Finished(seq=self.seq, tag=tag, bytes=self._down, error=error)
        try:
            self._live.recorder.append_later(event)
        except RecorderFailed:
            words = "this session can no longer be recorded"
            self._live.end("", words, EndCause.RECORDING_FAILED)


class _TargetForward(asyncssh.SSHTCPSession[bytes]):
    """The target's end."""

    def __init__(self, person: PersonForward) -> None:
        self._person = person

    def connection_made(self, chan: Any) -> None:
        keep_little(chan)

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._person.from_target(data)

    def eof_received(self) -> bool:
        self._person.from_target(None)
        return True

    def pause_writing(self) -> None:
        self._person.to_person("pause_reading")

    def resume_writing(self) -> None:
        self._person.to_person("resume_reading")

    def connection_lost(self, exc: Exception | None) -> None:
        self._person.target_lost()


def _call(channel: Any, do: str, *arguments: Any) -> None:
    """Nothing, where there is no such end, or it has gone meanwhile."""
    if channel is not None:
        with contextlib.suppress(OSError):
            getattr(channel, do)(*arguments)


# --- what is never forwarded ----------------------------------------------------------------------


async def refused(live: Callable[[], Awaitable[ShellLive]], what: str) -> str:
    """Records that this was asked for, and what the person is told."""
    words = f"{what} is refused: hoop forwards only what the target lists, ssh -L or -W"
    with contextlib.suppress(Refused, NotReached, StoreAway, asyncssh.Error, OSError):
        session = await live()
        try:
            await judged(session, Asked("forward", what), _Nobody())
        except RecorderFailed:
            told = "this session can no longer be recorded"
            session.end("", told, EndCause.RECORDING_FAILED)
    return words


class _Nobody:
    """Waits for nothing: what is refused at once is never held."""

    hold: Hold | None = None
    gone = True

    def say(self, text: str, hint: str = "") -> None:
        return
