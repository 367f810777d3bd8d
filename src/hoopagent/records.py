"""What is written down of a session when it opens: its row in the store, its recording's header."""

from __future__ import annotations

from hoopagent.doors.login import LoggedIn
from hoopagent.live import Prepared
from hoopcore.model import Session, Time
from hoopcore.recording import Header


def record_of(login: LoggedIn, prepared: Prepared, now: Time) -> Session:
    """The session that begins now."""
    opened = login.opened
    role = f"as {prepared.granted_role}" if prepared.granted_role else ""
    client = (login.caller.origin, opened.application, role)
    return Session(
        id=prepared.session,
        principal=prepared.principal.id,
        target=prepared.target.name,
        database=opened.database,
        door=login.caller.door,
        client=" ".join(part for part in client if part),
        grants=prepared.access.grants,
        started=now,
    )


def header_of(record: Session, prepared: Prepared, policy: str, agent: str) -> Header:
    """The first line of its recording; ``policy`` and ``agent`` are versions."""
    return Header(
        session=record.id,
        principal=record.principal,
        name=prepared.principal.name,
        target=record.target,
        protocol=prepared.target.protocol,
        database=record.database,
        door=record.door,
        client=record.client,
        grants=record.grants,
        policy=policy,
        durability=prepared.target.durability.value,
        agent=agent,
        scopes=True,
    )
