"""What sessions came to, when the gate was the only way, and reviews of one's own grants."""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    Text,
    text,
)

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "session_usage",
        *(Column(name, Text, nullable=False) for name in ("session", "principal", "target")),
        *(Column(name, BigInteger, nullable=False) for name in ("started", "ended")),
        Column("version", Integer, nullable=False),
        Column("use", Text, nullable=False),
        PrimaryKeyConstraint("session", name="pk_session_usage"),
        ForeignKeyConstraint(["session"], ["sessions.id"], name="fk_session_usage_session"),
    )
    op.create_index(
        "ix_session_usage_principal_target_ended",
        "session_usage",
        ["principal", "target", "ended"],
    )
    op.create_table(
        "coverage",
        Column("target", Text, nullable=False),
        *(Column(name, BigInteger, nullable=False) for name in ("since", "until")),
        PrimaryKeyConstraint("target", "since", name="pk_coverage"),
    )
    _items()
    op.add_column("decisions", Column("told", Text, nullable=False, server_default=text("''")))
    op.create_index("ix_decisions_actor_at", "decisions", ["actor", "at"])


def _items() -> None:
    texts = ("path", "answer", "decision", "after", "scope", "proof")
    op.create_table(
        "grant_reviews",
        *(Column(name, Text, nullable=False) for name in ("id", "grant_id", "subject", "target")),
        *(Column(name, Text, nullable=False) for name in ("reviewer", "state")),
        Column("made", BigInteger, nullable=False),
        *(Column(name, Text, nullable=False, server_default=text("''")) for name in texts),
        *(Column(name, BigInteger) for name in ("until", "ended")),
        PrimaryKeyConstraint("id", name="pk_grant_reviews"),
        ForeignKeyConstraint(["grant_id"], ["grants.id"], name="fk_grant_reviews_grant_id"),
        ForeignKeyConstraint(["subject"], ["principals.id"], name="fk_grant_reviews_subject"),
        ForeignKeyConstraint(["reviewer"], ["principals.id"], name="fk_grant_reviews_reviewer"),
    )
    open_ones = text(
        "state IN ('pending', 'delegated', 'awaiting confirmation', 'remediating', 'failed')"
    )
    op.create_index(
        "uq_grant_reviews_grant_id_open",
        "grant_reviews",
        ["grant_id"],
        unique=True,
        sqlite_where=open_ones,
        postgresql_where=open_ones,
    )
    for name in ("subject", "reviewer", "state"):
        op.create_index(f"ix_grant_reviews_{name}", "grant_reviews", [name])
