"""The nouns of hoop as frozen values, and how their ids are made.

Everything here is a value: nothing changes in place, a change is a new value and, in the store,
one conditional update.  Times are integers, so that they compare exactly and a transcript repeats.

Order of the file: time and ids, who, what, which part of it, and then the life of an access:
request, vote, grant, session, decision.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeAlias

from hoopcore.voters import NO_LIMITS, NO_VOTERS, Escalation, Limits, Need, Voters

# --- time and ids ---------------------------------------------------------------------------

Time: TypeAlias = int
"""Microseconds since 1970-01-01T00:00:00Z."""

SECOND: Time = 1_000_000


def rfc3339(time: Time) -> str:
    """``2026-11-22T14:05:00Z``; microseconds are shown only where there are any."""
    moment = datetime.fromtimestamp(time // SECOND, UTC).replace(microsecond=time % SECOND)
    return moment.isoformat().replace("+00:00", "Z")


# Crockford's alphabet without vowels: no id spells a word, none is misread aloud.
_ALPHABET = "0123456789bcdfghjkmnpqrstvwxyz"
_ID = re.compile(r"[a-z]+-[0-9b-df-hjkmnp-tv-z]{8,26}")


def new_id(prefix: str, random: bytes) -> str:
    """``prefix-`` and 10 characters (49 bits) drawn from at least 16 random bytes.

    Short enough to type.  Not a secret; who makes a clash makes another one.
    """
    if len(random) < 16:
        raise ValueError("an id wants 16 random bytes")
    number = int.from_bytes(random[:16], "big")
    characters = []
    for _ in range(10):
        number, digit = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[digit])
    return f"{prefix}-{''.join(characters)}"


def is_id(text: str) -> bool:
    """Whether the text has the form of an id, and so is safe in a path and in a log line."""
    return _ID.fullmatch(text) is not None


# --- who --------------------------------------------------------------------------------------


class Kind(StrEnum):
    HUMAN = "human"
    SERVICE = "service"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated identity with groups.  Two are the same person iff their ids are equal."""

    id: str  # stable: derived from issuer and subject, never from the e-mail address
    kind: Kind
    issuer: str
    subject: str
    email: str = ""
    groups: frozenset[str] = frozenset()
    owner: str = ""  # who answers for a service or an agent; empty for people

    @property
    def name(self) -> str:
        """What people call them: the e-mail address, else the subject."""
        return self.email or self.subject


SYSTEM = "system"
"""The named actor of what no person did: expiry, policy, shutdown."""


# --- what -------------------------------------------------------------------------------------


