"""The local door: a unix socket and a loopback port for clients on the agent's own machine.

``psql`` and its like find the unix socket by its folder, and the kernel says whose process it is;
clients that know no sockets take the loopback port and a password.  Either way the user name is
the id of an endpoint (``endpoints``), and who is let in goes on to ``login.greet``.

Strangers can connect to both.  They may hold so many places and so long, no more, and the one
with the most places loses the first (``crowd``); who fails too often has to wait (``attempts``).
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog

from hoopagent.doors.attempts import Attempts
from hoopagent.doors.crowd import EACH, MOST, Crowd
from hoopagent.doors.endpoints import Endpoint, Endpoints, Issued, Via
from hoopagent.doors.login import LIMIT, Caller, Identification, Identified, Sessions, greet
from hoopagent.doors.peers import Peer, on_tcp, on_unix
from hoopagent.doors.sockets import BACKLOG, DoorTaken, UnixSocket, listen_tcp, listen_unix
from hoopagent.lane import Lane
from hoopcore.model import Principal, Time
from hoopcore.protocols.postgres.login import fatal, not_let_in
from hoopcore.stream import LoginRefused

__all__ = ["DoorTaken", "Endpoint", "Issued", "LocalDoor"]

SOCKET = ".s.PGSQL.5432"

log = structlog.get_logger()


class LocalDoor:
    """Both listeners and the endpoints behind them.

    ``unproved`` is how many connections may be in their handshake at once, ``unproved_each`` how
    many of one uid, ``limit`` how many seconds one may take.
    """

    def __init__(
        self,
        run: Path,
        sessions: Sessions,
        *,
        tcp: str = "127.0.0.1:0",
        clock: Callable[[], Time],
        random: Callable[[int], bytes] = os.urandom,
        unproved: int = MOST,
        unproved_each: int = EACH,
        limit: float = LIMIT,
        attempts: Attempts | None = None,
        unproved_by: Callable[[str], None] | None = None,
    ) -> None:
        """``unproved_by`` hears who could not prove an endpoint: ``uid N`` or an address.

        Without ``attempts`` nobody who fails has to wait.
        """
        self.socket_dir = run / "pg"
        self.port = 0  # the loopback port, known once the door is open
        self._sessions = sessions
        self._tcp = tcp
        self._random = random
        self._limit = limit
        self._attempts = attempts
        self._unproved_by = unproved_by
        self._endpoints = Endpoints(clock, random)
        self._handshakes = Crowd[Lane](unproved, unproved_each, _drop)
        self._group: asyncio.TaskGroup | None = None
        self._servers: list[asyncio.Server] = []
        self._released: Callable[[str], None] | None = None
        self.serving = 0  # connections from their first byte to their end
        self._unix: UnixSocket | None = None

    async def open(
        self,
        group: asyncio.TaskGroup,
        unix: UnixSocket | None = None,
        plain: socket.socket | None = None,
    ) -> None:
        """Listens on both, or raises DoorTaken and listens on none.

        Connections live in the group's tasks, one each.  A socket that is given listens already.
        """
        self._group = group
        loop = asyncio.get_running_loop()
        plain = plain or listen_tcp(self._tcp)
        try:
            self._unix = unix or listen_unix(self.socket_dir, SOCKET, self._random(16))
        except BaseException:
            plain.close()
            raise
        self.port = plain.getsockname()[1]
        local = await loop.create_unix_server(
            partial(Lane, self._met_on_unix), sock=self._unix.socket, backlog=BACKLOG
        )
        tcp = await loop.create_server(partial(Lane, self._met_on_tcp), sock=plain, backlog=BACKLOG)
        self._servers = [local, tcp]

    def sockets(self) -> tuple[UnixSocket, socket.socket]:
        """Copies of what it listens on: they listen on when the door stops accepting."""
        assert self._unix is not None, "only an open door has sockets"
        unix, plain = (
            socket.socket(fileno=os.dup(one.fileno()))
            for server in self._servers
            for one in server.sockets
        )
        return replace(self._unix, socket=unix, lock=os.dup(self._unix.lock)), plain

    def stop_accepting(self) -> None:
        """Takes nobody in any more; who is in, or in the handshake, stays.  Its files stay too."""
        for server in self._servers:
            server.close()
        self._servers = []
        if self._unix is not None:
            os.close(self._unix.lock)
            self._unix = None

    async def close(self) -> None:
        """Stops listening and drops who is still in the handshake; sessions go on."""
        self._group = None
        for server in self._servers:
            server.close()
        self._servers = []
        if self._unix is not None:
            self._unix.remove()
            self._unix = None
        for lane in self._handshakes.all():
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

    def make_room(self, principal: str, most: int) -> bool:
        """Whether this principal may have one more endpoint, of at most so many."""
        return self._endpoints.make_room(principal, most)

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
        if dropped := self._handshakes.dropped():
            log.warning("door.full", door="local", dropped=dropped)
        return ended

    # --- from one agent to the next -----------------------------------------------------------

    def handed_on(self, released: Callable[[str], None]) -> bytes:
        """All endpoints, for the next agent's ``adopt``.

        From now on ``released`` hears of each connection through one of them that ends here.
        """
        self._released = released
        return self._endpoints.written()

    def kept_after_all(self) -> None:
        """The next agent did not come."""
        self._released = None

    def adopt(self, written: bytes) -> dict[str, int]:
        """The endpoints of the agent that ran before, and how many use each of them there."""
        return self._endpoints.adopt(written)

    def released(self, endpoint: str) -> None:
        """One connection through it has ended, here or at an agent that ran before."""
        self._endpoints.used(endpoint, -1)
        if self._released is not None:
            self._released(endpoint)

    # --- connections --------------------------------------------------------------------------

    def _met_on_unix(self, lane: Lane) -> None:
        peer = on_unix(lane.transport)
        if peer is None:
            log.warning("door.peer_unknown")
            lane.transport.abort()
            return
        assert peer.uid is not None
        identify = partial(self._endpoints.by_uid, uid=peer.uid, origin=peer.origin)
        self._welcome(lane, identify, peer)

    def _met_on_tcp(self, lane: Lane) -> None:
        peer = on_tcp(lane.transport)
        self._welcome(lane, partial(self._by_password, peer), peer)

    def _by_password(self, peer: Peer, id: str) -> Identified:
        """By the password, and where the kernel tells the uid, by that too.

        Somebody else's client is asked for the password all the same, and let in by none.
        """
        found = self._endpoints.by_password(id, origin=peer.origin)
        if found.caller is not None and peer.uid not in (None, found.caller.uid):
            return Identified(None, found.verifier)
        return found

    def _welcome(self, lane: Lane, identify: Identification, peer: Peer) -> None:
        if self._group is None:
            lane.transport.abort()
            return
        if self._attempts is not None and self._attempts.too_many(peer.whose):
            identify = _have_to_wait
        self._handshakes.enter(lane, peer.whose)
        self._group.create_task(self._serve(lane, identify, peer))

    def _failed(self, peer: Peer) -> None:
        if self._attempts is not None:
            self._attempts.failed(peer.whose)
        if self._unproved_by is not None:
            self._unproved_by(peer.whose)

    async def _serve(self, lane: Lane, identify: Identification, peer: Peer) -> None:
        used: list[str] = []

        def proved(caller: Caller) -> None:
            # An endpoint may have ended while its client was proving the password.
            if self._endpoints.find(caller.endpoint) is None:
                raise not_let_in()
            self._handshakes.leave(lane)
            self._endpoints.used(caller.endpoint, 1)
            used.append(caller.endpoint)

        self.serving += 1
        try:
            await greet(
                lane,
                identify,
                self._sessions,
                uid=peer.uid,
                limit=self._limit,
                proved=proved,
                unproved=partial(self._failed, peer),
            )
        finally:
            self.serving -= 1
            self._handshakes.leave(lane)
            for endpoint in used:
                self.released(endpoint)


def _have_to_wait(_: str) -> Identified:
    """In place of an identification: who has failed too often is not even asked."""
    words = "too many sign-ins from here have failed"
    raise LoginRefused("53300", words, "Wait a minute. Open a new endpoint: hoop connect TARGET")


def _drop(lane: Lane) -> None:
    """There are too many who have not said who they are, and this one has waited longest."""
    words = "too many connections have not signed in yet"
    lane.write(fatal(LoginRefused("53300", words, "Try again in a moment.")))
    lane.close()
