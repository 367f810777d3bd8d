"""The agent logs in to the target: TLS, startup, authentication, until the target is ready.

A target is not trusted: every length is bounded, an answer before TLS is one byte and no more,
the server proves in SCRAM that it knows the password too, and its error texts go no further, since
they name the credential's user.  The client gets their SQLSTATE with words of our own.

The functions below stand in the order in which a login meets them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from hoopcore.protocols.postgres import scram, wire
from hoopcore.protocols.postgres.startup import in_ascii
from hoopcore.sql.postgres import encoding_is_safe
from hoopcore.stream import LoginRefused, ProtocolError, Read, Send, Side, StartTLS, Step

# No message of a login is near it; what is longer is not PostgreSQL.
LARGEST_MESSAGE = 60_000
MOST_MESSAGES = 1_000
LARGEST_STATUSES = 1 << 18

_TELL = "This is between the agent and its target: tell whoever runs hoop-agent."


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a login to a target needs.  ``tls``: the connection is to be upgraded first."""

    target: str
    user: str
    password: str | None = field(repr=False)
    tls: bool


@dataclass(slots=True)
class Ready:
    """What a target has said until it was ready."""

    parameters: dict[str, str] = field(default_factory=dict)
    statuses: bytes = b""  # the ParameterStatus messages as they came
    pid: int = 0  # 0: the target gave no key, so nothing can be cancelled
    secret: bytes = b""


def log_in(
    credential: Credential, database: str, settings: dict[str, str], nonce: bytes
) -> Generator[Step, Any, Ready]:
    """Runs on the target's side of a connection that is open and unused."""
    certificate = b""
    if credential.tls:
        certificate = yield from _upgrade(credential)
    names = {"user": credential.user, "database": database}
    yield Send(Side.TARGET, wire.startup_message(names | settings))
    yield from _authenticate(credential, certificate, nonce)
    return (yield from _until_ready(credential, database))


def _upgrade(credential: Credential) -> Generator[Step, Any, bytes]:
    yield Send(Side.TARGET, wire.ssl_request())
    answer = yield Read(Side.TARGET, 1)
    if answer != b"S":
        # An error text at this point may come from anybody on the way (CVE-2024-10977).
        raise LoginRefused(
            "08001",
            f'target "{credential.target}" does not offer TLS, and nothing goes to it in clear',
            'Turn TLS on there; tls.mode = "off" in targets.toml is for networks you trust.',
        )
    certificate: bytes = yield StartTLS(Side.TARGET)
    return certificate


def _authenticate(
    credential: Credential, certificate: bytes, nonce: bytes
) -> Generator[Step, Any, None]:
    """Until AuthenticationOk, which counts only when no exchange is half done."""
    code, rest = yield from _read_authentication(credential)
    if code == 0:
        return
    if credential.password is None:
        raise _misconfigured(credential, "asks for a password, and its credential has none")
    if code == 3 and credential.tls:
        yield _answer(credential.password.encode() + b"\0")
    elif code == 3:
        raise _misconfigured(credential, "asks for a password in clear on a connection in clear")
    elif code == 5 and len(rest) == 4:
        yield _answer(_md5(credential.user, credential.password, rest) + b"\0")
    elif code == 10:
        yield from _scram(credential, rest, certificate, nonce)
    else:
        raise _misconfigured(credential, f"asks for a kind of sign-in hoop does not know ({code})")
    code, _ = yield from _read_authentication(credential)
    if code != 0:
        raise ProtocolError(f'target "{credential.target}" asks twice for authentication')


def _scram(
    credential: Credential, offered: bytes, certificate: bytes, nonce: bytes
) -> Generator[Step, Any, None]:
    mechanisms = offered.split(b"\0")
    binding = scram.end_point(certificate) if certificate else None
    if binding is not None and scram.MECHANISM_PLUS.encode() in mechanisms:
        mechanism, over_tls = scram.MECHANISM_PLUS, True
    elif scram.MECHANISM.encode() in mechanisms:
        mechanism, over_tls, binding = scram.MECHANISM, binding is not None, None
    else:
        raise _misconfigured(credential, "offers no SCRAM mechanism that hoop knows")
    assert credential.password is not None
    exchange = scram.ClientExchange(credential.password, nonce, binding=binding, over_tls=over_tls)
    yield Send(Side.TARGET, wire.sasl_initial(mechanism, exchange.first()))
    challenge = yield from _read_sasl(credential, 11)
    yield _answer(exchange.final(challenge))
    signature = yield from _read_sasl(credential, 12)
    try:
        exchange.verify(signature)
    except scram.WrongPassword:
        raise _misconfigured(credential, "did not prove that it knows the password") from None


