"""One rsync through the gate: both ends led to a protocol that can be read, and read.

Each end tells the other its version and both take the lower one.  Both are told 29 here, whose
conversation has no negotiation and no lists that grow: the list of files first, then what is asked
for, then the files.  What the target sends is in frames, what the person sends is not.

The receiving end's stream is told anew (``asking``), the sending end's goes on as it came
(``sending``).

Order of the file: what is told of a channel, the two ends, the target's frames, ends, going on.
"""

from __future__ import annotations

from struct import pack, unpack
from typing import Final

from hoopcore.calls import RsyncCall
from hoopcore.passage import Ask, Done, Given, Stop, ToPerson, ToTarget
from hoopcore.policy import FileRules
from hoopcore.protocols.files import LONGEST_PATH
from hoopcore.protocols.rsync.asking import Asking
from hoopcore.protocols.rsync.listing import Listing
from hoopcore.protocols.rsync.pulling import Garbled, Puller
from hoopcore.protocols.rsync.sending import Sending
from hoopcore.recording import File

PROTOCOL: Final = 29
_NEWEST: Final = 64

_DATA: Final = 7
_FAILED: Final = 8  # words of an error that leaves something out
_ERRORS: Final = (_FAILED, 10)
# Words of several kinds, errors, and signs of life; files that were taken over, or deleted.
_TAGS: Final = frozenset((*range(8, 18), 29, 40, 49, 93, 107, 108, 109))
_LONGEST_WORDS: Final = 64 << 10
_FRAME: Final = 32 << 10


