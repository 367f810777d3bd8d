"""One world for all end-to-end tests; each test asks for grants of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hoopcli.demo.postgres import PostgresMissing
from hoopcli.demo.world import World
from tests.e2e.world import Person
from tests.servers import missing

_SIGNED_IN: dict[str, Person] = {}


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
    person = Person(world, "ben")
    person.sign_in()
    _SIGNED_IN["ben"] = person
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
