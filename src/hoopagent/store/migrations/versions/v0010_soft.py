"""What grants were narrowed from and may have again, and in whose place they are."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Text, text

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("soft", "supersedes"):
        op.add_column("grants", Column(name, Text, nullable=False, server_default=text("''")))
