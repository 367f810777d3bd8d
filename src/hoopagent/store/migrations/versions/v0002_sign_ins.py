"""A sign-in is more than one token, and a principal need not be a person.

Tokens of before this step are a sign-in each, as they were in effect.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Text, text

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table, name in (("principals", "owner"), ("tokens", "sign_in")):
        op.add_column(table, Column(name, Text, nullable=False, server_default=text("''")))
    op.execute("UPDATE tokens SET sign_in = hash")
    op.create_index("ix_tokens_sign_in", "tokens", ["sign_in"])
