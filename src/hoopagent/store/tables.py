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


clock = Table(
    "clock",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # one row, 1
    Column("highest", BigInteger, nullable=False),
)

principals = Table(
    "principals",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("seen", BigInteger, nullable=False),
    Column("owner", Text, nullable=False, server_default=text("''")),
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
    Column("expires", BigInteger, nullable=False, index=True),
)

tokens = Table(
    "tokens",
    metadata,
    Column("hash", Text, primary_key=True),
    _principal("principal"),
    Column("issued", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("identity_until", BigInteger, nullable=False),
    Column("key", Text, nullable=False),
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
    Column("target", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("duration", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("rule", Text, nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("ticket", Text, nullable=False),
    Column("priority", Text, nullable=False),
    Column("key", Text),  # NULL where there is none: NULLs are all different
    UniqueConstraint("requester", "key"),
    Index("ix_requests_state_expires", "state", "expires"),
)

votes = Table(
    "votes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("request", Text, ForeignKey("requests.id"), nullable=False),
    _principal("voter"),
    Column("answer", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("duration", BigInteger),
    UniqueConstraint("request", "voter"),
)

grants = Table(
    "grants",
    metadata,
    Column("id", Text, primary_key=True),
    Column("request", Text, ForeignKey("requests.id"), nullable=False, index=True),
    _principal("principal"),
    Column("target", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("not_after", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("ended_at", BigInteger),
    Column("ended_by", Text, nullable=False),
    Column("ended_why", Text, nullable=False),
    Index("ix_grants_principal_target", "principal", "target"),
    Index("ix_grants_state_not_after", "state", "not_after"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    _principal("principal"),
    Column("target", Text, nullable=False),
    Column("database", Text, nullable=False),
    Column("door", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("started", BigInteger, nullable=False, index=True),
    Column("ended", BigInteger, index=True),
    Column("end_cause", Text, nullable=False),
    Column("statements", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("masked", BigInteger, nullable=False),
    Column("head", Text, nullable=False),
    Index("ix_sessions_principal_started", "principal", "started"),
)

session_grants = Table(
    "session_grants",
    metadata,
    Column("session", Text, ForeignKey("sessions.id"), primary_key=True),
    Column("grant_id", Text, ForeignKey("grants.id"), primary_key=True, index=True),
    Column("place", Integer, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("grant_id", Text, ForeignKey("grants.id"), nullable=False, index=True),
    Column("actor", Text, nullable=False),  # no key: the system decides too
    Column("answer", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("evidence", Text, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", _Counter, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
)
