"""The contract of a protocol: what the agent's relay may expect of any of them.

A protocol is a folder with two machines.  ``login`` is a generator of the steps below.  What comes
after it is a ``Stream``: one object that sees both directions, since a reply means nothing
without its request.  Neither does any I/O: bytes in, bytes out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol, TypeAlias

from hoopcore.statement import Reading


class ProtocolError(Exception):
    """These bytes are not of the protocol, or not what we are willing to forward unread.

    The text is for people and never holds bytes of the message.
    """


class MaskFailed(Exception):
    """A mask raised: our bug.  The rows it was to mask are not sent, and the session ends."""


class LoginRefused(Exception):
    """A login ends here, in words for the person whose client shows them.

    ``code`` is the protocol's own (a SQLSTATE), ``hint`` says what to do next.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


class Side(Enum):
    CLIENT = "client"
    TARGET = "target"


# --- login: steps that a generator yields, and what the driver sends back in --------------------


@dataclass(frozen=True)
class Read:
    """Wants exactly ``size`` bytes of that side; the driver sends them back as ``bytes``."""

    side: Side
    size: int


@dataclass(frozen=True)
class Send:
    side: Side
    data: bytes


@dataclass(frozen=True)
class StartTLS:
    """TLS begins on that side.  Bytes already read behind this point are a ProtocolError.

    The driver sends back the server certificate in DER (the target's, or ours), for channel
    binding; ``b""`` where there is none.
    """

    side: Side


@dataclass(frozen=True)
class Identify:
    """The client says who it is.  The driver answers from memory, or raises LoginRefused.

    The answer is what proves it: a password verifier of the protocol's, or None where the door
    knows already (peer uid, SSH).  For a name that does not exist it is a verifier that nothing
    satisfies, so that an answer never tells which names exist.
    """

    user: str


@dataclass(frozen=True)
class Admit:
    """The client is proved and has named what it wants.

    The driver answers with the protocol's ``Admission``, or raises LoginRefused.  ``user`` and
    ``database`` are as the client wrote them (database empty: not named).
    """

    user: str
    database: str
    application: str


@dataclass(frozen=True)
class Connect:
    """Wants a connection to the target; the driver opens it, or raises LoginRefused.

    ``host`` counts the target's hosts from 0.  A connection to another one is closed first.
    """

    host: int = 0


@dataclass(frozen=True)
class Aside:
    """Wants what ``work`` returns, or the ProtocolError it raises.

    It is slow and touches nothing that anybody else does, so the driver runs it beside its loop.
    """

    work: Callable[[], object]


Step: TypeAlias = Read | Send | StartTLS | Identify | Admit | Connect | Aside


@dataclass(frozen=True)
class Opened:
    """Both sides are logged in and idle.

    ``to_client`` is what remains to be said to the client (parameters, key data, ready); the
    driver sends it only after the session's recording has begun.
    """

    parameters: dict[str, str]  # as the target reported them
    pid: int
    secret: bytes  # the target's own cancel secret, never shown to the client
    client_secret: bytes  # ours, which the client was given
    database: str
    application: str
    to_client: bytes = b""
    host: int = 0  # which of the target's hosts it is
    names: str = ""  # what ``Admission.names`` asked of the target, as it answered


@dataclass(frozen=True)
class Cancel:
    """The connection was a cancel request and ends here."""

    pid: int
    secret: bytes


@dataclass(frozen=True)
class Closed:
    """The connection ends here; what had to be said was said.  ``why`` is for the log."""

    why: str
    code: str = ""  # the SQLSTATE of a refusal


# --- after login: asks and what becomes of them -------------------------------------------------


class AskKind(Enum):
    TEXT = "text"  # a text that runs at once, or is prepared: the relay reads and judges it
    RUN = "run"  # a prepared text is run with parameters; ``reading`` is known
    CALL = "call"  # a call by number (FunctionCall): cannot be read


