"""What a terminal shows, on its way into the recording.

What is typed is not recorded: what a program echoes is among what it shows, and a password is not.
What recordings leave out is looked for as masks look for it (``hoopcore.terminal``), also where
what the person sees is clear, so neither colours nor the way in which the text comes hide it.  What
may become such a value waits until it is known whether it does: the recording is a quarter of a
second behind, and where it looks like one already three seconds behind the last of it.
"""

from __future__ import annotations

import asyncio
import codecs
import hmac
from typing import Any

from hoopagent.recorder import RecorderFailed
from hoopagent.shells.live import ShellLive
from hoopcore.detectors import IN_RECORDINGS, Sweep
from hoopcore.recording import EndCause, Terminal
from hoopcore.terminal import Finder, Flow

# A prompt has no end of line; a person has read it by then.
BEHIND = 0.25
# What looks like a value is waited for as long as somebody who types it takes from key to key.
BEHIND_A_VALUE = 3.0
# What comes in that time is kept together, up to so much.
LONGEST = 4096

_ALWAYS = Sweep(IN_RECORDINGS)


class Screen:
    """One channel's terminal."""

    def __init__(self, live: ShellLive, seq: int, size: tuple[int, int]) -> None:
        self._live = live
        self._seq = seq
        self._loop = asyncio.get_running_loop()
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._flow: Flow | None = None
        if live.prepared.section.record_text != "exact":
            sweep = _ALWAYS if live.sweep is None else live.sweep.for_recordings
            self._flow = Flow(_finder(sweep), *size, mark=self._mark)
        self._text = ""
        self._timer: asyncio.TimerHandle | None = None
        self.full: asyncio.Future[None] | None = None  # the recording is too far behind until then
        self.resized(*size)

    def resized(self, columns: int, lines: int) -> None:
        """It has that size from here on; RecorderFailed."""
        self._keep()
        if self._flow is not None:
            self._flow.resized(columns, lines)
        self._append(Terminal(seq=self._seq, columns=columns, lines=lines))

    def shown(self, data: bytes) -> None:
        """It shows this; RecorderFailed."""
        text = self._decoder.decode(data)
        self._text += text if self._flow is None else self._flow.feed(text)
        whole = self._text.rfind("\n") + 1
        if whole or len(self._text) > LONGEST:
            self._write(whole or len(self._text))
        if self._flow is not None and self._flow.waits_for_much:
            self._write(len(self._text))
            self._stop_timer()
            self._timer = self._loop.call_later(BEHIND_A_VALUE, self._late)
        elif self._timer is None and (self._text or (self._flow and self._flow.waits)):
            self._timer = self._loop.call_later(BEHIND, self._late)

    def close(self) -> None:
        """All of it is recorded; RecorderFailed."""
        text = self._decoder.decode(b"", final=True)
        self._text += text if self._flow is None else self._flow.feed(text)
        self._keep()

    def _late(self) -> None:
        try:
            self._keep()
        except RecorderFailed:
            words = "this session can no longer be recorded"
            self._live.end("", words, EndCause.RECORDING_FAILED)

    def _keep(self) -> None:
        """Nothing waits any more."""
        if self._flow is not None:
            self._text += self._flow.quiet()
        self._write(len(self._text))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _write(self, upto: int) -> None:
        self._stop_timer()
        text, self._text = self._text[:upto], self._text[upto:]
        if text:
            # What is no UTF-8 is the sign for that.
            out = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            self._append(Terminal(seq=self._seq, out=out))

    def _mark(self, kind: str, value: bytes) -> str:
        """As the texts of statements have it: the same value has the same code."""
        if not kind:
            return ""  # the rest of a private key
        code = hmac.digest(self._live.keys.redaction, value, "sha256").hex()[:12]
        return f"⟦{kind}:{code}⟧"

    def _append(self, event: Terminal) -> None:
        self.full = self._live.recorder.append(event)


_FINDERS: dict[tuple[Any, ...], Finder] = {}


def _finder(sweep: Sweep) -> Finder:
    """One for each set of kinds: it takes some milliseconds to make."""
    found = _FINDERS.get(sweep.each)
    if found is None:
        if len(_FINDERS) >= 16:
            _FINDERS.clear()
        found = _FINDERS[sweep.each] = Finder(sweep)
    return found
