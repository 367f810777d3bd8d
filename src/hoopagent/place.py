"""Where an agent runs: its configuration, its folders, its clock, and who held them before.

One agent holds a data folder, by a lock on a file in it.  Another one either does not start, or
takes the place of the one that runs (``predecessor.py``); that one may die in the middle.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from hoopagent.background import until
from hoopagent.clock import Clock
from hoopagent.config import Config
from hoopagent.doors.local import LocalDoor
from hoopagent.errors import CannotStart
from hoopagent.handoff import Died, Held, hold
from hoopagent.predecessor import Predecessor
from hoopagent.store import StoreAway

log = structlog.get_logger()

_TO_LET_GO = 5.0  # seconds

Settle = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Place:
    """What every part of an agent stands on."""

    config: Config  # in force now
    version: str
    data: Path
    run: Path
    lock: int | None  # of the data folder; None while a predecessor has it
    predecessor: Predecessor | None
    clock: Clock = field(default_factory=Clock)

    @classmethod
    async def claim(cls, config: Config, version: str, *, take_over: bool) -> Place:
        """Makes the folders and holds them, or asks whoever does to hand them over.  CannotStart.

        With ``take_over`` the lock may still be a predecessor's when this returns: see ``take``.
        """
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
        return cls(config, version, data, run, lock, predecessor)

    async def take(self, door: LocalDoor, settle: Settle) -> Held | None:
        """What the agent before listened on; None where there is none, or it has just died.

        From here on the lock is ours.
        """
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
            await settle_first(settle)
            return None
        self.lock = held.lock
        self.predecessor.released = door.released
        self.predecessor.borrow(door.adopt(endpoints))
        return held

    def _holds(self) -> bool:
        self.lock = hold(self.data)
        return self.lock is not None


async def settle_first(settle: Settle) -> None:
    """What the last agent left open is closed before anybody is served.  CannotStart."""
    try:
        await settle()
    except StoreAway as problem:
        raise CannotStart(f"the store cannot be written: {problem}") from problem
