"""Who is at the other end of a connection, by the word of the kernel and nobody else's.

On a unix socket it is a uid.  On the loopback the kernel knows the uid too, of the socket at the
other end, and tells it on Linux (``sock_diag``).  From further away there is an address only.

``Peer.whose`` is what limits count by.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
import sys
from dataclasses import dataclass
from typing import Any, Protocol

from hoopagent.doors.sockets import peer_of


class Connection(Protocol):
    """A transport, or an SSH connection on one."""

    def get_extra_info(self, name: str, default: Any = None) -> Any: ...


@dataclass(frozen=True, slots=True)
class Peer:
    """``uid`` is None where the kernel does not tell."""

    origin: str  # for people: "unix uid 1000 pid 4711", "127.0.0.1:50412"
    whose: str  # "uid 1000", or an address
    uid: int | None


def on_unix(transport: Connection) -> Peer | None:
    """The process that connected; None where the kernel does not say who."""
    # uvloop's own socket object answers no questions; its number does.
    found = transport.get_extra_info("socket")
    try:
        with socket.socket(fileno=os.dup(found.fileno())) as connection:
            told = peer_of(connection)
    except OSError:
        return None
    if told is None:
        return None
    uid, pid = told
    return Peer(f"unix uid {uid} pid {pid}" if pid else f"unix uid {uid}", f"uid {uid}", uid)


def on_tcp(transport: Connection) -> Peer:
    """The address, and on the loopback of Linux the uid behind it."""
    there = transport.get_extra_info("peername") or ("unknown", 0)
    here = transport.get_extra_info("sockname") or ("unknown", 0)
    host, port = str(there[0]), int(there[1])
    uid = _uid_behind((host, port), (str(here[0]), int(here[1])))
    shown = f"[{host}]" if ":" in host else host
    return Peer(f"{shown}:{port}", place_of(host) if uid is None else f"uid {uid}", uid)


def place_of(host: str) -> str:
    """What counts as one address.  Of IPv6 it is the /64, since a customer gets all of one."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.version == 4:
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))


# --- sock_diag(7) ---------------------------------------------------------------------------------

_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY
_REQUEST = 1  # NLM_F_REQUEST
_ERROR = 2  # NLMSG_ERROR
_ESTABLISHED = 1
_HEADER = struct.Struct("=LHHLL")  # nlmsghdr
_WISH = struct.Struct("=BBBxL")  # inet_diag_req_v2, up to its id
_ANSWER = struct.Struct("=BBBB48xLLLLL")  # inet_diag_msg


def _uid_behind(there: tuple[str, int], here: tuple[str, int]) -> int | None:
    """The uid of the socket that is ``there``, connected to ``here``.

    None where this system tells no such thing.  Where it does, and there is no such socket any
    more, it is nobody's: its client has left, or has said its last word already.
    """
    if sys.platform != "linux" or not _is_loopback(there[0]) or not _is_loopback(here[0]):
        return None
    family = socket.AF_INET6 if ":" in there[0] else socket.AF_INET
    ends = b"".join(socket.inet_pton(family, host).ljust(16, b"\0") for host, _ in (there, here))
    # Any interface, and a cookie that says we know of none.
    id = struct.pack("!HH", there[1], here[1]) + ends + struct.pack("=LLL", 0, *[0xFFFFFFFF] * 2)
    wish = _WISH.pack(family, socket.IPPROTO_TCP, 0, 0xFFFFFFFF) + id
    head = _HEADER.pack(_HEADER.size + len(wish), _BY_FAMILY, _REQUEST, 1, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as asking:  # NETLINK_SOCK_DIAG
            asking.setblocking(False)  # the kernel answers within send
            asking.send(head + wish)
            answer = asking.recv(4096)
    except OSError as problem:
        if problem.errno in (errno.EMFILE, errno.ENFILE):
            return _NOBODY  # not the moment to believe anybody
        return None
    kind = _HEADER.unpack_from(answer)[1]
    if kind == _ERROR:
        (number,) = struct.unpack_from("=i", answer, _HEADER.size)
        return _NOBODY if number == -errno.ENOENT else None
    if kind != _BY_FAMILY or len(answer) < _HEADER.size + _ANSWER.size:
        return None
    _, state, _, _, _, _, _, uid, inode = _ANSWER.unpack_from(answer, _HEADER.size)
    # Without an inode the socket is no process's any more, and its uid says nothing.
    return int(uid) if state == _ESTABLISHED and inode else _NOBODY


# No process has it (chown(2)): an endpoint is never its own.
_NOBODY = 0xFFFFFFFF


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
