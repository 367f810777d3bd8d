"""What both halves of a stream know: the messages on their way, the names, the fence.

``asks.py`` moves the client's messages and ``replies.py`` the target's; each reads here what the
other has found out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from hoopcore.masking import Bound, Plan
from hoopcore.protocols.postgres import wire
from hoopcore.protocols.postgres.copies import CopyRows
from hoopcore.protocols.postgres.due import Due, Message
from hoopcore.protocols.postgres.names import Change, Names
from hoopcore.sql.postgres import encoding_is_safe
from hoopcore.statement import FENCING, CopyOut, Effect, Reading, Statement
from hoopcore.stream import Finished, ProtocolError, Refusal, Seen

SKIPPED = "skipped"
"""The tag of an ask that the target skipped, since something before it in its batch had failed."""
UNUSED = "unused"
"""The tag of a Bind whose portal was never run."""

# After one of these the names of prepared statements and portals may stand for something else.
_RENAMING = frozenset({Effect.PREPARE, Effect.CALL, Effect.UNKNOWN})
# A covered statement that only does these leaves nothing behind that could fail at COMMIT.
_PASSING = frozenset({Effect.READ, Effect.LOCK, Effect.TRANSACTION})


# Behind one of these a name may mean another relation than the catalog says, until it is read anew.
_SHAKING = frozenset({Effect.DDL, Effect.CALL, Effect.UNKNOWN})

# Columns that are counted each by itself: as many as PostgreSQL lets one result have.
_MOST_COLUMNS = 1664

# What a text means depends on them, so nobody may change them unseen.
_MEANING = frozenset({"client_encoding", "standard_conforming_strings"})


@dataclass(eq=False)
class Prepared:
    """A prepared statement, as it was judged."""

    seq: int  # of the ask that prepared it
    reading: Reading
    forced: bool = False  # covered whatever the reading says
    trusted: bool = True
    batch: int = 0  # in which it was prepared


@dataclass(eq=False)
class Portal:
    """A portal since its Bind."""

    seq: int
    reading: Reading
    covered: bool
    trusted: bool = True
    forced: bool = False  # covered whatever the reading says
    asked: bool = False  # a Describe of it has been sent
    described: bool = False  # … and was answered: the plan holds
    plan: Plan | None = None
    columns: tuple[str, ...] = ()
    told: bool = False  # a Finished was given for it


@dataclass(eq=False)
class Sent(Message):
    """A message on its way, whose it is, and what has come of it."""

    seq: int = 0  # of the ask; 0 where it belongs to none
    covered: bool = False  # it touches, or may touch, masked columns
    lingers: bool = False  # … and what it did may still fail when the transaction ends
    own: bool = False  # we sent it for ourselves: the client does not see the reply
    hidden: int = 0  # statements of our own in front of a Query's text, not yet complete
    shift: int = 0  # … and how long their text is
    refusal: Refusal | None = None  # it stands in for an ask refused like this
    portal: Portal | None = None
    change: Change[Prepared] | Change[Portal] | None = None
    plan: Plan | None = None  # of the result that a Query is giving
    columns: tuple[str, ...] = ()
    rows: int = 0
    bytes: int = 0
    copies: tuple[CopyOut, ...] = ()  # TO STDOUT, that are still to come
    reading: Reading | None = None  # of a covered Query, where its lineage may be asked for
    done: int = 0  # statements of a Query that are complete
    sure: bool = False  # the names in its text mean what the catalog says
    copying: CopyRows | None = None  # the one that is on, where it must be looked into
    copied: int = 0
    tag: str = ""
    error: str = ""
    masked: dict[str, int] = field(default_factory=dict)
    by_column: dict[str, dict[str, int]] = field(default_factory=dict)

    def count(self, column: str, kind: str, count: int) -> None:
        """So many values of this column were masked, or had something of this kind in them."""
        self.masked[kind] = self.masked.get(kind, 0) + count
        if column not in self.by_column and len(self.by_column) >= _MOST_COLUMNS:
            column = "*"  # of a text with thousands of results: their number is what counts
        of_column = self.by_column.setdefault(column, {})
        of_column[kind] = of_column.get(kind, 0) + count

    def finished(self) -> Finished:
        columns = self.portal.columns if self.portal is not None else self.columns
        return Finished(
            self.seq, self.tag, self.rows, self.bytes, self.error, columns, self.masked,
            self.by_column,
        )  # fmt: skip


@dataclass
class Fence:
    """Up while it is unknown what the next text means."""

    effects: frozenset[Effect] = frozenset()
    serial: int = 0  # ReadyForQuery for this message, or a later one, takes the fence down

    @property
    def up(self) -> bool:
        return self.serial > 0

    @property
    def covering(self) -> bool:
        """Whether what stands behind it is to be taken for covered."""
        return not self.effects <= {Effect.TRANSACTION}

    def rise(self, effects: frozenset[Effect], serial: int) -> None:
        if fencing := effects & FENCING:
            self.effects |= fencing
            self.serial = serial

    def ready(self, serial: int) -> None:
        """ReadyForQuery has come for the message of this serial."""
        if serial >= self.serial:
            self.effects, self.serial = frozenset(), 0


def opaque(reading: Reading) -> Reading:
    """The same reading, of a text whose names may mean anything."""
    statements = tuple(replace(statement, opaque=True) for statement in reading.statements)
    return Reading(statements, reading.literals, reading.why)


_EXECUTE = Statement(
    frozenset({Effect.PREPARE}), opaque=True, tag="EXECUTE", keeps=frozenset({"prepared"})
)


def unknown_run(known: Reading | None = None) -> Reading:
    """The reading of running something by a name that may stand for something else now.

    Whatever it is was judged when it was prepared, like the text of an SQL EXECUTE.
    """
    if known is None or not known.statements:
        return Reading((_EXECUTE,))
    statements = (
        replace(
            statement,
            effects=statement.effects | {Effect.PREPARE},
            keeps=statement.keeps | _EXECUTE.keeps,
            flow=None,
        )
        for statement in known.statements
    )
    return opaque(Reading(tuple(statements), known.literals, known.why))


@dataclass(eq=False)
class Lane:
    """The state of one connection after login."""

    settings: dict[str, str]  # as last reported by the target
    bound: Bound
    session: str
    due: Due[Sent] = field(default_factory=Due)
    statements: Names[Prepared] = field(default_factory=Names)
    portals: Names[Portal] = field(default_factory=Names)
    fence: Fence = field(default_factory=Fence)
    batch: int = 0  # how many Syncs the client has sent
    copied_in: int = 0  # bytes of CopyData since the last COPY
    rows_given: int = 0  # by the target in all, COPY included
    bytes_given: int = 0  # … and how many bytes they are
    masked_given: int = 0  # … and how many values were masked in them
    seen: list[Seen] = field(default_factory=list)
    pooled: bool = False  # the next transaction may run on another server connection
    status: bytes = b"I"  # of the transaction, as the target has told last
    shaken: bool = False  # this transaction may have changed what names mean

    def has_moved(self, prepared: Prepared) -> bool:
        """Whether the server connection may be another one than this was prepared on.

        A pooler keeps it for as long as the target is within a transaction, and for one batch.
        """
        if not self.pooled or prepared.batch == self.batch:
            return False
        return self.status == b"I" or not self.due.empty

    @property
    def masked(self) -> bool:
        """Whether any column mask applies (detectors alone do not make a statement covered)."""
        return bool(self.bound.masks)

    def covers(self, reading: Reading, forced: bool) -> bool:
        return self.masked and (forced or reading.opaque or self.bound.covers(reading))

    def foretell(self, sent: Sent, reading: Reading, forced: bool) -> None:
        """Notes of which COPY TO STDOUT the rows will come in reply to this."""
        if Effect.COPY_OUT not in reading.effects:
            return
        # PREPARE: it is run by a name that may stand for something else by now.
        sent.copies = tuple(
            one.copy_out
            for one in reading.statements
            if one.copy_out is not None and Effect.PREPARE not in one.effects
        )
        sent.sure = not (forced or self.shaken) and reading.effects.isdisjoint(_SHAKING)

    def traceable(self, sent: Sent) -> Statement | None:
        """The statement whose result comes now, where its names mean what the catalog says."""
        portal = sent.portal
        if not sent.covered or self.shaken:
            return None
        if portal is not None:
            return None if portal.forced else self.bound.traceable(portal.reading, 0)
        return None if sent.reading is None else self.bound.traceable(sent.reading, sent.done)

    def lingers(self, reading: Reading) -> bool:
        return reading.opaque or not reading.effects <= _PASSING

    def follow(self, reading: Reading, serial: int, portal: Portal | None = None) -> None:
        """What it means for later messages that the target is about to execute this.

        The portal that is run is never replaced by its own run.
        """
        effects = reading.effects
        if not effects.isdisjoint(_SHAKING):
            self.shaken = True
        if not effects.isdisjoint(FENCING):
            self.fence.rise(effects, serial)
        if reading.opaque or not effects.isdisjoint(_RENAMING):
            trusted = portal is not None and portal.trusted
            self.statements.distrust_all()
            self.portals.distrust_all()
            if portal is not None:
                portal.trusted = trusted

    def reported(self, name: str, value: str, *, failing: bool) -> None:
        """The target tells a setting; ``failing``: an error has come, and settings go back."""
        if name == "client_encoding" and not encoding_is_safe(value):
            raise ProtocolError("client_encoding is one whose texts cannot be read safely")
        changed = self.settings.get(name, value) != value
        if changed and name in _MEANING and not (failing or self.fence.up):
            # A trigger did, or a reload of the server: a text behind may have been read wrongly.
            raise ProtocolError(f"{name} changed where no statement was to change it")
        self.settings[name] = value

    def tell(self, sent: Sent) -> None:
        """Records what became of an ask."""
        if sent.seq:
            if sent.portal is not None:
                sent.portal.told = True
            self.seen.append(sent.finished())

    def skipped(self, messages: Iterable[Sent]) -> None:
        """The target will not look at these."""
        for sent in messages:
            if sent.change is not None:
                sent.change.settle(done=False)
            if sent.portal is not None:
                if sent.kind == wire.DESCRIBE:
                    sent.portal.asked = False
                    continue
                if sent.portal.told:
                    continue
            sent.tag = SKIPPED
            self.tell(sent)
