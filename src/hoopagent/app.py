"""The composition root: the only module that picks concretes and puts the agent together.

``place.py`` claims where it runs, this file makes its parts, and ``running.py`` runs them.  Every
part is closed in the reverse order of its start, also after a start that failed.

Order of the file: starting, putting together, the parts.
"""

from __future__ import annotations

import asyncio
import gc
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvloop
from sqlalchemy import URL

from hoopagent.api.context import Agent
from hoopagent.api.ends import ends_of
from hoopagent.api.server import ChannelProtocol, PeerProtocol, application, server
from hoopagent.audit_follow import Following
from hoopagent.audit_heads import Heads
from hoopagent.audit_sinks import sink_of
from hoopagent.channels import Channels
from hoopagent.config import Config
from hoopagent.config_store import store_url
from hoopagent.depot import Depot
from hoopagent.doors.attempts import Attempts
from hoopagent.doors.local import LocalDoor
from hoopagent.doors.ssh import SshDoor, Welcome
from hoopagent.errors import CannotStart
from hoopagent.everywhere import Everywhere
from hoopagent.identity import Identity
from hoopagent.index import Indexing
from hoopagent.keeping import Keeping
from hoopagent.key_files import KeyUnsafe
from hoopagent.keys import Keys
from hoopagent.leftovers import settle
from hoopagent.logs import log_to_stderr
from hoopagent.means import Means
from hoopagent.notify import Notifier
from hoopagent.place import Place, Settle, settle_first
from hoopagent.reader import Reader
from hoopagent.recording_keys import RecordingKeys
from hoopagent.reload import Reload
from hoopagent.room import files, raise_files_limit, strangers_within
from hoopagent.running import Running, Stop
from hoopagent.scan import Scans
from hoopagent.secrets import Secrets, SecretUnread
from hoopagent.sessions import Sessions
from hoopagent.store import Store, StoreAway, StoreUnusable
from hoopagent.store.sql import open_store
from hoopagent.trial import Trial


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
    place = await Place.claim(config, version, take_over=take_over)
    predecessor = place.predecessor
    try:
        await _run(place)
    except CannotStart as problem:
        if predecessor is not None:
            await predecessor.fail(str(problem))
        raise
    finally:
        if predecessor is not None:
            predecessor.leave()


async def _run(place: Place) -> None:
    stop = Stop()
    stop.heed_signals()
    async with AsyncExitStack() as stack:
        running = await _put_together(place, stop, stack)
        try:
            await running.run()
        except BaseExceptionGroup as group:
            found = group.subgroup(CannotStart)
            if found is None:
                raise
            raise found.exceptions[0] from None


async def _put_together(place: Place, stop: Stop, stack: AsyncExitStack) -> Running:
    """All parts, none of them serving yet; ``stack`` closes what has to be closed.  CannotStart."""
    kept = await _open_kept(place, stack)
    if place.predecessor is None:
        await settle_first(kept.settle)
    identity = Identity(
        place.config.identity, kept.store, kept.keys, clock=place.clock.late, random=os.urandom
    )
    stack.push_async_callback(identity.close)
    reader = await _open_reader(stack)
    sessions = _sessions(place, kept, reader)
    everywhere = Everywhere(sessions, place.predecessor)
    attempts = Attempts(place.clock.late, place.config.agent.sign_ins_per_minute)
    reload = _reload(place, kept, sessions, stop)
    door = _local_door(place, everywhere, identity, attempts)
    identity.revoked += [sessions.principal_left, door.principal_left]
    agent = _agent(place, kept, identity, everywhere, door, attempts)
    agent.reload = reload
    agent.stopping = stop.asked.is_set
    heads = Heads(kept.store, place.data, kept.recording_keys, place.clock.late)
    agent.parts["heads"] = heads
    keeping = _keeping(place, kept)
    indexing = Indexing(kept.store, kept.recordings, place.clock.late, bring=keeping.here)
    agent.parts |= {"recording_keys": kept.recording_keys, "keeping": keeping}
    scans = _scans(place, kept, sessions)
    agent.parts |= {"trial": _trial(place, kept, reader, sessions), "scans": scans}
    identity.regrouped.append(ends_of(agent).regrouped)
    api = application(agent)
    over_ssh = server(api, ChannelProtocol)
    over_ssh.config.load()
    channels = Channels(agent.config_now, everywhere, over_ssh)
    return Running(
        place=place,
        stop=stop,
        agent=agent,
        identity=identity,
        sessions=sessions,
        everywhere=everywhere,
        keys=kept.keys,
        door=door,
        ssh=_ssh_door(place, attempts, identity, kept.keys, channels, sessions),
        channels=channels,
        api=server(api, PeerProtocol),
        settle=kept.settle,
        reload=reload,
        beside=[heads, scans, keeping, indexing, *_followings(place, kept)],
    )


# --- the parts ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kept:
    """What outlives an agent."""

    store: Store
    keys: Keys
    recording_keys: RecordingKeys
    recordings: Path  # folder
    settle: Settle  # closes what the last agent left open


