"""One connection through the SSH door: who it is, and what it may open.

Order of the file: its life, who it is, what it may open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any

import asyncssh
import structlog

from hoopagent.doors import by_key
from hoopagent.doors.by_key import ByKey, names_of
from hoopagent.doors.certificates import OurCertificates
from hoopagent.doors.channel import SubsystemLane, TcpLane
from hoopagent.doors.login import Caller
from hoopagent.doors.peers import on_tcp
from hoopagent.doors.sign_in import SignIn
from hoopagent.doors.ssh_algorithms import show_chacha_where_needed
from hoopagent.doors.ssh_packets import leave_out_ignores
from hoopagent.errors import Refused
from hoopagent.shells import forwards
from hoopagent.shells.client import Opening, PersonChannel
from hoopagent.shells.live import ShellLive
from hoopagent.shells.shells import Visit
from hoopagent.store import StoreAway
from hoopcore.model import Principal

if TYPE_CHECKING:
    from hoopagent.doors.ssh import SshDoor

log = structlog.get_logger()

LOGIN = "hoop-login"

LOGIN_GRACE = 30.0  # seconds from connect to signed in
MAX_TRIES = 10  # keys a client may show; an ssh-agent full of them shows each
LOGIN_LIFE = 120.0  # seconds that one connection of hoop-login may be there
MAX_LANES = 64  # channels of one connection
MAX_CONNECTIONS = 64  # of one principal


class Connection(asyncssh.SSHServer):
    """One SSH connection: who it is, and what it may open."""

    def __init__(self, door: SshDoor) -> None:
        self._door = door
        self._user = ""
        self._tries = 0
        self._shown: asyncssh.SSHKey | None = None  # shown last; proven only once `ready`
        self._lanes = 0
        self._noted = 0  # refused forwards that were recorded
        self._loop = asyncio.get_running_loop()
        self._by_key: ByKey | None = None  # of a connection that names an SSH target
        self._ending: asyncio.TimerHandle | None = None
        self._visit: Visit | None = None  # of a connection that names an SSH target
        self.principal = ""  # set once it is proven, never for hoop-login
        self.sign_in = ""  # the one its certificate is of
        self.ready = False

    # --- its life

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._conn = conn
        # Who has gone again by now has no address any more.
        host, port = (conn.get_extra_info("peername") or ("unknown", 0))[:2]
        self._peer = (str(host), int(port))
        self._whose = on_tcp(conn).whose
        self._ending = self._loop.call_later(LOGIN_GRACE, conn.abort)
        self._door.connections.add(self)
        self._door.crowd.enter(self, self._whose)
        attempts = self._door.attempts
        if attempts is not None and attempts.too_many(self._whose):
            # A moment later, behind our version: so the client can read it.
            words = "too many sign-ins from here; wait a minute"
            self._loop.call_soon(conn.disconnect, asyncssh.DISC_TOO_MANY_CONNECTIONS, words)
        self._succeed = conn.send_userauth_success
        conn.send_userauth_success = self._proved  # type: ignore[method-assign]  # see there
        show_chacha_where_needed(conn)
        leave_out_ignores(conn)
        conn.create_agent_listener = self._no_agent  # type: ignore[method-assign]  # has no callback
        conn.attach_x11_listener = self._no_display  # type: ignore[assignment,method-assign]  # nor of this

    def drop(self) -> None:
        """There are too many who have not said who they are, and this one has waited longest."""
        self._conn.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._door.connections.discard(self)
        self._door.crowd.leave(self)
        if self._visit is not None:
            self._visit.left()
        if self._ending is not None:
            self._ending.cancel()
        if self._by_key is not None:
            self._by_key.close()
        if self.ready:
            log.info("ssh.closed", principal=self.principal or LOGIN, peer=self._peer[0])
            return
        if self._conn.get_extra_info("client_version"):
            self._failed()  # it had a handshake, which is work, and showed nothing that is good
        if self._tries:
            why = "none of the keys and certificates that were shown is good"
            self._door.identity.refusals.note("ssh", why, who=self._user, peer=self._peer[0])

    @property
    def has_lanes(self) -> bool:
        return self._lanes > 0

    def end(self, reason: str) -> None:
        self._conn.disconnect(asyncssh.DISC_BY_APPLICATION, reason)

    async def wait_closed(self) -> None:
        await self._conn.wait_closed()

    # --- who it is

    def begin_auth(self, username: str) -> bool:
        """Always asks for proof; what the last user name was shown for counts no more."""
        self._user = username
        self._shown = None
        if self._by_key is not None:
            self._by_key.close()
            self._by_key = None
        keys = self._door.keys_of_people
        if keys is not None and "+" in username:
            self._by_key = ByKey(keys, username, self._whose, self._peer[0])
        if username == LOGIN:
            self._conn.set_authorized_keys(None)
        else:
            ours = OurCertificates(self._door.keys.user_ca, username, self._count)
            self._conn.set_authorized_keys(ours)
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """A plain key opens nothing but hoop-login, or what its owner has signed in to with it.

        Called for an offer *and* for a signature.
        """
        self._count()
        if self._by_key is not None:
            return self._by_key.show(key)
        if username != LOGIN or key.get_algorithm() != "ssh-ed25519":
            return False
        self._shown = key
        return True

    async def _proved(self) -> None:
        """Called when a method of signing in has succeeded; asyncssh would let them in.

        The signature of a key that is nobody's is half of it: what is left is to sign in.
        """
        mine = self._by_key
        known = mine is None or mine.bound is not None or self._named_by_certificate()
        if mine is None or known or mine.signed():
            await self._succeed()
        else:
            self._failed()  # a stranger still, who makes work: it is an attempt
            self._tries = 0  # with what else is in their ssh-agent, a certificate say
            self._end_later(by_key.PATIENCE)
            self._conn.send_userauth_failure(partial_success=True)

    def kbdint_auth_supported(self) -> bool:
        return self._by_key is not None and self._by_key.waits

    async def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        return False if self._by_key is None else await self._by_key.challenge()

    async def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> Any:
        return False if self._by_key is None else await self._by_key.answered()

    def _named_by_certificate(self) -> str:
        return str(self._conn.get_key_option("named", ""))

    def _end_later(self, seconds: float) -> None:
        if self._ending is not None:
            self._ending.cancel()
        self._ending = self._loop.call_later(seconds, self._conn.abort)

    async def auth_completed(self) -> None:
        """From here on the user name is proven, and so is the key that was shown last."""
        user = self._conn.get_extra_info("username")
        if user != self._user or (user == LOGIN) != (self._shown is not None):
            self._conn.abort()
            return
        if user != LOGIN and not self._who(user)[0]:
            self._conn.abort()
            return
        if self._conn.get_certificate_option("force-command") is not None:
            self._conn.abort()  # we make no such certificate, and would not do as it says
            return
        if self._ending is not None:
            self._ending.cancel()
        if user == LOGIN:
            # Any key does, so this one is a stranger still; and each sign-in is an attempt.
            self._failed()
            self._ending = self._loop.call_later(LOGIN_LIFE, self.end, "signing in took too long")
        else:
            self._door.crowd.leave(self)
            self.principal, self.sign_in = self._who(user)
            self._name_target(user)
        self.ready = True
        log.info("ssh.opened", principal=self.principal or LOGIN, peer=self._peer[0])
        if dropped := self._door.crowd.dropped():
            log.warning("door.full", door="ssh", dropped=dropped)
        if self._door.connections_of(self.principal) > MAX_CONNECTIONS:
            self.end("you have too many connections open")

    def _who(self, user: str) -> tuple[str, str]:
        """The principal and the sign-in that were proved."""
        sign_in = str(self._conn.get_key_option("sign-in", ""))
        if "+" not in user:
            return user, sign_in
        if named := self._named_by_certificate():
            return named, sign_in
        bound = self._by_key.bound if self._by_key is not None else None
        return ("", "") if bound is None else (bound.principal, bound.sign_in)

    def _name_target(self, user: str) -> None:
        _, plus, target = user.partition("+")
        if plus and self._door.shells is not None:
            self._visit = self._door.shells.visit(target, self._peer[0], self._conn)

    def _failed(self) -> None:
        if self._door.attempts is not None:
            self._door.attempts.failed(self._whose)

    def _count(self) -> None:
        self._tries += 1
        if self._tries > MAX_TRIES:
            raise asyncssh.DisconnectError(
                asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "too many keys"
            )

    # --- what it may open

    def session_requested(self) -> Any:
        if "+" in self._user:
            return self._shell_channel()
        if self.principal:
            return self._api_channel()
        if self.ready and self._shown is not None and self._take_place():
            door = self._door
            peer = self._peer[0]
            return SignIn(door.identity, door.welcome, self._shown, self._give_place, peer)
        return False

    def connection_requested(
        self,
        dest_host: str,
        dest_port: int,
        orig_host: str,
        orig_port: int,
    ) -> Any:
        """The host is a target's name.  Ports, and the client's word on itself, mean nothing."""
        if not self.principal:
            return False
        if "+" in self._user:
            return self._forward(dest_host, dest_port)
        return self._target_channel(dest_host)

    def unix_connection_requested(self, dest_path: str) -> Any:
        return self._no_socket() if self._visit is not None else False

    async def server_requested(self, listen_host: str, listen_port: int) -> bool:
        """Called for -R."""
        await self._not_forwarded(f"forward from port {listen_port} of the target (-R)")
        return False

    async def unix_server_requested(self, listen_path: str) -> bool:
        await self._not_forwarded("forward from a unix socket of the target (-R)")
        return False

    async def _no_socket(self) -> Any:
        raise _prohibited(f"hoop: {await self._not_forwarded('forward to a unix socket')}")

    async def _no_agent(self) -> bool:
        await self._not_forwarded("forwarding of an ssh-agent (-A)")
        return False

    async def _no_display(self, *_: object) -> None:
        await self._not_forwarded("forwarding of X11 (-X)")

    async def _not_forwarded(self, what: str) -> str:
        """Refused and recorded, on an SSH target; what the person is told."""
        if self._visit is None or self._noted >= MAX_LANES:
            return "that is never forwarded"
        self._noted += 1
        words = await forwards.refused(self._live, what)
        # OpenSSH shows it with -v, where a line more on stderr would be in many people's way.
        self._conn.send_debug(f"hoop: {words}", always_display=True)
        return words

    async def _api_channel(self) -> asyncssh.SSHServerSession[bytes]:
        who = await self._signed_in()
        protocol = await self._opened(self._door.open_api(who, self._peer[0]))
        return SubsystemLane(protocol, self._peer, self._give_place, "hoop-api")

    async def _shell_channel(self) -> asyncssh.SSHServerSession[bytes]:
        visit = await self._named()
        if not self._take_place():
            raise _prohibited("too many channels")
        background = visit.shells.parts.background
        return PersonChannel(Opening(self._live, background, self._give_place))

    async def _forward(self, host: str, port: int) -> asyncssh.SSHTCPSession[bytes]:
        await self._named()
        if not self._take_place():
            raise _prohibited("too many channels")
        return await forwards.opened(forwards.Wish(host, port, self._live, self._give_place))

    async def _named(self) -> Visit:
        """The visit of a connection whose user name is its principal's."""
        who, said = await self._signed_in(), self._user.partition("+")[0]
        if self._visit is None or said not in names_of(who):
            raise _prohibited(f'you are not "{said[:60]}" here: ssh -l {who.id}+TARGET')
        return self._visit

    async def _live(self) -> ShellLive:
        """The session of this connection, once more whoever has it."""
        visit, who = await self._named(), await self._signed_in()
        return await visit.live(lambda target, peer: Caller(who, target, "ssh", peer))

    async def _target_channel(self, target: str) -> asyncssh.SSHTCPSession[bytes]:
        who = await self._signed_in()
        protocol = await self._opened(self._door.open_lane(who, target, self._peer[0]))
        return TcpLane(protocol, self._peer, self._give_place)

    async def _signed_in(self) -> Principal:
        """The principal as the store knows it now, not as it was when the connection opened."""
        try:
            # A certificate of before sign-ins had ids names none; it ends within the hour.
            who = await self._door.identity.signed_in(self.principal, self.sign_in or None)
        except StoreAway as problem:
            raise _prohibited("the agent cannot reach its store") from problem
        if who is None:
            if self._door.keys_of_people is not None:
                self._door.keys_of_people.forget(self.sign_in)  # ended at another agent, say
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


def _prohibited(words: str) -> asyncssh.ChannelOpenError:
    return asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, words)
