"""What goes both ways on one channel, once the target has opened its own end of it.

A passage (``hoopcore.passage``) sees every byte first and says what goes on.  What it asks is
judged and recorded before it is told the verdict, and the person is not read from meanwhile.  Where
it changes nothing, bytes go straight through.

Neither side is read faster than the other one takes, nor than the recording is written.

Order of the file: which passage, stopping a side, the bytes, the target's end of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter, deque
from collections.abc import Coroutine
from typing import Any, Protocol

import asyncssh

from hoopagent.doors.ssh_packets import keep_little
from hoopagent.recorder import RecorderFailed
from hoopagent.shells.judging import Asked, Told
from hoopagent.shells.live import ShellLive
from hoopagent.shells.screen import Screen
from hoopagent.shells.transfers import transfer_passage
from hoopcore.passage import (
    Ask,
    Became,
    Done,
    Given,
    Masked,
    Passage,
    Plain,
    Stop,
    ToPerson,
    ToTarget,
    Wait,
)
from hoopcore.policy import Amount, FileRules
from hoopcore.protocols.sftp import Sftp
from hoopcore.recording import EndCause, File, Finished
from hoopcore.recording.redaction import NOTHING, redact
from hoopcore.statement import Reading
from hoopcore.terminal import Masks, WordsMasked, clear_command, masks

# Seconds after which the end of what a target says is told without an exit status.
_ALONE = 1.0
_MOST_CALLS = 64


def passage_for(live: ShellLive, asked: Asked, reading: Reading) -> Passage:
    """Who reads what goes through a channel that is this."""
    section, files = live.prepared.section, _files(live, asked, reading)
    clear = asked.kind == "exec" and not asked.terminal
    if section.output == "clear" or (
        clear and clear_command(asked.text, reading, section.clear_output)
    ):
        return files or Plain()
    columns, lines = asked.size
    masked = masks(live.sweep, terminal=asked.terminal, columns=columns, lines=lines)
    if files is not None:
        return files if masked is None else WordsMasked(files, masked)
    return masked or Plain()


def _files(live: ShellLive, asked: Asked, reading: Reading) -> Passage | None:
    """Who reads the files that go through; None where it is no channel for them."""
    if asked.kind == "subsystem":  # no other one is let
        return Sftp(FileRules(lambda: live.judge.in_force))
    return transfer_passage(live, asked, reading)


class Person(Protocol):
    """The person's end of a channel."""

    def to_person(self, do: str, *arguments: Any) -> None:
        """One call of their channel; nothing where it is over."""
        ...

    def apart(self, work: Coroutine[Any, Any, None]) -> None:
        """Work that ends the channel where it fails."""
        ...

    async def judged(self, ask: Ask) -> Told: ...

    def stop(self, words: str, hint: str = "") -> None:
        """It ends here, as what hoop itself could not do."""
        ...

    def target_lost(self) -> None:
        """The target's end is closed, and all that it said has been told."""
        ...


_SIGNAL = re.compile(r"[A-Za-z0-9@.-]{1,40}")


class Brake:
    """One side is read from while nobody has a reason against it."""

    def __init__(self) -> None:
        self._reasons: set[str] = set()
        self._channel: Any = None

    def of(self, channel: Any) -> None:
        """That side's channel, from now on."""
        self._channel = channel
        self._do("pause_reading" if self._reasons else "resume_reading")

    def put(self, reason: str) -> None:
        self._reasons.add(reason)
        self._do("pause_reading")

    def lift(self, reason: str) -> None:
        if reason in self._reasons:
            self._reasons.discard(reason)
            if not self._reasons:
                self._do("resume_reading")

    def _do(self, what: str) -> None:
        if self._channel is not None:
            with contextlib.suppress(OSError):
                getattr(self._channel, what)()


