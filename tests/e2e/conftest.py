"""One world for all end-to-end tests; each test asks for grants of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hoopcli.demo.postgres import PostgresMissing
from hoopcli.demo.world import World
from tests.e2e.world import Person
from tests.servers import missing


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    try:
        world = World()
        world.__enter__()
    except PostgresMissing as problem:
        missing("PostgreSQL", str(problem))
        raise
    try:
        yield world
    finally:
        world.stop()


@pytest.fixture(scope="session")
def ben(world: World) -> Person:
    person = Person(world, "ben")
    person.sign_in()
    return person


@pytest.fixture(scope="session")
def ana(world: World, ben: Person) -> Person:
    """Signed in behind ben, so that somebody could approve."""
    person = Person(world, "ana")
    person.sign_in()
    return person


@pytest.fixture
def grant(ana: Person, ben: Person) -> Iterator[str]:
    """A grant of ana's that ends with the test."""
    id = ana.granted(ben)
    yield id
    ana.hoop("relinquish", id, status=None)
    assert all(g["id"] != id for g in ana.json("grants", "--mine") if g["state"] == "active")
