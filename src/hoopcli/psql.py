"""Becoming psql on an endpoint: which program, and with what environment.

psql takes the place of this process, so that nothing stands between a person and their client,
and its exit status is hoop's.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal's own C half, which has no stub
import os
import pwd
import sys

TYPE_CHECKING = False  # ``quick`` comes by here, and waits for nothing that it does not need
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, NoReturn

# What a person has set for how psql looks and reads, and what cannot lead it elsewhere.  Every
# other PG* variable is dropped: a host, a service, a certificate, options and a password file
# belong to another connection, and libpq gains new ones with each release.
_KEPT = frozenset(
    {
        "PGAPPNAME",
        "PGCLIENTENCODING",
        "PGCONNECT_TIMEOUT",
        "PGDATESTYLE",
        "PGLOCALEDIR",
        "PGTZ",
    }
)


def program(environ: Mapping[str, str]) -> str | None:
    """The psql to start: $HOOP_PSQL, else the one on PATH, else None.

    Failure where $HOOP_PSQL names a program that cannot be started.
    """
    named = environ.get("HOOP_PSQL")
    if not named:
        return _found("psql", environ.get("PATH", os.defpath))
    found = _found(named, environ.get("PATH", os.defpath))
    if found is None:
        from hoopcli.errors import fail

        fail(f"HOOP_PSQL names {named}, which is no program that can be started.")
    return found


def _found(name: str, path: str) -> str | None:
    """What ``shutil.which`` finds, without its archives."""
    folders = [""] if os.path.dirname(name) else path.split(os.pathsep)
    for folder in folders:
        candidate = os.path.join(folder, name)
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return candidate
    return None


def environment(
    environ: Mapping[str, str], endpoint: Mapping[str, Any], owner: int | None
) -> dict[str, str]:
    """The environment in which libpq finds the endpoint, and nothing else.

    The password is here and never in argv, which every user of the machine can read.  ``owner`` is
    the uid whose socket it must be: libpq asks the kernel, and says nothing to anybody else.
    """
    kept = {
        name: value for name, value in environ.items() if not name.startswith("PG") or name in _KEPT
    }
    return kept | {
        "PGHOST": str(endpoint["host"]),
        "PGPORT": str(endpoint["port"]),
        "PGUSER": str(endpoint["user"]),
        "PGDATABASE": str(endpoint["database"]),
        "PGPASSWORD": str(endpoint.get("password") or ""),
        # A unix socket of this machine: there is nobody on the way to encrypt against, and a
        # client that insists on TLS or Kerberos would only fail.
        "PGSSLMODE": "disable",
        "PGGSSENCMODE": "disable",
        "PGPASSFILE": os.path.join(os.devnull, "none"),  # no file at all: a device gets a warning
        # Whoever asks for a password in another way, or for one at all, is not the agent.
        "PGREQUIREAUTH": "scram-sha-256" if endpoint.get("password") else "none",
        **_peer(owner),
    }


def _peer(owner: int | None) -> dict[str, str]:
    """Whose the socket must be, by name as libpq wants it; nothing for a uid without one."""
    try:
        return {} if owner is None else {"PGREQUIREPEER": pwd.getpwuid(owner).pw_name}
    except KeyError:
        return {}


def become(
    psql: str, arguments: Sequence[str], environ: Mapping[str, str], called: str = "psql"
) -> NoReturn:
    """Replaces this process.  ssh is become the same way, and ``called`` so."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    # Python ignores these, and what is ignored stays so in the program that comes next.
    ignored = (_signal.SIGPIPE, _signal.SIGXFSZ)
    before = [_signal.signal(number, _signal.SIG_DFL) for number in ignored]
    try:
        os.execve(psql, [called, *arguments], dict(environ))  # noqa: S606 - no shell is wanted
    except OSError as error:
        for number, handler in zip(ignored, before, strict=True):
            _signal.signal(number, handler)
        from hoopcli.errors import fail

        fail(f"could not start {psql}: {error.strerror}")
