"""SCRAM-SHA-256 as PostgreSQL speaks it, both ends (RFC 5802, RFC 7677, RFC 5929).

The agent is the server of the exchange for clients at its own door, and the client of it for
targets.  Salts and nonces are arguments, so a transcript repeats.  PostgreSQL's variant: the user
name inside the exchange is ignored, since the startup packet has said it; a password that
SASLprep refuses is used as it is.

Order of the file: passwords and verifiers, the server's end, the client's end, channel binding.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
import stringprep
import unicodedata
from base64 import b64decode, b64encode
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from hoopcore.stream import ProtocolError

MECHANISM = "SCRAM-SHA-256"
MECHANISM_PLUS = "SCRAM-SHA-256-PLUS"

# PostgreSQL's default.  Passwords of endpoints are random, so more would only cost time.
ITERATIONS = 4096

# A million takes about half a second of a thread; what a careful administrator sets is below it.
MOST_ITERATIONS = 1 << 20

_SERVER_NONCE = re.compile(rb"[\x21-\x2b\x2d-\x7e]{18,256}")
_CLIENT_FIRST = re.compile(
    rb"(?P<gs2>(?P<flag>[ny]|p=[^,]*),(?P<authzid>[^,]*),)"
    rb"(?P<bare>n=[^,]*,r=(?P<nonce>[\x21-\x2b\x2d-\x7e]+)(?:,.*)?)",
    re.DOTALL,
)
_CLIENT_FINAL = re.compile(
    rb"(?P<unproved>c=(?P<binding>[^,]*),r=(?P<nonce>[^,]+)(?:,[^,]*)*?),p=(?P<proof>[^,]+)"
)
_SERVER_FIRST = re.compile(
    rb"r=(?P<nonce>[\x21-\x2b\x2d-\x7e]+),s=(?P<salt>[^,]+),i=(?P<count>\d{1,9})(?:,.*)?", re.DOTALL
)
_SERVER_FINAL = re.compile(rb"v=(?P<signature>[^,]+)(?:,.*)?", re.DOTALL)


class WrongPassword(Exception):
    """The other end has shown that it does not know the password (or its verifier)."""


# --- passwords and verifiers --------------------------------------------------------------------


def saslprep(text: str) -> str:
    """The text as SASLprep (RFC 4013) prepares it; where that refuses, the text unchanged.

    ASCII stays as it is, control characters included: PostgreSQL does the same.
    """
    if text.isascii():
        return text
    mapped = "".join(
        " " if stringprep.in_table_c12(c) else c for c in text if not stringprep.in_table_b1(c)
    )
    prepared = unicodedata.normalize("NFKC", mapped)
    if not prepared or any(_is_prohibited(c) for c in prepared) or not _reads_one_way(prepared):
        return text
    return prepared


def _is_prohibited(character: str) -> bool:
    return any(
        table(character)
        for table in (
            stringprep.in_table_a1,
            stringprep.in_table_c12,
            stringprep.in_table_c21_c22,
            stringprep.in_table_c3,
            stringprep.in_table_c4,
            stringprep.in_table_c5,
            stringprep.in_table_c6,
            stringprep.in_table_c7,
            stringprep.in_table_c8,
            stringprep.in_table_c9,
        )
    )


def _reads_one_way(text: str) -> bool:
    """RFC 3454, section 6: right-to-left texts hold nothing else and are so at both ends."""
    if not any(map(stringprep.in_table_d1, text)):
        return True
    ends = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
    return ends and not any(map(stringprep.in_table_d2, text))


@dataclass(frozen=True, slots=True)
class Verifier:
    """What a server keeps of a password: enough to check it, not enough to use it."""

    salt: bytes
    iterations: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """As PostgreSQL keeps it, and takes it in place of a password."""
        salt, stored, server = (
            b64encode(part).decode() for part in (self.salt, self.stored_key, self.server_key)
        )
        return f"{MECHANISM}${self.iterations}:{salt}${stored}:{server}"


def make_verifier(password: str, salt: bytes, iterations: int = ITERATIONS) -> Verifier:
    """The verifier of this password; as slow as one login."""
    salted = _salted(password, salt, iterations)
    stored = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    return Verifier(salt, iterations, stored, _hmac(salted, b"Server Key"))


def mock_verifier(user: str, key: bytes) -> Verifier:
    """A verifier that no password satisfies, the same each time for the same name and key.

    Its salt looks like any other, so that the exchange never tells which names exist
    (RFC 5802, section 9; PostgreSQL's mock authentication).
    """
    name = user.encode()
    return Verifier(
        salt=_hmac(key, b"salt " + name)[:16],
        iterations=ITERATIONS,
        stored_key=_hmac(key, b"stored " + name),
        server_key=_hmac(key, b"server " + name),
    )


def _salted(password: str, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", saslprep(password).encode(), salt, iterations)


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def _decoded(text: bytes) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ProtocolError("malformed SCRAM message: not base64") from None


# --- the server's end ---------------------------------------------------------------------------


class ServerExchange:
    """Checks one client.  ``first``, then ``final``; any misstep is a ProtocolError.

    The nonce is 18 or more printable bytes without a comma, used once.
    """

    def __init__(self, verifier: Verifier, nonce: bytes) -> None:
        if not _SERVER_NONCE.fullmatch(nonce):
            raise ValueError("a nonce is printable, without commas, and 18 bytes or more")
        self._verifier = verifier
        self._nonce = nonce
        self._gs2 = b""
        self._said = b""  # the first part of AuthMessage

    def first(self, message: bytes) -> bytes:
        """The answer to client-first-message.  Channel binding was not offered, so not taken."""
        found = _CLIENT_FIRST.fullmatch(message)
        if not found:
            raise ProtocolError("malformed SCRAM message")
        if found["flag"] not in (b"n", b"y"):
            raise ProtocolError("the client wants channel binding, which was not offered")
        if found["authzid"]:
            raise ProtocolError("the client wants to act as somebody else")
        self._gs2 = found["gs2"]
        self._nonce = found["nonce"] + self._nonce
        salt = b64encode(self._verifier.salt)
        answer = b"r=%b,s=%b,i=%d" % (self._nonce, salt, self._verifier.iterations)
        self._said = found["bare"] + b"," + answer
        return answer

    def final(self, message: bytes) -> bytes:
        """The answer to client-final-message, or WrongPassword."""
        found = _CLIENT_FINAL.fullmatch(message)
        if not found:
            raise ProtocolError("malformed SCRAM message")
        if _decoded(found["binding"]) != self._gs2 or found["nonce"] != self._nonce:
            raise ProtocolError("this SCRAM message is not of this exchange")
        proof = _decoded(found["proof"])
        if len(proof) != 32:
            raise ProtocolError("malformed SCRAM message: proof of a wrong length")
        auth = self._said + b"," + found["unproved"]
        client_key = _xor(proof, _hmac(self._verifier.stored_key, auth))
        if not hmac.compare_digest(hashlib.sha256(client_key).digest(), self._verifier.stored_key):
            raise WrongPassword
        return b"v=" + b64encode(_hmac(self._verifier.server_key, auth))


# --- the client's end ---------------------------------------------------------------------------


class ClientExchange:
    """Proves a password to a server, and has the server prove that it knows it too.

    ``first``, ``final``, ``verify``; nothing is proved to us before ``verify`` has returned.
    ``binding`` is the hash of ``end_point`` where the mechanism is the PLUS one; ``over_tls`` says
    that we could bind and the server did not offer to, which a server that did will notice.
    """

    def __init__(
        self, password: str, nonce: bytes, *, binding: bytes | None = None, over_tls: bool = False
    ) -> None:
        self._password = password
        self._nonce = nonce
        if binding is not None:
            self._gs2 = b"p=tls-server-end-point,,"
        else:
            self._gs2 = b"y,," if over_tls else b"n,,"
        self._binding = binding or b""
        self._bare = b"n=,r=" + nonce
        self._expected = b""

    def first(self) -> bytes:
        return self._gs2 + self._bare

    def final(self, message: bytes) -> bytes:
        """The answer to server-first-message, with our proof."""
        found = _SERVER_FIRST.fullmatch(message)
        if not found:
            raise ProtocolError("malformed SCRAM message")
        nonce, count = found["nonce"], int(found["count"])
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise ProtocolError("this SCRAM message is not of this exchange")
        if not 1 <= count <= MOST_ITERATIONS:
            raise ProtocolError(f"SCRAM with {count} iterations (at most {MOST_ITERATIONS})")
        salted = _salted(self._password, _decoded(found["salt"]), count)
        unproved = b"c=" + b64encode(self._gs2 + self._binding) + b",r=" + nonce
        auth = b",".join((self._bare, message, unproved))
        client_key = _hmac(salted, b"Client Key")
        signature = _hmac(hashlib.sha256(client_key).digest(), auth)
        self._expected = _hmac(_hmac(salted, b"Server Key"), auth)
        return unproved + b",p=" + b64encode(_xor(client_key, signature))

    def verify(self, message: bytes) -> None:
        """Raises WrongPassword unless server-final-message proves that the server knows it too."""
        found = _SERVER_FINAL.fullmatch(message)
        if not found or not self._expected:
            raise ProtocolError("malformed SCRAM message")
        if not hmac.compare_digest(_decoded(found["signature"]), self._expected):
            raise WrongPassword


# --- channel binding ------------------------------------------------------------------------------


def end_point(certificate: bytes) -> bytes | None:
    """The ``tls-server-end-point`` of a certificate in DER (RFC 5929); None where it has none.

    Its hash is the one of the certificate's signature, but SHA-256 in place of MD5 and SHA-1.
    """
    try:
        algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return None
    if algorithm is None:  # Ed25519 and the like: the RFC does not say
        return None
    name = "sha256" if algorithm.name in ("md5", "sha1") else algorithm.name
    return hashlib.new(name, certificate).digest()
