"""The agent's SSH door, from the outside: HTTP requests on ``hoop-login`` channels.

``connect`` is the one way to it, for signing in and for everything else (``tunnels.link``).

The agent proves itself with the host key that was pinned, and we prove the key the certificate
shall be for; both are SSH's doing, and nothing is sent before the first has happened.  No setting
of the person's own ssh (config, agent, known hosts) has a part in it.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from hoopcli.errors import AgentUnreachable, Failure, NotSignedIn
from hoopcli.profile import Place, changed_key
from hoopcore import versions

if TYPE_CHECKING:
    import asyncssh
    import h11

TIME_LIMIT = 40.0  # seconds; the agent may have to ask the provider for its keys first
LARGEST = 256 << 10  # bytes of an answer

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 - a name
WORKLOAD_TOKEN = "urn:ietf:params:oauth:token-type:jwt"  # noqa: S105 - a name


@dataclass(frozen=True, slots=True)
class Welcome:
    """Which provider the agent believes, and what hoop is called there."""

    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    version: str = ""  # of hoop, there


@dataclass(frozen=True, slots=True)
class Exchanged:
    token: str = field(repr=False)
    expires: str  # RFC 3339
    identity_until: str
    certificate: str
    principal: Mapping[str, Any]  # id, name, email, groups
    sign_in: str = ""  # the agent's id of it; empty from an agent that has none


class Refusal(Failure):
    """The agent's no to a sign-in; ``reason`` is its word for why."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


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
    seen: list[asyncssh.SSHKey] = []
    try:
        _ask(place, "", fresh_key(), [], seen)
    except Failure:
        if seen:
            return seen[0].get_fingerprint()
        raise
    raise AgentUnreachable(f"{place.host}:{place.port} shows no host key")


def public_key(place: Place, host_key: str) -> str:
    """The pinned host key itself, as a known_hosts file has it: kind and base64."""
    seen: list[asyncssh.SSHKey] = []
    _ask(place, host_key, fresh_key(), [], seen)
    return " ".join(seen[0].export_public_key().decode().split()[:2])


def welcome(place: Place, host_key: str) -> Welcome:
    """What the agent tells anybody."""
    told = _one(place, host_key, fresh_key(), _Request("GET", "/.well-known/hoop"))
    try:
        return Welcome(
            issuer=str(told["issuer"]),
            client_id=str(told["client_id"]),
            scopes=tuple(told["scopes"]),
            version=str(told.get("version") or ""),
        )
    except (KeyError, TypeError) as problem:
        raise Failure(f"{place.name} answers, but not as an agent of hoop") from problem


def nonce(host_key: str, key: str) -> str:
    """What makes an ID token good for this private key at this agent, and for nothing else."""
    import asyncssh

    from hoopcore.nonce import nonce_for

    return nonce_for(host_key, asyncssh.import_private_key(key).public_data)


def exchange(
    place: Place,
    host_key: str,
    key: str,
    id_token: str,
    *,
    kind: str = ID_TOKEN,
    previous: str = "",
) -> Exchanged:
    """An ID token for an agent token and a certificate for ``key``; Refusal is the agent's no.

    ``previous`` is the agent token that this one takes the place of, for a renewal.
    """
    form = {"grant_type": EXCHANGE, "subject_token": id_token, "subject_token_type": kind}
    if previous:
        form["previous"] = previous
    told = _one(place, host_key, key, _Request("POST", "/token", form))
    try:
        return Exchanged(
            token=str(told["access_token"]),
            expires=str(told["expires_at"]),
            identity_until=str(told["identity_until"]),
            certificate=str(told["ssh_certificate"]),
            principal={**told["principal"]},
            sign_in=str(told.get("sign_in", "")),
        )
    except (KeyError, TypeError) as problem:
        raise Failure(f"{place.name} answers, but not as an agent of hoop") from problem


def revoke(place: Place, host_key: str, tokens: Sequence[str]) -> None:
    """Ends agent tokens; one the agent does not know is ended already."""
    requests = [_Request("POST", "/revoke", {"token": token}) for token in tokens]
    if requests:
        _ask(place, host_key, fresh_key(), requests)


def revoke_everywhere(place: Place, host_key: str, token: str) -> bool:
    """Ends every sign-in of whoever's token this is; False where the agent is too old for that."""
    form = {"token": token, "everywhere": "1"}
    told = _one(place, host_key, fresh_key(), _Request("POST", "/revoke", form))
    return told.get("everywhere") is True


# --- inside ---------------------------------------------------------------------------------------


def _one(place: Place, host_key: str, key: str, request: _Request) -> dict[str, Any]:
    status, told = _ask(place, host_key, key, [request])[0]
    if status != 200:
        why = str(told.get("error_description") or told.get("error") or status)
        reason = str(told.get("reason") or told.get("error") or "")
        raise Refusal(f"the agent at {place.name} refused: {why}", reason)
    return told


