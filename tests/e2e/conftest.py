"""One world for all end-to-end tests; each test asks for grants of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hoopcli.demo.world import World
from tests.e2e.holds import Holding
from tests.e2e.world import Person
from tests.worlds import asking, signed_in, started

_SIGNED_IN: dict[str, Person] = {}


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    with started(World) as world:
        yield world


@pytest.fixture(scope="module", autouse=True)
def no_grant_is_left() -> Iterator[None]:
    """Behind each file nobody holds anything, so that files may run in any order."""
    yield
    ben = _SIGNED_IN.get("ben")
    if ben is None:
        return
    for grant in ben.json("grants", "--all"):
        ben.hoop("revoke", grant["id"], "--reason", "the tests of this file are over")
    assert ben.json("grants", "--all") == []


@pytest.fixture(scope="session")
def ben(world: World) -> Person:
    _SIGNED_IN["ben"] = signed_in(world, "ben")
    return _SIGNED_IN["ben"]


@pytest.fixture(scope="session")
def ana(world: World, ben: Person) -> Person:
    """Signed in behind ben, so that somebody could approve."""
    return signed_in(world, "ana")


@pytest.fixture(scope="session")
def holding() -> Iterator[Holding]:
    """A world of its own, with rules that hold."""
    with started(Holding) as world:
        yield world


@pytest.fixture(scope="session")
def decider(holding: Holding) -> Person:
    """Of the dba: whose approval what is held waits for."""
    return signed_in(holding, "ben")


@pytest.fixture(scope="session")
def asker(holding: Holding, decider: Person) -> Person:
    """With a grant, and held statements."""
    return asking(holding, decider, "2h")


@pytest.fixture
def grant(ana: Person, ben: Person) -> Iterator[str]:
    """A grant of ana's that ends with the test."""
    id = ana.granted(ben)
    yield id
    ana.hoop("relinquish", id, status=None)
    assert all(g["id"] != id for g in ana.json("grants", "--mine") if g["state"] == "active")
