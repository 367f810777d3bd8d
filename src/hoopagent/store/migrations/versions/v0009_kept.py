"""Where recordings are kept once their sessions have ended, and which ones nobody may delete."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, PrimaryKeyConstraint, Text, text

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TEXTS = ("state", "place", "parts", "sha256", "held_by", "held_why")


def upgrade() -> None:
    op.create_table(
        "recordings_kept",
        Column("session", Text, nullable=False),
        *(Column(name, Text, nullable=False, server_default=text("''")) for name in _TEXTS),
        Column("size", BigInteger, nullable=False, server_default=text("0")),
        *(Column(name, BigInteger) for name in ("archived", "held", "deleted")),
        PrimaryKeyConstraint("session", name="pk_recordings_kept"),
        ForeignKeyConstraint(["session"], ["sessions.id"], name="fk_recordings_kept_session"),
    )
    op.create_index("ix_recordings_kept_state", "recordings_kept", ["state"])
