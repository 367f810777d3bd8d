"""The target's half: its replies find their message, and what is masked is masked.

Frames that stay as they are leave as slices of what came in, many at a time, rows of any size
unread.  With a plan a row leaves when it is whole and masked.

Rows are only trusted with a description of *this* portal since its Bind: without one every cell
is NULL.  ``asks.py`` sees to it that there is one.

Order of the file: the way of a frame, rows and copies, one reply, errors, and what answers nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from hoopcore.masking import Plan
from hoopcore.protocols.postgres import refuse, wire
from hoopcore.protocols.postgres.copies import CopyRows
from hoopcore.protocols.postgres.descriptions import Descriptions
from hoopcore.protocols.postgres.due import State
from hoopcore.protocols.postgres.incoming import Incoming
from hoopcore.protocols.postgres.lane import UNUSED, Lane, Sent
from hoopcore.protocols.postgres.row_frames import LARGE, frames_of
from hoopcore.protocols.postgres.rows import mask_rows
from hoopcore.protocols.postgres.texts import Texts
from hoopcore.statement import CopyOut
from hoopcore.stream import Copied, Fatal, MaskFailed, Out, ProtocolError, Side

Chunk = bytes | bytearray | memoryview
_MANY = frozenset((wire.DATA_ROW, wire.COPY_DATA))  # kinds that come by the thousand
# Their values are free text, which a client can fill with a masked value by set_config.
_FREE_TEXT = frozenset({"application_name", "search_path"})
_SWALLOWED = b""


class TooLarge(ProtocolError):
    """A row that a mask must see whole is larger than we hold."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = "54000"


