"""What the store is asked with, and what it answers: values, and its two ways to fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from hoopcore.access import ENDABLE
from hoopcore.model import (
    AuditEvent,
    Decision,
    Grant,
    GrantState,
    Principal,
    Priority,
    Request,
    RequestState,
    Session,
    Time,
    Vote,
)
from hoopcore.review import Item
from hoopcore.review import ItemState as ReviewState
from hoopcore.usage import Use


class StoreAway(Exception):
    """The store cannot be asked now.  Who needs an answer gets a refusal."""


class HasLeft(ValueError):
    """Whoever asks has left meanwhile, and gets nothing any more."""


class StoreUnusable(Exception):
    """What the URL names is no store of ours, or a damaged one; the agent does not start."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What follows from the votes on a request, done in the transaction that found it out."""

    state: RequestState  # PENDING: nothing follows yet
    grant: Grant | None = None  # with APPROVED: made at once, and the request is fulfilled
    audit: tuple[AuditEvent, ...] = ()


# Called with the request and all votes on it while nobody else can change either; must be pure.
Settle: TypeAlias = Callable[[Request, Sequence[Vote]], Settled]


@dataclass(frozen=True, slots=True)
class Token:
    """An agent token; only its SHA-256 is kept."""

    hash: str
    principal: str
    issued: Time
    expires: Time
    identity_until: Time  # max_age after the last successful sign-in or renewal
    key: str  # fingerprint of the SSH key that proved itself when it was issued
    uid: int | None = None  # of the first local process that used it; nobody else may
    revoked: bool = False
    sign_in: str = ""  # id of the sign-in it belongs to; a renewal belongs to the one it renews


class Standing(NamedTuple):
    """What carries a session, all of it as it was at one moment."""

    grants: list[Grant]  # that hold then, or will; latest end first
    until: Time  # of the sign-in; 0 where there is none
    principal: Principal | None = None


class Terms(NamedTuple):
    """What a grant was asked for under."""

    role: str  # the database role of the rule
    priority: Priority
    give_back: int | None = None  # seconds without a session after which it is given back


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which rows of the audit; what is not set asks for nothing."""

    after: int = 0  # number of a row: those behind it
    to: int = 0
    since: Time | None = None
    until: Time | None = None
    actors: Sequence[str] | None = None
    about: Sequence[str] | None = None  # ids: done by one of these, or to them
    action: str = ""  # ``grant.revoked`` or ``grant.*``
    target: str = ""
    newest: bool = False  # first


class Follower(NamedTuple):
    """How far somebody has come who is told of each row of the audit, in order."""

    name: str
    seq: int
    problem: str = ""  # why it gets no further; empty where it does
    since: Time = 0  # when that began
    lost: int = 0  # rows that were given up


class Counted(NamedTuple):
    """A session, and what it came to; None: nobody has counted that yet."""

    session: Session
    use: Use | None


class GrantMove(NamedTuple):
    """What becomes of the grant that a review is about.  ``new`` may be an end."""

    old: GrantState
    new: GrantState
    by: str
    why: str
    at: Time

    @property
    def ends(self) -> bool:
        return self.new not in ENDABLE


class Taught(NamedTuple):
    """A narrowed grant, and the one in its place that has learned."""

    old: Grant  # as it was found
    new: Grant
    by: str
    why: str
    at: Time


class RunBound(NamedTuple):
    """So many grants at the most has somebody given back since then, this one among them."""

    actor: str
    since: Time
    most: int


@dataclass(frozen=True, slots=True)
class ReviewChange:
    """A review of a grant, and all that follows from it: all of it happens, or nothing."""

    item: Item  # as it is then
    was: ReviewState | None = None  # None: it is new
    after: str = ""  # the decision that made it what it was
    decision: Decision | None = None
    grant: GrantMove | None = None
    narrowed: Grant | None = None
    bound: RunBound | None = None
    audit: tuple[AuditEvent, ...] = ()


class KeptState(StrEnum):
    """Where the recording of a session that has ended is."""

    AGENT = ""  # with the agent that wrote it, and nowhere else
    ARCHIVED = "archived"
    DELETING = "deleting"  # its time is up, and that is on the audit
    DELETED = "deleted"


class Part(NamedTuple):
    """One object of the archive; all parts of a recording, in order, are the recording."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Kept:
    """How a recording is kept.  ``held``: since when nobody may delete it."""

    session: str
    state: KeptState = KeptState.AGENT
    place: str = ""  # the archive's URL
    parts: tuple[Part, ...] = ()
    size: int = 0
    sha256: str = ""  # of all of it
    archived: Time | None = None
    held: Time | None = None
    held_by: str = ""
    held_why: str = ""
    deleted: Time | None = None