class RsyncPassage:
    """A channel whose whole command is ``rsync --server``."""

    patience: float | None = None

    def __init__(self, call: RsyncCall, rules: FileRules | None = None) -> None:
        self._call = call
        listing = Listing(call.options)
        self._asking = Asking(call, listing, rules)
        self._sending = Sending(call, listing, self._asking)
        self._upload = call.upload
        asking, sending = Puller(self._asking.script()), Puller(self._sending.script())
        self._person, self._target = (sending, asking) if self._upload else (asking, sending)
        self._versions: dict[str, bytes | None] = {"person": b"", "target": b""}
        self._seed = b""  # what the target tells between its version and its first frame
        self._head = b""  # of the target's frame, as far as it has come
        self._tag = _DATA
        self._left = 0  # bytes of that frame
        self._words = bytearray()  # of a frame that is not data, where frames are made anew
        self._said: list[bytes] = []  # frames of ours that wait for the end of the target's
        self._stopped = False

    # --- the two ends ---------------------------------------------------------------------------

    def from_person(self, data: bytes) -> list[Given]:
        given: list[Given] = []
        try:
            first, rest = self._version("person", data)
            if first:
                given.append(ToTarget(first))
            if rest:
                self._person.feed(rest)
                if self._upload:
                    given.append(ToTarget(rest))
            return self._go_on(given)
        except Garbled as problem:
            return self._stop(str(problem))

    def from_target(self, data: bytes, *, stderr: bool) -> list[Given]:
        if stderr:
            return [ToPerson(data, stderr=True)]
        given: list[Given] = []
        try:
            first, rest = self._version("target", data)
            if rest and len(self._seed) < 4:
                seed = rest[: 4 - len(self._seed)]
                rest = rest[len(seed) :]
                self._seed += seed
                first += seed
            if first:
                given.append(ToPerson(first))
            if rest:
                out = self._frames_anew(rest) if self._upload else self._frames(rest)
                if out:
                    given.append(ToPerson(out))
            return self._go_on(given)
        except Garbled as problem:
            return self._stop(str(problem))

    def _version(self, side: str, data: bytes) -> tuple[bytes, bytes]:
        """What that end is told of the other one's version, once it is whole; and the rest."""
        had = self._versions[side]
        if had is None:
            return b"", data
        had += data[: 4 - len(had)]
        rest = data[len(had) - len(self._versions[side] or b"") :]
        if len(had) < 4:
            self._versions[side] = had
            return b"", b""
        self._versions[side] = None
        version = unpack("<i", had)[0]
        if not PROTOCOL <= version <= _NEWEST:
            whose = "your" if side == "person" else "the target's"
            if 20 <= version < PROTOCOL:
                raise Garbled(f"{whose} rsync is too old: it speaks protocol {version}")
            raise Garbled(f"{whose} end does not speak as rsync does")
        return pack("<i", PROTOCOL), rest

    # --- the target's frames --------------------------------------------------------------------

    def _frames(self, data: bytes) -> bytes:
        """The sending end's: they go on as they came, with words of ours between two of them."""
        view = memoryview(data)
        at, end = 0, len(data)
        out: list[bytes | memoryview] = []
        begun = 0
        while at < end:
            if not self._left:
                if not self._head and self._said:
                    out += [view[begun:at], *self._said]
                    begun = at
                    self._said.clear()
                at += self._take_head(data, at)
                continue
            piece = view[at : at + self._left]
            self._left -= len(piece)
            at += len(piece)
            if self._tag == _DATA:
                self._target.feed(piece)
        if not self._left and not self._head and self._said:
            out += [view[begun:], *self._said]
            self._said.clear()
            return b"".join(out)
        return b"".join((*out, view[begun:])) if out else data

    def _frames_anew(self, data: bytes) -> bytes:
        """The receiving end's: what is in them is told anew, words go on."""
        view = memoryview(data)
        at, end = 0, len(data)
        out = bytearray()
        while at < end:
            if not self._left:
                at += self._take_head(data, at)
                if not self._head and not self._left:
                    out += _framed(self._tag, b"")
                continue
            piece = view[at : at + self._left]
            self._left -= len(piece)
            at += len(piece)
            if self._tag == _DATA:
                self._target.feed(piece)
                continue
            self._words += piece
            if not self._left:
                if self._tag in _ERRORS:
                    self._sending.target_said(self._words.decode("utf-8", "replace"))
                out += _framed(self._tag, bytes(self._words))
                self._words.clear()
        return bytes(out)

    def _take_head(self, data: bytes, at: int) -> int:
        taken = data[at : at + 4 - len(self._head)]
        self._head += taken
        if len(self._head) == 4:
            (head,) = unpack("<I", self._head)
            self._head = b""
            self._tag, self._left = head >> 24, head & 0xFFFFFF
            if self._tag != _DATA and (self._tag not in _TAGS or self._left > _LONGEST_WORDS):
                raise Garbled("the target sends a message of a kind that is not known")
        return len(taken)

    # --- going on -------------------------------------------------------------------------------

    def _go_on(self, given: list[Given]) -> list[Given]:
        """What has been asked for goes to the sending end, as far as it is judged."""
        told = bytearray()
        ask: Ask | None = None
        while ask is None and (what := self._asking.next()) is not None:
            if isinstance(what, Ask):
                ask = what
            else:
                told += what
        self._tell(bytes(told), given)
        self._sending.target_asked(self._asking.rounds if self._upload else 0)
        self._account(given)
        if ask is not None:
            given.append(ask)
        return given

    def _tell(self, told: bytes, given: list[Given]) -> None:
        if not told:
            return
        if not self._upload:
            given.append(ToTarget(told))
            return
        pieces = (told[at : at + _FRAME] for at in range(0, len(told), _FRAME))
        given.append(ToPerson(b"".join(_framed(_DATA, piece) for piece in pieces)))

    def _account(self, given: list[Given]) -> None:
        given += [Done(event) for event in self._sending.done]
        self._sending.done.clear()

    def decided(self, seq: int, refusal: str) -> list[Given]:
        given: list[Given] = []
        try:
            told, why = self._asking.decided(seq, refusal)
            if why:
                self._refused(seq, why, given)
            self._tell(told, given)
            return self._go_on(given)
        except Garbled as problem:
            return self._stop(str(problem))

    def _refused(self, seq: int, why: str, given: list[Given]) -> None:
        """The person's rsync is told as of a file that could not be sent, and goes on."""
        direction, path = "upload" if self._upload else "download", self._asking.path
        event = File(seq=seq, direction=direction, path=path[:LONGEST_PATH], outcome="refused")
        given.append(Done(event))
        frame = _framed(_FAILED, f"hoop: {why} ({path})\n".encode())
        if self._upload or (not self._left and not self._head):
            given.append(ToPerson(frame))
        else:
            self._said.append(frame)

    # --- ends -----------------------------------------------------------------------------------

    def person_done(self) -> list[Given]:
        return []

    def target_done(self) -> list[Given]:
        return []

    def quiet(self) -> list[Given]:
        return []

    def closed(self) -> list[Given]:
        """What was under way is a part."""
        if self._stopped:
            return []
        self._stopped = True
        self._sending.close()
        given: list[Given] = []
        self._account(given)
        return given

    def _stop(self, why: str) -> list[Given]:
        """What was read last does not go on, so nothing that ended in it has arrived whole."""
        self._stopped = True
        self._sending.close()
        given: list[Given] = []
        for event in self._sending.done:
            if event.outcome == "whole":
                event.outcome, event.sha256 = "part", ""
            given.append(Done(event))
        self._sending.done.clear()
        words = self._sending.refused or f"this rsync cannot go on: {why}"
        return [*given, Stop(words)]


def _framed(tag: int, data: bytes) -> bytes:
    return pack("<I", tag << 24 | len(data)) + data