class Replies:
    """The target's messages, from the bytes to the client."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.incoming = Incoming()
        self.moved = False  # a reply has come: what waits for one may go on
        self.over = False  # the target has ended the connection
        self._hop = 0  # bytes of the frame being passed on that are still to come
        self._start = 0  # where in incoming.view the frames begin that pass as they are
        self._out: list[Chunk] = []
        self._texts = Texts(lane)
        self._failing = False  # an error has come: settings go back to what they were
        self._descriptions = Descriptions(lane)
        self._beside: dict[int, Callable[[bytes], Chunk | None]] = {
            wire.PARAMETER_STATUS: self._parameter,
            wire.NOTICE: self._notice,
            wire.NOTIFICATION: self._notification,
            wire.ERROR: self._error,
        }
        self._by_kind: dict[int, Callable[[Sent, bytes], Chunk | None]] = {
            wire.READY: self._ready,
            wire.ROW_DESCRIPTION: self._row_description,
            wire.NO_DATA: self._no_data,
            wire.COMMAND_COMPLETE: self._complete,
            wire.PORTAL_SUSPENDED: self._told,
            wire.EMPTY_QUERY: self._told,
            wire.PARSE_COMPLETE: self._parsed,
            wire.BIND_COMPLETE: self._changed,
            wire.CLOSE_COMPLETE: self._changed,
            wire.COPY_OUT: self._copy_out,
            wire.COPY_DONE: self._copied_out,
            wire.FUNCTION_RESULT: self._function_result,
        }

    @property
    def owed(self) -> int:
        """Bytes of the frame being passed on that are still to come."""
        return self._hop

    @property
    def held(self) -> int:
        """Bytes that wait for the rest of a message or of a row."""
        head = self.lane.due.head
        copying = head.copying if head is not None else None
        return len(self.incoming) + (len(copying.held) if copying is not None else 0)

    @property
    def between_frames(self) -> bool:
        """Whether the client can be told something of our own now."""
        return self._hop == 0

    # --- the way of a frame -----------------------------------------------------------------------

    def advance(self, out: Out) -> None:
        """Everything that may go to the client now.

        Where a frame is a ProtocolError, ``out`` has all that came before it.
        """
        self.moved = False
        self._start = self.incoming.at
        try:
            self._advance()
        finally:
            self._flush()
            out.to_client, self._out = self._out, []
            out.seen, self.lane.seen = self.lane.seen, []

    def _advance(self) -> None:
        incoming, unpack = self.incoming, wire.HEADER.unpack_from
        while True:
            if self._hop:
                if not len(incoming):
                    return
                self._need(1)
                self._hop -= len(incoming.piece(self._hop))
                continue
            if incoming.stop - incoming.at < 5 and not self._need(5):
                return
            kind, length = unpack(incoming.view, incoming.at)
            if length < 4:
                raise ProtocolError("a message is shorter than its own length field")
            if kind not in wire.FROM_TARGET:
                raise ProtocolError("the target sent a message of unknown kind")
            if not (self._many if kind in _MANY else self._one)(kind, length + 1):
                return

    def _need(self, size: int) -> bool:
        """Whether that many bytes are here, in one piece."""
        incoming = self.incoming
        if incoming.stop - incoming.at >= size:
            return True
        self._flush()  # the piece they are in may be replaced by a longer one
        here = incoming.has(size)
        self._start = incoming.at
        return here

    def _flush(self) -> None:
        """Lets the frames go that were passed over since the last time."""
        incoming = self.incoming
        if incoming.at > self._start:
            self._out.append(incoming.view[self._start : incoming.at])
        self._start = incoming.at

    def _one(self, kind: int, size: int) -> bool:
        """Deals with one frame; False where it is not all here."""
        incoming = self.incoming
        if size > wire.MAX_FRAME:
            raise ProtocolError("the target sent a message over 64 MiB")
        if incoming.stop - incoming.at < size and not self._need(size):
            return False
        if self.over:
            raise ProtocolError("the target goes on after a fatal error")
        body = bytes(incoming.view[incoming.at + 5 : incoming.at + size])
        beside = self._beside.get(kind)
        instead = self._answer(kind, body) if beside is None else beside(body)
        if instead is None:
            incoming.at += size
            return True
        self._flush()
        incoming.at += size
        self._start = incoming.at
        if instead:
            self._out.append(instead)
        return True

    # --- rows and copies --------------------------------------------------------------------------

    def _many(self, kind: int, size: int) -> bool:
        """Deals with a run of rows or CopyData; False where not even one is all here."""
        if self.over:
            raise ProtocolError("the target goes on after a fatal error")
        if kind == wire.COPY_DATA:
            return self._copy_data(size)
        head = self.lane.due.head
        plan = self._plan_of(head) if head is not None else None
        if plan is None:
            sent = self._answered(kind)
            rows, length = self._hop_over(kind)
            sent.rows += rows
            sent.bytes += length
            self._flowed(rows, length)
            return True
        if size > wire.MAX_FRAME:
            raise TooLarge("a row over 64 MiB cannot be masked")
        if not self._need(size):
            return False
        self._mask(self._answered(kind), plan)
        return True

    def _copy_data(self, size: int) -> bool:
        """Deals with a run of CopyData."""
        head = self.lane.due.head
        copying = head.copying if head is not None else None
        if copying is None:
            sent = self._answered(wire.COPY_DATA)
            rows, length = self._hop_over(wire.COPY_DATA)
            sent.copied += length
            self._flowed(rows, length)
            return True
        if size + len(copying.held) > wire.MAX_FRAME:
            raise TooLarge("a row over 64 MiB cannot be masked")
        if not self._need(size):
            return False
        self._mask_copy(self._answered(wire.COPY_DATA), copying)
        return True

    def _flowed(self, rows: int, length: int) -> None:
        """For budgets, once for each run of rows."""
        self.lane.rows_given += rows
        self.lane.bytes_given += length

    def _plan_of(self, sent: Sent) -> Plan | None:
        """What becomes of the rows of this message's result; None: they pass unread."""
        if not self.lane.bound.active:
            return None
        if sent.portal is None:
            return sent.plan
        return sent.portal.plan if sent.portal.described else self.lane.bound.unknown()

    def _hop_over(self, kind: int) -> tuple[int, int]:
        """Passes a run of frames of this kind on: how many, and how many bytes they are."""
        incoming = self.incoming
        view, at, stop = incoming.view, incoming.at, incoming.stop
        start, count, unpack = at, 0, wire.HEADER.unpack_from
        if stop - at >= LARGE:
            starts, length = frames_of(kind, view, at, stop)
            count, at = len(starts), at + length
        while stop - at >= 5:
            this, length = unpack(view, at)
            if this != kind or length < 4:
                break
            count += 1
            at += length + 1
        incoming.at = min(at, stop)
        self._hop = at - incoming.at
        return count, at - start

    def _mask(self, sent: Sent, plan: Plan) -> None:
        """Masks a run of whole rows.  What was received is not written into."""
        self._flush()
        incoming = self.incoming
        view = incoming.view
        starts, length = frames_of(wire.DATA_ROW, view, incoming.at, incoming.stop)
        at, rows = incoming.at + length, len(starts)
        sent.rows += rows
        try:
            chunk, counts = mask_rows(plan, bytearray(view[incoming.at : at]), starts)
        except ProtocolError:
            raise
        except Exception as problem:  # the border: it fails closed, under a name of its own
            raise MaskFailed(type(problem).__name__) from problem
        incoming.at = self._start = at
        sent.bytes += len(chunk)
        self._flowed(rows, len(chunk))
        for (column, kind), count in counts.items():
            sent.count(plan.name_of(column), kind, count)
            self.lane.masked_given += count
        self._out.append(chunk)

    def _mask_copy(self, sent: Sent, copying: CopyRows) -> None:
        """Masks a run of whole CopyData, as far as they are whole rows."""
        self._flush()
        incoming = self.incoming
        starts, length = frames_of(wire.COPY_DATA, incoming.view, incoming.at, incoming.stop)
        at, rows = incoming.at + length, len(starts)
        try:
            chunks = copying.take(bytearray(incoming.view[incoming.at : at]))
        except ProtocolError:
            raise
        except Exception as problem:  # the border: it fails closed, under a name of its own
            raise MaskFailed(type(problem).__name__) from problem
        incoming.at = self._start = at
        sent.copied += length
        self._flowed(rows, length)
        for (column, kind), count in copying.counts.items():
            sent.count(copying.plan.name_of(column), kind, count)
            self.lane.masked_given += count
        copying.counts.clear()
        self._out.extend(chunks)

    # --- one reply --------------------------------------------------------------------------------

    def _answer(self, kind: int, body: bytes) -> Chunk | None:
        """What the client gets in place of this answer; None: the answer as it is."""
        # Nothing but CommandComplete answers a COPY IN that went well.
        was_copying_in = kind == wire.COMMAND_COMPLETE and self.lane.due.copying_in
        sent = self._answered(kind)
        if sent.refusal is not None and kind != wire.READY:
            raise ProtocolError("the target took what stands in for a refused statement")
        if was_copying_in:
            self._copied_in(sent)
        act = self._by_kind.get(kind)
        return act(sent, body) if act is not None else None

    def _answered(self, kind: int) -> Sent:
        self.moved = True
        sent = self.lane.due.reply(kind)
        if sent.lingers:
            self._texts.sticky = True
        return sent

    def _ready(self, sent: Sent, body: bytes) -> Chunk | None:
        if body not in (b"I", b"T", b"E"):
            raise ProtocolError("the target is ready in a state that there is none of")
        self._failing = False
        if self.lane.fence.serial:
            self.lane.fence.ready(sent.serial)
        self.lane.status = body
        if sent.kind != wire.SYNC:
            self.lane.tell(sent)
        if body == b"I":
            self._texts.sticky = self.lane.shaken = False
            if not self.lane.portals.empty:
                for portal in self.lane.portals.clear():
                    if not portal.told:
                        self.lane.tell(Sent(wire.BIND, seq=portal.seq, portal=portal, tag=UNUSED))
        return None

    def _row_description(self, sent: Sent, body: bytes) -> Chunk | None:
        statement = self.lane.traceable(sent) if sent.covered else None
        names, plan = self._descriptions.of(body, sent.covered, statement)
        if sent.portal is not None:
            sent.portal.columns, sent.portal.plan = names, plan
            sent.portal.described = True
        elif sent.kind != wire.DESCRIBE:
            sent.columns, sent.plan = names, plan
        # Else of a statement, or of a portal that is not known: no rows rest on it.
        return _SWALLOWED if sent.own else None

    def _no_data(self, sent: Sent, body: bytes) -> Chunk | None:
        return _SWALLOWED if sent.own else None

    def _complete(self, sent: Sent, body: bytes) -> Chunk | None:
        if sent.hidden:
            sent.hidden -= 1
            return _SWALLOWED
        if sent.own:
            return _SWALLOWED
        sent.done += 1
        if body.find(b"\0") != len(body) - 1:
            raise ProtocolError("a command tag is not one text")
        sent.tag = body[:-1].decode("utf-8", "backslashreplace")
        if sent.kind == wire.EXECUTE:
            self.lane.tell(sent)
        return None

    def _told(self, sent: Sent, body: bytes) -> Chunk | None:
        if sent.kind == wire.EXECUTE:
            self.lane.tell(sent)
        return None

    def _parsed(self, sent: Sent, body: bytes) -> Chunk | None:
        self._changed(sent, body)
        self.lane.tell(sent)
        return _SWALLOWED if sent.own else None

    def _changed(self, sent: Sent, body: bytes) -> Chunk | None:
        if sent.change is not None:
            sent.change.settle(done=True)
        return _SWALLOWED if sent.own else None

    def _copy_out(self, sent: Sent, body: bytes) -> Chunk | None:
        lane = self.lane
        if not lane.bound.active:
            return None
        if not sent.copies:
            raise ProtocolError("a COPY out that was not foretold")
        copy, sent.copies = sent.copies[0], sent.copies[1:]
        reader = wire.Body(body)
        binary, width = reader.byte(), reader.uint16()
        binary += sum(reader.uint16() for _ in range(width))
        reader.end()
        if binary or copy.form is None:
            raise ProtocolError("the rows of a COPY out cannot be read")
        encoding = copy.form.encoding or lane.settings.get("client_encoding", "")
        covered = sent.covered
        if lane.masked and not sent.sure:
            covered, copy = True, CopyOut(None, (), copy.form)
        plan = lane.bound.copied(copy, width, covered, encoding, lane.traceable(sent))
        if plan is not None and copy.form is not None:
            sent.copying = CopyRows(copy.form, plan, width)
        return None

    def _copied_out(self, sent: Sent, body: bytes | None) -> Chunk | None:
        """A COPY out is over; None for its body: it has failed."""
        if sent.copying is not None:
            if body is not None:
                sent.copying.end()
            sent.copying = None
        if sent.seq:
            self.lane.seen.append(Copied(sent.seq, Side.TARGET, sent.copied))
        sent.copied = 0
        return None

    def _copied_in(self, sent: Sent) -> None:
        """A COPY IN is over, well or not."""
        if sent.seq:
            self.lane.seen.append(Copied(sent.seq, Side.CLIENT, self.lane.copied_in))
        self.lane.copied_in = 0

    def _function_result(self, sent: Sent, body: bytes) -> Chunk | None:
        if self.lane.bound.active:
            raise ProtocolError("a function call's result cannot be masked")
        return None

    # --- errors -----------------------------------------------------------------------------------

    def _notice(self, body: bytes) -> Chunk | None:
        fields = wire.error_fields(body)
        head = self.lane.due.head
        if head is not None and (head.own or head.hidden):
            return _SWALLOWED  # about what the client has not said
        return self._texts.notice(head, fields)

    def _notification(self, body: bytes) -> Chunk | None:
        if self.lane.masked:
            return refuse.with_payload(body)
        hidden = self._texts.hidden(refuse.payload(body))
        return None if hidden is None else refuse.with_payload(body, hidden)

    def _error(self, body: bytes) -> Chunk | None:
        fields = wire.error_fields(body)
        code = wire.sqlstate(fields)
        if wire.is_fatal(fields):
            self.over = True
            self.lane.seen.append(Fatal(code))
            return self._texts.fatal(self.lane.due.head, fields)
        head = self.lane.due.head
        copying = head.state if head is not None else None
        sent, skipped = self.lane.due.error(code)
        self._failing = True
        self.moved = True
        self._copy_failed(sent, copying)
        instead = self._texts.instead(sent, fields, code)
        sent.error = code
        if sent.refusal is not None and code == refuse.SYNTAX_ERROR:
            sent.error = sent.refusal.code or refuse.NOT_ALLOWED
        if sent.change is not None:
            sent.change.settle(done=False)
        if sent.kind == wire.DESCRIBE and sent.portal is not None:
            sent.portal.asked = False
        if sent.kind not in (wire.QUERY, wire.FUNCTION_CALL, wire.SYNC):
            self.lane.tell(sent)
        self.lane.skipped(skipped)
        return instead

    def _copy_failed(self, sent: Sent, was: State | None) -> None:
        if was is State.COPYING_IN:
            self._copied_in(sent)
        elif was is State.COPYING_OUT:
            self._copied_out(sent, None)

    # --- what answers nothing ---------------------------------------------------------------------

    def _parameter(self, body: bytes) -> Chunk | None:
        name, value = wire.parameter(body)
        self.lane.reported(name, value, failing=self._failing)
        if name not in _FREE_TEXT:
            return None
        if self.lane.masked:
            return wire.parameter_status(name, "")
        hidden = self._texts.hidden(value.encode())
        return (
            None
            if hidden is None
            else wire.parameter_status(name, hidden.decode("utf-8", "replace"))
        )
