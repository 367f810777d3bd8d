"""A request may be for one statement that waits, and not for access."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Text, text

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("requests", Column("held", Text, nullable=False, server_default=text("''")))
