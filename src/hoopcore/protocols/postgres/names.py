"""What a client's names stand for: its prepared statements, its portals.

A name changes its meaning when the target has *done* what it was asked, which is known only from
the replies, while a Bind of that name is judged when the client *sends* it.  Between the two:

* Within one batch (no Sync between) the newest change counts: if it fails, the target skips what
  follows, the Bind too.
* Over a Sync nobody knows before the reply, so the Bind waits for it (``WAIT``).  The reply needs
  no further word from the client.

SQL reaches the same names (``DEALLOCATE s1; PREPARE s1 AS …``), so after any statement that might
have done that everything here is distrusted, which is a mark on the value: it may no longer be
what that name stands for.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Generic, Protocol, TypeVar

# Above this the oldest names are forgotten.  A forgotten one is as good as distrusted.
MOST_NAMES = 10_000


class Named(Protocol):
    trusted: bool


V = TypeVar("V", bound=Named)


class Wait:
    """The answer of ``Names.look`` while a reply is due that decides."""


WAIT: Final = Wait()


class Change(Generic[V]):
    """A message is on its way that gives a name this value, or (None) takes it away."""

    __slots__ = ("batch", "name", "names", "value")

    def __init__(self, names: Names[V], name: bytes, value: V | None, batch: int) -> None:
        self.names = names
        self.name = name
        self.value = value
        self.batch = batch

    def settle(self, done: bool) -> None:
        """The target has answered: done, or failed or skipped."""
        self.names.settle(self, done)


class Names(Generic[V]):
    """One namespace of a connection."""

    def __init__(self) -> None:
        self._known: dict[bytes, V] = {}
        self._coming: dict[bytes, deque[Change[V]]] = {}

    def look(self, name: bytes, batch: int) -> V | Wait | None:
        """What the name will stand for when a message sent now, in this batch, is executed."""
        coming = self._coming.get(name)
        if not coming:
            return self._known.get(name)
        return coming[-1].value if coming[-1].batch == batch else WAIT

    def change(self, name: bytes, value: V | None, batch: int) -> Change[V]:
        """A message that will change this name is about to be sent."""
        change = Change(self, name, value, batch)
        self._coming.setdefault(name, deque()).append(change)
        return change

    def settle(self, change: Change[V], done: bool) -> None:
        coming = self._coming[change.name]
        coming.remove(change)
        if not coming:
            del self._coming[change.name]
        if done:
            self._known.pop(change.name, None)
            if change.value is not None:
                self.put(change.name, change.value)

    def put(self, name: bytes, value: V) -> None:
        """From now on the name stands for this."""
        self._known[name] = value
        if len(self._known) > MOST_NAMES:
            del self._known[next(iter(self._known))]

    def distrust(self, name: bytes) -> None:
        """Whatever this name stands for, or is about to, may be something else."""
        if (value := self._known.get(name)) is not None:
            value.trusted = False
        for change in self._coming.get(name, ()):
            if change.value is not None:
                change.value.trusted = False

    def distrust_all(self) -> None:
        for name in (*self._known, *self._coming):
            self.distrust(name)

    def values(self) -> list[V]:
        """All that any name stands for, or is about to."""
        coming = [change.value for queue in self._coming.values() for change in queue]
        return [*self._known.values(), *(value for value in coming if value is not None)]

    @property
    def any(self) -> bool:
        """Whether some name stands for something, or is about to."""
        return bool(self._known) or bool(self._coming)

    @property
    def empty(self) -> bool:
        """Whether the target has confirmed none."""
        return not self._known

    def clear(self) -> list[V]:
        """Forgets what the target has confirmed, and returns it; changes on their way stay."""
        values = list(self._known.values())
        self._known.clear()
        return values
