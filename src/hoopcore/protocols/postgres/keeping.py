"""A batch that is kept back until its end is here, so that none of it has left if part is held.

A statement is held at its Bind, and by then its Parse, and other statements of the same batch, have
been let through already.  Where statements may be held, those messages wait here: what is in the
batch leaves together with the Sync, the Flush or the Query that ends it.  A client that waits for a
reply has sent one of these, so it never waits for us.

What is kept was judged when it came.  A hold may take long, so whoever releases it asks again about
what stands before it (``asks``), and where that may not run any more the batch is *spoilt*: a text
that cannot parse goes in front of it, and the target skips the rest.

Order of the file: what is kept, a batch, the texts of prepared statements.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from hoopcore.protocols.postgres import wire
from hoopcore.statement import Reading
from hoopcore.stream import Ask

if TYPE_CHECKING:
    from hoopcore.protocols.postgres.lane import Sent

Chunk = bytes | bytearray | memoryview

# What one batch may hold back.  Above it the batch goes on its way, and nothing more of it can be
# held; far below MOST_DUE, or a batch that is kept would wait for its own replies.
MOST_BYTES = 1 << 20
MOST_MESSAGES = 1_000

# The longest text that can be held: a person is to read all of it.
LONGEST_TEXT = 16 << 10
# Of all prepared statements of a session together; the oldest are forgotten first.
MOST_TEXTS = 1 << 20

# Behind one of these more of the same batch may come.
_GOES_ON = frozenset((wire.PARSE, wire.BIND, wire.DESCRIBE, wire.EXECUTE, wire.CLOSE))


class Kept(NamedTuple):
    """An ask that was let through, and has not left."""

    ask: Ask
    reading: Reading
    covered: bool


@dataclass
class Keeping:
    """Which of the messages that are ready may leave."""

    on: bool = False
    loose: int = 0  # how many of them
    first: int = 0  # serial of the first that may not; 0: all may
    over: bool = False  # part of this batch has left before its end: it became too large
    size: int = 0  # bytes and messages that are kept
    count: int = 0
    asks: list[Kept] = field(default_factory=list)  # that are kept
    _texts: dict[int, bytes] = field(default_factory=dict)  # by the ask that prepared them
    _texts_size: int = 0

    # --- a batch ----------------------------------------------------------------------------------

    def note(self, sent: Sent, data: Chunk, ready: int) -> None:
        """This message is the last of so many that are ready."""
        if sent.kind not in _GOES_ON:
            self._let_go(ready)
            self.over = False
            return
        if self.over:
            self.loose = ready
            return
        self.first = self.first or sent.serial
        self.size += len(data)
        self.count += 1
        if self.size > MOST_BYTES or self.count > MOST_MESSAGES:
            self._let_go(ready)
            self.over = True

    def _let_go(self, ready: int) -> None:
        self.loose, self.first, self.size, self.count = ready, 0, 0, 0
        self.asks.clear()

    def take(self, ready: list[Chunk]) -> list[Chunk]:
        """Takes what may leave from the front of what is ready."""
        if not self.loose:
            return []
        free = ready[: self.loose]
        del ready[: self.loose]
        self.loose = 0
        return free

    def forwarded(self, ask: Ask, reading: Reading, sent: Sent) -> None:
        """This ask was let through, by this message."""
        if self.first:
            self.asks.append(Kept(ask, reading, sent.covered))
        if ask.prepared:
            self._keep_text(ask)

    # --- texts ------------------------------------------------------------------------------------

    def _keep_text(self, ask: Ask) -> None:
        if len(ask.text) > LONGEST_TEXT:
            return
        self._texts[ask.seq] = ask.text
        self._texts_size += len(ask.text) + 64
        while self._texts_size > MOST_TEXTS:
            oldest = next(iter(self._texts))
            self._texts_size -= len(self._texts.pop(oldest)) + 64

    def text_of(self, origin: int) -> bytes | None:
        """The text that this ask prepared; None where it is not known any more, or was long."""
        return self._texts.get(origin)
