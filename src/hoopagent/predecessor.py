"""The agent that ran before, as its successor sees it.

First it is what the sockets come from; then it is where some sessions still run, for as long as
they do.
"""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hoopagent.errors import CannotStart
from hoopagent.handoff import TO_ANSWER, TO_SERVE, Died, Gone, Held, Wire, meet, tell


class Predecessor:
    """The agent that ran before, as its successor sees it."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._asked = 0
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._borrowed: Counter[str] = Counter()  # endpoint → its connections there
        self.gone = asyncio.Event()  # set when it has ended, whatever way
        self._let_go = asyncio.Event()  # set when the hand-over is over, whatever way
        self.released: Callable[[str], None] = lambda endpoint: None

    @classmethod
    async def take_over(cls, data: Path, version: str) -> Predecessor:
        """Meets it, and is welcome; CannotStart."""
        wire = await meet(data, "take-over", version)
        try:
            async with asyncio.timeout(TO_ANSWER):
                answer = await wire.receive()
        except (Gone, TimeoutError) as problem:
            wire.close()
            raise CannotStart(f"the running agent does not hand over: {problem}") from problem
        if "welcome" not in answer:
            wire.close()
            raise CannotStart(f"the running agent does not hand over: {answer.get('no')}")
        return cls(wire)

    async def take(self) -> tuple[Held, bytes]:
        """Its sockets and its endpoints.  From here on nobody accepts until we do; CannotStart."""
        try:
            async with asyncio.timeout(TO_SERVE):
                await self._wire.send({"take": True})
                answer = await self._wire.receive()
                if "taken" not in answer:
                    raise Gone(str(answer.get("no")))
                await self._wire.send({"ready": True})
                descriptors = await self._wire.receive_descriptors()
            return Held.read(answer["taken"], descriptors), base64.b64decode(answer["endpoints"])
        except (Gone, TimeoutError, KeyError, ValueError) as problem:
            self.leave()
            why = str(problem) or "it took too long"
            kind = Died if isinstance(problem, Gone) and problem.ended else CannotStart
            raise kind(f"the running agent did not hand over: {why}") from problem

    async def serving(self) -> None:
        """Tells it that we serve; when this returns we are the agent.  CannotStart.

        Where it dies at this moment we are: nobody else has the sockets and the locks.
        """
        try:
            async with asyncio.timeout(TO_SERVE):
                # What it has said before it left says more than that it cannot be told.
                await tell(self._wire, {"serving": True})
                if "yours" not in await self._wire.receive():
                    raise Gone("it did not let go")
                self._let_go.set()
        except (Gone, TimeoutError) as problem:
            self.leave()
            if isinstance(problem, Gone) and problem.ended:
                return
            why = str(problem) or "it took too long"
            raise CannotStart(f"the running agent did not hand over: {why}") from problem

    async def fail(self, why: str) -> None:
        """We do not come after all; it goes on."""
        await tell(self._wire, {"failed": why})
        self.leave()

    def leave(self) -> None:
        self._wire.close()
        self.gone.set()
        self._let_go.set()

    def borrow(self, used: dict[str, int]) -> None:
        """How many connections there are through each endpoint; each is ``released`` once."""
        self._borrowed.update(used)

    async def listen(self) -> None:
        """Hears it until it has ended."""
        try:
            while True:
                heard = await self._wire.receive()
                if "released" in heard:
                    self._give_back(str(heard["released"]), 1)
                waiting = self._answers.pop(int(heard.get("answer") or 0), None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(heard.get("value"))
        except (Gone, ValueError):
            pass
        finally:
            self.leave()
            for waiting in self._answers.values():
                waiting.cancel()
            for endpoint, count in list(self._borrowed.items()):
                self._give_back(endpoint, count)

    def _give_back(self, endpoint: str, count: int) -> None:
        for _ in range(min(count, self._borrowed[endpoint])):
            self._borrowed[endpoint] -= 1
            self.released(endpoint)

    async def ask(self, do: str, **what: Any) -> Any:
        """What it answers; None where it has ended, or does not answer in time."""
        self._asked += 1
        id = self._asked
        waiting = self._answers[id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(TO_ANSWER):
                # Said in the middle of a hand-over it would break that off, and any client can
                # have something asked: a cancel is enough.
                await self._let_go.wait()
                if self.gone.is_set():
                    return None
                await self._wire.send({"do": do, "id": id, **what})
                return await waiting
        except (Gone, TimeoutError):
            return None
        except asyncio.CancelledError:
            if self.gone.is_set() and waiting.cancelled():
                return None
            raise
        finally:
            self._answers.pop(id, None)
