"""What a recording is made of: one shape per kind of event.

An event is one JSON object on one line; its ``type`` says which of the shapes below it has.  The
three numbers every event has (``n``, ``at``, ``t``) are stamped by whoever writes the recording.
A reader meets types and fields it does not know in recordings of newer agents: it keeps the
numbers and passes over the rest (``Other``), so that a chain can be verified by any version.

Order of the file: why sessions end, the events in the order of a session's life, decoding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import TypeAlias

import msgspec

from hoopcore.model import Time
from hoopcore.statement import Reading

FORMAT = 1
"""Raised when a reader of the older format could misread the newer one; new fields do not."""


class EndCause(StrEnum):
    """Why a session ended, as recordings, lists and the last words to a client say it."""

    CLIENT_LEFT = "client left"
    TARGET_LEFT = "target left"
    GRANT_ENDED = "grant ended"
    GRANT_REVOKED = "grant revoked"
    GRANT_RELINQUISHED = "grant relinquished"
    GRANT_SUSPENDED = "grant suspended"
    IDENTITY_ENDED = "identity ended"
    KILLED = "killed"
    AGENT_STOPPED = "agent stopped"
    PROTOCOL_ERROR = "protocol error"
    RECORDING_FAILED = "recording failed"
    MASKING_FAILED = "masking failed"
    HELD_TOO_MUCH = "held too much"
    BUDGET_USED_UP = "budget used up"
    POLICY_CHANGED = "policy changed"
    INTERNAL_ERROR = "internal error"
    RECOVERED = "recovered"  # the agent died; its successor closed the recording


END_CAUSES: tuple[str, ...] = tuple(EndCause)


class Event(msgspec.Struct, kw_only=True, tag_field="type", omit_defaults=True):
    """``n`` counts lines from 1; ``at`` is wall time; ``t`` is microseconds since the start.

    ``t`` comes from a clock that nobody can set and that goes on while the machine sleeps.
    """

    n: int = 0
    at: Time = 0
    t: int = 0


class Header(Event, tag="header", kw_only=True):
    """Line 1: whose session this is, on what, and under which grants and policy."""

    format: int = FORMAT
    session: str
    principal: str  # Principal.id
    name: str = ""  # what people call them
    target: str
    protocol: str = ""
    database: str = ""
    door: str = ""
    client: str = ""
    grants: tuple[str, ...] = ()
    policy: str = ""  # Config.version
    durability: str = "kernel"
    agent: str = ""  # its version
    key: str = ""  # id of the signing key
    boot: int = 0  # the unsettable clock when the session began, microseconds
    scopes: bool = False  # statements say all that a scope is asked for (``meant``, ``beyond``)


class Said(Event, tag="statement"):
    """A statement and what was decided, written before a byte of it is forwarded.

    A run of a prepared statement carries no text: ``origin`` is the ``seq`` that prepared it.
    ``text`` and ``parameters`` are redacted unless the target keeps exact text.
    """

    seq: int
    kind: str = "text"  # "text", "run", "call"; of SSH exec, shell, subsystem, forward, file
    text: str = ""
    prepared: bool = False  # only prepared now, run later
    origin: int = 0
    parameters: tuple[str | None, ...] = ()
    effects: tuple[str, ...] = ()
    touches: tuple[str, ...] = ()  # schema.table:verb; * where the text names no schema
    columns: tuple[str, ...] = ()  # that the text names; a run has those of what was prepared
    # Touches as the session's search_path had them, where that makes other ones of them.
    meant: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()  # effects that a scope must allow everywhere
    tag: str = ""  # the kind of statement in words
    unread: str = ""  # why it could not be read; empty where it could
    verdict: str = "allow"  # "allow", "refuse" or "hold"; what was held is told once more
    rule: str = ""
    reason: str = ""
    hold: str = ""  # id of the request that it waits for, or has waited for
    approved: tuple[str, ...] = ()  # by whom (Principal.id), where that let it through


class Finished(Event, tag="finished"):
    """What became of a statement, as the target's replies told."""

    seq: int
    tag: str = ""
    rows: int = 0
    bytes: int = 0
    error: str = ""  # SQLSTATE
    columns: tuple[str, ...] = ()
    masked: dict[str, int] = msgspec.field(default_factory=dict)  # kind of mask → values masked
    # The same of each column: schema.table.column where it is declared, else its name in the
    # result.  Names are quoted as in SQL, so that neither is taken for the other.
    by_column: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    took: int = 0  # microseconds since the statement was recorded


class Cut(msgspec.Struct, array_like=True):
    """What of a row is not whole.  ``row`` of its event and ``column`` count from 1."""

    row: int
    column: int  # 0: nothing of the row is kept
    bytes: int  # as it went to the client
    sha256: str  # of these


