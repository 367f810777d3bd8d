"""The client's half: its messages become asks, or pass.

A message that carries intent (Query, Parse, Bind, FunctionCall) stops here until it is judged.
The others pass, in order, as far as the next one that is not judged yet.

Two things make a message wait for the target: the *fence* (what the text means depends on a
statement that is not finished) and a *name* whose meaning depends on a reply over a Sync.  Both
wait only for replies that come without another word from the client; where the client's own Sync
is still missing, the ask is given at once, as untrusted, since waiting would be for ever.

Order of the file: the way of a message, asks, what becomes of them, and the messages that pass.
"""

from __future__ import annotations

from collections.abc import Callable

from hoopcore.protocols.postgres import bodies, refuse, wire
from hoopcore.protocols.postgres.beginning import Beginning
from hoopcore.protocols.postgres.due import State
from hoopcore.protocols.postgres.incoming import Incoming
from hoopcore.protocols.postgres.keeping import Keeping
from hoopcore.protocols.postgres.lane import Lane, Portal, Prepared, Sent, opaque, unknown_run
from hoopcore.protocols.postgres.names import Wait
from hoopcore.statement import Reading
from hoopcore.stream import Ask, AskKind, Out, ProtocolError, Refusal

Chunk = bytes | bytearray | memoryview
_TEXT, _RUN = AskKind.TEXT, AskKind.RUN  # a member of an Enum is looked up by Python, each time
_ASKS = frozenset((wire.QUERY, wire.PARSE, wire.BIND, wire.FUNCTION_CALL))
_RESERVED = Refusal("reserved-name", 'the name "hoop_refused" is hoop\'s own')


class Detail:
    """What the stream keeps about an ask until its verdict."""

    __slots__ = ("data", "forced", "kind", "name", "sure")

    def __init__(self, kind: int, data: memoryview) -> None:
        self.kind = kind  # of the message
        self.data = data  # the whole message
        self.name = b""  # what it defines or runs: a statement for Parse, else a portal
        self.forced = False  # covered whatever its reading says
        self.sure = False  # of a Bind: it runs the very text that was prepared


class Blocked(Exception):
    """The next message has to wait for the target."""


