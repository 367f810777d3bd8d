"""The agent logs in to the target: host, TLS, startup, authentication, until the target is ready.

A target is not trusted: every length is bounded, an answer before TLS is one byte and no more,
the server proves in SCRAM that it knows the password too, and its error texts go no further, since
they name the credential's user.  The client gets their SQLSTATE with words of our own.  What kinds
of proof the agent gives is its own choice (``Credential.require_auth``), never the target's.

The functions below stand in the order in which a login meets them.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Generator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hoopcore.protocols.postgres import scram, wire
from hoopcore.protocols.postgres.startup import in_ascii
from hoopcore.sql.postgres import encoding_is_safe
from hoopcore.stream import (
    Aside,
    Connect,
    LoginRefused,
    ProtocolError,
    Read,
    Send,
    Side,
    StartTLS,
    Step,
)

# No message of a login is near it; what is longer is not PostgreSQL.
LARGEST_MESSAGE = 60_000
MOST_MESSAGES = 1_000
LARGEST_STATUSES = 1 << 18

_TELL = "This is between the agent and its target: tell whoever runs hoop-agent."


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a login to a target needs.  ``tls``: the connection is to be upgraded first.

    ``require_auth`` are the kinds of proof that may be asked for, as libpq names them.  Empty: none
    at all, SCRAM, and over TLS that is ``verified`` also md5 and a password in clear, which never
    goes another way.
    """

    target: str
    user: str
    password: str | None = field(repr=False)
    tls: bool
    verified: bool = False
    require_auth: frozenset[str] = frozenset()
    hosts: int = 1
    attrs: str = "any"  # target_session_attrs, as libpq defines it
    newest: int = wire.PROTOCOL_3_2  # the newest version of the protocol that is asked for
    role: str = ""  # the database role that the startup packet names, for messages

    def gives(self, method: str) -> bool:
        """Whether this kind of proof is given."""
        if method == "password" and not self.verified:
            return False
        if self.require_auth:
            return method in self.require_auth
        return self.verified or method not in ("md5", "password")


@dataclass(slots=True)
class Ready:
    """What a target has said until it was ready."""

    parameters: dict[str, str] = field(default_factory=dict)
    statuses: bytes = b""  # the ParameterStatus messages as they came
    pid: int = 0  # 0: the target gave no key, so nothing can be cancelled
    secret: bytes = b""
    host: int = 0  # which one it is


def open_target(
    credential: Credential, database: str, settings: dict[str, str], random: bytes
) -> Generator[Step, Any, Ready]:
    """Connects to the first host that is there and is what ``attrs`` wants, and logs in.

    A host that is away or starting up, and one that is of another kind, is passed over; one that
    does not let us in ends the search, as in libpq: the next would be tried with the same proof.
    """
    wanted = ("standby", "any") if credential.attrs == "prefer-standby" else (credential.attrs,)
    problem: LoginRefused | None = None
    nonce = random
    for attrs in wanted:
        for host in range(credential.hosts):
            try:
                yield Connect(host)
                ready = yield from log_in(credential, database, settings, b64encode(nonce))
            except LoginRefused as refused:
                if refused.code not in _NEXT_HOST:
                    raise
                problem = refused
                continue
            finally:
                nonce = hashlib.sha256(nonce).digest()  # each is used once
            if (yield from _suits(credential, ready, attrs)):
                ready.host = host
                return ready
            yield Send(Side.TARGET, wire.frame(wire.TERMINATE))
            problem = problem or _unsuited(credential)
    assert problem is not None, "a target has a host"
    raise problem


def log_in(
    credential: Credential, database: str, settings: dict[str, str], nonce: bytes
) -> Generator[Step, Any, Ready]:
    """Runs on the target's side of a connection that is open and unused."""
    certificate = b""
    if credential.tls:
        certificate = yield from _upgrade(credential)
    names = {"user": credential.user, "database": database}
    yield Send(Side.TARGET, wire.startup_message(names | settings, credential.newest))
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
    code, rest = yield from _read_authentication(credential, first=True)
    if code == 0:
        if not credential.gives("none"):
            raise _misconfigured(credential, "asks for no proof, which require_auth does not allow")
        return
    if credential.password is None:
        raise _misconfigured(credential, "asks for a password, and its credential has none")
    if code == 3:
        yield _in_clear(credential, credential.password)
    elif code == 5 and len(rest) == 4:
        if not credential.gives("md5"):
            words = "asks for md5, which goes over verified TLS, or where require_auth allows it"
            raise _misconfigured(credential, words)
        yield _answer(_md5(credential.user, credential.password, rest) + b"\0")
    elif code == 10:
        yield from _scram(credential, rest, certificate, nonce)
    else:
        raise _misconfigured(credential, f"asks for a kind of sign-in hoop does not know ({code})")
    code, _ = yield from _read_authentication(credential)
    if code != 0:
        raise ProtocolError(f'target "{credential.target}" asks twice for authentication')


