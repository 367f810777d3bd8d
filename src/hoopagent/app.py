"""The composition root: the only module that picks concretes and puts the agent together.

Order of the file: starting, serving, stopping.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import structlog
import uvicorn
import uvloop
from sqlalchemy import URL

from hoopagent.api.context import Agent
from hoopagent.api.grants import grants_of
from hoopagent.api.server import ChannelProtocol, PeerProtocol, application, server
from hoopagent.background import until
from hoopagent.clock import Clock
from hoopagent.config import Config
from hoopagent.config_files import seconds
from hoopagent.config_store import store_url
from hoopagent.doors.attempts import Attempts
from hoopagent.doors.local import LocalDoor
from hoopagent.doors.login import Caller, Identified, greet
from hoopagent.doors.ssh import SshDoor, Welcome
from hoopagent.errors import CannotStart, Refused
from hoopagent.everywhere import Everywhere
from hoopagent.handoff import Died, Held, hold
from hoopagent.identity import Identity
from hoopagent.keys import Keys, KeysUnsafe
from hoopagent.lane import Lane
from hoopagent.leftovers import settle
from hoopagent.listening import Listening
from hoopagent.logs import log_to_stderr
from hoopagent.predecessor import Predecessor
from hoopagent.reader import Reader
from hoopagent.recording_keys import KeyUnsafe, RecordingKeys
from hoopagent.relay import places
from hoopagent.room import raise_files_limit
from hoopagent.secrets import SecretUnread
from hoopagent.sessions import Sessions
from hoopagent.store import Store, StoreAway, StoreUnusable
from hoopagent.store.sql import open_store
from hoopagent.succession import Succession, follow
from hoopcore.model import Principal
from hoopcore.recording import EndCause

log = structlog.get_logger()

_TO_LET_GO = 5.0  # seconds


def serve(config: Config, version: str, *, take_over: bool = False) -> None:
    """Runs the agent until SIGTERM or SIGINT, or until a successor has taken its place.

    With ``take_over`` it takes the place of the agent that holds the data folder, if one does.
    """
    os.umask(0o077)
    raise_files_limit()
    log_to_stderr()
    gc.freeze()  # what was imported stays, and no collection has to look at it again
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(config, version, take_over=take_over))


async def _serve(config: Config, version: str, *, take_over: bool) -> None:
    data = config.folder / config.agent.data
    run = config.folder / config.agent.run
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        run.mkdir(parents=True, exist_ok=True)
        run.chmod(0o755)
        lock = hold(data)
    except OSError as problem:
        raise CannotStart(f"{problem.filename}: {problem.strerror}") from problem
    predecessor = None
    if lock is None:
        if not take_over:
            words = f"another agent runs on {data}; to put a new one in its place:"
            raise CannotStart(f"{words}  hoop-agent restart")
        predecessor = await Predecessor.take_over(data, version)
    try:
        await Running(config, version, data, run, lock, predecessor).serve()
    except CannotStart as problem:
        if predecessor is not None:
            await predecessor.fail(str(problem))
        raise
    finally:
        if predecessor is not None:
            predecessor.leave()


def _sqlite_url(path: Path) -> str:
    return URL.create("sqlite+aiosqlite", database=str(path)).render_as_string()


class Running:
    """An agent from its start to its stop."""

    def __init__(
        self,
        config: Config,
        version: str,
        data: Path,
        run: Path,
        lock: int | None,
        predecessor: Predecessor | None,
    ) -> None:
        self.lock = lock  # of the data folder; None while a predecessor has it
        self.predecessor = predecessor
        self.config = config
        self.version = version
        self.data = data
        self.run = run
        self.clock = Clock()
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()  # nobody wants to wait for running sessions
        self._told_to_stop = False

    def _signalled(self) -> None:
        """Stops; asked again, it gives running sessions no more time."""
        if self._told_to_stop:
            self.hurry.set()
        self._told_to_stop = True
        self.stop.set()

    async def serve(self) -> None:
        """Until ``stop`` is set; every part is closed in the reverse order of its start."""
        # From here on a start that is interrupted is finished, and then undone in order.
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._signalled)
        async with AsyncExitStack() as stack:
            store = await self._open_store(stack)
            keys, recording_keys = self._open_keys()
            self._settle = partial(
                settle,
                store,
                self.data / "recordings",
                recording_keys,
                self.clock,
                shared=bool(self.config.agent.store),
            )
            if self.predecessor is None:
                await self._settle_first()
            settings, late = self.config.identity, self.clock.late
            identity = Identity(settings, store, keys, clock=late, random=os.urandom)
            stack.push_async_callback(identity.close)
            reader = await self._open_reader(stack)
            sessions = self._sessions(store, recording_keys, reader)
            self.everywhere = Everywhere(sessions, self.predecessor)
            attempts = Attempts(late, self.config.agent.sign_ins_per_minute)
            door = self._local_door(identity, attempts)
            identity.revoked += [sessions.principal_left, door.principal_left]
            agent = Agent(
                store=store,
                identity=identity,
                live=self.everywhere,
                clock=self.clock.late,
                random=os.urandom,
                recordings=self.data / "recordings",
                recording_key=recording_keys.public,
                version=self.version,
                config_now=lambda: self.config,
                endpoints=door,
                attempts=attempts,
            )
            try:
                await self._run(agent, sessions, door, identity, keys)
            except BaseExceptionGroup as group:
                found = group.subgroup(CannotStart)
                if found is None:
                    raise
                raise found.exceptions[0] from None

    async def _run(
        self, agent: Agent, sessions: Sessions, door: LocalDoor, identity: Identity, keys: Keys
    ) -> None:
        api = application(agent)
        local, channels = server(api, PeerProtocol), server(api, ChannelProtocol)
        channels.config.load()
        ssh = self._ssh_door(agent, identity, keys, channels)
        async with asyncio.TaskGroup() as group:
            self.group = group
            sessions.begin(group)
            listening = Listening(self.config, self.run, self.version, keys, door, ssh, local)
            succession = await self._begin(listening, identity)
            watching = [
                group.create_task(sessions.watch.run()),
                group.create_task(sessions.bounds.watch()),
                group.create_task(sessions.users.watch()),
                group.create_task(
                    follow(self.predecessor, self.everywhere, identity, group, self._settle)
                ),
            ]
            sweeping = group.create_task(self._sweep(agent, door, identity))
            await self.stop.wait()
            if succession.handed:
                sweeping.cancel()
                await succession.retire(door, ssh, seconds(self.config.agent.drain))
                await self._end_all(sessions, "the agent was replaced; connect again")
            else:
                listening.withdraw()
                await self._drain(sessions)
            for task in (*watching, sweeping):
                task.cancel()
            succession.close()
            await listening.close()
        log.info("agent.stopped")

    async def _begin(self, listening: Listening, identity: Identity) -> Succession:
        """Serves, on new sockets or on those of the agent before.  CannotStart."""
        held = await self._take(listening.door)
        assert self.lock is not None, "whoever serves holds the data folder"
        await listening.open(self.group, self.lock, held)
        succession = Succession(
            self.version,
            listening,
            self.everywhere,
            identity,
            self.predecessor,
            self.stop,
            self.hurry,
        )
        try:
            succession.begin(self.group)
            listening.announce()
            if self.predecessor is not None:
                await self.predecessor.serving()
        except BaseException:
            succession.close()
            if self.predecessor is None:
                listening.withdraw()
            else:
                listening.let_go()  # all of it is the other one's again
            await listening.close()
            raise
        return succession

    async def _take(self, door: LocalDoor) -> Held | None:
        """What the agent before listened on; None where there is none, or it has just died."""
        if self.predecessor is None:
            return None
        try:
            held, endpoints = await self.predecessor.take()
        except Died:
            log.warning("agent.predecessor_died")
            self.predecessor = None
            # A process that dies lets go of its files one by one.
            if not await until(self._holds, _TO_LET_GO):
                raise
            await self._settle_first()
            return None
        self.lock = held.lock
        self.predecessor.released = door.released
        self.predecessor.borrow(door.adopt(endpoints))
        return held

    def _holds(self) -> bool:
        self.lock = hold(self.data)
        return self.lock is not None

    async def _settle_first(self) -> None:
        try:
            await self._settle()
        except StoreAway as problem:
            raise CannotStart(f"the store cannot be written: {problem}") from problem

    async def _drain(self, sessions: Sessions) -> None:
        """New sessions are refused at once; running ones get a set time, then end recorded."""
        sessions.draining = True
        log.info("agent.draining")
        resting = self.group.create_task(self._rested(sessions))
        enough = [resting, self.group.create_task(self.hurry.wait())]
        limit = seconds(self.config.agent.drain)
        await asyncio.wait(enough, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        for task in enough:
            task.cancel()
        await self._end_all(sessions, "the agent was stopped")

    async def _rested(self, sessions: Sessions) -> None:
        """Until no session is open, here or at the agent before."""
        await sessions.emptied.wait()
        if self.predecessor is not None:
            await self.predecessor.gone.wait()

    async def _end_all(self, sessions: Sessions, text: str) -> None:
        sessions.draining = True
        if not sessions.emptied.is_set():
            log.info("agent.drained_out")
        await self.everywhere.hurry()
        await sessions.end_all(EndCause.AGENT_STOPPED, text)

    async def _sweep(self, agent: Agent, door: LocalDoor, identity: Identity) -> None:
        """Once a second: what is past its time, in the store and at the door."""
        grants = grants_of(agent)
        while True:
            await asyncio.sleep(1)
            try:
                self.clock.at_least(await agent.store.highest_time(self.clock.late()))
                await grants.sweep(self.clock.late())
                await identity.refusals.write()
            except StoreAway:
                log.warning("store.away")
            except Exception as problem:  # noqa: BLE001 - the border: the next second tries again
                log.error("sweep.failed", problem=type(problem).__name__, where=places(problem))
            door.sweep(self.clock.late())

    # --- parts ------------------------------------------------------------------------------------

    async def _open_store(self, stack: AsyncExitStack) -> Store:
        try:
            named = store_url(self.config.agent.store, self.config.folder)
            url = named or _sqlite_url(self.data / "hoop.sqlite")
            store = await open_store(url, self.clock.wall())
            self.clock.at_least(await store.highest_time(self.clock.wall()))
        except (StoreAway, StoreUnusable, SecretUnread) as problem:
            raise CannotStart(f"the store cannot be opened: {problem}") from problem
        stack.push_async_callback(store.close)
        return store

    async def _open_reader(self, stack: AsyncExitStack) -> Reader:
        reader = Reader()
        try:
            await reader.start()
        except OSError as problem:
            raise CannotStart(f"the reader process does not start: {problem}") from problem
        stack.push_async_callback(reader.close)
        return reader

    def _sessions(self, store: Store, keys: RecordingKeys, reader: Reader) -> Sessions:
        return Sessions(
            config_now=lambda: self.config,
            store=store,
            clock=self.clock,
            random=os.urandom,
            folder=self.data / "recordings",
            keys=keys,
            reader=reader,
            version=self.version,
        )

    def _local_door(self, identity: Identity, attempts: Attempts) -> LocalDoor:
        return LocalDoor(
            self.run,
            self.everywhere,
            tcp=self.config.agent.tcp,
            clock=self.clock.late,
            unproved=self.config.agent.handshakes,
            unproved_each=self.config.agent.handshakes_per_address,
            attempts=attempts,
            unproved_by=lambda peer: identity.refusals.note(
                "local", "no such endpoint, or a wrong password", peer=peer
            ),
        )

    def _ssh_door(
        self, agent: Agent, identity: Identity, keys: Keys, channels: uvicorn.Server
    ) -> SshDoor:
        return SshDoor(
            keys,
            identity,
            welcome=Welcome(
                issuer=self.config.identity.issuer,
                client_id=self.config.identity.client_id,
                scopes=self.config.identity.scopes,
                version=self.version,
            ),
            open_lane=self._open_lane,
            open_api=partial(self._open_api, channels),
            unproved=self.config.agent.handshakes,
            unproved_each=self.config.agent.handshakes_per_address,
            attempts=agent.attempts,
        )

    def _open_keys(self) -> tuple[Keys, RecordingKeys]:
        try:
            return Keys.load_or_create(self.data / "keys"), RecordingKeys.open(self.data / "keys")
        except (KeysUnsafe, KeyUnsafe, OSError) as problem:
            raise CannotStart(str(problem)) from problem

    # --- the SSH door's channels ------------------------------------------------------------------

    async def _open_lane(self, principal: Principal, target: str, peer: str) -> asyncio.Protocol:
        if target not in self.config.targets:
            raise Refused(404, "no_target", f'there is no target "{target}"', "hoop targets")
        caller = Caller(principal, target, "ssh", peer)
        lane = Lane()
        self.group.create_task(
            greet(
                lane,
                lambda user: Identified(caller, None),
                self.everywhere,
                principal=principal.id,
            )
        )
        return lane

    async def _open_api(self, channels: Any, principal: Principal, peer: str) -> asyncio.Protocol:
        made = ChannelProtocol(
            config=channels.config, server_state=channels.server_state, app_state={}
        )
        made.principal = principal.id
        return made
