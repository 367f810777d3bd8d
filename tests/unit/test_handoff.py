"""How two agents talk while one takes over from the other, on a wire of the tests' own."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hoopagent.handoff import PROTOCOL, Gone, Held, Wire
from hoopagent.offer import Offer
from hoopagent.predecessor import Predecessor


async def test_nothing_is_asked_before_the_one_before_has_let_go() -> None:
    """A stranger's cancel request would else break off the hand-over."""
    ours, theirs = socket.socketpair()
    predecessor, other = Predecessor(Wire(ours)), Wire(theirs)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        asking = group.create_task(predecessor.ask("cancel", pid=1))
        await asyncio.sleep(0)
        serving = group.create_task(predecessor.serving())
        assert await other.receive() == {"serving": True}
        await other.send({"yours": True})
        await serving
        listening = group.create_task(predecessor.listen())
        asked = await other.receive()
        assert asked["do"] == "cancel"
        await other.send({"answer": asked["id"], "value": 7})
        assert await asking == 7
        other.close()
        await listening
        assert await predecessor.ask("kill") is None


class Busy:
    """An agent that cannot copy its sockets now."""

    version = "1"

    async def pause(self, tell: Callable[[dict[str, Any]], None]) -> tuple[Held, bytes]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async def resume(self, held: Held) -> None:
        raise AssertionError

    def hand_over(self) -> None:
        raise AssertionError

    async def do(self, asked: dict[str, Any]) -> Any:
        raise AssertionError

    def spawn(self) -> Any:
        raise AssertionError


async def test_an_agent_without_files_left_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A successor that comes at that moment is turned away, and no task of the agent's fails."""
    loop = asyncio.get_running_loop()
    accept, failures = loop.sock_accept, [OSError(errno.EMFILE, "too many open files")]

    async def failing(listening: socket.socket) -> Any:
        if failures:
            raise failures.pop()
        return await accept(listening)

    monkeypatch.setattr(loop, "sock_accept", failing)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        offer = Offer(tmp_path, Busy(), os.urandom)
        offer.listen(group)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(offer.path))
            wire = Wire(connection)
            await wire.send({"hello": PROTOCOL, "wants": "take-over", "version": "1"})
            assert "welcome" in await wire.receive()
            await wire.send({"take": True})
            assert "no" in await wire.receive()
            with pytest.raises(Gone):
                await wire.receive()
        offer.close()
