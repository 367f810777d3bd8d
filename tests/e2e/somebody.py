"""Somebody else on this machine: what the test's own code can do as another OS user.

``as_somebody_else`` forks and gives up root for good, so what runs there is held by the kernel and
by nothing of ours.  It runs what is loaded already: another user may not even read our packages.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401 - loaded at the first connect, which would be too late
import json
import os
import pwd
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.servers import missing

T = TypeVar("T")

NAME = "nobody"
PATIENCE = 30.0


def uid() -> int:
    return pwd.getpwnam(NAME).pw_uid


def as_somebody_else(work: Callable[[], T]) -> T:
    """What ``work`` gives when another user does it; it must fit into JSON."""
    if os.getuid() != 0 or sys.platform != "linux":
        missing("a second user", "run the tests as root on Linux")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            known = pwd.getpwnam(NAME)
            os.setgroups([])
            os.setresgid(known.pw_gid, known.pw_gid, known.pw_gid)
            os.setresuid(known.pw_uid, known.pw_uid, known.pw_uid)
            os.chdir("/")
            told: dict[str, Any] = {"value": work()}
        except BaseException:  # noqa: BLE001 - the other process says it
            told = {"problem": traceback.format_exc()}
        try:
            with os.fdopen(writing, "w") as file:
                json.dump(told, file)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        said = file.read()
    os.waitpid(child, 0)
    answer = json.loads(said)
    if "problem" in answer:
        pytest.fail(f"as {NAME}:\n{answer['problem']}")
    value: T = answer["value"]
    return value


def ask(
    path: str, method: str, route: str, token: str = "", body: Any = None
) -> tuple[int, dict[str, Any]]:
    """One request to the control API, by hand: status and answer."""
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {route} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n"
    head += f"Content-Length: {len(content)}\r\n"
    if token:
        head += f"Authorization: Bearer {token}\r\n"
    if content:
        head += "Content-Type: application/json\r\n"
    answer = said(path, head.encode() + b"\r\n" + content)
    status, _, rest = answer.partition(b"\r\n\r\n")
    return int(status.split()[1]), json.loads(rest) if rest else {}


def said(address: str | tuple[str, int], data: bytes) -> bytes:
    """All that comes back before the other side closes."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(address)
        connection.sendall(data)
        heard = b""
        while piece := connection.recv(1 << 16):
            heard += piece
    return heard


def denied(act: Callable[[], object]) -> bool:
    """Whether the system says no for want of permission."""
    try:
        act()
    except PermissionError:
        return True
    return False


def readable(paths: list[str]) -> list[str]:
    """Those that this user can read or, of folders, list."""
    found = []
    for path in paths:
        try:
            if Path(path).is_dir():
                os.listdir(path)
            else:
                with open(path, "rb") as file:
                    file.read(1)
        except OSError:
            continue
        found.append(path)
    return found