class Carried:
    """The bytes of one channel."""

    def __init__(
        self, person: Person, live: ShellLive, passage: Passage, screen: Screen | None
    ) -> None:
        self.bytes = 0  # that the person got
        self.masked: Counter[str] = Counter()
        self.of_person, self.of_target = Brake(), Brake()
        self._person = person
        self._live = live
        self._passage = passage
        self._plain = type(passage) is Plain
        self._screen = screen
        self._target: Any = None
        self._calls: list[tuple[str, tuple[Any, ...]]] = []  # of its channel, for later
        self._kept: deque[bytes | None] = deque()  # of the person, for later; None is its end
        self._asking = False
        self._timer: asyncio.TimerHandle | None = None
        self._person_done = self._target_done = False
        self._ending: asyncio.TimerHandle | None = None
        self._over = False

    def begin(self, target: Any) -> None:
        """The target has opened its end: what was kept goes there."""
        self._target = target
        self.of_target.of(target)
        calls, self._calls = self._calls, []
        for do, arguments in calls:
            self.to_target(do, *arguments)
        self._go_on()

    # --- the person's side ------------------------------------------------------------------------

    def from_person(self, data: bytes | None) -> None:
        """Bytes, or their end."""
        self._person_done = self._person_done or data is None
        if self._kept or self._asking or self._target is None:
            # asyncssh reads until it is paused; what comes by then fits in the channel's window.
            self._kept.append(data)
        else:
            self._pass_on(data)

    def person_full(self, *, full: bool) -> None:
        """They take no more for now; what may answer by itself then hears no more either."""
        for brake in (self.of_target,) if self._plain else (self.of_target, self.of_person):
            (brake.put if full else brake.lift)("person")

    def _pass_on(self, data: bytes | None) -> None:
        if self._over:
            return
        if data is None:
            self._do(self._passage.person_done())
            self.to_target("write_eof")
        elif self._plain:
            self.to_target("write", data)
        else:
            self._do(self._passage.from_person(data))

    def _go_on(self) -> None:
        while self._kept and not self._asking and not self._over:
            self._pass_on(self._kept.popleft())

    def to_target(self, do: str, *arguments: Any) -> None:
        """Once there is a channel there; nothing where it has gone meanwhile."""
        if self._target is None:
            # What it shows may be here before it is: and then an answer to that, too.
            if not self._over and len(self._calls) < _MOST_CALLS:
                self._calls.append((do, arguments))
            return
        with contextlib.suppress(OSError):
            getattr(self._target, do)(*arguments)

    def resized(self, *size: int) -> None:
        """The person's terminal has that size from here on."""
        if self._screen is not None and not self._over:
            try:
                self._screen.resized(*size[:2])
            except RecorderFailed:
                self._not_recorded()
                return
        if isinstance(self._passage, Masks):
            self._passage.resized(*size[:2])
        self.to_target("change_terminal_size", *size)

    # --- the target's side ------------------------------------------------------------------------

    def from_target(self, data: bytes, *, stderr: bool) -> None:
        if self._over:
            return
        if self._plain:
            self._to_person(data, stderr=stderr)
            return
        self._do(self._passage.from_target(data, stderr=stderr))
        self._wait()

    def target_done(self) -> None:
        """It says no more.

        Told with the exit status, which mostly is there at once: a client that has ended its input
        closes the channel at this end, and no status would reach it any more.
        """
        if not self._target_done and not self._over:
            self._target_done = True
            self._do(self._passage.target_done())
            self._ending = asyncio.get_running_loop().call_later(_ALONE, self._tell_end)

    def _tell_end(self) -> None:
        if not self._over and not self._person_done:
            self._person.to_person("write_eof")

    def target_lost(self) -> None:
        """Its channel is closed."""
        if not self._target_done and not self._over:
            self._target_done = True
            self._do(self._passage.target_done())
        self._person.target_lost()

    def _wait(self) -> None:
        """Has the passage told when nothing comes for a while, where it holds something back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        patience = self._passage.patience
        if patience is not None and not self._over:
            self._timer = asyncio.get_running_loop().call_later(patience, self._quiet)

    def _quiet(self) -> None:
        self._timer = None
        if not self._over:
            self._do(self._passage.quiet())

    def _to_person(self, data: bytes, *, stderr: bool) -> None:
        """Charged, recorded, and only then told."""
        if not data or self._over or not self._live.meter.charge(Amount(bytes=len(data))):
            return
        self.bytes += len(data)
        screen = self._screen
        if screen is not None:
            try:
                screen.shown(data)
            except RecorderFailed:
                self._not_recorded()
                return
            if screen.full is not None and not screen.full.done():
                self.of_target.put("recording")
                screen.full.add_done_callback(self._caught_up)
        kind = asyncssh.EXTENDED_DATA_STDERR if stderr else None
        self._person.to_person("write", data, kind)

    def _caught_up(self, done: asyncio.Future[None]) -> None:
        if not done.cancelled() and done.exception() is None:
            self.of_target.lift("recording")

    def _not_recorded(self) -> None:
        words = "this session can no longer be recorded"
        self._live.end("", words, EndCause.RECORDING_FAILED)

    # --- what the passage says --------------------------------------------------------------------

    def _do(self, given: list[Given]) -> None:
        for one in given:
            match one:
                case ToPerson():
                    self._to_person(one.data, stderr=one.stderr)
                case ToTarget():
                    self.to_target("write", one.data)
                case Ask():
                    self._asking = True
                    self.of_person.put("asking")
                    self._person.apart(self._ask(one))
                case Done() | Masked():
                    self._account(one)
                case Became():
                    self._append(one.event)
                case Wait():
                    (self.of_person.put if one.on else self.of_person.lift)("passage")
                case Stop():
                    self._person.stop(one.words, one.hint)
            if self._over:
                return

    async def _ask(self, ask: Ask) -> None:
        told = await self._person.judged(ask)
        verdict = told.verdict
        refusal = ""
        if not verdict.allowed:
            refusal = f'refused by rule "{verdict.rule}": {verdict.reason}'
        self._asking = False
        if self._over:
            return
        self._do(self._passage.decided(told.seq, refusal))
        self._go_on()
        if not self._asking:
            self.of_person.lift("asking")
        self._wait()

    def _account(self, one: Done | Masked) -> None:
        if isinstance(one, Masked):
            self.masked.update(one.counts)
            self._live.meter.charge(Amount(sensitive=sum(one.counts.values())))
            return
        if self._live.prepared.section.record_text != "exact":
            path, live = one.event.path.encode("utf-8", "surrogateescape"), self._live
            key, sweep = live.keys.redaction, live.sweep
            one.event.path = redact(path, Reading(()), NOTHING, key, sweep=sweep)
        self._append(one.event)

    def _append(self, event: File | Finished) -> None:
        try:
            self._live.recorder.append_later(event)
        except RecorderFailed:
            self._not_recorded()

    def close(self) -> None:
        """Nothing goes on any more; what was under way is accounted for."""
        if self._over:
            return
        self._over = True
        self._kept.clear()
        for timer in (self._timer, self._ending):
            if timer is not None:
                timer.cancel()
        for one in self._passage.closed():
            if isinstance(one, Done | Masked):
                self._account(one)
        if self._screen is not None:
            with contextlib.suppress(RecorderFailed):
                self._screen.close()
        self.to_target("abort")


class TargetChannel(asyncssh.SSHClientSession[bytes]):
    """The target's end."""

    def __init__(self, carried: Carried) -> None:
        self._carried = carried
        self.status: int | None = None
        self.signal: tuple[str, bool, str, str] | None = None

    def connection_made(self, chan: Any) -> None:
        keep_little(chan)

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._carried.from_target(data, stderr=datatype is not None)

    def eof_received(self) -> bool:
        self._carried.target_done()
        return True

    def exit_status_received(self, status: int) -> None:
        self.status = status

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        # The person's client may show it, and the recording does.
        name = signal if _SIGNAL.fullmatch(signal) else "UNKNOWN"
        self.signal = (name, core_dumped, "", "")

    def pause_writing(self) -> None:
        self._carried.of_person.put("target")

    def resume_writing(self) -> None:
        self._carried.of_person.lift("target")

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            # The line broke, perhaps in front of the last bytes: how it ended is not known.
            self.status = self.signal = None
        self._carried.target_lost()
