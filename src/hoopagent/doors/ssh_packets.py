"""Packets of SSH that nobody needs.

asyncssh sends an empty IGNORE before every packet, which is what RFC 4251 (9.3.1) advises against
an attack on CBC, where the end of one packet is the initialisation vector of the next.  This door
offers no CBC: its ciphers are GCM and ChaCha20-Poly1305, which take a fresh nonce for each packet.
There the IGNORE only doubles the work of each small reply.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

MSG_IGNORE = 2  # RFC 4253, 12


class Connection(Protocol):
    """What is needed of asyncssh's connection."""

    @property
    def send_packet(self) -> Callable[..., None]: ...


def leave_out_ignores(connection: Connection) -> None:
    """From now on this connection, whose ciphers are not CBC, sends no IGNORE."""
    send = connection.send_packet

    def send_packet(kind: int, *parts: bytes, **options: Any) -> None:
        if kind != MSG_IGNORE:
            send(kind, *parts, **options)

    setattr(connection, "send_packet", send_packet)  # noqa: B010 - mypy forbids the plain form
