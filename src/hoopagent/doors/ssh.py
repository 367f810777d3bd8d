"""The SSH door: how a connection from anywhere becomes (principal, target, lane).

Two kinds of user come through it.  ``hoop-login`` shows any Ed25519 key and may only sign in.
Everybody else is named by a principal's id and shows a certificate of our CA for exactly that
name; on the way to an SSH target a key may do, once its owner has signed in with it (``by_key``).
A key that was only *offered* proves nothing: what counts is what is known when SSH says that
authentication is complete.

A certificate opens the connection; each channel asks again whether its principal is still signed
in.  There are two kinds of channel, ``direct-tcpip`` to a target's name and the subsystem
``hoop-api``; shells, commands, files, agents, X11 and listening are refused.  A connection whose
user name is ``NAME+TARGET`` is for an SSH target, and has session channels and the forwards that
the target lists (``shells``).

**The seam.** ``open_lane(principal, target, peer)`` and ``open_api(principal, peer)`` give an
asyncio Protocol, or raise Refused.  It then runs on a ``LaneTransport`` as it would on a socket.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import asyncssh
import structlog

from hoopagent.doors.attempts import Attempts
from hoopagent.doors.by_key import KeySignIns
from hoopagent.doors.crowd import EACH, MOST, Crowd
from hoopagent.doors.sign_in import Welcome
from hoopagent.doors.ssh_algorithms import GCM, known_kex
from hoopagent.doors.ssh_connection import Connection
from hoopagent.identity import Identity
from hoopagent.keys import Keys
from hoopagent.shells.shells import Shells
from hoopcore.model import Principal

__all__ = ["SshDoor", "Welcome"]

log = structlog.get_logger()

OpenLane = Callable[[Principal, str, str], Awaitable[asyncio.Protocol]]
OpenApi = Callable[[Principal, str], Awaitable[asyncio.Protocol]]

# Clients go by this.  OpenSSH's says that nobody reads any more (``ssh web journalctl -f | head``)
# only to whom its own version names; else the command would run on, and the client with it.  And in
# which order the two names of a link come in SFTP is another one where it is OpenSSH's.
VERSION = "OpenSSH_compatible_hoop"
KEEPALIVE = 30  # seconds; a client that misses four is gone


class SshDoor:
    """``start`` listens, ``stop_accepting`` lets what runs go on, ``close`` leaves nothing."""

    def __init__(
        self,
        keys: Keys,
        identity: Identity,
        *,
        welcome: Welcome,
        open_lane: OpenLane,
        open_api: OpenApi,
        unproved: int = MOST,
        unproved_each: int = EACH,
        attempts: Attempts | None = None,
        shells: Shells | None = None,
        names: Sequence[str] = (),
    ) -> None:
        """``unproved``, and ``unproved_each`` of one address, may be in their handshake or signing
        in.  Without ``attempts`` nobody who fails has to wait.  Under ``names`` it shows a
        certificate of its key, too.
        """
        self.keys = keys
        self.identity = identity
        self.welcome = welcome
        self.open_lane = open_lane
        self.open_api = open_api
        self.attempts = attempts
        self.shells = shells
        self.names = names
        self.keys_of_people = None
        if shells is not None and identity.signs_in_by_ssh:
            self.keys_of_people = KeySignIns(identity, shells.parts.clock.late)
        self.crowd = Crowd[Connection](unproved, unproved_each, Connection.drop)
        self.connections: set[Connection] = set()
        self._acceptors: list[asyncssh.SSHAcceptor] = []

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, once it does."""
        host, port = self._acceptors[0].get_addresses()[0][:2]
        return host, port

    async def start(self, address: str, taken: Sequence[socket.socket] = ()) -> None:
        """Listens at ``host:port``; port 0 takes a free one.  OSError where it cannot.

        ``taken`` are sockets that listen already: those of the agent that ran before.
        """
        host, _, port = address.rpartition(":")
        listen = self._listen()
        if taken:
            self._acceptors = [await listen(sock=one) for one in taken]
        else:
            self._acceptors = [await listen(host.strip("[]"), int(port))]
        if self.disconnect not in self.identity.revoked:
            self.identity.revoked.append(self.disconnect)
            self.identity.ended.append(self.disconnect_sign_in)

    def sockets(self) -> list[socket.socket]:
        """Copies of what it listens on: they listen on when the door stops accepting."""
        found = [one for acceptor in self._acceptors for one in acceptor.sockets]
        return [socket.socket(fileno=os.dup(one.fileno())) for one in found]

    def busy(self) -> bool:
        """Whether somebody is signing in, or has a channel open."""
        return any(not one.ready or one.has_lanes for one in self.connections)

    def _host_keys(self) -> Sequence[asyncssh.SSHKeyPair]:
        """The certificate first, if there is one: who knows no authority takes the key."""
        known = self.keys.host
        if not self.names:
            return asyncssh.load_keypairs([known])
        return asyncssh.load_keypairs([(known, self.keys.for_names(self.names))])

    def _listen(self) -> Callable[..., Awaitable[asyncssh.SSHAcceptor]]:
        return partial(
            asyncssh.listen,
            server_factory=lambda: Connection(self),
            server_host_keys=self._host_keys(),
            config=None,
            kex_algs=known_kex(),
            encryption_algs=[name.decode() for name in GCM],
            mac_algs=["hmac-sha2-256-etm@openssh.com"],  # unused beside GCM, but may not be empty
            signature_algs=["ssh-ed25519"],
            compression_algs=None,
            x509_trusted_certs=None,
            gss_host=None,
            host_based_auth=False,
            password_auth=False,
            kbdint_auth=True,  # for a key that is proved, see kbdint_auth_supported
            public_key_auth=True,
            agent_forwarding=False,
            x11_forwarding=False,
            allow_pty=True,  # on SSH targets: the other channels refuse it
            line_editor=False,
            encoding=None,
            server_version=VERSION,
            login_timeout=0,  # see connection_made
            keepalive_interval=KEEPALIVE,
            keepalive_count_max=4,
        )

    def disconnect(self, principal: str) -> None:
        """Ends each connection of a principal, lanes included."""
        for connection in list(self.connections):
            if connection.principal == principal:
                connection.end("signed out")

    def disconnect_sign_in(self, sign_in: str) -> None:
        """Ends each connection that was opened with a certificate of this sign-in."""
        for connection in list(self.connections):
            if sign_in and connection.sign_in == sign_in:
                connection.end("signed out")

    def waiting(self) -> int:
        """How many connections have not signed in yet."""
        return sum(1 for connection in self.connections if not connection.ready)

    def connections_of(self, principal: str) -> int:
        """How many connections a principal has; 0 for nobody."""
        return sum(one.principal == principal for one in self.connections) if principal else 0

    def stop_accepting(self) -> None:
        for acceptor in self._acceptors:
            acceptor.close()

    async def close(self) -> None:
        """No listener, no connection and no lane is left when it returns."""
        self.stop_accepting()
        if self.disconnect in self.identity.revoked:
            self.identity.revoked.remove(self.disconnect)
            self.identity.ended.remove(self.disconnect_sign_in)
        ending = list(self.connections)
        for connection in ending:
            connection.end("the agent stops")
        for connection in ending:
            await connection.wait_closed()
        for acceptor in self._acceptors:
            await acceptor.wait_closed()
        self._acceptors = []
