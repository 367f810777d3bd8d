"""A world of the demo's, as a fixture gives it: started, with people signed in, ended again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from hoopcli.demo.postgres import PostgresMissing
from hoopcli.demo.world import World
from tests.e2e.world import Person
from tests.recording_schema import unfit
from tests.servers import missing

AnyWorld = TypeVar("AnyWorld", bound=World)


@contextmanager
def started(make: Callable[[], AnyWorld]) -> Iterator[AnyWorld]:
    """The world that ``make`` makes; a skip where it has no PostgreSQL to start."""
    try:
        world = make()
        world.__enter__()
    except PostgresMissing as problem:
        missing("PostgreSQL", str(problem))
        raise
    try:
        yield world
        assert unfit(world.folder / "agent" / "data" / "recordings") == []
    finally:
        world.stop()


def signed_in(world: World, name: str) -> Person:
    """An approver (ben) signs in before who asks: else nobody could approve."""
    person = Person(world, name)
    person.sign_in()
    return person


def asking(world: World, by: Person, span: str) -> Person:
    """ana, signed in, with a grant for so long that somebody else has approved."""
    person = signed_in(world, "ana")
    person.granted(by, span=span)
    return person
