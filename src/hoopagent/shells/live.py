"""One open session on an SSH target: its parts, and how it is ended.

It is what ``live.Live`` is for a database, as far as those who watch sessions can tell.  Its
channels come and go; it ends with the person's connection, with the target's, or when it must.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from hoopagent.holds import Holds
from hoopagent.judge import Judge
from hoopagent.live import Prepared
from hoopagent.meter import Meter
from hoopagent.recorder import Recorder, RecorderFailed
from hoopagent.recording_keys import RecordingKeys
from hoopcore.access import Access
from hoopcore.detectors import Sweep
from hoopcore.model import SYSTEM, Session
from hoopcore.recording import EndCause, Notice


class Channel(Protocol):
    """One channel of a session."""

    @property
    def runs(self) -> bool:
        """Whether it goes on without a person at a terminal."""
        ...

    def say(self, text: str, hint: str = "") -> None:
        """Words of hoop's for the person, beside what the target says."""
        ...

    def end(self, text: str) -> None:
        """It ends now, and the person is told why."""
        ...


@dataclass(eq=False)
class ShellLive:
    """A session that is open now."""

    record: Session
    prepared: Prepared
    judge: Judge
    recorder: Recorder
    access: Access
    leave: Callable[[], None]  # closes the connection to the target
    keys: RecordingKeys
    holds: Holds
    meter: Meter = field(init=False)
    sweep: Sweep | None = None  # finds what recordings leave out
    target: Any = None  # asyncssh's connection, once there is one
    policy_version: str = ""
    channels: set[Channel] = field(default_factory=set)
    statements: int = 0
    cause: EndCause | None = None
    ended_by: tuple[str, str] = ("", "")
    ended: asyncio.Event = field(default_factory=asyncio.Event)  # it is to be closed
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self, code: str, text: str, cause: EndCause, by: str = SYSTEM, why: str = "") -> None:
        """Ends it now; every channel is told why.  ``code`` is of databases, and means nothing."""
        if self.cause is not None:
            return
        self.ended_by = (by, why)
        for channel in list(self.channels):
            channel.end(text)
        self.finish(cause)

    def finish(self, cause: EndCause) -> None:
        """There is nothing more to be said to anybody."""
        if self.cause is None:
            self.cause = cause
            self.leave()
            self.ended.set()

    def say_soon(self, text: str, hint: str = "") -> None:
        """A notice on each channel, beside what the target says."""
        for channel in list(self.channels):
            channel.say(text, hint)

    @property
    def busy(self) -> bool:
        """Whether something runs that nobody has to type for."""
        return any(channel.runs for channel in self.channels)

    def note(self, text: str) -> None:
        """Something that the recording is to say."""
        with contextlib.suppress(RecorderFailed):
            self.recorder.append_later(Notice(text=text))

    def number(self) -> int:
        """Of the next statement."""
        self.statements += 1
        return self.statements
