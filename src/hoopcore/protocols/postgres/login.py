"""A login from the client's first byte until both sides are ready.

The target is connected only when the client has proved who it is and was admitted; and the client
hears that it is in only when the target is ready and the session's recording has begun, so the
last words to it (``Opened.to_client``) are the caller's to send.

Who is not let in gets one FATAL error.  The exchange is the same, step by step, whether the name
exists or not.

The functions below stand in the order in which a login meets them.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from hoopcore.protocols.postgres import scram, startup, target_login, wire
from hoopcore.sql.imposed import ASKED, NOTHING_IMPOSED, Imposed, for_startup
from hoopcore.stream import (
    Admit,
    Cancel,
    Closed,
    Identify,
    LoginRefused,
    Opened,
    ProtocolError,
    Read,
    Send,
    Side,
    StartTLS,
    Step,
)

# Random bytes a login wants: one nonce for each side.
RANDOM = 36

# No SCRAM message of a client is near it.
LARGEST_PROOF = 4_096


def not_let_in() -> LoginRefused:
    """What everybody hears who does not prove who they are, whatever the reason."""
    return LoginRefused(
        "28P01",
        "no such endpoint for you, or a wrong password",
        "An endpoint ends with its `hoop connect`. Open a new one: hoop connect TARGET",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What the driver answers to ``Admit``: where the client goes, and as whom."""

    target: str  # its name, for messages
    databases: tuple[str, ...]  # that the client may name; the first is the default
    user: str
    password: str | None = field(repr=False)
    tls: bool  # the connection to the target is upgraded before anything is said
    label: str  # goes before the client's application_name
    client_secret: bytes = field(repr=False)  # the cancel key; a client of 3.0 gets 4 bytes of it
    verified: bool = False  # TLS proves that it is the target
    require_auth: frozenset[str] = frozenset()  # see ``target_login.Credential``
    hosts: int = 1
    attrs: str = "any"
    newest: int = wire.PROTOCOL_3_2  # of the protocol with the target
    role: str = ""  # what the session is from its start on, whatever the client resets
    pooled: bool = False  # a pooler gives each transaction to another server connection
    names: bytes = b""  # a statement of ours about how the session reads names; empty: none
    imposed: Imposed = NOTHING_IMPOSED  # settings in the startup packet, whatever the client wishes


def login(
    random: bytes, *, client_tls: bool = False
) -> Generator[Step, Any, Opened | Cancel | Closed]:
    """The login of one connection.  ``client_tls``: the door has a certificate for clients.

    Any bytes of either side end in one of the three results, and a refused client was told why.
    """
    if len(random) < RANDOM:
        raise ValueError(f"a login wants {RANDOM} random bytes")
    try:
        return (yield from _login(random, client_tls))
    except LoginRefused as refused:
        yield Send(Side.CLIENT, fatal(refused))
        return Closed(f"refused: {refused.code} {refused.message}", refused.code)
    except ProtocolError as error:
        yield Send(Side.CLIENT, fatal(LoginRefused("08P01", str(error))))
        return Closed(f"protocol: {error}")


def fatal(refused: LoginRefused) -> bytes:
    """The ErrorResponse that ends a connection before it began."""
    return wire.error_response("FATAL", refused.code, f"hoop: {refused.message}", refused.hint)


def _login(random: bytes, client_tls: bool) -> Generator[Step, Any, Opened | Cancel | Closed]:
    code, body = yield from _first_packet(client_tls)
    if code == wire.CANCEL_REQUEST:
        # 4 bytes of secret in protocol 3.0, up to 256 in 3.2.
        if not 8 <= len(body) <= 260:
            raise ProtocolError("malformed cancel request")
        return Cancel(int.from_bytes(body[:4], "big"), body[4:])
    wish = startup.read_startup(code, body)
    if code > wire.PROTOCOL_3_2 or wish.extensions:
        names = [name.encode() for name in wish.extensions]
        yield Send(Side.CLIENT, wire.negotiate_protocol(min(code, wire.PROTOCOL_3_2), names))
    verifier = yield Identify(wish.user)
    if verifier is not None:
        yield from _challenge(verifier, b64encode(random[:18]))
    admission: Admission = yield Admit(wish.user, wish.database, wish.application)
    database = wish.database or admission.databases[0]
    if database not in admission.databases:
        named = startup.in_ascii(database)[: startup.LONGEST_NAME]
        raise LoginRefused(
            "3D000",
            f'database "{named}" is not one of target "{admission.target}"',
            f"It has: {', '.join(admission.databases)}",
        )
    if admission.pooled:
        wish = startup.behind_pooler(wish, admission.target)
    return (yield from _open(wish, admission, database, random[18:36]))


