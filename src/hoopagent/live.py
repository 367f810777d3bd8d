"""One open session: its parts, and how it is ended.

``sessions.py`` opens and watches sessions; ``relay.py`` moves their bytes; this is what both know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from hoopagent.circumstances import UNTOLD, Circumstances
from hoopagent.config import TargetSection
from hoopagent.doors.login import LoggedIn
from hoopagent.ephemeral import User
from hoopagent.holding import Holding, Reads, Told
from hoopagent.judge import Judge, changes_catalog
from hoopagent.kept_rows import KeptRows, results_for
from hoopagent.line import Line
from hoopagent.meter import Judging, RowMeter
from hoopagent.naming import Naming
from hoopagent.outlook import note_limits
from hoopagent.reader import Reader
from hoopagent.recorder import Recorder, RecorderFailed, event_of, said
from hoopagent.recording_keys import RecordingKeys
from hoopagent.relay import Relay
from hoopcore.access import Access
from hoopcore.model import SYSTEM, Principal, Session, Target
from hoopcore.policy import BoundPolicy, Verdict
from hoopcore.protocols.postgres.results import Results
from hoopcore.protocols.postgres.stream import PostgresStream
from hoopcore.recording import EndCause, Event
from hoopcore.sql.imposed import NOTHING_IMPOSED, Imposed
from hoopcore.statement import Effect, Reading, unreadable
from hoopcore.stream import Ask, AskKind, Out, Seen

_SETTING = frozenset({Effect.SET})
FAILED = "the agent failed; the session was ended to be safe"


@dataclass(frozen=True)
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
    told: Circumstances = UNTOLD
    imposed: Imposed = NOTHING_IMPOSED  # the settings that the session begins with
    changes: int | None = None  # of the store, before it was asked what carries this session

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


@dataclass(eq=False)
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
    holding: Holding | None = None
    shown: tuple[str, ...] = ()  # declared columns that the grants show in clear, as told last
    policy_version: str = ""  # under which its next statement is judged
    ended_by: tuple[str, str] = ("", "")  # who ended it, and why
    changing: set[int] = field(
        default_factory=set
    )  # asks in flight behind which the catalog is old
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    # What the session has set of the target's time limits for who idles: name → the shortest, ms.
    idle: dict[str, int] = field(default_factory=dict)

    @property
    def place(self) -> tuple[str, str]:
        """Target and database: sessions that share it share a catalog."""
        return self.prepared.target.name, self.record.database

    def end(self, code: str, text: str, cause: EndCause, by: str = SYSTEM, why: str = "") -> None:
        if self.relay is not None and self.relay.cause is None:
            self.ended_by = (by, why)
            self.relay.end(code, text, cause, why)

    def say_soon(self, text: str, hint: str = "") -> None:
        """A NOTICE to the client, when what is being done now is done."""
        if self.relay is not None:
            self.relay.loop.call_soon(self.relay.say, text, hint)

    def meant(self, reading: Reading) -> Reading:
        """With what only the catalog of this database can tell, where there is one."""
        catalog = self.judge.bound.catalog
        return (
            reading if catalog is None else catalog.meant(reading, self.prepared.section.functions)
        )


@dataclass
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
    metered: Callable[[Judging], RowMeter] | None = None,
    held: Callable[[Told, Reads, Judging], Holding] | None = None,
) -> Line:
    """What this session's relay is made of."""
    naming = live.naming
    judge: Judging = live.judge.judge if naming is None else partial(naming.judge, live)
    results = results_for(live.prepared.section)
    meter = None if metered is None else metered(judge)
    if meter is not None:
        judge = meter.judge

    def read(ask: Ask) -> Reading | asyncio.Future[Reading]:
        if ask.kind is AskKind.CALL:
            return unreadable("a function is called by its number")
        found = reader.read(
            ask.text,
            settings=live.stream.settings,
            trusted=ask.trusted,
            functions=live.prepared.section.functions,
        )
        return _then(found, live.meant) if isinstance(found, asyncio.Future) else live.meant(found)

    def record(ask: Ask, reading: Reading, verdict: Verdict) -> Event:
        if changes_catalog(reading):
            live.changing.add(ask.seq)
        if not reading.effects.isdisjoint(_SETTING) and verdict.allowed:
            note_limits(live.idle, reading)
        if results is not None and live.judge.bound.shown:
            results.withheld = True
        return said(
            ask,
            reading,
            allowed=verdict.allowed,
            rule=verdict.rule,
            reason=verdict.reason,
            masked=live.judge.masked(reading),
            keys=keys,
            exact=live.prepared.section.record_text == "exact",
            encoding=live.stream.settings.get("client_encoding", "UTF8"),
            held=verdict.held,
            hold=verdict.hold,
            approved=verdict.approved,
            sweep=live.judge.bound.sweep,
            names=live.judge.facts.names,
        )

    def sorted_anew(standing: BoundPolicy) -> None:
        live.stream.keep(standing.may_hold and holding is not None)

    live.judge.told = sorted_anew
    holding = None if held is None else held(record, read, judge)
    live.holding = holding
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
        hold=None if holding is None else holding.answer,
        unhold=None if holding is None else holding.session_ends,
        flowed=_flowed(live, meter, results),
    )


def _flowed(
    live: Live, meter: RowMeter | None, results: Results | None
) -> Callable[[Out], None] | None:
    """What is done with rows before they go to the client; nothing where nobody asked for it."""
    if results is None:
        return None if meter is None else meter.flowed
    return KeptRows(live, meter, results).flowed
