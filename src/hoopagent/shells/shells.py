"""All sessions on SSH targets: opened for who holds a grant, ended when it ends, recorded.

A session is one connection of a person's to one target, with all its channels.  It opens with the
first of them: the grant is looked at, the target is reached, the recording begins.  From then on
the watch that databases have looks after it too.

Order of the file: opening, a visit, the end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncssh
import structlog

from hoopagent import workloads
from hoopagent.admission import check_budgets, facts_of
from hoopagent.background import Background
from hoopagent.bounds import Bounds
from hoopagent.circumstances import circumstances, roles_of
from hoopagent.clock import Clock
from hoopagent.config import Config
from hoopagent.doors.login import Caller
from hoopagent.errors import Refused
from hoopagent.holds import Holds
from hoopagent.judge import Judge
from hoopagent.ledger import Ledger
from hoopagent.live import Prepared
from hoopagent.means import Means, target_of
from hoopagent.meter import Meter
from hoopagent.recorder import Recorder, RecorderFailed
from hoopagent.recording_keys import RecordingKeys
from hoopagent.room import Room
from hoopagent.shells.live import ShellLive
from hoopagent.shells.pulse import Pulse
from hoopagent.shells.target import Reaching, Way
from hoopagent.store import Store, StoreAway
from hoopagent.watch import Watch
from hoopcore.masking import Masking
from hoopcore.model import AuditEvent, Session, new_id
from hoopcore.recording import EndCause, Header
from hoopcore.recording import Policy as PolicyEvent
from hoopcore.stream import LoginRefused

log = structlog.get_logger()

# What a session's channels get to take their last bytes.
GRACE = 2.0

# Seconds of silence that are borne where nothing runs: a lid may be closed.
TARGET_PATIENCE = 45.0
PERSON_PATIENCE = 120.0

_NO_MASKS = Masking.load("")


@dataclass
class Parts:
    """What sessions of every kind are made of."""

    config_now: Callable[[], Config]
    store: Store
    clock: Clock
    random: Callable[[int], bytes]
    folder: Path
    keys: RecordingKeys
    version: str
    room: Room
    background: Background
    bounds: Bounds
    means: Means
    ledger: Ledger
    holds: Holds
    reaching: Reaching
    draining: Callable[[], bool]
    changed: Callable[[], None]  # a session has opened, or closed


class Shells:
    """All sessions on SSH targets of this agent."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.open_now: dict[str, ShellLive] = {}
        self.watch: Watch[ShellLive] = Watch(
            parts.means, parts.clock, self.open_now, parts.background
        )

    def visit(self, target: str, peer: str, connection: Any) -> Visit:
        """Somebody's connection that names this target."""
        return Visit(self, target, peer, connection)

    # --- opening ----------------------------------------------------------------------------------

    async def open(self, caller: Caller) -> ShellLive:
        """A new session; Refused, NotReached, StoreAway or RecorderFailed where there is none."""
        parts = self.parts
        if parts.draining():
            raise Refused(503, "stopping", "the agent is stopping", "Try again in a moment.")
        prepared = await self._prepared(caller)
        who, target = prepared.principal.id, prepared.target.name
        try:
            parts.room.take(who, target)
        except LoginRefused as problem:
            raise Refused(429, "too_many", problem.message, problem.hint) from problem
        try:
            return await self._begin(prepared, caller)
        except BaseException:
            parts.room.give_back(who, target)
            raise

    async def _prepared(self, caller: Caller) -> Prepared:
        """What a session is opened with; Refused where there is no grant for it."""
        parts, name = self.parts, caller.target
        config = parts.config_now()
        section = config.targets.get(name)
        if section is None or section.protocol != "ssh":
            words = f'there is no SSH target "{name}"'
            raise Refused(404, "no_target", words, "See:  hoop targets")
        target = target_of(name, section)
        found = await self.watch.opening(caller.principal.id, target)
        if found is None or not workloads.known(config.identity, found.principal):
            hint = f'Ask for it:  hoop request {name} --reason "..." --for 1h'
            raise Refused(403, "no_grant", f'you have no grant for "{name}"', hint)
        told = circumstances(config, found.principal, found.priorities, caller.origin)
        prepared = Prepared(
            new_id("s", parts.random(16)),
            found.principal,
            target,
            section,
            found.access,
            found.role,
            told=told,
            changes=found.changes,
        )
        try:
            policy, _ = parts.bounds.rules()
            await check_budgets(policy, prepared, parts.ledger, parts.clock.late())
        except LoginRefused as problem:
            raise Refused(403, "budget", problem.message, problem.hint) from problem
        return prepared

    async def _begin(self, prepared: Prepared, caller: Caller) -> ShellLive:
        """Reaches the target, and then begins the recording."""
        parts = self.parts
        account = prepared.granted_role or prepared.section.credential.user
        label = f"hoop:{prepared.principal.name}:{prepared.session}"
        way = Way(prepared.target.name, prepared.section, account, label)
        ending = _Ending()
        connection = await parts.reaching.connect(way, ending, parts.clock.wall())
        try:
            live = await self._recorded(prepared, caller, account, connection)
        except BaseException:
            connection.abort()
            raise
        ending.live = live
        patience = TARGET_PATIENCE
        Pulse(
            connection, busy=lambda: live.busy, patience=patience, lost=ending.silent, eager=True
        ).begin()
        self.open_now[live.record.id] = live
        parts.changed()
        if parts.background.apart(self._last(live)) is None:
            raise Refused(503, "stopping", "the agent is stopping", "")
        if parts.draining():
            live.end("", "the agent was stopped", EndCause.AGENT_STOPPED)
        elif not self.watch.stands(prepared.changes):
            await self.watch.look_again(live)
        if ending.lost:
            live.finish(EndCause.TARGET_LEFT)
        log.info(
            "session.opened",
            session=live.record.id,
            principal=live.record.principal,
            target=live.record.target,
        )
        return live

    async def _recorded(
        self, prepared: Prepared, caller: Caller, account: str, connection: Any
    ) -> ShellLive:
        parts = self.parts
        record = Session(
            id=prepared.session,
            principal=prepared.principal.id,
            target=prepared.target.name,
            database="",
            door=caller.door,
            client=f"{caller.origin} as {account}",
            grants=prepared.access.grants,
            started=parts.clock.wall(),
        )
        version = parts.config_now().version
        header = Header(
            session=record.id,
            principal=record.principal,
            name=prepared.principal.name,
            target=record.target,
            protocol=prepared.target.protocol,
            door=record.door,
            client=record.client,
            grants=record.grants,
            policy=version,
            durability=prepared.target.durability.value,
            agent=parts.version,
            scopes=True,
        )
        failing = _Failing()
        recorder = await Recorder.create(parts.folder, header, parts.keys, failed=failing.report)
        try:
            await parts.store.add_session(record)
        except BaseException:
            recorder.close(EndCause.INTERNAL_ERROR)
            raise
        facts = replace(facts_of(prepared), role="")
        policy, masking = parts.bounds.rules()
        judge = Judge(policy, facts, _NO_MASKS.bind(None), parts.clock.late)
        live = ShellLive(
            record,
            prepared,
            judge,
            recorder,
            prepared.access,
            connection.close,
            parts.keys,
            parts.holds,
        )
        live.target, live.policy_version, live.sweep = connection, version, masking.sweep
        live.meter = Meter(live, parts.ledger, judge.judge, self._audit, parts.clock.late)
        await parts.ledger.open(live.access.grants)
        failing.live = live
        return live

    def _audit(self, event: AuditEvent) -> None:
        self.parts.background.apart(self.parts.store.audit(event))

    def renew(self) -> None:
        """Other rules and targets are in force: what is asked next is judged by them."""
        config = self.parts.config_now()
        policy, masking = self.parts.bounds.rules()
        for live in list(self.open_now.values()):
            live.policy_version = config.version
            try:
                live.recorder.append_later(PolicyEvent(version=config.version))
            except RecorderFailed:
                _not_recorded(live)
                continue
            name = live.prepared.target.name
            section = config.targets.get(name)
            if section is None or section.protocol != "ssh":
                words = f'target "{name}" is no longer there'
                live.end("", words, EndCause.POLICY_CHANGED, why=words)
                continue
            told = live.prepared.told._replace(roles=roles_of(config, live.prepared.principal))
            target = target_of(name, section)
            live.prepared = replace(live.prepared, section=section, target=target, told=told)
            live.judge.facts = replace(live.judge.facts, target=target, roles=told.roles)
            live.judge.policy, live.sweep = policy, masking.sweep
            # What other agents have counted: budgets may be new.
            self.parts.background.apart(self.parts.ledger.open(live.access.grants))

    # --- the end ----------------------------------------------------------------------------------

    async def _last(self, live: ShellLive) -> None:
        """Waits for a session's end, and closes what it was made of."""
        await live.ended.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await live.target.wait_closed()
        live.target.abort()
        await asyncio.sleep(0)  # its channels hear of it first
        await self._close(live)

    async def _close(self, live: ShellLive) -> None:
        parts, recorder = self.parts, live.recorder
        by, why = live.ended_by
        cause = live.cause or EndCause.INTERNAL_ERROR
        done = recorder.close(cause, by=by, why=why)
        ended = replace(
            live.record,
            ended=parts.clock.wall(),
            end_cause=cause.value,
            statements=recorder.totals.statements,
            refused=recorder.totals.refused,
            masked=recorder.totals.masked,
            head=recorder.head,
        )
        self.open_now.pop(live.record.id, None)
        parts.room.give_back(live.record.principal, live.record.target)
        parts.changed()
        try:
            await parts.ledger.save()
            await parts.store.update_session(ended)
        except StoreAway:
            # The recording is whole; the next start makes the store agree with it.
            log.error("session.not_closed_in_store", session=live.record.id)
        finally:
            await done
            live.closed.set()
            log.info("session.closed", session=live.record.id, cause=cause.value)

    async def kill(self, session: str, actor: str, reason: str) -> bool:
        """Ends a live session and waits until it is closed; False where it is not live."""
        live = self.open_now.get(session)
        if live is None:
            return False
        live.end("", f"this session was ended: {reason}", EndCause.KILLED, actor, reason)
        await live.closed.wait()
        return True

    async def close_for_grant(self, grant: str) -> list[str]:
        """Closes each live session that rests on no other live grant; their ids."""
        resting = [live for live in self.open_now.values() if grant in live.access.grants]
        for live in resting:
            await self.watch.look_again(live)
        ending = [live for live in resting if live.cause is not None]
        for live in ending:
            await live.closed.wait()
        return [live.record.id for live in ending]

    def principal_left(self, principal: str) -> None:
        """Signed in nowhere any more: nothing carries their sessions."""
        for live in self.open_now.values():
            if live.record.principal == principal:
                self.parts.background.apart(self.watch.look_again(live))

    async def end_all(self, cause: EndCause, text: str) -> None:
        """Ends every session, recorded."""
        every = list(self.open_now.values())
        for live in every:
            live.end("", text, cause)
        for live in every:
            await live.closed.wait()


