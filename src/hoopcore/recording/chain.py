"""The seal of a recording: every line is numbered and carries the hash of all before it.

A line is a JSON object whose last member is its hash, so that no canonical form is needed:

    body ,"hash":"<64 hex>"}        hash = SHA-256(previous hash in hex, body)

and the hash before the first line is 64 zeros.  Whoever can write the file can also compute such a
chain anew; that is what heads are for.  A head is a line that ends in a signature:

    … ,"signature":"<128 hex>","hash":"<64 hex>"}

over a fixed prefix, the session's id, the hash before it and its own body up to the signature.
The order of the file: sealing (writer), then opening a sealed line (reader).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from hoopcore.recording.events import Event, Head

GENESIS = b"0" * 64

_HASH = b',"hash":"'
_SIGNATURE = b',"signature":"'
_HASH_TAIL = len(_HASH) + 64 + 3  # quote, brace, newline
_SIGNATURE_TAIL = len(_SIGNATURE) + 128 + 1
_HEX = frozenset(b"0123456789abcdef")

_encode = msgspec.json.Encoder().encode

Sign = Callable[[bytes], bytes]
"""Bytes to their 64-byte Ed25519 signature."""


def key_id(public_key: bytes) -> str:
    """A short name of a raw 32-byte public key."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def signed_bytes(session: str, before: bytes, body: bytes) -> bytes:
    """What a head's signature is over; ``body`` is the line up to ``,"signature"``."""
    return b"\n".join((b"hoop recording head 1", session.encode(), before, body))


class Chain:
    """Numbers and seals the events of one recording, in order."""

    __slots__ = ("hash", "n")

    def __init__(self, n: int = 0, hash: bytes = GENESIS) -> None:
        self.n = n  # of the last line
        self.hash = hash  # of the last line, hex

    def seal(self, event: Event) -> bytes:
        """The line of an event, newline included."""
        self.n = event.n = self.n + 1
        body = _encode(event)[:-1]
        self.hash = hashlib.sha256(self.hash + body).hexdigest().encode()
        return b"".join((body, _HASH, self.hash, b'"}\n'))

    def head(self, head: Head, session: str, sign: Sign) -> bytes:
        """The line of a head, signed."""
        self.n = head.n = self.n + 1
        body = _encode(head)[:-1]
        signature = sign(signed_bytes(session, self.hash, body)).hex()
        return self._seal(body + _SIGNATURE + signature.encode() + b'"')

    def _seal(self, body: bytes) -> bytes:
        self.hash = hashlib.sha256(self.hash + body).hexdigest().encode()
        return body + _HASH + self.hash + b'"}\n'


class Sealed(NamedTuple):
    """A line taken apart; nothing is verified yet except its form."""

    body: bytes
    hash: bytes


def open_line(line: bytes) -> Sealed | None:
    """Body and hash of a line (newline included), None where it has not the form of one."""
    cut = len(line) - _HASH_TAIL
    if cut <= 0 or not line.endswith(b'"}\n') or line[cut : cut + len(_HASH)] != _HASH:
        return None
    found = line[cut + len(_HASH) : -3]
    if not _HEX.issuperset(found):
        return None
    return Sealed(line[:cut], found)


def hash_of(before: bytes, body: bytes) -> bytes:
    """The hash a line with this body must carry after a line with that hash."""
    return hashlib.sha256(before + body).hexdigest().encode()


def open_head(body: bytes) -> tuple[bytes, bytes] | None:
    """(body up to the signature, the signature) of a head's body; None where there is none."""
    cut = len(body) - _SIGNATURE_TAIL
    if cut <= 0 or body[cut : cut + len(_SIGNATURE)] != _SIGNATURE or body[-1:] != b'"':
        return None
    signature = body[cut + len(_SIGNATURE) : -1]
    if not _HEX.issuperset(signature):
        return None
    return body[:cut], bytes.fromhex(signature.decode())
