"""The ``hoop-login`` subsystem: one HTTP/1.1 request on a channel whose SSH key is proven.

The channel is what makes this more than a web form: SSH has shown the agent's host key to the
client and the client's key to us, and the certificate in the answer is for that key and no other.

``GET /.well-known/hoop`` says which provider to sign in with; ``POST /token`` exchanges its ID
token, or that of a workload (RFC 8693); ``POST /revoke`` ends the sign-in of an agent token
(RFC 7009), or with ``everywhere`` all that its owner has.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qs

import asyncssh
import h11
import structlog
from asyncssh.stream import SSHServerStreamSession

from hoopagent.errors import Refused
from hoopagent.identity import Identity
from hoopagent.logs import places
from hoopagent.store import StoreAway
from hoopcore import versions
from hoopcore.model import SECOND, rfc3339

log = structlog.get_logger()

LARGEST_HEAD = 8 << 10
LARGEST_BODY = 64 << 10  # an ID token of 32 KiB, percent-encoded, with room
TIME_LIMIT = 30.0  # seconds from the subsystem's start to the answer

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 - a name
WORKLOAD_TOKEN = "urn:ietf:params:oauth:token-type:jwt"  # noqa: S105 - a name
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a name


@dataclass(frozen=True, slots=True)
class Welcome:
    """What anybody may know before signing in."""

    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    version: str


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    path: str
    form: Mapping[str, list[str]]
    speaks: versions.Speaks = versions.FIRST  # of the API, as the client says


class _Wrong(Exception):
    """A status, an error word of RFC 6749 and what to say."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.error = error


