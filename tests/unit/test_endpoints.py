"""How many endpoints one principal may have at once."""

from __future__ import annotations

import itertools

from hoopagent.doors.endpoints import Endpoints
from hoopcore.model import SECOND, Kind, Principal

ANA = Principal("p-ana0000000", Kind.HUMAN, "https://idp", "ana")


class World:
    """Endpoints, and a clock that a test turns."""

    def __init__(self) -> None:
        self.now = 1_000 * SECOND
        dice = itertools.count(1)
        self.endpoints = Endpoints(
            lambda: self.now, lambda n: next(dice).to_bytes(4, "big").ljust(n, b"\7")
        )

    def add(self, via: str = "unix") -> str:
        issued = self.endpoints.add(
            ANA, "prod-db", uid=1, via="tcp" if via == "tcp" else "unix", database="", linger=60
        )
        self.now += SECOND
        return issued.endpoint.id


def test_a_script_of_many_short_connections_never_meets_the_limit() -> None:
    world = World()
    for _ in range(50):
        assert world.endpoints.make_room(ANA.id, 10)
        world.add()
    assert len(world.endpoints.all()) == 10


def test_what_is_in_use_new_or_of_tcp_is_never_taken_away() -> None:
    world = World()
    used, tcp = world.add(), world.add("tcp")
    world.endpoints.used(used, 1)
    world.now += 100 * SECOND
    new = world.add()
    assert not world.endpoints.make_room(ANA.id, 3)
    world.endpoints.used(used, -1)
    world.now += 10 * SECOND
    assert world.endpoints.make_room(ANA.id, 3)
    assert {one.id for one in world.endpoints.all()} == {tcp, used}
    assert world.endpoints.find(new) is None


def test_somebody_else_has_room_of_their_own() -> None:
    world = World()
    used = world.add()
    world.endpoints.used(used, 1)
    assert not world.endpoints.make_room(ANA.id, 1)
    assert world.endpoints.make_room("p-ben0000000", 1)
