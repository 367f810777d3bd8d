"""Everything this agent listens on: both doors and the control API.

It is opened afresh or taken over from the agent that ran before, can be passed on to the one that
comes, and taken back where that one does not come.  The file ``agent.json`` in the run folder tells
``hoop`` where everything is; it appears when all of it is served.

Order of the file: opening, passing on, closing.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import structlog
import uvicorn

from hoopagent.background import until
from hoopagent.config import Config
from hoopagent.doors.local import LocalDoor
from hoopagent.doors.sockets import UnixSocket, listen_unix
from hoopagent.doors.ssh import SshDoor
from hoopagent.errors import CannotStart
from hoopagent.handoff import Held
from hoopagent.keys import Keys

log = structlog.get_logger()

# Who has connected to the API gets so long to say what for, and it so long to answer.
_TO_ASK = 0.3
_TO_ANSWER = 2.0


@dataclass(slots=True)
class Listening:
    """``open``, then ``announce``; ``pass_on`` and perhaps ``take_back``; ``close``."""

    config: Config
    run: Path
    version: str
    keys: Keys
    door: LocalDoor
    ssh: SshDoor
    api: uvicorn.Server
    lock: int = -1  # of the data folder, once it is open
    _api: UnixSocket | None = None
    _serving: asyncio.Task[None] | None = None
    _group: asyncio.TaskGroup | None = field(default=None, repr=False)

    # --- opening ----------------------------------------------------------------------------------

    async def open(self, group: asyncio.TaskGroup, lock: int, held: Held | None) -> None:
        """Serves all of it, or nothing and CannotStart.  ``lock`` holds the data folder.

        What ``held`` brings is served where the configuration still says the same of it.
        """
        self._group, self.lock = group, lock
        agent = self.config.agent
        same_run = held is not None and held.run == str(self.run)
        same_ssh = held is not None and held.ssh == agent.ssh
        try:
            # What may be taken already comes first: once we accept on a socket that was passed
            # on, a failure would break off who came by it.
            if held is None or not same_ssh:
                await self._open_ssh([])
            if held is not None and same_run:
                self._api = held.api
            else:
                self._api = listen_unix(self.run, "api.sock", os.urandom(16))
            await self.door.open(
                group,
                held.pg if held and same_run else None,
                held.plain if held and held.tcp == agent.tcp else None,
            )
            if held is not None and same_ssh:
                await self._open_ssh(held.doors)
        except (OSError, CannotStart) as problem:
            if held is not None:
                self.door.stop_accepting()  # its files are not ours to remove
            if self._api is not None and not same_run:
                self._api.socket.close()
                self._api.remove()
            self._api = None
            await self.door.close()
            await self.ssh.close()
            raise CannotStart(str(problem)) from problem
        if held is not None:
            self._drop_unused(held, same_run)
        self._serving = group.create_task(self.api.serve(sockets=[self._copy(self._api).socket]))

    async def _open_ssh(self, taken: list[socket.socket]) -> None:
        address = self.config.agent.ssh
        try:
            await self.ssh.start(address, taken)
        except (OSError, ValueError, OverflowError) as problem:
            is_taken = getattr(problem, "errno", 0) == errno.EADDRINUSE
            why = "the port is taken; port 0 takes any" if is_taken else str(problem)
            raise CannotStart(f'[agent] ssh = "{address}": {why}') from problem

    def _drop_unused(self, held: Held, same_run: bool) -> None:
        """Closes what the configuration no longer names."""
        if held.tcp != self.config.agent.tcp:
            held.plain.close()
        if held.ssh != self.config.agent.ssh:
            for one in held.doors:
                one.close()
        if not same_run:
            for unix in (held.pg, held.api):
                unix.socket.close()
                unix.remove()
            (Path(held.run) / "agent.json").unlink(missing_ok=True)

    def announce(self) -> None:
        """Tells ``hoop`` where everything is.  CannotStart."""
        host, port = self.ssh.address
        told = {
            "api": str(self.run / "api.sock"),
            "ssh": f"{host}:{port}",
            "host_key": self.keys.fingerprint,
            "pg_socket_dir": str(self.door.socket_dir),
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
        _tell_systemd(f"READY=1\nMAINPID={os.getpid()}")
        targets = len(self.config.targets)
        log.info("agent.serving", ssh=told["ssh"], tcp=self.door.port, targets=targets)

    def withdraw(self) -> None:
        """``hoop`` shall not come any more."""
        (self.run / "agent.json").unlink(missing_ok=True)

    # --- passing on -------------------------------------------------------------------------------

    async def pass_on(self, tell: Callable[[dict[str, Any]], None]) -> tuple[Held, bytes]:
        """Stops accepting.  What it listened on, which listens on, and the endpoints there are.

        The API first, so that every endpoint somebody was promised is among them.
        """
        assert self._api is not None, "only what is open can be passed on"
        unix, plain = self.door.sockets()
        agent = self.config.agent
        held = Held(
            run=str(self.run),
            ssh=agent.ssh,
            tcp=agent.tcp,
            lock=os.dup(self.lock),
            plain=plain,
            pg=unix,
            api=self._copy(self._api),
            doors=self.ssh.sockets(),
        )
        await self._quiet_api()
        self.door.stop_accepting()
        self.ssh.stop_accepting()
        return held, self.door.handed_on(lambda endpoint: tell({"released": endpoint}))

    async def _quiet_api(self) -> None:
        """No request is broken off: who is connected may ask, and is answered."""
        for server in self.api.servers:
            server.close()
        state = self.api.server_state
        await until(lambda: not state.connections, _TO_ASK, 0.01)
        for connection in list(state.connections):
            connection.shutdown()
        await until(lambda: not state.tasks, _TO_ANSWER, 0.01)

    async def take_back(self, held: Held) -> None:
        """Accepts again on what was passed on."""
        assert self._group is not None
        self.door.kept_after_all()
        await self.door.open(self._group, self._copy(held.pg), held.plain)
        await self._open_ssh(held.doors)
        await self.api.startup(sockets=[held.api.socket])
        for lock in (held.lock, held.pg.lock, held.api.lock):
            os.close(lock)
        self.announce()

    def _copy(self, unix: UnixSocket) -> UnixSocket:
        """The same socket and the same lock, to be closed on their own."""
        listening = socket.socket(fileno=os.dup(unix.socket.fileno()))
        return replace(unix, socket=listening, lock=os.dup(unix.lock))

    # --- closing ----------------------------------------------------------------------------------

    def let_go(self) -> None:
        """Somebody else serves all of it now: its files are theirs."""
        self.door.stop_accepting()
        self.ssh.stop_accepting()
        if self._api is not None:
            self._api.socket.close()
            os.close(self._api.lock)
            os.close(self.lock)
            self._api = None

    async def close(self) -> None:
        """Nothing of it is left when this returns, but what was let go."""
        await self.door.close()
        await self.ssh.close()
        self.api.should_exit = True
        if self._serving is not None:
            await self._serving
        if self._api is not None:
            self._api.socket.close()
            self._api.remove()
            os.close(self.lock)


def _tell_systemd(text: str) -> None:
    """Says so where systemd listens (sd_notify(3)); which process is the agent changes."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # in the abstract namespace
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as telling:
            telling.sendto(text.encode(), address)
    except OSError as problem:
        log.warning("systemd.not_told", why=problem.strerror)
