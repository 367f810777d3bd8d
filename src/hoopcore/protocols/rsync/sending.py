"""What rsync's sending end tells: the list of files, and then what is in those asked for.

Nothing of it is changed, and nothing is kept but the list.  A file that nobody asked for, or that
was refused, does not go.
"""

from __future__ import annotations

from stat import S_ISLNK, S_ISREG
from typing import Final

from hoopcore.calls import RsyncCall
from hoopcore.command import Transfer
from hoopcore.protocols.files import Account
from hoopcore.protocols.rsync.arriving import Arriving
from hoopcore.protocols.rsync.asking import NO_SUMS, PHASES, TRANSFER, Asking, item, spoken
from hoopcore.protocols.rsync.listing import Listing
from hoopcore.protocols.rsync.pulling import Flow, Garbled, Piece, Script, number
from hoopcore.protocols.rsync.tokens import deflated, plain
from hoopcore.recording import File
from hoopcore.transfers import doing

_AFTER: Final = 4096  # bytes behind the last round: figures of how long it took


class Sending:
    """The sending end's stream."""

    def __init__(self, call: RsyncCall, listing: Listing, asking: Asking) -> None:
        self._call = call
        self._listing = listing
        self._asking = asking
        self._account: Account | None = None
        self._largest: int | None = None
        self._words = ""
        self.refused = ""  # why the rest of the file may not go
        self._arriving = Arriving()
        self._phase = 0
        self.done: list[File] = []  # that somebody is still to be told

    def script(self) -> Script:
        options = self._call.options
        if options.upload and options.filtered:
            yield from self._asking.filters()
        yield from self._listing.script()
        self._check_made()
        while self._phase < PHASES:
            index = yield from number()
            if index == -1:
                self._left_out(self._phase)
                self._phase += 1
            else:
                yield from self._item(index)
        for _ in range(_AFTER):
            yield Flow(1)

    def _check_made(self) -> None:
        """Folders, links and devices of an upload are made by its list: none that is refused."""
        rules = self._asking.rules
        if not self._call.upload or self._call.options.dry or rules is None:
            return
        if not rules.names_paths:
            return
        for index in range(len(self._listing)):
            mode = self._listing.mode(index)
            if S_ISREG(mode):
                continue
            files = self._asking.files(index)
            statement = doing("rsync", Transfer("link" if S_ISLNK(mode) else "make", files))
            if rules.refuses(statement):
                self.refused = f"a rule refuses to have this made: {files[0].said}"
                raise Garbled("something in its list may not be made")

    def _item(self, index: int) -> Script:
        bits, _ = yield from item(index, len(self._listing))
        if not bits & TRANSFER or self._call.options.dry:
            return
        let = self._asking.let.pop(index, None)
        if let is None:
            raise Garbled("a file goes that was not asked for")
        if (yield 16) != NO_SUMS:
            raise Garbled("a file goes in parts, which was not asked")
        mode = f"{self._listing.mode(index) & 0o7777:04o}"
        direction = "upload" if self._call.upload else "download"
        self._account = Account(direction, let.path, let.seq, mode=mode)
        self._largest, self._words = let.watch.largest, let.watch.words
        if self._call.options.compressed:
            yield from deflated(self._look, self._listing.size(index))
        else:
            yield from plain(self._look)
        yield 16  # rsync's own sum
        event = self._account.end()
        self._account = None
        if self._call.upload:
            name = spoken(self._listing.name(index))
            self.done += self._arriving.add(index, self._phase, name, event)
        else:
            self.done.append(event)

    def _look(self, data: Piece) -> None:
        account = self._account
        assert account is not None
        account.add(data)
        if self._largest is not None and account.through > self._largest:
            self.refused = self._words
            raise Garbled("a file is larger than it was listed, and than it may be")

    def target_said(self, words: str) -> None:
        """An error of the target's, while files go up."""
        self.done += self._arriving.said(words)

    def target_asked(self, rounds: int) -> None:
        """So many rounds the target has ended: what went wrong in those before it has told."""
        if rounds > 1:
            self.done += self._arriving.round_over(rounds - 2)

    def _left_out(self, phase: int) -> None:
        """What was asked for in this round and did not come."""
        for index, let in list(self._asking.let.items()):
            if let.phase <= phase:
                del self._asking.let[index]
                self._not_sent(let.path, let.seq)

    def _not_sent(self, path: str, seq: int) -> None:
        direction = "upload" if self._call.upload else "download"
        event = File(seq=seq, direction=direction, path=path, outcome="failed: it was not sent")
        self.done.append(event)

    def close(self) -> None:
        """Nothing more comes."""
        if self._account is not None:
            self.done.append(self._account.end("part"))
            self._account = None
        self.done += self._arriving.close()
        for let in self._asking.let.values():
            self._not_sent(let.path, let.seq)
        self._asking.let.clear()
