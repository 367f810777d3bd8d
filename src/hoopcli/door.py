"""The agent's SSH door, from the outside: HTTP requests on ``hoop-login`` channels.

The agent proves itself with the host key that was pinned, and we prove the key the certificate
shall be for; both are SSH's doing, and nothing is sent before the first has happened.  No setting
of the person's own ssh (config, agent, known hosts) has a part in it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from hoopcli.errors import AgentUnreachable, Failure
from hoopcli.profile import Place, changed_key

if TYPE_CHECKING:
    import asyncssh

TIME_LIMIT = 40.0  # seconds; the agent may have to ask the provider for its keys first
LARGEST = 256 << 10  # bytes of an answer

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 - a name


@dataclass(frozen=True, slots=True)
class Welcome:
    """Which provider the agent believes, and what hoop is called there."""

    issuer: str
    client_id: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exchanged:
    token: str = field(repr=False)
    expires: str  # RFC 3339
    identity_until: str
    certificate: str
    principal: Mapping[str, Any]  # id, name, email, groups


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    form: Mapping[str, str] = field(default_factory=dict, repr=False)


def fresh_key() -> str:
    """A new Ed25519 private key in OpenSSH's format."""
    import asyncssh

    return (
        asyncssh.generate_private_key("ssh-ed25519", comment="hoop").export_private_key().decode()
    )


def shown_key(place: Place) -> str:
    """The fingerprint of whoever answers there.  Nothing but a handshake happens."""
    seen: list[str] = []
    try:
        _run(place, "", fresh_key(), [], seen)
    except _Another:
        return seen[0]
    raise AgentUnreachable(f"{place.host}:{place.port} shows no host key")


def welcome(place: Place, host_key: str) -> Welcome:
    """What the agent tells anybody."""
    told = _one(place, host_key, fresh_key(), _Request("GET", "/.well-known/hoop"))
    try:
        return Welcome(str(told["issuer"]), str(told["client_id"]), tuple(told["scopes"]))
    except (KeyError, TypeError) as problem:
        raise Failure(f"{place.name} answers, but not as an agent of hoop") from problem


def exchange(place: Place, host_key: str, key: str, id_token: str) -> Exchanged:
    """An ID token for an agent token and a certificate for ``key``; Failure is the agent's no."""
    form = {"grant_type": EXCHANGE, "subject_token": id_token, "subject_token_type": ID_TOKEN}
    told = _one(place, host_key, key, _Request("POST", "/token", form))
    try:
        return Exchanged(
            token=str(told["access_token"]),
            expires=str(told["expires_at"]),
            identity_until=str(told["identity_until"]),
            certificate=str(told["ssh_certificate"]),
            principal={**told["principal"]},
        )
    except (KeyError, TypeError) as problem:
        raise Failure(f"{place.name} answers, but not as an agent of hoop") from problem


def revoke(place: Place, host_key: str, tokens: Sequence[str]) -> None:
    """Ends agent tokens; one the agent does not know is ended already."""
    requests = [_Request("POST", "/revoke", {"token": token}) for token in tokens]
    if requests:
        _ask(place, host_key, fresh_key(), requests)


# --- inside ---------------------------------------------------------------------------------------


class _Another(Exception):
    """The host key is not the pinned one."""


def _one(place: Place, host_key: str, key: str, request: _Request) -> dict[str, Any]:
    status, told = _ask(place, host_key, key, [request])[0]
    if status != 200:
        why = str(told.get("error_description") or told.get("error") or status)
        raise Failure(f"the agent at {place.name} refused: {why}")
    return told


def _ask(
    place: Place, host_key: str, key: str, requests: Sequence[_Request]
) -> list[tuple[int, dict[str, Any]]]:
    seen: list[str] = []
    try:
        return _run(place, host_key, key, requests, seen)
    except _Another:
        raise changed_key(place.name, host_key, seen[0]) from None


def _run(
    place: Place, host_key: str, key: str, requests: Sequence[_Request], seen: list[str]
) -> list[tuple[int, dict[str, Any]]]:
    """Answers in the order of the requests.  ``seen`` gets the fingerprint that was shown."""
    import asyncssh

    where = f"{place.host}:{place.port}"
    try:
        return asyncio.run(_converse(place, host_key, key, requests, seen))
    except TimeoutError as problem:
        raise AgentUnreachable(f"the agent at {where} did not answer in time") from problem
    except OSError as problem:
        why = problem.strerror or str(problem)
        raise AgentUnreachable(f"could not reach the agent at {where}: {why}") from problem
    except asyncssh.HostKeyNotVerifiable as problem:
        if seen:
            raise _Another from problem
        raise AgentUnreachable(f"{where} does not show the kind of key an agent has") from problem
    except asyncssh.Error as problem:
        raise AgentUnreachable(
            f"{where} answers, but not as an agent: {problem.reason}"
        ) from problem


async def _converse(
    place: Place, host_key: str, key: str, requests: Sequence[_Request], seen: list[str]
) -> list[tuple[int, dict[str, Any]]]:
    import asyncssh

    class Pinned(asyncssh.SSHClient):
        def validate_host_public_key(
            self, host: str, addr: str, port: int, key: asyncssh.SSHKey
        ) -> bool:
            seen.append(key.get_fingerprint())
            return seen[-1] == host_key

    async with (
        asyncio.timeout(TIME_LIMIT),
        asyncssh.connect(
            place.host,
            place.port,
            username="hoop-login",
            client_factory=Pinned,
            client_keys=[asyncssh.import_private_key(key)],
            known_hosts=([], [], []),
            server_host_key_algs=["ssh-ed25519"],
            encryption_algs=["aes256-gcm@openssh.com", "aes128-gcm@openssh.com"],
            x509_trusted_certs=None,
            preferred_auth="publickey",
            agent_path=None,
            gss_host=None,
            config=None,
            connect_timeout=10,
        ) as connection,
    ):
        return [await _over(connection, request) for request in requests]


async def _over(
    connection: asyncssh.SSHClientConnection, request: _Request
) -> tuple[int, dict[str, Any]]:
    """One HTTP/1.1 request on a channel of its own."""
    import h11

    stdin, stdout, _ = await connection.open_session(subsystem="hoop-login", encoding=None)
    http = h11.Connection(h11.CLIENT)
    body = urlencode(request.form).encode()
    head = h11.Request(
        method=request.method,
        target=request.path,
        headers=[
            ("Host", "agent"),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Content-Length", str(len(body))),
        ],
    )
    for event in (head, h11.Data(data=body), h11.EndOfMessage()):
        stdin.write(http.send(event) or b"")
    status, content = 0, bytearray()
    try:
        while not isinstance(told := http.next_event(), h11.EndOfMessage):
            if told is h11.NEED_DATA:
                http.receive_data(await stdout.read(16 << 10))
            elif isinstance(told, h11.Response):
                status = told.status_code
            elif isinstance(told, h11.Data) and len(content) <= LARGEST:
                content += told.data
        value = json.loads(content)
    except (h11.ProtocolError, ValueError) as problem:
        raise Failure("the agent's answer cannot be read") from problem
    finally:
        stdin.close()
    return status, value if isinstance(value, dict) else {}
