"""Fixtures that many tests share.  A server lives as long as the test run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hoopcli.demo.postgres import Postgres
from tests.servers import DEBIAN_POSTGRES, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The wheel's PostgreSQL 18; tests make databases of their own in it."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def postgres15() -> Iterator[Postgres]:
    """Debian's PostgreSQL 15."""
    with running_postgres(install=DEBIAN_POSTGRES) as server:
        yield server
