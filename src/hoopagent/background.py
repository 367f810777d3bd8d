"""Work beside the sessions: what goes wrong in it takes nothing else along."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from hoopagent.logs import places

log = structlog.get_logger()


class Background:
    """Runs coroutines in the agent's task group; without one nothing runs."""

    def __init__(self) -> None:
        self._group: asyncio.TaskGroup | None = None

    def begin(self, group: asyncio.TaskGroup) -> None:
        """The group that the work belongs to."""
        self._group = group

    def apart(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[None] | None:
        """The task that does this work and never fails; None, and nothing done, without a group."""
        if self._group is None:
            work.close()
            return None
        return self._group.create_task(_contained(work))


async def until(holds: Callable[[], bool], limit: float, every: float = 0.05) -> bool:
    """Waits until it holds; False where it does not within ``limit`` seconds.

    For what nobody tells us of: state of libraries, and of several parts at once.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not holds():
        if loop.time() - began >= limit:
            return False
        await asyncio.sleep(every)
    return True


async def _contained(work: Coroutine[Any, Any, object]) -> None:
    try:
        await work
    except Exception as problem:  # noqa: BLE001 - the border: one session's work is not the agent
        log.error("background.failed", problem=type(problem).__name__, where=places(problem))
