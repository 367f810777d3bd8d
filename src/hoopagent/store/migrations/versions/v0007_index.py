"""What sessions are found by: the index of recordings.  It is filled from them, and can be anew."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Integer, PrimaryKeyConstraint, Text

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "session_facets",
        *(Column(name, Text, nullable=False) for name in ("session", "kind", "name", "full_name")),
        *(Column(name, BigInteger, nullable=False) for name in ("started", "done", "refused")),
        PrimaryKeyConstraint("session", "kind", "name", "full_name", name="pk_session_facets"),
        ForeignKeyConstraint(["session"], ["sessions.id"], name="fk_session_facets_session"),
    )
    op.create_index(
        "ix_session_facets_kind_name_started_session",
        "session_facets",
        ["kind", "name", "started", "session"],
    )
    op.create_table(
        "session_indexed",
        Column("session", Text, nullable=False),
        Column("version", Integer, nullable=False),
        PrimaryKeyConstraint("session", name="pk_session_indexed"),
        ForeignKeyConstraint(["session"], ["sessions.id"], name="fk_session_indexed_session"),
    )
