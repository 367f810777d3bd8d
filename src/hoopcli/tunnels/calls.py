"""Speaking to the process that holds the tunnels; starting it where it does not run.

One call is a connection to its control socket: a line of JSON there, a line of JSON back.  A call
that opens something for this process alone leaves the connection open, and what was opened ends
with it, whatever ends us.  This module is on the way of every command, so it imports little.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hoopcli.answering import listener_of
from hoopcli.errors import AgentUnreachable, Failure, NotSignedIn, say
from hoopcli.profile import home
from hoopcli.tunnels.records import folder, made_folder, remembered

CONTROL = "control"
LOG = "log"
LARGEST = 1 << 20

# Version of these calls.  Another one means that an older hoop still holds the tunnels.
PROTOCOL = 1

# What stays the same in every version, so that any hoop can see and end what another one holds.
ALWAYS = ("list", "stop")

# What means this one command.
_NOT_FOR_IT = ("HOOP_AGENT", "HOOP_COMPLETING", "HOOP_DEBUG")

# Seconds.  A start is an interpreter and its imports; an answer may wait for an agent's.
_START, _ANSWER = 20.0, 40.0


@dataclass(slots=True)
class Held:
    """An answer, and the connection that keeps alive what was opened with it."""

    answer: Mapping[str, Any]
    connection: socket.socket

    def inherited(self) -> None:
        """Lets the program that takes our place hold it."""
        self.connection.set_inheritable(True)

    def lost(self) -> bool:
        """Whether the other side has gone.  It never says anything more."""
        self.connection.setblocking(False)
        try:
            return self.connection.recv(1) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True


def call(op: str, **fields: Any) -> Mapping[str, Any]:
    """The answer.  Raises the Failure it tells of."""
    held = hold(op, **fields)
    held.connection.close()
    return held.answer


def hold(op: str, **fields: Any) -> Held:
    """The answer, with what it opened."""
    connection = _reached() or _started()
    return _asked(connection, op, fields)


def call_if_running(op: str, **fields: Any) -> Mapping[str, Any] | None:
    """The answer, or None where nobody holds any tunnel."""
    connection = _reached()
    if connection is None:
        return None
    held = _asked(connection, op, fields)
    held.connection.close()
    return held.answer


def signed_in(agent: str, passphrase: str = "") -> None:
    """A sign-in has begun.  Addresses that stay are opened again where nobody holds them."""
    stay = any(one.stays for one in remembered())
    try:
        (call if stay else call_if_running)("forget", agent=agent, passphrase=passphrase)
    except Failure as problem:
        say(f"hoop: addresses that stay were not opened: {problem.message}")


def signed_out(agent: str) -> None:
    """A sign-in is over: what is held of it is forgotten.  Nothing where nothing is held."""
    try:
        call_if_running("forget", agent=agent)
    except Failure:
        return


# --- inside ---------------------------------------------------------------------------------------


def _reached() -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(folder() / CONTROL))
    except OSError:
        connection.close()
        return None
    if listener_of(connection) != os.geteuid():
        connection.close()
        raise Failure(f"{folder() / CONTROL} is somebody else's", "Nothing was sent. Remove it.")
    return connection


def _started() -> socket.socket:
    """The control socket of a process that was started for it.

    One that finds the folder taken ends by itself: whoever has it answers, or is about to end and
    leaves the folder to the next one.
    """
    log = made_folder() / LOG
    process, end = _start(log), time.monotonic() + _START
    while time.monotonic() < end:
        connection = _reached()
        if connection is not None:
            return connection
        if process.poll() == 0:
            process = _start(log)
        elif process.poll():
            break
        time.sleep(0.02)
    raise Failure("the process that holds the tunnels did not start", f"Its last words: {log}")


def _start(log: Path) -> subprocess.Popen[bytes]:
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "hoopcli.tunnels.daemon"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            cwd="/",
            env=_environment(),
            start_new_session=True,  # a Ctrl-C at this terminal is not for it
        )


def _environment() -> dict[str, str]:
    """Ours, without what means this one command; it starts in another folder than this one."""
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_IT}
    return kept | ({"HOOP_HOME": str(home())} if kept.get("HOOP_HOME") else {})


def _asked(connection: socket.socket, op: str, fields: Mapping[str, Any]) -> Held:
    connection.settimeout(_ANSWER)
    try:
        told = json.dumps({"op": op, "protocol": PROTOCOL, **fields})
        connection.sendall(told.encode() + b"\n")
        answer = _line(connection)
    except TimeoutError:
        connection.close()
        raise AgentUnreachable("the tunnels' process did not answer in time", "") from None
    except OSError as problem:
        connection.close()
        raise Failure(f"the tunnels' process does not answer: {problem}") from problem
    if "failed" in answer:
        connection.close()
        raise failure_of(answer)
    return Held(answer, connection)


def _line(connection: socket.socket) -> dict[str, Any]:
    data = bytearray()
    while not data.endswith(b"\n"):
        more = connection.recv(64 << 10)
        if not more or len(data) > LARGEST:
            raise ConnectionResetError("it closed the connection")
        data += more
    told = json.loads(data)
    if not isinstance(told, dict):
        raise ConnectionResetError("its answer cannot be read")
    return told


def failure_of(answer: Mapping[str, Any]) -> Failure:
    """The failure that an answer tells of, as the kind it was."""
    message, hint = str(answer["failed"]), str(answer.get("hint", ""))
    code = int(answer.get("code", 1))
    if code == 3:
        return NotSignedIn(message, hint) if hint else NotSignedIn(message)
    if code == 7:
        return AgentUnreachable(message, hint)
    return Failure(message, hint, code)