async def _open_kept(place: Place, stack: AsyncExitStack) -> Kept:
    store = await _open_store(place, stack)
    keys, recording_keys = _open_keys(place.data / "keys")
    recordings = place.data / "recordings"
    shared = bool(place.config.agent.store)
    settling = partial(settle, store, recordings, recording_keys, place.clock, shared=shared)
    return Kept(store, keys, recording_keys, recordings, settling)


async def _open_store(place: Place, stack: AsyncExitStack) -> Store:
    clock = place.clock
    try:
        named = store_url(place.config.agent.store, place.config.folder)
        url = named or _sqlite_url(place.data / "hoop.sqlite")
        store = await open_store(url, clock.wall(), alone=not named)
        clock.at_least(await store.highest_time(clock.wall()))
    except (StoreAway, StoreUnusable, SecretUnread) as problem:
        raise CannotStart(f"the store cannot be opened: {problem}") from problem
    stack.push_async_callback(store.close)
    return store


def _sqlite_url(path: Path) -> str:
    return URL.create("sqlite+aiosqlite", database=str(path)).render_as_string()


def _open_keys(folder: Path) -> tuple[Keys, RecordingKeys]:
    try:
        return Keys.load_or_create(folder), RecordingKeys.open(folder)
    except (KeyUnsafe, OSError) as problem:
        raise CannotStart(str(problem)) from problem


async def _open_reader(stack: AsyncExitStack) -> Reader:
    reader = Reader()
    try:
        await reader.start()
    except OSError as problem:
        raise CannotStart(f"the reader process does not start: {problem}") from problem
    stack.push_async_callback(reader.close)
    return reader


def _sessions(place: Place, kept: Kept, reader: Reader) -> Sessions:
    return Sessions(
        config_now=lambda: place.config,
        store=kept.store,
        clock=place.clock,
        random=os.urandom,
        folder=kept.recordings,
        keys=kept.recording_keys,
        reader=reader,
        version=place.version,
        ssh_keys=kept.keys,
    )


def _reload(place: Place, kept: Kept, sessions: Sessions, stop: Stop) -> Reload:
    async def apply(config: Config) -> None:
        def take() -> None:
            place.config = config

        await sessions.renewal.renew_all(config, take)

    return Reload(place.config, kept.store, place.clock.late, apply, stop.asked.set)


def _local_door(
    place: Place, everywhere: Everywhere, identity: Identity, attempts: Attempts
) -> LocalDoor:
    settings = place.config.agent
    return LocalDoor(
        place.run,
        everywhere,
        tcp=settings.tcp,
        clock=place.clock.late,
        unproved=strangers_within(files(), settings.handshakes),
        unproved_each=settings.handshakes_per_address,
        attempts=attempts,
        unproved_by=lambda peer: identity.refusals.note(
            "local", "no such endpoint, or a wrong password", peer=peer
        ),
    )


def _followings(place: Place, kept: Kept) -> list[Following]:
    """Whoever is told of the audit: sinks, and people."""
    settings, clock, machine = place.config.agent, place.clock.late, kept.recording_keys.id
    holder = f"{machine}/{os.getpid()}"
    sinks = [sink_of(one, place.config.folder, machine) for one in settings.audit]
    people = [Notifier(one, kept.store, lambda: place.config, clock) for one in settings.notify]
    return [
        *(Following(kept.store, one, holder, clock) for one in sinks),
        *(Following(kept.store, one, holder, clock, one.oldest, one.lease) for one in people),
    ]


def _agent(
    place: Place,
    kept: Kept,
    identity: Identity,
    everywhere: Everywhere,
    door: LocalDoor,
    attempts: Attempts,
) -> Agent:
    return Agent(
        store=kept.store,
        identity=identity,
        live=everywhere,
        clock=place.clock.late,
        random=os.urandom,
        recordings=kept.recordings,
        recording_key=kept.recording_keys.public,
        version=place.version,
        config_now=lambda: place.config,
        endpoints=door,
        attempts=attempts,
    )


def _means(place: Place, kept: Kept) -> Means:
    return Means(kept.store, lambda: place.config, place.clock.late, os.urandom)


def _keeping(place: Place, kept: Kept) -> Keeping:
    archive = place.config.agent.archive
    depot = None if archive is None else Depot(archive, place.config.folder)
    return Keeping(_means(place, kept), kept.recordings, depot)


def _trial(place: Place, kept: Kept, reader: Reader, sessions: Sessions) -> Trial:
    return Trial(_means(place, kept), reader, sessions.bounds)


def _scans(place: Place, kept: Kept, sessions: Sessions) -> Scans:
    secrets = Secrets(lambda: place.config, place.clock.wall)
    return Scans(_means(place, kept), sessions.bounds, secrets)


def _ssh_door(
    place: Place,
    attempts: Attempts,
    identity: Identity,
    keys: Keys,
    channels: Channels,
    sessions: Sessions,
) -> SshDoor:
    who = place.config.identity
    return SshDoor(
        keys,
        identity,
        welcome=Welcome(
            issuer=who.issuer, client_id=who.client_id, scopes=who.scopes, version=place.version
        ),
        open_lane=channels.open_lane,
        open_api=channels.open_api,
        shells=sessions.shells,
        unproved=strangers_within(files(), place.config.agent.handshakes),
        unproved_each=place.config.agent.handshakes_per_address,
        attempts=attempts,
        names=place.config.agent.ssh_names,
    )
