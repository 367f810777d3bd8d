"""What a terminal shows, on its way into the recording.

What is typed is not recorded: what a program echoes is among what it shows, and a password is not.
Text is kept by whole lines where they come in time, so that what recordings leave out is found
where it stands in two pieces.  So the recording is a quarter of a second behind, at the most.
"""

from __future__ import annotations

import asyncio
import codecs

from hoopagent.recorder import RecorderFailed
from hoopagent.shells.live import ShellLive
from hoopcore.recording import EndCause, Terminal
from hoopcore.recording.redaction import NOTHING, redact
from hoopcore.statement import Reading

# A prompt has no end of line; a person has read it by then.
BEHIND = 0.25
# A line that is longer is kept in pieces.
LONGEST = 4096

_NOTHING_READ = Reading(())


class Screen:
    """One channel's terminal."""

    def __init__(self, live: ShellLive, seq: int, size: tuple[int, int]) -> None:
        self._live = live
        self._seq = seq
        self._loop = asyncio.get_running_loop()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self._timer: asyncio.TimerHandle | None = None
        self.full: asyncio.Future[None] | None = None  # the recording is too far behind until then
        self.resized(*size)

    def resized(self, columns: int, lines: int) -> None:
        """It has that size from here on; RecorderFailed."""
        self._keep()
        self._append(Terminal(seq=self._seq, columns=columns, lines=lines))

    def shown(self, data: bytes) -> None:
        """It shows this; RecorderFailed."""
        self._text += self._decoder.decode(data)
        whole = self._text.rfind("\n") + 1
        if whole or len(self._text) > LONGEST:
            self._keep(whole or len(self._text))
        if self._text and self._timer is None:
            self._timer = self._loop.call_later(BEHIND, self._late)

    def close(self) -> None:
        """All of it is recorded; RecorderFailed."""
        self._text += self._decoder.decode(b"", final=True)
        self._keep()

    def _late(self) -> None:
        try:
            self._keep()
        except RecorderFailed:
            words = "this session can no longer be recorded"
            self._live.end("", words, EndCause.RECORDING_FAILED)

    def _keep(self, upto: int | None = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        text, self._text = self._text[:upto], "" if upto is None else self._text[upto:]
        if text:
            self._append(Terminal(seq=self._seq, out=self._redacted(text)))

    def _redacted(self, text: str) -> str:
        return kept(self._live, text)

    def _append(self, event: Terminal) -> None:
        self.full = self._live.recorder.append(event)


def kept(live: ShellLive, text: str) -> str:
    """A text as recordings may keep it."""
    if live.prepared.section.record_text == "exact":
        return text
    key, sweep = live.keys.redaction, live.sweep
    return redact(text.encode(), _NOTHING_READ, NOTHING, key, sweep=sweep)
