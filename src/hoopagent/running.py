"""An agent that is put together: from its first open socket to the end of its last session.

Order of the file: being told to stop, serving, what it does every second, ending.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import structlog
import uvicorn

from hoopagent.api.context import Agent
from hoopagent.api.ends import told
from hoopagent.api.grants import grants_of
from hoopagent.api.requests import means_of
from hoopagent.api.reviews import confirming_of, dues_of
from hoopagent.channels import Channels
from hoopagent.config_files import seconds
from hoopagent.coverage import Beat
from hoopagent.doors.local import LocalDoor
from hoopagent.doors.ssh import SshDoor
from hoopagent.everywhere import Everywhere
from hoopagent.glass import remind
from hoopagent.identity import Identity
from hoopagent.keys import Keys
from hoopagent.listening import Listening
from hoopagent.logs import places
from hoopagent.place import Place, Settle
from hoopagent.reload import Reload
from hoopagent.sessions import Sessions
from hoopagent.store import StoreAway
from hoopagent.succession import Succession, follow
from hoopcore.recording import EndCause

log = structlog.get_logger()


class Stop:
    """Whether the agent has been told to stop; told again, nobody waits for running sessions."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurry = asyncio.Event()
        self._signalled_before = False

    def heed_signals(self) -> None:
        """SIGTERM and SIGINT stop the agent: a start they interrupt is finished, then undone."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._signalled)

    def _signalled(self) -> None:
        if self._signalled_before:
            self.hurry.set()
        self._signalled_before = True
        self.asked.set()


class Beside(Protocol):
    """What runs beside everything else until it is cancelled."""

    async def run(self) -> None: ...


@dataclass
class Running:
    """All parts of one agent."""

    place: Place
    stop: Stop
    agent: Agent
    identity: Identity
    sessions: Sessions
    everywhere: Everywhere
    keys: Keys
    door: LocalDoor
    ssh: SshDoor
    channels: Channels
    api: uvicorn.Server
    settle: Settle
    reload: Reload
    beside: Sequence[Beside] = ()
    beat: Beat = field(default_factory=Beat)
    group: asyncio.TaskGroup = field(init=False, repr=False)

    # --- serving ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until it is told to stop, or a successor has its place, and all is ended.  CannotStart.

        CannotStart comes in a group with what else went wrong meanwhile.
        """
        place, sessions = self.place, self.sessions
        async with asyncio.TaskGroup() as self.group:
            sessions.begin(self.group)
            self.channels.begin(self.group)
            listening = Listening(
                place.config, place.run, place.version, self.keys, self.door, self.ssh, self.api
            )
            succession = await self._begin(listening)
            watching = [
                self.group.create_task(sessions.watch.run()),
                self.group.create_task(sessions.shells.watch.run()),
                self.group.create_task(sessions.bounds.watch()),
                self.group.create_task(sessions.ledger.run()),
                self.group.create_task(self.reload.run()),
                self.group.create_task(sessions.users.watch()),
                self.group.create_task(self._follow()),
                self.group.create_task(dues_of(self.agent).run()),
                *(self.group.create_task(one.run()) for one in self.beside),
            ]
            sweeping = self.group.create_task(self._sweep())
            await self.stop.asked.wait()
            if succession.handed:
                sweeping.cancel()
                await succession.retire(self.door, self.ssh, seconds(place.config.agent.drain))
                await self._end_all("the agent was replaced; connect again")
            else:
                listening.withdraw()
                await self._drain()
            for task in (*watching, sweeping):
                task.cancel()
            succession.close()
            await listening.close()
        log.info("agent.stopped")

    async def _begin(self, listening: Listening) -> Succession:
        """Serves, on new sockets or on those of the agent before.  CannotStart."""
        place = self.place
        held = await place.take(listening.door, self.settle)
        assert place.lock is not None, "whoever serves holds the data folder"
        await listening.open(self.group, place.lock, held)
        succession = Succession(
            place.version,
            listening,
            self.everywhere,
            self.identity,
            place.predecessor,
            self.stop.asked,
            self.stop.hurry,
        )
        succession.leaver = partial(told, self.agent)
        try:
            succession.begin(self.group)
            listening.announce()
            if place.predecessor is not None:
                await place.predecessor.serving()
        except BaseException:
            succession.close()
            if place.predecessor is None:
                listening.withdraw()
            else:
                listening.let_go()  # all of it is the other one's again
            await listening.close()
            raise
        return succession

    async def _follow(self) -> None:
        await follow(
            self.place.predecessor, self.everywhere, self.identity, self.group, self.settle
        )

    # --- every second -----------------------------------------------------------------------------

    async def _sweep(self) -> None:
        """What is past its time, in the store and at the door."""
        grants, means, clock = grants_of(self.agent), means_of(self.agent), self.place.clock
        confirming = confirming_of(self.agent)
        while True:
            await asyncio.sleep(1)
            try:
                clock.at_least(await self.agent.store.highest_time(clock.late()))
                await grants.sweep(clock.late())
                await remind(means, clock.late())
                await confirming.sweep(clock.late())
                await self.beat.note(means, clock.late())
                await self.identity.refusals.write()
            except StoreAway:
                log.warning("store.away")
            except Exception as problem:  # noqa: BLE001 - the border: the next second tries again
                log.error("sweep.failed", problem=type(problem).__name__, where=places(problem))
            self.door.sweep(clock.late())

    # --- ending -----------------------------------------------------------------------------------

    async def _drain(self) -> None:
        """New sessions are refused at once; running ones get a set time, then end recorded."""
        self.sessions.draining = True
        log.info("agent.draining")
        resting = self.group.create_task(self._rested())
        enough = [resting, self.group.create_task(self.stop.hurry.wait())]
        limit = seconds(self.place.config.agent.drain)
        await asyncio.wait(enough, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        for task in enough:
            task.cancel()
        await self._end_all("the agent was stopped")

    async def _rested(self) -> None:
        """Until no session is open, here or at the agent before."""
        await self.sessions.emptied.wait()
        if self.place.predecessor is not None:
            await self.place.predecessor.gone.wait()

    async def _end_all(self, text: str) -> None:
        self.sessions.draining = True
        if not self.sessions.emptied.is_set():
            log.info("agent.drained_out")
        await self.everywhere.hurry()
        await self.sessions.end_all(EndCause.AGENT_STOPPED, text)
