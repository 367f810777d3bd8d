"""One open session: its parts, and how it is ended.

``sessions.py`` opens and watches sessions; ``relay.py`` moves their bytes; this is what both know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from hoopagent.config import TargetSection
from hoopagent.doors.login import LoggedIn
from hoopagent.ephemeral import User
from hoopagent.judge import Judge, changes_catalog
from hoopagent.naming import Naming
from hoopagent.reader import Reader
from hoopagent.recorder import Recorder, RecorderFailed, event_of, said
from hoopagent.recording_keys import RecordingKeys
from hoopagent.relay import Line, Relay
from hoopcore.access import Access
from hoopcore.model import SYSTEM, Principal, Session, Target
from hoopcore.policy import Verdict
from hoopcore.protocols.postgres.stream import PostgresStream
from hoopcore.recording import EndCause, Event
from hoopcore.statement import Reading, unreadable
from hoopcore.stream import Ask, AskKind, Seen

FAILED = "the agent failed; the session was ended to be safe"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was decided when a client was admitted."""

    session: str
    principal: Principal
    target: Target
    section: TargetSection
    access: Access
    granted_role: str = ""  # the database role that the grants name
    user: User | None = None  # the user of the session's own, a member of that role
    named: bool = False  # what a name without a schema means is worth knowing

    @property
    def pooled(self) -> bool:
        """Whether each transaction may run on another server connection."""
        return self.section.pooler != "none"

    @property
    def role(self) -> str:
        """The role that is imposed on the credential's own session; empty where none is."""
        return "" if self.user is not None else self.granted_role

    @property
    def starts_as(self) -> str:
        """The role that the session has from its start on, so that what it makes is that role's."""
        if self.user is None or self.granted_role:
            return self.granted_role
        roles = self.section.credential.in_roles
        return roles[0] if len(roles) == 1 else ""


@dataclass(slots=True, eq=False)
class Live:
    """A session that is open now."""

    record: Session
    prepared: Prepared
    login: LoggedIn
    judge: Judge
    stream: PostgresStream
    recorder: Recorder
    access: Access
    relay: Relay | None = None
    naming: Naming | None = None
    ended_by: tuple[str, str] = ("", "")  # who ended it, and why
    changing: set[int] = field(
        default_factory=set
    )  # asks in flight behind which the catalog is old
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def place(self) -> tuple[str, str]:
        """Target and database: sessions that share it share a catalog."""
        return self.prepared.target.name, self.record.database

    def end(self, code: str, text: str, cause: EndCause, by: str = SYSTEM, why: str = "") -> None:
        if self.relay is not None and self.relay.cause is None:
            self.ended_by = (by, why)
            self.relay.end(code, text, cause, why)

    def meant(self, reading: Reading) -> Reading:
        """With what only the catalog of this database can tell, where there is one."""
        catalog = self.judge.bound.catalog
        return (
            reading if catalog is None else catalog.meant(reading, self.prepared.section.functions)
        )


@dataclass(slots=True)
class Failing:
    """What a recorder tells when the disk fails behind our back: the session ends."""

    live: Live | None = None

    def report(self, _problem: RecorderFailed) -> None:
        if self.live is not None:
            words = "this session can no longer be recorded"
            self.live.end("58030", words, EndCause.RECORDING_FAILED)


def _then(
    found: asyncio.Future[Reading], meant: Callable[[Reading], Reading]
) -> asyncio.Future[Reading]:
    """What the future gives, looked at once more; like the reader's own it never fails."""
    looked: asyncio.Future[Reading] = found.get_loop().create_future()

    def look(done: asyncio.Future[Reading]) -> None:
        if not looked.done():
            looked.set_result(meant(done.result()))

    found.add_done_callback(look)
    return looked


def line_of(
    live: Live,
    *,
    keys: RecordingKeys,
    reader: Reader,
    behind: Callable[[Seen], asyncio.Future[None] | None],
    over_budget: Callable[[], bool],
    cancel: Callable[[], None],
) -> Line:
    """What this session's relay is made of."""
    section = live.prepared.section
    naming = live.naming
    judge = live.judge.judge if naming is None else partial(naming.judge, live)

    def read(ask: Ask) -> Reading | asyncio.Future[Reading]:
        if ask.kind is AskKind.CALL:
            return unreadable("a function is called by its number")
        found = reader.read(
            ask.text,
            settings=live.stream.settings,
            trusted=ask.trusted,
            functions=section.functions,
        )
        return _then(found, live.meant) if isinstance(found, asyncio.Future) else live.meant(found)

    def record(ask: Ask, reading: Reading, verdict: Verdict) -> Event:
        if changes_catalog(reading):
            live.changing.add(ask.seq)
        return said(
            ask,
            reading,
            allowed=verdict.allowed,
            rule=verdict.rule,
            reason=verdict.reason,
            masked=live.judge.masked(reading),
            keys=keys,
            exact=section.record_text == "exact",
            encoding=live.stream.settings.get("client_encoding", "UTF8"),
        )

    return Line(
        stream=live.stream,
        recorder=live.recorder,
        read=read,
        judge=judge,
        said=record,
        saw=event_of,
        behind=behind,
        over_budget=over_budget,
        cancel=cancel,
    )