def _first_packet(client_tls: bool) -> Generator[Step, Any, tuple[int, bytes]]:
    """The first packet that is no request for encryption: its code, and what follows that."""
    asked: set[int] = set()
    while True:
        head = yield Read(Side.CLIENT, 4)
        length = int.from_bytes(head, "big")
        if not 8 <= length <= wire.MAX_STARTUP:
            raise ProtocolError("invalid length of startup packet")
        packet: bytes = yield Read(Side.CLIENT, length - 4)
        code, body = int.from_bytes(packet[:4], "big"), packet[4:]
        if code not in (wire.SSL_REQUEST, wire.GSSENC_REQUEST):
            return code, body
        if body or code in asked:
            raise ProtocolError("malformed request for encryption")
        asked.add(code)
        if code == wire.SSL_REQUEST and client_tls:
            yield Send(Side.CLIENT, b"S")
            yield StartTLS(Side.CLIENT)
        else:
            yield Send(Side.CLIENT, b"N")


def _challenge(verifier: scram.Verifier, nonce: bytes) -> Generator[Step, Any, None]:
    """SCRAM-SHA-256 with the client, up to the proof that we know its verifier too."""
    yield Send(Side.CLIENT, wire.authentication(10, scram.MECHANISM.encode() + b"\0\0"))
    exchange = scram.ServerExchange(verifier, nonce)
    initial = yield from _read_proof()
    mechanism, _, rest = initial.partition(b"\0")
    if mechanism != scram.MECHANISM.encode() or int.from_bytes(rest[:4], "big") != len(rest) - 4:
        raise ProtocolError("malformed SASL message, or a mechanism that was not offered")
    yield Send(Side.CLIENT, wire.authentication(11, exchange.first(rest[4:])))
    proof = yield from _read_proof()
    try:
        signature = exchange.final(proof)
    except scram.WrongPassword:
        raise not_let_in() from None
    yield Send(Side.CLIENT, wire.authentication(12, signature))


def _read_proof() -> Generator[Step, Any, bytes]:
    kind, length = wire.HEADER.unpack((yield Read(Side.CLIENT, 5)))
    length -= 4
    if kind != wire.PASSWORD or not 0 < length <= LARGEST_PROOF:
        raise ProtocolError("expected an answer to the password challenge")
    body: bytes = yield Read(Side.CLIENT, length)
    return body


def _open(
    wish: startup.Startup, admission: Admission, database: str, random: bytes
) -> Generator[Step, Any, Opened]:
    """The target's side, and what is left to say to the client."""
    application = startup.application_name(admission.label, wish.application)
    settings = {**dict(wish.settings), "application_name": application}
    if admission.role:
        # In the startup packet it is what RESET ROLE goes back to.
        settings["role"] = admission.role
    if admission.imposed and not admission.pooled:
        settings = for_startup(admission.imposed, settings)
    credential = target_login.Credential(
        target=admission.target,
        user=admission.user,
        password=admission.password,
        tls=admission.tls,
        verified=admission.verified,
        require_auth=admission.require_auth,
        hosts=admission.hosts,
        attrs=admission.attrs,
        newest=admission.newest,
        role=admission.role,
    )
    ready = yield from target_login.open_target(credential, database, settings, random)
    if admission.role:
        now = yield from target_login.told(credential, ready, b"SELECT current_user")
        if now != admission.role:  # whatever stands there has not looked at the startup packet
            raise LoginRefused(
                "42501", f'target "{admission.target}" has not taken the role of your grant'
            )
    if admission.imposed and not admission.pooled:
        now = yield from target_login.told(credential, ready, ASKED)
        if not admission.imposed.holds(now):  # nor at these
            raise LoginRefused(
                "42501", f'target "{admission.target}" has not taken the settings imposed here'
            )
    names = ""
    if admission.names:
        names = yield from target_login.told(credential, ready, admission.names)
    # In 3.0 the secret of a cancel key is 4 bytes; 3.2 has room for one that nobody guesses.
    secret = admission.client_secret[: 4 if wish.minor < 2 else None]
    key = wire.backend_key_data(ready.pid, secret) if ready.pid else b""
    return Opened(
        parameters=ready.parameters,
        pid=ready.pid,
        secret=ready.secret,
        client_secret=secret,
        host=ready.host,
        names=names,
        database=database,
        application=wish.application,
        to_client=wire.authentication(0) + ready.statuses + key + wire.ready_for_query(),
    )
