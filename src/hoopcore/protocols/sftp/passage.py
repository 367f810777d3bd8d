"""Both directions of one SFTP channel, version 3.

Every packet is understood or the channel ends; what is a request of another kind, or of an
extension that is not known, is answered by the agent and never passed on.  What names files is
judged first (``judging``).  A refusal is a STATUS, so that clients go on, and a line on stderr,
since most of them do not show a STATUS's words.

Bytes of files go through as they come, and are hashed on their way (``opened``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hoopcore.passage import Done, Given, Stop, ToPerson, ToTarget, Wait
from hoopcore.protocols.sftp.answering import Answering
from hoopcore.protocols.sftp.asking import Asking
from hoopcore.protocols.sftp.judging import Decision
from hoopcore.protocols.sftp.wire import Type, Unreadable

HELD: Final = 4 << 20
"""Bytes that the person may send ahead while something is judged; more ends the channel."""

_SLOW = 512 << 10  # so many, and they are asked to wait


class Sftp(Asking, Answering):
    """A ``hoopcore.passage.Passage``."""

    patience: float | None = None

    def from_person(self, data: bytes) -> list[Given]:
        self._person.feed(data)
        return self._go_on(self._read_person)

    def from_target(self, data: bytes, *, stderr: bool) -> list[Given]:
        if stderr:
            return [ToPerson(data, stderr=True)]
        self._target.feed(data)
        return self._go_on(self._read_target, self._read_person)

    def decided(self, seq: int, refusal: str) -> list[Given]:
        self._waits = False
        return self._go_on(lambda: self._step(Decision(seq, refusal)), self._read_person)

    def person_done(self) -> list[Given]:
        return []

    def target_done(self) -> list[Given]:
        return []

    def quiet(self) -> list[Given]:
        return []

    def closed(self) -> list[Given]:
        found = {id(one): one for one in self._open.values()}
        found |= {
            id(due.opened): due.opened for due in self._due.values() if due.opened is not None
        }
        closing = {id(due.opened) for due in self._due.values() if due.kind == Type.CLOSE}
        return [
            Done(file)
            for one in found.values()
            if one.name
            for file in one.end(closed=id(one) in closing)
        ]

    def _go_on(self, *steps: Callable[[], None]) -> list[Given]:
        """What comes of these; where something cannot be read, the channel ends."""
        problem = ""
        try:
            for step in steps:
                step()
        except Unreadable as unreadable:
            problem = str(unreadable)
        except RecursionError:
            problem = "it goes too deep"
        given: list[Given] = [*self._done]
        self._done = []
        given += [ToTarget(data) for data in self._to_target.flush()]
        given += [ToPerson(data, stderr=True) for data in self._errors]
        self._errors = []
        given += [ToPerson(data) for data in self._to_person.flush()]
        if problem:
            return [*given, self._stop(problem)]
        if self._asked is not None:
            given.append(self._asked)
            self._asked = None
        if self._person.have > HELD:
            return [*given, self._stop("the client sends too far ahead")]
        if (self._person.have > _SLOW) is not self._slow:
            self._slow = not self._slow
            given.append(Wait(self._slow))
        return given

    def _stop(self, problem: str) -> Stop:
        return Stop(f"this SFTP cannot be read: {problem}")
