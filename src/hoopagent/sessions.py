"""Sessions: opened for who holds a grant, ended when it ends, and recorded from first to last.

A session is one client connection.  What may be done in it is judged here, once per statement,
from values that are in memory; the store is asked when it opens, once a second, and when it ends.

Order of the file: what a session is made of, opening, the line, the end, and the watch that ends
sessions on time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from hmac import compare_digest
from pathlib import Path
from typing import Any

import structlog

from hoopagent import connect
from hoopagent.catalogs import Catalogs
from hoopagent.clock import Clock
from hoopagent.config import Config, TargetSection
from hoopagent.config_files import read_secret
from hoopagent.doors.login import Admitted, Caller, LoggedIn
from hoopagent.judge import Judge
from hoopagent.live import Failing, Live, Prepared, line_of
from hoopagent.means import target_of
from hoopagent.reader import Reader
from hoopagent.recorder import Recorder, RecorderFailed
from hoopagent.recording_keys import RecordingKeys
from hoopagent.relay import Line, Relay, places
from hoopagent.store import Store, StoreAway
from hoopcore.access import Access, access
from hoopcore.masking import Bound, Masking
from hoopcore.model import SECOND, SYSTEM, Session, Target, new_id, rfc3339
from hoopcore.policy import Facts, Policy
from hoopcore.protocols.postgres.login import Admission, fatal
from hoopcore.protocols.postgres.stream import PostgresStream
from hoopcore.recording import EndCause, Header
from hoopcore.stream import Admit, Cancel, Finished, LoginRefused, Seen

log = structlog.get_logger()


# Seconds until DDL that goes past the agent is seen by sessions that are open.
_CATALOG_AGE = 10

# A store that is slow to answer delays the end of an access by this much, and no more.
_OVERDUE = 3 * SECOND

_FAILED = "the agent failed; the session was ended to be safe"


class Sessions:
    """All sessions of this agent.  ``doors/login.py`` says what a door asks of it."""

    def __init__(
        self,
        *,
        config_now: Callable[[], Config],
        store: Store,
        clock: Clock,
        random: Callable[[int], bytes],
        folder: Path,
        keys: RecordingKeys,
        reader: Reader,
        version: str,
    ) -> None:
        self._config_now = config_now
        self._store = store
        self._clock = clock
        self._random = random
        self._folder = folder
        self._keys = keys
        self._reader = reader
        self._version = version
        self._catalogs = Catalogs(config_now, clock.wall)
        self._group: asyncio.TaskGroup | None = None
        self._open: dict[str, Live] = {}
        self._policy: tuple[str, Policy, Masking] | None = None
        self.draining = False
        self.emptied = asyncio.Event()  # set while no session is open
        self.emptied.set()

    def begin(self, group: asyncio.TaskGroup) -> None:
        """The group that work in the background belongs to."""
        self._group = group

    def _apart(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[None] | None:
        """In the background, where whatever goes wrong takes nothing else along."""
        if self._group is None:
            work.close()
            return None
        return self._group.create_task(_contained(work))

    # --- opening ----------------------------------------------------------------------------------

    async def admit(self, caller: Caller, step: Admit) -> Admitted:
        """Whether this caller may open a session now; LoginRefused says why not, in full."""
        if self.draining:
            raise LoginRefused("57P03", "the agent is stopping", "try again in a moment")
        config = self._config_now()
        section = config.targets.get(caller.target)
        if section is None:
            raise LoginRefused("3D000", f'there is no target "{caller.target}"', "hoop targets")
        target = target_of(caller.target, section)
        try:
            # As it is known now: an endpoint may be older than what the provider said last.
            principal = await self._store.principal(caller.principal.id)
            found = await self._access(caller.principal.id, target)
        except StoreAway as problem:
            words = "the agent cannot reach its store, so nothing is opened"
            raise LoginRefused("57P03", words, "try again, or look at the agent's log") from problem
        if found is None or principal is None:
            words = f'you have no grant for "{target.name}"'
            hint = f'Ask for it:  hoop request {target.name} --reason "..." --for 1h'
            raise LoginRefused("28000", words, hint)
        session = new_id("s", self._random(16))
        databases = section.databases
        if caller.database:
            first = caller.database
            databases = (first, *(name for name in section.databases if name != first))
        prepared = Prepared(session, principal, target, section, found)
        admission = Admission(
            target=target.name,
            databases=databases,
            user=section.credential.user,
            password=self._password(config, section),
            tls=connect.wants_tls(self._place(target.name, section)),
            label=f"hoop:{principal.name}:{session} ",
            client_secret=self._random(4),
        )
        return Admitted(admission, self._place(target.name, section), prepared)

    def abandon(self, admitted: Admitted, why: str) -> None:
        """The login failed behind ``admit``: nothing was opened, so there is nothing to close."""
        prepared: Prepared = admitted.detail
        log.info(
            "session.abandoned", session=prepared.session, target=prepared.target.name, why=why
        )

    async def run(self, login: LoggedIn) -> None:
        """One session, from the recording's first line to its last."""
        prepared: Prepared = login.admitted.detail
        if self.draining:
            login.fatal("57P03", "the agent is stopping", "try again in a moment")
            return
        try:
            live = await self._open_session(login, prepared)
        except (RecorderFailed, StoreAway) as problem:
            log.error("session.refused", session=prepared.session, problem=type(problem).__name__)
            words = "this session could not be recorded, so it is not opened"
            login.client.transport.write(fatal(LoginRefused("58030", words)))
            return
        try:
            relay = live.relay = Relay(self._line(live), login.client, login.target)
            # From here on who ends sessions finds this one; what ended before is looked at now.
            self._open[live.record.id] = live
            self.emptied.clear()
            await self._look_again(live)
            if self.draining:
                live.end("57P01", "the agent was stopped", EndCause.AGENT_STOPPED)
            if relay.cause is None:
                login.client.write(login.opened.to_client)
            relay.start()
            cause, _ = await relay.ended
        except BaseException:
            await self._close(live, EndCause.INTERNAL_ERROR)
            raise
        await self._close(live, cause)

    async def _open_session(self, login: LoggedIn, prepared: Prepared) -> Live:
        opened = login.opened
        now = self._clock.wall()
        record = Session(
            id=prepared.session,
            principal=prepared.principal.id,
            target=prepared.target.name,
            database=opened.database,
            door=login.caller.door,
            client=" ".join(part for part in (login.caller.origin, opened.application) if part),
            grants=prepared.access.grants,
            started=now,
        )
        header = Header(
            session=record.id,
            principal=record.principal,
            name=prepared.principal.name,
            target=record.target,
            protocol=prepared.target.protocol,
            database=record.database,
            door=record.door,
            client=record.client,
            grants=record.grants,
            policy=self._config_now().version,
            durability=prepared.target.durability.value,
            agent=self._version,
        )
        failed = Failing()
        recorder = await Recorder.create(self._folder, header, self._keys, failed=failed.report)
        try:
            await self._store.add_session(record)
            bound = await self._bound(prepared, opened.database)
            # Nothing waits from here until the session is among the open ones, so that a catalog
            # that is read again meanwhile is its catalog too.
            policy, _ = self._rules()
            facts = Facts(prepared.principal, prepared.target, prepared.access.scope, record.id)
            stream = PostgresStream(dict(opened.parameters), bound, record.id)
        except BaseException:
            recorder.close(EndCause.INTERNAL_ERROR)
            raise
        judge = Judge(policy, facts, bound)
        live = Live(record, prepared, login, judge, stream, recorder, prepared.access)
        failed.live = live
        log.info(
            "session.opened", session=record.id, principal=record.principal, target=record.target
        )
        return live

    async def _access(self, principal: str, target: Target) -> Access | None:
        now = self._clock.late()
        grants = await self._store.grants(principal=principal, target=target.name, live_at=now)
        until = await self._store.identity_until(principal)
        return access(grants, principal, target, now, until)

    async def _bound(self, prepared: Prepared, database: str) -> Bound:
        """The masks for this principal there; without a catalog everything counts as covered."""
        _, masking = self._rules()
        catalog = None
        if masking.declared:
            catalog = await self._catalogs.get(prepared.target.name, database)
        bound = masking.bind(catalog, prepared.principal.groups)
        if catalog is not None and bound.unmatched:
            # Somebody believes that these are masked.
            log.warning("mask.unmatched", target=prepared.target.name, columns=bound.unmatched)
        return bound

    def _rules(self) -> tuple[Policy, Masking]:
        config = self._config_now()
        if self._policy is None or self._policy[0] != config.version:
            self._policy = (config.version, Policy.load(config.rules), Masking.load(config.masks))
        return self._policy[1], self._policy[2]

    def _place(self, name: str, section: TargetSection) -> connect.Place:
        return connect.Place(name, section.address, section.tls)

    def _password(self, config: Config, section: TargetSection) -> str | None:
        reference = section.credential.password
        if reference is None:
            return None
        try:
            return read_secret(reference, config.folder)
        except (KeyError, OSError, UnicodeDecodeError) as problem:
            words = "the agent cannot read the target's credential"
            raise LoginRefused("58000", words, "tell who runs the agent") from problem

    # --- the line ---------------------------------------------------------------------------------

    def _line(self, live: Live) -> Line:
        return line_of(
            live,
            keys=self._keys,
            reader=self._reader,
            behind=lambda seen: self._behind(live, seen),
            over_budget=lambda: self._over_budget(live),
            cancel=lambda: self._cancel(live),
        )

    def _behind(self, live: Live, seen: Seen) -> asyncio.Future[None] | None:
        """Behind DDL the catalog is read again before the next statement is judged."""
        if not isinstance(seen, Finished) or seen.seq not in live.changing:
            return None
        live.changing.discard(seen.seq)
        if seen.error or not live.judge.bound.active or self._group is None:
            return None
        return self._apart(self._renew(*live.place))

    async def _renew(self, target: str, database: str) -> None:
        """Reads the catalog again, for every session there; those that cannot have it end."""
        try:
            await self._rebind(target, database)
        except Exception as problem:  # noqa: BLE001 - the border: masks of an old catalog may leak
            log.error("catalog.failed", problem=type(problem).__name__, where=places(problem))
            for live in list(self._open.values()):
                if live.place == (target, database):
                    live.end("XX000", _FAILED, EndCause.INTERNAL_ERROR)

    async def _rebind(self, target: str, database: str) -> None:
        """The masks of every session there on the catalog of now; without one, all is covered."""
        _, masking = self._rules()
        if not masking.declared:
            return
        catalog = await self._catalogs.renew(target, database)
        for live in self._open.values():
            if live.place == (target, database):
                bound = masking.bind(catalog, live.prepared.principal.groups)
                live.judge.bound = bound
                live.stream.rebind(bound)

    def _over_budget(self, live: Live) -> bool:
        """Whether all sessions together hold too much, and this one most of all.

        Where another one holds most, that one ends here: it may never say a word again.
        """
        held = {
            id: other.relay.held
            for id, other in self._open.items()
            if other.relay is not None and other.relay.cause is None
        }
        if sum(held.values()) <= self._config_now().agent.held_bytes:
            return False
        largest = self._open[max(held, key=lambda id: held[id])]
        if largest is not live and largest.relay is not None:
            largest.relay.end_as_largest()
        return largest is live

    def _cancel(self, live: Live) -> None:
        self._apart(self._pass_cancel(live))

    async def _pass_cancel(self, live: Live) -> None:
        opened = live.login.opened
        try:
            await connect.cancel(live.login.admitted.place, opened.pid, opened.secret)
        except (connect.TargetUnreachable, OSError) as problem:
            log.warning("cancel.lost", session=live.record.id, problem=type(problem).__name__)

    async def cancel(self, cancel: Cancel, uid: int | None, principal: str | None) -> None:
        """Passes a client's cancel on to the target, where it is this client's to give."""
        for live in self._open.values():
            opened = live.login.opened
            mine = (
                opened.pid == cancel.pid
                and compare_digest(opened.client_secret, cancel.secret)
                and uid in (None, live.login.caller.uid)
                and principal in (None, live.record.principal)
            )
            if mine:
                await self._pass_cancel(live)
                return

    # --- the end ----------------------------------------------------------------------------------

    async def _close(self, live: Live, cause: EndCause) -> None:
        by, why = live.ended_by
        done = live.recorder.close(cause, by=by, why=why)
        totals = live.recorder.totals
        ended = replace(
            live.record,
            ended=self._clock.wall(),
            end_cause=cause.value,
            statements=totals.statements,
            refused=totals.refused,
            masked=totals.masked,
            head=live.recorder.head,
        )
        self._open.pop(live.record.id, None)
        if not self._open:
            self.emptied.set()
        try:
            await self._store.update_session(ended)
        except StoreAway:
            # The recording is whole; the next start makes the store agree with it.
            log.error("session.not_closed_in_store", session=live.record.id)
        finally:
            if done is not None:
                await done
            live.closed.set()
            log.info("session.closed", session=live.record.id, cause=cause.value)

    async def kill(self, session: str, actor: str, reason: str) -> bool:
        """Ends a live session and waits until it is closed; False where it is not live."""
        live = self._open.get(session)
        if live is None:
            return False
        live.end("57P01", f"this session was ended: {reason}", EndCause.KILLED, actor, reason)
        await live.closed.wait()
        return True

    async def close_for_grant(self, grant: str) -> list[str]:
        """Closes each live session that rests on no other live grant; their ids."""
        resting = [live for live in self._open.values() if grant in live.access.grants]
        for live in resting:
            await self._look_again(live)
        ending = [live for live in resting if live.relay is None or live.relay.cause is not None]
        for live in ending:
            await live.closed.wait()
        return [live.record.id for live in ending]

    def principal_left(self, principal: str) -> None:
        """Signed in nowhere any more: nothing carries their sessions."""
        for live in self._open.values():
            if live.record.principal == principal:
                self._apart(self._look_again(live))

    # --- the watch --------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Once a second: what nothing carries any more ends.  Runs until it is cancelled.

        The store may take its time; what is past its time by what is known here ends without it.
        """
        looking: asyncio.Task[None] | None = None
        while True:
            await asyncio.sleep(1)
            if looking is None or looking.done():
                looking = self._apart(self.look())
            self.end_overdue()

    def end_overdue(self) -> None:
        """Ends each session whose access was over a while ago, and nobody could look again."""
        now = self._clock.late()
        for live in list(self._open.values()):
            if now >= live.access.again + _OVERDUE:
                why = f"the grant ended at {rfc3339(live.access.again)}, and nothing newer is known"
                text = f'your access to "{live.prepared.target.name}" has ended: {why}'
                live.end("57P01", text, EndCause.GRANT_ENDED, SYSTEM, why)

    async def watch_catalogs(self) -> None:
        """Sees, within seconds, what a migration past the agent has made of live tables."""
        while True:
            await asyncio.sleep(_CATALOG_AGE)
            for target, database in {live.place for live in self._open.values()}:
                await self._renew(target, database)

    async def look(self) -> None:
        """One look at all sessions, for as long as the store answers."""
        for live in list(self._open.values()):
            if not await self._look_again(live):
                return

    async def _look_again(self, live: Live) -> bool:
        """Goes on, with what the grants allow now, or ends; whether the store answered."""
        try:
            return await self._look(live)
        except Exception as problem:  # noqa: BLE001 - the border: who cannot be watched may not stay
            log.error("look.failed", problem=type(problem).__name__, where=places(problem))
            live.end("XX000", _FAILED, EndCause.INTERNAL_ERROR)
            return True

    async def _look(self, live: Live) -> bool:
        previous = live.access
        answered = True
        found: Access | None
        try:
            found = await self._access(live.record.principal, live.prepared.target)
        except StoreAway:
            # It goes on to the end it already knows, and not beyond.
            found = previous if self._clock.late() < previous.again else None
            answered = False
        if found is None:
            await self._end_bereft(live, previous)
        else:
            live.access = found
            if found.scope != live.judge.facts.scope:
                live.judge.facts = replace(live.judge.facts, scope=found.scope)
        return answered

    async def _end_bereft(self, live: Live, previous: Access) -> None:
        cause, by, why = await self._why_ended(live, previous)
        target = live.prepared.target.name
        text = f'your access to "{target}" has ended: {why or cause.value}'
        live.end("57P01", text, cause, by, why)

    async def _why_ended(self, live: Live, previous: Access) -> tuple[EndCause, str, str]:
        """Which of the three ways it was, and whose doing."""
        now = self._clock.late()
        try:
            if await self._store.identity_until(live.record.principal) <= now:
                return EndCause.IDENTITY_ENDED, SYSTEM, "the sign-in has ended; hoop login"
            for id in previous.grants:
                grant = await self._store.grant(id)
                if grant is not None and grant.state.value in _ENDINGS and grant.ended_by != SYSTEM:
                    return _ENDINGS[grant.state.value], grant.ended_by, grant.ended_why
        except StoreAway:
            pass
        return EndCause.GRANT_ENDED, SYSTEM, f"the grant ended at {rfc3339(previous.until)}"

    async def end_all(self, cause: EndCause, text: str) -> None:
        """Ends every session, recorded."""
        every = list(self._open.values())
        for live in every:
            live.end("57P01", text, cause)
        for live in every:
            await live.closed.wait()


async def _contained(work: Coroutine[Any, Any, object]) -> None:
    try:
        await work
    except Exception as problem:  # noqa: BLE001 - the border: one session's work is not the agent
        log.error("background.failed", problem=type(problem).__name__, where=places(problem))


_ENDINGS = {
    "revoked": EndCause.GRANT_REVOKED,
    "relinquished": EndCause.GRANT_RELINQUISHED,
}