@dataclass
class Ask:
    """One unit of client intent that waits for exactly one ``forward`` or ``refuse``.

    ``trusted`` is False where the meaning of the text hangs on settings that are not known yet
    (it stands behind a fence in the same batch): the reader then takes backslashes and bytes over
    127 for unreadable.
    """

    kind: AskKind
    seq: int  # 1, 2, 3 … in this stream
    text: bytes = b""  # as on the wire, without the closing NUL
    prepared: bool = False  # only prepared now, run later
    name: str = ""  # of the prepared statement or portal
    parameters: tuple[bytes | None, ...] = ()  # of a RUN, as on the wire
    formats: tuple[int, ...] = ()  # one per parameter: 0 text, 1 binary
    reading: Reading | None = None  # of a RUN: what was found when it was prepared
    trusted: bool = True
    origin: int = 0  # of a RUN: the seq of the ask that prepared it
    detail: Any = None  # the stream's own


@dataclass(frozen=True)
class Refusal:
    """Why an ask is refused, in words for the person whose client shows them."""

    rule: str
    reason: str
    hint: str = ""
    session: str = ""
    code: str = ""  # SQLSTATE where it is no 42501; the reason is then all that is said


@dataclass(frozen=True)
class Finished:
    """What became of an ask, as the replies told: worth recording."""

    seq: int
    tag: str = ""  # the target's command tag
    rows: int = 0
    bytes: int = 0  # of rows, as they went to the client
    error: str = ""  # SQLSTATE where it failed
    columns: tuple[str, ...] = ()  # names of the columns of the result
    masked: dict[str, int] = field(default_factory=dict)  # kind of mask → values masked
    by_column: dict[str, dict[str, int]] = field(default_factory=dict)  # the same, of each column


@dataclass(frozen=True)
class Copied:
    """Bytes that went through COPY for an ask (``Side.CLIENT``: towards the target)."""

    seq: int
    side: Side
    bytes: int


@dataclass(frozen=True)
class Fatal:
    """The target ended the connection with this SQLSTATE."""

    code: str


Seen: TypeAlias = Finished | Copied | Fatal


@dataclass
class Out:
    """What is to be done now.  Buffers are written once, never touched again."""

    to_client: list[bytes | bytearray | memoryview] = field(default_factory=list)
    to_target: list[bytes | bytearray | memoryview] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)

    def add(self, other: Out) -> None:
        """What is to be done next, after this."""
        self.to_client += other.to_client
        self.to_target += other.to_target
        self.seen += other.seen


class Stream(Protocol):
    """Both directions of one connection after login.

    Any bytes at all are understood or raise ProtocolError; any other exception is our bug.

    Use, client's side:  ``feed(CLIENT, data)``; then while ``ask := next_ask()``: read its text
    with ``settings``, judge, record, and call ``forward`` or ``refuse`` before ``next_ask`` again.
    ``next_ask`` gives None where nothing can be judged now: no whole message, or fenced.  Since
    frames that need no verdict (Sync, Flush, Describe, CopyData) move only through ``pump``, call
    ``pump`` after the asks are done: it returns what may go to the target without a verdict.

    Use, target's side:  ``feed(TARGET, data)``; then ``from_target()``, then the client's side
    again if ``ready_again`` is True, since a fence may have fallen.
    """

    ready_again: bool

    def feed(self, side: Side, data: bytes | bytearray | memoryview) -> None: ...

    def next_ask(self) -> Ask | None: ...

    def forward(self, ask: Ask, reading: Reading) -> Out: ...

    def refuse(self, ask: Ask, reading: Reading, refusal: Refusal) -> Out: ...

    def pump(self) -> Out: ...

    def from_target(self) -> Out: ...

    def say(self, text: str, hint: str = "") -> Out: ...

    def end(self, code: str, text: str) -> Out:
        """The last words to the client: a FATAL that its driver understands."""
        ...

    def goodbye(self) -> bytes:
        """What a client says that says no more; empty where it stands inside a message."""
        ...

    @property
    def settings(self) -> dict[str, str]:
        """What the reading of the next text hangs on, as last reported by the target."""
        ...

    @property
    def idle(self) -> bool:
        """Whether every ask has had its whole reply."""
        ...

    @property
    def in_flight(self) -> bool:
        """Whether the target has been sent something, and its reply is not whole."""
        ...

    @property
    def leaving(self) -> bool:
        """Whether the client has said that it goes, so that the target's leaving is its answer."""
        ...

    @property
    def held(self) -> int:
        """Bytes held in incomplete frames and unread messages."""
        ...


Reader: TypeAlias = Callable[[bytes], Reading]
