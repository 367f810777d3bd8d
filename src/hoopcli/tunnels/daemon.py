"""The process that holds the tunnels: one for each folder of settings, started when first wanted.

It does what it is asked to on its control socket and nothing else, renews sign-ins in time, and
ends by itself when nobody has wanted anything of it for a while.

Order of the file: the process, what it is asked to do, the ways to agents, what runs beside.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from hoopcli.errors import Exit, Failure
from hoopcli.profile import Place, locate
from hoopcli.tunnels import calls, records, ssh_agent
from hoopcli.tunnels.ends import End, bound, joined_raw
from hoopcli.tunnels.link import Link, Near, Patience
from hoopcli.tunnels.records import Record
from hoopcli.tunnels.sign_ins import SignIns
from hoopcore.protocols.postgres import scram

Answer: TypeAlias = dict[str, Any]

# Seconds without a call, a client or an open tunnel until it ends.
_IDLE = 300.0

# Seconds between two looks at the clock and at sign-ins that may need renewing.
_LOOK = 2.0
_RENEW = 30.0

# A clock of the wall that ran so much further than ours means that the machine has slept.
_SLEPT = 5.0

_PATIENCE = Patience()


@dataclass(slots=True)
class Kept:
    """A tunnel that is open until it is stopped."""

    record: Record
    end: End


class Daemon:
    """All that is held.  ``serve`` until there is nothing to hold, or SIGTERM."""

    def __init__(self, folder: Path, patience: Patience) -> None:
        self.folder = folder
        self.kept: dict[tuple[str, str], Kept] = {}
        self.ways: dict[str, Link | Near] = {}
        self._patience = patience
        self._signs = SignIns()
        self._leases: set[End] = set()
        self._refused: dict[tuple[str, str], str] = {}  # why a tunnel did not open again
        self._opening = asyncio.Lock()  # a listener that two callers want is opened once
        self._stop = asyncio.Event()
        self._last_use = time.monotonic()
        self._paths: list[Path] = []

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)
        async with asyncio.TaskGroup() as group:
            self._group = group
            await self._listen(calls.CONTROL, self._called)
            await self._reopen()
            beside = [group.create_task(one) for one in (self._watch(), self._renew())]
            await self._stop.wait()
            for task in beside:
                task.cancel()
            self._close()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

    async def _listen(
        self,
        name: str,
        met: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    ) -> Path:
        path = self.folder / name
        async with self._opening:
            if path not in self._paths:
                await asyncio.start_unix_server(met, sock=bound(path), limit=1 << 20)
                self._paths.append(path)
        return path

    def _close(self) -> None:
        for end in [*self._leases, *(kept.end for kept in self.kept.values())]:
            end.close()
        for path in self._paths:
            path.unlink(missing_ok=True)

    # --- calls ------------------------------------------------------------------------------------

    async def _called(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One call; what it opened for its caller alone ends with the connection."""
        lease: End | None = None
        try:
            asked = json.loads(await reader.readline())
            self._last_use = time.monotonic()
            answer, lease = await self._answered(asked)
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
            if lease is not None:
                await reader.read(1)  # nothing is ever said: only the end of the connection
        except (OSError, ValueError, asyncio.CancelledError):
            pass  # the caller has left, or is no hoop; or the process ends
        finally:
            if lease is not None:
                lease.close()
            writer.close()

    async def _answered(self, asked: Answer) -> tuple[Answer, End | None]:
        operations: dict[str, Callable[[Answer], Awaitable[tuple[Answer, End | None]]]] = {
            "reach": self._reach,
            "open": self._open,
            "list": self._list,
            "keep": self._keep,
            "stop": self._stopped,
            "forget": self._forget,
            "ready": self._ready,
        }
        try:
            known = asked.get("protocol") == calls.PROTOCOL or asked.get("op") in calls.ALWAYS
            if not known or asked.get("op") not in operations:
                raise Failure(
                    "an older or newer hoop holds the tunnels",
                    "hoop tunnels stop --all",
                    Exit.FAILED,
                )
            if asked.get("passphrase"):
                os.environ["HOOP_PASSPHRASE"] = asked["passphrase"]  # where vaults look for it
            return await operations[asked["op"]](asked)
        except Failure as problem:
            told = {"failed": problem.message, "hint": problem.hint, "code": problem.code}
            return told, None
        except OSError as problem:
            return {"failed": f"{problem.strerror or problem}"}, None

    async def _reach(self, asked: Answer) -> tuple[Answer, None]:
        """The socket of an agent's control API, once the agent was reached."""
        link = self._way(asked["agent"])
        assert isinstance(link, Link), "an agent on this machine has a socket of its own"
        await link.first()
        path = await self._listen(f"a-{_mark(link.name)}", partial(self._api, link))
        return {"api": str(path)}, None

    async def _api(
        self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._last_use = time.monotonic()
        with contextlib.suppress(asyncio.CancelledError):
            await joined_raw(link.api, reader, writer)

    async def _open(self, asked: Answer) -> tuple[Answer, End]:
        """A tunnel for the caller alone: a unix socket, or a port and a password."""
        way = self._way(asked["agent"])
        if isinstance(way, Link):
            await way.first()
        password = records.random_password()
        verifier = scram.make_verifier(password, os.urandom(16))

        async def proof() -> scram.Verifier:
            return verifier

        end = End(way, asked["target"], asked["database"], proof)
        if asked["via"] == "unix":
            number = next(n for n in range(1, 1 << 16) if not self._socket(n).exists())
            await end.open_unix(self._socket(number))
            where = {"host": str(self.folder), "port": number, "password": ""}
        else:
            await end.open_tcp(0)
            where = {"host": records.HOST, "port": end.port, "password": password}
        self._leases.add(end)
        return {**where, "user": records.USER, "database": asked["database"]}, end

    def _socket(self, number: int) -> Path:
        return self.folder / f".s.PGSQL.{number}"

    async def _keep(self, asked: Answer) -> tuple[Answer, None]:
        """A tunnel that keeps its address, opened if it is not; where it is, and its password."""
        agent, target = asked["agent"], asked["target"]
        known = records.remembered()
        found = [one for one in known if (one.agent, one.target) == (agent, target)]
        record = (
            replace(found[0], stays=True) if found else Record(agent, target, asked["first"], 0)
        )
        if asked.get("new_port"):
            record = records.turned(record, 0)
            self._let_go(agent, target)
        if asked.get("database"):
            record = replace(record, database=asked["database"])
        async with self._opening:
            kept = self.kept.get((agent, target))
            if kept is None:
                kept = Kept(record, await self._kept_end(record))
                self.kept[agent, target] = kept
                self._refused.pop((agent, target), None)
        kept.record = replace(record, port=kept.end.port)
        password = await self._signs.password(kept.record)
        kept.end.database = record.database
        records.changed(partial(records.with_record, new=kept.record))
        return {**self._view(kept.record), "password": password}, None

    async def _reopen(self) -> None:
        """What was open when tunnels were last held, at the same addresses."""
        for record in records.remembered():
            if record.stays:
                try:
                    self.kept[record.agent, record.target] = Kept(
                        record, await self._kept_end(record)
                    )
                except (Failure, OSError) as problem:
                    why = problem.message if isinstance(problem, Failure) else str(problem)
                    self._refused[record.agent, record.target] = why.partition("\n")[0]

    async def _kept_end(self, record: Record) -> End:
        end = End(
            self._way(record.agent),
            record.target,
            record.database,
            partial(self._proof, record.agent, record.target),
        )
        await end.open_tcp(record.port)
        try:
            await end.open_unix(self._socket(end.port))
        except BaseException:
            end.close()
            raise
        return end

    async def _list(self, asked: Answer) -> tuple[Answer, None]:
        return {"tunnels": [self._view(record) for record in records.remembered()]}, None

    def _view(self, record: Record) -> Answer:
        kept = self.kept.get((record.agent, record.target))
        way = self.ways.get(record.agent)
        problem = way.problem.message if way is not None and way.problem is not None else ""
        state = "away" if problem else "open"
        if kept is None:
            state, problem = "closed", self._refused.get((record.agent, record.target), "")
        connections = kept.end.connections if kept is not None else 0
        return records.view(record, self.folder, state, problem, connections)

    async def _stopped(self, asked: Answer) -> tuple[Answer, None]:
        """Closes tunnels, by agent and target; the clients in them stay until they leave."""
        chosen = {(agent, target) for agent, target in asked["tunnels"]}
        for agent, target in chosen:
            self._let_go(agent, target)
        records.stopped(chosen)
        if asked.get("all"):
            self._stop.set()
        return {}, None

    def _let_go(self, agent: str, target: str) -> None:
        kept = self.kept.pop((agent, target), None)
        if kept is not None:
            kept.end.close()

    async def _forget(self, asked: Answer) -> tuple[Answer, None]:
        """Somebody signed in or out: what was known of it counts no more."""
        self._signs.forget(asked["agent"])
        way = self.ways.get(asked["agent"])
        if isinstance(way, Link):
            way.drop()
        return {}, None

    async def _ready(self, asked: Answer) -> tuple[Answer, None]:
        """An ssh-agent's socket for stock ssh, with a certificate that holds."""
        agent = asked["agent"]
        await self._signs.signed(agent)
        path = await self._listen(f"s-{_mark(agent)}", partial(self._ssh, agent))
        return {"socket": str(path)}, None

    async def _ssh(
        self, agent: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        async def identity() -> ssh_agent.Identity | None:
            try:
                signed = await self._signs.signed(agent)
            except Failure:
                return None
            return ssh_agent.Identity.of(signed.key, signed.certificate)

        self._last_use = time.monotonic()
        with contextlib.suppress(asyncio.CancelledError):
            await ssh_agent.serve(identity, reader, writer)
        writer.close()

    # --- ways -------------------------------------------------------------------------------

    def _way(self, agent: str) -> Link | Near:
        way = self.ways.get(agent)
        if way is None:
            if _place(agent).api is not None:
                way = Near(agent, partial(self._signs.session, agent), self._patience)
            else:
                way = Link(agent, partial(self._signs.signed, agent), self._patience)
                self._group.create_task(way.run())
            self.ways[agent] = way
        return way

    async def _proof(self, agent: str, target: str) -> scram.Verifier:
        return await self._signs.verifier(self.kept[agent, target].record)

    # --- beside -----------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Sees that the machine has slept, and that nobody wants anything any more."""
        ahead = time.time() - time.monotonic()
        while not self._stop.is_set():
            await asyncio.sleep(_LOOK)
            before, ahead = ahead, time.time() - time.monotonic()
            if ahead - before > _SLEPT:
                for way in self.ways.values():
                    if isinstance(way, Link):
                        self._group.create_task(way.probe())
            self._leases = {end for end in self._leases if end.serving}
            if self.kept or self._leases:
                self._last_use = time.monotonic()
            elif time.monotonic() - self._last_use > _IDLE:
                self._stop.set()

    async def _renew(self) -> None:
        """Renews in time, so that the next client need not wait for a provider."""
        while not self._stop.is_set():
            await asyncio.sleep(_RENEW)
            for agent in {agent for agent, _ in self.kept} | self._signs.known():
                # The border: no agent's and no provider's answer ends the tunnels of the others,
                # and who wants something of that agent is told then.
                with contextlib.suppress(Exception):
                    await self._signs.session(agent)


def _place(agent: str) -> Place:
    """Where the agent is; one of this machine that does not run now is of this machine still."""
    try:
        return locate(agent)
    except Failure:
        return Place(agent, "", 0, "", None, Path(agent) / "api.sock")


def _mark(agent: str) -> str:
    return hashlib.sha256(agent.encode()).hexdigest()[:12]


def main(patience: Patience = _PATIENCE) -> int:
    """The process; 0 at once where another one holds the tunnels already."""
    os.umask(0o077)
    folder = records.made_folder()
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return 0
    for left in [*folder.glob(".s.PGSQL.*"), *folder.glob("[as]-*"), folder / calls.CONTROL]:
        left.unlink(missing_ok=True)
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(Daemon(folder, patience).serve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
