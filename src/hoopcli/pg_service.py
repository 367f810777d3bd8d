"""Tunnels where psql and everything on libpq find them: a service each, and a passfile's line.

A service leads to the unix socket, in a folder that is ours alone: nobody can sit there in our
place, and no password is asked for.  The passfile's line is for clients that know TCP only.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hoopcli import marked
from hoopcli.errors import Failure
from hoopcli.view import clean


def service_file() -> Path:
    """Where libpq looks: $PGSERVICEFILE, else the one at home."""
    return Path(os.environ.get("PGSERVICEFILE") or "~/.pg_service.conf").expanduser()


def pass_file() -> Path:
    return Path(os.environ.get("PGPASSFILE") or "~/.pgpass").expanduser()


def names(tunnels: Sequence[Mapping[str, Any]], taken: frozenset[str]) -> list[str]:
    """A service's name for each: the target's, where nothing else is called so."""
    targets = [str(one["target"]) for one in tunnels]
    full = [f"{one['agent']}.{target}" for one, target in zip(tunnels, targets, strict=True)]
    short = [
        target if targets.count(target) == 1 and target not in full else long
        for target, long in zip(targets, full, strict=True)
    ]
    return [f"hoop-{name}" if name in taken else name for name in short]


def others() -> frozenset[str]:
    """The services that stand in the file already and are not ours."""
    try:
        text = marked.outside(service_file().read_bytes()).decode("utf-8", "replace")
    except (FileNotFoundError, ValueError):
        return frozenset()
    lines = (line.strip() for line in text.splitlines())
    return frozenset(line[1:-1] for line in lines if line.startswith("[") and line.endswith("]"))


def services(tunnels: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    """Our part of the service file.  Failure for a name of the agent's that would be more."""
    for name, one in zip(names, tunnels, strict=True):
        for word in (name, str(one["socket_dir"]), str(one["database"])):
            if clean(word) != word or "]" in name:
                raise Failure(f"this cannot stand in a service file: {word}")
    me = pwd.getpwuid(os.geteuid()).pw_name
    return "\n".join(
        f"[{name}]\n"
        f"host={one['socket_dir']}\n"
        f"port={one['port']}\n"
        f"user={one['user']}\n"
        f"dbname={one['database']}\n"
        # A unix socket of this machine: nobody is on the way to encrypt against.
        "sslmode=disable\n"
        "gssencmode=disable\n"
        f"requirepeer={me}\n"
        for name, one in zip(names, tunnels, strict=True)
    )


def passwords(tunnels: Sequence[Mapping[str, Any]]) -> str:
    """Our part of the passfile."""
    return "".join(
        f"{one['host']}:{one['port']}:*:{one['user']}:{one['password']}\n" for one in tunnels
    )


def write(tunnels: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[Path]:
    """Both files; those that were changed."""
    parts = {
        service_file(): services(tunnels, names).encode(),
        pass_file(): passwords(tunnels).encode(),
    }
    # libpq leaves a passfile alone that others may read, and so should everybody.
    if pass_file().exists() and pass_file().stat().st_mode & 0o077:
        pass_file().chmod(0o600)
    return [path for path, part in parts.items() if marked.write(path, part)]


def moved(port: int, now: Mapping[str, Any]) -> list[Path]:
    """What we wrote of the address that had this port leads to where it is now.

    Returns the files that were changed: none where it was never written.
    """
    (password,) = passwords([now]).splitlines()
    old = f"{now['host']}:{port}:"
    return [
        *_rewritten(service_file(), lambda line: _with_port(line, port, now)),
        *_rewritten(pass_file(), lambda line: password if line.startswith(old) else line),
    ]


def _with_port(line: str, port: int, now: Mapping[str, Any]) -> str:
    # Our services are all of one folder of sockets, in which a port is one address.
    return f"port={now['port']}" if line == f"port={port}" else line


def _rewritten(path: Path, line: Callable[[str], str]) -> list[Path]:
    try:
        ours = marked.inside(path.read_bytes()).decode()
    except (OSError, ValueError):
        return []  # there is none, or it is not as we left it: ``hoop config`` says so
    after = "".join(f"{line(one)}\n" for one in ours.splitlines())
    return [path] if ours and marked.write(path, after.encode()) else []


def remove() -> list[Path]:
    """Takes our parts away; the files that had one."""
    return [path for path in (service_file(), pass_file()) if marked.write(path, None)]