class Visit:
    """One connection of a person's that names a target: a session, once it has a channel."""

    def __init__(self, shells: Shells, target: str, peer: str, connection: Any) -> None:
        self.shells = shells
        self._connection = connection
        self._watched = False
        self._target = target
        self._peer = peer
        self._opening = asyncio.Lock()
        self._live: ShellLive | None = None
        self._left = False

    async def live(self, caller: Callable[[str, str], Caller]) -> ShellLive:
        """The session of this connection; a new one where there is none, or it has ended."""
        if not self._watched:
            self._watched = True
            connection, patience = self._connection, PERSON_PATIENCE
            Pulse(connection, busy=self._busy, patience=patience, lost=self._silent).begin()
        async with self._opening:
            if self._live is None or self._live.cause is not None:
                self._live = await self.shells.open(caller(self._target, self._peer))
            if self._left:
                self._live.finish(EndCause.CLIENT_LEFT)
            return self._live

    def _busy(self) -> bool:
        return self._live is not None and self._live.busy

    def _silent(self, seconds: float) -> None:
        if self._live is not None and self._live.cause is None:
            self._live.note(f"nothing was heard from the client for {seconds:.0f} s")

    def left(self) -> None:
        """The person's connection is gone."""
        self._left = True
        if self._live is not None:
            self._live.finish(EndCause.CLIENT_LEFT)


class _Ending(asyncssh.SSHClient):
    """Hears that the target has left."""

    def __init__(self) -> None:
        self.live: ShellLive | None = None
        self.lost = False

    def silent(self, seconds: float) -> None:
        """It says nothing any more, and is about to be cut off."""
        if self.live is not None and self.live.cause is None:
            self.live.note(f"nothing was heard from the target for {seconds:.0f} s")
            self.live.end("", "the target does not answer any more", EndCause.TARGET_LEFT)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self.live is not None:
            self.live.end("", "the target closed the connection", EndCause.TARGET_LEFT)


@dataclass
class _Failing:
    """What a recorder tells when the disk fails behind our back: the session ends."""

    live: ShellLive | None = None

    def report(self, _problem: RecorderFailed) -> None:
        if self.live is not None:
            _not_recorded(self.live)


def _not_recorded(live: ShellLive) -> None:
    live.end("", "this session can no longer be recorded", EndCause.RECORDING_FAILED)
