"""A channel of a person's on an SSH target: what they ask for on it, and what becomes of that.

What is asked for is a statement: judged, recorded, and only then asked of the target.  From then on
bytes, ends of files, signals and exit statuses go from one side to the other (``carrying``).

A refusal is told on stderr, with exit status 126; what hoop itself could not do, with 255, as ssh
tells it.

Order of the file: what is asked, being answered, what comes later, ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import textwrap
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final

import asyncssh
import structlog

from hoopagent.background import Background
from hoopagent.doors.ssh_packets import NO_READER, hear_no_reader, keep_little
from hoopagent.errors import Refused
from hoopagent.hold import Ending, Hold
from hoopagent.logs import places
from hoopagent.recorder import RecorderFailed
from hoopagent.shells.carrying import Carried, TargetChannel, passage_for
from hoopagent.shells.judging import Asked, Told, judged, judged_within
from hoopagent.shells.live import ShellLive
from hoopagent.shells.screen import Screen
from hoopagent.shells.target import NotReached
from hoopagent.store import StoreAway
from hoopcore.passage import Ask
from hoopcore.policy import Verdict
from hoopcore.recording import EndCause, Finished

log = structlog.get_logger()

# Seconds that a target has to take what it is asked to run.
OPENING: Final = 9.0

REFUSED: Final = 126
FAILED: Final = 255

# What a client may set on the target; everything else could change what programs run.
_ENVIRONMENT = ("LANG", "LC_")


@dataclass
class Opening:
    """How a channel comes to its session, and what it tells whoever made it."""

    live: Callable[[], Awaitable[ShellLive]]
    background: Background
    closed: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Terminal:
    """What a person's terminal is, as their client tells it."""

    kind: str
    size: tuple[int, int, int, int]  # columns, lines, and both in pixels
    modes: Any

    def asked_for(self) -> dict[str, Any]:
        """Another one like it, as asyncssh wants to be asked."""
        return {
            "request_pty": "force",
            "term_type": self.kind or "dumb",
            "term_size": self.size,
            "term_modes": self.modes,
        }


