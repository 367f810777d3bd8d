"""Reaching a target: an address in, a lane out.

Names with several addresses are tried one after the other; which of several hosts is the right one
is the login's to find out (``target_login.open_target``).  TLS is what the target's config asks for
or nothing: there is no falling back to clear text.  A unix socket has no TLS, as in libpq.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import ssl
import stat
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from hoopagent.config import TargetSection, Tls
from hoopagent.lane import Lane, LaneClosed
from hoopcore.protocols.postgres import wire
from hoopcore.stream import ProtocolError

PORT = 5432
LIMIT = 10.0


class TargetUnreachable(Exception):
    """Which target, where, why, and what was tried."""

    def __init__(self, place: Place, why: str, tried: list[str] | None = None) -> None:
        suffix = f" (tried {', '.join(tried)})" if tried else ""
        super().__init__(
            f'could not reach target "{place.target}" at {place.address}: {why}{suffix}'
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where a target is: ``host:port``, ``[v6]:port``, ``/folder`` or ``/folder:port``."""

    target: str  # its name, for messages
    address: str
    tls: Tls
    others: tuple[str, ...] = ()  # more addresses of it, in the order they are tried in

    def at(self, number: int) -> Place:
        """The same with one address only: the first is number 0."""
        return replace(self, address=(self.address, *self.others)[number], others=())


def place_of(name: str, section: TargetSection) -> Place:
    """Where the target is, by its part of the configuration."""
    addresses = (section.address,) if isinstance(section.address, str) else section.address
    return Place(name, addresses[0], section.tls, addresses[1:])


def wants_tls(place: Place) -> bool:
    return place.tls.mode != "off" and not place.address.startswith("/")


def is_verified(place: Place) -> bool:
    """Whether TLS proves that it is the target, so that a secret may be told to it."""
    return wants_tls(place) and place.tls.mode in ("verify-full", "verify-ca")


async def reach(place: Place, limit: float = LIMIT) -> Lane:
    """A lane to the target with nothing said on it yet, or TargetUnreachable.

    The time limit is for all addresses together.
    """
    host, port = _parts(place)
    if host.startswith("/"):
        return await _reach_socket(place, f"{host.rstrip('/')}/.s.PGSQL.{port}", limit)
    end = asyncio.get_running_loop().time() + limit
    addresses = await _resolve(place, host, port, limit)
    why = ""
    for index, address in enumerate(addresses):
        # One address that never answers must not use up the time of the others.
        share = (end - asyncio.get_running_loop().time()) / (len(addresses) - index)
        try:
            async with asyncio.timeout(share):
                return await _open(address, port)
        except TimeoutError:
            why = f"no answer within {limit:.0f} s"
        except OSError as error:
            why = explain(error)
    raise TargetUnreachable(place, why, addresses)


async def secure(lane: Lane, place: Place) -> bytes:
    """TLS on a lane whose target has just agreed to it; the target's certificate in DER."""
    host, _ = _parts(place)
    name = place.tls.server_name or host
    try:
        context = tls_context(place.tls)
        return await lane.start_tls(context, server_name=name)
    except KeyUnsafe as error:
        raise TargetUnreachable(place, str(error)) from None
    except (OSError, LaneClosed, ValueError) as error:
        raise TargetUnreachable(place, f"TLS failed: {explain(error)}") from None


async def cancel(place: Place, pid: int, secret: bytes, limit: float = LIMIT) -> None:
    """Asks the target to cancel what the connection with this key is doing.

    Returns when the target has taken it (it answers by closing); whether there was something to
    cancel, it never says.
    """
    lane = await reach(place, limit)
    try:
        async with asyncio.timeout(limit):
            if wants_tls(place):
                lane.write(wire.ssl_request())
                if await lane.read_exactly(1) != b"S":
                    raise TargetUnreachable(place, "it does not offer TLS")
                await secure(lane, place)
            lane.write(wire.cancel_request(pid, secret))
            await lane.read_end()
    except TimeoutError:
        raise TargetUnreachable(place, f"no answer within {limit:.0f} s") from None
    except (LaneClosed, ProtocolError) as error:
        raise TargetUnreachable(place, explain(error)) from None
    finally:
        lane.close()


