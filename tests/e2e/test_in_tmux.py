"""The form of ``hoop review mine`` and the player of ``hoop replay``, in a real terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest

from hoopcli.demo.world import World
from tests.e2e.world import Person
from tests.tmux import PROMPT, as_before, in_tmux
from tests.worlds import signed_in, started

HOOP = (sys.executable, "-m", "hoopcli")


@pytest.fixture(scope="module")
def people() -> Iterator[tuple[Person, Person]]:
    """ana and ben, in a world in which nobody has done anything: a card tells of ninety days."""
    with started(World) as world:
        ben = signed_in(world, "ben")
        yield signed_in(world, "ana"), ben


@pytest.fixture(scope="module")
def ana(people: tuple[Person, Person]) -> Person:
    return people[0]


@pytest.fixture
def grant(people: tuple[Person, Person]) -> Iterator[str]:
    """A grant of ana's that ends with the test, and whatever took its place."""
    ana, ben = people
    yield ana.granted(ben)
    for one in ana.json("grants", "--mine"):
        ana.hoop("relinquish", one["id"], status=None)


def test_a_grant_is_looked_at_given_back_and_taken_again(ana: Person, grant: str) -> None:
    ana.psql("-c", "select id, name, email from customers order by id limit 2")
    ana.psql("-c", "select count(*) from orders")
    environment = ana.world.environment("ana")
    with in_tmux([*HOOP, "review", "mine"], environment, 110, 34) as tmux:
        as_before("review-card", tmux.settled(grant, "would still pass", "k keep"))
        tmux.keys("Enter", "Enter")  # answers nothing
        tmux.keys("e")
        tmux.until(f"grant: {grant}", "handed: no")
        tmux.keys("Escape")
        tmux.until("90 days")
        tmux.keys("n")
        as_before("review-narrow", tmux.settled("of your 2 statements would still pass"))
        tmux.keys("Escape")
        tmux.settled("k keep")  # Escape and a key at once are another key
        tmux.keys("g")
        tmux.until("All 1 answered", "given back; u takes it again")
        tmux.keys("u")
        tmux.until("1 of 1 to look at")
        tmux.keys("q")
        left = tmux.until(PROMPT)
        assert "review mine" in left  # the screen is as it was before
        assert "would still pass" not in left
    (review,) = [one for one in ana.json("review", "done") if one["grant"] == grant]
    assert review["state"] == "undone"
    assert [one["id"] for one in ana.json("grants", "--mine")] == [grant]


def test_narrowed_by_a_key_then_held_approved_and_learned(
    people: tuple[Person, Person], grant: str
) -> None:
    ana, ben = people
    ana.psql("-c", "select count(*) from public.orders")
    environment = ana.world.environment("ana")
    with in_tmux([*HOOP, "review", "mine"], environment, 110, 34) as tmux:
        tmux.settled(grant, "k keep")
        tmux.keys("n", "C-u", "public.orders:read")
        tmux.until("would be held for a step-up;")
        tmux.keys("Enter", "Enter", "y")
        tmux.until("All 1 answered", "narrowed")
        tmux.keys("q")
        tmux.until(PROMPT)
    (narrowed,) = ana.json("grants", "--mine")
    assert narrowed["scope"] == "public.orders:read"
    asking = [*HOOP, "connect", "prod-db", "--", "-XAt", "-c"]
    said = "'select count(*) || chr(32) || chr(61) from public.customers'"
    with in_tmux([*asking, said], environment, 110, 34) as tmux:
        screen = " ".join(
            tmux.until('held by rule "narrowed"', "hoop approve hold-[a-z0-9]{10} ").split()
        )
        found = re.search(r"hoop approve (hold-[a-z0-9]{10})", screen)
        assert found is not None, screen
        ben.hoop("approve", found[1], "--reason", "it is hers")
        tmux.until("^[0-9]+ =$|\n[0-9]+ =\n", PROMPT)
    (learned,) = ana.json("grants", "--mine")
    assert learned["scope"] == "public.customers:read public.orders:read"
    assert ana.psql("-c", "select count(*) from public.customers").stderr == ""


def test_eighty_columns_without_colour_are_enough(ana: Person, grant: str) -> None:
    environment = {**ana.world.environment("ana"), "NO_COLOR": "1"}
    with in_tmux([*HOOP, "review", "mine"], environment) as tmux:
        shown = tmux.settled("to look at", "if narrowed", "k keep")
        assert grant in shown
        assert max(map(len, shown.splitlines())) <= 80
        tmux.resize(60, 16)
        assert max(map(len, tmux.until("to look at", grant).splitlines())) <= 60
        tmux.keys("C-c")
        tmux.until(PROMPT)


def test_a_session_is_played(ana: Person, grant: str) -> None:
    ana.psql("-c", "select id, name, email from customers order by id limit 2")
    ana.psql("-c", "delete from orders", status=None)
    session = ana.json("sessions", "--mine")[0]["id"]
    with in_tmux([*HOOP, "replay", session], ana.world.environment("ana"), 100, 26) as tmux:
        tmux.until(session, "delete from orders")
        tmux.keys("r")  # the next refusal
        tmux.until("rule +no-unbounded-delete", "outcome +failed with SQLSTATE 42501")
        tmux.keys("q")
        tmux.until(PROMPT)