class PersonChannel(asyncssh.SSHServerSession[bytes]):
    """A session channel on a connection that names an SSH target."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._asked: Asked | None = None
        self._live: ShellLive | None = None
        self._carried: Carried | None = None  # once it may be
        self._far: TargetChannel | None = None
        self._early: list[bytes | None] = []  # what came before that; None is the end
        self._paused = False  # the person takes no more for now
        self._seq = 0
        self._terminal: Terminal | None = None
        self._screen: Screen | None = None
        self.hold: Hold | None = None  # while it waits for an approval
        self._told = False  # what became of the statement
        self._over = False

    # --- what is asked ----------------------------------------------------------------------------

    def connection_made(self, chan: Any) -> None:
        self._chan = chan
        keep_little(chan)
        hear_no_reader(chan, self._no_reader)

    def pty_requested(self, term_type: str, term_size: Any, term_modes: Any) -> bool:
        if self._asked is not None:
            return False  # what was asked for is judged as what has none
        self._terminal = Terminal(term_type, term_size, term_modes)
        return True

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        if self._terminal is None:
            return
        self._terminal = replace(self._terminal, size=(width, height, pixwidth, pixheight))
        if self._screen is not None and self._carried is not None and not self._over:
            self._carried.resized(width, height, pixwidth, pixheight)

    def shell_requested(self) -> bool:
        return self._ask(Asked("shell"))

    def exec_requested(self, command: str) -> bool:
        return self._ask(Asked("exec", command))

    def subsystem_requested(self, subsystem: str) -> bool:
        return self._ask(Asked("subsystem", subsystem))

    def _ask(self, asked: Asked) -> bool:
        """Whatever it is, it is answered: only so can a refusal have words."""
        self._asked = replace(asked, terminal=self._terminal is not None)
        return True

    def session_started(self) -> None:
        self._chan.pause_reading()
        self.apart(self._answer())

    # --- being answered ---------------------------------------------------------------------------

    def apart(self, work: Coroutine[Any, Any, None]) -> None:
        """Work for this channel, which ends where that fails."""
        if self._opening.background.apart(self._contained(work)) is None:
            work.close()
            self.stop("the agent is stopping")

    async def _contained(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Refused as problem:
            self._refuse(problem.message, problem.hint, REFUSED)
        except NotReached as problem:
            self.stop(str(problem))
        except StoreAway:
            self.stop("the agent cannot reach its store, so nothing is opened")
        except RecorderFailed:
            self.stop("this could not be recorded, so it is not done")
            if self._live is not None:
                self._live.end("", "it can no longer be recorded", EndCause.RECORDING_FAILED)
        except (asyncssh.Error, OSError) as problem:
            log.info("channel.failed", problem=type(problem).__name__)
            self.stop("the target did not open what was asked for")
        except Exception as problem:  # noqa: BLE001 - the border: our bug lets nothing pass
            log.error("channel.failed", problem=type(problem).__name__, where=places(problem))
            self.stop("the agent failed; nothing more is done, to be safe")

    async def _answer(self) -> None:
        """Judge, record, and only then ask the target."""
        asked = self._asked
        assert asked is not None, "a channel starts when something was asked for"
        live = self._live = await self._opening.live()
        if self._over:
            return
        live.channels.add(self)
        told = await judged(live, asked, self)
        self._seq = told.seq
        if not told.verdict.allowed:
            self._told = True
            self._refuse(*_words(told.verdict), REFUSED)
            return
        if self._over or live.cause is not None:
            self._tell("", "not begun")
            return
        await self._begin(live, asked, told)

    async def _begin(self, live: ShellLive, asked: Asked, told: Told) -> None:
        """The target runs it: from here on bytes go both ways."""
        terminal: dict[str, Any] = {"request_pty": False}
        if self._terminal is not None:
            terminal = self._terminal.asked_for()
            self._screen = Screen(live, self._seq, self._terminal.size[:2])
        if self._terminal is not None:
            asked = replace(asked, size=self._terminal.size[:2])
        passage = passage_for(live, asked, told.reading)
        carried = self._carried = Carried(self, live, passage, self._screen)
        far = self._far = TargetChannel(carried)
        if self._paused:
            carried.of_target.put("person")
        for data in self._early:
            carried.from_person(data)
        self._early.clear()
        async with asyncio.timeout(OPENING):
            channel, _ = await live.target.create_session(
                lambda: far,
                asked.text if asked.kind == "exec" else None,
                subsystem=asked.text if asked.kind == "subsystem" else None,
                env=self._environment(),
                encoding=None,
                **terminal,
            )
        if self._over:
            channel.abort()
            return
        carried.begin(channel)
        carried.of_person.of(self._chan)

    def _environment(self) -> dict[str, str]:
        told = self._chan.get_environment()
        return {name: value for name, value in told.items() if name.startswith(_ENVIRONMENT)}

    # --- what comes later -------------------------------------------------------------------------

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._from_person(data)

    def eof_received(self) -> bool:
        self._from_person(None)
        return True

    def _from_person(self, data: bytes | None) -> None:
        if self._carried is not None:
            self._carried.from_person(data)
        elif not self._over:
            # asyncssh reads until it is paused; what came by then fits in the channel's window.
            self._early.append(data)
            self._chan.pause_reading()

    def _no_reader(self) -> None:
        if self._carried is not None:
            self._carried.to_target("_send_request", NO_READER)

    def signal_received(self, signal: str) -> None:
        if self._carried is not None:
            self._carried.to_target("send_signal", signal)

    def break_received(self, msec: int) -> bool:
        if self._carried is not None:
            self._carried.to_target("send_break", msec)
        return True

    def pause_writing(self) -> None:
        self._paused = True
        if self._carried is not None:
            self._carried.person_full(full=True)

    def resume_writing(self) -> None:
        self._paused = False
        if self._carried is not None:
            self._carried.person_full(full=False)

    async def judged(self, ask: Ask) -> Told:
        """What is asked for within this channel."""
        assert self._live is not None, "only what runs asks for more"
        return await judged_within(self._live, ask, self)

    def to_person(self, do: str, *arguments: Any) -> None:
        """One call of their channel; nothing where it is over."""
        if not self._over:
            with contextlib.suppress(OSError):
                getattr(self._chan, do)(*arguments)

    # --- ending -----------------------------------------------------------------------------------

    def connection_lost(self, exc: Exception | None) -> None:
        self._over = True
        self._early.clear()
        self._tell("", "client left")
        self._done()
        self._opening.closed()

    def target_lost(self) -> None:
        """The channel there is closed: what it ended with is told, and ours ends too."""
        far = self._far
        if self._over or far is None:
            return
        if far.signal is not None or far.status is not None:
            self.to_person("write_eof")
        if far.signal is not None:
            self._tell(f"signal {far.signal[0]}", f"signal {far.signal[0]}")
            self.to_person("exit_with_signal", *far.signal)
        elif far.status is not None:
            error = f"exit {far.status}" if far.status else ""
            self._tell(f"exit {far.status}", error)
            self.to_person("exit", far.status)
        else:
            self._tell("", "no exit status")
            self.stop("the target closed the connection")
        self._over = True
        self._done()

    def say(self, text: str, hint: str = "") -> None:
        """Words of hoop's on stderr."""
        lines = [f"hoop: {_clean(text)}", *(f"      {_clean(line)}" for line in hint.splitlines())]
        end = "\n"
        if self._terminal is not None:
            end, width = "\r\n", max(self._terminal.size[0], 20)
            lines = [part for line in lines for part in _wrapped(line, width)]
        said = "".join(f"{line}{end}" for line in lines)
        self.to_person("write", said.encode(), asyncssh.EXTENDED_DATA_STDERR)

    def end(self, text: str) -> None:
        """It ends now, whatever the target is doing."""
        self._tell("", "ended")
        self.stop(text)

    def stop(self, words: str, hint: str = "") -> None:
        """It ends here, as what hoop itself could not do."""
        self._refuse(words, hint, FAILED)

    def _refuse(self, text: str, hint: str, status: int) -> None:
        self.say(text, hint)
        self.to_person("exit", status)
        self._over = True
        self._tell("", "ended")
        self._done()

    def _tell(self, tag: str, error: str) -> None:
        """Records what became of the statement, once; nothing goes on behind that."""
        carried = self._carried
        if carried is not None:
            carried.close()
        if self._told or self._live is None or not self._seq:
            return
        self._told = True
        event = Finished(seq=self._seq, tag=tag, error=error)
        if carried is not None:
            event.bytes, event.masked = carried.bytes, dict(carried.masked)
        with contextlib.suppress(RecorderFailed):
            self._live.recorder.append_later(event)

    @property
    def runs(self) -> bool:
        """Whether it goes on without a person at a terminal."""
        return self._terminal is None

    @property
    def gone(self) -> bool:
        """Whether nobody is there any more."""
        return self._over

    def _done(self) -> None:
        if self.hold is not None:
            self.hold.end(Ending(False, "its session ended"))
        if self._live is not None:
            self._live.channels.discard(self)


def _words(verdict: Verdict) -> tuple[str, str]:
    return f'refused by rule "{verdict.rule}": {verdict.reason}', verdict.hint


def _wrapped(line: str, width: int) -> list[str]:
    """Between words, where a terminal of so many columns would break anywhere."""
    return textwrap.wrap(line, width, subsequent_indent="      ", break_on_hyphens=False) or [line]


def _clean(line: str) -> str:
    """Nothing that a terminal would take for an order."""
    return "".join(c if c.isprintable() else "?" for c in line)
