"""What went through a grant in the last hour, so that a budget outlives the agent that counts."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, PrimaryKeyConstraint, Text

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    measures = ("rows", "bytes", "sensitive", "statements")
    op.create_table(
        "spent",
        Column("grant_id", Text, nullable=False),
        Column("bucket", BigInteger, nullable=False),
        *(Column(name, BigInteger, nullable=False) for name in measures),
        PrimaryKeyConstraint("grant_id", "bucket", name="pk_spent"),
        ForeignKeyConstraint(["grant_id"], ["grants.id"], name="fk_spent_grant_id"),
    )