class SignIn(SSHServerStreamSession[bytes]):
    """A session channel that may become the subsystem ``hoop-login``, and nothing else."""

    def __init__(
        self,
        identity: Identity,
        welcome: Welcome,
        key: asyncssh.SSHKey,
        closed: Callable[[], None],
        peer: str = "",
    ) -> None:
        super().__init__(self._serve)
        self._identity = identity
        self._welcome = welcome
        self._key = key
        self._closed = closed
        self._peer = peer

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed()
        super().connection_lost(exc)

    def pty_requested(self, term_type: str, term_size: Any, term_modes: Any) -> bool:
        return False

    def shell_requested(self) -> bool:
        return False

    def exec_requested(self, command: str) -> bool:
        return False

    def subsystem_requested(self, subsystem: str) -> bool:
        return subsystem == "hoop-login"

    async def _serve(
        self,
        stdin: asyncssh.SSHReader[bytes],
        stdout: asyncssh.SSHWriter[bytes],
        _stderr: asyncssh.SSHWriter[bytes],
    ) -> None:
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_HEAD)
        try:
            async with asyncio.timeout(TIME_LIMIT):
                status, body = await self._answer(http, stdin)
                for event in _response(status, body):
                    stdout.write(http.send(event) or b"")
                await stdout.drain()
        except (TimeoutError, OSError, asyncssh.Error, h11.ProtocolError):
            # Whoever asks so gets no answer: there is nobody, or nobody who speaks HTTP.
            stdout.channel.abort()
        except Exception as problem:  # noqa: BLE001 - the border: our bug signs nobody in
            # Its text may hold what was sent, a token say.
            log.error("sign-in.failed", problem=type(problem).__name__, where=places(problem))
            stdout.channel.abort()
        else:
            stdout.close()

    async def _answer(
        self, http: h11.Connection, stdin: asyncssh.SSHReader[bytes]
    ) -> tuple[int, dict[str, Any]]:
        try:
            asked = await _asked(http, stdin)
            _check_version(asked)
            return 200, await self._do(asked)
        except _Wrong as wrong:
            return wrong.status, {"error": wrong.error, "error_description": str(wrong)}
        except Refused as refused:
            error = "invalid_grant" if refused.status == 401 else "temporarily_unavailable"
            status = 400 if refused.status == 401 else 503
            # RFC 6749 has no word for a token that was used; `hoop` asks for another one then.
            told = {"error": error, "error_description": refused.message, "reason": refused.error}
            return status, told
        except StoreAway:
            words = "the agent cannot reach its store"
            return 503, {"error": "temporarily_unavailable", "error_description": words}

    async def _do(self, asked: Asked) -> dict[str, Any]:
        match asked.method, asked.path:
            case "GET", "/.well-known/hoop":
                return asdict(self._welcome)
            case "POST", "/token":
                return await self._exchange(asked.form)
            case "POST", "/revoke":
                token = _only(asked.form, "token")
                if "everywhere" in asked.form:
                    await self._identity.logout_everywhere(token)
                    return {"everywhere": True}
                await self._identity.logout(token)
                return {}
        raise _Wrong(404, "invalid_request", "there is no such thing here")

    async def _exchange(self, form: Mapping[str, list[str]]) -> dict[str, Any]:
        """RFC 8693 2.1 and 2.2; nothing of it is optional here."""
        if _only(form, "grant_type") != EXCHANGE:
            raise _Wrong(400, "unsupported_grant_type", "only a token exchange is done here")
        kind = _only(form, "subject_token_type")
        if kind not in (ID_TOKEN, WORKLOAD_TOKEN):
            raise _Wrong(400, "invalid_request", "only an ID token or a JWT can be exchanged")
        if form.get("requested_token_type", [ACCESS_TOKEN]) != [ACCESS_TOKEN]:
            raise _Wrong(400, "invalid_request", "only an access token is given")
        signed = await self._identity.exchange(
            _only(form, "subject_token"),
            self._key,
            workload=kind == WORKLOAD_TOKEN,
            previous=_only(form, "previous") if "previous" in form else "",
            peer=self._peer,
        )
        principal = signed.principal
        return {
            "access_token": signed.token,
            "issued_token_type": ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_at": rfc3339(signed.expires // SECOND * SECOND),
            "identity_until": rfc3339(signed.identity_until // SECOND * SECOND),
            "ssh_certificate": signed.certificate,
            "sign_in": signed.sign_in,
            "principal": {
                "id": principal.id,
                "name": principal.name,
                "email": principal.email,
                "kind": principal.kind.value,
                "groups": sorted(principal.groups),
            },
        }


async def _asked(http: h11.Connection, stdin: asyncssh.SSHReader[bytes]) -> Asked:
    """The whole request, or an error before it has grown too large."""
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await stdin.read(16 << 10))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > LARGEST_BODY:
                raise _Wrong(413, "invalid_request", f"more than {LARGEST_BODY} bytes")
        elif isinstance(event, h11.EndOfMessage):
            break
        else:
            raise asyncssh.ConnectionLost("gone before the request was whole")
    assert head is not None
    try:
        form = parse_qs(body.decode("ascii"), strict_parsing=bool(body), max_num_fields=20)
    except ValueError:
        raise _Wrong(400, "invalid_request", "the body is not a form") from None
    said = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
    speaks = versions.Speaks.read(said.get(versions.HEADER.lower()))
    return Asked(head.method.decode("ascii"), head.target.decode("ascii"), form, speaks)


def _check_version(asked: Asked) -> None:
    """Whoever speaks none of our versions is told so; a token can be ended all the same."""
    problem = versions.apart(asked.speaks, versions.ours())
    if problem is not None and asked.path != "/revoke":
        raise _Wrong(426, "version", " \n".join(problem))


def _only(form: Mapping[str, list[str]], name: str) -> str:
    """RFC 6749 3.2: a parameter may not be given twice."""
    values = form.get(name, [])
    if len(values) != 1:
        raise _Wrong(400, "invalid_request", f"{name} must be given once")
    return values[0]


def _response(status: int, body: dict[str, Any]) -> list[h11.Event]:
    content = json.dumps(body).encode()
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(content))),
        ("Cache-Control", "no-store"),
        (versions.HEADER, str(versions.ours())),
        ("Connection", "close"),
    ]
    return [
        h11.Response(status_code=status, headers=headers),
        h11.Data(data=content),
        h11.EndOfMessage(),
    ]
