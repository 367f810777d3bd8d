"""What the target answers: each answer fits a request, and files' bytes go down as they come."""

from __future__ import annotations

import struct

from hoopcore.passage import Became
from hoopcore.protocols.sftp.channel import NOBODYS, Body, Channel, Due, hoop
from hoopcore.protocols.sftp.judging import Own, Reply
from hoopcore.protocols.sftp.opened import Opened, words
from hoopcore.protocols.sftp.requests import KNOWN, REPLIES
from hoopcore.protocols.sftp.wire import (
    LARGEST,
    VERSION_SPOKEN,
    Code,
    Fields,
    Type,
    Unreadable,
    packet,
    status,
    string,
)
from hoopcore.recording import Finished


class Answering(Channel):
    """The target's side of a channel."""

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

    def _reply(self, due: Due, kind: int, whole: bytes) -> None:
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
            opened.answered(due.most, code)
        elif due.kind == Type.CLOSE and opened is not None:
            if code != Code.OK:
                opened.failed = opened.failed or words(code)
            self.ended(opened)
        if due.seq:
            error = words(code) if code else ""
            event = Finished(seq=due.seq, tag="" if error else "done", error=error)
            self._done.append(Became(event))
        self._tell_person(whole)

    def _look_at(self, opened: Opened) -> None:
        """How long it is, and its mode, without anybody waiting for that."""
        if opened.down is None and (opened.up is None or (opened.fresh and opened.up.mode)):
            return

        def looked(reply: Reply) -> None:
            attributes = reply.attributes()
            if attributes is not None:
                opened.looked_at(attributes)

        self._send_own(Own(Type.FSTAT, (string(opened.name),)), looked)

    def _data(self, head: bytes, length: int, id: int, due: Due) -> bool:
        """The head of a DATA: whether what is behind it goes on."""
        if len(head) < 13:
            return False
        count = int.from_bytes(head[9:13])
        opened = due.opened
        if opened is None or count != length - 9 or count > due.most:
            raise Unreadable("the target gives more than was asked for")
        del self._due[id]
        opened.under_way -= 1
        spans = self._target.take(13)
        reply = b""
        if opened.refused or opened.beyond(due.at + count):
            if not opened.refused:
                opened.refused = True
                self._say_aside(f"download {opened.path}", opened.watch.words)
            reply = status(id, Code.PERMISSION_DENIED, hoop(opened.watch.words))
        else:
            self._to_person.pass_on(spans)
        self._downloading = Body(count, opened, due.at, reply)
        return True

    def _go_down(self) -> bool:
        """More of what is being read."""
        left, opened, at, reply = self._downloading or Body(0, NOBODYS, 0, b"")
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
        self._downloading = Body(left, opened, at, reply) if left else None
        if not left:
            if reply:
                self._to_person.add(reply)
            for data in self._later_person:
                self._to_person.add(data)
            self._later_person.clear()
        return True
