"""Both directions of one PostgreSQL connection, after login.

One object sees both directions because replies mean nothing without the request: a DataRow
names no column, and a prepared statement is described once and run many times.

A refused statement is not dropped.  A text that cannot parse goes to the target in its place, and
the target's own error is swapped for ours on the way back (decision 0004).

The client's half is ``asks.py``, the target's ``replies.py``; what they share is ``lane.py``.
"""

from __future__ import annotations

from collections.abc import Callable

from hoopcore.masking import Bound
from hoopcore.protocols.postgres import wire
from hoopcore.protocols.postgres.asks import Asks
from hoopcore.protocols.postgres.beginning import Beginning
from hoopcore.protocols.postgres.keeping import LONGEST_TEXT, Kept
from hoopcore.protocols.postgres.lane import Lane
from hoopcore.protocols.postgres.replies import Replies
from hoopcore.statement import Reading
from hoopcore.stream import Ask, AskKind, Out, ProtocolError, Refusal, Side

# A member of an Enum is looked up by Python, each time.
_CLIENT = Side.CLIENT


class PostgresStream:
    """Protocol 3.0 from the first ReadyForQuery on; see ``hoopcore.stream.Stream``.

    ``parameters`` are those the target has reported, ``bound`` the masks of this principal,
    ``session`` the id that a substituted text names in the target's log.  ``pooled``: each
    transaction may run on another server connection.
    """

    def __init__(
        self, parameters: dict[str, str], bound: Bound, session: str, *, pooled: bool = False
    ) -> None:
        self._lane = Lane(dict(parameters), bound, session, pooled=pooled)
        self._asks = Asks(self._lane)
        self._replies = Replies(self._lane)
        self._notices: list[bytes] = []
        self._left = Out()  # what came before a frame of the target that is a ProtocolError
        self._ended = False
        self._owed = 0  # bytes of a frame that the client had begun to get before ``from_target``
        self._cut = False  # what that gave goes no further than this frame
        self.ready_again = False

    # --- the client's side ----------------------------------------------------------------------

    def feed(self, side: Side, data: bytes | bytearray | memoryview) -> None:
        """Takes bytes as they came.  They must not be written into again."""
        half = self._asks if side is _CLIENT else self._replies
        half.incoming.feed(data)

    def next_ask(self) -> Ask | None:
        """The next ask; None where nothing can be judged now, or the last one still waits."""
        return None if self._ended else self._asks.advance(ask=True)

    def forward(self, ask: Ask, reading: Reading) -> Out:
        """Lets this ask go to the target; ValueError where it is not the one that waits.

        After ``end`` nothing goes any more.
        """
        if self._ended:
            return Out()
        self._asks.forward(ask, reading)
        return self._asks.drain(Out())

    def refuse(self, ask: Ask, reading: Reading, refusal: Refusal) -> Out:
        """Sends the target a text that cannot parse in place of this ask."""
        if self._ended:
            return Out()
        self._asks.refuse(ask, refusal)
        return self._asks.drain(Out())

    def pump(self) -> Out:
        """What may go to the target without a verdict, up to the next ask."""
        if self._ended:
            return Out()
        if len(self._asks.incoming):
            self._asks.advance(ask=False)
        else:
            self._asks.blocked = False
        return self._asks.drain(Out())

    # --- where statements may be held -------------------------------------------------------------

    def keep(self, on: bool) -> None:
        """While on, nothing of a batch is handed out before its end is here (``keeping.py``)."""
        self._asks.keeping.on = on

    @property
    def kept(self) -> tuple[Kept, ...]:
        """What was let through, and waits for the end of its batch."""
        return tuple(self._asks.keeping.asks)

    def still_covers(self, kept: Kept) -> bool:
        """Whether the masks of now say of it what those said under which it was let through."""
        return self._lane.covers(kept.reading, kept.ask.detail.forced) == kept.covered

    def text_of(self, ask: Ask) -> bytes | None:
        """What this ask runs, whole; None where that is not certain, or too long to be read."""
        keeping = self._asks.keeping
        if ask.kind is AskKind.TEXT:
            return ask.text if len(ask.text) <= LONGEST_TEXT else None
        return keeping.text_of(ask.origin) if ask.detail.sure else None

    @property
    def in_time(self) -> bool:
        """Whether nothing of the batch at hand has left already."""
        return not self._asks.keeping.over

    def spoil(self, refusal: Refusal) -> None:
        """Sees to it that the target runs nothing of what is kept; ValueError where nothing is."""
        if not self._asks.keeping.first:
            raise ValueError("nothing is kept")
        self._asks.spoil(refusal)

    # --- the target's side ----------------------------------------------------------------------

    def from_target(self) -> Out:
        """What may go to the client.  After ``end`` that is nothing; what is seen is still told."""
        out = Out()
        self._owed = self._replies.owed
        self._cut = False
        try:
            self._replies.advance(out)
        except ProtocolError:
            self._left = out
            raise
        self.ready_again = self._replies.moved and self._asks.blocked
        if self._ended:
            out.to_client.clear()
        elif self._notices and self._replies.between_frames:
            out.to_client.extend(self._notices)
            self._notices.clear()
        return out

    # --- ourselves ------------------------------------------------------------------------------

    def say(self, text: str, hint: str = "") -> Out:
        """A NOTICE at the next place between two frames: now, or with a later ``from_target``."""
        notice = wire.notice_response(text, hint, encoding=self._encoding)
        if self._ended:
            return Out()
        if self._replies.between_frames:
            return Out(to_client=[notice])
        self._notices.append(notice)
        return Out()

    def end(self, code: str, text: str) -> Out:
        """A FATAL, or nothing where the client stands inside a frame; nothing is said after it.

        After a ProtocolError of the target, behind what came before it, which was whole.
        """
        if self._ended:
            return Out()
        self._ended = True
        out, self._left = self._left, Out()
        if self._cut or self._replies.between_frames:
            fatal = wire.error_response("FATAL", code, text, encoding=self._encoding)
            out.to_client.append(fatal)
        return out

    def cut(self, out: Out) -> None:
        """Of what the last ``from_target`` gave, only the rest of a frame that was begun may go.

        ``end`` is next, and gives it before its last words.  Where the frame is not whole yet,
        nothing that could be withheld has come.
        """
        here = b"".join(out.to_client)
        out.to_client.clear()
        if len(here) >= self._owed:
            self._left = Out(to_client=[here[: self._owed]] if self._owed else [])
            self._cut = True

    def goodbye(self) -> bytes:
        """A Terminate, or nothing where the client has begun a message: it is no part of that."""
        return wire.frame(wire.TERMINATE) if self._asks.incoming.ends_whole() else b""

    def begin_with(self, statements: tuple[bytes, ...]) -> None:
        """What each transaction begins with from the next on, behind a pooler; none: nothing."""
        lane = self._lane
        self._asks.beginning = Beginning(lane, statements) if statements else None

    def rebind(self, bound: Bound, *, afresh: bool = False) -> None:
        """Other masks from the next statement on: the catalog has changed.

        ``afresh``: portals that are open are described anew, so that the rest of their rows has
        these masks too.
        """
        self._lane.bound = bound
        if afresh:
            for portal in self._lane.portals.values():
                portal.asked = portal.described = False
                portal.covered = self._lane.covers(portal.reading, portal.forced)

    def reconsider(self, meant: Callable[[Reading], Reading]) -> None:
        """What was prepared means what this says of its reading."""
        for prepared in self._lane.statements.values():
            prepared.reading = meant(prepared.reading)

    # --- what is asked about it -------------------------------------------------------------------

    @property
    def _encoding(self) -> str:
        return self._lane.settings.get("client_encoding", "")

    @property
    def settings(self) -> dict[str, str]:
        """What the target has reported of itself, as it stands now; not to be written into."""
        return self._lane.settings

    @property
    def idle(self) -> bool:
        """Whether every ask has had its verdict and its whole reply."""
        return self._asks.asked is None and self._lane.due.empty and self._replies.between_frames

    @property
    def in_flight(self) -> bool:
        """Whether the target has been sent something, and its reply is not whole."""
        if not self._replies.between_frames:
            return True
        head, first = self._lane.due.head, self._asks.keeping.first
        return head is not None and not self._lane.due.empty and not 0 < first <= head.serial

    @property
    def status(self) -> str:
        """I: in no transaction, T: in one, E: in one that has failed; as told last."""
        return self._lane.status.decode("ascii")

    @property
    def flowed(self) -> tuple[int, int, int]:
        """Rows, their bytes, and values masked in them, that the target has given so far."""
        lane = self._lane
        return lane.rows_given, lane.bytes_given, lane.masked_given

    @property
    def answering(self) -> int:
        """The number of the ask whose reply comes now; 0 where none does."""
        head = self._lane.due.head
        return 0 if head is None else head.seq

    @property
    def settled(self) -> bool:
        """Whether it is idle and in no transaction: what it has changed, all can see."""
        return self.idle and self._lane.status == b"I"

    @property
    def leaving(self) -> bool:
        """Whether the client's Terminate has gone to the target."""
        return self._lane.due.terminated

    @property
    def held(self) -> int:
        """Bytes of messages that are not whole, or wait."""
        waiting = self._asks.asked
        size = len(waiting.detail.data) if waiting is not None else 0
        size += self._asks.keeping.size
        return len(self._asks.incoming) + self._replies.held + size
