"""What the running agent does when it is replaced, and what it still does afterwards.

``handoff.py`` says how the two talk; this is what the one that leaves answers with.  It stops
accepting, passes on what it listens on, and from then on only ends: when its last session has
ended, or when the time that ``[agent] drain`` gives them is over.  At the end of the file stands
how its successor looks after it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from hoopagent.background import until
from hoopagent.doors.local import LocalDoor
from hoopagent.doors.ssh import SshDoor
from hoopagent.everywhere import Everywhere
from hoopagent.handoff import Gone, Held, write_place
from hoopagent.identity import Identity
from hoopagent.listening import Listening
from hoopagent.logs import places
from hoopagent.offer import Offer
from hoopagent.predecessor import Predecessor
from hoopagent.store import StoreAway

log = structlog.get_logger()

# A connection of the SSH door without a channel may be about to open one; it gets so long.
_TO_SETTLE = 3.0


class Succession:
    """The agent's end as an agent, if somebody comes to take its place."""

    def __init__(
        self,
        version: str,
        listening: Listening,
        everywhere: Everywhere,
        identity: Identity,
        predecessor: Predecessor | None,
        stop: asyncio.Event,
        hurry: asyncio.Event,
    ) -> None:
        self.version = version
        self.handed = False  # somebody else is the agent now
        self._listening = listening
        self._everywhere = everywhere
        self._identity = identity
        self._predecessor = predecessor
        self._stop = stop
        self._hurry = hurry
        self._offer = Offer(listening.run, self, os.urandom)
        self._group: asyncio.TaskGroup | None = None
        self.leaver: Callable[[dict[str, Any]], Awaitable[Any]] | None = None

    def begin(self, group: asyncio.TaskGroup) -> None:
        """From now on a successor can come.  CannotStart."""
        self._group = group
        self._offer.listen(group)
        write_place(self._listening.lock, self._offer.path)

    def close(self) -> None:
        self._offer.close()

    # --- being replaced ---------------------------------------------------------------------------

    async def pause(self, tell: Callable[[dict[str, Any]], None]) -> tuple[Held, bytes]:
        if self._stop.is_set():
            raise Gone("the agent is stopping")
        return await self._listening.pass_on(tell)

    async def resume(self, held: Held) -> None:
        if self._stop.is_set():
            held.close()
            return
        await self._listening.take_back(held)
        assert self._group is not None
        self._offer.stop_listening()  # its path may be the other one's by now
        self.begin(self._group)

    def hand_over(self) -> None:
        self.handed = True
        self._offer.stop_listening()
        self._listening.let_go()
        log.info("agent.handed_over")
        self._stop.set()

    def spawn(self) -> subprocess.Popen[bytes]:
        """The program that is on the disk now, told as this one was; what it says goes to our log.

        Not asyncio's: it ends a child with its loop, and this one is to outlive us.  ``-P``: the
        folder we happen to stand in brings no modules.
        """
        if os.getpid() == 1:
            # Its end would be the container's, and its child's.
            raise OSError(errno.EPERM, "it is process 1 of its container; replace that")
        config = str(self._listening.config.folder)
        words = [sys.executable, "-P", "-m", "hoopagent", "run", "--take-over", "--config", config]
        return subprocess.Popen(words, stdin=subprocess.DEVNULL)  # noqa: S603 - ourselves

    async def do(self, asked: dict[str, Any]) -> Any:
        match asked:
            case {"do": "hurry"}:
                self._hurry.set()
                return await self._everywhere.hurry()
            case {"do": "principal_left", "principal": str(principal)}:
                for left in list(self._identity.revoked):
                    left(principal)
            case {"do": "sign_in_ended", "sign_in": str(sign_in)}:
                for ended in list(self._identity.ended):
                    ended(sign_in)
            case {"do": "leaver"}:
                return None if self.leaver is None else await self.leaver(asked)
            case _:
                return await self._everywhere.do(asked)
        return None

    async def retire(self, door: LocalDoor, ssh: SshDoor, limit: float) -> None:
        """Until nothing runs here, nor at the one before; or ``limit`` seconds, or hurried."""
        loop = asyncio.get_running_loop()
        began = loop.time()

        def rests() -> bool:
            if self._hurry.is_set():
                return True
            before = self._predecessor is None or self._predecessor.gone.is_set()
            settled = not ssh.connections or loop.time() - began > _TO_SETTLE
            told = not self._offer.answering
            return before and settled and told and not door.serving and not ssh.busy()

        await until(rests, limit)


# --- the other side -------------------------------------------------------------------------------


async def follow(
    predecessor: Predecessor | None,
    everywhere: Everywhere,
    identity: Identity,
    group: asyncio.TaskGroup,
    settle: Callable[[], Awaitable[None]],
) -> None:
    """Looks after what the agent before still runs; what it leaves open is closed.

    Whoever signs out here has left there too.
    """
    if predecessor is None:
        return

    def left(principal: str) -> None:
        group.create_task(everywhere.principal_left(principal))

    def ended(sign_in: str) -> None:
        group.create_task(everywhere.sign_in_ended(sign_in))

    identity.revoked.append(left)
    identity.ended.append(ended)
    await predecessor.listen()
    identity.revoked.remove(left)
    identity.ended.remove(ended)
    log.info("agent.predecessor_ended")
    while True:
        try:
            await settle()
        except StoreAway:
            await asyncio.sleep(1)
        except Exception as problem:  # noqa: BLE001 - the border: leftovers end nobody's session
            log.error("leftovers.failed", problem=type(problem).__name__, where=places(problem))
            return
        else:
            return
