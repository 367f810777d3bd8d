"""The passage of a channel whose output is masked, both streams each by itself.

What a person types comes back to them as it is: where a terminal's next bytes are those that they
have just typed, nothing waits.

``patience`` is short while what waits is any beginning of a word, and longer while it looks like a
value: a program that prints one in pieces is waited for.
"""

from __future__ import annotations

from typing import Final

from hoopcore.detectors import Sweep
from hoopcore.passage import Given, Masked, ToPerson, ToTarget
from hoopcore.terminal.finder import Finder
from hoopcore.terminal.stream import Output

# Seconds: of a terminal, where somebody looks at it, and without one.
_PATIENCE: Final = {True: (0.03, 0.3), False: (0.2, 1.0)}

_MOST_TYPED: Final = 64


def masks(
    sweep: Sweep | None, *, terminal: bool = False, columns: int = 0, lines: int = 0
) -> Masks | None:
    """The passage for these detectors; None where there are none, and nothing is masked."""
    if sweep is None or not sweep.kinds:
        return None
    return Masks(Finder(sweep), terminal=terminal, columns=columns, lines=lines)


class Masks:
    """A ``Passage``."""

    def __init__(
        self, finder: Finder, *, terminal: bool = False, columns: int = 0, lines: int = 0
    ) -> None:
        self._terminal = terminal
        self._streams = {
            False: Output(finder, columns if terminal else 0, lines if terminal else 0),
            True: Output(finder),
        }
        self._weakly, self._strongly = _PATIENCE[terminal]
        self._typed = b""
        self.patience: float | None = None

    def _waits(self) -> float | None:
        waiting = [stream for stream in self._streams.values() if stream.waits]
        if not waiting:
            return None
        much = any(stream.flow.waits_for_much for stream in waiting)
        return self._strongly if much else self._weakly

    def resized(self, columns: int, lines: int) -> None:
        """The terminal has that size from here on."""
        if self._terminal:
            self._streams[False].resized(columns, lines)

    def from_person(self, data: bytes) -> list[Given]:
        if self._terminal:
            self._typed = (self._typed + data)[-_MOST_TYPED:]
        return [ToTarget(data)]

    def from_target(self, data: bytes, *, stderr: bool) -> list[Given]:
        stream = self._streams[stderr]
        echo = bool(self._typed) and not stream.waits and self._typed.startswith(data)
        self._typed = self._typed[len(data) :] if echo else b""
        said = stream.feed(data)
        if echo:
            said += stream.let_go()
        return self._given({stderr: said})

    def person_done(self) -> list[Given]:
        return []

    def target_done(self) -> list[Given]:
        return self.quiet()

    def decided(self, seq: int, refusal: str) -> list[Given]:
        raise AssertionError("nothing was asked")

    def quiet(self) -> list[Given]:
        return self._given({name: stream.quiet() for name, stream in self._streams.items()})

    def closed(self) -> list[Given]:
        return self._given({})

    def _given(self, said: dict[bool, bytes]) -> list[Given]:
        given: list[Given] = []
        for stream in self._streams.values():
            if stream.counts:  # first: a budget may be used up by them
                given.append(Masked(dict(stream.counts)))
                stream.counts.clear()
        self.patience = self._waits()
        return [*given, *(ToPerson(data, stderr=err) for err, data in said.items() if data)]
