"""Both directions of one SFTP channel, version 3.

Every packet is understood or the channel ends; what is a request of another kind, or of an
extension that is not known, is answered by the agent and never passed on.  What names files is
judged first (``judging``).  A refusal is a STATUS, so that clients go on, and a line on stderr,
since most of them do not show a STATUS's words.

Bytes of files go through as they come, and are hashed on their way (``opened``).

Order of the file: the passage, the person's side, what judging does, the target's side, the way
out.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from hoopcore.passage import Ask, Done, Given, Stop, ToPerson, ToTarget, Wait
from hoopcore.policy import FileRules
from hoopcore.protocols.sftp import judging
from hoopcore.protocols.sftp.frames import Frames, Outlet
from hoopcore.protocols.sftp.judging import Decision, Own, Reply, Work
from hoopcore.protocols.sftp.opened import Opened, words
from hoopcore.protocols.sftp.requests import KNOWN, NAMED, REPLIES, Kind, Request, named, read, said
from hoopcore.protocols.sftp.wire import (
    LARGEST,
    LONGEST_HANDLE,
    VERSION_SPOKEN,
    Code,
    Fields,
    Type,
    Unreadable,
    packet,
    status,
    string,
    u32,
)

HELD: Final = 4 << 20
"""Bytes that the person may send ahead while something is judged; more ends the channel."""

_SLOW = 512 << 10  # so many, and they are asked to wait

OPEN: Final = 1024
"""Files and folders that may be open at once."""

UNDER_WAY: Final = 1 << 16
"""Requests that may wait for their answers: some clients ask for all of a file at once."""

_WORDS = 200  # lines that are said on stderr on one channel
_NO_ROOM = "hoop: too many files are open"


class _Due(NamedTuple):
    """What is to be answered."""

    kind: Kind
    opened: Opened | None = None
    at: int = 0
    count: int = 0
    own: Callable[[Reply], None] | None = None


class _Body(NamedTuple):
    """The rest of a packet with a file's bytes in it; ``reply`` is what takes its place."""

    left: int
    opened: Opened
    at: int
    reply: bytes