class Rows(Event, tag="rows"):
    """Rows of a result as the client got them, where the target's policy keeps them."""

    seq: int
    first: int = 1  # number of the first of them, of those of this reply
    # Texts; NULL is null; ``\x…`` is what is no text.
    rows: list[list[str | None]] = msgspec.field(default_factory=list)
    cuts: list[Cut] = msgspec.field(default_factory=list)
    withheld: int = 0  # so many were not kept, since the session saw in clear what is masked


class Copied(Event, tag="copied"):
    """Bytes that went through COPY; what they were is not kept."""

    seq: int
    to: str  # "target" or "client"
    bytes: int


class Terminal(Event, tag="terminal"):
    """What a terminal showed, or the size that it has from here on.  What was typed is not kept."""

    seq: int  # of the statement that runs in it
    out: str = ""  # with the escapes of terminals; redacted unless the target keeps exact text
    columns: int = 0
    lines: int = 0


class File(Event, tag="file"):
    """A file that went through, or was to: never what is in it."""

    seq: int  # of the statement that let it
    direction: str  # "download" or "upload"
    path: str  # as the client named it
    size: int = 0  # bytes that went through
    sha256: str = ""  # of these, in hex, where all of them went through in order
    mode: str = ""  # octal, where it was told
    outcome: str = "whole"  # "whole", "part", "refused", or "failed: " and why


class Notice(Event, tag="notice"):
    """What hoop itself said to the client."""

    text: str
    code: str = ""  # SQLSTATE where it was an error


class Policy(Event, tag="policy"):
    """Rules, masks or targets have changed: what follows was judged under this version."""

    version: str


class Unmasked(Event, tag="unmasked"):
    """What grants show in clear from here on, of what is declared as masked."""

    columns: tuple[str, ...] = ()  # schema.table.column, quoted as in SQL; empty: nothing any more
    grants: tuple[str, ...] = ()  # that allow it


class Fatal(Event, tag="fatal"):
    """The target ended the connection with this SQLSTATE."""

    code: str


class Head(Event, tag="head"):
    """A signature over every line before this one, and over this one up to the signature."""

    key: str
    signature: str = ""  # hex; sealing puts it there


class Totals(msgspec.Struct, omit_defaults=True):
    """What a session came to."""

    statements: int = 0  # refused ones included; a prepared statement counts when it runs
    refused: int = 0
    rows: int = 0
    bytes: int = 0
    masked: int = 0

    def count(self, event: Event) -> None:
        """Adds what this event tells."""
        if isinstance(event, Said):
            if event.verdict == "hold":
                pass  # it is counted when it is told what became of it
            elif event.verdict != "allow":
                self.refused += 1
                self.statements += 1
            elif not event.prepared:
                self.statements += 1
        elif isinstance(event, Finished):
            self.rows += event.rows
            self.bytes += event.bytes
            if event.masked:
                self.masked += sum(event.masked.values())


class End(Event, tag="end"):
    """The last event; one head follows it and nothing else."""

    cause: str  # one of END_CAUSES
    by: str = ""  # Principal.id or "system"
    why: str = ""
    totals: Totals = msgspec.field(default_factory=Totals)
    torn: int = 0  # bytes at the end of the file that could not be read when it was recovered


class Other(Event, tag="other"):
    """An event of a type this version does not know."""

    unknown: str = ""


Known: TypeAlias = (
    Header
    | Said
    | Finished
    | Rows
    | Copied
    | Terminal
    | File
    | Notice
    | Policy
    | Unmasked
    | Fatal
    | Head
    | End
    | Other
)

_decoder: msgspec.json.Decoder[Known] = msgspec.json.Decoder(Known)


class _Envelope(msgspec.Struct):
    n: int
    type: str
    at: Time = 0
    t: int = 0


def event_of_line(line: bytes) -> Known:
    """The event of one line; ValueError where it is no event at all."""
    try:
        return _decoder.decode(line)
    except msgspec.MsgspecError:
        pass
    try:
        seen = msgspec.json.decode(line, type=_Envelope)
    except msgspec.MsgspecError as problem:
        raise ValueError("not an event") from problem
    return Other(n=seen.n, at=seen.at, t=seen.t, unknown=seen.type)


def events(lines: Iterable[bytes]) -> Iterator[Known]:
    """The events of lines, up to the first line that is none."""
    for line in lines:
        try:
            yield event_of_line(line)
        except ValueError:
            return


def touches_of(reading: Reading) -> tuple[str, ...]:
    """``schema.table:verb`` of everything a text touches, sorted; ``*`` for an unnamed schema."""
    return tuple(
        sorted(
            {
                f"{touch.relation.schema or '*'}.{touch.relation.name}:{touch.effect}"
                for statement in reading.statements
                for touch in statement.touches
            }
        )
    )
