"""Access that begins later, or at the first connection; votes with conditions; what is imposed."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Text, text

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    def words(name: str) -> Column[str]:
        return Column(name, Text, nullable=False, server_default=text("''"))

    op.add_column("requests", Column("starts", BigInteger))
    op.add_column("requests", words("extends"))
    op.add_column("votes", words("scope"))
    op.add_column("votes", Column("starts", BigInteger))
    op.add_column("votes", words("groups"))
    op.add_column("votes", words("shown"))
    op.add_column("grants", Column("lasts", BigInteger))
    op.add_column("grants", Column("started", BigInteger))
    op.add_column("grants", words("imposes"))
