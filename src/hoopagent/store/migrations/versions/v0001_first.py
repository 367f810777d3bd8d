"""The first tables.

The audit and the decisions only ever grow: the database itself refuses to change or remove a row,
so a slip in our own code cannot either.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
    text,
)

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_APPEND_ONLY = ("audit", "decisions")


def _text(*names: str) -> list[Column[str]]:
    return [Column(name, Text, nullable=False) for name in names]


def _number(*names: str, nullable: bool = False) -> list[Column[int]]:
    return [Column(name, BigInteger, nullable=nullable) for name in names]


def _key(table: str, *columns: str) -> PrimaryKeyConstraint:
    return PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def _refers(table: str, column: str, to: str) -> ForeignKeyConstraint:
    return ForeignKeyConstraint([column], [f"{to}.id"], name=f"fk_{table}_{column}")


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def upgrade() -> None:
    _people()
    _access()
    _sessions()
    _looking_back()
    _append_only()


def _people() -> None:
    op.create_table(
        "clock",
        Column("id", Integer, nullable=False, autoincrement=False),
        *_number("highest"),
        _key("clock", "id"),
    )
    op.execute("INSERT INTO clock (id, highest) VALUES (1, 0)")
    op.create_table(
        "principals",
        *_text("id", "kind", "issuer", "subject", "email"),
        *_number("seen"),
        _key("principals", "id"),
    )
    op.create_table(
        "memberships",
        *_text("principal", "member_of"),
        _key("memberships", "principal", "member_of"),
        _refers("memberships", "principal", "principals"),
    )
    _index("memberships", "member_of")
    op.create_table("id_tokens", *_text("hash"), *_number("expires"), _key("id_tokens", "hash"))
    _index("id_tokens", "expires")
    op.create_table(
        "tokens",
        *_text("hash", "principal"),
        *_number("issued", "expires", "identity_until"),
        *_text("key"),
        *_number("uid", nullable=True),
        Column("revoked", Boolean, nullable=False, server_default=text("false")),
        _key("tokens", "hash"),
        _refers("tokens", "principal", "principals"),
    )
    _index("tokens", "principal")


def _access() -> None:
    op.create_table(
        "requests",
        *_text("id", "requester", "target", "scope", "reason"),
        *_number("duration", "created", "expires"),
        *_text("rule", "policy_version", "state", "task", "ticket", "priority"),
        Column("key", Text),
        _key("requests", "id"),
        _refers("requests", "requester", "principals"),
        UniqueConstraint("requester", "key", name="uq_requests_requester_key"),
    )
    _index("requests", "state", "expires")
    op.create_table(
        "votes",
        *_text("id", "request", "voter", "answer", "reason"),
        *_number("at"),
        *_number("duration", nullable=True),
        _key("votes", "id"),
        _refers("votes", "request", "requests"),
        _refers("votes", "voter", "principals"),
        UniqueConstraint("request", "voter", name="uq_votes_request_voter"),
    )
    op.create_table(
        "grants",
        *_text("id", "request", "principal", "target", "scope"),
        *_number("not_before", "not_after"),
        *_text("state"),
        *_number("ended_at", nullable=True),
        *_text("ended_by", "ended_why"),
        _key("grants", "id"),
        _refers("grants", "request", "requests"),
        _refers("grants", "principal", "principals"),
    )
    _index("grants", "request")
    _index("grants", "principal", "target")
    _index("grants", "state", "not_after")


def _sessions() -> None:
    op.create_table(
        "sessions",
        *_text("id", "principal", "target", "database", "door", "client"),
        *_number("started"),
        *_number("ended", nullable=True),
        *_text("end_cause"),
        *_number("statements", "refused", "masked"),
        *_text("head"),
        _key("sessions", "id"),
        _refers("sessions", "principal", "principals"),
    )
    _index("sessions", "started")
    _index("sessions", "ended")
    _index("sessions", "principal", "started")
    op.create_table(
        "session_grants",
        *_text("session", "grant_id"),
        Column("place", Integer, nullable=False),
        _key("session_grants", "session", "grant_id"),
        _refers("session_grants", "session", "sessions"),
        _refers("session_grants", "grant_id", "grants"),
    )
    _index("session_grants", "grant_id")


def _looking_back() -> None:
    op.create_table(
        "decisions",
        *_text("id", "grant_id", "actor", "answer", "reason"),
        *_number("at"),
        *_text("evidence"),
        _key("decisions", "id"),
        _refers("decisions", "grant_id", "grants"),
    )
    _index("decisions", "grant_id")
    op.create_table(
        "audit",
        Column(
            "seq",
            BigInteger().with_variant(Integer, "sqlite"),
            nullable=False,
            autoincrement=True,
        ),
        *_number("at"),
        *_text("actor", "action", "subject", "detail"),
        _key("audit", "seq"),
    )


def _append_only() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION hoop_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ "
            "BEGIN RAISE EXCEPTION '% is only added to', TG_TABLE_NAME; END $$"
        )
    for table in _APPEND_ONLY:
        if op.get_bind().dialect.name == "postgresql":
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE "
                f"ON {table} EXECUTE FUNCTION hoop_append_only()"
            )
            continue
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is only added to'); END"
            )
