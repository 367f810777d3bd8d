"""An ssh-agent with one key in it, for stock ssh: it lists the certificate and signs with it.

Of the agent protocol (draft-ietf-sshm-ssh-agent) it speaks the two requests that signing in needs.
Nothing can be put in or taken out through it, and the key never leaves the process; whoever can
connect to its socket is this account already.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import asyncssh
from asyncssh.packet import PacketDecodeError, SSHPacket, String, UInt32

_FAILURE = bytes([5])
_LIST, _LISTED = 11, 12
_SIGN, _SIGNED = 13, 14

# A request to sign is a session's hash, a name and a certificate.
_LARGEST = 64 << 10


@dataclass(frozen=True, slots=True)
class Identity:
    """A key and its certificate, as SSH has them on the wire."""

    public: bytes
    certificate: bytes
    key: asyncssh.SSHKey = field(repr=False)
    comment: str = "hoop"

    @classmethod
    def of(cls, key: str, certificate: str) -> Identity:
        private = asyncssh.import_private_key(key)
        signed = asyncssh.import_certificate(certificate)
        return cls(private.public_data, signed.public_data, private)


async def serve(
    identity: Callable[[], Awaitable[Identity | None]],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """One client's requests, until it leaves or says what cannot be read."""
    with contextlib.suppress(OSError, EOFError):
        while True:
            length = int.from_bytes(await reader.readexactly(4), "big")
            if not 0 < length <= _LARGEST:
                return
            request = await reader.readexactly(length)
            answer = _answer(request, await identity())
            writer.write(UInt32(len(answer)) + answer)
            await writer.drain()


def _answer(request: bytes, identity: Identity | None) -> bytes:
    packet = SSHPacket(request)
    kind = packet.get_byte()
    if kind == _LIST:
        return _listed(identity)
    if kind != _SIGN or identity is None:
        return _FAILURE
    try:
        blob, data = packet.get_string(), packet.get_string()
    except PacketDecodeError:
        return _FAILURE
    if blob not in (identity.public, identity.certificate):
        return _FAILURE
    signature = identity.key.sign(data, b"ssh-ed25519")
    return bytes([_SIGNED]) + String(signature)


def _listed(identity: Identity | None) -> bytes:
    if identity is None:
        return bytes([_LISTED]) + UInt32(0)
    entry = String(identity.certificate) + String(identity.comment)
    return bytes([_LISTED]) + UInt32(1) + entry