def _ask(
    place: Place,
    host_key: str,
    key: str,
    requests: Sequence[_Request],
    seen: list[asyncssh.SSHKey] | None = None,
) -> list[tuple[int, dict[str, Any]]]:
    """Answers in the order of the requests."""
    import asyncssh

    answers: list[tuple[int, dict[str, Any]]] = []

    async def converse() -> None:
        keys = [asyncssh.import_private_key(key)]
        async with (
            asyncio.timeout(TIME_LIMIT),
            await connect(place, host_key, "hoop-login", keys, seen=seen) as connection,
        ):
            for request in requests:
                answers.append(await _over(connection, request))  # noqa: PERF401 - awaits

    with told(place):
        asyncio.run(converse())
    return answers


async def connect(
    place: Place,
    host_key: str,
    user: str,
    keys: Sequence[Any],
    *,
    seen: list[asyncssh.SSHKey] | None = None,
    limit: float = 10,
    silence: float = 0,
) -> asyncssh.SSHClientConnection:
    """A connection to the agent with that host key, and to no other: Failure says what it showed.

    ``seen`` gets the key that was shown.  After ``silence`` seconds without a word the agent is
    asked whether it is there, and after the third time without an answer the connection ends.
    """
    import asyncssh

    shown = [] if seen is None else seen

    class Pinned(asyncssh.SSHClient):
        def validate_host_public_key(
            self, host: str, addr: str, port: int, key: asyncssh.SSHKey
        ) -> bool:
            shown.append(key)
            return key.get_fingerprint() == host_key

    try:
        return await asyncssh.connect(
            place.host,
            place.port,
            username=user,
            client_factory=Pinned,
            client_keys=list(keys),
            known_hosts=([], [], []),
            server_host_key_algs=["ssh-ed25519"],
            encryption_algs=["aes256-gcm@openssh.com", "aes128-gcm@openssh.com"],
            x509_trusted_certs=None,
            preferred_auth="publickey",
            agent_path=None,
            gss_host=None,
            config=None,
            connect_timeout=limit,
            login_timeout=limit,
            keepalive_interval=silence,
            keepalive_count_max=3,
        )
    except asyncssh.HostKeyNotVerifiable as problem:
        if shown:
            raise changed_key(place.name, host_key, shown[0].get_fingerprint()) from problem
        where = f"{place.host}:{place.port}"
        raise AgentUnreachable(f"{where} does not show the kind of key an agent has") from problem


@contextmanager
def told(place: Place) -> Iterator[None]:
    """What the network and SSH raise, as a Failure in a person's words."""
    import asyncssh

    where = f"{place.host}:{place.port}"
    try:
        yield
    except TimeoutError as problem:
        raise AgentUnreachable(f"the agent at {where} did not answer in time", "") from problem
    except OSError as problem:
        # asyncio's own words for a connection refused name the address a second time.
        number = problem.errno or 0
        why = os.strerror(number) if number > 0 else problem.strerror or str(problem)
        raise AgentUnreachable(f"could not reach the agent at {where}: {why}") from problem
    except asyncssh.PermissionDenied as problem:
        said = f"the agent at {where} does not take your certificate"
        raise NotSignedIn(said, f"Sign in:  hoop login --agent {place.name} --force") from problem
    except asyncssh.Error as problem:
        words = f"{where} answers, but not as an agent: {problem.reason}"
        raise AgentUnreachable(words) from problem
    except asyncssh.packet.PacketDecodeError as problem:
        raise AgentUnreachable(f"{where} answers, but not as an agent") from problem


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
            (versions.HEADER, str(versions.ours())),
        ],
    )
    for event in (head, h11.Data(data=body), h11.EndOfMessage()):
        stdin.write(http.send(event) or b"")
    status, content, spoken = 0, bytearray(), versions.FIRST
    try:
        while not isinstance(told := http.next_event(), h11.EndOfMessage):
            if told is h11.NEED_DATA:
                http.receive_data(await stdout.read(16 << 10))
            elif isinstance(told, h11.Response):
                status = told.status_code
                spoken = _spoken(told)
            elif isinstance(told, h11.Data) and len(content) <= LARGEST:
                content += told.data
        value = json.loads(content)
    except (h11.ProtocolError, ValueError) as problem:
        raise Failure("the agent's answer cannot be read") from problem
    finally:
        stdin.close()
    differ = versions.apart(versions.ours(), spoken)
    if differ is not None and request.path != "/revoke":
        raise Failure(*differ)
    return status, value if isinstance(value, dict) else {}


def _spoken(told: h11.Response) -> versions.Speaks:
    """The versions of the API that the agent speaks."""
    name = versions.HEADER.lower().encode()
    said = [value.decode("latin-1") for one, value in told.headers if one == name]
    return versions.Speaks.read(said[0] if said else None)
