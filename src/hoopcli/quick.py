"""The usual ``hoop connect TARGET -- …``, without what makes the other ways possible.

From the shell's prompt to psql the parser of command lines and the HTTP library take most of the
time, and this one way needs neither: one agent on this machine, a token that holds, one question,
one answer.  Whatever is out of the ordinary, ``connect`` returns, and the command that
``commands/connect.py`` is does it all from the beginning, with its own words for what is wrong.

The same is checked as there: whose the run folder and the socket are, the pinned key, the version.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from hoopcli.signin import Session

_TARGET = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_LARGEST = 64 << 10  # bytes of an answer
_PATIENCE = 30.0  # seconds, as everywhere else


class Wish(NamedTuple):
    """What was typed."""

    target: str
    database: str | None
    arguments: list[str]


def wish(typed: list[str]) -> Wish | None:
    """``TARGET [--database NAME] [-- ARGS]``; None for anything else."""
    cut = typed.index("--") if "--" in typed else len(typed)
    words, arguments = typed[:cut], typed[cut + 1 :]
    database = None
    if len(words) == 3 and words[1] == "--database" and not words[2].startswith("-"):
        words, database = words[:1], words[2]
    if len(words) != 1 or not _TARGET.fullmatch(words[0]):
        return None
    at_terminal = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
    return Wish(words[0], database, arguments) if arguments or at_terminal else None


def connect(typed: list[str]) -> None:
    """Becomes psql, or returns where something is out of the ordinary."""
    wanted = wish(typed)
    if wanted is None:
        return
    from hoopcli import psql
    from hoopcli.errors import Failure

    try:
        program = psql.program(os.environ)
        endpoint = None if program is None else _endpoint(wanted)
    except (Failure, OSError, ValueError, KeyError, TypeError):
        return  # told by the command itself, where it happens again
    if program is None or endpoint is None:
        return
    told, owner = endpoint
    psql.become(program, wanted.arguments, psql.environment(os.environ, told, owner))


def _endpoint(wanted: Wish) -> tuple[dict[str, Any], int] | None:
    """What the agent has opened, and whose process it is."""
    from hoopcli import profile, signin

    if len(profile.agents()) > 1:
        return None
    session = signin.session()
    place = getattr(session, "place", None)
    if place is None or place.api is None or place.owner is None:
        return None  # an agent elsewhere, or one whose folder others can write to
    if not signin.holds(session.credentials()):
        return None
    body: dict[str, str] = {"target": wanted.target, "via": "unix"}
    if wanted.database is not None:
        body["database"] = wanted.database
    answer = _ask(session, place.owner, body)
    return None if answer is None else (answer, place.owner)


def _ask(session: Session, owner: int, body: dict[str, str]) -> dict[str, Any] | None:
    """The answer to a POST of an endpoint; None for any other than the expected one."""
    from hoopcli.answering import listener_of
    from hoopcore import versions

    content = json.dumps(body).encode()
    head = (
        "POST /v1/endpoints HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n"
        f"Authorization: Bearer {session.token()}\r\n{versions.HEADER}: {versions.ours()}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE)
        connection.connect(str(session.socket))
        if listener_of(connection) != owner:
            return None
        connection.sendall(head.encode("ascii") + content)
        answer = b""
        while data := connection.recv(_LARGEST):
            answer += data
            if len(answer) > _LARGEST:
                return None
    return _made(answer)


def _made(answer: bytes) -> dict[str, Any] | None:
    """The endpoint in a whole answer that says yes, and speaks our version."""
    from hoopcore import versions

    head, found, content = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
    }
    spoken = versions.Speaks.read(headers.get(versions.HEADER.lower()))
    whole = found and headers.get("content-length") == str(len(content))
    if not status.startswith("HTTP/1.1 2") or not whole or versions.apart(versions.ours(), spoken):
        return None
    told = json.loads(content)
    wanted = ("host", "port", "user", "database")
    return told if isinstance(told, dict) and all(name in told for name in wanted) else None
