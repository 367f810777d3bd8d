"""Real servers for the tests, on free loopback ports, as an ordinary user, gone afterwards.

A missing server is a skip that says what to install; with ``HOOP_REQUIRE_SERVERS`` set (CI does) it
is a failure.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from hoopcli.demo.postgres import Postgres, PostgresMissing, wheel_programs

DEBIAN_POSTGRES = Path("/usr/lib/postgresql/15")


def missing(what: str, how: str) -> None:
    """Says that a server is not here: a skip on a desk, a failure in CI."""
    message = f"{what} is not installed: {how}"
    if os.environ.get("HOOP_REQUIRE_SERVERS"):
        pytest.fail(message)
    pytest.skip(message)


@contextmanager
def private_folder() -> Iterator[Path]:
    """A short path (unix sockets allow 107 bytes), private, removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="hoop-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_postgres(
    *,
    install: Path | None = None,
    settings: Mapping[str, str] | None = None,
    hba: str | None = None,
) -> Iterator[Postgres]:
    """A PostgreSQL of its own.  ``install`` defaults to the wheel's 18; Debian's 15 has TLS."""
    if install is None:
        try:
            install = wheel_programs()
        except PostgresMissing as problem:
            missing("PostgreSQL", str(problem))
            raise
    elif not (install / "bin" / "postgres").exists():
        missing("PostgreSQL 15", "apt-get install postgresql-15")
    with private_folder() as folder:
        server = Postgres(folder, install=install, settings=settings or {})
        if hba is not None:
            server.hba = hba
        server.start()
        try:
            yield server
        finally:
            server.stop()
