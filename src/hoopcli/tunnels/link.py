"""The way to one agent: an SSH connection to one elsewhere, its sockets on this machine.

A connection that ends is made again for as long as somebody may want it, and whoever comes
meanwhile waits a little.  After sleep and change of network a connection often looks alive and is
not; so the agent is asked whether it is there when it is silent, after the machine woke up, and
when it leaves a new channel without an answer.

Order of the file: what both ways are, the way over SSH, the way on this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import asyncssh

from hoopcli import door
from hoopcli.client import Client, path
from hoopcli.errors import AgentUnreachable, ApiError, Failure, NotSignedIn
from hoopcli.profile import Place
from hoopcli.tunnels.front import uid_of_unix

if TYPE_CHECKING:
    from hoopcli.signin import Session

_T = TypeVar("_T")


class Reader(Protocol):
    async def read(self, n: int = -1) -> bytes: ...


class Writer(Protocol):
    def write(self, data: bytes) -> None: ...
    def write_eof(self) -> None: ...
    async def drain(self) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Lane:
    """An open way to a target, before its first byte.

    ``user`` is the name to give there, where the way is known by it; else any name does.
    """

    reader: Reader
    writer: Writer
    user: str = ""


class Way(Protocol):
    """How one agent is reached.  ``lane`` waits a while for an agent that is away."""

    problem: Failure | None  # why it cannot be reached now

    async def lane(self, target: str, database: str) -> Lane: ...


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds."""

    reach: float = 10.0  # for TCP and SSH's handshake
    channel: float = 8.0  # for the agent's answer to a new channel: it asks its store, no target
    wait: float = 10.0  # what a client waits for a connection that is being made again
    silence: float = 5.0  # then the agent is asked whether it is there, up to three times
    again: tuple[float, ...] = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # between two tries
    woken: float = 3.0  # for the answer when the machine has slept


@dataclass(frozen=True, slots=True)
class Signed:
    """With what the agent is told who we are.  The key is in no repr."""

    place: Place
    host_key: str
    user: str  # the principal's id
    key: str = field(repr=False)
    certificate: str = ""


# --- over SSH -------------------------------------------------------------------------------------


class Link:
    """One SSH connection, made again whenever it ends while ``run`` runs."""

    def __init__(
        self, name: str, sign_in: Callable[[], Awaitable[Signed]], patience: Patience
    ) -> None:
        self.name = name
        self.problem: Failure | None = AgentUnreachable(f"the agent at {name} was not reached yet")
        self._sign_in = sign_in
        self._patience = patience
        self._connection: asyncssh.SSHClientConnection | None = None
        self._news = asyncio.Event()  # set, and replaced, when a try has ended one way or the other
        self._hurry = asyncio.Event()  # somebody wants it now

    async def run(self) -> None:
        failures = 0
        while True:
            try:
                connection = await self._connected()
            except Failure as problem:
                self._tell(None, problem)
                failures += 1
            except Exception as problem:  # noqa: BLE001 - the border: no other agent's way ends
                kind = type(problem).__name__
                self._tell(None, AgentUnreachable(f"no way to the agent at {self.name}: {kind}"))
                failures += 1
            else:
                failures = 0
                self._tell(connection, None)
                try:
                    await connection.wait_closed()
                finally:
                    connection.abort()
                    lost = f"the connection to the agent at {self.name} was lost"
                    self._tell(None, AgentUnreachable(lost, "It is being made again."))
            await self._pause(failures)

    async def _connected(self) -> asyncssh.SSHClientConnection:
        signed = await self._sign_in()
        keys = [
            (
                asyncssh.import_private_key(signed.key),
                asyncssh.import_certificate(signed.certificate),
            )
        ]
        with door.told(signed.place):
            async with asyncio.timeout(2 * self._patience.reach):
                connection = await door.connect(
                    signed.place,
                    signed.host_key,
                    signed.user,
                    keys,
                    limit=self._patience.reach,
                    silence=self._patience.silence,
                )
        return connection

    def _tell(
        self, connection: asyncssh.SSHClientConnection | None, problem: Failure | None
    ) -> None:
        self._connection, self.problem = connection, problem
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _pause(self, failures: int) -> None:
        self._hurry.clear()
        steps = self._patience.again
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(steps[min(failures, len(steps) - 1)]):
                await self._hurry.wait()

    def drop(self) -> None:
        """Ends the connection, since who we are has changed, or since it is dead."""
        if self._connection is not None:
            self._connection.abort()
        self._hurry.set()

    async def first(self) -> None:
        """Waits for a connection, and no longer than for one try: Failure says how that ended."""
        while self._connection is None:
            news = self._news
            self._hurry.set()
            await news.wait()
            if self._connection is None and self.problem is not None:
                raise self.problem

    async def probe(self) -> None:
        """Drops a connection on which nobody answers."""
        connection = self._connection
        if connection is None:
            self._hurry.set()
            return
        try:
            async with asyncio.timeout(self._patience.woken):
                _, _, _ = await connection.open_session(subsystem="hoop-api", encoding=None)
        except (TimeoutError, OSError, asyncssh.Error):
            connection.abort()
            self._hurry.set()

    async def lane(self, target: str, database: str) -> Lane:
        """A lane to a target.  AgentUnreachable where there is no connection in time."""

        async def opened(connection: asyncssh.SSHClientConnection) -> Lane:
            reader, writer = await connection.open_connection(target, 5432, encoding=None)
            return Lane(reader, writer)

        return await self._over(opened)

    async def api(self) -> Lane:
        """A channel to the control API."""

        async def opened(connection: asyncssh.SSHClientConnection) -> Lane:
            writer, reader, _ = await connection.open_session(subsystem="hoop-api", encoding=None)
            return Lane(reader, writer)

        return await self._over(opened)

    async def _over(self, opened: Callable[[asyncssh.SSHClientConnection], Awaitable[_T]]) -> _T:
        """A new channel, on the connection that is there; where that is dead, on the next one."""
        for _ in range(3):
            connection = await self._in_time()
            try:
                async with asyncio.timeout(self._patience.channel):
                    return await opened(connection)
            except asyncssh.ChannelOpenError as problem:
                if not connection.is_closed():
                    raise Failure(f"the agent at {self.name}: {problem.reason}") from problem
            except (TimeoutError, OSError, asyncssh.Error):
                connection.abort()
            if self._connection is connection:
                await self._news.wait()
        raise self.problem or AgentUnreachable(f"the agent at {self.name} opens no channel")

    async def _in_time(self) -> asyncssh.SSHClientConnection:
        """The connection, once there is one; the last problem after a client's patience."""
        end = time.monotonic() + self._patience.wait
        while self._connection is None:
            news = self._news
            if not isinstance(self.problem, NotSignedIn):
                self._hurry.set()
            try:
                async with asyncio.timeout(end - time.monotonic()):
                    await news.wait()
            except TimeoutError:
                assert self.problem is not None
                raise self.problem from None
            if self._connection is None and isinstance(self.problem, NotSignedIn):
                raise self.problem
        return self._connection


