"""What ``hoop-agent`` asks of the agent that runs: a successor, or the end of somebody's access."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from hoopagent.errors import CannotStart
from hoopagent.handoff import Gone, hold, meet

# Starting takes a second or two; a loaded machine gets a lot more.
_PATIENCE = 90.0


def restarted(data: Path, version: str) -> dict[str, Any]:
    """Pid and version of the new agent, once it serves.  CannotStart: the old one goes on."""
    if not _is_held(data):
        raise CannotStart(f"no agent runs on {data}; start one:  hoop-agent run")
    return asyncio.run(_ask(data, version))


def _is_held(data: Path) -> bool:
    """Whether an agent runs on this folder."""
    if not data.is_dir():
        return False
    lock = hold(data)
    if lock is not None:
        os.close(lock)
    return lock is None


async def _ask(data: Path, version: str) -> dict[str, Any]:
    wire = await meet(data, "restart", version)
    try:
        async with asyncio.timeout(_PATIENCE):
            answer = await wire.receive()
    except (Gone, TimeoutError) as problem:
        why = str(problem) or "it took too long"
        raise CannotStart(f"the running agent did not say how it went: {why}") from problem
    finally:
        wire.close()
    if "done" not in answer:
        raise CannotStart(f"not restarted, the running agent goes on: {answer.get('no')}")
    return answer


def told_leaver(data: Path, version: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """What the running agent did for each principal of that name.  CannotStart: nothing."""
    if not _is_held(data):
        raise CannotStart(f"no agent runs on {data}; start it first:  hoop-agent run")
    return asyncio.run(_tell(data, version, asked))


async def _tell(data: Path, version: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
    wire = await meet(data, "leaver", version)
    try:
        await wire.send(asked)
        async with asyncio.timeout(_PATIENCE):
            answer = await wire.receive()
    except (Gone, TimeoutError) as problem:
        why = str(problem) or "it took too long"
        raise CannotStart(f"the running agent did not say how it went: {why}") from problem
    finally:
        wire.close()
    done = answer.get("done")
    if not isinstance(done, list):
        raise CannotStart(f"nothing was done: {answer.get('no')}")
    return done
