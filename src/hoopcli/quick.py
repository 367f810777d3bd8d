"""The usual ``hoop connect TARGET -- …``, without what makes the other ways possible.

From the shell's prompt to psql most of the time goes into imports, and this one way needs hardly
any: one agent on this machine, a token that is at hand or can be had, one question, one answer.
Whatever is out of the ordinary, ``connect`` returns, and the command that ``commands/connect.py``
is does it all from the beginning, with its own words for what is wrong.

The same is checked as there: whose the run folder and the socket are, the pinned key (what is at
hand was kept when it had been looked at, and counts only as long as ``agent.json`` is the same
file), the version.

Below stand the C halves of socket, json and signal: their Python halves bring in enum, re and
selectors, which is half as much again as the bare interpreter.
"""

from __future__ import annotations

import _json
import _socket
import os
import sys

from hoopcli import at_hand
from hoopcore import spoken

TYPE_CHECKING = False  # typing itself costs more than what is below
if TYPE_CHECKING:
    from typing import Any

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-")
_LARGEST = 64 << 10  # bytes of an answer
_PATIENCE = 3.0  # seconds; the command itself waits longer, and can tell busy from dead

# What was typed: the target, the database if one is named, what is for psql.
Wish = tuple[str, "str | None", list[str]]


def wish(typed: list[str]) -> Wish | None:
    """``TARGET [--database NAME] [-- ARGS]``; None for anything else."""
    cut = typed.index("--") if "--" in typed else len(typed)
    words, arguments = typed[:cut], typed[cut + 1 :]
    database = None
    if len(words) == 3 and words[1] == "--database" and not words[2].startswith("-"):
        words, database = words[:1], words[2]
    if len(words) != 1 or not _is_name(words[0]):
        return None
    at_terminal = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
    return (words[0], database, arguments) if arguments or at_terminal else None


def _is_name(word: str) -> bool:
    return 0 < len(word) <= 63 and word[0] not in "._-" and _LETTERS.issuperset(word)


def connect(typed: list[str]) -> None:
    """Becomes psql, or returns where something is out of the ordinary."""
    wanted = wish(typed)
    if wanted is None:
        return
    from hoopcli import psql

    try:
        program = psql.program(os.environ)
        where = None if program is None else _at_hand() or _signed_in()
        told = None if where is None else _ask(where, wanted)
        if program is None or where is None or told is None:
            return
        psql.become(program, wanted[2], psql.environment(os.environ, told, where.owner))
    except Exception:  # noqa: BLE001 - told by the command itself, where it happens again
        return


def _at_hand() -> at_hand.Kept | None:
    """A token that is kept for the agent that is meant, if that is as it was and is our own."""
    label = os.environ.get("HOOP_AGENT", "")
    kept = at_hand.find(label)
    if kept is None or not kept.api or (label and kept.name != label):
        return None
    folder, file = os.stat(kept.name), os.stat(os.path.join(kept.name, "agent.json"))
    writable = (folder.st_mode | file.st_mode) & 0o022
    if writable or folder.st_uid != kept.owner or file.st_uid != kept.owner:
        return None
    return kept


def _signed_in() -> at_hand.Kept | None:
    """The same from the vault."""
    from hoopcli import profile, signin

    if len(profile.agents()) > 1:
        return None
    session = signin.session()
    place = session.place
    if place.api is None or place.owner is None:
        return None  # an agent elsewhere, or one whose folder others can write to
    kept = session.credentials()
    if not signin.holds(kept):
        return None
    return at_hand.Kept(place.name, str(place.api), place.owner, kept.token, kept.expires)


def _ask(where: at_hand.Kept, wanted: Wish) -> dict[str, Any] | None:
    """The answer to a POST of an endpoint; None for any other than the expected one."""
    from hoopcli.answering import listener_of

    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.settimeout(_PATIENCE)
        connection.connect(where.api)
        if listener_of(connection) != where.owner:
            return None
        connection.sendall(_question(where.token, wanted))
        answer = b""
        while data := connection.recv(_LARGEST):
            answer += data
            if len(answer) > _LARGEST:
                return None
    finally:
        connection.close()
    return _made(answer)


def _question(token: str, wanted: Wish) -> bytes:
    target, database, _ = wanted
    more = "" if database is None else f', "database": {_json.encode_basestring_ascii(database)}'
    content = f'{{"target": "{target}", "via": "unix"{more}}}'
    return (
        "POST /v1/endpoints HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n"
        f"Authorization: Bearer {token}\r\n{spoken.HEADER}: {spoken.RANGE}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n{content}"
    ).encode("ascii")


def _made(answer: bytes) -> dict[str, Any] | None:
    """The endpoint in a whole answer that says yes, and speaks our very versions."""
    head, found, content = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
    }
    whole = found and headers.get("content-length") == str(len(content))
    same = headers.get(spoken.HEADER.lower()) == spoken.RANGE
    if not status.startswith("HTTP/1.1 2") or not whole or not same:
        return None
    scan = _json.make_scanner(_Plain)  # type: ignore[arg-type]  # any object with these names
    told, end = scan(content.decode(), 0)
    wanted = ("host", "port", "user", "database")
    is_one = isinstance(told, dict) and all(name in told for name in wanted)
    return told if is_one and end == len(content.decode()) else None


class _Plain:
    """JSON as ``json`` reads it when nothing else is asked for."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}  # noqa: RUF012 - what the scanner asks for, and empties
