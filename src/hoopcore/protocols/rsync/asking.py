"""What rsync's receiving end asks for, judged file by file.

The receiving end names the files that it wants, each with the sums of what it has of it, and does
not wait for any.  So this is where a file is judged: what is refused is never asked for, and both
ends go on without it.  In place of the sums stand none, so that the whole file comes.

Order of the file: what is asked, reading it, deciding.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from stat import S_ISREG
from struct import pack
from typing import Final

from hoopcore.calls import RsyncCall
from hoopcore.command import Text, Transfer
from hoopcore.passage import Ask
from hoopcore.policy import NOTHING_WATCHED, FileRules, Watch
from hoopcore.protocols.rsync.listing import LONGEST, Listing
from hoopcore.protocols.rsync.pulling import (
    Flow,
    Garbled,
    Script,
    bounded,
    byte,
    number,
    short,
)
from hoopcore.transfers import doing

PHASES: Final = 3
"""Rounds of protocol 29, each ended by a -1; in the second come files that had arrived damaged."""

BASIS = 1 << 11
NAMED = 1 << 12
NEW = 1 << 13
TRANSFER = 1 << 15

NO_SUMS: Final = bytes(16)
_MOST_SUMS: Final = 64 << 20  # blocks of a file
_LONGEST_SUM: Final = 16
_DONE: Final = b"\xff\xff\xff\xff"
_AFTER: Final = 64  # bytes behind the last round


@dataclass(frozen=True, slots=True)
class Want:
    """One file that is asked for: its index, and what was told with it, without sums."""

    index: int
    told: bytes
    phase: int


@dataclass(frozen=True, slots=True)
class Let:
    """It may go."""

    seq: int
    path: str
    phase: int
    watch: Watch


class Asking:
    """The receiving end's stream, and what it may have of what it asked for."""

    def __init__(self, call: RsyncCall, listing: Listing, rules: FileRules | None) -> None:
        self._call = call
        self._listing = listing
        self.rules = rules
        self.rounds = 0  # that the receiving end has ended
        self.queue: deque[bytes | Want] = deque()  # to be told to the sending end, in this order
        self.let: dict[int, Let] = {}  # by index, until the file begins
        self.asked: Want | None = None
        self._path = ""
        self._ask: Ask | None = None

    # --- reading --------------------------------------------------------------------------------

    def script(self) -> Script:
        if not self._call.upload:
            yield from self.filters()
        while self.rounds < PHASES:
            index = yield from number()
            if not self._listing.told:
                raise Garbled("files are asked for before they were listed")
            if index == -1:
                self.rounds += 1
                self._queue(_DONE)
            else:
                yield from self._item(index)
        for _ in range(_AFTER):
            self._queue((yield 1))

    def filters(self) -> Script:
        """The list of filters, which only goes by."""
        while length := (yield from number()):
            bounded(length, 2 * LONGEST, "the length of a filter")
            filter_ = yield length
            if not self._call.upload:
                self._queue(pack("<i", length) + filter_)
        if not self._call.upload:
            self._queue(bytes(4))

    def _item(self, index: int) -> Script:
        bits, told = yield from item(index, len(self._listing))
        if not bits & TRANSFER or self._call.options.dry:
            self._queue(told)
            return
        if not S_ISREG(self._listing.mode(index)):
            raise Garbled("what is in a file is asked of what is none")
        count = bounded((yield from number()), _MOST_SUMS, "a number of blocks")
        yield 4
        length = bounded((yield from number()), _LONGEST_SUM, "the length of a sum")
        yield 4
        if count:
            yield Flow(count * (4 + length))
        self._queue(Want(index, told, self.rounds))

    def _queue(self, what: bytes | Want) -> None:
        if len(self.queue) > 4 * len(self._listing) + 4096:
            raise Garbled("more is asked for than there is")
        self.queue.append(what)

    # --- deciding -------------------------------------------------------------------------------

    def next(self) -> bytes | Ask | None:
        """What is to be told next, or to be judged; None while there is nothing, or one is."""
        if self.asked is not None or not self.queue:
            return None
        what = self.queue.popleft()
        if isinstance(what, bytes):
            return what
        self.asked = what
        files = self.files(what.index)
        first = files[0]
        name = spoken(self._listing.name(what.index))
        self._path = first.said if first.whole else f"{first.said}…/{name}"
        action = "upload" if self._call.upload else "download"
        transfer = Transfer(action, files, self._listing.size(what.index))
        self._ask = Ask(f"{action} {self._path}"[:4096], doing("rsync", transfer))
        return self._ask

    def files(self, index: int) -> tuple[Text, ...]:
        """What an entry of the list may be on the target."""
        name = spoken(self._listing.name(index))
        return self._call.roots.files(name, alone=self._listing.alone)

    @property
    def path(self) -> str:
        """Of the file that was asked about last."""
        return self._path

    def decided(self, seq: int, refusal: str) -> tuple[bytes, str]:
        """What is told to the sending end, or why it is told nothing."""
        want, ask = self.asked, self._ask
        assert want is not None, "nothing was asked"
        assert ask is not None, "nothing was asked"
        self.asked = None
        watch = NOTHING_WATCHED
        if not refusal and self.rules is not None:
            watch = self.rules.watch(ask.statement)
            if watch.kinds and not self._call.upload:
                refusal = "what is in it would have to be looked at first: use sftp for it"
        if refusal:
            return b"", refusal
        if want.index in self.let:
            raise Garbled("a file is asked for twice")
        self.let[want.index] = Let(seq, self._path, want.phase, watch)
        return want.told + NO_SUMS, ""


def item(index: int, count: int) -> Generator[int | Flow, bytes, tuple[int, bytes]]:
    """What is told of a file before its sums: its bits, and all of it as it came."""
    bits = yield from short()
    alive = index == count and bits == NEW  # says no more than that somebody is there
    if not (0 <= index < count or alive):
        raise Garbled("a file is told of that was not listed")
    told = pack("<iH", index, bits)
    if bits & BASIS:
        told += yield 1
    if bits & NAMED:
        length = yield from byte()
        told += bytes((length,))
        if length & 0x80:
            low = yield from byte()
            told += bytes((low,))
            length = (length & 0x7F) << 8 | low
        bounded(length, LONGEST, "the length of a name")
        if length:
            told += yield length
    return bits, told


def spoken(name: bytes) -> str:
    """A name as people may read it on a terminal."""
    text = name.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
