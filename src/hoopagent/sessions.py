"""Sessions: opened for who holds a grant, ended when it ends, and recorded from first to last.

A session is one client connection.  What may be done in it is judged here, once per statement,
from values that are in memory; the store is asked when it opens, once a second, and when it ends.

``watch.py`` ends them on time, ``bounds.py`` keeps their masks.  Order of the file: opening, the
line, the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hmac import compare_digest
from pathlib import Path

import structlog

from hoopagent import connect, workloads
from hoopagent.admission import admission, check_budgets, facts_of, user_for
from hoopagent.background import Background
from hoopagent.bounds import Bounds
from hoopagent.catalogs import Catalogs
from hoopagent.circumstances import circumstances
from hoopagent.clock import Clock
from hoopagent.config import Config
from hoopagent.doors.login import Admitted, Caller, LoggedIn
from hoopagent.ephemeral import User, Users
from hoopagent.holding import Holding
from hoopagent.holds import Holds
from hoopagent.judge import Judge
from hoopagent.keys import Keys
from hoopagent.ledger import Ledger
from hoopagent.line import Line
from hoopagent.live import Failing, Live, Prepared, line_of
from hoopagent.means import Means, target_of
from hoopagent.meter import Judging, RowMeter
from hoopagent.naming import Naming
from hoopagent.reader import Reader
from hoopagent.recorder import Recorder, RecorderFailed
from hoopagent.recording_keys import RecordingKeys
from hoopagent.records import header_of, record_of
from hoopagent.relay import Relay
from hoopagent.renewing import Renewal
from hoopagent.room import Room
from hoopagent.secrets import Secrets
from hoopagent.shells.shells import Parts, Shells
from hoopagent.shells.target import Reaching
from hoopagent.store import Store, StoreAway
from hoopagent.unmasking import Unmasking
from hoopagent.watch import Watch
from hoopcore.model import AuditEvent, new_id
from hoopcore.protocols.postgres.login import fatal
from hoopcore.protocols.postgres.stream import PostgresStream
from hoopcore.recording import EndCause
from hoopcore.sql.imposed import for_transaction
from hoopcore.sql.names import Viewer
from hoopcore.stream import Admit, Cancel, LoginRefused

log = structlog.get_logger()


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
        ssh_keys: Keys | None = None,  # for targets that take certificates of ours
    ) -> None:
        self._config_now = config_now
        self._store = store
        self._clock = clock
        self._random = random
        self._folder = folder
        self._keys = keys
        self._reader = reader
        self._version = version
        self._open: dict[str, Live] = {}
        self._room = Room(config_now)
        self._background = Background()
        self._secrets = Secrets(config_now, clock.wall)
        self.users = Users(config_now, self._secrets, random)
        catalogs = Catalogs(config_now, clock.wall, self._secrets)
        self.bounds = Bounds(config_now, catalogs, self._open, self._background, keys.hashing)
        means = Means(store, config_now, clock.late, random)
        self.watch: Watch[Live] = Watch(means, clock, self._open, self._background)
        self.watch.masks_changed = self.bounds.again
        self.bounds.tell = Unmasking(self._audit, clock.late).tell
        self.ledger = Ledger(store, clock.late, self._grants_in_use)
        self.holds = Holds(means, self._background, self.ledger.save)
        self.renewal = Renewal(config_now, self._open, self.bounds, self.ledger)
        self.draining = False
        self.emptied = asyncio.Event()  # set while no session is open
        self.emptied.set()
        parts = Parts(
            config_now=config_now,
            store=store,
            clock=clock,
            random=random,
            folder=folder,
            keys=keys,
            version=version,
            room=self._room,
            background=self._background,
            bounds=self.bounds,
            means=means,
            ledger=self.ledger,
            holds=self.holds,
            reaching=Reaching(ssh_keys, self._secrets),
            draining=lambda: self.draining,
            changed=self._changed,
        )
        self.shells = Shells(parts)
        self.renewal.beside = self.shells.renew

    def _changed(self) -> None:
        """A session has opened or closed."""
        if self._open or self.shells.open_now:
            self.emptied.clear()
        else:
            self.emptied.set()

    def _grants_in_use(self) -> set[str]:
        accesses = [live.access for live in self._open.values()]
        accesses += [live.access for live in self.shells.open_now.values()]
        return {grant for access in accesses for grant in access.grants}

    def begin(self, group: asyncio.TaskGroup) -> None:
        """The group that work in the background belongs to."""
        self._background.begin(group)

    # --- opening ----------------------------------------------------------------------------------

    async def admit(self, caller: Caller, step: Admit) -> Admitted:
        """Whether this caller may open a session now; LoginRefused says why not, in full."""
        if self.draining:
            raise LoginRefused("57P03", "the agent is stopping", "try again in a moment")
        config = self._config_now()
        section = config.targets.get(caller.target)
        if section is None:
            raise LoginRefused("3D000", f'there is no target "{caller.target}"', "hoop targets")
        if section.protocol != "postgres":
            words = f'target "{caller.target}" is no database: its protocol is {section.protocol}'
            raise LoginRefused("3D000", words, "hoop targets")
        target = target_of(caller.target, section)
        try:
            # As it is known now: an endpoint may be older than what the provider said last.
            found = await self.watch.opening(caller.principal.id, target)
        except StoreAway as problem:
            raise _away() from problem
        if found is None or not workloads.known(config.identity, found.principal):
            words = f'you have no grant for "{target.name}"'
            hint = f'Ask for it:  hoop request {target.name} --reason "..." --for 1h'
            raise LoginRefused("28000", words, hint)
        principal, access = found.principal, found.access
        told = circumstances(config, principal, found.priorities, caller.origin)
        session = new_id("s", self._random(16))
        prepared = Prepared(
            session,
            principal,
            target,
            section,
            access,
            found.role,
            told=told,
            changes=found.changes,
        )
        policy, _ = self.bounds.rules()
        imposed = policy.imposed(facts_of(prepared), self._clock.late())
        try:
            await check_budgets(policy, prepared, self.ledger, self._clock.late())
        except StoreAway as problem:
            raise _away() from problem
        # Behind a pooler the search_path may be another client's.
        speaks = any(map(policy.speaks_of_schemas, (access.scope, access.soft)))
        named = speaks and not prepared.pooled
        # First of all, or who may have no more could still make the target make users.
        self._room.take(principal.id, target.name)
        user: User | None = None
        try:
            user = await user_for(self.users, prepared, access.until)
            prepared = replace(prepared, user=user, named=named, imposed=imposed)
            place = connect.place_of(target.name, section)
            return Admitted(
                await admission(prepared, place, self._secrets, self._random, caller.database),
                place,
                prepared,
            )
        except BaseException:
            self._room.give_back(principal.id, target.name)
            self._leave(user)
            raise

    def _leave(self, user: User | None) -> None:
        """The session's own user has had its day."""
        if user is not None:
            self._background.apart(self.users.drop(user))

    def abandon(self, admitted: Admitted, why: str) -> None:
        """The login failed behind ``admit``: nothing was opened, so there is nothing to close."""
        prepared: Prepared = admitted.detail
        self._room.give_back(prepared.principal.id, prepared.target.name)
        self._leave(prepared.user)
        if why.startswith("refused: 28P01 "):  # and not what a client has written
            self._secrets.forget(prepared.target.name)
        log.info(
            "session.abandoned", session=prepared.session, target=prepared.target.name, why=why
        )

    async def run(self, login: LoggedIn) -> None:
        """One session, from the recording's first line to its last."""
        prepared: Prepared = login.admitted.detail
        try:
            await self._run(login, prepared)
        finally:
            self._room.give_back(prepared.principal.id, prepared.target.name)
            self._leave(prepared.user)

    async def _run(self, login: LoggedIn, prepared: Prepared) -> None:
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
            self._changed()
            if live.policy_version != self._config_now().version:  # changed while it was opened
                self.renewal.renew(live)
            if self.draining or not self.watch.stands(prepared.changes):
                await self.watch.look_again(live)
            if self.draining:
                live.end("57P01", "the agent was stopped", EndCause.AGENT_STOPPED)
            if relay.cause is None:
                login.client.write(login.opened.to_client)
            self.bounds.tell(live)
            relay.start()
            cause, _ = await relay.ended
        except BaseException:
            await self._close(live, EndCause.INTERNAL_ERROR)
            raise
        await self._close(live, cause)

    async def _open_session(self, login: LoggedIn, prepared: Prepared) -> Live:
        opened = login.opened
        record = record_of(login, prepared, self._clock.wall())
        header = header_of(record, prepared, self._config_now().version, self._version)
        failed = Failing()
        recorder = await Recorder.create(self._folder, header, self._keys, failed=failed.report)
        try:
            await self._store.add_session(record)
            bound = await self.bounds.bound(prepared, opened.database)
            # Nothing waits from here until the session is among the open ones, so that a catalog
            # that is read again meanwhile is its catalog too.
            policy, _ = self.bounds.rules()
            facts = facts_of(prepared, opened.parameters.get("server_version", ""))
            stream = PostgresStream(
                dict(opened.parameters), bound, record.id, pooled=prepared.pooled
            )
        except BaseException:
            recorder.close(EndCause.INTERNAL_ERROR)
            # It may be in the store already, and is not to be live there for ever.
            cause, head = EndCause.INTERNAL_ERROR.value, recorder.head
            ended = replace(record, ended=record.started, end_cause=cause, head=head)
            self._background.apart(self._store.update_session(ended))
            raise
        if prepared.pooled:
            stream.begin_with(tuple(text.encode() for text in for_transaction(prepared.imposed)))
        judge = Judge(policy, facts, bound, self._clock.late)
        live = Live(record, prepared, login, judge, stream, recorder, prepared.access)
        live.policy_version = header.policy
        if prepared.named:
            live.naming = Naming(Viewer.told(opened.names), bound.catalog)
        failed.live = live
        log.info(
            "session.opened", session=record.id, principal=record.principal, target=record.target
        )
        return live

    # --- the line ---------------------------------------------------------------------------------

    def _line(self, live: Live) -> Line:
        return line_of(
            live,
            keys=self._keys,
            reader=self._reader,
            behind=lambda seen: self.bounds.behind(live, seen),
            over_budget=lambda: self._over_budget(live),
            cancel=lambda: self._cancel(live),
            metered=partial(self._meter, live),
            held=partial(Holding, live, self.holds, self._secrets, partial(self._learned, live)),
        )

    async def _learned(self, live: Live) -> None:
        """One of its grants has another one in its place, with what budgets have counted."""
        await self.watch.look_again(live)
        await self.ledger.open(live.access.grants)

    def _meter(self, live: Live, judge: Judging) -> RowMeter:
        return RowMeter(live, self.ledger, judge, self._audit, self._clock.late)

    def _audit(self, event: AuditEvent) -> None:
        self._background.apart(self._store.audit(event))

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
        self._background.apart(self._pass_cancel(live))

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
                # What is held has not gone to the target, so there is nothing to pass on.
                if live.holding is None or not live.holding.cancel():
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
        self._changed()
        try:
            await self.ledger.save()
            await self._store.update_session(ended)
        except StoreAway:
            # The recording is whole; the next start makes the store agree with it.
            log.error("session.not_closed_in_store", session=live.record.id)
        finally:
            if live.holding is not None:
                live.holding.session_ends(cause)
                await live.holding.closed()
            if done is not None:
                await done
            live.closed.set()
            log.info("session.closed", session=live.record.id, cause=cause.value)

    async def kill(self, session: str, actor: str, reason: str) -> bool:
        """Ends a live session and waits until it is closed; False where it is not live."""
        live = self._open.get(session)
        if live is None:
            return await self.shells.kill(session, actor, reason)
        live.end("57P01", f"this session was ended: {reason}", EndCause.KILLED, actor, reason)
        await live.closed.wait()
        return True

    async def close_for_grant(self, grant: str) -> list[str]:
        """Closes each live session that rests on no other live grant; their ids."""
        resting = [live for live in self._open.values() if grant in live.access.grants]
        for live in resting:
            await self.watch.look_again(live)
        ending = [live for live in resting if live.relay is None or live.relay.cause is not None]
        for live in ending:
            await live.closed.wait()
        return [live.record.id for live in ending] + await self.shells.close_for_grant(grant)

    def principal_left(self, principal: str) -> None:
        """Signed in nowhere any more: nothing carries their sessions."""
        for live in self._open.values():
            if live.record.principal == principal:
                self._background.apart(self.watch.look_again(live))
        self.shells.principal_left(principal)

    async def end_all(self, cause: EndCause, text: str) -> None:
        """Ends every session, recorded."""
        every = list(self._open.values())
        for live in every:
            live.end("57P01", text, cause)
        await self.shells.end_all(cause, text)
        for live in every:
            await live.closed.wait()


def _away() -> LoginRefused:
    words = "the agent cannot reach its store, so nothing is opened"
    return LoginRefused("57P03", words, "try again, or look at the agent's log")