class Tier(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Durability(StrEnum):
    KERNEL = "kernel"  # with the kernel before the statement is forwarded
    DISK = "disk"  # on the disk before the statement is forwarded


@dataclass(frozen=True, slots=True)
class Target:
    """A thing we give access to.  How to reach it and its credential are the agent's business."""

    name: str
    protocol: str  # "postgres"
    databases: tuple[str, ...]  # the first is the default
    labels: tuple[tuple[str, str], ...] = ()
    owners: frozenset[str] = frozenset()
    tier: Tier = Tier.MEDIUM
    max_duration: int = 8 * 3600  # seconds a grant may last at the most
    durability: Durability = Durability.KERNEL


# --- which part of it ---------------------------------------------------------------------------

# `select` is what people write; `read` is the effect it stands for.
_VERB_SPELLINGS = {"select": "read"}

UNMASK = "unmask"
"""The verb that takes a mask off a column: ``schema.table.column:unmask``.  ``*`` is not it."""


@dataclass(frozen=True, slots=True, order=True)
class Atom:
    """``schema.table:verb``; ``*`` in any place means every one.

    Where the verb is ``unmask`` it is ``schema.table.column:unmask``: the column is ``table``, and
    what is before it is ``schema``.
    """

    schema: str
    table: str
    verb: str  # the name of an Effect

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}:{self.verb}"

    def covers(self, other: Atom) -> bool:
        """Whether all that the other allows is allowed by this one."""
        if UNMASK in (self.verb, other.verb):
            pairs = zip(self.column, other.column, strict=True)
            return self.verb == other.verb and all(a in ("*", b) for a, b in pairs)
        return (
            self.schema in ("*", other.schema)
            and self.table in ("*", other.table)
            and self.verb in ("*", other.verb)
        )

    def meet(self, other: Atom) -> Atom | None:
        """What both allow; None where that is nothing."""
        if UNMASK in (self.verb, other.verb):
            parts = _both(self.column, other.column) if self.verb == other.verb else None
            return None if parts is None else Atom(f"{parts[0]}.{parts[1]}", parts[2], UNMASK)
        pairs = ((self.schema, other.schema), (self.table, other.table), (self.verb, other.verb))
        if any(mine != theirs and "*" not in (mine, theirs) for mine, theirs in pairs):
            return None
        return Atom(*(theirs if mine == "*" else mine for mine, theirs in pairs))

    @property
    def column(self) -> tuple[str, str, str]:
        """Schema, table and column, of an atom that unmasks."""
        schema, _, table = self.schema.rpartition(".")
        return schema or "*", table, self.table

    def unmasks(self, *column: str) -> bool:
        """Whether it takes the mask off this column, given as schema, table and name."""
        if self.verb != UNMASK:
            return False
        return all(a in ("*", b) for a, b in zip(self.column, column, strict=True))


