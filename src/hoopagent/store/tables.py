"""The tables as they are now; ``migrations`` says how they came to be, and a test that they agree.

Times are microseconds in BIGINT, so that they compare exactly on both databases.  Scopes, group
lists and rules are text: nothing is ever asked about what is inside them.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

# SQLite counts up by itself only in a column declared INTEGER.
_Counter = BigInteger().with_variant(Integer, "sqlite")


def _principal(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, ForeignKey("principals.id"), nullable=nullable)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _number(name: str, *, index: bool | None = None) -> Column[int]:
    """A count, or a time."""
    return Column(name, BigInteger, nullable=False, index=index)


clock = Table(
    "clock",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # one row, 1
    _number("highest"),
)

principals = Table(
    "principals",
    metadata,
    Column("id", Text, primary_key=True),
    _text("kind"),
    _text("issuer"),
    _text("subject"),
    _text("email"),
    _number("seen"),
    Column("owner", Text, nullable=False, server_default=text("''")),
    Column("left_at", BigInteger),  # whoever has left is not signed in again
)

memberships = Table(
    "memberships",
    metadata,
    Column("principal", Text, ForeignKey("principals.id"), primary_key=True),
    Column("member_of", Text, primary_key=True, index=True),
)

id_tokens = Table(
    "id_tokens",
    metadata,
    Column("hash", Text, primary_key=True),
    _number("expires", index=True),
)

tokens = Table(
    "tokens",
    metadata,
    Column("hash", Text, primary_key=True),
    _principal("principal"),
    _number("issued"),
    _number("expires"),
    _number("identity_until"),
    _text("key"),
    Column("uid", BigInteger),
    Column("revoked", Boolean, nullable=False, server_default=text("false")),
    Column("sign_in", Text, nullable=False, server_default=text("''"), index=True),
    Index("ix_tokens_principal", "principal"),
)

requests = Table(
    "requests",
    metadata,
    Column("id", Text, primary_key=True),
    _principal("requester"),
    _text("target"),
    _text("scope"),
    _text("reason"),
    _number("duration"),
    _number("created"),
    _number("expires"),
    _text("rule"),
    _text("policy_version"),
    _text("state"),
    _text("task"),
    _text("ticket"),
    _text("priority"),
    Column("key", Text),  # NULL where there is none: NULLs are all different
    Column("held", Text, nullable=False, server_default=text("''")),  # JSON; empty: asks for access
    Column("starts", BigInteger),
    Column("extends", Text, nullable=False, server_default=text("''")),
    Column("break_glass", Boolean, nullable=False, server_default=text("false")),
    Column("incident", Text, nullable=False, server_default=text("''")),
    UniqueConstraint("requester", "key"),
    Index("ix_requests_state_expires", "state", "expires"),
)

votes = Table(
    "votes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("request", Text, ForeignKey("requests.id"), nullable=False),
    _principal("voter"),
    _text("answer"),
    _text("reason"),
    _number("at"),
    Column("duration", BigInteger),
    Column("scope", Text, nullable=False, server_default=text("''")),
    Column("starts", BigInteger),
    Column("groups", Text, nullable=False, server_default=text("''")),  # JSON: as what they voted
    Column("shown", Text, nullable=False, server_default=text("''")),
    UniqueConstraint("request", "voter"),
)

grants = Table(
    "grants",
    metadata,
    Column("id", Text, primary_key=True),
    Column("request", Text, ForeignKey("requests.id"), nullable=False, index=True),
    _principal("principal"),
    _text("target"),
    _text("scope"),
    _number("not_before"),
    _number("not_after"),
    _text("state"),
    Column("ended_at", BigInteger),
    _text("ended_by"),
    _text("ended_why"),
    Column("lasts", BigInteger),
    Column("started", BigInteger),
    Column("imposes", Text, nullable=False, server_default=text("''")),  # JSON
    Column("soft", Text, nullable=False, server_default=text("''")),  # JSON
    Column("supersedes", Text, nullable=False, server_default=text("''")),
    Index("ix_grants_principal_target", "principal", "target"),
    Index("ix_grants_state_not_after", "state", "not_after"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    _principal("principal"),
    _text("target"),
    _text("database"),
    _text("door"),
    _text("client"),
    _number("started", index=True),
    Column("ended", BigInteger, index=True),
    _text("end_cause"),
    _number("statements"),
    _number("refused"),
    _number("masked"),
    _text("head"),
    Index("ix_sessions_principal_started", "principal", "started"),
)

session_grants = Table(
    "session_grants",
    metadata,
    Column("session", Text, ForeignKey("sessions.id"), primary_key=True),
    Column("grant_id", Text, ForeignKey("grants.id"), primary_key=True, index=True),
    Column("place", Integer, nullable=False),
)

session_facets = Table(  # what sessions are found by; filled from their recordings
    "session_facets",
    metadata,
    Column("session", Text, ForeignKey("sessions.id"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("full_name", Text, primary_key=True),
    _number("started"),
    _number("done"),
    _number("refused"),
    Index("ix_session_facets_kind_name_started_session", "kind", "name", "started", "session"),
)

session_indexed = Table(  # sessions whose recordings are in session_facets
    "session_indexed",
    metadata,
    Column("session", Text, ForeignKey("sessions.id"), primary_key=True),
    Column("version", Integer, nullable=False),
)

recordings_kept = Table(  # where they are once their sessions have ended
    "recordings_kept",
    metadata,
    Column("session", Text, ForeignKey("sessions.id"), primary_key=True),
    Column("state", Text, nullable=False, server_default=text("''"), index=True),
    Column("place", Text, nullable=False, server_default=text("''")),
    Column("parts", Text, nullable=False, server_default=text("''")),  # JSON
    Column("sha256", Text, nullable=False, server_default=text("''")),
    Column("held_by", Text, nullable=False, server_default=text("''")),
    Column("held_why", Text, nullable=False, server_default=text("''")),
    Column("size", BigInteger, nullable=False, server_default=text("0")),
    Column("archived", BigInteger),
    Column("held", BigInteger),
    Column("deleted", BigInteger),
)

spent = Table(  # what budgets count, in buckets of a few minutes
    "spent",
    metadata,
    Column("grant_id", Text, ForeignKey("grants.id"), primary_key=True),
    Column("bucket", BigInteger, primary_key=True, autoincrement=False),
    _number("rows"),
    _number("bytes"),
    _number("sensitive"),
    _number("statements"),
)

session_usage = Table(  # what sessions came to; filled from their recordings
    "session_usage",
    metadata,
    Column("session", Text, ForeignKey("sessions.id"), primary_key=True),
    _text("principal"),
    _text("target"),
    _number("started"),
    _number("ended"),
    Column("version", Integer, nullable=False),
    _text("use"),  # JSON (hoopcore.usage)
    Index("ix_session_usage_principal_target_ended", "principal", "target", "ended"),
)

coverage = Table(  # when the gate was up, and the only way to a target
    "coverage",
    metadata,
    Column("target", Text, primary_key=True),
    Column("since", BigInteger, primary_key=True, autoincrement=False),
    _number("until"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("grant_id", Text, ForeignKey("grants.id"), nullable=False, index=True),
    _text("actor"),  # no key: the system decides too
    _text("answer"),
    _text("reason"),
    _number("at"),
    _text("evidence"),
    Column("told", Text, nullable=False, server_default=text("''")),  # JSON
    Index("ix_decisions_actor_at", "actor", "at"),
)

_OPEN_REVIEWS = text(
    "state IN ('pending', 'delegated', 'awaiting confirmation', 'remediating', 'failed')"
)

grant_reviews = Table(  # what became of looking back at one's own grants
    "grant_reviews",
    metadata,
    Column("id", Text, primary_key=True),
    Column("grant_id", Text, ForeignKey("grants.id"), nullable=False),
    Column("subject", Text, ForeignKey("principals.id"), nullable=False, index=True),
    _text("target"),
    Column("reviewer", Text, ForeignKey("principals.id"), nullable=False, index=True),
    Column("state", Text, nullable=False, index=True),
    _number("made"),
    Column("path", Text, nullable=False, server_default=text("''")),  # ids, parted by blanks
    *(
        Column(name, Text, nullable=False, server_default=text("''"))
        for name in ("answer", "decision", "after", "scope", "proof")
    ),
    Column("until", BigInteger),
    Column("ended", BigInteger),
    Index(
        "uq_grant_reviews_grant_id_open",
        "grant_id",
        unique=True,
        sqlite_where=_OPEN_REVIEWS,
        postgresql_where=_OPEN_REVIEWS,
    ),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", _Counter, primary_key=True, autoincrement=True),
    _number("at"),
    _text("actor"),
    _text("action"),
    _text("subject"),
    _text("detail"),
    Column("previous", Text, nullable=False, server_default=text("''")),
    Column("hash", Text, nullable=False, server_default=text("''")),
    Index("ix_audit_at", "at"),
    Index("ix_audit_actor_seq", "actor", "seq"),
)

audit_tail = Table(  # where the chain ends
    "audit_tail",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # one row, 1
    _number("seq"),
    _text("hash"),
)

audit_heads = Table(
    "audit_heads",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("key", Text, primary_key=True),
    _text("hash"),
    _number("at"),
    _text("signature"),
)

followers = Table(  # how far each sink and each notification has come in the audit
    "followers",
    metadata,
    Column("name", Text, primary_key=True),
    _number("seq"),
    _text("holder"),  # the agent that has it, until then
    _number("until"),
    _text("problem"),
    _number("since"),
    _number("lost"),
)

reminders = Table(  # of what has been told already
    "reminders",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("event", Text, primary_key=True),
)

review_items = Table(  # what somebody else has to look back at: break-glass
    "review_items",
    metadata,
    Column("id", Text, primary_key=True),
    Column("grant_id", Text, ForeignKey("grants.id"), nullable=False, index=True),
    _principal("principal"),
    _text("target"),
    _number("made"),
    _number("due"),
    _text("state"),
    Column("decided_at", BigInteger),
    _text("decided_by"),
    _text("reason"),
    Index(
        "uq_review_items_principal_pending",
        "principal",
        unique=True,
        sqlite_where=text("state = 'pending'"),
        postgresql_where=text("state = 'pending'"),
    ),
)
