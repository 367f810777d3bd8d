"""The SSH door: how a connection from anywhere becomes (principal, target, lane).

Two kinds of user come through it.  ``hoop-login`` shows any Ed25519 key and may only sign in.
Everybody else is named by a principal's id and shows a certificate of our CA for exactly that
name.  A key that was only *offered* proves nothing: what counts is what is known when SSH says
that authentication is complete.

A certificate opens the connection; each channel asks again whether its principal is still signed
in.  There are two kinds of channel, ``direct-tcpip`` to a target's name and the subsystem
``hoop-api``; shells, commands, files, agents, X11 and listening are refused.

**The seam.** ``open_lane(principal, target, peer)`` and ``open_api(principal, peer)`` give an
asyncio Protocol, or raise Refused.  It then runs on a ``LaneTransport`` as it would on a socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncssh
import structlog

from hoopagent.doors.channel import SubsystemLane, TcpLane
from hoopagent.doors.sign_in import SignIn, Welcome
from hoopagent.errors import Refused
from hoopagent.identity import Identity
from hoopagent.keys import Keys
from hoopagent.store import StoreAway
from hoopcore.model import Principal, is_id

__all__ = ["SshDoor", "Welcome"]

log = structlog.get_logger()

OpenLane = Callable[[Principal, str, str], Awaitable[asyncio.Protocol]]
OpenApi = Callable[[Principal, str], Awaitable[asyncio.Protocol]]

LOGIN = "hoop-login"

LOGIN_GRACE = 30.0  # seconds from connect to signed in
KEEPALIVE = 30  # seconds; a client that misses four is gone
MAX_TRIES = 10  # keys a client may show; an ssh-agent full of them shows each
MAX_STARTUPS = 64  # connections that have not signed in yet, all addresses together
MAX_LANES = 64  # channels of one connection

# AES-GCM is twice as fast as chacha20 here, but SSH follows the client's order, and OpenSSH puts
# chacha20 first.  So chacha20 is shown only to a client known to have no GCM (Debian's dropbear).
GCM = (b"aes256-gcm@openssh.com", b"aes128-gcm@openssh.com")
CHACHA = b"chacha20-poly1305@openssh.com"

# No NIST curves and no finite-field groups; OpenSSH 9.2 has no ML-KEM, so curve25519 stays.
KEX = ("mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org")


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
    ) -> None:
        self.keys = keys
        self.identity = identity
        self.welcome = welcome
        self.open_lane = open_lane
        self.open_api = open_api
        self.connections: set[_Connection] = set()
        self._acceptor: asyncssh.SSHAcceptor | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, once it does."""
        assert self._acceptor is not None
        host, port = self._acceptor.get_addresses()[0][:2]
        return host, port

    async def start(self, address: str) -> None:
        """Listens at ``host:port``; port 0 takes a free one.  OSError where it cannot."""
        host, _, port = address.rpartition(":")
        self._acceptor = await asyncssh.listen(
            host.strip("[]"),
            int(port),
            server_factory=lambda: _Connection(self),
            server_host_keys=[self.keys.host],
            config=None,
            kex_algs=_known_kex(),
            encryption_algs=[name.decode() for name in GCM],
            mac_algs=["hmac-sha2-256-etm@openssh.com"],  # unused beside GCM, but may not be empty
            signature_algs=["ssh-ed25519"],
            compression_algs=None,
            x509_trusted_certs=None,
            gss_host=None,
            host_based_auth=False,
            password_auth=False,
            kbdint_auth=False,
            public_key_auth=True,
            agent_forwarding=False,
            x11_forwarding=False,
            allow_pty=False,
            line_editor=False,
            encoding=None,
            server_version="hoop",
            login_timeout=LOGIN_GRACE,
            keepalive_interval=KEEPALIVE,
            keepalive_count_max=4,
        )
        self.identity.revoked.append(self.disconnect)

    def disconnect(self, principal: str) -> None:
        """Ends each connection of a principal, lanes included."""
        for connection in list(self.connections):
            if connection.principal == principal:
                connection.end("signed out")

    def waiting(self) -> int:
        """How many connections have not signed in yet."""
        return sum(1 for connection in self.connections if not connection.ready)

    def stop_accepting(self) -> None:
        if self._acceptor is not None:
            self._acceptor.close()

    async def close(self) -> None:
        """No listener, no connection and no lane is left when it returns."""
        self.stop_accepting()
        if self.disconnect in self.identity.revoked:
            self.identity.revoked.remove(self.disconnect)
        ending = list(self.connections)
        for connection in ending:
            connection.end("the agent stops")
        for connection in ending:
            await connection.wait_closed()
        if self._acceptor is not None:
            await self._acceptor.wait_closed()
            self._acceptor = None


