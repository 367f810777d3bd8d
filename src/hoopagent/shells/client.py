"""A channel of a person's on an SSH target: what they ask for on it, and what becomes of that.

What is asked for is a statement: judged, recorded, and only then asked of the target.  From then on
bytes, ends of files, signals and exit statuses go from one side to the other as they come; neither
side is read faster than the other one takes.

A refusal is told on stderr, with exit status 126; what hoop itself could not do, with 255, as ssh
tells it.

Order of the file: what is asked, being answered, bytes, the target's end, ending.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import asyncssh
import structlog

from hoopagent.background import Background
from hoopagent.errors import Refused
from hoopagent.hold import Ending, Hold
from hoopagent.logs import places
from hoopagent.recorder import RecorderFailed
from hoopagent.shells.judging import Asked, judged
from hoopagent.shells.live import ShellLive
from hoopagent.shells.screen import Screen
from hoopagent.shells.target import NotReached
from hoopagent.store import StoreAway
from hoopcore.policy import Verdict
from hoopcore.recording import EndCause, Finished

log = structlog.get_logger()

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


class PersonChannel(asyncssh.SSHServerSession[bytes]):
    """A session channel on a connection that names an SSH target."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._asked: Asked | None = None
        self._live: ShellLive | None = None
        self._target: Any = None  # the channel there, once it is open
        self._held: list[bytes] = []  # what came before that
        self._eof = False
        self._seq = 0
        self._bytes = 0
        self._status: int | None = None
        self._signal: tuple[str, bool, str, str] | None = None
        self._terminal: tuple[str, tuple[int, int, int, int], Any] | None = (
            None  # kind, size, modes
        )
        self._screen: Screen | None = None
        self.hold: Hold | None = None  # while it waits for an approval
        self._told = False  # what became of the statement
        self._stopped = False  # the person takes no more for now
        self._over = False

    # --- what is asked ----------------------------------------------------------------------------

    def connection_made(self, chan: Any) -> None:
        self._chan = chan

    def pty_requested(self, term_type: str, term_size: Any, term_modes: Any) -> bool:
        self._terminal = (term_type, term_size, term_modes)
        return True

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        if self._terminal is not None:
            kind, _, modes = self._terminal
            self._terminal = (kind, (width, height, pixwidth, pixheight), modes)
            self._recorded(lambda screen: screen.resized(width, height))
            self._to_target("change_terminal_size", width, height, pixwidth, pixheight)

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
        if self._opening.background.apart(self._run()) is None:
            self._refuse("the agent is stopping", "", FAILED)

    # --- being answered ---------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            await self._answer()
        except Refused as problem:
            self._refuse(problem.message, problem.hint, REFUSED)
        except NotReached as problem:
            self._refuse(str(problem), "", FAILED)
        except StoreAway:
            self._refuse("the agent cannot reach its store, so nothing is opened", "", FAILED)
        except RecorderFailed:
            self._refuse("this could not be recorded, so it is not done", "", FAILED)
            if self._live is not None:
                self._live.end("", "it can no longer be recorded", EndCause.RECORDING_FAILED)
        except (asyncssh.Error, OSError) as problem:
            log.info("channel.failed", problem=type(problem).__name__)
            self._refuse("the target did not open what was asked for", "", FAILED)
        except Exception as problem:  # noqa: BLE001 - the border: our bug lets nothing pass
            log.error("channel.failed", problem=type(problem).__name__, where=places(problem))
            self._refuse("the agent failed; nothing more is done, to be safe", "", FAILED)

    async def _answer(self) -> None:
        """Judge, record, and only then ask the target."""
        asked = self._asked
        assert asked is not None, "a channel starts when something was asked for"
        live = self._live = await self._opening.live()
        if self._over:
            return
        live.channels.add(self)
        self._seq = live.number()
        verdict = await judged(live, asked, self._seq, self)
        if not verdict.allowed:
            self._told = True
            self._refuse(*_words(verdict), REFUSED)
            return
        if self._over or live.cause is not None:
            self._tell("", "not begun")
            return
        terminal: dict[str, Any] = {"request_pty": False}
        if self._terminal is not None:
            kind, size, modes = self._terminal
            terminal = {"request_pty": "force", "term_type": kind or "dumb"}
            terminal |= {"term_size": size, "term_modes": modes}
            self._screen = Screen(live, self._seq, size[:2])
        channel, _ = await live.target.create_session(
            lambda: TargetChannel(self),
            asked.text if asked.kind == "exec" else None,
            env=self._environment(),
            encoding=None,
            **terminal,
        )
        self._begin(channel)

    def _environment(self) -> dict[str, str]:
        told = self._chan.get_environment()
        return {name: value for name, value in told.items() if name.startswith(_ENVIRONMENT)}

    def _begin(self, channel: Any) -> None:
        """The target runs it: from here on bytes go both ways."""
        if self._over:
            channel.abort()
            return
        self._target = channel
        held, self._held = self._held, []
        for data in held:
            channel.write(data)
        if self._eof:
            channel.write_eof()
        self._chan.resume_reading()

    # --- bytes ------------------------------------------------------------------------------------

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if self._target is None:
            # asyncssh reads until it is paused; what came by then fits in the channel's window.
            self._held.append(data)
            self._chan.pause_reading()
        else:
            self._to_target("write", data)

    def eof_received(self) -> bool:
        self._eof = True
        if self._target is not None:
            self._to_target("write_eof")
        return True

    def signal_received(self, signal: str) -> None:
        self._to_target("send_signal", signal)

    def break_received(self, msec: int) -> bool:
        self._to_target("send_break", msec)
        return True

    def pause_writing(self) -> None:
        self._stopped = True
        self._to_target("pause_reading")

    def resume_writing(self) -> None:
        self._stopped = False
        self._to_target("resume_reading")

    def _to_target(self, do: str, *arguments: Any) -> None:
        """Nothing, where there is no channel there, or it has gone meanwhile."""
        if self._target is not None:
            with contextlib.suppress(OSError):
                getattr(self._target, do)(*arguments)

    def connection_lost(self, exc: Exception | None) -> None:
        self._over = True
        self._held.clear()
        self._to_target("abort")
        self._tell("", "client left")
        self._done()
        self._opening.closed()

    # --- the target's end -------------------------------------------------------------------------

    def from_target(self, data: bytes, datatype: int | None) -> None:
        self._bytes += len(data)
        self._recorded(lambda screen: screen.shown(data))
        self._to_client("write", data, datatype)

    def _recorded(self, what: Callable[[Screen], None]) -> None:
        """Tells the recording what the terminal shows; the session ends where that fails.

        A recording that is far behind is waited for: the target is not read from meanwhile.
        """
        screen, live = self._screen, self._live
        if screen is None or live is None or self._over:
            return
        try:
            what(screen)
        except RecorderFailed:
            words = "this session can no longer be recorded"
            live.end("", words, EndCause.RECORDING_FAILED)
            return
        if screen.full is not None and not screen.full.done():
            self._to_target("pause_reading")
            screen.full.add_done_callback(self._caught_up)

    def _caught_up(self, done: asyncio.Future[None]) -> None:
        if not done.cancelled() and done.exception() is None and not self._stopped:
            self._to_target("resume_reading")

    def target_said_all(self) -> None:
        self._to_client("write_eof")

    def target_exited(self, status: int) -> None:
        self._status = status

    def target_died(self, signal: str, core: bool, text: str, lang: str) -> None:
        self._signal = (signal, core, text, lang)

    def target_full(self, *, full: bool) -> None:
        self._to_client("pause_reading" if full else "resume_reading")

    def target_lost(self) -> None:
        """The channel there is closed: what it ended with is told, and ours ends too."""
        if self._over:
            return
        if self._signal is not None:
            self._tell(f"signal {self._signal[0]}", f"signal {self._signal[0]}")
            self._to_client("exit_with_signal", *self._signal)
        elif self._status is not None:
            error = f"exit {self._status}" if self._status else ""
            self._tell(f"exit {self._status}", error)
            self._to_client("exit", self._status)
        else:
            self._tell("", "no exit status")
            self._refuse("the target closed the connection", "", FAILED)
        self._over = True
        self._done()

    def _to_client(self, do: str, *arguments: Any) -> None:
        if not self._over:
            with contextlib.suppress(OSError):
                getattr(self._chan, do)(*arguments)

    # --- ending -----------------------------------------------------------------------------------

    def say(self, text: str, hint: str = "") -> None:
        """Words of hoop's on stderr."""
        lines = [f"hoop: {text}", *(f"      {line}" for line in hint.splitlines())]
        end = "\n" if self._terminal is None else "\r\n"
        said = "".join(f"{_clean(line)}{end}" for line in lines)
        self._to_client("write", said.encode(), asyncssh.EXTENDED_DATA_STDERR)

    def end(self, text: str) -> None:
        """It ends now, whatever the target is doing."""
        self._tell("", "ended")
        self._refuse(text, "", FAILED)

    def _refuse(self, text: str, hint: str, status: int) -> None:
        self.say(text, hint)
        self._to_client("exit", status)
        self._over = True
        self._to_target("abort")
        self._done()

    def _tell(self, tag: str, error: str) -> None:
        """Records what became of the statement, once."""
        if self._told or self._live is None or not self._seq:
            return
        self._told = True
        if self._screen is not None:
            with contextlib.suppress(RecorderFailed):
                self._screen.close()
        event = Finished(seq=self._seq, tag=tag, bytes=self._bytes, error=error)
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


class TargetChannel(asyncssh.SSHClientSession[bytes]):
    """The other end of it, at the target."""

    def __init__(self, person: PersonChannel) -> None:
        self._person = person

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._person.from_target(data, datatype)

    def eof_received(self) -> bool:
        self._person.target_said_all()
        return True

    def exit_status_received(self, status: int) -> None:
        self._person.target_exited(status)

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self._person.target_died(signal, core_dumped, msg, lang)

    def pause_writing(self) -> None:
        self._person.target_full(full=True)

    def resume_writing(self) -> None:
        self._person.target_full(full=False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._person.target_lost()


def _words(verdict: Verdict) -> tuple[str, str]:
    return f'refused by rule "{verdict.rule}": {verdict.reason}', verdict.hint


def _clean(line: str) -> str:
    """Nothing that a terminal would take for an order."""
    return "".join(c if c.isprintable() else "?" for c in line)
