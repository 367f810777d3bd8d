"""One world for all of these tests: its start costs seconds, and it is hardly ever changed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.bypass.world import Doorway, Vault
from tests.e2e.world import Person
from tests.worlds import signed_in, started


@pytest.fixture(scope="session")
def vault() -> Iterator[Vault]:
    with started(Vault) as world:
        yield world


@pytest.fixture(scope="session")
def ben(vault: Vault) -> Person:
    return signed_in(vault, "ben")


@pytest.fixture(scope="session")
def ana(vault: Vault, ben: Person) -> Person:
    """Signed in behind ben, so that somebody could approve."""
    return signed_in(vault, "ana")


def _doorway(ana: Person, ben: Person, target: str) -> Iterator[Doorway]:
    ana.granted(ben, target=target, span="1h")
    doorway = Doorway(ana, target)
    yield doorway
    doorway.close()


@pytest.fixture(scope="session")
def door(ana: Person, ben: Person) -> Iterator[Doorway]:
    """ana's way into the vault, where nothing but masks stands in the way."""
    yield from _doorway(ana, ben, "prod-vault")


@pytest.fixture(scope="session")
def strict(ana: Person, ben: Person) -> Iterator[Doorway]:
    """The same, where calls of unknown code are refused."""
    yield from _doorway(ana, ben, "prod-strict")


@pytest.fixture(scope="session")
def disk(ana: Person, ben: Person) -> Iterator[Doorway]:
    """The same, recorded to the disk first."""
    yield from _doorway(ana, ben, "prod-disk")