def _both(mine: tuple[str, ...], theirs: tuple[str, ...]) -> tuple[str, ...] | None:
    """Names, of which ``*`` is any, as far as both mean the same; None where they do not."""
    pairs = list(zip(mine, theirs, strict=True))
    if any(a != b and "*" not in (a, b) for a, b in pairs):
        return None
    return tuple(b if a == "*" else a for a, b in pairs)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which part of a target, and what may be done to it: a set of atoms.

    ``Scope.parse(str(scope)) == scope`` for every scope in canonical form.
    """

    atoms: frozenset[Atom]

    @classmethod
    def parse(cls, text: str) -> Scope:
        """From ``orders,customers:read`` or ``public.*:read+update``; ValueError says why not.

        Atoms are parted by blanks or ``;``; tables before one ``:`` by commas, verbs by ``+``.
        A table without a schema means that table in every schema; no verb means every verb.
        """
        atoms: set[Atom] = set()
        for part in re.split(r"[;\s]+", text.strip()):
            tables, _, verbs = part.partition(":")
            for table in tables.split(","):
                schema, dot, name = table.rpartition(".")
                if not name or (dot and not schema):
                    raise ValueError(f"{part!r} is not of the form schema.table:verb")
                for verb in (verbs or "*").split("+"):
                    atoms.add(Atom(schema or "*", name, _VERB_SPELLINGS.get(verb, verb)))
        return cls(frozenset(atoms)).canonical()

    def canonical(self) -> Scope:
        """The same scope without atoms that another one covers."""
        kept = {a for a in self.atoms if not any(b != a and b.covers(a) for b in self.atoms)}
        return Scope(frozenset(kept))

    def covers(self, other: Scope) -> bool:
        """Whether each atom of the other is covered by one of ours."""
        return all(any(a.covers(b) for a in self.atoms) for b in other.atoms)

    @property
    def unmasks(self) -> frozenset[Atom]:
        """The atoms that take masks off columns."""
        return frozenset(atom for atom in self.atoms if atom.verb == UNMASK)

    @property
    def with_masks(self) -> Scope:
        """The same with every mask on."""
        unmasks = self.unmasks
        return Scope(self.atoms - unmasks) if unmasks else self

    def join(self, other: Scope) -> Scope:
        return Scope(self.atoms | other.atoms).canonical()

    def meet(self, other: Scope) -> Scope:
        """What both allow; it may be nothing."""
        both = {mine.meet(theirs) for mine in self.atoms for theirs in other.atoms}
        return Scope(frozenset(one for one in both if one is not None)).canonical()

    def __str__(self) -> str:
        return " ".join(str(atom) for atom in sorted(self.atoms))


EVERYTHING = Scope(frozenset({Atom("*", "*", "*")}))
READS = Scope(frozenset({Atom("*", "*", "read")}))
NOTHING = Scope(frozenset())


# --- the life of an access ----------------------------------------------------------------------


class RequestState(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FULFILLED = "fulfilled"
    WITHDRAWN = "withdrawn"


class GrantState(StrEnum):
    SCHEDULED = "scheduled"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    EXPIRED = "expired"
    REVOKED = "revoked"
    RELINQUISHED = "relinquished"
    SUPERSEDED = "superseded"


class Priority(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    URGENT = "urgent"
    INCIDENT = "incident"


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """The rule of a role under which a request is decided, as it was when the request was made."""

    name: str
    approvers: frozenset[str]  # groups; a person in any of them may vote
    votes: int = 1  # distinct people who must say yes; 0 means granted at once by the policy
    max_duration: int = 8 * 3600  # seconds
    database_role: str = ""  # what sessions are on the target; empty: the credential itself
    people: frozenset[str] = frozenset()  # who may vote by name
    needs: tuple[Need, ...] = ()  # of whom some of the votes must be
    later: tuple[Escalation, ...] = ()  # who may vote too, the longer it waits
    auto: str = ""  # the condition under which the policy granted it itself
    because: str = ""  # what that condition said, in words
    limits: Limits = NO_LIMITS  # what the approval imposes on the grant
    start_within: int | None = None  # seconds; the grant's time begins at the first connection
    give_back: int | None = None  # seconds without a session after which the grant is given back

    @property
    def total(self) -> int:
        """Distinct people who must say yes."""
        return max(self.votes, sum(need.votes for need in self.needs))

    def voters(self, waited: Time | None = None) -> Voters:
        """Who may vote on a request that has waited so long; None: who ever may."""
        found = Voters(self.approvers, self.people)
        for need in self.needs:
            found |= need.voters
        return found | self.added(waited)

    def added(self, waited: Time | None = None) -> Voters:
        """Who was added by then because it waits."""
        found = NO_VOTERS
        for one in self.later:
            if waited is None or waited >= one.after * SECOND:
                found |= one.voters
        return found


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Somebody has said why they need what their own grant was narrowed by.  It is no vote."""

    by: str  # Principal.id
    reason: str
    at: Time


@dataclass(frozen=True, slots=True)
class Held:
    """One statement that waits for an approval, as whoever decides sees it.

    Masked values are left out of text and parameters as they are out of recordings.
    """

    session: str
    seq: int  # of the statement in that session
    database: str
    text: str
    why: str  # the rule's own reason
    parameters: tuple[str | None, ...] = ()
    effects: tuple[str, ...] = ()
    touches: tuple[str, ...] = ()  # schema.table:verb; * where the text names no schema
    masked: tuple[str, ...] = ()  # relations among them with masked columns; *: it may be any
    large: tuple[str, ...] = ()  # relations among them with many rows, and how many, about
    note: str = ""  # what else is worth knowing, in words
    learns: tuple[str, ...] = ()  # a step-up: atoms that a narrowed grant has again with a yes
    own: bool = False  # whoever has said it may answer, with a reason
    confirmed: Confirmed | None = None  # that they did