# --- on this machine ------------------------------------------------------------------------------


class Near:
    """An agent on this machine: a lane is its unix socket, as an endpoint that is asked for."""

    def __init__(
        self, name: str, session: Callable[[], Awaitable[Session]], patience: Patience
    ) -> None:
        self.name = name
        self.problem: Failure | None = None
        self._session = session
        self._patience = patience
        self._endpoints: dict[tuple[str, str], dict[str, Any]] = {}

    async def lane(self, target: str, database: str) -> Lane:
        end = time.monotonic() + self._patience.wait
        while True:
            try:
                lane = await self._lane(target, database)
            except (OSError, AgentUnreachable) as problem:
                self.problem = _away(self.name, problem)
                if time.monotonic() > end:
                    raise self.problem from problem
                await asyncio.sleep(0.25)
            else:
                self.problem = None
                return lane

    async def _lane(self, target: str, database: str) -> Lane:
        session = await self._session()
        endpoint = await asyncio.to_thread(self._endpoint, session, target, database)
        place = f"{endpoint['host']}/.s.PGSQL.{endpoint['port']}"
        reader, writer = await asyncio.open_unix_connection(place)
        if uid_of_unix(writer.get_extra_info("socket")) != session.place.owner:
            writer.close()
            raise Failure(f"somebody else listens at {place}, and not the agent")
        return Lane(reader, writer, str(endpoint["user"]))

    def _endpoint(self, session: Session, target: str, database: str) -> dict[str, Any]:
        """The endpoint of the last client, if the agent still has it, else a new one."""
        kept = self._endpoints.get((target, database))
        with Client(session, self._patience.wait) as client:
            if kept is not None:
                try:
                    client.post(path("endpoints", kept["id"], "keep"))
                except ApiError as error:
                    if error.status != 404:
                        raise
                else:
                    return kept
            wish = {"target": target, "database": database, "via": "unix"}
            made: dict[str, Any] = client.post("/v1/endpoints", wish)
        self._endpoints[target, database] = made
        return made


def _away(name: str, problem: Exception) -> AgentUnreachable:
    if isinstance(problem, AgentUnreachable):
        return problem
    return AgentUnreachable(f"could not reach the agent at {name}: {problem}")
