"""The composition root: the only module that picks concretes and puts the agent together.

Order of the file: starting, serving, stopping.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import logging
import os
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TextIO, cast

import structlog
import uvloop
from sqlalchemy import URL

from hoopagent import recordings
from hoopagent.api.context import Agent
from hoopagent.api.grants import grants_of
from hoopagent.api.server import ChannelProtocol, PeerProtocol, application, server
from hoopagent.clock import Clock
from hoopagent.config import Config
from hoopagent.config_files import seconds
from hoopagent.doors.local import LocalDoor
from hoopagent.doors.login import Caller, Identified, greet
from hoopagent.doors.sockets import listen_unix
from hoopagent.doors.ssh import SshDoor, Welcome
from hoopagent.errors import Refused
from hoopagent.identity import Identity
from hoopagent.keys import Keys, KeysUnsafe
from hoopagent.lane import Lane
from hoopagent.reader import Reader
from hoopagent.recording_keys import KeyUnsafe, RecordingKeys
from hoopagent.recovery import recover
from hoopagent.relay import places
from hoopagent.sessions import Sessions
from hoopagent.store import Store, StoreAway, StoreUnusable
from hoopagent.store.sql import open_store
from hoopcore.model import Principal, Session
from hoopcore.recording import End, EndCause, Totals, verify_file

log = structlog.get_logger()


class CannotStart(Exception):
    """The agent does not start; the text says why, with what, and what to do."""


def serve(config: Config, version: str) -> None:
    """Runs the agent until SIGTERM or SIGINT."""
    os.umask(0o077)
    _log_to_stderr()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(config, version))


class _Stderr:
    """Where log lines go.  A full disk, or a reader that has left, costs a line and no session."""

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


def _log_to_stderr() -> None:
    """For people at a terminal, else one JSON object a line."""
    people = sys.stderr.isatty()
    # The one structlog would choose shows the values of local variables.
    plain = structlog.dev.plain_traceback
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Stderr())),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(exception_formatter=plain)
            if people
            else structlog.processors.JSONRenderer(),
        ],
    )


async def _serve(config: Config, version: str) -> None:
    data = config.folder / config.agent.data
    run = config.folder / config.agent.run
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        run.mkdir(parents=True, exist_ok=True)
        run.chmod(0o755)
        lock = _only_one(data)
    except OSError as problem:
        raise CannotStart(f"{problem.filename}: {problem.strerror}") from problem
    try:
        await Running(config, version, data, run).serve()
    finally:
        os.close(lock)


def _only_one(data: Path) -> int:
    """Holds the data folder: two agents on one would each think the recordings theirs."""
    lock = os.open(data / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        os.close(lock)
        words = f"another agent runs on {data}; stop it first, or give this one another folder"
        raise CannotStart(words) from problem
    return lock


def _sqlite_url(path: Path) -> str:
    return URL.create("sqlite+aiosqlite", database=str(path)).render_as_string()


def _end_in(path: Path | None, session: Session, public_key: bytes) -> tuple[End, str]:
    """The end that a recording has, and its last hash: it was closed, and the store not told."""
    if path is not None:
        report = verify_file(recordings.pieces(path), public_key, session=session.id)
        if report.ok and report.end is not None:
            return report.end, report.head
    totals = Totals(session.statements, session.refused, masked=session.masked)
    return End(cause=EndCause.RECOVERED, totals=totals), session.head


class Running:
    """An agent from its start to its stop."""

    def __init__(self, config: Config, version: str, data: Path, run: Path) -> None:
        self.config = config
        self.version = version
        self.data = data
        self.run = run
        self.clock = Clock()
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()  # nobody wants to wait for running sessions

    def _signalled(self) -> None:
        """Stops; asked again, it gives running sessions no more time."""
        if self.stop.is_set():
            self.hurry.set()
        self.stop.set()

    async def serve(self) -> None:
        """Until ``stop`` is set; every part is closed in the reverse order of its start."""
        # From here on a start that is interrupted is finished, and then undone in order.
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._signalled)
        async with AsyncExitStack() as stack:
            store = await self._open_store(stack)
            keys, recording_keys = self._open_keys()
            try:
                await self._recover(store, recording_keys)
            except StoreAway as problem:
                raise CannotStart(f"the store cannot be written: {problem}") from problem
            identity = Identity(
                self.config.identity,
                store,
                keys,
                clock=self.clock.late,
                random=os.urandom,
            )
            stack.push_async_callback(identity.close)
            reader = Reader()
            try:
                await reader.start()
            except OSError as problem:
                raise CannotStart(f"the reader process does not start: {problem}") from problem
            stack.push_async_callback(reader.close)
            sessions = Sessions(
                config_now=lambda: self.config,
                store=store,
                clock=self.clock,
                random=os.urandom,
                folder=self.data / "recordings",
                keys=recording_keys,
                reader=reader,
                version=self.version,
            )
            door = LocalDoor(self.run, sessions, tcp=self.config.agent.tcp, clock=self.clock.late)
            identity.revoked += [sessions.principal_left, door.principal_left]
            agent = Agent(
                store=store,
                identity=identity,
                live=sessions,
                clock=self.clock.late,
                random=os.urandom,
                recordings=self.data / "recordings",
                recording_key=recording_keys.public,
                version=self.version,
                config_now=lambda: self.config,
                endpoints=door,
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
        ssh = SshDoor(
            keys,
            identity,
            welcome=Welcome(
                issuer=self.config.identity.issuer,
                client_id=self.config.identity.client_id,
                scopes=self.config.identity.scopes,
                version=self.version,
            ),
            open_lane=partial(self._open_lane, sessions),
            open_api=partial(self._open_api, channels),
        )
        async with asyncio.TaskGroup() as group:
            self.group = group
            sessions.begin(group)
            try:
                await door.open(group)
                await self._open_ssh(ssh)
                listener = listen_unix(self.run, "api.sock", os.urandom(16))
                self._announce(ssh, door, keys)
            except (OSError, CannotStart) as problem:
                await door.close()
                await ssh.close()
                raise CannotStart(str(problem)) from problem
            serving = group.create_task(local.serve(sockets=[listener.socket]))
            watching = [
                group.create_task(sessions.watch.run()),
                group.create_task(sessions.bounds.watch()),
                group.create_task(self._sweep(agent, door)),
            ]
            await self.stop.wait()
            (self.run / "agent.json").unlink(missing_ok=True)
            await self._drain(sessions)
            for task in watching:
                task.cancel()
            await door.close()
            await ssh.close()
            local.should_exit = True
            await serving
            listener.remove()
        log.info("agent.stopped")

    async def _open_ssh(self, ssh: SshDoor) -> None:
        address = self.config.agent.ssh
        try:
            await ssh.start(address)
        except (OSError, ValueError, OverflowError) as problem:
            taken = getattr(problem, "errno", 0) == errno.EADDRINUSE
            why = "the port is taken; port 0 takes any" if taken else str(problem)
            raise CannotStart(f'[agent] ssh = "{address}": {why}') from problem

    async def _drain(self, sessions: Sessions) -> None:
        """New sessions are refused at once; running ones get a set time, then end recorded."""
        sessions.draining = True
        log.info("agent.draining")
        enough = [self.group.create_task(event.wait()) for event in (sessions.emptied, self.hurry)]
        limit = seconds(self.config.agent.drain)
        await asyncio.wait(enough, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        for task in enough:
            task.cancel()
        if not sessions.emptied.is_set():
            log.info("agent.drained_out")
        await sessions.end_all(EndCause.AGENT_STOPPED, "the agent was stopped")

    async def _sweep(self, agent: Agent, door: LocalDoor) -> None:
        """Once a second: what is past its time, in the store and at the door."""
        grants = grants_of(agent)
        while True:
            await asyncio.sleep(1)
            try:
                self.clock.at_least(await agent.store.highest_time(self.clock.late()))
                await grants.sweep(self.clock.late())
            except StoreAway:
                log.warning("store.away")
            except Exception as problem:  # noqa: BLE001 - the border: the next second tries again
                log.error("sweep.failed", problem=type(problem).__name__, where=places(problem))
            door.sweep(self.clock.late())

    # --- parts ------------------------------------------------------------------------------------

    async def _open_store(self, stack: AsyncExitStack) -> Store:
        url = self.config.agent.store or _sqlite_url(self.data / "hoop.sqlite")
        try:
            store = await open_store(url, self.clock.wall())
            self.clock.at_least(await store.highest_time(self.clock.wall()))
        except (StoreAway, StoreUnusable) as problem:
            raise CannotStart(f"the store cannot be opened: {problem}") from problem
        stack.push_async_callback(store.close)
        return store

    def _open_keys(self) -> tuple[Keys, RecordingKeys]:
        try:
            return Keys.load_or_create(self.data / "keys"), RecordingKeys.open(self.data / "keys")
        except (KeysUnsafe, KeyUnsafe, OSError) as problem:
            raise CannotStart(str(problem)) from problem

    async def _recover(self, store: Store, keys: RecordingKeys) -> None:
        """Closes what an agent that died left open, in its recordings and in the store."""
        folder = self.data / "recordings"
        recovered = await asyncio.to_thread(recover, folder, keys)
        for found in recovered:
            log.warning("recording.recovered", session=found.session, closed=found.closed)
        known = {found.session: found for found in recovered}
        for session in await store.sessions(live=True, limit=100_000):
            path = recordings.find(folder, session.id, session.started)
            if path is None and self.config.agent.store:
                continue  # a session of another agent, which shares the store
            left = known.get(session.id)
            if left is not None:
                end, head = End(cause=EndCause.RECOVERED, totals=left.totals), left.head
                end.at = left.ended
            else:
                end, head = await asyncio.to_thread(_end_in, path, session, keys.public)
            ended = replace(
                session,
                ended=end.at or self.clock.wall(),
                end_cause=str(end.cause),
                head=head,
                statements=end.totals.statements,
                refused=end.totals.refused,
                masked=end.totals.masked,
            )
            await store.update_session(ended)

    def _announce(self, ssh: SshDoor, door: LocalDoor, keys: Keys) -> None:
        """Tells ``hoop`` where everything is; the file appears when all of it is served."""
        host, port = ssh.address
        told = {
            "api": str(self.run / "api.sock"),
            "ssh": f"{host}:{port}",
            "host_key": keys.fingerprint,
            "pg_socket_dir": str(door.socket_dir),
            "version": self.version,
        }
        path = self.run / "agent.json"
        draft = path.with_suffix(".new")
        try:
            draft.write_text(json.dumps(told, indent=1), encoding="utf-8")
            draft.chmod(0o644)
            draft.replace(path)
        except OSError as problem:
            raise CannotStart(f"cannot write {path}: {problem.strerror}") from problem
        log.info("agent.serving", ssh=told["ssh"], tcp=door.port, targets=len(self.config.targets))

    # --- the SSH door's channels ------------------------------------------------------------------

    async def _open_lane(
        self, sessions: Sessions, principal: Principal, target: str, peer: str
    ) -> asyncio.Protocol:
        if target not in self.config.targets:
            raise Refused(404, "no_target", f'there is no target "{target}"', "hoop targets")
        caller = Caller(principal, target, "ssh", peer)
        lane = Lane()
        self.group.create_task(
            greet(
                lane,
                lambda user: Identified(caller, None),
                sessions,
                principal=principal.id,
            )
        )
        return lane

    async def _open_api(self, channels: Any, principal: Principal, peer: str) -> asyncio.Protocol:
        made: asyncio.Protocol = ChannelProtocol(
            config=channels.config, server_state=channels.server_state, app_state={}
        )
        return made