@dataclass(frozen=True, slots=True)
class Request:
    """A principal asks for a grant; or, with ``held``, for one statement to be let through."""

    id: str
    requester: str  # Principal.id
    target: str
    scope: Scope
    reason: str
    duration: int  # seconds wished for, ceilings already applied
    created: Time
    expires: Time  # a request nobody answers ends here
    rule: ApprovalRule
    policy_version: str
    state: RequestState = RequestState.PENDING
    task: str = ""
    ticket: str = ""
    priority: Priority = Priority.NORMAL
    key: str = ""  # idempotency key, unique per requester
    held: Held | None = None  # then there is no scope, no duration, and there will be no grant
    starts: Time | None = None  # the access is to begin then; None: once it is approved
    extends: str = ""  # the grant that this one is to go on from
    break_glass: bool = False  # granted at once, for a short time, and looked at afterwards
    incident: str = ""  # why that is right


class Answer(StrEnum):
    APPROVE = "approve"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's answer to a request.  Conditions may only reduce."""

    id: str
    request: str
    voter: str  # Principal.id
    answer: Answer
    reason: str
    at: Time
    duration: int | None = None  # seconds; shorter than was asked
    scope: Scope | None = None  # narrower than was asked
    starts: Time | None = None  # later than was asked
    voter_is: Voters = NO_VOTERS  # as what they voted: those of the rule's voters they were then
    shown: str = ""  # SHA-256 of what the voter was shown; empty: nobody knows


@dataclass(frozen=True, slots=True)
class Soft:
    """What a grant was narrowed from: until then a statement within that is held, not refused."""

    scope: Scope  # with every mask on
    until: Time


@dataclass(frozen=True, slots=True)
class Grant:
    """Principal may use a scope of a target until a time, which never changes."""

    id: str
    request: str
    principal: str
    target: str
    scope: Scope
    not_before: Time
    not_after: Time
    state: GrantState = GrantState.ACTIVE
    ended_at: Time | None = None
    ended_by: str = ""  # Principal.id or SYSTEM
    ended_why: str = ""
    lasts: int | None = None  # seconds from ``started``; None: from not_before to not_after
    started: Time | None = None
    limits: Limits = NO_LIMITS
    soft: Soft | None = None
    supersedes: str = ""  # id of the grant of the same request in whose place it is

    @property
    def waits(self) -> bool:
        """Whether its time has not begun, and begins with the first connection."""
        return self.lasts is not None and self.started is None

    @property
    def ends(self) -> Time:
        """When it ends as things stand: never after not_after.

        One that waits for a connection ends when there is no time left to begin it.
        """
        if self.lasts is None:
            return self.not_after
        if self.started is None:
            return self.not_after - self.lasts * SECOND
        return min(self.not_after, self.started + self.lasts * SECOND)


@dataclass(frozen=True, slots=True)
class Session:
    """One principal on one target, from open to close."""

    id: str
    principal: str
    target: str
    database: str
    door: str  # "local" or "ssh"
    client: str  # where from, and the application's own name
    grants: tuple[str, ...]
    started: Time
    ended: Time | None = None
    end_cause: str = ""  # see recording.END_CAUSES
    statements: int = 0
    refused: int = 0
    masked: int = 0
    head: str = ""  # the recording's last hash, hex


class ReviewAnswer(StrEnum):
    KEEP = "keep"
    GIVE_BACK = "give back"
    NARROW = "narrow"
    DELEGATE = "delegate"
    CANNOT_SAY = "cannot say"
    UNDO = "undo"  # of what was given back
    CONFIRM = "confirm"  # of what somebody else has answered
    OVERRIDE = "override"


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer to "do you still need this grant?".  Append-only: a change supersedes."""

    id: str
    grant: str
    actor: str
    answer: ReviewAnswer
    reason: str
    at: Time
    evidence: str = ""  # JSON of what was shown
    told: str = ""  # JSON: item, opened, took, group, suggestion, scope before and after


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Something somebody did to hoop itself: sign-in, decision, reading a recording."""

    at: Time
    actor: str  # Principal.id or SYSTEM
    action: str  # noun.verb, such as "grant.revoked"
    subject: str  # an id, or a name
    detail: dict[str, str] = field(default_factory=dict)