# --- TLS ----------------------------------------------------------------------------------------


def tls_context(tls: Tls) -> ssl.SSLContext:
    """What the target must prove: OSError or ValueError where the CA file cannot be read.

    Contexts are kept, since reading the system's authorities takes longer than a handshake; a
    changed file makes a new one.  KeyUnsafe where others can read the agent's own key.
    """
    files = (tls.ca_file, tls.cert_file, tls.key_file)
    if tls.key_file is not None:
        check_key(tls.key_file)
    return _context(tls.mode, files, tuple(f.stat().st_mtime_ns for f in files if f is not None))


@lru_cache(maxsize=64)
def _context(
    mode: str, files: tuple[Path | None, Path | None, Path | None], changed: tuple[int, ...]
) -> ssl.SSLContext:
    del changed
    ca_file, cert_file, key_file = files
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = mode == "verify-full"
    if mode == "require":
        context.verify_mode = ssl.CERT_NONE
    elif ca_file:
        context.load_verify_locations(ca_file)
    else:
        context.load_default_certs()
    if cert_file:
        # An encrypted key fails here; without a word of ours OpenSSL would ask at the terminal.
        context.load_cert_chain(cert_file, key_file, password=lambda: b"")
    return context


class KeyUnsafe(OSError):
    """Others than the agent can read its key."""


def check_key(path: Path) -> None:
    """KeyUnsafe unless the file is for its owner alone, or root's and readable for a group (libpq).

    OSError where there is none.
    """
    found = path.stat()
    allowed = 0o640 if found.st_uid == 0 else 0o600
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISREG(found.st_mode) or mode & ~allowed & 0o777:
        words = f"key file {path} can be read by others (mode {mode:04o}): chmod 0600 {path}"
        raise KeyUnsafe(words)


# --- addresses ----------------------------------------------------------------------------------

_ADDRESS = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>\d{1,5}))?"
)
_FOLDER = re.compile(r"(?P<folder>/.*?)(?::(?P<port>\d{1,5}))?")


def _parts(place: Place) -> tuple[str, int]:
    if place.address.startswith("/"):
        found = _FOLDER.fullmatch(place.address)
        host = found["folder"] if found else ""
    else:
        found = _ADDRESS.fullmatch(place.address)
        host = (found["v6"] or found["host"]) if found else ""
    if not found or not host:
        raise TargetUnreachable(place, "this is no address (want host:port or a folder)")
    return host, int(found["port"] or PORT)


async def _resolve(place: Place, host: str, port: int, limit: float) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(limit):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise TargetUnreachable(place, "its name did not resolve in time") from None
    except (OSError, UnicodeError):
        raise TargetUnreachable(place, "its name does not resolve") from None
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


async def _open(address: str, port: int) -> Lane:
    _, lane = await asyncio.get_running_loop().create_connection(Lane, address, port)
    plain: socket.socket | None = lane.transport.get_extra_info("socket")
    if plain is not None:
        # A target that vanished without a word would otherwise hold its session for ever.
        with contextlib.suppress(OSError):
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return lane


async def _reach_socket(place: Place, path: str, limit: float) -> Lane:
    try:
        async with asyncio.timeout(limit):
            _, lane = await asyncio.get_running_loop().create_unix_connection(Lane, path)
            return lane
    except TimeoutError:
        raise TargetUnreachable(place, f"no answer within {limit:.0f} s", [path]) from None
    except OSError as error:
        raise TargetUnreachable(place, explain(error), [path]) from None


def explain(error: Exception) -> str:
    """An error of the network in a few words of lower case."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "handshake failed").lower().replace("_", " ")
    if isinstance(error, LaneClosed | ConnectionResetError):
        return "it closed the connection"
    if isinstance(error, FileNotFoundError):
        return "no such file or socket"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__
