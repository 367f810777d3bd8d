"""Whoever answers on the agent's socket, by the word of the kernel, before a token is sent.

The run folder was looked at when the agent was found (``profile``); this is about the moment of
connecting.  A squatter who listens in the place of an agent that is down hears nothing at all.
"""

from __future__ import annotations

import struct
import sys

TYPE_CHECKING = False  # ``quick`` comes by here, and waits for nothing that it does not need
if TYPE_CHECKING:
    import _socket
    import socket


def check(connection: socket.socket, owner: int | None, path: object) -> None:
    """Failure where somebody else than this uid listens at the other end.

    None is an owner that nobody knows, and so nobody's.
    """
    seen = listener_of(connection)
    if seen is None or seen != owner:
        from hoopcli.errors import Failure

        raise Failure(
            f"{path} is not the agent's: uid {seen} listens there, and not uid {owner}",
            "Nothing was sent. Tell who runs the agent.",
        )


def listener_of(connection: socket.socket | _socket.socket) -> int | None:
    """The uid of the process that listens at the other end; None where it is not told."""
    try:
        if sys.platform == "darwin":
            # SOL_LOCAL 0, LOCAL_PEERCRED 1: struct xucred is version, uid, groups.
            version, uid = struct.unpack("=II", connection.getsockopt(0, 1, 76)[:8])
            return uid if version == 0 else None
        from _socket import SO_PEERCRED, SOL_SOCKET

        found = connection.getsockopt(SOL_SOCKET, SO_PEERCRED, 12)
        return int(struct.unpack("=iII", found)[1])
    except (OSError, struct.error):
        return None
