"""What the person asks for: requests are read one by one, and files' bytes go up as they come."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from hoopcore.command import Transfer
from hoopcore.protocols.sftp import judging
from hoopcore.protocols.sftp.channel import NOBODYS, Body, Channel, Due, hoop
from hoopcore.protocols.sftp.opened import Opened
from hoopcore.protocols.sftp.requests import NAMED, Request, read
from hoopcore.protocols.sftp.wire import (
    LARGEST,
    LONGEST_HANDLE,
    VERSION_SPOKEN,
    Code,
    Fields,
    Type,
    Unreadable,
    status,
)

OPEN: Final = 1024
"""Files and folders that may be open at once."""

UNDER_WAY: Final = 1 << 16
"""Requests that may wait for their answers: some clients ask for all of a file at once."""

LATER: Final = 4096
"""Answers of the agent's that may wait for a packet of the target's to be through."""

_NO_ROOM = "hoop: too many files are open"


class Asking(Channel):
    """The person's side of a channel."""

    def _read_person(self) -> None:
        while self._uploading is not None or (self._work is None and not self._waits):
            if not (self._go_up() if self._uploading is not None else self._next_request()):
                return

    def _next_request(self) -> bool:
        """Takes the next packet; whether there was one, or the beginning of one."""
        frames = self._person
        full = len(self._due) >= UNDER_WAY or len(self._later_person) >= LATER
        if frames.have < 9 or full or (self._greeted and not self._ready):
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
        if kind == Type.WRITE and frames.have < 13:
            return False
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
            self._pass_on(request, Due(request.kind))
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
            self._say_status(request.id, Code.PERMISSION_DENIED, hoop(opened.watch.words))
        else:
            opened.under_way += 1
            self._due[request.id] = Due(Type.READ, opened, at, count)
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
            reply = status(id, not_for_that(opened), "hoop: this is not open for writing")
            opened = opened or NOBODYS
        elif opened.refused or opened.beyond(max(at + count, opened.up.through + count)):
            if not opened.refused:
                opened.refused = True
                self._say_aside(f"upload {opened.path}", opened.watch.words)
            reply = status(id, Code.PERMISSION_DENIED, hoop(opened.watch.words))
        else:
            opened.under_way += 1
            self._due[id] = Due(Type.WRITE, opened, at, count)
            self._to_target.pass_on(spans)
        self._uploading = Body(count, opened, at, reply)
        return True

    def _go_up(self) -> bool:
        """More of what is being written."""
        left, opened, at, reply = self._uploading or Body(0, NOBODYS, 0, b"")
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
        self._uploading = Body(left, opened, at, reply) if left else None
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
            self._pass_on(request, Due(Type.CLOSE, opened))
        elif request.kind == b"copy-data":
            self._copy(request, opened, found[1] or opened)
        elif request.kind == Type.FSETSTAT:
            size = request.attributes.size if request.attributes is not None else None
            if opened.refused or (size is not None and opened.beyond(size)):
                self._say_status(request.id, Code.PERMISSION_DENIED, hoop(opened.watch.words))
                return
            what, transfer = f"change {opened.path}", Transfer("change", opened.files, size)
            self._change(request, what, transfer, lambda: opened.cut(size))
        else:
            self._pass_on(request, Due(request.kind, opened))

    def _copy(self, request: Request, source: Opened, copy: Opened) -> None:
        """From one open file to another, at the target."""
        _, count, onto = request.numbers
        if source.down is None or copy.up is None:
            self._wrong_handle(request.id, source)
            return
        if copy.refused or copy.beyond(onto + count) or (copy.watch and not count):
            self._say_status(request.id, Code.PERMISSION_DENIED, hoop(copy.watch.words))
            return
        what = f"upload {copy.path}, copied from {source.path}"
        transfer = Transfer("upload", (*copy.files, *source.files), count or None)
        self._change(request, what, transfer, copy.mix)

    def _change(
        self, request: Request, what: str, transfer: Transfer, then: Callable[[], None]
    ) -> None:
        self._work = judging.judged_open(self, request, what, transfer, then)
        self._step(None)

    def _wrong_handle(self, id: int, opened: Opened | None) -> None:
        self._say_status(id, not_for_that(opened), "hoop: this is not open for that")

    def _pass_on(self, request: Request, due: Due) -> None:
        self._due[request.id] = due
        self._to_target.add(request.whole)


def not_for_that(opened: Opened | None) -> int:
    """What OpenSSH says to reading or writing what is not open for it."""
    if opened is None or (opened.down is None and opened.up is None):
        return Code.FAILURE
    return Code.NO_SUCH_FILE
