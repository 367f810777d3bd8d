"""What goes through one channel of an SSH target, seen and changed on its way.

A passage knows what the two ends say to each other: text on a terminal, SFTP, scp, rsync.  It does
no I/O and knows no time: bytes in, and what is to be done in order out.  Whoever drives it sends
what it says in that order, and nothing else.

Where something must be judged first, it gives an ``Ask`` and stops reading that person: until
``decided`` is called, what they send is kept by the driver.  The target's side goes on meanwhile.

Order of the file: what a passage gives, what it is told, one that changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from hoopcore.recording import File, Finished
from hoopcore.statement import Statement


@dataclass(frozen=True, slots=True)
class ToTarget:
    data: bytes


@dataclass(frozen=True, slots=True)
class ToPerson:
    data: bytes
    stderr: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """Wants a verdict on something that is about to be done; it is recorded before it is given.

    ``text`` is how people read it (``download /srv/x``), of no more than 4 KiB.
    """

    text: str
    statement: Statement


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a file, to be recorded.  ``seq`` of the event is what ``decided`` told."""

    event: File


@dataclass(frozen=True, slots=True)
class Became:
    """What became of something else that was asked, to be recorded under its number."""

    event: Finished


@dataclass(frozen=True, slots=True)
class Masked:
    """So many values were masked, by kind, since the last of these."""

    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Stop:
    """The channel ends here: what came cannot be read, or may not go on.  Words for the person."""

    words: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Wait:
    """The person is read from no more, or (``on`` false) again.  Some may still come."""

    on: bool


Given: TypeAlias = ToTarget | ToPerson | Ask | Done | Became | Masked | Wait | Stop


class Passage(Protocol):
    """One channel.  Nothing is called any more once it has given a ``Stop``."""

    @property
    def patience(self) -> float | None:
        """Seconds without a byte of the target after which ``quiet`` is to be called.

        None: nothing is held back.  Looked at after each call.
        """
        ...

    def from_person(self, data: bytes) -> list[Given]: ...

    def from_target(self, data: bytes, *, stderr: bool) -> list[Given]: ...

    def person_done(self) -> list[Given]:
        """End of the person's input; the driver then ends the target's, whatever this gives."""
        ...

    def target_done(self) -> list[Given]:
        """The target says no more; the driver then tells the person so."""
        ...

    def decided(self, seq: int, refusal: str) -> list[Given]:
        """On what was asked last: its number, and why it may not be (empty: it may)."""
        ...

    def quiet(self) -> list[Given]:
        """Nothing has come from the target for ``patience`` seconds."""
        ...

    def closed(self) -> list[Given]:
        """The channel is gone: only ``Done`` and ``Masked`` are taken from here on."""
        ...


class Plain:
    """Bytes go through as they are."""

    patience: float | None = None

    def from_person(self, data: bytes) -> list[Given]:
        return [ToTarget(data)]

    def from_target(self, data: bytes, *, stderr: bool) -> list[Given]:
        return [ToPerson(data, stderr)]

    def person_done(self) -> list[Given]:
        return []

    def target_done(self) -> list[Given]:
        return []

    def decided(self, seq: int, refusal: str) -> list[Given]:
        raise AssertionError("nothing was asked")

    def quiet(self) -> list[Given]:
        return []

    def closed(self) -> list[Given]:
        return []
