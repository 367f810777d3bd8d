"""The audit becomes a chain; what follows it; break-glass and its reviews; people who have left.

Rows of before this step are chained as they are, so whoever changes one of them from now on is
found.  Nothing else about them changes: the triggers that keep the audit append-only are away for
as long as this transaction lasts.
"""

from __future__ import annotations

import json

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    Text,
    column,
    insert,
    select,
    table,
    text,
    update,
)

from hoopcore.audit import GENESIS, seal
from hoopcore.model import AuditEvent

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_PAGE = 1_000


def _words(*names: str) -> list[Column[str]]:
    return [Column(name, Text, nullable=False) for name in names]


def _numbers(*names: str, nullable: bool = False) -> list[Column[int]]:
    return [Column(name, BigInteger, nullable=nullable) for name in names]


def upgrade() -> None:
    postgres = op.get_bind().dialect.name == "postgresql"
    _chain_columns()
    if postgres:
        op.execute("ALTER TABLE audit DISABLE TRIGGER audit_append_only")
    else:
        op.execute("DROP TRIGGER audit_no_update")
    _chain()
    if postgres:
        op.execute("ALTER TABLE audit ENABLE TRIGGER audit_append_only")
    else:
        _sqlite_trigger("audit", "UPDATE")
    _append_only("audit_heads", postgres)
    _break_glass()
    op.add_column("principals", Column("left_at", BigInteger))


def _chain_columns() -> None:
    for name in ("previous", "hash"):
        op.add_column("audit", Column(name, Text, nullable=False, server_default=text("''")))
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_index("ix_audit_actor_seq", "audit", ["actor", "seq"])
    op.create_table(
        "audit_tail",
        Column("id", Integer, nullable=False, autoincrement=False),  # one row, 1
        *_numbers("seq"),
        *_words("hash"),
        PrimaryKeyConstraint("id", name="pk_audit_tail"),
    )
    op.create_table(
        "audit_heads",
        Column("seq", BigInteger, nullable=False, autoincrement=False),
        *_words("key", "hash"),
        *_numbers("at"),
        *_words("signature"),
        PrimaryKeyConstraint("seq", "key", name="pk_audit_heads"),
    )
    op.create_table(
        "followers",
        *_words("name"),
        *_numbers("seq"),
        *_words("holder"),
        *_numbers("until"),
        *_words("problem"),
        *_numbers("since", "lost"),
        PrimaryKeyConstraint("name", name="pk_followers"),
    )


def _chain() -> None:
    names = ("seq", "at", "actor", "action", "subject", "detail", "previous", "hash")
    audit = table("audit", *(column(name) for name in names))
    connection = op.get_bind()
    seq, previous = 0, GENESIS
    while True:
        page = connection.execute(
            select(audit).where(audit.c.seq > seq).order_by(audit.c.seq).limit(_PAGE)
        ).all()
        for one in page:
            event = AuditEvent(one.at, one.actor, one.action, one.subject, json.loads(one.detail))
            row = seal(one.seq, event, previous)
            connection.execute(
                update(audit).where(audit.c.seq == one.seq).values(previous=previous, hash=row.hash)
            )
            seq, previous = row.seq, row.hash
        if not page:
            break
    tail = table("audit_tail", column("id"), column("seq"), column("hash"))
    connection.execute(insert(tail).values(id=1, seq=seq, hash=previous))


def _append_only(name: str, postgres: bool) -> None:
    if postgres:
        op.execute(
            f"CREATE TRIGGER {name}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE "
            f"ON {name} EXECUTE FUNCTION hoop_append_only()"
        )
        return
    for verb in ("UPDATE", "DELETE"):
        _sqlite_trigger(name, verb)


def _sqlite_trigger(name: str, verb: str) -> None:
    op.execute(
        f"CREATE TRIGGER {name}_no_{verb.lower()} BEFORE {verb} ON {name} "
        f"BEGIN SELECT RAISE(ABORT, '{name} is only added to'); END"
    )


def _break_glass() -> None:
    op.add_column(
        "requests",
        Column("break_glass", Boolean, nullable=False, server_default=text("false")),
    )
    op.add_column("requests", Column("incident", Text, nullable=False, server_default=text("''")))
    op.create_table(
        "review_items",
        *_words("id", "grant_id", "principal", "target"),
        *_numbers("made", "due"),
        *_words("state"),
        *_numbers("decided_at", nullable=True),
        *_words("decided_by", "reason"),
        PrimaryKeyConstraint("id", name="pk_review_items"),
        ForeignKeyConstraint(["grant_id"], ["grants.id"], name="fk_review_items_grant_id"),
        ForeignKeyConstraint(["principal"], ["principals.id"], name="fk_review_items_principal"),
    )
    op.create_table(
        "reminders",
        *_words("subject", "event"),
        PrimaryKeyConstraint("subject", "event", name="pk_reminders"),
    )
    op.create_index("ix_review_items_grant_id", "review_items", ["grant_id"])
    pending = text("state = 'pending'")
    op.create_index(
        "uq_review_items_principal_pending",
        "review_items",
        ["principal"],
        unique=True,
        sqlite_where=pending,
        postgresql_where=pending,
    )