class _Connection(asyncssh.SSHServer):
    """One SSH connection: who it is, and what it may open."""

    def __init__(self, door: SshDoor) -> None:
        self._door = door
        self._user = ""
        self._tries = 0
        self._shown: asyncssh.SSHKey | None = None  # shown last; proven only once `ready`
        self._lanes = 0
        self.principal = ""  # set once it is proven, never for hoop-login
        self.ready = False

    # --- its life

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._conn = conn
        host, port = conn.get_extra_info("peername")[:2]
        self._peer = (str(host), int(port))
        if self._door.waiting() >= MAX_STARTUPS:
            conn.abort()
            return
        self._door.connections.add(self)
        _show_chacha_where_needed(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._door.connections.discard(self)
        if self.ready:
            log.info("ssh.closed", principal=self.principal or LOGIN, peer=self._peer[0])

    def end(self, reason: str) -> None:
        self._conn.disconnect(asyncssh.DISC_BY_APPLICATION, reason)

    async def wait_closed(self) -> None:
        await self._conn.wait_closed()

    # --- who it is

    def begin_auth(self, username: str) -> bool:
        """Always asks for proof; what the last user name was shown for counts no more."""
        self._user = username
        self._shown = None
        if username == LOGIN:
            self._conn.set_authorized_keys(None)
        else:
            ours = _OurCertificates(self._door.keys.user_ca, username, self._count)
            self._conn.set_authorized_keys(ours)
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """A plain key opens nothing but hoop-login.  Called for an offer *and* for a signature."""
        self._count()
        if username != LOGIN or key.get_algorithm() != "ssh-ed25519":
            return False
        self._shown = key
        return True

    async def auth_completed(self) -> None:
        """From here on the user name is proven, and so is the key that was shown last."""
        user = self._conn.get_extra_info("username")
        if user != self._user or (user == LOGIN) != (self._shown is not None):
            self._conn.abort()
            return
        if user != LOGIN:
            self.principal = user
        self.ready = True
        log.info("ssh.opened", principal=self.principal or LOGIN, peer=self._peer[0])

    def _count(self) -> None:
        self._tries += 1
        if self._tries > MAX_TRIES:
            raise asyncssh.DisconnectError(
                asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "too many keys"
            )

    # --- what it may open

    def session_requested(self) -> Any:
        if self.principal:
            return self._api_channel()
        if self.ready and self._shown is not None and self._take_place():
            door = self._door
            return SignIn(door.identity, door.welcome, self._shown, self._give_place)
        return False

    def connection_requested(
        self,
        dest_host: str,
        dest_port: int,
        orig_host: str,
        orig_port: int,
    ) -> Any:
        """The host is a target's name.  Ports, and the client's word on itself, mean nothing."""
        return self._target_channel(dest_host) if self.principal else False

    async def _api_channel(self) -> asyncssh.SSHServerSession[bytes]:
        who = await self._signed_in()
        protocol = await self._opened(self._door.open_api(who, self._peer[0]))
        return SubsystemLane(protocol, self._peer, self._give_place, "hoop-api")

    async def _target_channel(self, target: str) -> asyncssh.SSHTCPSession[bytes]:
        who = await self._signed_in()
        protocol = await self._opened(self._door.open_lane(who, target, self._peer[0]))
        return TcpLane(protocol, self._peer, self._give_place)

    async def _signed_in(self) -> Principal:
        """The principal as the store knows it now, not as it was when the connection opened."""
        try:
            who = await self._door.identity.signed_in(self.principal)
        except StoreAway as problem:
            raise _prohibited("the agent cannot reach its store") from problem
        if who is None:
            self.end("signed out")
            raise _prohibited("you are not signed in")
        return who

    async def _opened(self, opening: Awaitable[asyncio.Protocol]) -> asyncio.Protocol:
        try:
            protocol = await opening
        except Refused as refused:
            raise _prohibited(refused.message) from refused
        except StoreAway as problem:
            raise _prohibited("the agent cannot reach its store") from problem
        if not self._take_place():
            raise _prohibited("too many channels")
        return protocol

    def _take_place(self) -> bool:
        if self._lanes >= MAX_LANES:
            return False
        self._lanes += 1
        return True

    def _give_place(self) -> None:
        self._lanes -= 1


class _OurCertificates(asyncssh.SSHAuthorizedKeys):
    """Which certificate is good for one user name: of our CA, and naming it and nobody else.

    asyncssh then checks the rest: kind, times, the CA's signature, and the client's own.
    """

    def __init__(self, ca: asyncssh.SSHKey, username: str, count: Callable[[], None]) -> None:
        super().__init__()
        self._ca = ca.public_data
        self._username = username
        self._count = count

    def validate(
        self,
        key: asyncssh.SSHKey,
        client_host: str,
        client_addr: str,
        cert_principals: Sequence[str] | None = None,
        ca: bool = False,
    ) -> dict[str, Any] | None:
        """No options where it is good, None where it is not.  A plain key never is."""
        if not ca:
            return None
        self._count()
        # A certificate that names nobody would be good for every user name.
        named = list(cert_principals or ()) == [self._username] and is_id(self._username)
        return {} if named and key.public_data == self._ca else None

    def validate_x509(self, *_: Any) -> Any:
        raise asyncssh.PermissionDenied("X.509 is not used here")


def _prohibited(words: str) -> asyncssh.ChannelOpenError:
    return asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, words)


def _known_kex() -> list[str]:
    """Those of ``KEX`` that this installation of asyncssh has; ML-KEM needs a recent one."""
    from asyncssh.kex import get_kex_algs

    known = {name.decode() for name in get_kex_algs()}
    return [name for name in KEX if name in known]


def _show_chacha_where_needed(conn: asyncssh.SSHServerConnection) -> None:
    """Adds chacha20 to what one client is shown, if its version says that it has no GCM.

    asyncssh has no call for this.  It sends its lists right after the client's version has come,
    so that is the moment; without these two names of its inside the list stays as it was.
    """
    send = getattr(conn, "_send_kexinit", None)
    if send is None or not hasattr(conn, "_enc_algs"):
        return

    def send_kexinit() -> None:
        if "dropbear" in str(conn.get_extra_info("client_version", "")).lower():
            conn._enc_algs = [*GCM, CHACHA]
        send()

    setattr(conn, "_send_kexinit", send_kexinit)  # noqa: B010 - mypy forbids the plain form
