"""How a running agent can be replaced: the socket where a successor comes, and what it gets there.

A successor that does not come after all changes nothing: what was passed on is taken back.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import socket
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import structlog

from hoopagent.background import until
from hoopagent.doors.sockets import BACKLOG, LONGEST_PATH, peer_of
from hoopagent.errors import CannotStart
from hoopagent.handoff import (
    PROTOCOL,
    SOCKET,
    TO_ANSWER,
    TO_SERVE,
    TO_TAKE,
    Gone,
    Held,
    Wire,
    tell,
)

log = structlog.get_logger()


class Replaced(Protocol):
    """What the running agent does when somebody comes to replace it."""

    version: str

    async def pause(self, tell: Callable[[dict[str, Any]], None]) -> tuple[Held, bytes]:
        """Stops accepting; what it listened on, and its endpoints.

        ``tell`` takes what the successor should hear from now on.
        """

    async def resume(self, held: Held) -> None:
        """Accepts again: the successor did not come."""

    def hand_over(self) -> None:
        """From now on the other one is the agent."""

    async def do(self, asked: dict[str, Any]) -> Any:
        """What the successor asks while sessions still run here."""

    def spawn(self) -> subprocess.Popen[bytes]:
        """Starts a successor: the program and the configuration that are on the disk now."""


class Offer:
    """The socket at which an agent can be replaced, 0600, for its own account only."""

    def __init__(self, folder: Path, agent: Replaced, random: Callable[[int], bytes]) -> None:
        self.path = folder / SOCKET
        self._agent = agent
        self._random = random
        self._group: asyncio.TaskGroup | None = None
        self._listening: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._inode = 0
        self._talks: set[asyncio.Task[None]] = set()
        self.answering = 0  # who waits to hear how a restart went
        self._busy = False
        self._handed: dict[str, Any] | None = None  # the successor's first words
        self._failed = ""  # the successor's last words, where it did not come
        self._untold: list[dict[str, Any]] = []  # what it shall hear once it is the agent

    def listen(self, group: asyncio.TaskGroup) -> None:
        """Takes the place of whatever is at that path; the folder is the agent's alone."""
        if len(os.fsencode(self.path)) > LONGEST_PATH:
            raise CannotStart(f"{self.path} is too long for a unix socket; shorten [agent] run")
        draft = self.path.with_name(f".new-{self._random(8).hex()[:8]}")
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(str(draft))
            draft.chmod(0o600)
            listening.listen(BACKLOG)
            listening.setblocking(False)
            self._inode = draft.lstat().st_ino
            draft.rename(self.path)
        except OSError as problem:
            listening.close()
            draft.unlink(missing_ok=True)
            raise CannotStart(f"cannot listen on {self.path}: {problem.strerror}") from problem
        self._listening = listening
        self._group = group
        self._accepting = group.create_task(self._accept(listening))

    def close(self) -> None:
        """Nobody can come any more, and who has come is left."""
        self.stop_listening()
        for talk in self._talks:
            talk.cancel()

    def stop_listening(self) -> None:
        """Nobody can come any more; who has come stays."""
        if self._accepting is not None:
            self._accepting.cancel()
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        with contextlib.suppress(OSError):
            if self.path.lstat().st_ino == self._inode:
                self.path.unlink()

    async def _accept(self, listening: socket.socket) -> None:
        assert self._group is not None
        while True:
            try:
                connection, _ = await asyncio.get_running_loop().sock_accept(listening)
            except OSError as problem:
                # No file left, or who came has gone again: no reason for sessions to end.
                log.warning("handoff.not_accepted", why=problem.strerror)
                await asyncio.sleep(1)
                continue
            peer = peer_of(connection)
            if peer is None or peer[0] != os.geteuid():
                connection.close()
                continue
            talk = self._group.create_task(self._serve(Wire(connection)))
            self._talks.add(talk)
            talk.add_done_callback(self._talks.discard)

    async def _serve(self, wire: Wire) -> None:
        try:
            async with asyncio.timeout(TO_ANSWER):
                hello = await wire.receive()
            if hello.get("hello") != PROTOCOL:
                await wire.send({"no": "the running agent hands over in another way; stop it"})
            elif hello.get("wants") == "restart":
                await self._restart(wire)
            elif hello.get("wants") == "leaver":
                await self._do_for_operator(wire)
            elif self._busy or self._handed is not None:
                await wire.send({"no": "another successor is taking over already"})
            else:
                await self._replace(wire, hello)
        except (Gone, TimeoutError) as problem:
            log.info("handoff.broken", why=str(problem) or "it took too long")
        finally:
            wire.close()

    async def _replace(self, wire: Wire, hello: dict[str, Any]) -> None:
        """One successor, from its hello to the end of this process, or of that one."""
        self._busy, self._failed, self._untold = True, "", []
        held: Held | None = None
        try:
            await wire.send({"welcome": PROTOCOL, "version": self._agent.version})
            async with asyncio.timeout(TO_TAKE):
                asked = await wire.receive()
            if "take" not in asked:
                self._failed = str(asked.get("failed") or "")
                raise Gone("it did not take over")
            try:
                held, endpoints = await self._agent.pause(partial(self._tell, wire))
            except OSError as problem:  # no file left for copies: nothing has stopped yet
                raise Gone(f"it cannot pass on: {problem.strerror}") from problem
            async with asyncio.timeout(TO_SERVE):
                await self._pass_on(wire, held, endpoints)
                await wire.send({"yours": True})
        except BaseException:
            # Said before the wire is closed: without it we would be taken for dead.
            await tell(wire, {"no": "it goes on itself"})
            if held is not None:
                log.warning("handoff.resumed")
                await self._agent.resume(held)
            raise
        finally:
            self._busy = False
        held.close()
        self._handed = hello
        self._agent.hand_over()
        untold, self._untold = self._untold, []
        for value in untold:
            await wire.send(value)
        await self._answer(wire)

    def _tell(self, wire: Wire, value: dict[str, Any]) -> None:
        """Tells the successor, as soon as it is the agent."""
        if self._handed is None or self._group is None:
            self._untold.append(value)
        else:
            self._group.create_task(tell(wire, value))

    async def _pass_on(self, wire: Wire, held: Held, endpoints: bytes) -> None:
        await wire.send({"taken": held.told(), "endpoints": base64.b64encode(endpoints).decode()})
        if "ready" not in await wire.receive():
            raise Gone("it did not take over")
        await wire.send_descriptors(held.descriptors())
        answer = await wire.receive()
        if "serving" not in answer:
            self._failed = str(answer.get("failed") or "")
            raise Gone("it did not serve")

    async def _answer(self, wire: Wire) -> None:
        """Does what the successor asks, for as long as there is one."""
        assert self._group is not None
        while True:
            asked = await wire.receive()
            self._group.create_task(self._do(wire, asked))

    async def _do(self, wire: Wire, asked: dict[str, Any]) -> None:
        value: Any = None
        try:
            value = await self._agent.do(asked)
        except Exception as problem:  # noqa: BLE001 - the border: the successor hears "nothing done"
            log.error("handoff.failed", do=str(asked.get("do")), problem=type(problem).__name__)
        await tell(wire, {"answer": asked.get("id"), "value": value})

    async def _do_for_operator(self, wire: Wire) -> None:
        """``hoop-agent leaver``: whoever may come here runs the agent's account."""
        async with asyncio.timeout(TO_ANSWER):
            asked = await wire.receive()
        try:
            told = await self._agent.do({**asked, "do": "leaver"})
        except Exception as problem:  # noqa: BLE001 - the border: the operator hears of it
            log.error("leaver.failed", problem=type(problem).__name__)
            told = {"no": f"it failed ({type(problem).__name__}); the log says more"}
        await wire.send(told or {"no": "this agent cannot do that"})

    async def _restart(self, wire: Wire) -> None:
        """``hoop-agent restart``: starts the successor, and says how it went."""
        if self._busy or self._handed is not None:
            await wire.send({"no": "another successor is taking over already"})
            return
        try:
            child = self._agent.spawn()
        except OSError as problem:
            await wire.send({"no": f"the new agent does not start: {problem.strerror}"})
            return
        self.answering += 1
        try:
            await self._say_how_it_went(wire, child)
        finally:
            self.answering -= 1

    async def _say_how_it_went(self, wire: Wire, child: subprocess.Popen[bytes]) -> None:
        await until(lambda: self._handed is not None or child.poll() is not None, TO_TAKE)
        if self._handed is not None:
            version = str(self._handed.get("version"))
            await wire.send({"done": True, "pid": child.pid, "version": version})
        else:
            why = self._failed or "its log says why"
            await wire.send({"no": f"the new agent did not start: {why}"})