class Sftp:
    """A ``hoopcore.passage.Passage``."""

    patience: float | None = None

    def __init__(self, rules: FileRules) -> None:
        self.rules = rules
        self._person, self._target = Frames(), Frames()
        self._to_person, self._to_target = Outlet(), Outlet()
        self._later_person: list[bytes] = []  # once the packet that is on its way is through
        self._later_target: list[bytes] = []
        self._uploading: _Body | None = None
        self._downloading: _Body | None = None
        self._greeted = self._ready = False
        self._due: dict[int, _Due] = {}
        self._open: dict[bytes, Opened] = {}
        self._opening = 0
        self._own = 0xF0000000
        self._work: Work | None = None
        self._replies: list[Reply | None] = []  # to what the work has sent
        self._asked: Ask | None = None
        self._waits = False  # for the verdict on that
        self._slow = False
        self._said = 0
        self._done: list[Given] = []
        self._errors: list[bytes] = []

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

    # --- the person's side ------------------------------------------------------------------------

    def _read_person(self) -> None:
        while self._uploading is not None or (self._work is None and not self._waits):
            if not (self._go_up() if self._uploading is not None else self._next_request()):
                return

    def _next_request(self) -> bool:
        """Takes the next packet; whether there was one, or the beginning of one."""
        frames = self._person
        if frames.have < 9 or len(self._due) >= UNDER_WAY or (self._greeted and not self._ready):
            return False
        head = frames.head(9 + 4 + LONGEST_HANDLE + 12)
        length, kind = struct.unpack_from(">IB", head)
        if not 5 <= length <= LARGEST:
            raise Unreadable("a packet of the client has an impossible length")
        if not self._greeted:
            return self._greet(length)
        id = int.from_bytes(head[5:9])
        due = self._due.get(id)
        if due is not None:
            if due.own is not None:
                return False  # the agent has that number; the client's turn comes
            raise Unreadable("the client gives a number twice")
        if kind == Type.WRITE:
            return self._write(head, length, id)
        if frames.have < 4 + length:
            return False
        spans = frames.take(4 + length)
        whole = b"".join(data[start:end] for data, start, end in spans)
        request = read(whole)
        if request is None:
            self._say_status(id, Code.OP_UNSUPPORTED, "hoop: this is not carried")
        elif request.kind == Type.READ:
            self._read(request, whole)
        elif request.handles:
            self._of_handle(request)
        elif request.paths:
            self._begin(request)
        else:
            self._pass_on(request, _Due(request.kind))
        return True

    def _greet(self, length: int) -> bool:
        """INIT: the lowest version that both ends know is the one that is spoken here."""
        if self._person.have < 4 + length:
            return False
        whole = b"".join(data[start:end] for data, start, end in self._person.take(4 + length))
        if whole[4] != Type.INIT or Fields(whole, 5).u32() < VERSION_SPOKEN:
            raise Unreadable("the client does not begin as SFTP 3 does")
        self._greeted = True
        self._to_target.add(struct.pack(">IBI", 5, Type.INIT, VERSION_SPOKEN))
        return True

    def _begin(self, request: Request) -> None:
        """Judging it begins."""
        if NAMED[request.kind].action in ("", "list") and len(self._open) + self._opening >= OPEN:
            self.answer(request, Code.FAILURE, _NO_ROOM)
            return
        self._work = judging.judged(self, request)
        self._step(None)

    def _read(self, request: Request, whole: bytes) -> None:
        opened = self._open.get(request.handles[0])
        at, count = request.numbers
        if opened is None or opened.down is None:
            self._wrong_handle(request.id, opened)
        elif opened.refused:
            self._say_status(request.id, Code.PERMISSION_DENIED, _hoop(opened.watch.words))
        else:
            opened.under_way += 1
            self._due[request.id] = _Due(Type.READ, opened, at, count)
            self._to_target.add(whole)

    def _write(self, head: bytes, length: int, id: int) -> bool:
        """The head of a WRITE: whether what is behind it goes on."""
        size = int.from_bytes(head[9:13])
        if size > LONGEST_HANDLE or length < 9 + size + 12:
            raise Unreadable("a packet of the client is shorter than what it says")
        before = 13 + size + 12
        if self._person.have < before:
            return False
        handle = head[13 : 13 + size]
        at, count = struct.unpack_from(">QI", head, 13 + size)
        if count != 4 + length - before:
            raise Unreadable("a packet of the client is not as long as it says")
        spans = self._person.take(before)
        opened = self._open.get(handle)
        reply = b""
        if opened is None or opened.up is None:
            code = Code.FAILURE if opened is None else Code.NO_SUCH_FILE
            reply = status(id, code, "hoop: this is not open for writing")
            opened = opened or _NOBODYS
        elif opened.refused or opened.beyond(max(at + count, opened.up.through + count)):
            if not opened.refused:
                opened.refused = True
                self._say_aside(f"upload {opened.path}", opened.watch.words)
            reply = status(id, Code.PERMISSION_DENIED, _hoop(opened.watch.words))
        else:
            opened.under_way += 1
            self._due[id] = _Due(Type.WRITE, opened, at, count)
            self._to_target.pass_on(spans)
        self._uploading = _Body(count, opened, at, reply)
        return True

    def _go_up(self) -> bool:
        """More of what is being written."""
        left, opened, at, reply = self._uploading or _Body(0, _NOBODYS, 0, b"")
        if left and not self._person.have:
            return False
        spans = self._person.take(left)
        for data, start, end in spans:
            if not reply:
                opened.goes(memoryview(data)[start:end], at)
            at += end - start
            left -= end - start
        if not reply:
            self._to_target.pass_on(spans)
        self._uploading = _Body(left, opened, at, reply) if left else None
        if not left:
            if reply:
                self._tell_person(reply)
            for data in self._later_target:
                self._to_target.add(data)
            self._later_target.clear()
        return True

    def _of_handle(self, request: Request) -> None:
        """What is asked about something open."""
        found = [self._open.get(handle) for handle in request.handles]
        opened = found[0]
        if opened is None or None in found:
            code = Code.NO_SUCH_FILE if request.kind == Type.CLOSE else Code.FAILURE
            self._say_status(request.id, code, "hoop: there is no such handle")
        elif request.kind == Type.CLOSE:
            del self._open[request.handles[0]]
            self._pass_on(request, _Due(Type.CLOSE, opened))
        elif request.kind == b"copy-data":
            self._copy(request, opened, found[1] or opened)
        elif request.kind == Type.FSETSTAT:
            size = request.attributes.size if request.attributes is not None else None
            if opened.refused or (size is not None and opened.beyond(size)):
                self._say_status(request.id, Code.PERMISSION_DENIED, _hoop(opened.watch.words))
                return
            what = f"change {opened.path}"
            self._work = judging.judged_open(self, request, "change", what, opened.files, size)
            self._step(None)
            if size is not None:
                opened.cut(size)
        else:
            self._pass_on(request, _Due(request.kind, opened))

    def _copy(self, request: Request, source: Opened, copy: Opened) -> None:
        """From one open file to another, at the target."""
        at, count, onto = request.numbers
        if source.down is None or copy.up is None:
            self._wrong_handle(request.id, source)
            return
        if copy.refused or copy.beyond(onto + count) or (copy.watch and not count):
            self._say_status(request.id, Code.PERMISSION_DENIED, _hoop(copy.watch.words))
            return
        copy.mixed = True
        what = f"upload {copy.path}, copied from {source.path}"
        files = (*copy.files, *source.files)
        self._work = judging.judged_open(self, request, "upload", what, files, count or None)
        self._step(None)

    def _wrong_handle(self, id: int, opened: Opened | None) -> None:
        folder = opened is not None and opened.down is None and opened.up is None
        code = Code.FAILURE if opened is None or folder else Code.NO_SUCH_FILE
        self._say_status(id, code, "hoop: this is not open for that")

    def _pass_on(self, request: Request, due: _Due) -> None:
        self._due[request.id] = due
        self._to_target.add(request.whole)

    # --- what judging does ------------------------------------------------------------------------

    def _step(self, answer: Decision | list[Reply] | None) -> None:
        """The work goes on with what it wanted, until it wants something else."""
        work = self._work
        assert work is not None, "somebody waits for an answer"
        try:
            wanted = work.send(answer)
        except StopIteration:
            self._work = None
            return
        if isinstance(wanted, Ask):
            self._asked = wanted
            self._waits = True
            return
        self._replies = [None] * len(wanted)
        for place, own in enumerate(wanted):
            self._send_own(own, self._collector(place))

    def _collector(self, place: int) -> Callable[[Reply], None]:
        def collect(reply: Reply) -> None:
            self._replies[place] = reply
            replies = [one for one in self._replies if one is not None]
            if len(replies) == len(self._replies):
                self._step(replies)

        return collect

    def _send_own(
        self, own: Own, then: Callable[[Reply], None], opened: Opened | None = None
    ) -> None:
        while self._own in self._due:
            self._own = 0xF0000000 + (self._own + 1) % 0x0F000000
        id, self._own = self._own, 0xF0000000 + (self._own + 1) % 0x0F000000
        count = int.from_bytes(own.parts[-1]) if own.kind == Type.READ else 0
        self._due[id] = _Due(Type(own.kind), opened, 0, count, then)
        data = packet(own.kind, id, *own.parts)
        if self._uploading is not None:
            self._later_target.append(data)
        else:
            self._to_target.add(data)

    def forward(self, request: Request, paths: tuple[bytes, ...], opened: Opened | None) -> None:
        if opened is not None:
            self._opening += 1
        due = self._open.get(request.handles[0]) if request.handles else opened
        self._due[request.id] = _Due(request.kind, due)
        same = not paths or paths == request.paths
        new = request.whole if same else packet(request.number, request.id, *request.body(paths))
        self._to_target.add(new)

    def answer(self, request: Request, code: int, text: str) -> None:
        self._say_status(request.id, code, text)

    def refuse(self, request: Request, what: str, refusal: str) -> None:
        self._say_status(request.id, Code.PERMISSION_DENIED, _hoop(refusal))
        self._say_aside(what, refusal)

    def relay(self, request: Request, reply: Reply) -> None:
        self._tell_person(packet(reply.kind, request.id, reply.body))

    def open(self, request: Request, opened: Opened, handle: bytes) -> None:
        self._opened(opened, handle)
        self._tell_person(packet(Type.HANDLE, request.id, string(handle)))

    def ended(self, opened: Opened) -> None:
        self._done += [Done(file) for file in opened.end(closed=True)]

    # --- the target's side ------------------------------------------------------------------------

    def _read_target(self) -> None:
        while self._go_down() if self._downloading is not None else self._next_reply():
            pass

    def _next_reply(self) -> bool:
        frames = self._target
        if frames.have < 9:
            return False
        head = frames.head(13)
        length, kind, id = struct.unpack_from(">IBI", head)
        if not 5 <= length <= LARGEST:
            raise Unreadable("a packet of the target has an impossible length")
        due = None
        if self._ready:
            due = self._due.get(id)
            if due is None or (kind != Type.STATUS and kind not in REPLIES.get(due.kind, ())):
                raise Unreadable("the target answers what nobody has asked")
            if kind == Type.DATA and due.own is None:
                return self._data(head, length, id, due)
        if frames.have < 4 + length:
            return False
        whole = b"".join(data[start:end] for data, start, end in frames.take(4 + length))
        if due is None:
            self._welcome(whole)
            return True
        del self._due[id]
        if due.own is not None:
            due.own(Reply(kind, whole[9:]))
        else:
            self._reply(due, kind, whole)
        return True

    def _welcome(self, whole: bytes) -> None:
        """VERSION, with the extensions that are understood here."""
        fields = Fields(whole, 5)
        if not self._greeted or whole[4] != Type.VERSION or fields.u32() != VERSION_SPOKEN:
            raise Unreadable("the target does not begin as SFTP 3 does")
        known = []
        while fields.at < len(whole):
            pair = (fields.string(), fields.string())
            known += [string(part) for part in pair] if pair in KNOWN else []
        self._ready = True
        self._tell_person(packet(Type.VERSION, VERSION_SPOKEN, *known))

    def _reply(self, due: _Due, kind: int, whole: bytes) -> None:
        """The answer to a request of the person's."""
        opened, code = due.opened, Code.OK.value
        if kind == Type.STATUS:
            code = Fields(whole, 9).u32()
        if due.kind in (Type.OPEN, Type.OPENDIR) and opened is not None:
            self._opening -= 1
            if kind == Type.HANDLE:
                fields = Fields(whole, 9)
                self._opened(opened, fields.handle())
                fields.end()
                self._look_at(opened)
            elif due.kind == Type.OPEN:
                opened.failed = words(code)
                self.ended(opened)
        elif due.kind == Type.READ and opened is not None:
            opened.under_way -= 1
            opened.read_ended(due.at, code)
        elif due.kind == Type.WRITE and opened is not None:
            opened.under_way -= 1
            opened.answered(due.count, code)
        elif due.kind == Type.CLOSE and opened is not None:
            if code != Code.OK:
                opened.failed = opened.failed or words(code)
            self.ended(opened)
        self._tell_person(whole)

    def _opened(self, opened: Opened, handle: bytes) -> None:
        if handle in self._open:
            raise Unreadable("the target gives a handle twice")
        opened.name = handle
        self._open[handle] = opened

    def _look_at(self, opened: Opened) -> None:
        """How long it is, and its mode, without anybody waiting for that."""
        if opened.down is None and (opened.up is None or (opened.fresh and opened.up.mode)):
            return

        def looked(reply: Reply) -> None:
            attributes = reply.attributes()
            if attributes is not None:
                opened.looked_at(attributes)

        self._send_own(Own(Type.FSTAT, (string(opened.name),)), looked)

    def _data(self, head: bytes, length: int, id: int, due: _Due) -> bool:
        """The head of a DATA: whether what is behind it goes on."""
        if len(head) < 13:
            return False
        count = int.from_bytes(head[9:13])
        opened = due.opened
        if opened is None or count != length - 9 or count > due.count:
            raise Unreadable("the target gives more than was asked for")
        del self._due[id]
        opened.under_way -= 1
        spans = self._target.take(13)
        reply = b""
        if opened.refused or opened.beyond(due.at + count):
            if not opened.refused:
                opened.refused = True
                self._say_aside(f"download {opened.path}", opened.watch.words)
            reply = status(id, Code.PERMISSION_DENIED, _hoop(opened.watch.words))
        else:
            self._to_person.pass_on(spans)
        self._downloading = _Body(count, opened, due.at, reply)
        return True

    def _go_down(self) -> bool:
        """More of what is being read."""
        left, opened, at, reply = self._downloading or _Body(0, _NOBODYS, 0, b"")
        if left and not self._target.have:
            return False
        spans = self._target.take(left)
        for data, start, end in spans:
            if not reply:
                opened.came(memoryview(data)[start:end], at)
            at += end - start
            left -= end - start
        if not reply:
            self._to_person.pass_on(spans)
        self._downloading = _Body(left, opened, at, reply) if left else None
        if not left:
            if reply:
                self._to_person.add(reply)
            for data in self._later_person:
                self._to_person.add(data)
            self._later_person.clear()
        return True

    # --- the way out ------------------------------------------------------------------------------

    def _say_status(self, id: int, code: int, text: str) -> None:
        self._tell_person(status(id, code, text))

    def _tell_person(self, data: bytes) -> None:
        """Behind the packet that is on its way to them."""
        if self._downloading is not None:
            self._later_person.append(data)
        else:
            self._to_person.add(data)

    def _say_aside(self, what: str, why: str) -> None:
        self._said += 1
        if self._said <= _WORDS:
            line = "".join(c if c.isprintable() else "?" for c in f"hoop: {what}: {why}")
            self._errors.append(f"{line}\n".encode())

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


_NOBODYS = Opened("")


def _hoop(text: str) -> str:
    return f"hoop: {text}" if text else "hoop: refused"


__all__ = ["HELD", "OPEN", "UNDER_WAY", "Sftp", "named", "said", "u32"]
