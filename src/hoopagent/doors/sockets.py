"""Sockets of the local door: bound so that nobody else's can be taken for ours.

A unix socket is safe in a folder that only its owner may write: it is bound under a name of its
own and renamed into place when it listens, so clients find the old one, or ours, or none.  A lock
beside it keeps a second agent away.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

# sun_path holds 108 bytes on Linux and 104 on macOS, with the closing NUL.
LONGEST_PATH = 103

BACKLOG = 512


class DoorTaken(OSError):
    """The door cannot be opened; the text says what is in the way."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class UnixSocket:
    """A listening socket that everybody may connect to, and the lock that says it is ours."""

    socket: socket.socket
    path: Path
    inode: int
    lock: int  # file descriptor

    def remove(self) -> None:
        """Takes the file away, if it is still ours, and lets the next agent in."""
        with contextlib.suppress(OSError):
            if self.path.lstat().st_ino == self.inode:
                self.path.unlink()
        with contextlib.suppress(OSError):
            os.close(self.lock)


def listen_unix(folder: Path, name: str, random: bytes) -> UnixSocket:
    """Listens at ``folder/name``, mode 0666 in a folder of mode 0755, or DoorTaken.

    A file that is there already is replaced only if nobody listens on it.
    """
    path = folder / name
    draft = folder / f".new-{random.hex()[:8]}"
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise DoorTaken(f"{path} is too long for a unix socket; give [agent] run a shorter path")
    _own_folder(folder)
    lock = _lock(folder / f"{name}.lock")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _nobody_listens(path)
        listening.bind(str(draft))
        # The folder is ours alone to write, so between bind and rename nobody can come between.
        draft.chmod(0o666)
        listening.listen(BACKLOG)
        listening.setblocking(False)
        inode = draft.lstat().st_ino
        draft.rename(path)
    except BaseException as error:
        listening.close()
        draft.unlink(missing_ok=True)
        os.close(lock)
        if isinstance(error, OSError) and not isinstance(error, DoorTaken):
            raise DoorTaken(f"cannot listen on {path}: {error.strerror}") from error
        raise
    return UnixSocket(listening, path, inode, lock)


def _own_folder(folder: Path) -> None:
    """Makes the folder, or DoorTaken where others could put something in its place."""
    try:
        above = folder.parent.stat()
        loose = above.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not above.st_mode & stat.S_ISVTX
        if loose or above.st_uid not in (0, os.geteuid()):
            raise DoorTaken(f"others may replace {folder}: only you must own {folder.parent}")
        folder.mkdir(mode=0o755, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise DoorTaken(f"{folder} is not a folder of the agent's own account; remove it")
        folder.chmod(0o755)  # whatever umask or a former hand made of it
    except DoorTaken:
        raise
    except OSError as error:
        raise DoorTaken(f"cannot use {folder}: {error.strerror}") from error


def _lock(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        lock = os.open(path, flags, 0o600)
    except OSError as error:
        raise DoorTaken(f"cannot use {path}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise DoorTaken(f"another hoop-agent listens in {path.parent}") from error
    return lock


def _nobody_listens(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno == errno.ECONNREFUSED:
                return  # left behind by an agent that was killed
            raise DoorTaken(f"somebody else listens on {path}") from error
    raise DoorTaken(f"somebody else listens on {path}")


def listen_tcp(address: str) -> socket.socket:
    """Listens on ``host:port`` of the loopback; port 0 is any that is free.  Or DoorTaken."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if host not in ("127.0.0.1", "::1", "localhost") or not port.isdecimal():
        raise DoorTaken(f'[agent] tcp = "{address}": this door is for the loopback only')
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Only lets a port be taken again that closed connections still remember.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1" if host == "localhost" else host, int(port)))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except (OSError, OverflowError) as error:
        listening.close()
        why = "is taken" if getattr(error, "errno", 0) == errno.EADDRINUSE else str(error)
        raise DoorTaken(f'[agent] tcp = "{address}": the port {why}; use port 0 for any') from error
    return listening


def peer_of(connection: socket.socket) -> tuple[int, int] | None:
    """The uid of the process that connected, and its pid (0: not known); None: no such word.

    It is the kernel's word, of the moment of ``connect``.
    """
    try:
        if sys.platform == "darwin":
            # SOL_LOCAL 0, LOCAL_PEERCRED 1: struct xucred is version, uid, groups.
            version, uid = struct.unpack("=II", connection.getsockopt(0, 1, 76)[:8])
            return (uid, 0) if version == 0 else None
        found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        pid, uid, _ = struct.unpack("=iII", found)
    except (OSError, struct.error):
        return None
    return uid, pid