class Asks:
    """The client's messages, from the bytes to the target."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.incoming = Incoming()
        self.beginning: Beginning | None = None  # what each transaction begins with
        self.blocked = False  # the front message waits for the target
        self.asked: Ask | None = None  # waits for its verdict
        self._seq = 0
        self._doomed = False  # a refusal makes the target skip the rest of this batch
        self._ready: list[Chunk] = []  # passed already, not handed out yet
        self.keeping = Keeping()
        self._passing: dict[int, Callable[[bytes, memoryview], None]] = {
            wire.EXECUTE: self._pass_execute,
            wire.DESCRIBE: self._pass_describe,
            wire.CLOSE: self._pass_close,
        }

    # --- the way of a message -------------------------------------------------------------------

    def advance(self, *, ask: bool) -> Ask | None:
        """Lets messages pass up to the next that wants a verdict; with ``ask`` returns that."""
        self.blocked = False
        if self.asked is not None:
            return None
        incoming = self.incoming
        try:
            while (size := self._whole()) is not None:
                view, at = incoming.view, incoming.at
                kind = view[at]
                if kind == wire.COPY_DATA:
                    self._copy_data()
                    continue
                data = view[at : at + size]
                body = bytes(view[at + 5 : at + size])
                wants_verdict = kind in _ASKS or (
                    kind == wire.EXECUTE and self._execute_wants_verdict(body)
                )
                if wants_verdict and not ask:
                    self.blocked = True
                    return None
                found = self._ask(kind, body, data) if wants_verdict else None
                if found is None:
                    self._pass(kind, body, data)
                    incoming.at += size
                    continue
                if self.lane.fence.serial:
                    self._at_fence(found)
                if found.detail.forced:
                    self._at_mask(found)
                incoming.at += size
                self._seq = found.seq
                self.asked = found
                return found
        except Blocked:
            self.blocked = True
        return None

    def _whole(self) -> int | None:
        """The size of the next message, when all of it is here and it may be looked at."""
        incoming = self.incoming
        if incoming.stop - incoming.at < 5 and not incoming.has(5):
            return None
        kind, length = wire.HEADER.unpack_from(incoming.view, incoming.at)
        size: int = length + 1
        if length < 4:
            raise ProtocolError("a message is shorter than its own length field")
        if kind not in wire.FROM_CLIENT:
            raise ProtocolError("a client sent a message of unknown kind")
        if size > wire.MAX_FRAME:
            raise ProtocolError("a client sent a message over 64 MiB")
        if incoming.stop - incoming.at < size and not incoming.has(size):
            return None
        if self.lane.due.full:
            raise Blocked
        return size

    def drain(self, out: Out) -> Out:
        """Everything that may leave, and what is worth recording."""
        if self._ready:
            if self.keeping.on:
                out.to_target += self.keeping.take(self._ready)
            else:
                out.to_target, self._ready = self._ready, out.to_target
        if self.lane.seen:
            out.seen, self.lane.seen = self.lane.seen, out.seen
        return out

    def _send(self, sent: Sent, data: Chunk) -> bool:
        """Sends a message; False where the target will skip it."""
        goes = self.lane.due.send(sent)
        self._ready.append(data)
        if self.keeping.on:
            self.keeping.note(sent, data, len(self._ready))
        if not goes:
            self.lane.skipped((sent,))
        return goes

    # --- asks -----------------------------------------------------------------------------------

    def _execute_wants_verdict(self, body: bytes) -> bool:
        """Where no Bind that we saw made the portal; what is skipped in any case needs none."""
        return not self._doomed and self._portal(bodies.execute(body)) is None

    def _ask(self, kind: int, body: bytes, data: memoryview) -> Ask | None:
        """The ask in this message; None where it is refused right here for its reserved name."""
        detail = Detail(kind, data)
        if kind == wire.QUERY:
            if body.find(b"\0") != len(body) - 1:
                raise ProtocolError("a Query is not one text")
            return Ask(_TEXT, self._seq + 1, body[:-1], detail=detail)
        reader = wire.Body(body)
        if kind == wire.PARSE:
            ask = self._ask_parse(reader, detail)
        elif kind == wire.BIND:
            return self._ask_bind(body, detail)
        elif kind == wire.EXECUTE:
            return self._ask_execute(body, detail)
        else:
            reader.take(len(body))
            ask = Ask(AskKind.CALL, self._seq + 1, detail=detail)
        reader.end()
        return None if kind == wire.PARSE and detail.name == refuse.RESERVED else ask

    def _ask_parse(self, reader: wire.Body, detail: Detail) -> Ask:
        detail.name = reader.cstring()
        text = reader.cstring()
        reader.take(4 * reader.uint16())
        name = _shown(detail.name)
        return Ask(_TEXT, self._seq + 1, text, prepared=True, name=name, detail=detail)

    def _ask_bind(self, body: bytes, detail: Detail) -> Ask | None:
        detail.name, name, codes, values = bodies.bind(body)
        if name == refuse.RESERVED:
            return None
        if len(codes) == 1:
            codes *= len(values)
        elif not codes:
            codes = (wire.TEXT_FORMAT,) * len(values)
        if len(codes) != len(values):
            raise ProtocolError("a Bind has not as many formats as parameters")
        ask = Ask(
            _RUN, self._seq + 1, name=_shown(name), parameters=values, formats=codes,
            detail=detail,
        )  # fmt: skip
        found = self.lane.statements.look(name, self.lane.batch)
        if isinstance(found, Wait):
            raise Blocked
        if found is None:
            ask.reading = unknown_run()
        elif self.lane.has_moved(found):
            ask.reading = unknown_run(found.reading)
            ask.origin, detail.forced = found.seq, True
        else:
            ask.reading = found.reading if found.trusted else unknown_run(found.reading)
            ask.origin, detail.forced = found.seq, found.forced
            detail.sure = found.trusted
        return ask

    def _ask_execute(self, body: bytes, detail: Detail) -> Ask:
        """Running a portal that no Bind of this client made: a cursor of SQL, perhaps."""
        detail.name = bodies.execute(body)
        found = self.lane.portals.look(detail.name, self.lane.batch)
        known = found.reading if isinstance(found, Portal) else None
        name = _shown(detail.name)
        reading = unknown_run(known)
        return Ask(AskKind.RUN, self._seq + 1, name=name, reading=reading, detail=detail)

    def _at_fence(self, ask: Ask) -> None:
        """Waits where a ReadyForQuery will come by itself; else marks what is not known."""
        fence = self.lane.fence
        if not fence.up:
            return
        if self.lane.due.ready_follows(fence.serial):
            raise Blocked
        ask.trusted = False
        ask.detail.forced = ask.detail.forced or fence.covering

    def _at_mask(self, ask: Ask) -> None:
        """Lets the policy see that what is run counts as covered, whatever it names."""
        if ask.detail.forced and ask.reading is not None and self.lane.masked:
            ask.reading = opaque(ask.reading)

    # --- what becomes of an ask -----------------------------------------------------------------

    def forward(self, ask: Ask, reading: Reading) -> None:
        detail = self._judged(ask)
        covered = self.lane.covers(reading, detail.forced)
        sent = Sent(detail.kind, seq=ask.seq, covered=covered)
        sent.lingers = covered and self.lane.lingers(reading)
        if detail.kind == wire.QUERY:
            if covered and not detail.forced:
                sent.reading = reading
            self.lane.foretell(sent, reading, detail.forced)
        data: Chunk = detail.data
        if detail.kind == wire.PARSE:
            if self.beginning is not None and self.beginning.before_parse(self._send):
                self._unname()
            prepared = Prepared(ask.seq, reading, detail.forced, batch=self.lane.batch)
            sent.change = self.lane.statements.change(detail.name, prepared, self.lane.batch)
        elif detail.kind in (wire.BIND, wire.EXECUTE):
            sent.portal = Portal(ask.seq, reading, covered, forced=detail.forced)
            if detail.kind == wire.EXECUTE:
                self.lane.portals.put(detail.name, sent.portal)
                self._execute(detail.name, sent.portal, detail.data)
                return
            sent.change = self.lane.portals.change(detail.name, sent.portal, self.lane.batch)
        else:
            if self.beginning is not None and detail.kind == wire.QUERY:
                data = self.beginning.before_query(sent, detail.data, reading)
            self._unname()
        if self._send(sent, data) and detail.kind != wire.PARSE:
            self.lane.follow(reading, sent.serial, sent.portal)
        if self.keeping.on:
            self.keeping.forwarded(ask, reading, sent)

    def refuse(self, ask: Ask, refusal: Refusal) -> None:
        detail = self._judged(ask)
        self._refuse(detail.kind, detail.name, refusal, ask.seq)

    def spoil(self, refusal: Refusal) -> None:
        """Nothing of the batch that is kept runs: the target fails before it, and skips it."""
        text = refuse.substitute(refusal, self.lane.session)
        if self.lane.due.put_before(self.keeping.first, Sent(wire.PARSE, refusal=refusal)):
            self._ready.insert(self.keeping.loose, wire.parse(refuse.RESERVED, text))
            self._doomed = True

    def _judged(self, ask: Ask) -> Detail:
        if ask is not self.asked:
            raise ValueError("this ask is not waiting for a verdict")
        self.asked = None
        detail: Detail = ask.detail
        return detail

    def _refuse(self, kind: int, name: bytes, refusal: Refusal, seq: int) -> None:
        text = refuse.substitute(refusal, self.lane.session)
        if kind in (wire.QUERY, wire.FUNCTION_CALL):
            self._unname()
            self._send(Sent(wire.QUERY, seq=seq, refusal=refusal), wire.query(text))
            return
        self._doomed = True
        if kind != wire.PARSE:
            name = refuse.RESERVED
        elif not name:
            self.lane.statements.distrust(b"")  # a failed Parse destroys the unnamed one too
        self._send(Sent(wire.PARSE, seq=seq, refusal=refusal), wire.parse(name, text))

    def _unname(self) -> None:
        """A Query destroys the unnamed statement and the unnamed portal."""
        if self.lane.statements.any:
            self.lane.statements.distrust(b"")
        if self.lane.portals.any:
            self.lane.portals.distrust(b"")

    # --- messages that pass ---------------------------------------------------------------------

    def _pass(self, kind: int, body: bytes, data: memoryview) -> None:
        passing = self._passing.get(kind)
        if passing is not None:
            passing(body, data)
        elif kind in _ASKS:  # it names what is hoop's own
            self._refuse(kind, refuse.RESERVED, _RESERVED, 0)
        else:
            if kind == wire.COPY_FAIL:
                reader = wire.Body(body)
                reader.cstring()
                reader.end()
            elif body:
                raise ProtocolError("a message that has no body has one")
            self._send(Sent(kind), data)
            if kind == wire.SYNC:
                self.lane.batch += 1
                self._doomed = False

    def _portal(self, name: bytes) -> Portal | None:
        """The portal of this name, as far as a Bind that we saw made it."""
        found = self.lane.portals.look(name, self.lane.batch)
        if isinstance(found, Wait):
            raise Blocked
        return found if found is not None and found.trusted else None

    def _pass_execute(self, body: bytes, data: memoryview) -> None:
        name = bodies.execute(body)
        portal = self._portal(name)
        if portal is None or self._doomed:
            seq = 0 if portal is None else portal.seq
            self._send(Sent(wire.EXECUTE, seq=seq, covered=self.lane.masked, portal=portal), data)
        else:
            self._execute(name, portal, data)

    def _execute(self, name: bytes, portal: Portal, data: memoryview) -> None:
        covered, seq = portal.covered, portal.seq
        if self.lane.bound.active and not portal.asked:
            describe = Sent(wire.DESCRIBE, seq=seq, covered=covered, portal=portal, own=True)
            portal.asked = True
            self._send(describe, wire.describe_portal(name))
        sent = Sent(wire.EXECUTE, seq=seq, covered=covered, portal=portal)
        sent.lingers = covered and self.lane.lingers(portal.reading)
        self.lane.foretell(sent, portal.reading, portal.forced)
        if self._send(sent, data):
            self.lane.follow(portal.reading, sent.serial, portal)

    def _pass_describe(self, body: bytes, data: memoryview) -> None:
        what, name = bodies.about(body)
        if what == bodies.OF_STATEMENT:
            found = self.lane.statements.look(name, self.lane.batch)
            covered = self._covered(found if isinstance(found, Prepared) else None)
            self._send(Sent(wire.DESCRIBE, State.STATEMENT, covered=covered), data)
            return
        portal = self._portal(name)
        covered = self.lane.masked if portal is None else portal.covered
        if self._send(Sent(wire.DESCRIBE, portal=portal, covered=covered), data) and portal:
            portal.asked = True

    def _covered(self, prepared: Prepared | None) -> bool:
        if prepared is None:
            return self.lane.masked
        return self.lane.covers(prepared.reading, prepared.forced or not prepared.trusted)

    def _pass_close(self, body: bytes, data: memoryview) -> None:
        what, name = bodies.about(body)
        sent = Sent(wire.CLOSE)
        names = self.lane.statements if what == bodies.OF_STATEMENT else self.lane.portals
        sent.change = names.change(name, None, self.lane.batch)
        self._send(sent, data)

    def _copy_data(self) -> None:
        """Passes on a run of CopyData without copying it."""
        incoming = self.incoming
        view, start, at, stop = incoming.view, incoming.at, incoming.at, incoming.stop
        while stop - at >= 5:
            kind, length = wire.HEADER.unpack_from(view, at)
            if kind != wire.COPY_DATA or length < 4 or length + 1 > stop - at:
                break
            at += length + 1
            self.lane.copied_in += length - 4
        incoming.at = at
        self._send(Sent(wire.COPY_DATA), view[start:at])


def _shown(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
