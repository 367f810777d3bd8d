"""Fixtures that many tests share.  A server lives as long as the test run."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator

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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where every server must be there (CI), a skip hides a missing part: it is a failure."""
    report = yield
    if report.skipped and os.environ.get("HOOP_REQUIRE_SERVERS"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be: {report.longrepr}"
    return report