def _in_clear(credential: Credential, password: str) -> Send:
    if not credential.verified:
        where = "over TLS that proves nothing" if credential.tls else "on a connection in clear"
        raise _misconfigured(credential, f"asks for a password in clear {where}")
    if not credential.gives("password"):
        words = "asks for a password in clear, which require_auth does not allow"
        raise _misconfigured(credential, words)
    return _answer(password.encode() + b"\0")


def _scram(
    credential: Credential, offered: bytes, certificate: bytes, nonce: bytes
) -> Generator[Step, Any, None]:
    mechanisms = offered.split(b"\0")
    binding = scram.end_point(certificate) if certificate else None
    plus = credential.gives("scram-sha-256-plus") or credential.gives("scram-sha-256")
    if plus and binding is not None and scram.MECHANISM_PLUS.encode() in mechanisms:
        mechanism, over_tls = scram.MECHANISM_PLUS, True
    elif credential.gives("scram-sha-256") and scram.MECHANISM.encode() in mechanisms:
        mechanism, over_tls, binding = scram.MECHANISM, binding is not None, None
    else:
        raise _misconfigured(credential, "offers no SCRAM mechanism that is known and allowed")
    assert credential.password is not None
    exchange = scram.ClientExchange(credential.password, nonce, binding=binding, over_tls=over_tls)
    yield Send(Side.TARGET, wire.sasl_initial(mechanism, exchange.first()))
    challenge = yield from _read_sasl(credential, 11)
    yield _answer((yield Aside(partial(exchange.final, challenge))))
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


def _read_authentication(
    credential: Credential, *, first: bool = False
) -> Generator[Step, Any, tuple[int, bytes]]:
    """``first``: an older server may say first that it speaks 3.0 only, and goes on with that."""
    kind, body = yield from _read_message(credential)
    if first and kind == wire.NEGOTIATE and len(body) == 8:
        spoken, unknown = (int.from_bytes(part, "big") for part in (body[:4], body[4:]))
        if not unknown and wire.PROTOCOL_3_0 <= spoken < credential.newest:
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


# --- which host it is -----------------------------------------------------------------------------

_NEXT_HOST = frozenset({"08001", "57P03"})  # away, or not ready for anybody


def _suits(credential: Credential, ready: Ready, attrs: str) -> Generator[Step, Any, bool]:
    """Whether this host is of the kind that is wanted.  Since 14 PostgreSQL reports it itself."""
    if attrs == "any":
        return True
    standby = ready.parameters.get("in_hot_standby", "")
    if not standby:
        standby = yield from told(credential, ready, b"SELECT pg_catalog.pg_is_in_recovery()")
    recovering = standby in ("on", "t")
    if attrs in ("primary", "standby"):
        return recovering is (attrs == "standby")
    read_only = ready.parameters.get("default_transaction_read_only", "")
    if not read_only:
        read_only = yield from told(credential, ready, b"SHOW transaction_read_only")
    return (recovering or read_only == "on") is (attrs == "read-only")


def told(credential: Credential, ready: Ready, text: bytes) -> Generator[Step, Any, str]:
    """The one value that a statement of our own gives."""
    rows = yield from ask(credential, ready, text)
    if len(rows) != 1 or len(rows[0]) != 1 or rows[0][0] is None:
        raise ProtocolError(f'target "{credential.target}" does not answer a simple question')
    return rows[0][0].decode("utf-8", "replace")


def _unsuited(credential: Credential) -> LoginRefused:
    who = "its host is not" if credential.hosts == 1 else f"none of its {credential.hosts} hosts is"
    words = f'target "{credential.target}" is to be {credential.attrs}, and {who}'
    return LoginRefused("08001", words, "Try again in a moment.")


def ask(
    credential: Credential, ready: Ready, text: bytes
) -> Generator[Step, Any, list[tuple[bytes | None, ...]]]:
    """The rows that one statement of our own gives, as text; the connection is ready again."""
    yield Send(Side.TARGET, wire.query(text))
    rows: list[tuple[bytes | None, ...]] = []
    for _ in range(MOST_MESSAGES):
        kind, body = yield from _read_message(credential)
        if kind == wire.DATA_ROW:
            reader = wire.Body(body)
            rows.append(tuple(reader.value() for _ in range(reader.uint16())))
        elif kind == wire.PARAMETER_STATUS:
            name, value = wire.parameter(body)
            ready.parameters[name] = value
            ready.statuses += wire.frame(wire.PARAMETER_STATUS, body)
        elif kind == wire.READY and body == b"I":
            return rows
        elif kind not in (wire.ROW_DESCRIPTION, wire.COMMAND_COMPLETE):
            break
    raise ProtocolError(f'target "{credential.target}" does not answer a simple question')


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
    if credential.role and code in ("22023", "42501", "42704"):
        words = f'does not let the agent\'s credential be the role "{in_ascii(credential.role)}"'
        return LoginRefused(code, f'target "{credential.target}" {words}', _TELL)
    # A wrong setting is the client's own doing; only the target knows which one it was.
    if code.startswith("22") or code == "42704":
        words, hint = "does not take a startup option of the client", "Leave out startup options."
    elif code.startswith(_LATER):
        hint = "Try again in a moment."
    else:
        hint = _TELL
    return LoginRefused(code, f'target "{credential.target}" {words}', hint)
