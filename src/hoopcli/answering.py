"""Whoever answers on the agent's socket, by the word of the kernel, before a token is sent.

The run folder was looked at when the agent was found (``profile``); this is about the moment of
connecting.  A squatter who listens in the place of an agent that is down hears nothing at all.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Callable, Mapping
from typing import Any

from hoopcli.errors import Failure

CONNECTED = "connection.connect_unix_socket.complete"


def only(owner: int | None, path: object) -> Callable[[str, Mapping[str, Any]], None]:
    """For httpx's ``trace``: Failure where somebody else than this uid listens there.

    None is an owner that nobody knows, and so nobody's.
    """

    def look(event: str, told: Mapping[str, Any]) -> None:
        if event != CONNECTED:
            return
        connection = told["return_value"].get_extra_info("socket")
        seen = listener_of(connection)
        if seen is None or seen != owner:
            raise Failure(
                f"{path} is not the agent's: uid {seen} listens there, and not uid {owner}",
                "Nothing was sent. Tell who runs the agent.",
            )

    return look


def listener_of(connection: socket.socket) -> int | None:
    """The uid of the process that listens at the other end; None where it is not told."""
    try:
        if sys.platform == "darwin":
            # SOL_LOCAL 0, LOCAL_PEERCRED 1: struct xucred is version, uid, groups.
            version, uid = struct.unpack("=II", connection.getsockopt(0, 1, 76)[:8])
            return uid if version == 0 else None
        found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int(struct.unpack("=iII", found)[1])
    except (OSError, struct.error):
        return None
