"""Fixtures that many tests share.  A server lives as long as the test run."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import Phase, settings

from tests.servers import DEBIAN_POSTGRES, running_postgres

if TYPE_CHECKING:  # what starts worlds is slow to import, and most tests need none
    from hoopcli.demo.postgres import Postgres
    from tests.e2e.targets import Targets
    from tests.e2e.world import Person

# Of a mutant one wants to know that it fails, not the smallest example that shows it.
settings.register_profile("mutant", phases=(Phase.explicit, Phase.generate))
if os.environ.get("HOOP_MUTANT"):
    settings.load_profile("mutant")


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


@pytest.fixture(scope="session")
def targets() -> Iterator[Targets]:
    """Another world, with targets behind a pooler, under a role, with users of their own."""
    from tests.e2e.targets import Targets
    from tests.worlds import started

    with started(Targets) as targets:
        yield targets


@pytest.fixture(scope="session")
def guest(targets: Targets) -> Person:
    """Signed in there."""
    from tests.worlds import signed_in

    return signed_in(targets, "ana")


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
