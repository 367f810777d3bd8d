"""The agent's own SSH connection to a target: who it must be, and with which proof we come.

Nothing is taken from the account that the agent runs under: no ssh_config, no ssh-agent, no known
hosts.  A host whose key is not pinned is not spoken to, and a target that offers only what the
agent's own door would not speak is refused.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import asyncssh

from hoopagent.config import TargetSection
from hoopagent.connect import KeyUnsafe, check_key, explain
from hoopagent.doors.ssh_algorithms import GCM, known_kex
from hoopagent.doors.ssh_packets import leave_out_ignores
from hoopagent.keys import Keys
from hoopagent.secrets import Secrets, SecretUnread
from hoopcore.model import Time

LIMIT = 9.0  # seconds from the first packet to signed in

HOST_KEYS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256")
_CERTIFIED = tuple(
    f"{name}-cert-v01@openssh.com" for name in ("ssh-ed25519", "ecdsa-sha2-nistp256")
)


class NotReached(Exception):
    """Which target, and why there is no connection to it; for people."""


@dataclass(frozen=True, slots=True)
class Way:
    """How one session goes to its target."""

    target: str
    section: TargetSection
    account: str
    label: str  # what the target's own log may tell of us


class Reaching:
    """Opens connections to targets."""

    def __init__(self, keys: Keys | None, secrets: Secrets) -> None:
        self._keys = keys
        self._secrets = secrets

    async def connect(self, way: Way, client: asyncssh.SSHClient, now: Time) -> Any:
        """The connection, signed in; NotReached says in full why there is none."""
        host, _, port = str(way.section.address).rpartition(":")
        meeting = _Quiet(client)
        try:
            options = await self._proof(way, now)
            async with asyncio.timeout(LIMIT):
                return await asyncssh.connect(
                    host.strip("[]"),
                    int(port),
                    client_factory=lambda: meeting,
                    username=way.account,
                    known_hosts=trusted(way.section),
                    config=None,
                    agent_path=None,
                    agent_forwarding=False,
                    gss_host=None,
                    x509_trusted_certs=None,
                    kex_algs=known_kex(),
                    encryption_algs=[name.decode() for name in GCM],
                    mac_algs=["hmac-sha2-256-etm@openssh.com"],
                    compression_algs=None,
                    signature_algs=[*HOST_KEYS],
                    server_host_key_algs=[*_CERTIFIED, *HOST_KEYS],
                    client_version="hoop",
                    login_timeout=LIMIT,
                    **options,
                )
        except SecretUnread as problem:
            raise _not_reached(way, "the agent cannot read its credential") from problem
        except KeyUnsafe as problem:
            raise _not_reached(way, str(problem)) from problem
        except TimeoutError:
            raise _not_reached(way, f"no answer within {LIMIT:.0f} s") from None
        except (asyncssh.Error, asyncssh.KeyImportError, OSError) as problem:
            if isinstance(problem, asyncssh.PermissionDenied):
                self._secrets.forget(way.target)
            raise _not_reached(way, why(problem, way, meeting)) from problem

    async def _proof(self, way: Way, now: Time) -> dict[str, Any]:
        """Exactly one way to sign in."""
        credential = way.section.credential
        nothing: dict[str, Any] = {"client_keys": None, "password": None}
        if credential.certificate:
            if self._keys is None:
                raise _not_reached(way, "the agent has no key to sign certificates with")
            key, certificate = self._keys.for_account(
                way.account, way.label, now, forwards=bool(way.section.forwards)
            )
            pair = asyncssh.load_keypairs([(key, certificate)])[0]
            return nothing | {"client_keys": [pair], "preferred_auth": "publickey"}
        if credential.key_file is not None:
            check_key(credential.key_file)
            one = await asyncio.to_thread(asyncssh.read_private_key, str(credential.key_file))
            return nothing | {"client_keys": [one], "preferred_auth": "publickey"}
        password = await self._secrets.password(way.target, credential)
        return nothing | {"password": password, "preferred_auth": "password"}


class _Quiet(asyncssh.SSHClient):
    """Answers nothing that the target asks beside its protocol, and shows no banner."""

    def __init__(self, told: asyncssh.SSHClient) -> None:
        self._told = told
        self._conn: Any = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self._conn = conn
        leave_out_ignores(conn)
        _no_sha1(conn)

    @property
    def greeted(self) -> bool:
        """Whether it has said that it speaks SSH."""
        return self._conn is not None and bool(self._conn.get_extra_info("server_version"))

    @property
    def has_keys(self) -> bool:
        return bool(getattr(self._conn, "_session_id", True))

    def connection_lost(self, exc: Exception | None) -> None:
        self._told.connection_lost(exc)


def _no_sha1(conn: Any) -> None:
    """A host's RSA key signs with SHA-2.

    asyncssh offers what it is told to, and takes any signature that the key can make.
    """
    validate = conn.validate_server_host_key

    def validated(data: bytes) -> Any:
        key = validate(data)
        if key.algorithm == b"ssh-rsa":
            key.all_sig_algorithms = {b"rsa-sha2-256", b"rsa-sha2-512"}
        return key

    conn.validate_server_host_key = validated


def trusted(section: TargetSection) -> Any:
    """What the target may prove itself with, as asyncssh wants it; never nothing."""
    host = section.host
    if host.known_hosts is not None:
        return str(host.known_hosts)
    keys = [asyncssh.import_public_key(line) for line in host.keys]
    return keys, [asyncssh.import_public_key(line) for line in host.ca], []


# What is missing, and the setting of sshd that has it.
_WANTED = {
    "key exchange": ("curve25519-sha256", "KexAlgorithms"),
    "encryption": ("aes256-gcm@openssh.com, aes128-gcm@openssh.com", "Ciphers"),
}
_ALGORITHMS = (
    "it offers none of the algorithms that hoop speaks (curve25519-sha256, aes256-gcm@openssh.com,"
    " a host key of Ed25519, ECDSA P-256 or RSA with SHA-2): update its sshd, or see to"
    " KexAlgorithms and Ciphers of its sshd_config and to its host keys (ssh-keygen -A)"
)


def _without(kind: str) -> str:
    names, setting = _WANTED[kind]
    return (
        f"it offers none of the algorithms that hoop speaks for {kind} ({names}): update its sshd,"
        f" or add one of them to {setting} of its sshd_config"
    )


def why(problem: Exception, way: Way, meeting: _Quiet) -> str:
    """In words that say what to do next."""
    section = way.section
    match problem:
        case asyncssh.HostKeyNotVerifiable():
            return (
                "it does not show a host key that is pinned; either it is another machine, or its"
                f" key has changed: compare, then mend [targets.{way.target}.host]"
            )
        case asyncssh.KeyExchangeFailed():
            kind = next((kind for kind in _WANTED if f" {kind} " in str(problem)), "")
            return _without(kind) if kind else _ALGORITHMS
        case asyncssh.ConnectionLost() | ConnectionResetError() if meeting.greeted:
            if not meeting.has_keys:
                return _ALGORITHMS  # which sshd does not wait for us to find out
            return "it closed the connection while we signed in"
        case asyncssh.ConnectionLost():
            return "it closed the connection before it said what it speaks"
        case asyncssh.PermissionDenied():
            kind = "the certificate" if section.credential.certificate else "the credential"
            return f'it does not take {kind} for account "{way.account}"'
        case asyncssh.Error():
            return f"it does not speak SSH as it should ({type(problem).__name__})"
    return explain(problem)


def _not_reached(way: Way, words: str) -> NotReached:
    return NotReached(f'could not reach target "{way.target}" at {way.section.address}: {words}')
