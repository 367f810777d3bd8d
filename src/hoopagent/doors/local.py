"""The local door: a unix socket and a loopback port for clients on the agent's own machine.

``psql`` and its like find the unix socket by its folder, and the kernel says whose process it is;
clients that know no sockets take the loopback port and a password.  Either way the user name is
the id of an endpoint (``endpoints``), and who is let in goes on to ``login.greet``.

Strangers can connect to both.  They may hold so many places and so long, no more, and the one
with the most places loses the first.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog

from hoopagent.doors.endpoints import Endpoint, Endpoints, Issued, Via
from hoopagent.doors.login import LIMIT, Caller, Identification, Sessions, greet
from hoopagent.doors.sockets import (
    BACKLOG,
    DoorTaken,
    UnixSocket,
    listen_tcp,
    listen_unix,
    peer_of,
)
from hoopagent.lane import Lane
from hoopcore.model import Principal, Time
from hoopcore.protocols.postgres.login import not_let_in

__all__ = ["DoorTaken", "Endpoint", "Issued", "LocalDoor"]

SOCKET = ".s.PGSQL.5432"

log = structlog.get_logger()


class LocalDoor:
    """Both listeners and the endpoints behind them.

    ``unproved`` is how many connections may be in their handshake at once, ``limit`` how many
    seconds one may take.
    """

    def __init__(
        self,
        run: Path,
        sessions: Sessions,
        *,
        tcp: str = "127.0.0.1:0",
        clock: Callable[[], Time],
        random: Callable[[int], bytes] = os.urandom,
        unproved: int = 100,
        limit: float = LIMIT,
    ) -> None:
        self.socket_dir = run / "pg"
        self.port = 0  # the loopback port, known once the door is open
        self._sessions = sessions
        self._tcp = tcp
        self._random = random
        self._unproved = unproved
        self._limit = limit
        self._endpoints = Endpoints(clock, random)
        # Who is in the handshake, oldest first, and whose: a uid, or "tcp".
        self._handshakes: dict[Lane, str] = {}
        self._group: asyncio.TaskGroup | None = None
        self._servers: list[asyncio.Server] = []
        self._unix: UnixSocket | None = None

    async def open(self, group: asyncio.TaskGroup) -> None:
        """Listens on both, or raises DoorTaken and listens on none.

        Connections live in the group's tasks, one each.
        """
        self._group = group
        loop = asyncio.get_running_loop()
        plain = listen_tcp(self._tcp)
        try:
            self._unix = listen_unix(self.socket_dir, SOCKET, self._random(16))
        except BaseException:
            plain.close()
            raise
        self.port = plain.getsockname()[1]
        unix = await loop.create_unix_server(
            partial(Lane, self._met_on_unix), sock=self._unix.socket, backlog=BACKLOG
        )
        tcp = await loop.create_server(partial(Lane, self._met_on_tcp), sock=plain, backlog=BACKLOG)
        self._servers = [unix, tcp]

    async def close(self) -> None:
        """Stops listening and drops who is still in the handshake; sessions go on."""
        self._group = None
        for server in self._servers:
            server.close()
        self._servers = []
        if self._unix is not None:
            self._unix.remove()
            self._unix = None
        for lane in list(self._handshakes):
            lane.transport.abort()

    # --- endpoints ----------------------------------------------------------------------------

    def add(
        self,
        principal: Principal,
        target: str,
        *,
        uid: int,
        via: Via,
        database: str = "",
        linger: int = 60,
    ) -> Issued:
        """A new endpoint, for who asked with this uid."""
        issued = self._endpoints.add(
            principal, target, uid=uid, via=via, database=database, linger=linger
        )
        log.info("endpoint.opened", endpoint=issued.endpoint.id, principal=principal.id, via=via)
        return issued

    def find(self, id: str) -> Endpoint | None:
        return self._endpoints.find(id)

    def endpoints(self) -> list[Endpoint]:
        return self._endpoints.all()

    def keep(self, id: str) -> bool:
        """A sign of life; False where the endpoint has ended."""
        return self._endpoints.keep(id)

    def remove(self, id: str) -> Endpoint | None:
        """Lets nobody in through it any more; who is in stays."""
        return self._endpoints.remove(id)

    def principal_left(self, principal: str) -> None:
        """Signed in nowhere any more: their endpoints end."""
        for endpoint in self._endpoints.all():
            if endpoint.principal.id == principal:
                self._endpoints.remove(endpoint.id)

    def sweep(self, now: Time) -> list[Endpoint]:
        """Ends the endpoints whose time without use is over; which ones."""
        ended = self._endpoints.sweep(now)
        for endpoint in ended:
            log.info("endpoint.ended", endpoint=endpoint.id)
        return ended

    # --- connections --------------------------------------------------------------------------

    def _met_on_unix(self, lane: Lane) -> None:
        peer = _peer(lane)
        if peer is None:
            log.warning("door.peer_unknown")
            lane.transport.abort()
            return
        uid, pid = peer
        origin = f"unix uid {uid} pid {pid}" if pid else f"unix uid {uid}"
        identify = partial(self._endpoints.by_uid, uid=uid, origin=origin)
        self._welcome(lane, identify, str(uid), uid)

    def _met_on_tcp(self, lane: Lane) -> None:
        host, port, *_ = lane.transport.get_extra_info("peername") or ("unknown", 0)
        identify = partial(self._endpoints.by_password, origin=f"{host}:{port}")
        self._welcome(lane, identify, "tcp", None)

    def _welcome(self, lane: Lane, identify: Identification, whose: str, uid: int | None) -> None:
        if self._group is None:
            lane.transport.abort()
            return
        if len(self._handshakes) >= self._unproved:
            self._drop_one()
        self._handshakes[lane] = whose
        self._group.create_task(self._serve(lane, identify, uid))

    def _drop_one(self) -> None:
        """The oldest handshake of whoever has the most: a flood hurts only its own uid."""
        ((most, _),) = Counter(self._handshakes.values()).most_common(1)
        oldest = next(lane for lane, whose in self._handshakes.items() if whose == most)
        del self._handshakes[oldest]
        log.warning("door.full", dropped=most)
        oldest.transport.abort()

    async def _serve(self, lane: Lane, identify: Identification, uid: int | None) -> None:
        used: list[str] = []

        def proved(caller: Caller) -> None:
            # An endpoint may have ended while its client was proving the password.
            if self._endpoints.find(caller.endpoint) is None:
                raise not_let_in()
            self._handshakes.pop(lane, None)
            self._endpoints.used(caller.endpoint, 1)
            used.append(caller.endpoint)

        try:
            await greet(lane, identify, self._sessions, uid=uid, limit=self._limit, proved=proved)
        finally:
            self._handshakes.pop(lane, None)
            for endpoint in used:
                self._endpoints.used(endpoint, -1)


def _peer(lane: Lane) -> tuple[int, int] | None:
    """The peer's uid and pid.  uvloop's own socket object answers no questions; its number does."""
    found = lane.transport.get_extra_info("socket")
    try:
        with socket.socket(fileno=os.dup(found.fileno())) as connection:
            return peer_of(connection)
    except OSError:
        return None