def _read_sasl(credential: Credential, wanted: int) -> Generator[Step, Any, bytes]:
    code, rest = yield from _read_authentication(credential)
    if code != wanted:
        raise ProtocolError(f'target "{credential.target}" broke off the SCRAM exchange')
    return rest


def _read_authentication(credential: Credential) -> Generator[Step, Any, tuple[int, bytes]]:
    kind, body = yield from _read_message(credential)
    if kind != wire.AUTHENTICATION or len(body) < 4:
        raise ProtocolError(f'target "{credential.target}" does not speak PostgreSQL at login')
    return int.from_bytes(body[:4], "big"), body[4:]


def _until_ready(credential: Credential, database: str) -> Generator[Step, Any, Ready]:
    ready = Ready()
    for _ in range(MOST_MESSAGES):
        kind, body = yield from _read_message(credential)
        if kind == wire.PARAMETER_STATUS:
            name, value = wire.parameter(body)
            ready.parameters[name] = value
            ready.statuses += wire.frame(wire.PARAMETER_STATUS, body)
        elif kind == wire.BACKEND_KEY_DATA and 8 <= len(body) <= 260:
            ready.pid, ready.secret = int.from_bytes(body[:4], "big"), body[4:]
        elif kind == wire.READY and body == b"I":
            return _checked(ready, credential, database)
        else:
            break
        if len(ready.statuses) > LARGEST_STATUSES:
            break
    raise ProtocolError(f'target "{credential.target}" does not speak PostgreSQL at login')


def _checked(ready: Ready, credential: Credential, database: str) -> Ready:
    encoding = ready.parameters.get("client_encoding", "")
    if not encoding_is_safe(encoding):
        raise LoginRefused(
            "22023",
            f'client_encoding "{in_ascii(encoding)}" cannot be read safely on "{database}"',
            "Set client_encoding to UTF8 (PGCLIENTENCODING=UTF8).",
        )
    return ready


def _read_message(credential: Credential) -> Generator[Step, Any, tuple[int, bytes]]:
    """One message that is no notice.  An ErrorResponse becomes LoginRefused."""
    for _ in range(MOST_MESSAGES):
        head = yield Read(Side.TARGET, 5)
        kind, length = wire.HEADER.unpack(head)
        length -= 4
        if not 0 <= length <= LARGEST_MESSAGE:
            raise ProtocolError(f'target "{credential.target}" does not speak PostgreSQL at login')
        body: bytes = (yield Read(Side.TARGET, length)) if length else b""
        if kind == wire.ERROR:
            raise _refused(credential, body)
        if kind != wire.NOTICE:  # notices of a login are about the credential, or may hold values
            return kind, body
    raise ProtocolError(f'target "{credential.target}" sends notices without end')


def _answer(body: bytes) -> Send:
    return Send(Side.TARGET, wire.password_message(body))


def _md5(user: str, password: str, salt: bytes) -> bytes:
    inner = hashlib.md5((password + user).encode(), usedforsecurity=False).hexdigest()
    outer = hashlib.md5(inner.encode() + salt, usedforsecurity=False).hexdigest()
    return b"md5" + outer.encode()


def _misconfigured(credential: Credential, what: str) -> LoginRefused:
    return LoginRefused("28000", f'target "{credential.target}" {what}', _TELL)


# --- errors of the target in words of ours --------------------------------------------------------

_WORDS = {
    "28000": "does not let the agent's credential in",
    "28P01": "does not take the agent's own password (yours was not asked)",
    "3D000": "has no such database, though the agent's config lists it",
    "42501": "does not let the agent's credential into this database",
    "53300": "has no connection left",
    "55000": "does not take connections to this database",
    "57P01": "is shutting down",
    "57P02": "is recovering from a crash",
    "57P03": "is starting up or shutting down",
}
_LATER = ("53", "57")


def _refused(credential: Credential, body: bytes) -> LoginRefused:
    code = wire.sqlstate(wire.error_fields(body))
    words = _WORDS.get(code, f"refused the agent's connection (SQLSTATE {code})")
    # A wrong setting is the client's own doing; only the target knows which one it was.
    if code.startswith("22") or code == "42704":
        words, hint = "does not take a startup option of the client", "Leave out startup options."
    elif code.startswith(_LATER):
        hint = "Try again in a moment."
    else:
        hint = _TELL
    return LoginRefused(code, f'target "{credential.target}" {words}', hint)
